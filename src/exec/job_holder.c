/* SPDX-License-Identifier: MIT */
/*
 * What those who have the future of a job can do with the job, which may be anywhere
 * and end at any moment: help it, cancel it, and ask why it failed.
 */
#include "exec/executor.h"

#include "base/annotate.h"
#include "base/list.h"
#include "base/spin.h"

#include <hocket/run.h>

/* ---- its executor ---- */

/* How many are about to look whether a job is done. Who frees an executor has seen all
 * its jobs done, then looks here: so either he waits, or they see that, too. */
static uint32_t entering; /* atomic */

hk_executor *hki_job_hold_executor(const struct hki_job *job)
{
    hk_executor *executor = NULL;

    __atomic_add_fetch(&entering, 1, __ATOMIC_SEQ_CST);
    if (!(__atomic_load_n(&job->future.state, __ATOMIC_SEQ_CST) & HKI_FUTURE_DONE)) {
        executor = __atomic_load_n(&job->executor, __ATOMIC_SEQ_CST);
        __atomic_add_fetch(&executor->held, 1, __ATOMIC_SEQ_CST);
    }
    __atomic_sub_fetch(&entering, 1, __ATOMIC_SEQ_CST);
    return executor;
}

void hki_executor_unhold(hk_executor *executor)
{
    __atomic_sub_fetch(&executor->held, 1, __ATOMIC_SEQ_CST); /* it may go now */
}

static void await_zero(const uint32_t *count)
{
    for (unsigned turn = 0; __atomic_load_n(count, __ATOMIC_SEQ_CST) != 0; turn++)
        hki_spin_pause(turn);
}

void hki_executor_await_holders(const hk_executor *executor)
{
    await_zero(&entering);
    await_zero(&executor->held);
}

void hki_job_help(hk_future *future)
{
    const struct hki_job *job = hki_future_job(future);
    hk_executor *executor;

    if (!job || !job->is_whole || hk_worker_count() > 0)
        return; /* a loop has better things to do, and threads need no help */
    executor = hki_job_hold_executor(job);
    if (!executor)
        return;
    if (executor->ops->help)
        executor->ops->help(executor, job);
    hki_executor_unhold(executor);
}

/* ---- cancelling ---- */

/* False: as much had been asked before. */
static bool raise_cancel(struct hki_job *job, uint32_t wanted)
{
    uint32_t was = __atomic_load_n(&job->cancelled, __ATOMIC_RELAXED);

    do {
        if (was >= wanted)
            return false;
    } while (!__atomic_compare_exchange_n(&job->cancelled, &was, wanted, false,
                                          __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
    return true;
}

static int cancel_where_it_is(struct hki_job *job, hk_cancel_how how)
{
    hk_executor *executor = hki_job_hold_executor(job);
    int rc;

    if (!executor)
        return -EALREADY;
    (void)hki_job_leave_queue(job, HKI_JOB_DROPPED);
    rc = executor->ops->cancel(executor, job, how);
    hki_executor_unhold(executor);
    return rc;
}

/* First the mark, then a look where it is: pairs with hki_job_arrived. */
int hki_job_cancel(struct hki_job *job, hk_cancel_how how)
{
    if (raise_cancel(job, 1 + (uint32_t)how))
        return cancel_where_it_is(job, how);
    return hki_future_is_done(&job->future) ? -EALREADY : 0;
}

void hki_job_arrived(struct hki_job *job)
{
    uint32_t cancelled = __atomic_load_n(&job->cancelled, __ATOMIC_SEQ_CST);

    if (HKI_UNLIKELY(cancelled))
        (void)cancel_where_it_is(job, (hk_cancel_how)(cancelled - 1));
}

static void drop(hk_inbox_node *node, struct hki_worker *worker)
{
    struct hki_job *job = hki_container_of(node, struct hki_job, message);

    (void)worker;
    HKI_HB_ACQUIRE(job);
    hki_job_done(job, -ECANCELED, NULL, 0);
}

void hki_job_post(struct hki_job *job, struct hki_worker *worker,
                  void (*run)(hk_inbox_node *node, struct hki_worker *worker))
{
    job->message.hki_run = run;
    HKI_HB_RELEASE(job);
    hki_worker_post(worker, &job->message);
}

int hki_job_drop_later(struct hki_job *job)
{
    struct hki_worker *worker;
    int rc = hki_worker_here(&worker);

    if (rc == 0)
        hki_job_post(job, worker, drop);
    return rc;
}

/* ---- what is known of a failure ---- */

int hk_future_error(const hk_future *future, hk_job_error *out)
{
    const struct hki_job *job;

    if (!hki_future_is_done(future))
        return -EAGAIN;
    HKI_HB_ACQUIRE(future);
    future = hki_future_origin(future);
    job = hki_future_job(future);
    *out = (hk_job_error){.error = future->rc < 0 ? future->rc : 0,
                          .exit_status = -1,
                          .job = future->kind->name};
    if (!job)
        return 0;
    out->attempts = job->attempt;
    out->job = job->work.name;
    if (job->is_whole && job->death.died) {
        out->signal = job->death.signal;
        out->out_of_memory = job->death.for_memory;
        out->exit_status = job->death.signal ? -1 : job->death.exit_status;
    }
    return 0;
}
