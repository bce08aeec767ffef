/* SPDX-License-Identifier: MIT */
/*
 * The courier: a pool's one thread. When a worker, the keeper, a submitter or a cancel
 * rings, or when it is time to look at something, he goes round his seats, and again as
 * long as anything changes; but to collect a few results from a worker that goes on to
 * work, which tells when it has no more, he does not stay.
 *
 * What workers write into the bell may be wrong, so while jobs are out he never sleeps
 * for longer than hki_seat_tick says, and else for a second.
 */
#include "exec/process_pool.h"

#include "base/spin.h"
#include "core/log.h"
#include "exec/letter.h"
#include "exec/worker.h"
#include "sys/os.h"
#include "sys/os_thread.h"
#include "sys/os_worker.h"

#include <errno.h>
#include <string.h>

#define MS INT64_C(1000000)

/* A submitter that finds an idle worker does not wake the courier, who yet must see
 * when that worker is stopped. So he looks up now and then, until there was no job for
 * long: then he rests, and the next submitter wakes him, unless a worker has silenced
 * the bell. */
#define IDLE_LOOK_NS (100 * MS)
#define REST_AFTER_NS (1000 * MS)
#define REST_LOOK_NS (1000 * MS)

/* He stays awake for so long when he is needed, though nothing changes. */
#define STAY_NS (INT64_C(20) * 1000)

/* ---- the queue ---- */

/* `first` and those behind it. */
static void end_all(struct hki_job *first, struct hki_ended_jobs *ended, int rc)
{
    struct hki_job *next;

    for (; first; first = next) {
        next = first->next;
        hki_ended_jobs_add(ended, first, rc);
    }
}

/* The queue comes last: what is taken back from a worker goes there. */
static bool look_for_cancels(struct hki_process_pool *pool,
                             struct hki_ended_jobs *ended)
{
    if (!__atomic_exchange_n(&pool->has_cancels, 0, __ATOMIC_SEQ_CST))
        return false;
    for (uint32_t i = 0; i < pool->options.workers_max; i++)
        hki_seat_look_for_cancels(&pool->seats[i], ended);
    end_all(hki_job_queue_take_dropped(&pool->queue), ended, -ECANCELED);
    return true;
}

/* One takes jobs now, or when it has done its own; or would, if it did not wait for
 * jobs in the queue. */
static bool has_workers(const struct hki_process_pool *pool, bool that_wait)
{
    for (uint32_t i = 0; i < pool->options.workers_max; i++)
        if (pool->seats[i].state == HKI_SEAT_READY &&
            (that_wait || pool->seats[i].requests_now == 0))
            return true;
    return false;
}

static bool is_request(const struct hki_job *job)
{
    return job->own[HKI_OWN_REQUEST] != NULL;
}

static bool is_any(const struct hki_job *job)
{
    (void)job;
    return true;
}

/* Without any worker, and with no hope for one soon, jobs must not wait for ever. A
 * worker that waits goes on when those that it waits for have failed. */
static bool fail_queue(struct hki_process_pool *pool, struct hki_ended_jobs *ended)
{
    struct hki_job *failed;

    if (pool->queue.count == 0 || pool->stats.degraded == 0 || has_workers(pool, false))
        return false;
    failed =
        hki_job_queue_take(&pool->queue, has_workers(pool, true) ? is_request : is_any);
    end_all(failed, ended, pool->stats.degraded);
    pool->is_try_due = pool->is_try_due || failed;
    return failed;
}

/* ---- replacing ---- */

static bool is_worn(struct hki_seat *seat)
{
    const hk_process_options *options = &seat->pool->options;

    if (seat->state != HKI_SEAT_READY || seat->jobs_now > 0 || seat->has_ended ||
        seat->requests_now > 0) /* which would end with it */
        return false;
    if (options->jobs_per_worker && seat->jobs_done >= options->jobs_per_worker)
        return true;
    return options->recycle_above_bytes && seat->jobs_done > 0 &&
           hki_os_process_memory(hki_keeper_pid(&seat->child)) >
               options->recycle_above_bytes;
}

/* ---- the end ---- */

/* True: there is no worker any more. */
static bool end_workers(struct hki_process_pool *pool)
{
    bool are_gone = true;

    for (uint32_t i = 0; i < pool->options.workers_max; i++) {
        struct hki_seat *seat = &pool->seats[i];

        if (seat->state == HKI_SEAT_STARTING)
            hki_seat_kill(seat, HKI_KILL_LEAVING);
        else if (seat->state == HKI_SEAT_READY && seat->jobs_now == 0)
            hki_seat_dismiss(seat);
        are_gone = are_gone && seat->state == HKI_SEAT_EMPTY;
    }
    return are_gone;
}

/* ---- the round ---- */

/* With the lock. True: something changed, look again. */
static bool look(struct hki_process_pool *pool, struct hki_ended_jobs *ended, bool all)
{
    bool is_changed = look_for_cancels(pool, ended);

    for (uint32_t i = 0; i < pool->options.workers_max; i++) {
        is_changed |= hki_seat_look(&pool->seats[i], ended, all);
        if (is_worn(&pool->seats[i]))
            hki_seat_dismiss(&pool->seats[i]);
    }
    is_changed |= fail_queue(pool, ended);
    hki_dispatch(pool);
    return is_changed;
}

/* With the lock. When to look again, if nobody rings. */
static int64_t tick(struct hki_process_pool *pool, struct hki_ended_jobs *ended)
{
    int64_t now_ns = hki_os_now_ns(), next_ns = now_ns + REST_LOOK_NS;

    if (pool->queue.count > 0 || pool->is_try_due) {
        hki_seats_start(pool, now_ns);
        if (pool->next_start_ns > now_ns && pool->next_start_ns < next_ns)
            next_ns = pool->next_start_ns;
    }
    for (uint32_t i = 0; i < pool->options.workers_max; i++) {
        int64_t seat_ns = hki_seat_tick(&pool->seats[i], ended, now_ns);

        next_ns = seat_ns < next_ns ? seat_ns : next_ns;
    }
    if (pool->jobs > 0)
        pool->active_ns = now_ns;
    if (now_ns - pool->active_ns < REST_AFTER_NS && next_ns > now_ns + IDLE_LOOK_NS)
        next_ns = now_ns + IDLE_LOOK_NS;
    pool->look_ns = next_ns;
    pool->must_ring = false;
    return next_ns;
}

/* Many short jobs wait, and no other thread comes by and hands them out: a worker has
 * done all it has before the courier would be awake again. */
static bool is_needed(struct hki_process_pool *pool)
{
    bool is_alone = !pool->has_helper && pool->submits == pool->submits_seen;

    pool->submits_seen = pool->submits;
    return is_alone && pool->queue.count > 0 && pool->mean_ns > 0 &&
           pool->mean_ns <= HKI_TINY_JOB_NS;
}

/* What the log is to know, once the lock is given back. */
struct news {
    bool is_any;
    int degraded;
    char step[sizeof(((hk_process_stats *)0)->step)];
};

static void take_news(struct hki_process_pool *pool, struct news *news)
{
    news->degraded = pool->stats.degraded;
    news->is_any = news->degraded != pool->degraded_in_log;
    pool->degraded_in_log = news->degraded;
    memcpy(news->step, pool->stats.step, sizeof(news->step));
}

static void write_log(const struct hki_process_pool *pool, const struct news *news)
{
    if (!news->is_any)
        return;
    if (news->degraded)
        hki_log(
            HK_LOG_WARNING,
            "pool '%s' is degraded, its jobs fail: no worker can be started: %s: %s",
            pool->head.name, news->step, hk_error_text(news->degraded));
    else
        hki_log(HK_LOG_WARNING, "pool '%s' has workers again", pool->head.name);
}

/* One round; for all results, or where there are many. True: another one at once. */
static bool go_round(struct hki_process_pool *pool, bool all, int64_t *out_next_ns,
                     bool *out_is_needed)
{
    struct hki_ended_jobs ended = {NULL, NULL, 0};
    struct news news;
    bool is_changed;

    hk_lock_acquire(&pool->lock);
    is_changed = look(pool, &ended, all);
    *out_next_ns = tick(pool, &ended);
    *out_is_needed = is_needed(pool);
    if (pool->is_ending)
        (void)end_workers(pool); /* looked at again when nothing changes any more */
    take_news(pool, &news);
    hk_lock_release(&pool->lock);
    write_log(pool, &news);
    is_changed |= ended.count > 0;
    if (ended.count > 0)
        hki_ended_jobs_tell(pool, &ended);
    return is_changed;
}

/* Goes round until nothing changes. */
static void go_round_and_round(struct hki_process_pool *pool)
{
    int64_t next_ns, changed_ns = hki_os_now_ns();
    bool all = true, is_needed = true;

    while (is_needed) {
        if (go_round(pool, all, &next_ns, &is_needed)) {
            changed_ns = hki_os_now_ns();
            is_needed = true;
        } else if (is_needed) {
            hki_spin_pause(0);
            is_needed = hki_os_now_ns() - changed_ns < STAY_NS;
        }
        all = false;
    }
}

/* The pool may be gone afterwards. */
static bool has_finished(struct hki_process_pool *pool)
{
    hk_waiter *finisher = NULL;

    hk_lock_acquire(&pool->lock);
    if (pool->is_ending && end_workers(pool))
        finisher = pool->finisher;
    hk_lock_release(&pool->lock);
    if (!finisher)
        return false;
    hki_template_end(&pool->origin);
    hk_wake(finisher, 0);
    return true;
}

static void *courier_main(void *arg)
{
    struct hki_process_pool *pool = arg;
    struct hki_bell *bell = &pool->desk->courier;
    int64_t next_ns;
    bool unused;

    hki_os_thread_name("hocket-courier");
    for (;;) {
        go_round_and_round(pool);
        if (has_finished(pool))
            return NULL;
        hki_bell_arm(bell);
        if (go_round(pool, false, &next_ns, &unused))
            hki_bell_disarm(bell);
        else
            hki_bell_sleep(bell, next_ns);
    }
}

int hki_courier_start(struct hki_process_pool *pool)
{
    const struct hki_thread_spec spec = {.is_detached = true, .is_deaf = true};
    int rc;

    if (pool->has_courier)
        return 0;
    if (hki_is_worker())
        return -EDEADLK; /* a pool of the program that it was forked from */
    rc = hki_os_thread_start(&spec, courier_main, pool, NULL);
    pool->has_courier = rc == 0;
    return rc;
}
