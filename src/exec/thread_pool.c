/* SPDX-License-Identifier: MIT */
/*
 * Pools of threads. A job is a piece of work (exec/work.h): a task of the thread that
 * finds it, so one that waits leaves its thread to others; and one of the crew of its
 * submitter's scope (core/crew.c), so the scope joins and cancels it.
 *
 * The queue is bounded, but not for jobs of the pool itself: if they waited for room,
 * which only a start makes, they could use up all stacks and none could start.
 */
#include "exec/task_job.h"

#include "base/alloc.h"
#include "base/list.h"
#include "sys/os.h"
#include "sys/os_thread.h"

enum { QUEUE_MAX = 65536 };

#define IDLE_NS (5 * HK_SECOND)

struct pool {
    hk_executor head; /* first */
    hk_thread_pool_options options;
    struct hki_work_pool *work;  /* atomic; of the pool that is always there: NULL
                                 * until it is used */
    struct hki_runtime *runtime; /* of that; likewise */
    uint32_t is_terminated;      /* atomic: what has not started never will */
};

static struct pool *pool_of(hk_executor *executor)
{
    return (struct pool *)(void *)executor;
}

/* ---- jobs ---- */

static void run(struct hki_work *work)
{
    struct hki_job *job = hki_container_of(work, struct hki_job, work);
    struct pool *pool = pool_of(job->executor);

    if (HKI_UNLIKELY(__atomic_load_n(&pool->is_terminated, __ATOMIC_SEQ_CST)))
        hki_job_done(job, -ECANCELED, NULL, 0);
    else
        (void)hki_task_job_run(job);
}

static int submit(hk_executor *executor, struct hki_job *job, enum hki_submit_how how)
{
    struct pool *pool = pool_of(executor);
    hk_scope *scope = job->work.scope;
    int rc = 0;

    job->work.run = run;
    job->work.is_counted = true;
    if (scope)
        rc = hki_crew_enter(scope, pool->runtime);
    if (rc < 0)
        return rc;
    rc = hki_work_submit(pool->work, &job->work, job->priority, how);
    if (HKI_UNLIKELY(rc < 0) && scope)
        hki_crew_leave(scope, pool->runtime, 1);
    return rc;
}

/* ---- the end ---- */

static void close_pool(hk_executor *executor)
{
    hki_work_close(pool_of(executor)->work);
}

static int join(hk_executor *executor)
{
    return hki_work_join(pool_of(executor)->work);
}

static void terminate(hk_executor *executor)
{
    struct pool *pool = pool_of(executor);

    /* First: a job that does not see it is seen as a task. */
    __atomic_store_n(&pool->is_terminated, 1, __ATOMIC_SEQ_CST);
    hki_workers_cancel(pool->runtime);
}

static void fini(hk_executor *executor)
{
    struct pool *pool = pool_of(executor);

    if (hki_work_pool_free(pool->work))
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
    .counts_submits = true,
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
        .threads_max =
            options->threads_max ? options->threads_max : HKI_WORK_THREADS_MAX,
        .threads_min = options->threads_min,
        .idle_ns = IDLE_NS,
        .queue_max = options->queue_max ? options->queue_max : QUEUE_MAX,
        .executor = &pool->head,
    };
    struct hki_work_pool *made;
    int rc;

    if (!work.threads)
        work.threads =
            processors < HKI_WORK_THREADS_MAX ? processors : HKI_WORK_THREADS_MAX;
    if (!work.threads_min)
        work.threads_min = work.threads;
    if (work.threads > work.threads_max || work.threads_max > HKI_WORK_THREADS_MAX ||
        work.threads_min > work.threads)
        return -EINVAL;
    rc = hki_work_pool_new(&work, &made);
    if (rc < 0)
        return rc;
    pool->runtime = hki_work_runtime(made);
    __atomic_store_n(&pool->work, made, __ATOMIC_RELEASE);
    return 0;
}

int hk_thread_pool_new(const hk_thread_pool_options *options, hk_executor **out)
{
    struct pool *pool = hki_alloc(sizeof(*pool));
    int rc;

    if (!pool)
        return -ENOMEM;
    if (options)
        pool->options = *options;
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
    .counts_submits = true,
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
