/* SPDX-License-Identifier: MIT */
/*
 * Jobs as tasks, and the executor that does no more. A job is a task of the submitter's
 * scope: the run queue is its queue, the scope's join waits for it, the scope's cancel
 * reaches it, and on one worker no lock is taken. Only a job of no scope makes a way:
 * it is spawned on the loop of the background runtime.
 */
#include "exec/task_job.h"

#include "base/annotate.h"
#include "base/assert.h"
#include "base/list.h"

static void cancel_dealt_with(struct hki_task_cancel *request)
{
    struct hki_job *job = hki_container_of(request, struct hki_job, cancel_of_task);

    hk_future_free(&job->future);
}

/* Both a cancel and a kill lead here, one after the other: once is enough. */
int hki_task_job_cancel(hk_executor *executor, struct hki_job *job, hk_cancel_how how)
{
    hk_task_id id = {0};

    (void)executor;
    if (how != HK_CANCEL_QUEUED && hki_job_runner(job))
        id.value = __atomic_load_n(&job->task, __ATOMIC_RELAXED);
    if (!id.value || __atomic_exchange_n(&job->is_task_cancelled, 1, __ATOMIC_ACQ_REL))
        return 0;
    (void)hk_future_ref(&job->future);
    job->cancel_of_task.dealt_with = cancel_dealt_with;
    hki_task_cancel_by(id, &job->cancel_of_task);
    return 0;
}

static void arrive(hk_inbox_node *node, struct hki_worker *worker)
{
    struct hki_job *job = hki_container_of(node, struct hki_job, message);
    int rc;

    (void)worker;
    HKI_HB_ACQUIRE(job);
    rc = hki_spawn(NULL, job->work.name, hki_task_job_run, job);
    if (rc < 0)
        hki_job_done(job, rc, NULL, 0);
}

uint64_t hki_tasks_max = UINT64_C(1) << 21;

static uint64_t read_counter(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* Counted at submit, and at the end. */
static bool has_room(const struct hki_job_counts *counts)
{
    uint64_t ended = read_counter(&counts->done) + read_counter(&counts->failed) +
                     read_counter(&counts->cancelled);

    return read_counter(&counts->submitted) - ended <= hki_tasks_max;
}

static int submit(hk_executor *executor, struct hki_job *job, enum hki_submit_how how)
{
    struct hki_worker *worker;
    int rc;

    if (HKI_UNLIKELY(how != HKI_SUBMIT_BEYOND && !has_room(&executor->counts)))
        return -EAGAIN;
    if (job->work.scope)
        return hki_spawn(job->work.scope, job->work.name, hki_task_job_run, job);
    rc = hki_background_worker(&worker);
    if (rc == 0)
        hki_job_post(job, worker, arrive);
    return rc;
}

static const struct hki_executor_ops tasks_ops = {
    .kind = "tasks",
    .has_tasks = true,
    .submit = submit,
    .cancel = hki_task_job_cancel,
};

hk_executor *hk_tasks(void)
{
    static hk_executor tasks = {.ops = &tasks_ops, .name = "tasks"};

    return &tasks;
}
