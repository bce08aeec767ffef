/* SPDX-License-Identifier: MIT */
#include "base/alloc.h"

#include "base/annotate.h"
#include "base/assert.h"

#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { FAULT_KINDS = 2 };

/*
 * Bytes that are allocated now: their sum. One counter for all threads would cost them
 * more than the allocation; which one a thread uses does not matter.
 */
enum { SHARDS = 64 };

static struct {
    _Alignas(64) uint64_t bytes; /* atomic; what is freed elsewhere makes it wrap */
} shards[SHARDS];

/* One for each hk_fault. Counting goes on while disarmed only from the last arming. */
static struct {
    uint32_t counting; /* atomic: any call counts */
    uint64_t calls;    /* atomic */
    uint64_t nth;      /* the call that fails; 0: none */
    int error;
} faults[FAULT_KINDS];

uint32_t hki_faults_are_on;

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
    __atomic_store_n(&hki_faults_are_on, 1, __ATOMIC_RELAXED);
}

uint64_t hki_fault_count(int kind)
{
    return __atomic_load_n(&faults[kind].calls, __ATOMIC_RELAXED);
}

void hki_alloc_count(int64_t bytes)
{
    static __thread uint32_t shard; /* plus one; 0: none yet */
    static uint32_t last;           /* atomic */

    if (HKI_UNLIKELY(!shard))
        shard = 1 + __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED) % SHARDS;
    __atomic_add_fetch(&shards[shard - 1].bytes, (uint64_t)bytes, __ATOMIC_RELAXED);
}

static void count(void *block)
{
    hki_alloc_count((int64_t)malloc_usable_size(block));
}

static void uncount(void *block)
{
    hki_alloc_count(-(int64_t)malloc_usable_size(block));
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
        hki_alloc_count(-(int64_t)before);
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

/* The logical mode would take the allocation for a write by the task that caused it. */
void *hki_alloc_kept(size_t size_bytes)
{
    size_t size = (size_bytes + 63) & ~(size_t)63;
    void *block;

    HKI_READS_OF_ALL_BEGIN();
    block = hki_fault(0) ? NULL : aligned_alloc(64, size);
    HKI_READS_OF_ALL_END();
    return block ? memset(block, 0, size) : NULL;
}

void hki_free_kept(void *block)
{
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

static struct hki_tally *tallies; /* atomic */

void hki_tally_register(struct hki_tally *tally)
{
    tally->next = __atomic_load_n(&tallies, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&tallies, &tally->next, tally, true,
                                        __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        ;
}

uint64_t hki_alloc_bytes(void)
{
    uint64_t bytes = 0;

    for (int i = 0; i < SHARDS; i++)
        bytes += __atomic_load_n(&shards[i].bytes, __ATOMIC_RELAXED);
    for (const struct hki_tally *t = __atomic_load_n(&tallies, __ATOMIC_ACQUIRE); t;
         t = t->next)
        bytes += __atomic_load_n(&t->bytes, __ATOMIC_RELAXED);
    return bytes;
}
