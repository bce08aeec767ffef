/* SPDX-License-Identifier: MIT */
/*
 * Executors: where jobs run. The code that starts a job and waits for it is the same
 * for all of them.
 *
 *     hk_tasks()       coroutines on this program's workers: for what waits
 *     hk_threads()     a pool of threads: for what computes
 *     hk_processes()   worker processes: for what may crash
 *
 * A job belongs to the innermost scope around who starts it. The scope's join waits
 * for it, and a cancel of the scope reaches it: a queued job never runs, a running one
 * is cancelled as a task is. Its error stays in its future and does not fail the scope.
 * A plain thread without an open scope starts jobs of the background scope, which is
 * joined at exit. In a cancelled scope nothing is started: the future is done with
 * -EIDRM.
 */
#ifndef HOCKET_EXECUTOR_H
#define HOCKET_EXECUTOR_H

#include <hocket/future.h>

HK_BEGIN_DECLS

/*
 * Coroutines. Inside hk_run, tasks of that runtime, spawned as hk_spawn does: on the
 * caller's worker, unless the scope is parallel. On a plain thread, of the background
 * runtime, which is started at need. There is no queue to wait for room in: beyond
 * 2,097,152 jobs that have not ended (about 1 GB) one fails with -EAGAIN. What may be
 * more goes to a pool of tasks, or through a map.
 */
HK_API hk_executor *hk_tasks(void);

/*
 * Threads, one for each processor, started at need; they end with the process. Jobs are
 * tasks there, so one that waits leaves its thread to others, and one may wait for
 * another. What a job shares with others needs a lock.
 */
HK_API hk_executor *hk_threads(void);

/* ---- jobs ---- */

/* The result is a copy of `size` bytes; the last call counts. 0 or -ENOMEM. Only inside
 * the job that `result` was passed to. */
HK_API int hk_result_set(hk_result *result, const void *data, size_t size);

/*
 * What hk_submit runs: a function of the program or of a library that every worker
 * process loads, too. `input` is the job's, aligned to 16 bytes, and may be changed.
 * Returns >= 0, or the job's error.
 */
typedef int hk_job_fn(hk_bytes input, hk_result *result);

/*
 * Starts `fn` with a copy of `size` bytes. HK_FN in <hocket/fn.h> is the same with
 * types.
 *
 * Blocks:  while the executor's queue is full.
 * Cancel:  not started: the future is done with -EIDRM.
 * Returns: its future, never NULL; see <hocket/future.h>.
 */
HK_API hk_future *hk_submit(hk_executor *on, hk_job_fn *fn, const void *data,
                            size_t size);

/* The same, of no scope: it may outlive every scope, and the program must end it (or
 * wait for it) itself; at exit it is waited for. Dumps show it as "detached" while it
 * is a task, and count it with the jobs without a scope wherever it is. */
HK_API hk_future *hk_submit_detached(hk_executor *on, hk_job_fn *fn, const void *data,
                                     size_t size);

/* Bytes of an idempotency key. */
#define HK_JOB_KEY_MAX 39

/* Valid when zeroed: every zero means the default. */
typedef struct hk_job_options {
    /* Of the queued jobs of a pool those with a higher one start first. hk_tasks(),
     * which has no queue, does not look at it. */
    int32_t priority;
    /* Not 0: the job may be started anew, this often in all (at most 3), when the
     * worker that had it died. Only for what may safely happen twice. */
    uint32_t attempts_max;
    /* Names the job for ever: an executor that keeps jobs runs one of this name once.
     * (None of those that are made here does; but the job can: hk_job_self.) Copied. */
    const char *key;
    const char *name; /* for dumps; lives as long as the program */
    bool nowait;      /* a full queue fails the future with -EAGAIN */
    bool detached;    /* as hk_submit_detached */
    uint64_t reserved[4];
} hk_job_options;

/* An executor seen with options, in the caller's storage. */
typedef struct hk_executor_view {
    const void *hki_none;
    hk_executor *hki_on;
    hk_job_options hki_options;
} hk_executor_view;

/*
 * `on`, with these options for every job that is started by the pointer returned, which
 * is valid as long as `view` is:
 *
 *     hk_executor_view view;
 *     hk_executor *urgent = hk_with(&view, hk_threads(), &options);
 *     hk_future *f = do_math_on(urgent, 0, 100);
 */
HK_API hk_executor *hk_with(hk_executor_view *view, hk_executor *on,
                            const hk_job_options *options);

/* Which job it is; for logs, and to name by it what the job writes. */
typedef struct hk_job_identity {
    uint64_t id;           /* of no other job of this run of the program; never 0 */
    uint32_t attempt;      /* 1: the first; more when a worker had the job and died */
    uint32_t attempts_max; /* that it has in all; 1: it is not started anew */
    /* As in its options, else that of its HK_FN, else "job"; lives as long as the
     * program. A worker process does not know the first. */
    const char *name;
    char key[HK_JOB_KEY_MAX + 1]; /* as in its options; "": it has none */
    uint64_t reserved[4];
} hk_job_identity;

/*
 * Which job the caller is: the same on every executor, and in a worker process the same
 * as in the program, at each attempt. That is the call of the job's function, with all
 * that it calls (in a worker process also the first task of an hk_run). What it starts
 * is not the job but tasks and threads of their own, and so may be what it forks and
 * the bodies of its parallel loops: ask before, and pass it on. Of a map several
 * elements may be one job.
 *
 * Blocks:  never.
 * Returns: 0; -ESRCH (the caller is no job); -ENOMEM: a job of tasks or threads without
 *          a key, which gets its id when it asks first.
 * Threads: any task or thread.
 */
HK_API int hk_job_self(hk_job_identity *out);

/* ---- pools ---- */

/* Valid when zeroed: every zero means the default. */
typedef struct hk_task_pool_options {
    uint32_t running_max; /* jobs that run at once; default 100 */
    uint32_t queue_max;   /* jobs that wait for their turn; beyond that a submit waits.
                           * Default 65,536 */
    const char *name;     /* for dumps; lives as long as the pool */
    uint64_t reserved[4];
} hk_task_pool_options;

/*
 * hk_tasks() with bounds: for a hundred downloads at once, and not a million. Jobs of
 * the pool, and tasks inside of them, may start jobs of it and wait for them: those
 * begin at once, beyond both bounds; when 65,536 of them run, more fail with -EAGAIN.
 * `options` may be NULL. Returns 0 or -ENOMEM. Any task or thread.
 */
HK_API int hk_task_pool_new(const hk_task_pool_options *options, hk_executor **out);

/* Valid when zeroed: every zero means the default. */
typedef struct hk_thread_pool_options {
    uint32_t threads;   /* that compute at once; at most 256; default: one for each
                         * processor. They are started when they are needed */
    uint32_t queue_max; /* jobs that wait for a thread; beyond that a submit waits, but
                         * not that of a job of the pool itself. Default 65,536. (Own
                         * jobs fail with -EAGAIN when a million wait for a thread.) */
    const char *name;   /* for dumps; lives as long as the pool */
    /* Threads that stay when there is nothing to do; others end after 5 seconds.
     * Default: `threads`. And how many there may be with those that are blocked;
     * default: 256. */
    uint32_t threads_min, threads_max;
    uint64_t reserved[3];
} hk_thread_pool_options;

/* A pool of threads of one's own. `options` may be NULL. Returns 0; -EINVAL (more than
 * 256 threads, or not threads_min <= threads <= threads_max);
 * -ENOMEM, -EMFILE, -EAGAIN (no thread could be started), -EBADF (in exit handlers). */
HK_API int hk_thread_pool_new(const hk_thread_pool_options *options, hk_executor **out);

/*
 * From here to there the job blocks its thread by something that hocket does not know:
 * a system call, a lock of another library. Its pool meanwhile lets another thread
 * compute, and starts one if it has to. They nest. Between the two no waiting call of
 * hocket: it would leave the thread to others, who then share its place. Elsewhere than
 * in a job of a pool of threads they do nothing. Never block. Any task or thread.
 */
HK_API void hk_blocking_begin(void);
HK_API void hk_blocking_end(void);

/* No job is taken from now on: their futures fail with -EPIPE. Twice is once. The
 * executors that need no making cannot be closed: panic. */
HK_API void hk_executor_close(hk_executor *executor);
/* Closes it, and waits until every job has ended. 0 or -ECANCELED (still closed);
 * -EDEADLK: a job of it waits for itself (in a pool of processes: when nothing else
 * runs); -EBADF: in an exit handler, of jobs that cannot end any more. */
HK_API int hk_executor_join(hk_executor *executor);
/* Closes it, and cancels every job; in worker processes, kills them. Never blocks. */
HK_API void hk_executor_terminate(hk_executor *executor);
/* Joins it, shielded, and frees it; what shall not be waited for is terminated before.
 * NULL is fine. By a job of its own: panic. */
HK_API void hk_executor_free(hk_executor *executor);

/* A snapshot; every number since its start unless said. */
typedef struct hk_executor_stats {
    const char *kind; /* "tasks", "threads", "processes" */
    const char *name;
    uint64_t submitted;
    uint64_t queued;  /* now */
    uint64_t running; /* now */
    uint64_t done;    /* with a result */
    uint64_t failed;
    uint64_t cancelled;
    uint64_t retried;
    uint64_t workers; /* threads or processes, now; 0: those of the runtime */
    uint64_t workers_lost;
    uint64_t reserved[8];
} hk_executor_stats;

HK_API void hk_executor_stats_read(hk_executor *executor, hk_executor_stats *out);

HK_END_DECLS

#endif
