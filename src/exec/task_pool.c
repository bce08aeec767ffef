/* SPDX-License-Identifier: MIT */
/*
 * Pools of tasks: hk_tasks() with bounds. A job is a guest of its submitter's scope;
 * when its turn comes it is posted to the loop where it was submitted, and becomes a
 * task of that scope there, which says at its end that the next may have its turn.
 *
 * A job that a job of the pool submits has no turn and begins at once: if it waited for
 * one, all that have a turn could wait for jobs that have none.
 */
#include "exec/job_queue.h"
#include "exec/task_job.h"
#include "exec/waiters.h"

#include "base/alloc.h"
#include "base/annotate.h"
#include "base/list.h"

#include <errno.h>

enum { RUNNING_MAX = 100, QUEUE_MAX = 65536 };

uint32_t hki_without_turn_max = 65536;

/* job->own */
enum {
    OWN_HOME,   /* the worker on whose loop it begins */
    OWN_LINK,   /* of a running one: where the pointer to it is */
    OWN_QUEUED, /* not NULL: it is in the queue; guarded by the pool's lock */
    OWN_TURN,   /* not NULL: it has a turn */
    OWN_TOLD,   /* not NULL: hk_executor_terminate has cancelled it */
};

struct pool {
    hk_executor head; /* first */
    hk_task_pool_options options;
    hk_inbox_node sweep; /* ends the queued jobs that were cancelled */
    hk_lock lock;        /* guards what follows */
    struct hki_job_queue queue;
    struct hki_job *running; /* linked by next */
    uint32_t turns;          /* that are taken */
    uint32_t without_turn;   /* that run all the same */
    bool is_sweep_posted;    /* counts as a job */
    uint64_t jobs;           /* submitted and not ended */
    struct hki_waiters submitters, joiners;
};

static struct pool *pool_of(hk_executor *executor)
{
    return (struct pool *)(void *)executor;
}

/* ---- with the lock ---- */

static void give_turn(struct pool *pool, struct hki_job *job, bool is_counted)
{
    job->own[OWN_QUEUED] = NULL;
    job->own[OWN_TURN] = is_counted ? job : NULL;
    pool->turns += is_counted;
    pool->without_turn += !is_counted;
    job->next = pool->running;
    if (job->next)
        job->next->own[OWN_LINK] = &job->next;
    job->own[OWN_LINK] = &pool->running;
    pool->running = job;
}

static void take_turn_back(struct pool *pool, struct hki_job *job)
{
    struct hki_job **link = (struct hki_job **)job->own[OWN_LINK];

    *link = job->next;
    if (job->next)
        job->next->own[OWN_LINK] = link;
    if (job->own[OWN_TURN])
        pool->turns--;
    else
        pool->without_turn--;
}

static void wake_submitters(struct pool *pool)
{
    uint64_t room = pool->options.queue_max;

    room = pool->queue.count < room ? room - pool->queue.count : 0;
    hki_waiters_wake(&pool->submitters, room, 0);
}

/* The next one whose turn it is; NULL: none. */
static struct hki_job *next_job(struct pool *pool)
{
    struct hki_job *job = NULL;

    if (pool->turns < pool->options.running_max)
        job = hki_job_queue_pop(&pool->queue);
    if (job) {
        give_turn(pool, job, true);
        wake_submitters(pool);
    }
    return job;
}

static void forget_jobs(struct pool *pool, uint64_t count)
{
    pool->jobs -= count;
    if (pool->jobs == 0)
        hki_waiters_wake_all(&pool->joiners, 0);
}

/* ---- running ---- */

static void begin(hk_inbox_node *node, struct hki_worker *worker);

static void post(struct hki_job *job)
{
    hki_job_post(job, job->own[OWN_HOME], begin);
}

/* Its last access to the pool, unless another job is to begin. */
static void end_job(struct pool *pool, struct hki_job *job)
{
    struct hki_job *next;

    hk_lock_acquire(&pool->lock);
    take_turn_back(pool, job);
    next = next_job(pool);
    forget_jobs(pool, 1);
    hk_lock_release(&pool->lock);
    hk_future_free(&job->future);
    if (next)
        post(next);
}

static int run(void *arg)
{
    struct hki_job *job = arg;
    struct pool *pool = pool_of(job->executor);

    (void)hki_task_job_run(job);
    end_job(pool, job);
    return 0;
}

static void begin(hk_inbox_node *node, struct hki_worker *worker)
{
    struct hki_job *job = hki_container_of(node, struct hki_job, message);
    struct pool *pool;
    int rc;

    (void)worker;
    HKI_HB_ACQUIRE(job);
    pool = pool_of(job->executor);
    (void)hk_future_ref(&job->future); /* until end_job */
    rc = hki_spawn(job->work.scope, job->work.name, run, job);
    if (rc < 0) {
        hki_job_done(job, rc, NULL, 0);
        end_job(pool, job);
    }
}

/* ---- submitting ---- */

static const hk_wait_kind room_kind = {.name = "room in the queue of a pool of tasks"};
static const hk_wait_kind join_kind = {.name = "the jobs of a pool of tasks"};

/* With the lock, which it gives up meanwhile. Who is woken and was cancelled as well
 * leaves the room to the next. */
static int await_room(struct pool *pool)
{
    int rc = hki_waiters_wait(&pool->submitters, &room_kind, pool);

    hk_lock_acquire(&pool->lock);
    return rc;
}

static bool is_ours(const void *arg, const void *pool)
{
    const struct hki_job *job = arg;

    return job->executor == pool;
}

/* With the lock. 1: it begins now; 0: it is in the queue. A job of the pool must not
 * wait for room: it would keep its turn meanwhile. */
static int admit(struct pool *pool, struct hki_job *job, enum hki_submit_how how)
{
    bool is_inside = hki_is_inside(run, is_ours, pool);
    int rc;

    for (;;) {
        bool has_turn =
            pool->queue.count == 0 && pool->turns < pool->options.running_max;

        if (__atomic_load_n(&pool->head.is_closed, __ATOMIC_RELAXED))
            return -EPIPE;
        if (!has_turn && is_inside && pool->without_turn >= hki_without_turn_max)
            return -EAGAIN;
        if (has_turn || is_inside) {
            give_turn(pool, job, has_turn);
            return 1;
        }
        if (how == HKI_SUBMIT_BEYOND || pool->queue.count < pool->options.queue_max)
            break;
        rc = how == HKI_SUBMIT_NOWAIT ? -EAGAIN : await_room(pool);
        if (rc < 0)
            return rc;
    }
    job->own[OWN_QUEUED] = job;
    return hki_job_queue_push(&pool->queue, job, false);
}

static int submit(hk_executor *executor, struct hki_job *job, enum hki_submit_how how)
{
    struct pool *pool = pool_of(executor);
    struct hki_worker *home;
    int rc = job->work.scope ? hki_worker_here(&home) : hki_background_worker(&home);

    if (rc < 0)
        return rc;
    job->own[OWN_HOME] = home;
    hk_lock_acquire(&pool->lock);
    rc = admit(pool, job, how);
    pool->jobs += rc >= 0;
    hk_lock_release(&pool->lock);
    if (rc == 1)
        post(job);
    return rc < 0 ? rc : 0;
}

/* ---- cancelling ---- */

/* `first` and those behind it were cancelled before they had a turn. */
static uint64_t drop_all(struct hki_job *first)
{
    uint64_t count = 0;

    for (struct hki_job *next; first; first = next, count++) {
        next = first->next;
        hki_job_done(first, -ECANCELED, NULL, 0);
    }
    return count;
}

static void sweep(hk_inbox_node *node, struct hki_worker *worker)
{
    struct pool *pool = hki_container_of(node, struct pool, sweep);
    struct hki_job *dropped;
    uint64_t count;

    (void)worker;
    hk_lock_acquire(&pool->lock);
    pool->is_sweep_posted = false;
    dropped = hki_job_queue_take_dropped(&pool->queue);
    for (struct hki_job *job = dropped; job; job = job->next)
        job->own[OWN_QUEUED] = NULL;
    wake_submitters(pool);
    hk_lock_release(&pool->lock);
    count = drop_all(dropped);
    hk_lock_acquire(&pool->lock);
    forget_jobs(pool, count + 1);
    hk_lock_release(&pool->lock);
}

/* One that is queued keeps its scope open, and so its home. */
static int cancel(hk_executor *executor, struct hki_job *job, hk_cancel_how how)
{
    struct pool *pool = pool_of(executor);

    hk_lock_acquire(&pool->lock);
    if (job->own[OWN_QUEUED] && !pool->is_sweep_posted) {
        pool->is_sweep_posted = true;
        pool->jobs++;
        pool->sweep.hki_run = sweep;
        hki_worker_post(job->own[OWN_HOME], &pool->sweep);
    }
    hk_lock_release(&pool->lock);
    return hki_task_job_cancel(executor, job, how);
}

/* ---- the end ---- */

/* Whoever waits for room finds it closed. */
static void close_pool(hk_executor *executor)
{
    struct pool *pool = pool_of(executor);

    hk_lock_acquire(&pool->lock);
    hki_waiters_wake_all(&pool->submitters, -EPIPE);
    hk_lock_release(&pool->lock);
}

static int join(hk_executor *executor)
{
    struct pool *pool = pool_of(executor);

    if (hki_is_inside(run, is_ours, pool))
        return -EDEADLK;
    return hki_waiters_join(&pool->joiners, &pool->jobs, &join_kind, pool);
}

/* One that runs and was not told yet, with a reference; NULL: there is none. */
static struct hki_job *next_to_tell(struct pool *pool)
{
    struct hki_job *job;

    hk_lock_acquire(&pool->lock);
    job = pool->running;
    while (job && job->own[OWN_TOLD])
        job = job->next;
    if (job) {
        job->own[OWN_TOLD] = job;
        (void)hk_future_ref(&job->future);
    }
    hk_lock_release(&pool->lock);
    return job;
}

static void terminate(hk_executor *executor)
{
    struct pool *pool = pool_of(executor);
    struct hki_job *job, *dropped = NULL;
    uint64_t count;

    hk_lock_acquire(&pool->lock);
    while ((job = hki_job_queue_pop(&pool->queue))) {
        job->own[OWN_QUEUED] = NULL;
        job->next = dropped;
        dropped = job;
    }
    pool->jobs++; /* this call */
    hk_lock_release(&pool->lock);
    count = drop_all(dropped);
    while ((job = next_to_tell(pool))) {
        (void)hki_job_cancel(job, HK_CANCEL);
        hk_future_free(&job->future);
    }
    hk_lock_acquire(&pool->lock);
    forget_jobs(pool, count + 1);
    hk_lock_release(&pool->lock);
}

static void fini(hk_executor *executor)
{
    struct pool *pool = pool_of(executor);

    hk_lock_acquire(&pool->lock); /* who has ended the last job is through */
    hk_lock_release(&pool->lock);
    hki_job_queue_fini(&pool->queue);
    hki_free(pool);
}

static const struct hki_executor_ops pool_ops = {
    .kind = "tasks",
    .submit = submit,
    .cancel = cancel,
    .close = close_pool,
    .join = join,
    .terminate = terminate,
    .fini = fini,
};

int hk_task_pool_new(const hk_task_pool_options *options, hk_executor **out)
{
    struct pool *pool = hki_alloc(sizeof(*pool));

    if (!pool)
        return -ENOMEM;
    if (options)
        pool->options = *options;
    if (!pool->options.running_max)
        pool->options.running_max = RUNNING_MAX;
    if (!pool->options.queue_max)
        pool->options.queue_max = QUEUE_MAX;
    pool->submitters.lock = pool->joiners.lock = &pool->lock;
    hki_executor_init(&pool->head, &pool_ops,
                      pool->options.name ? pool->options.name : "tasks");
    *out = &pool->head;
    return 0;
}
