/* SPDX-License-Identifier: MIT */
/*
 * The life of a job, on this side of its executor: see exec/executor.h. What those who
 * have its future may do with it meanwhile is in exec/job_holder.c.
 */
#include "exec/executor.h"

#include "base/annotate.h"
#include "base/assert.h"
#include "base/list.h"
#include "exec/job_id.h"
#include "exec/job_memory.h"
#include "exec/pack.h"
#include "exec/task_job.h"

#include <hocket/run.h>

#include <stddef.h>
#include <string.h>

/* What who submits writes, and who runs it reads. */
_Static_assert(offsetof(struct hki_job, future.data) == 128, "two cache lines");

_Static_assert(offsetof(struct hki_job, fini) % HKI_IMAGE_ALIGN == 0 &&
                   sizeof(struct hki_job) % HKI_IMAGE_ALIGN == 0,
               "an image behind the record is aligned as hk_job_fn says");

/* ---- the record ---- */

static size_t size_of_job(bool is_whole, size_t image_size)
{
    return (is_whole ? sizeof(struct hki_job) : offsetof(struct hki_job, fini)) +
           image_size;
}

static void free_record(struct hki_job *job)
{
    size_t size = size_of_job(job->is_whole, job->has_image ? 0 : job->image_size);

    if (HKI_UNLIKELY(job->is_whole && job->fini))
        job->fini(job);
    if (HKI_UNLIKELY(job->has_image && job->image))
        job->image_free(job->image);
    hki_job_memory_give(job, size);
}

static void job_free(hk_future *future)
{
    hki_future_fini(future);
    free_record(hki_future_job(future));
}

static int cancel_future(hk_future *future, hk_cancel_how how)
{
    return hki_job_cancel(hki_future_job(future), how);
}

static size_t holders(const hk_future *future, hk_holder *out, size_t max)
{
    const struct hki_job *job = hki_future_job(future);
    hk_holder runner = hki_job_runner(job);

    if (!runner)
        return 0;
    if (max)
        *out = runner;
    return 1;
}

const struct hki_future_kind hki_job_kind = {
    .name = "of a job",
    .holders = holders,
    .cancel = cancel_future,
    .free = job_free,
    .small = offsetof(struct hki_job, small) - offsetof(struct hki_job, future),
};

/* A task, which it may be by now, is reached by the scope. Without memory for the
 * cancel the job runs to its end, and the join waits for it. */
static void guest_cancelled(struct hki_guest *guest)
{
    struct hki_job *job = hki_container_of(guest, struct hki_job, guest);

    if (!__atomic_load_n(&job->executor, __ATOMIC_SEQ_CST)->ops->has_tasks)
        (void)hki_job_cancel(job, HK_CANCEL);
}

static void take_options(struct hki_job *job, const hk_job_options *options)
{
    if (options->attempts_max > HKI_ATTEMPTS_MAX)
        hki_panic("a job with %u attempts: at most %d", options->attempts_max,
                  HKI_ATTEMPTS_MAX);
    if (options->key) {
        if (strlen(options->key) > HK_JOB_KEY_MAX)
            hki_panic("the key of a job has more than %d bytes", HK_JOB_KEY_MAX);
        strcpy(job->key, options->key);
        job->has_key = job->key[0];
    }
    job->priority = options->priority;
    if (options->attempts_max)
        job->attempts_max = (uint8_t)options->attempts_max;
    job->work.name = options->name;
    job->nowait = options->nowait;
    job->is_detached = options->detached;
}

/* Each by itself: a compiler would zero so many bytes by a loop that takes longer. */
static inline void fill_in(struct hki_job *job, hk_executor *on, size_t image_size)
{
    /* It is set by its executor, and by nobody else. */
    hki_future_begin(&job->future, HKI_FUTURE_SETTING, 2, &hki_job_kind);
    job->work.run = NULL;
    job->work.scope = NULL;
    job->work.name = NULL;
    job->executor = on;
    job->phase = HKI_JOB_QUEUED;
    job->cancelled = 0;
    job->fn = NULL;
    job->plain = NULL;
    job->image_size = image_size;
    job->priority = 0;
    job->attempt = 0;
    job->attempts_max = 1;
    job->is_task_cancelled = 0;
    job->nowait = job->is_detached = job->is_counted = false;
    job->is_whole = job->has_image = job->has_key = false;
}

static void fill_in_rest(struct hki_job *job)
{
    size_t begin = offsetof(struct hki_job, future.data);

    memset((char *)job + begin, 0, sizeof(*job) - begin);
    job->is_whole = true;
    job->id = hki_job_id_new();
    job->guest.cancel = guest_cancelled;
}

/* NULL: the arguments go behind the record. */
static void *executor_image(const hk_executor *on, const hk_job_options *options,
                            size_t size)
{
    return on->ops->image_new && (!options || options->attempts_max <= 1)
               ? on->ops->image_new(size)
               : NULL;
}

static void take_image(struct hki_job *job, void *image)
{
    job->has_image = true;
    job->image = image;
    job->image_free = job->executor->ops->image_free;
}

static struct hki_job *job_new(hk_executor *on, size_t image_size, bool is_whole)
{
    const hk_job_options *options = NULL;
    struct hki_job *job;
    void *image;

    hki_check_executor(on);
    if (image_size > SIZE_MAX / 2)
        return NULL;
    if (!on->ops) {
        const hk_executor_view *view = (const hk_executor_view *)(const void *)on;

        options = &view->hki_options;
        on = view->hki_on;
    }
    is_whole |= !on->ops->has_tasks || (options && options->key);
    image = executor_image(on, options, image_size);
    job = hki_job_memory_take(size_of_job(is_whole, image ? 0 : image_size));
    if (!job) {
        if (image)
            on->ops->image_free(image);
        return NULL;
    }
    fill_in(job, on, image_size);
    if (is_whole)
        fill_in_rest(job);
    if (image)
        take_image(job, image);
    if (options)
        take_options(job, options);
    return job;
}

/* What needs no options and is not whole has a way of its own. */
struct hki_job *hki_job_new(hk_executor *on, size_t image_size)
{
    struct hki_job *job;

    if (HKI_UNLIKELY(!on || !on->ops || !on->ops->has_tasks ||
                     image_size > SIZE_MAX / 2))
        return job_new(on, image_size, false);
    job = hki_job_memory_take(size_of_job(false, image_size));
    if (HKI_LIKELY(job))
        fill_in(job, on, image_size);
    return job;
}

struct hki_job *hki_job_new_whole(hk_executor *on, size_t image_size)
{
    return job_new(on, image_size, true);
}

/* ---- submitting ---- */

enum counted { SUBMITTED, STARTED, DONE, FAILED, CANCELLED, DROPPED };

_Static_assert(sizeof(struct hki_job_counts) == (DROPPED + 1) * sizeof(uint64_t),
               "one counter for each");

/* One more. On a thread of the pool in counters that it alone writes. */
static inline void count(hk_executor *executor, enum counted which)
{
    struct hki_work_seat *seat = hki_work_seat_here;

    if (HKI_LIKELY(seat && seat->executor == executor)) {
        uint64_t *own = (uint64_t *)(void *)&seat->counts + which;

        __atomic_store_n(own, __atomic_load_n(own, __ATOMIC_RELAXED) + 1,
                         __ATOMIC_RELAXED);
    } else {
        __atomic_fetch_add((uint64_t *)(void *)&executor->counts + which, 1,
                           __ATOMIC_RELAXED);
    }
}

/* False: its scope is cancelled. */
bool hki_job_joins_scope(struct hki_job *job)
{
    if (job->work.scope)
        return hki_guest_enter(&job->guest, job->work.scope);
    job->is_counted = true;
    hki_background_job_begins();
    return true;
}

static int submit(struct hki_job *job)
{
    hk_executor *executor = job->executor;
    hk_scope *around;
    bool is_guest;
    int rc = hki_scope_for_job(&around);

    if (HKI_UNLIKELY(rc < 0))
        return rc;
    if (HKI_UNLIKELY(__atomic_load_n(&executor->is_closed, __ATOMIC_ACQUIRE)))
        return -EPIPE;
    job->work.scope = job->is_detached ? NULL : around;
    is_guest = !job->work.scope || !executor->ops->has_tasks;
    if (is_guest && !hki_job_joins_scope(job))
        return -ECANCELED;
    rc = executor->ops->submit(executor, job,
                               job->nowait ? HKI_SUBMIT_NOWAIT : HKI_SUBMIT_WAIT);
    if (is_guest && rc == 0)
        hki_job_arrived(job);
    return rc;
}

void hki_job_counts(struct hki_job *job)
{
    if (!job->executor->ops->counts_submits)
        count(job->executor, SUBMITTED);
}

hk_future *hki_job_submit(struct hki_job *job)
{
    int rc;

    if (!job->work.name)
        job->work.name = job->fn ? job->fn->name : "job";
    if (job->is_whole)
        job->guest.name = job->work.name;
    hki_job_counts(job);
    rc = submit(job);
    if (HKI_UNLIKELY(rc < 0)) {
        if (job->executor->ops->counts_submits)
            count(job->executor, SUBMITTED);
        hki_job_done(job, rc, NULL, 0);
    }
    return &job->future;
}

/* ---- running ---- */

/* True: nobody has its future but its executor, so nobody can wait for it, or cancel
 * it. Only a cancel of a scope can reach a whole job all the same. */
static bool is_forgotten(const struct hki_job *job)
{
    return __atomic_load_n(&job->future.refs, __ATOMIC_ACQUIRE) == 1 && !job->is_whole;
}

bool hki_job_start(struct hki_job *job)
{
    if (is_forgotten(job)) {
        if (HKI_UNLIKELY(job->phase != HKI_JOB_QUEUED))
            return false;
        job->phase = HKI_JOB_STARTED;
    } else if (!hki_job_leave_queue(job, HKI_JOB_STARTED)) {
        return false;
    }
    count(job->executor, STARTED);
    job->attempt++;
    return true;
}

/* ---- the end ---- */

static void count_end(struct hki_job *job, int rc)
{
    hk_executor *executor = job->executor;

    if (__atomic_load_n(&job->phase, __ATOMIC_RELAXED) != HKI_JOB_STARTED)
        count(executor, DROPPED);
    count(executor, rc >= 0 ? DONE : rc == -EIDRM ? CANCELLED : FAILED);
}

/* The result, if there is one, lies in the future already. */
static void finish(struct hki_job *job, int rc)
{
    bool is_counted = job->is_counted;

    if (rc == -ECANCELED)
        rc = -EIDRM;
    count_end(job, rc);
    if (is_forgotten(job)) {
        HKI_HB_ACQUIRE(&job->future.refs);
        job_free(&job->future);
    } else {
        hki_future_finish(&job->future, rc);
        if (job->is_whole)
            hki_guest_leave(&job->guest);
        hk_future_free(&job->future);
    }
    if (is_counted)
        hki_background_job_ends();
}

/* As finish, when nobody can see what has become of it. */
static void forget(struct hki_job *job, int rc)
{
    bool is_counted = job->is_counted;

    count_end(job, rc == -ECANCELED ? -EIDRM : rc);
    HKI_HB_ACQUIRE(&job->future.refs);
    free_record(job);
    if (is_counted)
        hki_background_job_ends();
}

static void check_first(struct hki_job *job)
{
    HKI_ASSERT(!hki_future_is_done(&job->future), "a job is done once");
}

void hki_job_done(struct hki_job *job, int rc, const void *result, size_t size)
{
    check_first(job);
    hki_future_no_result(&job->future);
    if (rc >= 0) {
        int stored = hki_future_store(&job->future, result, size);

        rc = stored < 0 ? stored : rc;
    }
    finish(job, rc);
}

void hki_job_done_in_place(struct hki_job *job, int rc, void *data, size_t size,
                           hki_release_fn *release, void *ctx)
{
    check_first(job);
    if (is_forgotten(job)) {
        if (release)
            release(data, size, ctx);
        forget(job, rc);
        return;
    }
    job->future.data = data;
    job->future.size = size;
    job->future.release = release;
    job->future.release_ctx = ctx;
    finish(job, rc);
}

void hki_job_run(struct hki_job *job)
{
    hk_result result = {.small = job->small};
    int rc;

    rc =
        hki_job_call(job->fn, job->plain, hki_job_image(job), job->image_size, &result);
    hki_job_done_in_place(job, rc, result.data, result.size, result.release, NULL);
}

int hki_task_job_run(void *arg)
{
    struct hki_job *job = arg;

    /* Before the start: who comes too late to drop it finds them. */
    if (!is_forgotten(job)) {
        __atomic_store_n(&job->task, hk_task_self().value, __ATOMIC_RELAXED);
        __atomic_store_n(&job->runner, hki_holder_here(), __ATOMIC_RELAXED);
    }
    if (HKI_UNLIKELY(hk_cancelled() < 0 || !hki_job_start(job)))
        hki_job_done(job, -ECANCELED, NULL, 0);
    else
        hki_job_run(job);
    return 0;
}
