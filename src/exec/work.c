/* SPDX-License-Identifier: MIT */
/* Pools of threads that find work: making them, their seats, waking their threads. */
#include "exec/work_pool.h"

#include "base/alloc.h"
#include "base/fence.h"

#include <errno.h>

enum { DEQUE_SIZE = 256 }; /* at first */

__thread struct hki_work_seat *hki_work_seat_here
    __attribute__((tls_model("initial-exec")));

struct hki_runtime *hki_work_runtime(struct hki_work_pool *pool)
{
    return pool->runtime;
}

uint32_t hki_work_threads(const struct hki_work_pool *pool)
{
    return pool->options.threads;
}

/* ---- seats ---- */

int hki_work_make_seat(struct hki_work_pool *pool, uint32_t index)
{
    struct hki_work_seat *seat;

    if (hki_work_seat_at(pool, index))
        return 0;
    seat = hki_alloc_kept(sizeof(*seat));
    if (!seat)
        return -ENOMEM;
    if (hki_deque_init(&seat->deque, DEQUE_SIZE) < 0) {
        hki_free_kept(seat);
        return -ENOMEM;
    }
    seat->pool = pool;
    seat->executor = pool->options.executor;
    seat->random = index;
    __atomic_store_n(&pool->seats[index], seat, __ATOMIC_RELEASE);
    return 0;
}

static void free_seats(struct hki_work_pool *pool)
{
    for (uint32_t i = 0; i < SEATS_MAX; i++) {
        struct hki_work_seat *seat = pool->seats[i];

        if (!seat)
            continue;
        hki_deque_fini(&seat->deque);
        hki_free_kept(seat);
    }
}

/* ---- waking ---- */

static bool wake_sleeper(struct hki_work_pool *pool)
{
    uint32_t launched = hki_work_launched(pool);

    for (uint32_t i = 0; i < launched; i++) { /* the last ones may leave */
        uint32_t asleep = 1;

        if (__atomic_load_n(&hki_work_seat_at(pool, i)->asleep, __ATOMIC_RELAXED) &&
            __atomic_compare_exchange_n(&hki_work_seat_at(pool, i)->asleep, &asleep, 0,
                                        false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
            hki_workers_notify(pool->runtime, i);
            return true;
        }
    }
    return false;
}

/* As the one searcher, whose role the new thread gets. */
static bool launch(struct hki_work_pool *pool)
{
    uint32_t index = hki_work_launched(pool);

    if (index == pool->options.threads_max || hki_work_make_seat(pool, index) < 0)
        return false;
    hki_work_seat_at(pool, index)->searches = true;
    __atomic_store_n(&pool->launched, index + 1, __ATOMIC_SEQ_CST);
    if (hki_workers_launch(pool->runtime, index) == 0) {
        __atomic_add_fetch(&pool->alive, 1, __ATOMIC_SEQ_CST);
        return true;
    }
    __atomic_store_n(&pool->launched, index, __ATOMIC_SEQ_CST);
    return false;
}

static int32_t room_of(const struct hki_work_pool *pool)
{
    return __atomic_load_n(&pool->demand.room, __ATOMIC_SEQ_CST);
}

static bool take_room_if_any(struct hki_work_pool *pool)
{
    int32_t room = room_of(pool);

    while (room > 0)
        if (__atomic_compare_exchange_n(&pool->demand.room, &room, room - 1, false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            return true;
    return false;
}

static bool has_sleeper(const struct hki_work_pool *pool)
{
    uint32_t launched = hki_work_launched(pool);

    for (uint32_t i = 0; i < launched; i++)
        if (__atomic_load_n(&hki_work_seat_at(pool, i)->asleep, __ATOMIC_SEQ_CST))
            return true;
    return false;
}

/* Who makes room while we have the search relies on us, and so does who pushes after
 * somebody has gone to sleep behind our back: so we look again at the end. */
void hki_work_wake(struct hki_work_pool *pool)
{
    while (room_of(pool) > 0 && hki_work_begin_search(pool)) {
        bool has_room = take_room_if_any(pool);

        if (has_room && (wake_sleeper(pool) || launch(pool)))
            return;
        if (has_room)
            (void)hki_work_give_room(pool);
        hki_work_end_search(pool);
        if (has_room && !has_sleeper(pool))
            return; /* there is nobody to wake, and no thread more */
    }
}

static void make_fence_by(struct hki_work_pool *pool, enum hki_work_fence_by who)
{
    __atomic_store_n(&pool->demand.fence_by, who, __ATOMIC_SEQ_CST);
}

/* A filter for system calls may come later, and then it takes 50 ms, in which nobody
 * can wake us: so that the next push pays for itself. Those on their way may not have
 * seen that yet, hence the state between. */
void hki_work_fence(struct hki_work_pool *pool)
{
    if (__atomic_load_n(&pool->demand.fence_by, __ATOMIC_SEQ_CST) == HKI_BY_PUSHER)
        return;
    hki_fence_everywhere();
    if (HKI_LIKELY(hki_fence_is_available()))
        return;
    make_fence_by(pool, HKI_BY_BOTH);
    hki_fence_everywhere();
    make_fence_by(pool, HKI_BY_PUSHER);
}

/* ---- making ---- */

static void pool_free(struct hki_work_pool *pool)
{
    free_seats(pool);
    hki_work_queue_fini(&pool->queue);
    hki_free_kept(pool);
}

static int make(struct hki_work_pool *pool, const struct hki_work_options *options)
{
    int rc;

    pool->options = *options;
    pool->source = (struct hki_source){
        .find = hki_work_find,
        .ended = hki_work_ended,
        .turns_away = hki_work_turns_away,
        .searches = hki_work_searches,
        .has_work = hki_work_exists,
        .sleeps = hki_work_sleeps,
        .wakes = hki_work_wakes,
        .sleeps_at_most = hki_work_sleeps_at_most,
        .may_leave = hki_work_may_leave,
        .returns = hki_work_returns,
        .is_over = hki_work_is_over,
    };
    hki_fence_prepare();
    pool->demand.fence_by = hki_fence_is_available() ? HKI_BY_SLEEPER : HKI_BY_PUSHER;
    pool->demand.room = (int32_t)options->threads - 1;
    rc = hki_work_queue_init(&pool->queue);
    if (rc == 0)
        rc = hki_work_make_seat(pool, 0);
    if (rc < 0)
        return rc;
    pool->launched = pool->alive = 1;
    return hki_workers_start(options->threads_max, &pool->source, &pool->runtime);
}

int hki_work_pool_new(const struct hki_work_options *options,
                      struct hki_work_pool **out)
{
    struct hki_work_pool *pool = hki_alloc_kept(sizeof(*pool));
    int rc;

    if (!pool)
        return -ENOMEM;
    rc = make(pool, options);
    if (rc < 0)
        pool_free(pool);
    else
        *out = pool;
    return rc;
}

bool hki_work_pool_free(struct hki_work_pool *pool)
{
    bool is_gone = hki_workers_stop(pool->runtime);

    if (is_gone)
        pool_free(pool);
    return is_gone;
}

/* ---- numbers ---- */

static void add_counts(const struct hki_work_seat *seat, hk_executor_stats *out)
{
    const struct hki_job_counts *counts = &seat->counts;
    uint64_t done = __atomic_load_n(&counts->done, __ATOMIC_RELAXED);
    uint64_t failed = __atomic_load_n(&counts->failed, __ATOMIC_RELAXED);
    uint64_t cancelled = __atomic_load_n(&counts->cancelled, __ATOMIC_RELAXED);
    uint64_t dropped = __atomic_load_n(&counts->dropped, __ATOMIC_RELAXED);
    uint64_t started = __atomic_load_n(&counts->started, __ATOMIC_RELAXED);
    uint64_t submitted = __atomic_load_n(&counts->submitted, __ATOMIC_RELAXED);

    out->done += done;
    out->failed += failed;
    out->cancelled += cancelled;
    out->submitted += submitted;
    out->running += started + dropped - done - failed - cancelled;
    out->queued += submitted - started - dropped;
}

uint32_t hki_work_stats(const struct hki_work_pool *pool, hk_executor_stats *out)
{
    uint32_t count = hki_work_seat_count(pool);
    uint64_t outside;

    for (uint32_t n = 0; n < count; n++) {
        const struct hki_work_seat *seat = hki_work_nth_seat(pool, n);

        if (seat)
            add_counts(seat, out);
    }
    outside = __atomic_load_n(&pool->outside, __ATOMIC_RELAXED);
    out->submitted += outside;
    out->queued += outside;
    return hki_work_alive(pool);
}
