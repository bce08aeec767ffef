/* SPDX-License-Identifier: MIT */
/*
 * What waits for the threads of a pool and came from outside: first in, first out, in
 * bands of one priority. A short lock guards it; who takes takes several at once, and
 * what is in it are pointers in a ring, so that nobody waits, with the lock, for the
 * memory of another processor.
 */
#ifndef HKI_EXEC_WORK_QUEUE_H
#define HKI_EXEC_WORK_QUEUE_H

#include "base/spin.h"

#include <hocket/waiter.h>

#include <stddef.h>

struct hki_work;

struct hki_work_band {
    struct hki_work_band *next; /* the next lower one */
    int32_t priority;
    void **items; /* a ring: heap */
    size_t mask, first, count;
};

/* What is looked at often and seldom changes lies apart from what each push changes. */
struct hki_work_queue {
    _Alignas(64) size_t above;         /* atomic: of `count`, with a priority above 0 */
    struct hki_work_band *bands;       /* the highest first; they stay */
    hk_waiter_queue waiters;           /* for room */
    _Alignas(64) struct hki_spin lock; /* guards all of this */
    size_t count;                      /* atomic: a look without the lock */
    struct hki_work_band middle;       /* of priority 0 */
};

int hki_work_queue_init(struct hki_work_queue *queue);
void hki_work_queue_fini(struct hki_work_queue *queue);

/* For hki_work_queue_add, which has the usual part. */
int hki_work_queue_add_slow(struct hki_work_queue *queue, struct hki_work *work,
                            int32_t priority);

/* With the lock: 0 or -ENOMEM. */
static inline int hki_work_queue_add(struct hki_work_queue *queue,
                                     struct hki_work *work, int32_t priority)
{
    struct hki_work_band *band = &queue->middle;

    if (HKI_UNLIKELY(priority != 0 || band->count > band->mask))
        return hki_work_queue_add_slow(queue, work, priority);
    band->items[(band->first + band->count) & band->mask] = work;
    band->count++;
    __atomic_store_n(&queue->count, queue->count + 1, __ATOMIC_RELAXED);
    return 0;
}

/* Takes up to `max` from the highest band that has any. With the lock. */
size_t hki_work_queue_take(struct hki_work_queue *queue, struct hki_work **out,
                           size_t max);

static inline size_t hki_work_queue_count(const struct hki_work_queue *queue)
{
    return __atomic_load_n(&queue->count, __ATOMIC_RELAXED);
}

#endif
