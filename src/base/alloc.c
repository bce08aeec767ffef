/* SPDX-License-Identifier: MIT */
#include "base/alloc.h"

#include "base/annotate.h"
#include "base/assert.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

enum { FAULT_KINDS = 2 };

static uint64_t live_bytes;

/* One for each hk_fault. Counting goes on while disarmed only from the last arming. */
static struct {
    uint32_t counting; /* atomic: any call counts */
    uint64_t calls;    /* atomic */
    uint64_t nth;      /* the call that fails; 0: none */
    int error;
} faults[FAULT_KINDS];

int hki_fault(int kind)
{
    if (HKI_LIKELY(!__atomic_load_n(&faults[kind].counting, __ATOMIC_RELAXED)))
        return 0;
    if (__atomic_add_fetch(&faults[kind].calls, 1, __ATOMIC_RELAXED) !=
        __atomic_load_n(&faults[kind].nth, __ATOMIC_RELAXED))
        return 0;
    return __atomic_load_n(&faults[kind].error, __ATOMIC_RELAXED);
}

void hki_fault_arm(int kind, uint64_t nth, int error)
{
    __atomic_store_n(&faults[kind].nth, nth, __ATOMIC_RELAXED);
    __atomic_store_n(&faults[kind].error, error, __ATOMIC_RELAXED);
    __atomic_store_n(&faults[kind].calls, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&faults[kind].counting, 1, __ATOMIC_RELAXED);
}

uint64_t hki_fault_count(int kind)
{
    return __atomic_load_n(&faults[kind].calls, __ATOMIC_RELAXED);
}

static void count(void *block)
{
    __atomic_add_fetch(&live_bytes, malloc_usable_size(block), __ATOMIC_RELAXED);
}

static void uncount(void *block)
{
    __atomic_sub_fetch(&live_bytes, malloc_usable_size(block), __ATOMIC_RELAXED);
}

void *hki_alloc(size_t size_bytes)
{
    void *block = hki_fault(0) ? NULL : calloc(1, size_bytes ? size_bytes : 1);

    if (block)
        count(block);
    HKI_HB_RELEASE(block); /* may be freed by another task: pairs with hki_free */
    return block;
}

void *hki_realloc(void *old, size_t size_bytes)
{
    size_t before = old ? malloc_usable_size(old) : 0;
    void *block = hki_fault(0) ? NULL : realloc(old, size_bytes ? size_bytes : 1);

    if (block) {
        __atomic_sub_fetch(&live_bytes, before, __ATOMIC_RELAXED);
        count(block);
        HKI_HB_RELEASE(block);
    }
    return block;
}

void hki_free(void *block)
{
    if (!block)
        return;
    HKI_HB_ACQUIRE(block);
    uncount(block);
    free(block);
}

char *hki_strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = hki_alloc(size);

    if (copy)
        memcpy(copy, text, size);
    return copy;
}

uint64_t hki_alloc_bytes(void)
{
    return __atomic_load_n(&live_bytes, __ATOMIC_RELAXED);
}
