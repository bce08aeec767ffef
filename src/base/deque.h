/* SPDX-License-Identifier: MIT */
/*
 * A work-stealing deque: its owner pushes and takes at one end, anyone steals at the
 * other (Chase and Lev, "Dynamic Circular Work-Stealing Deque", SPAA 2005, with the
 * orders of Lê, Pop, Cohen and Zappa Nardelli, "Correct and Efficient Work-Stealing for
 * Weak Memory Models", PPoPP 2013). Owner and thieves meet only over the last item; a
 * push is two plain stores, a take one full fence.
 *
 *     top <= index < bottom     holds an item, in ring->items[index & mask]
 *     top      only grows; whoever moves it on by compare-and-swap has the item
 *     bottom   owner only; lowered before the owner looks at top, so that for the last
 *              item either it sees the thief's top, or the thief its bottom
 *
 * Where the paper has fences this has sequentially consistent accesses of top and
 * bottom: the same instructions on x86, and ThreadSanitizer understands them.
 *
 * A ring that has become too small is kept until fini, as a thief may still read it.
 */
#ifndef HKI_BASE_DEQUE_H
#define HKI_BASE_DEQUE_H

#include "base/assert.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hki_deque_ring {
    struct hki_deque_ring *smaller; /* the one before it; owner only */
    size_t mask;                    /* a power of two less one */
    void *items[];                  /* atomic */
};

struct hki_deque {
    _Alignas(64) int64_t top;    /* atomic */
    _Alignas(64) int64_t bottom; /* atomic; written by the owner */
    struct hki_deque_ring *ring; /* atomic; written by the owner */
};

/* What a thief may be told besides an item. */
enum hki_steal {
    HKI_STOLEN,
    HKI_STEAL_EMPTY,
    HKI_STEAL_LOST /* to another: try again */
};

/* `size` is a power of two. 0 or -ENOMEM. */
int hki_deque_init(struct hki_deque *deque, size_t size);
/* Nobody uses it any more. */
void hki_deque_fini(struct hki_deque *deque);

/* Replaces a full ring by one of twice its size: 0 or -ENOMEM. Owner only. */
int hki_deque_grow(struct hki_deque *deque);

/* The owner's view of the ring. */
static inline struct hki_deque_ring *hki_deque_ring_of(const struct hki_deque *deque)
{
    return __atomic_load_n(&deque->ring, __ATOMIC_RELAXED);
}

static inline void **hki_deque_slot(struct hki_deque_ring *ring, int64_t index)
{
    return &ring->items[(size_t)index & ring->mask];
}

/* Adds at the owner's end: 0, or -ENOMEM: it is full and cannot grow. Owner only. */
static inline int hki_deque_push(struct hki_deque *deque, void *item)
{
    int64_t bottom = __atomic_load_n(&deque->bottom, __ATOMIC_RELAXED);
    int64_t top = __atomic_load_n(&deque->top, __ATOMIC_ACQUIRE);

    if (HKI_UNLIKELY(bottom - top > (int64_t)hki_deque_ring_of(deque)->mask)) {
        int rc = hki_deque_grow(deque);

        if (rc < 0)
            return rc;
    }
    __atomic_store_n(hki_deque_slot(hki_deque_ring_of(deque), bottom), item,
                     __ATOMIC_RELAXED);
    __atomic_store_n(&deque->bottom, bottom + 1, __ATOMIC_RELEASE); /* with steal */
    return 0;
}

/* The item that was pushed last; NULL when empty. Owner only. */
static inline void *hki_deque_take(struct hki_deque *deque)
{
    int64_t bottom = __atomic_load_n(&deque->bottom, __ATOMIC_RELAXED) - 1;
    int64_t top;
    void *item;

    __atomic_store_n(&deque->bottom, bottom, __ATOMIC_SEQ_CST);
    top = __atomic_load_n(&deque->top, __ATOMIC_SEQ_CST);
    if (top > bottom) {
        __atomic_store_n(&deque->bottom, bottom + 1, __ATOMIC_RELAXED);
        return NULL;
    }
    item = __atomic_load_n(hki_deque_slot(hki_deque_ring_of(deque), bottom),
                           __ATOMIC_RELAXED);
    if (top < bottom)
        return item;
    /* The last one: whoever moves top on has it. */
    if (!__atomic_compare_exchange_n(&deque->top, &top, top + 1, false,
                                     __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
        item = NULL;
    __atomic_store_n(&deque->bottom, bottom + 1, __ATOMIC_RELAXED);
    return item;
}

/* The item that was pushed first, into `*out`. Any thread. */
static inline enum hki_steal hki_deque_steal(struct hki_deque *deque, void **out)
{
    int64_t top = __atomic_load_n(&deque->top, __ATOMIC_SEQ_CST);
    int64_t bottom = __atomic_load_n(&deque->bottom, __ATOMIC_SEQ_CST);
    struct hki_deque_ring *ring;
    void *item;

    if (top >= bottom)
        return HKI_STEAL_EMPTY;
    ring = __atomic_load_n(&deque->ring, __ATOMIC_ACQUIRE);
    item = __atomic_load_n(hki_deque_slot(ring, top), __ATOMIC_RELAXED);
    if (!__atomic_compare_exchange_n(&deque->top, &top, top + 1, false,
                                     __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
        return HKI_STEAL_LOST;
    *out = item;
    return HKI_STOLEN;
}

/* Items that fit in before it has to grow. Owner only. */
static inline size_t hki_deque_room(const struct hki_deque *deque)
{
    int64_t bottom = __atomic_load_n(&deque->bottom, __ATOMIC_RELAXED);
    int64_t top = __atomic_load_n(&deque->top, __ATOMIC_ACQUIRE);

    return hki_deque_ring_of(deque)->mask + 1 - (size_t)(bottom - top);
}

/* Items in it now, or a moment ago. Any thread. */
static inline size_t hki_deque_count(const struct hki_deque *deque)
{
    int64_t bottom = __atomic_load_n(&deque->bottom, __ATOMIC_RELAXED);
    int64_t top = __atomic_load_n(&deque->top, __ATOMIC_RELAXED);

    return bottom > top ? (size_t)(bottom - top) : 0;
}

#endif
