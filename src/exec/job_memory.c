/* SPDX-License-Identifier: MIT */
/*
 * Each thread keeps two *magazines* of blocks for each size. As a rule one thread takes
 * (who submits) and others give (who ran the job), so full magazines go on through a
 * depot to where blocks are taken, empty ones back: one lock for each 62 blocks
 * (Bonwick and Adams, "Magazines and Vmem", USENIX 2001). A magazine holds pointers,
 * not a list through the blocks: those lie in another processor's cache, and are asked
 * for in advance.
 */
#include "exec/job_memory.h"

#include "base/alloc.h"
#include "base/annotate.h"
#include "base/assert.h"
#include "base/lock.h"

#include <hocket/testing.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

enum {
    LINE = 64,
    SMALL_BYTES = 5 * LINE, /* a job of tasks or threads, with 64 bytes of arguments */
    LARGE_BYTES = 8 * LINE,
    SIZES = 2,
    MAGAZINE = 62,
    DEPOT_MAX = 1024, /* full magazines of one size: 20 or 32 MB */
    HOT_LINES = 2,    /* of a block are written by who takes it */
    AHEAD = 4,        /* blocks that are asked for in advance */
};

/* The tools shall see each use of a block that was given back. */
#if defined(HKI_ASAN) || defined(HKI_TSAN)
enum { KEEPS = false };
#else
enum { KEEPS = true };
#endif

struct magazine {
    struct magazine *next; /* in the depot */
    size_t count;
    void *blocks[MAGAZINE];
};

/* A thread's. Both are there once it has one. */
struct kept {
    struct magazine *current, *spare;
};

struct cache {
    struct hki_tally tally;
    struct cache *next; /* of all; immutable */
    uint32_t in_use;    /* atomic: by a thread */
    struct kept kept[SIZES];
};

static struct {
    uint32_t lock; /* guards what follows */
    struct magazine *full, *empty;
    size_t full_count;
} depots[SIZES];

static __thread struct cache *own;
static struct cache *caches; /* atomic; they stay */
static pthread_key_t key;

static size_t bytes_of(int size)
{
    return size == 0 ? SMALL_BYTES : LARGE_BYTES;
}

/* ---- magazines ---- */

static struct magazine *magazine_new(void)
{
    return hki_fault(HK_FAULT_ALLOC) ? NULL : calloc(1, sizeof(struct magazine));
}

static void magazine_empty(struct magazine *magazine)
{
    while (magazine->count > 0)
        free(magazine->blocks[--magazine->count]);
}

/* Gives a magazine away for a full one, or NULL and the same. */
static struct magazine *swap_for_full(int size, struct magazine *empty)
{
    struct magazine *full;

    hki_lock_acquire(&depots[size].lock);
    full = depots[size].full;
    if (full) {
        depots[size].full = full->next;
        depots[size].full_count--;
        empty->next = depots[size].empty;
        depots[size].empty = empty;
    }
    hki_lock_release(&depots[size].lock);
    return full;
}

/* Puts a full one there; false: there are enough. */
static bool store_full(int size, struct magazine *full)
{
    bool fits;

    hki_lock_acquire(&depots[size].lock);
    fits = depots[size].full_count < DEPOT_MAX;
    if (fits) {
        full->next = depots[size].full;
        depots[size].full = full;
        depots[size].full_count++;
    }
    hki_lock_release(&depots[size].lock);
    return fits;
}

static struct magazine *take_empty(int size)
{
    struct magazine *empty;

    hki_lock_acquire(&depots[size].lock);
    empty = depots[size].empty;
    if (empty)
        depots[size].empty = empty->next;
    hki_lock_release(&depots[size].lock);
    return empty ? empty : magazine_new();
}

static void swap(struct kept *kept)
{
    struct magazine *current = kept->current;

    kept->current = kept->spare;
    kept->spare = current;
}

/* ---- a thread's ---- */

static void thread_ends(void *arg)
{
    struct cache *cache = arg;

    for (int size = 0; size < SIZES; size++) {
        struct kept *kept = &cache->kept[size];

        if (kept->current) {
            magazine_empty(kept->current);
            magazine_empty(kept->spare);
        }
    }
    own = NULL;
    HKI_HB_RELEASE(cache);
    __atomic_store_n(&cache->in_use, 0, __ATOMIC_RELEASE);
}

static void make_key(void)
{
    if (pthread_key_create(&key, thread_ends) != 0)
        hki_panic("no thread-specific key left (pthread_key_create)");
}

static struct cache *reuse_cache(void)
{
    struct cache *cache = __atomic_load_n(&caches, __ATOMIC_ACQUIRE);

    for (; cache; cache = cache->next)
        if (!__atomic_exchange_n(&cache->in_use, 1, __ATOMIC_ACQUIRE))
            return cache;
    return NULL;
}

static struct cache *new_cache(void)
{
    struct cache *cache = hki_alloc_kept(sizeof(*cache));

    if (!cache)
        return NULL;
    cache->in_use = 1;
    hki_tally_register(&cache->tally);
    cache->next = __atomic_load_n(&caches, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&caches, &cache->next, cache, true,
                                        __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        ;
    return cache;
}

/* NULL: no memory. */
static __attribute__((noinline)) struct cache *make_own(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct cache *cache = reuse_cache();

    pthread_once(&once, make_key);
    if (!cache)
        cache = new_cache();
    if (!cache)
        return NULL;
    if (pthread_setspecific(key, cache) != 0) {
        __atomic_store_n(&cache->in_use, 0, __ATOMIC_RELEASE);
        return NULL;
    }
    own = cache;
    return cache;
}

static bool make_kept(struct kept *kept)
{
    kept->current = magazine_new();
    kept->spare = kept->current ? magazine_new() : NULL;
    if (kept->spare)
        return true;
    free(kept->current);
    kept->current = NULL;
    return false;
}

/* ---- blocks ---- */

static void *new_block(int size)
{
    return hki_fault(HK_FAULT_ALLOC) ? NULL : aligned_alloc(LINE, bytes_of(size));
}

/* Until the current magazine has one; false: there is none anywhere. */
static bool refill(struct kept *kept, int size)
{
    struct magazine *full;

    if (!kept->current && !make_kept(kept))
        return false;
    if (kept->current->count > 0)
        return true;
    if (kept->spare->count > 0) {
        swap(kept);
        return true;
    }
    full = swap_for_full(size, kept->current);
    if (full)
        kept->current = full;
    return full;
}

static void ask_for(const void *block)
{
    for (int line = 0; line < HOT_LINES; line++)
        __builtin_prefetch((const char *)block + line * LINE, 1);
}

static void *pop(struct kept *kept)
{
    struct magazine *magazine = kept->current;
    void *block = magazine->blocks[--magazine->count];

    if (HKI_LIKELY(magazine->count >= AHEAD))
        ask_for(magazine->blocks[magazine->count - AHEAD]);
    return block;
}

static __attribute__((noinline)) void *take_slowly(size_t bytes)
{
    struct cache *cache = own ? own : make_own();
    int size = bytes > SMALL_BYTES;
    void *block;

    if (!cache || hki_fault(HK_FAULT_ALLOC))
        return NULL;
    block =
        refill(&cache->kept[size], size) ? pop(&cache->kept[size]) : new_block(size);
    if (block)
        hki_tally_count(&cache->tally, (int64_t)bytes_of(size));
    return block;
}

/* Until the current magazine has room; false: there is no more. */
static bool make_space(struct kept *kept, int size)
{
    struct magazine *empty;

    if (!kept->current)
        return make_kept(kept);
    if (kept->current->count < MAGAZINE)
        return true;
    if (kept->spare->count < MAGAZINE) {
        swap(kept);
        return true;
    }
    empty = take_empty(size);
    if (!empty)
        return false;
    if (store_full(size, kept->current)) {
        kept->current = empty; /* the full one may be another thread's by now */
    } else {
        magazine_empty(kept->current);
        free(empty);
    }
    return true;
}

static __attribute__((noinline)) void give_slowly(void *block, size_t bytes)
{
    struct cache *cache = own ? own : make_own();
    int size = bytes > SMALL_BYTES;
    struct kept *kept;

    if (!cache) { /* not counted off: there was no memory to count with */
        free(block);
        return;
    }
    kept = &cache->kept[size];
    hki_tally_count(&cache->tally, -(int64_t)bytes_of(size));
    if (make_space(kept, size))
        kept->current->blocks[kept->current->count++] = block;
    else
        free(block);
}

void *hki_job_memory_take(size_t bytes)
{
    int size = bytes > SMALL_BYTES;
    struct kept *kept;

    if (!KEEPS || bytes > LARGE_BYTES)
        return hki_alloc(bytes);
    if (HKI_UNLIKELY(!own || __atomic_load_n(&hki_faults_are_on, __ATOMIC_RELAXED)))
        return take_slowly(bytes);
    kept = &own->kept[size];
    if (HKI_UNLIKELY(!kept->current || !kept->current->count))
        return take_slowly(bytes);
    hki_tally_count(&own->tally, (int64_t)bytes_of(size));
    return pop(kept);
}

void hki_job_memory_give(void *block, size_t bytes)
{
    int size = bytes > SMALL_BYTES;
    struct kept *kept;

    if (!KEEPS || bytes > LARGE_BYTES) {
        hki_free(block);
        return;
    }
    kept = own ? &own->kept[size] : NULL;
    if (HKI_UNLIKELY(!kept || !kept->current || kept->current->count == MAGAZINE)) {
        give_slowly(block, bytes);
        return;
    }
    hki_tally_count(&own->tally, -(int64_t)bytes_of(size));
    kept->current->blocks[kept->current->count++] = block;
}
