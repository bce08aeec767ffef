/* SPDX-License-Identifier: MIT */
/*
 * Pools of threads. A pool is a runtime of its own, whose tasks are the jobs, and yet
 * children of their submitters' scopes, wherever those are. So a job that waits leaves
 * its thread to others.
 *
 * The queue is bounded by a semaphore: a submit takes a permit, the start of the job
 * gives it back. Jobs of the pool itself submit beyond the bound: if they waited for
 * room, which only a start makes, they could use up all stacks and none could start.
 *
 * job->own[1] tells whether the job has a permit.
 */
#include "exec/task_job.h"
#include "exec/work.h"

#include "base/alloc.h"
#include "base/annotate.h"
#include "sys/os.h"
#include "sys/os_thread.h"

#include <hocket/sem.h>

enum {
    THREADS_MAX = 256, /* as many workers as a runtime can have */
    QUEUE_MAX = 65536,
};

struct pool {
    hk_executor head; /* first */
    hk_thread_pool_options options;
    struct hki_work_pool *work; /* atomic; of the pool that is always there: NULL
                                 * until it is used */
    hk_sem room;
    bool can_end;  /* it is not the one that is always there: jobs are counted */
    hk_lock lock;  /* guards the next two */
    uint64_t jobs; /* submitted and not ended */
    hk_waiter_queue joiners; /* wait for that to be 0 */
};

static struct pool *pool_of(hk_executor *executor)
{
    return (struct pool *)(void *)executor;
}

/* ---- counting: for join ---- */

/* With the lock: so a join after a close knows of all that came before. */
static int one_more(struct pool *pool)
{
    bool is_closed;

    if (!pool->can_end)
        return 0;
    hk_lock_acquire(&pool->lock);
    is_closed = __atomic_load_n(&pool->head.is_closed, __ATOMIC_RELAXED);
    pool->jobs += !is_closed;
    hk_lock_release(&pool->lock);
    return is_closed ? -EPIPE : 0;
}

static void one_less(struct pool *pool)
{
    hk_waiter *w;

    if (!pool->can_end)
        return;
    hk_lock_acquire(&pool->lock);
    if (--pool->jobs == 0)
        while ((w = hk_waiter_pop(&pool->joiners)))
            hk_wake(w, 0);
    hk_lock_release(&pool->lock);
}

/* ---- jobs ---- */

/* The pool outlives its tasks: its end waits for its threads. */
static int run(void *arg)
{
    struct hki_job *job = arg;
    struct pool *pool = pool_of(job->executor);

    if (job->own[1])
        hk_sem_release(&pool->room, 1);
    (void)hki_task_job_run(job);
    one_less(pool);
    return 0;
}

static int take_room(struct pool *pool, struct hki_job *job, enum hki_submit_how how)
{
    int rc = 0;

    if (how == HKI_SUBMIT_BEYOND || hki_work_is_here(pool->work))
        return 0;
    rc = how == HKI_SUBMIT_NOWAIT ? hk_sem_try_acquire(&pool->room)
                                  : hk_sem_acquire(&pool->room);
    if (rc < 0)
        return rc;
    job->own[1] = job;
    return 0;
}

static int spawn(struct pool *pool, struct hki_job *job)
{
    int rc = one_more(pool);

    if (rc < 0)
        return rc;
    rc = hki_spawn_in(hki_work_runtime(pool->work), job->scope, job->name, run, job);
    if (rc < 0)
        one_less(pool);
    else
        hki_work_pushed(pool->work);
    return rc;
}

static int submit(hk_executor *executor, struct hki_job *job, enum hki_submit_how how)
{
    struct pool *pool = pool_of(executor);
    int rc = take_room(pool, job, how);

    if (rc == 0)
        rc = spawn(pool, job);
    if (rc < 0 && job->own[1])
        hk_sem_release(&pool->room, 1);
    return rc;
}

/* ---- the end ---- */

/* Whoever has seen it open is counted now. Who waits for room finds it closed when his
 * turn comes, which it does. */
static void close_pool(hk_executor *executor)
{
    struct pool *pool = pool_of(executor);

    hk_lock_acquire(&pool->lock);
    hk_lock_release(&pool->lock);
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
    if (pool->jobs == 0) {
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

    if (__atomic_load_n(&pool->work, __ATOMIC_ACQUIRE))
        out->workers = pool->options.threads;
}

static const struct hki_executor_ops pool_ops = {
    .kind = "threads",
    .has_tasks = true,
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
    hk_thread_pool_options *options = &pool->options;
    struct hki_work_options work = {0};

    if (!options->threads) {
        uint32_t processors = hki_os_cpu_count();

        options->threads = processors < THREADS_MAX ? processors : THREADS_MAX;
    }
    if (!options->queue_max)
        options->queue_max = QUEUE_MAX;
    if (options->threads > THREADS_MAX)
        return -EINVAL;
    hk_sem_init(&pool->room, options->queue_max);
    work.threads = options->threads;
    work.threads_max = THREADS_MAX;
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

static int submit_shared(hk_executor *executor, struct hki_job *job,
                         enum hki_submit_how how)
{
    static hk_lock starting;
    struct pool *pool = pool_of(executor);
    int rc = 0;

    if (!__atomic_load_n(&pool->work, __ATOMIC_ACQUIRE)) {
        hk_lock_acquire(&starting);
        rc = pool->work ? 0 : start(pool);
        hk_lock_release(&starting);
    }
    return rc < 0 ? rc : submit(executor, job, how);
}

static const struct hki_executor_ops shared_ops = {
    .kind = "threads",
    .has_tasks = true,
    .submit = submit_shared,
    .cancel = hki_task_job_cancel,
    .stats = stats,
};

hk_executor *hk_threads(void)
{
    static struct pool shared = {.head = {.ops = &shared_ops, .name = "threads"}};

    return &shared.head;
}
