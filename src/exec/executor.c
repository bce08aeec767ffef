/* SPDX-License-Identifier: MIT */
/* What all executors have in common: starting jobs, closing, numbers. */
#include "exec/executor.h"

#include "base/assert.h"
#include "exec/pack.h"

#include <errno.h>
#include <string.h>

void hki_executor_init(hk_executor *executor, const struct hki_executor_ops *ops,
                       const char *name)
{
    *executor = (hk_executor){.ops = ops, .name = name};
}

/* The executor itself, for which a view stands. */
static hk_executor *behind(hk_executor *executor)
{
    hki_check_executor(executor);
    return executor->ops ? executor : ((hk_executor_view *)(void *)executor)->hki_on;
}

hk_executor *hk_with(hk_executor_view *view, hk_executor *on,
                     const hk_job_options *options)
{
    *view = (hk_executor_view){.hki_on = behind(on), .hki_options = *options};
    return (hk_executor *)(void *)view;
}

hk_local_executor hk_in_process(hk_executor *executor)
{
    if (behind(executor)->ops->crosses)
        hki_panic("hk_in_process of '%s', whose jobs run in other processes",
                  behind(executor)->name);
    return (hk_local_executor){executor};
}

/* ---- starting ---- */

hk_future *hk_submit(hk_executor *on, hk_job_fn *fn, const void *data, size_t size)
{
    struct hki_job *job;

    if (HKI_UNLIKELY(!fn))
        hki_panic("hk_submit of no function: it is NULL");
    job = hki_job_new(on, size);
    if (!job)
        return hki_future_no_memory();
    job->plain = fn;
    if (size)
        memcpy(hki_job_image(job), data, size);
    return hki_job_submit(job);
}

hk_future *hk_submit_detached(hk_executor *on, hk_job_fn *fn, const void *data,
                              size_t size)
{
    const hk_job_options options = {.detached = true, .name = "detached"};
    hk_executor_view view;

    return hk_submit(hk_with(&view, on, &options), fn, data, size);
}

void hki_check_may_cross(const hk_executor *on, const hk_fn *fn)
{
    const hk_executor *executor;

    if (HKI_LIKELY(!fn->is_local))
        return;
    executor = behind((hk_executor *)(uintptr_t)on);
    if (HKI_UNLIKELY(executor->ops->crosses))
        hki_panic("'%s' takes pointers: it cannot run on '%s', in another process",
                  fn->name, executor->name);
}

hk_future *hk_fn_start(hk_executor *on, const hk_fn *fn, const void *args)
{
    struct hki_job *job;

    hki_check_may_cross(on, fn);
    job = hki_job_new(on, hki_pack_size(fn, args));
    if (!job)
        return hki_future_no_memory();
    job->fn = fn;
    hki_pack(fn, args, hki_job_image(job));
    return hki_job_submit(job);
}

/* ---- closing ---- */

static void check_own(const hk_executor *executor, const char *call)
{
    hki_check_executor(executor);
    if (HKI_UNLIKELY(!executor->ops || !executor->ops->close))
        hki_panic("%s of an executor that is always there", call);
}

void hk_executor_close(hk_executor *executor)
{
    check_own(executor, "hk_executor_close");
    if (!__atomic_exchange_n(&executor->is_closed, 1, __ATOMIC_ACQ_REL))
        executor->ops->close(executor);
}

/* For pools of threads; those of tasks look themselves. */
static bool is_by_own_job(const hk_executor *executor)
{
    return hki_work_seat_here && hki_work_seat_here->executor == executor;
}

int hk_executor_join(hk_executor *executor)
{
    hk_executor_close(executor);
    return is_by_own_job(executor) ? -EDEADLK : executor->ops->join(executor);
}

void hk_executor_terminate(hk_executor *executor)
{
    hk_executor_close(executor);
    executor->ops->terminate(executor);
}

void hk_executor_free(hk_executor *executor)
{
    hk_scope shield;

    if (!executor)
        return;
    hk_scope_open_with(&shield, HK_SCOPE_SHIELDED, "hk_executor_free");
    if (hk_executor_join(executor) == -EDEADLK) /* shielded: never cancelled */
        hki_panic("hk_executor_free of '%s' waits for a job that waits for it",
                  executor->name);
    (void)hk_scope_join(&shield);
    hki_executor_await_holders(executor);
    executor->ops->fini(executor);
}

/* ---- numbers ---- */

static uint64_t read_counter(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* The ends are read first: so that what is left never seems less than nothing. */
void hk_executor_stats_read(hk_executor *executor, hk_executor_stats *out)
{
    uint64_t dropped, ended, started;

    executor = behind(executor);
    dropped = read_counter(&executor->counts.dropped);
    *out = (hk_executor_stats){
        .kind = executor->ops->kind,
        .name = executor->name,
        .done = read_counter(&executor->counts.done),
        .failed = read_counter(&executor->counts.failed),
        .cancelled = read_counter(&executor->counts.cancelled),
    };
    ended = out->done + out->failed + out->cancelled;
    started = read_counter(&executor->counts.started);
    out->submitted = read_counter(&executor->counts.submitted);
    out->running = started + dropped - ended;
    out->queued = out->submitted - started - dropped;
    if (executor->ops->stats)
        executor->ops->stats(executor, out);
}
