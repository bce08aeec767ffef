/* SPDX-License-Identifier: MIT */
/*
 * The executors that run jobs as tasks. A job is a task of the submitter's scope, no
 * more: the run queue is its queue, the scope's join waits for it, and the scope's
 * cancel reaches it.
 *
 * hk_tasks() spawns where the caller is, so on one worker no lock is taken. Only a job
 * of no scope makes a way: it is spawned on the loop of the background runtime.
 *
 * hk_threads() spawns into a runtime of its own, with a worker for each processor. Its
 * tasks are children of the submitter's scope all the same, wherever that is.
 *
 * job->own[0] is the id of the task that runs the job, an hk_task_id; 0 before. Before
 * it starts a job needs no cancel: it finds out itself that it was dropped.
 */
#include "exec/executor.h"

#include "base/annotate.h"
#include "base/assert.h"
#include "base/list.h"
#include "sys/os.h"

static uint64_t *task_of(struct hki_job *job)
{
    return (uint64_t *)(void *)&job->own[0];
}

static int run(void *arg)
{
    struct hki_job *job = arg;

    /* Before the start: who comes too late to drop it finds the id. */
    __atomic_store_n(task_of(job), hk_task_self().value, __ATOMIC_RELEASE);
    if (hk_cancelled() < 0 || !hki_job_start(job))
        hki_job_done(job, -ECANCELED, NULL, 0);
    else
        hki_job_run(job);
    return 0;
}

static int cancel(hk_executor *executor, struct hki_job *job, hk_cancel_how how)
{
    hk_task_id id = {__atomic_load_n(task_of(job), __ATOMIC_ACQUIRE)};

    (void)executor;
    if (how == HK_CANCEL_QUEUED || !id.value)
        return 0;
    return hk_task_cancel(id) == -ENOMEM ? -ENOMEM : 0;
}

/* ---- this runtime's ---- */

static void arrive(hk_inbox_node *node, struct hki_worker *worker)
{
    struct hki_job *job = hki_container_of(node, struct hki_job, message);
    int rc;

    (void)worker;
    HKI_HB_ACQUIRE(job);
    rc = hki_spawn(NULL, job->name, run, job);
    if (rc < 0)
        hki_job_done(job, rc, NULL, 0);
}

static int submit(hk_executor *executor, struct hki_job *job, enum hki_submit_how how)
{
    struct hki_worker *worker;
    int rc;

    (void)executor;
    (void)how; /* there is no bound */
    if (job->scope)
        return hki_spawn(job->scope, job->name, run, job);
    rc = hki_background_worker(&worker);
    if (rc == 0)
        hki_job_post(job, worker, arrive);
    return rc;
}

static const struct hki_executor_ops tasks_ops = {
    .kind = "tasks",
    .has_tasks = true,
    .submit = submit,
    .cancel = cancel,
};

hk_executor *hk_tasks(void)
{
    static hk_executor tasks = {.ops = &tasks_ops, .name = "tasks"};

    return &tasks;
}

/* ---- threads ---- */

static struct hki_runtime *pool; /* atomic; NULL until first used */

enum { THREADS_MAX = 256 }; /* as many workers as a runtime can have */

static uint32_t thread_count(void)
{
    uint32_t processors = hki_os_processor_count();

    return processors < THREADS_MAX ? processors : THREADS_MAX;
}

static int start_pool(struct hki_runtime **out)
{
    static hk_lock lock;
    int rc = 0;

    *out = __atomic_load_n(&pool, __ATOMIC_ACQUIRE);
    if (*out)
        return 0;
    hk_lock_acquire(&lock);
    if (!pool)
        rc = hki_workers_start(thread_count(), &pool);
    *out = pool;
    hk_lock_release(&lock);
    return rc;
}

static int submit_to_threads(hk_executor *executor, struct hki_job *job,
                             enum hki_submit_how how)
{
    struct hki_runtime *runtime;
    int rc = start_pool(&runtime);

    (void)executor;
    (void)how; /* there is no bound */
    return rc < 0 ? rc : hki_spawn_in(runtime, job->scope, job->name, run, job);
}

static void count_threads(hk_executor *executor, hk_executor_stats *out)
{
    (void)executor;
    if (__atomic_load_n(&pool, __ATOMIC_RELAXED))
        out->workers = thread_count();
}

static const struct hki_executor_ops threads_ops = {
    .kind = "threads",
    .has_tasks = true,
    .submit = submit_to_threads,
    .cancel = cancel,
    .stats = count_threads,
};

hk_executor *hk_threads(void)
{
    static hk_executor threads = {.ops = &threads_ops, .name = "threads"};

    return &threads;
}
