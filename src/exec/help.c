/* SPDX-License-Identifier: MIT */
/*
 * A plain thread that waits for a job does the courier's work meanwhile, as far as
 * results are concerned.
 *
 * When few jobs are on their way it attends: it looks for their results for a moment,
 * then sleeps on a bell of its own, so that a result wakes one thread, and not one that
 * wakes another one. With a worker that stays awake as well, a round trip needs no
 * system call at all. Workers do not tell the courier meanwhile. All other news
 * (deaths, cancels, starts) are his as ever. A worker first sends its result and then
 * looks who is to be told; the thread first says that it attends no more and then looks
 * for results: so one of the two sees the other.
 *
 * When many short jobs are on their way, it collects results and hands out jobs, many
 * at a time, and never sleeps here.
 */
#include "exec/process_pool.h"

#include "base/spin.h"
#include "exec/worker.h"
#include "sys/os.h"

/* Two wake-ups cost about as much as this: who has looked for so long has lost no more
 * than by sleeping at once. Where jobs take longer it sleeps at once. */
#define LOOK_NS (INT64_C(50) * 1000)
enum { SHORT_JOB_NS = 100 * 1000 };
enum { FEW_JOBS = 4 };

/* Then the courier takes over: cancels and deadlines of the caller are seen again. */
#define ATTEND_NS (INT64_C(1000) * 1000)

struct help {
    struct hki_process_pool *pool;
    const struct hki_job *job;
    int64_t look_until_ns, until_ns;
    bool attends;
};

/* With the lock. How long it is worth to look for the result before a sleep. */
static int64_t look_ns(const struct help *help)
{
    const struct hki_process_pool *pool = help->pool;
    uint32_t index, mean_ns = pool->mean_ns;
    const struct hki_seat *seat = hki_seat_of(pool, help->job, &index);

    if (mean_ns == 0 || mean_ns > (help->attends ? SHORT_JOB_NS : HKI_TINY_JOB_NS) ||
        !seat || hki_shares_processor(&seat->link->channel.memory->processor))
        return 0;
    return LOOK_NS;
}

/* False: it would do no good. */
static bool begin(struct help *help)
{
    struct hki_process_pool *pool = help->pool;
    int64_t now_ns = hki_os_now_ns();
    bool may_help;

    hk_lock_acquire(&pool->lock);
    help->attends = pool->jobs <= FEW_JOBS;
    help->look_until_ns = now_ns + look_ns(help);
    help->until_ns = help->attends ? now_ns + ATTEND_NS : help->look_until_ns;
    may_help = !pool->has_helper && now_ns < help->until_ns;
    pool->has_helper = pool->has_helper || may_help;
    hk_lock_release(&pool->lock);
    hki_say_processor(&pool->desk->processor);
    if (may_help && help->attends)
        __atomic_store_n(&pool->desk->is_attended, 1, __ATOMIC_RELAXED);
    return may_help;
}

/* With the lock. */
static void collect_all(struct hki_process_pool *pool, struct hki_ended_jobs *ended)
{
    for (uint32_t i = 0; i < pool->options.workers_max; i++)
        if (pool->seats[i].state == HKI_SEAT_READY)
            (void)hki_collect(&pool->seats[i], ended);
}

/* With the lock. Until its own result is there only what is worth it. */
static void collect(const struct help *help, struct hki_ended_jobs *ended)
{
    uint32_t index;
    struct hki_seat *seat = hki_seat_of(help->pool, help->job, &index);

    if (seat && hki_channel_has_done(&seat->link->channel, index + 1))
        (void)hki_collect(seat, ended);
    else
        hki_collect_where_many(help->pool, ended);
}

/* True: there was something. */
static bool look(const struct help *help, bool is_last)
{
    struct hki_process_pool *pool = help->pool;
    struct hki_ended_jobs ended = {NULL, NULL, 0};
    bool must_ring, is_any;

    hk_lock_acquire(&pool->lock);
    if (help->attends)
        collect_all(pool, &ended);
    else if (!is_last)
        collect(help, &ended);
    hki_dispatch(pool);
    must_ring = pool->must_ring;
    pool->must_ring = false;
    if (is_last)
        pool->has_helper = false;
    hk_lock_release(&pool->lock);
    if (must_ring)
        hki_bell_ring(&pool->desk->courier);
    is_any = ended.count > 0;
    if (is_any)
        hki_ended_jobs_tell(pool, &ended);
    return is_any;
}

static void sleep_on_bell(const struct help *help)
{
    struct hki_bell *bell = &help->pool->desk->waiter;

    hki_bell_arm(bell);
    if (look(help, false) || hki_future_is_done(&help->job->future))
        hki_bell_disarm(bell);
    else
        hki_bell_sleep(bell, help->until_ns);
}

void hki_pool_help(hk_executor *executor, const struct hki_job *job)
{
    struct help help = {
        .pool = (struct hki_process_pool *)(void *)executor,
        .job = job,
    };
    int64_t now_ns = 0;

    if (hki_is_worker() || !begin(&help))
        return;
    while (now_ns < help.until_ns && !hki_future_is_done(&job->future)) {
        if (look(&help, false))
            continue;
        now_ns = hki_os_now_ns();
        if (now_ns < help.look_until_ns)
            hki_spin_pause(0);
        else if (help.attends)
            sleep_on_bell(&help);
    }
    if (help.attends) /* what came before the workers see this is for the last look */
        __atomic_exchange_n(&help.pool->desk->is_attended, 0, __ATOMIC_SEQ_CST);
    (void)look(&help, true);
}
