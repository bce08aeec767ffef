/* SPDX-License-Identifier: MIT */
/*
 * A plain thread that waits for a job looks for its result itself for a moment, before
 * it sleeps: then nobody has to wake the courier, who would have to wake the thread.
 * With a worker that stays awake as well, a round trip needs no system call at all.
 *
 * Meanwhile the bell is disarmed, so that workers do not ring for nothing. The courier
 * sleeps on, so whoever has news for him rings in vain; therefore the helper arms it
 * again before he looks whether there is anything left to do, and then rings himself.
 */
#include "exec/process_pool.h"

#include "base/spin.h"
#include "sys/os.h"

/* Two wake-ups cost about as much as this: who has looked for so long has lost no more
 * than by sleeping at once. */
#define HELP_NS (INT64_C(50) * 1000)
/* Jobs that take longer are not worth it. */
#define SHORT_JOB_NS (2 * HELP_NS)
/* With more jobs on their way the courier is awake, and collects more at a time. */
enum { FEW_JOBS = 4 };

/* What is short is known of a worker that has done a job. */
static bool is_short(const struct hki_process_pool *pool, const struct hki_job *job)
{
    for (uint32_t i = 0; i < pool->options.workers_max; i++) {
        const struct hki_seat *seat = &pool->seats[i];

        if (seat->state != HKI_SEAT_READY || seat->jobs_done == 0 ||
            seat->mean_ns > SHORT_JOB_NS)
            continue;
        for (uint32_t at = 0; at < HKI_CHANNEL_SLOTS; at++)
            if (seat->jobs[at] == job)
                return true;
    }
    return false;
}

static bool begin(struct hki_process_pool *pool, const struct hki_job *job)
{
    bool may_help;

    hk_lock_acquire(&pool->lock);
    may_help = !pool->has_helper && pool->jobs <= FEW_JOBS && is_short(pool, job);
    pool->has_helper = pool->has_helper || may_help;
    hk_lock_release(&pool->lock);
    if (may_help)
        hki_bell_disarm(pool->bell);
    return may_help;
}

/* With the lock. Something that the courier must see to, and may not have been told. */
static bool is_work_left(const struct hki_process_pool *pool)
{
    return pool->jobs > 0 || pool->is_ending ||
           __atomic_load_n(&pool->has_cancels, __ATOMIC_SEQ_CST);
}

static void end(struct hki_process_pool *pool)
{
    bool is_left;

    hki_bell_arm(pool->bell);
    hk_lock_acquire(&pool->lock);
    pool->has_helper = false;
    is_left = is_work_left(pool) || hki_has_dead_worker(pool);
    hk_lock_release(&pool->lock);
    if (is_left)
        hki_bell_ring(pool->bell);
}

static void collect(struct hki_process_pool *pool, struct hki_ended_jobs *ended)
{
    hk_lock_acquire(&pool->lock);
    for (uint32_t i = 0; i < pool->options.workers_max; i++)
        if (pool->seats[i].state == HKI_SEAT_READY)
            (void)hki_collect(&pool->seats[i], ended);
    hki_dispatch(pool);
    hk_lock_release(&pool->lock);
    if (ended->count > 0)
        hki_ended_jobs_tell(pool, ended);
    else
        hki_spin_pause(0);
}

void hki_pool_help(hk_executor *executor, const struct hki_job *job)
{
    struct hki_process_pool *pool = (struct hki_process_pool *)(void *)executor;
    struct hki_ended_jobs ended;
    int64_t end_ns;

    if (!begin(pool, job))
        return;
    ended.count = 0; /* the rest is large, and written before it is read */
    end_ns = hki_os_now_ns() + HELP_NS;
    do
        collect(pool, &ended);
    while (!hki_future_is_done(&job->future) && hki_os_now_ns() < end_ns);
    end(pool);
}
