/* SPDX-License-Identifier: MIT */
/*
 * hk_then: a job that is submitted when a future is done. Until then it belongs to an
 * executor of its own, which runs nothing: it waits as a guest of its scope (or as a
 * background job), and whoever ends the wait, the future or a cancel, posts it to the
 * loop of the worker where hk_then was called, or of the background. There it goes on
 * to its executor.
 */
#include "exec/executor.h"

#include "base/annotate.h"
#include "base/assert.h"
#include "base/list.h"

static const struct hki_executor_ops waiting_ops; /* of those that wait */

/* The image of such a job. */
struct then {
    struct hki_observer observer;
    struct hki_job *job;
    hk_executor *on;
    hk_future *future; /* referenced */
    hk_then_fn *fn;
    void *ctx;
    struct hki_worker *home;
    uint32_t posted; /* atomic: the wait is over */
};

static struct then *then_of(struct hki_job *job)
{
    return (struct then *)(void *)hki_job_image(job);
}

static void forget_future(struct then *then)
{
    hk_future_free(then->future);
    then->future = NULL;
}

/* Of one that its executor has not started. */
static void then_fini(struct hki_job *job)
{
    forget_future(then_of(job));
}

/* Forgets the future at once: the end of a chain must not hold, and then free, all that
 * came before it. */
static int call_then(hk_bytes input, hk_result *result)
{
    struct then *then = (struct then *)(uintptr_t)input.data;
    int rc = then->fn(then->future, then->ctx, result);

    forget_future(then);
    return rc;
}

/* It will not be called: as above. */
static void fail(struct hki_job *job, int error)
{
    forget_future(then_of(job));
    hki_job_done(job, error, NULL, 0);
}

/* ---- the wait is over ---- */

/* Whoever sees that the continuation has ended may free its executor, while we are
 * still here: so it is held. */
static int go_on(struct hki_job *job, struct then *then)
{
    hk_executor *on = then->on;
    int rc;

    __atomic_add_fetch(&on->held, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&job->executor, on, __ATOMIC_SEQ_CST);
    hki_job_counts(job);
    rc = on->ops->submit(on, job, HKI_SUBMIT_BEYOND);
    if (rc == 0)
        hki_job_arrived(job);
    hki_executor_unhold(on);
    return rc;
}

static void arrive(hk_inbox_node *node, struct hki_worker *worker)
{
    struct hki_job *job = hki_container_of(node, struct hki_job, message);
    struct then *then;
    int rc = -ECANCELED;

    (void)worker;
    HKI_HB_ACQUIRE(job);
    then = then_of(job);
    hk_future_ref(&job->future);
    (void)hki_future_unobserve(then->future, &then->observer);
    if (__atomic_load_n(&job->phase, __ATOMIC_SEQ_CST) == HKI_JOB_QUEUED)
        rc = go_on(job, then);
    if (rc < 0)
        fail(job, rc);
    hk_future_free(&job->future);
}

static void post(struct then *then)
{
    if (!__atomic_exchange_n(&then->posted, 1, __ATOMIC_ACQ_REL))
        hki_job_post(then->job, then->home, arrive);
}

static void future_is_done(struct hki_observer *observer, hk_future *future)
{
    (void)future;
    post((struct then *)(void *)observer);
}

/* ---- the executor of those that wait ---- */

static int cancel(hk_executor *executor, struct hki_job *job, hk_cancel_how how)
{
    (void)executor;
    (void)how;
    post(then_of(job));
    return 0;
}

static const struct hki_executor_ops waiting_ops = {.kind = "then", .cancel = cancel};
static hk_executor waiting = {.ops = &waiting_ops, .name = "then"};

/* The loop where it goes on must be there for as long as it may wait: the caller's is
 * while the scope is open. */
static int find_home(const struct hki_job *job, struct hki_worker **out)
{
    return job->work.scope ? hki_worker_here(out) : hki_background_worker(out);
}

/* 0: it waits. Once it belongs to its scope it may be cancelled and end, on a loop of
 * another thread: what came too early there to find the observer is done here. */
static int begin(struct hki_job *job, struct then *then, hk_future *future)
{
    int rc = hk_cancelled();

    if (rc < 0)
        return rc;
    job->work.scope = job->is_detached ? NULL : hki_scope_around();
    rc = find_home(job, &then->home);
    if (rc < 0)
        return rc;
    if (!hki_job_joins_scope(job))
        return -ECANCELED;
    if (!hki_future_observe(future, &then->observer))
        post(then);
    else if (__atomic_load_n(&then->posted, __ATOMIC_ACQUIRE))
        (void)hki_future_unobserve(future, &then->observer);
    return 0;
}

hk_future *hk_then(hk_future *future, hk_executor *on, hk_then_fn *fn, void *ctx)
{
    struct hki_job *job = hki_job_new_whole(on, sizeof(struct then));
    struct then *then;
    int rc;

    if (!job)
        return hki_future_no_memory();
    if (HKI_UNLIKELY(job->executor->ops->crosses))
        hki_panic("hk_then on '%s', whose jobs run in other processes",
                  job->executor->name);
    then = then_of(job);
    *then = (struct then){
        .observer.done = future_is_done,
        .job = job,
        .on = job->executor,
        .future = hk_future_ref(future),
        .fn = fn,
        .ctx = ctx,
    };
    job->plain = call_then;
    job->fini = then_fini;
    job->executor = &waiting;
    if (!job->work.name)
        job->work.name = job->guest.name = "then";
    rc = begin(job, then, future);
    if (rc < 0)
        fail(job, rc);
    return &job->future;
}
