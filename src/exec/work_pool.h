/* SPDX-License-Identifier: MIT */
/* The inside of a pool of work, for the files that make it: exec/work*.c. */
#ifndef HKI_EXEC_WORK_POOL_H
#define HKI_EXEC_WORK_POOL_H

#include "base/list.h"
#include "exec/work.h"
#include "exec/work_queue.h"

enum {
    GUESTS_MAX = 64, /* plain threads that take part at once */
    SEATS_MAX = HKI_WORK_THREADS_MAX + GUESTS_MAX,
};

enum hki_work_closed {
    HKI_WORK_OPEN,
    HKI_WORK_CLOSED,
    HKI_WORK_OVER, /* the process exits */
};

struct hki_work_pool {
    struct hki_work_demand demand; /* first */
    _Alignas(64) struct hki_source source;
    struct hki_work_options options; /* immutable */
    struct hki_runtime *runtime;     /* immutable */
    uint32_t launched;    /* atomic; written by who holds the search: threads ever */
    uint32_t alive;       /* atomic: less those that have left */
    uint32_t guests_lock; /* guards the making of seats for guests */
    uint32_t guest_seats; /* atomic: guests that there ever were at once */
    /* Atomic; the threads', then the guests'. Made at need, they stay. */
    struct hki_work_seat *seats[SEATS_MAX];
    _Alignas(64) struct hki_work_queue queue;
    /* Counted work: what came through the queue, guarded by its lock; and what came
     * from the pool's own threads less what has ended, atomic. */
    uint64_t outside;
    _Alignas(64) uint64_t inside;
    hk_waiter_queue joiners; /* wait for the sum to be 0; guarded by the queue's lock */
    uint32_t closed;         /* atomic: hki_work_closed; written with that lock */
};

static inline struct hki_work_pool *hki_work_pool_of(const struct hki_source *source)
{
    return hki_container_of((struct hki_source *)(uintptr_t)source,
                            struct hki_work_pool, source);
}

static inline struct hki_work_seat *hki_work_seat_at(const struct hki_work_pool *pool,
                                                     uint32_t index)
{
    return __atomic_load_n(&pool->seats[index], __ATOMIC_ACQUIRE);
}

/* That of the calling thread of the pool. */
static inline struct hki_work_seat *hki_work_own_seat(struct hki_work_pool *pool)
{
    if (HKI_UNLIKELY(!hki_work_seat_here))
        hki_work_seat_here = hki_work_seat_at(pool, hki_workers_index());
    return hki_work_seat_here;
}

static inline uint32_t hki_work_launched(const struct hki_work_pool *pool)
{
    return __atomic_load_n(&pool->launched, __ATOMIC_ACQUIRE);
}

/* Seats of threads and of guests, counted through. */
static inline uint32_t hki_work_seat_count(const struct hki_work_pool *pool)
{
    return hki_work_launched(pool) +
           __atomic_load_n(&pool->guest_seats, __ATOMIC_ACQUIRE);
}

static inline struct hki_work_seat *hki_work_nth_seat(const struct hki_work_pool *pool,
                                                      uint32_t n)
{
    uint32_t launched = hki_work_launched(pool);

    return hki_work_seat_at(pool,
                            n < launched ? n : n - launched + HKI_WORK_THREADS_MAX);
}

static inline uint32_t hki_work_alive(const struct hki_work_pool *pool)
{
    return __atomic_load_n(&pool->alive, __ATOMIC_RELAXED);
}

/* ---- the search, and places to compute: see exec/work.h ---- */

static inline bool hki_work_begin_search(struct hki_work_pool *pool)
{
    uint32_t none = 0;

    return __atomic_load_n(&pool->demand.searchers, __ATOMIC_SEQ_CST) == 0 &&
           __atomic_compare_exchange_n(&pool->demand.searchers, &none, 1, false,
                                       __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

static inline void hki_work_end_search(struct hki_work_pool *pool)
{
    __atomic_sub_fetch(&pool->demand.searchers, 1, __ATOMIC_SEQ_CST);
}

static inline int32_t hki_work_give_room(struct hki_work_pool *pool)
{
    return __atomic_fetch_add(&pool->demand.room, 1, __ATOMIC_SEQ_CST);
}

static inline void hki_work_take_room(struct hki_work_pool *pool)
{
    __atomic_sub_fetch(&pool->demand.room, 1, __ATOMIC_SEQ_CST);
}

/* ---- the parts of its source ---- */

bool hki_work_find(struct hki_source *source, struct hki_found *out);
void hki_work_ended(struct hki_source *source, hk_scope *scope);
void hki_work_turns_away(struct hki_source *source);
bool hki_work_searches(struct hki_source *source);
bool hki_work_exists(const struct hki_source *source);
bool hki_work_sleeps(struct hki_source *source);
void hki_work_wakes(struct hki_source *source);
int64_t hki_work_sleeps_at_most(struct hki_source *source);
bool hki_work_may_leave(struct hki_source *source);
void hki_work_returns(struct hki_source *source);
void hki_work_is_over(struct hki_source *source);

/* ---- between the files ---- */

/* One thread at a time makes the one of an index: 0 or -ENOMEM. */
int hki_work_make_seat(struct hki_work_pool *pool, uint32_t index);
/* Tells those who wait what has ended on this seat. */
void hki_work_tell_ended(struct hki_work_pool *pool, struct hki_work_seat *seat);
/* By who has made room and will look for work: who pushed without a fence, and saw no
 * room, has done so before. */
void hki_work_fence(struct hki_work_pool *pool);
/* Into the queue, what has been counted before. 0 or -ENOMEM. */
int hki_work_put_back(struct hki_work_pool *pool, struct hki_work *work);
/* Wakes who waits for room in the queue, when there is enough. */
void hki_work_make_room(struct hki_work_pool *pool);
/* Wakes who waits for the end of all counted work, if it has come. */
void hki_work_wake_joiners(struct hki_work_pool *pool);

#endif
