/* SPDX-License-Identifier: MIT */
#include "exec/job_memory.h"

#include "base/alloc.h"
#include "base/annotate.h"
#include "base/assert.h"

#include <hocket/testing.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

enum {
    BLOCK_BYTES = 512,
    KEPT_MAX = 1024, /* by each thread: half a megabyte */
};

/* The tools shall see each use of a block that was given back. */
#if defined(HKI_ASAN) || defined(HKI_TSAN)
enum { KEEPS = false };
#else
enum { KEEPS = true };
#endif

struct block {
    struct block *next;
};

static __thread struct {
    struct block *first;
    uint32_t count;
    bool is_known; /* the thread's end gives them back */
} kept;

static pthread_key_t key;

static void thread_ends(void *unused)
{
    (void)unused;
    while (kept.first) {
        struct block *block = kept.first;

        kept.first = block->next;
        free(block);
    }
    kept.count = 0;
    kept.is_known = false;
}

static void make_key(void)
{
    if (pthread_key_create(&key, thread_ends) != 0)
        hki_panic("no thread-specific key left (pthread_key_create)");
}

/* Without memory for that the thread keeps none. */
static bool make_known(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, make_key);
    kept.is_known = pthread_setspecific(key, &kept) == 0;
    return kept.is_known;
}

void *hki_job_memory_take(size_t size)
{
    struct block *block = kept.first;

    if (!KEEPS || size > BLOCK_BYTES)
        return hki_alloc(size);
    if (HKI_UNLIKELY(hki_fault(HK_FAULT_ALLOC)))
        return NULL;
    if (HKI_LIKELY(block)) {
        kept.first = block->next;
        kept.count--;
    } else {
        block = malloc(BLOCK_BYTES);
        if (!block)
            return NULL;
    }
    hki_alloc_count(BLOCK_BYTES);
    return block;
}

void hki_job_memory_give(void *memory, size_t size)
{
    struct block *block = memory;

    if (!KEEPS || size > BLOCK_BYTES) {
        hki_free(memory);
        return;
    }
    hki_alloc_count(-BLOCK_BYTES);
    if (kept.count == KEPT_MAX || (HKI_UNLIKELY(!kept.is_known) && !make_known())) {
        free(block);
        return;
    }
    block->next = kept.first;
    kept.first = block;
    kept.count++;
}
