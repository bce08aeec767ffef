/* SPDX-License-Identifier: MIT */
/*
 * Futures: a result that will be there later.
 *
 *     hk_future *f = do_math_on(hk_threads(), 0, 100);    (see <hocket/fn.h>)
 *     double sum;
 *     int rc = do_math_await(f, &sum);
 *     hk_future_free(f);
 *
 * A future is set once, with a result or an error, and awaited by any number of tasks
 * of any runtime and of plain threads. It is counted: whoever has one from a call here
 * gives it back with hk_future_free, before or after it is done; giving it back cancels
 * nothing. No call that makes a future returns NULL: when memory is out, it is one that
 * failed with -ENOMEM.
 *
 * States: pending -> done, with a result (rc >= 0) or an error (rc < 0).
 *
 * What went wrong with a job is told by its future alone; it does not fail the scope
 * that the job belongs to. Who starts a job and never looks at its future says that it
 * does not matter.
 *
 * All calls: any task or thread, unless said.
 */
#ifndef HOCKET_FUTURE_H
#define HOCKET_FUTURE_H

#include <hocket/bytes.h>
#include <hocket/select.h>
#include <hocket/sync_stats.h>

HK_BEGIN_DECLS

typedef struct hk_future hk_future;
typedef struct hk_executor hk_executor;
/* Where a job puts its result, see hk_result_set in <hocket/executor.h>. */
typedef struct hk_result hk_result;
struct hki_watch_many;

/* ---- waiting ---- */

/*
 * Waits until `future` is done. `*out` (may be NULL) is its result, which stays valid
 * while the caller has the future. Futures of HK_FN have a typed await of their own.
 *
 * Blocks:  until it is done.
 * Cancel:  -ECANCELED: the caller's own scope was cancelled; future and job go on.
 * Returns: >= 0, what it was set with; -EIDRM (the job was cancelled), -EOWNERDEAD (the
 *          worker process died, see hk_future_error), -ENOMEM, or the job's own error.
 *          -EDEADLK: nothing can ever set it; at once for the future of the job that
 *          calls.
 */
HK_API int hk_future_await(hk_future *future, hk_bytes *out);

/* The same without waiting: -EAGAIN while it is pending (and when it has failed with
 * that, as for want of room: hk_future_is_done tells). Not a cancel point. */
HK_API int hk_future_try(hk_future *future, hk_bytes *out);

HK_API bool hk_future_is_done(const hk_future *future);

/* As a case of hk_select; its result is what an await would return. */
HK_API extern const hk_waitable hk_future_waiting;
#define HK_CASE_FUTURE(future)                                                         \
    {                                                                                  \
        &hk_future_waiting, (future), NULL, 0, 0                                       \
    }

typedef enum hk_wait_until {
    HK_UNTIL_FIRST,  /* one of them is done */
    HK_UNTIL_FAILED, /* one of them has failed, or all are done */
    HK_UNTIL_ALL,    /* all are done */
} hk_wait_until;

/*
 * Waits for several futures. Entries may be the same future.
 *
 * Cancel:  -ECANCELED, as hk_future_await.
 * Returns: how many of them are done (look with hk_future_try which); -EDEADLK;
 *          -ENOMEM (it needs a little memory for each).
 */
HK_API int hk_wait(hk_future *const *futures, size_t count, hk_wait_until until);

/*
 * Goes through futures in the order in which they become done.
 *
 *     hk_completed it;
 *     long i;
 *     hk_as_completed(&it, futures, n);
 *     while ((i = hk_completed_next(&it)) >= 0)
 *         show(futures[i]);
 *     hk_completed_end(&it);
 *
 * In the caller's storage; fields are private. One task or thread uses it at a time.
 */
typedef struct hk_completed {
    struct hki_watch_many *hki_many;
    int hki_error;
    uint32_t hki_unused;
    uint64_t hki_reserved[2];
} hk_completed;

/* The array and its futures must stay until hk_completed_end. Never blocks. Returns 0
 * or -ENOMEM, which the first hk_completed_next returns, too. */
HK_API int hk_as_completed(hk_completed *it, hk_future *const *futures, size_t count);
/*
 * Waits for the next one that is done. Returns its index; -ENOENT: there are no more;
 * -ECANCELED, -EDEADLK: call again, none was lost; -ENOMEM, see above.
 */
HK_API long hk_completed_next(hk_completed *it);
HK_API void hk_completed_end(hk_completed *it);

/* ---- the owner's side ---- */

/* One more reference; returns `future`. */
HK_API hk_future *hk_future_ref(hk_future *future);
/* Gives a reference back. NULL is fine. Never blocks. */
HK_API void hk_future_free(hk_future *future);

/* How much is done to stop a job. Each does what the one before does. */
typedef enum hk_cancel_how {
    HK_CANCEL_QUEUED, /* a job that has not started never will */
    HK_CANCEL,        /* one that runs is cancelled, as hk_task_cancel does */
    HK_KILL,          /* in a worker process: that process is killed */
} hk_cancel_how;

/*
 * Asks for the end of a job, or of a promise: its future is then done with -EIDRM,
 * unless it is done before, or the job runs to its end (HK_CANCEL_QUEUED of one that
 * runs; a job that does not wait; one that has a result when the cancel comes).
 * Never blocks. Returns 0 (asked), -EALREADY (it was done).
 */
HK_API int hk_future_cancel(hk_future *future, hk_cancel_how how);

/* What is known about the failure of a job. */
typedef struct hk_job_error {
    int error;         /* what an await returns; 0: none */
    int signal;        /* that killed the worker process; 0: none */
    int exit_status;   /* with which it exited; -1: it did not, or (with signal 0)
                        * nobody knows, as the program ignores SIGCHLD */
    uint32_t attempts; /* how often the job was started */
    const char *job;   /* its name; lives as long as the program */
    /* The signal was SIGKILL, and the kernel has killed some process for want of memory
     * since the death before (it does not tell which): most likely this one. */
    bool out_of_memory;
    uint64_t reserved[3];
} hk_job_error;

/* Of a shield, and of a gather that failed, that of the future which it is done as.
 * Returns 0, or -EAGAIN while it is pending. */
HK_API int hk_future_error(const hk_future *future, hk_job_error *out);

/* `holders`: 1 while a job runs, in this process, that sets it. `waiters`: awaits,
 * waits for several, and futures that stand on it. `contended`: how many of those there
 * were so far. Any task or thread. */
HK_API void hk_future_stats(const hk_future *future, hk_sync_stats *out_stats);

/* ---- promises: futures that the program sets itself ---- */

/* Pending until one of the next two, or hk_future_cancel. Who calls one of them needs
 * no reference of his own, if the others are kept until it is done. */
HK_API hk_future *hk_future_new(void);

/*
 * Sets it, to a copy of `size` bytes, and with `rc` >= 0 for who awaits it.
 * Returns: 0; -EALREADY (it was set, or cancelled: nothing has changed); -ENOMEM (then
 *          it has failed with that). Never blocks.
 */
HK_API int hk_future_set(hk_future *future, int rc, const void *data, size_t size);
/* Fails it with `error` < 0. -ECANCELED means the same as a cancel. 0 or -EALREADY. */
HK_API int hk_future_fail(hk_future *future, int error);

/* ---- futures of futures ---- */

/*
 * Done when all are (rc 0), or with the first error as soon as one of them fails.
 * Cancelling it cancels all of them. Results are read from the futures themselves,
 * which it references. Such futures may stand on one another some hundred deep, not
 * more: each level is a call for who sets, cancels or frees what is below.
 */
HK_API hk_future *hk_gather(hk_future *const *futures, size_t count);

/* Done as `future` is, with the same result; but a cancel ends at it. */
HK_API hk_future *hk_shield_future(hk_future *future);

/*
 * When `future` is done, runs `fn(future, ctx, result)` as a job of its own on `on`, an
 * executor of this process, which must be there until then; at once if it is done
 * already, never inside this call. The result of `fn` (>= 0 or an error) is that of the
 * future returned; what it gives to hk_result_set may be awaited by the typed await of
 * any function with that result. The job belongs to the caller's scope from now on.
 *
 * Owns: `ctx` is fn's when it is called. A job that ends before it starts (cancelled,
 *       the executor closed, no memory) never calls it; hk_future_error tells by its
 *       attempts, 0 or 1, whose `ctx` is.
 */
typedef int hk_then_fn(hk_future *done, void *ctx, hk_result *result);
HK_API hk_future *hk_then(hk_future *future, hk_executor *on, hk_then_fn *fn,
                          void *ctx);

HK_END_DECLS

#endif
