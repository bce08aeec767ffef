/* SPDX-License-Identifier: MIT */
/*
 * The executor that runs jobs as tasks. A job is a task of the submitter's scope, no
 * more: the run queue is its queue, the scope's join waits for it, the scope's cancel
 * reaches it, and on one worker no lock is taken. Only a job of no scope makes a way:
 * it is spawned on the loop of the background runtime.
 *
 * job->own[0] is the id of its task, an hk_task_id; 0 until it has one.
 */
#include "exec/executor.h"

#include "base/annotate.h"
#include "base/assert.h"
#include "base/list.h"

static int run(void *arg)
{
    struct hki_job *job = arg;

    if (hk_cancelled() < 0 || !hki_job_start(job))
        hki_job_done(job, -ECANCELED, NULL, 0);
    else
        hki_job_run(job);
    return 0;
}

static uint64_t *task_of(struct hki_job *job)
{
    return (uint64_t *)(void *)&job->own[0];
}

/* The job may have ended when its task's id is known; a reference of its future, that
 * the caller has, keeps the record. */
static int spawn(struct hki_job *job)
{
    hk_task_id id;
    int rc = hki_spawn(job->scope, job->name, run, job, &id);

    if (rc < 0)
        return rc;
    __atomic_store_n(task_of(job), id.value, __ATOMIC_SEQ_CST);
    /* Who has asked meanwhile found no id: pairs with cancel. */
    if (__atomic_load_n(&job->cancelled, __ATOMIC_SEQ_CST) > 1 + HK_CANCEL_QUEUED)
        (void)hk_task_cancel(id);
    return 0;
}

static void arrive(hk_inbox_node *node, struct hki_worker *worker)
{
    struct hki_job *job = hki_container_of(node, struct hki_job, message);
    int rc;

    (void)worker;
    HKI_HB_ACQUIRE(job);
    hk_future_ref(&job->future);
    rc = spawn(job);
    if (rc < 0)
        hki_job_done(job, rc, NULL, 0);
    hk_future_free(&job->future);
}

static int submit(hk_executor *executor, struct hki_job *job, enum hki_submit_how how)
{
    struct hki_worker *worker;
    int rc;

    (void)executor;
    (void)how; /* there is no bound */
    if (job->scope)
        return spawn(job);
    rc = hki_background_worker(&worker);
    if (rc == 0)
        hki_job_post(job, worker, arrive);
    return rc;
}

static int cancel(hk_executor *executor, struct hki_job *job, hk_cancel_how how)
{
    hk_task_id id = {__atomic_load_n(task_of(job), __ATOMIC_SEQ_CST)};

    (void)executor;
    if (how == HK_CANCEL_QUEUED || !id.value)
        return 0;
    return hk_task_cancel(id) == -ENOMEM ? -ENOMEM : 0;
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
