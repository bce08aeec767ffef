/* SPDX-License-Identifier: MIT */
/*
 * Pools of threads. A job is a piece of work (exec/work.h): a task of the thread that
 * finds it, so one that waits leaves its thread to others; and one of the crew of its
 * submitter's scope (core/crew.c), so the scope joins and cancels it.
 *
 * The queue is bounded, but not for jobs of the pool itself: if they waited for room,
 * which only a start makes, they could use up all stacks and none could start.
 *
 * A pool that can be closed counts its jobs, before it looks whether it is closed: so a
 * join, which closes first, knows of every job that found it open.
 */
#include "exec/task_job.h"

#include "base/alloc.h"
#include "base/list.h"
#include "sys/os.h"
#include "sys/os_thread.h"

enum {
    THREADS_MAX = 256, /* as many workers as a runtime can have */
    QUEUE_MAX = 65536,
};

struct pool {
    hk_executor head; /* first */
    hk_thread_pool_options options;
    struct hki_work_pool *work; /* atomic; of the pool that is always there: NULL
                                 * until it is used */
    bool can_end;  /* it is not the one that is always there: jobs are counted */
    uint64_t jobs; /* atomic: submitted and not ended */
    hk_lock lock;  /* guards the next one */
    hk_waiter_queue joiners; /* wait for the jobs to be 0 */
};

static struct pool *pool_of(hk_executor *executor)
{
    return (struct pool *)(void *)executor;
}

/* ---- counting: for join ---- */

static void wake_joiners(struct pool *pool)
{
    hk_waiter *w;

    hk_lock_acquire(&pool->lock);
    while ((w = hk_waiter_pop(&pool->joiners)))
        hk_wake(w, 0);
    hk_lock_release(&pool->lock);
}

static void count_ended(void *ctx, uint64_t jobs)
{
    struct pool *pool = ctx;

    if (__atomic_sub_fetch(&pool->jobs, jobs, __ATOMIC_SEQ_CST) == 0 &&
        __atomic_load_n(&pool->head.is_closed, __ATOMIC_SEQ_CST))
        wake_joiners(pool);
}

static int count_submitted(struct pool *pool)
{
    if (!pool->can_end)
        return 0;
    __atomic_add_fetch(&pool->jobs, 1, __ATOMIC_SEQ_CST);
    if (HKI_LIKELY(!__atomic_load_n(&pool->head.is_closed, __ATOMIC_SEQ_CST)))
        return 0;
    count_ended(pool, 1);
    return -EPIPE;
}

static void forget_submitted(struct pool *pool)
{
    if (pool->can_end)
        count_ended(pool, 1);
}

/* ---- jobs ---- */

static void run(struct hki_work *work)
{
    struct hki_job *job = hki_container_of(work, struct hki_job, work);
    struct pool *pool = pool_of(job->executor);

    if (HKI_UNLIKELY(hki_workers_are_cancelled(hki_work_runtime(pool->work))))
        hki_job_done(job, -ECANCELED, NULL, 0);
    else
        (void)hki_task_job_run(job);
}

static int submit(hk_executor *executor, struct hki_job *job, enum hki_submit_how how)
{
    struct pool *pool = pool_of(executor);
    hk_scope *scope = job->work.scope;
    int rc = count_submitted(pool);

    if (rc < 0)
        return rc;
    job->work.run = run;
    job->work.is_counted = true;
    if (scope)
        rc = hki_crew_enter(scope, hki_work_runtime(pool->work));
    if (rc < 0)
        goto not_entered;
    rc = hki_work_submit(pool->work, &job->work, job->priority, how);
    if (HKI_LIKELY(rc == 0))
        return 0;
    if (scope)
        hki_crew_leave(scope, hki_work_runtime(pool->work), 1);
not_entered:
    forget_submitted(pool);
    return rc;
}

static struct hki_job_counts *counts_here(hk_executor *executor)
{
    const struct pool *pool = pool_of(executor);

    return hki_work_seat_here && hki_work_seat_here->pool == pool->work
               ? &hki_work_seat_here->counts
               : NULL;
}

/* ---- the end ---- */

/* Who submits and who joins look whether it is closed, which it is already. */
static void close_pool(hk_executor *executor)
{
    (void)executor;
}

static const hk_wait_kind join_kind = {.name = "the jobs of a thread pool"};

static hk_verdict abort_join(hk_waiter *w)
{
    struct pool *pool = (struct pool *)w->data;
    bool removed;

    hk_lock_acquire(&pool->lock);
    removed = hk_waiter_remove(&pool->joiners, w);
    hk_lock_release(&pool->lock);
    return removed ? HK_ABORTED : HK_PENDING;
}

static int join(hk_executor *executor)
{
    struct pool *pool = pool_of(executor);
    int rc = hk_cancelled();
    hk_waiter w;

    if (rc < 0)
        return rc;
    hk_lock_acquire(&pool->lock);
    if (__atomic_load_n(&pool->jobs, __ATOMIC_SEQ_CST) == 0) {
        hk_lock_release(&pool->lock);
        return hk_budget();
    }
    hk_waiter_init(&w, &join_kind, pool);
    w.data = pool;
    hk_waiter_push(&pool->joiners, &w);
    hk_lock_release(&pool->lock);
    return hk_park(&w, abort_join);
}

static void terminate(hk_executor *executor)
{
    hki_workers_cancel(hki_work_runtime(pool_of(executor)->work));
}

static void fini(hk_executor *executor)
{
    struct pool *pool = pool_of(executor);

    hki_work_pool_free(pool->work);
    hki_free(pool);
}

static void stats(hk_executor *executor, hk_executor_stats *out)
{
    struct pool *pool = pool_of(executor);
    const struct hki_work_pool *work = __atomic_load_n(&pool->work, __ATOMIC_ACQUIRE);

    if (work)
        out->workers = hki_work_stats(work, out);
}

static const struct hki_executor_ops pool_ops = {
    .kind = "threads",
    .has_tasks = true,
    .counts_here = counts_here,
    .submit = submit,
    .cancel = hki_task_job_cancel,
    .close = close_pool,
    .join = join,
    .terminate = terminate,
    .fini = fini,
    .stats = stats,
};

/* ---- making ---- */

static int start(struct pool *pool)
{
    const hk_thread_pool_options *options = &pool->options;
    uint32_t processors = hki_os_cpu_count();
    struct hki_work_options work = {
        .threads = options->threads,
        .threads_max = THREADS_MAX,
        .queue_max = options->queue_max ? options->queue_max : QUEUE_MAX,
        .ended = pool->can_end ? count_ended : NULL,
        .ctx = pool,
    };

    if (!work.threads)
        work.threads = processors < THREADS_MAX ? processors : THREADS_MAX;
    if (work.threads > THREADS_MAX)
        return -EINVAL;
    return hki_work_pool_new(&work, &pool->work);
}

int hk_thread_pool_new(const hk_thread_pool_options *options, hk_executor **out)
{
    struct pool *pool = hki_alloc(sizeof(*pool));
    int rc;

    if (!pool)
        return -ENOMEM;
    if (options)
        pool->options = *options;
    pool->can_end = true;
    hki_executor_init(&pool->head, &pool_ops,
                      pool->options.name ? pool->options.name : "threads");
    rc = start(pool);
    if (rc < 0)
        hki_free(pool);
    else
        *out = &pool->head;
    return rc;
}

/* ---- the pool that is always there ---- */

static struct pool *the_shared_pool(void);

int hki_work_pool_default(struct hki_work_pool **out)
{
    static hk_lock starting;
    struct pool *pool = the_shared_pool();
    struct hki_work_pool *work = __atomic_load_n(&pool->work, __ATOMIC_ACQUIRE);
    int rc = 0;

    if (HKI_UNLIKELY(!work)) {
        hk_lock_acquire(&starting);
        rc = pool->work ? 0 : start(pool);
        work = pool->work;
        hk_lock_release(&starting);
    }
    if (rc == 0)
        *out = work;
    return rc;
}

static int submit_shared(hk_executor *executor, struct hki_job *job,
                         enum hki_submit_how how)
{
    struct hki_work_pool *work;
    int rc = hki_work_pool_default(&work);

    return rc < 0 ? rc : submit(executor, job, how);
}

static const struct hki_executor_ops shared_ops = {
    .kind = "threads",
    .has_tasks = true,
    .counts_here = counts_here,
    .submit = submit_shared,
    .cancel = hki_task_job_cancel,
    .stats = stats,
};

static struct pool *the_shared_pool(void)
{
    static struct pool shared = {.head = {.ops = &shared_ops, .name = "threads"}};

    return &shared;
}

hk_executor *hk_threads(void)
{
    return &the_shared_pool()->head;
}
