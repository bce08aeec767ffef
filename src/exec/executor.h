/* SPDX-License-Identifier: MIT */
/*
 * The seam between the front (futures, HK_FN, hk_submit) and the executors that run
 * jobs. An executor is a table of functions; a job is one record that holds all about
 * it: its future, its function with arguments, and what the executor keeps.
 *
 * The life of a job, and who holds it:
 *
 *     made       the front has filled it in; it holds two references, one for the
 *                submitter's future, one for the executor, and it is a guest of the
 *                submitter's scope unless ops->has_tasks
 *     submitted  ops->submit returned 0: the executor's. It may be asked to cancel it
 *     started    the executor has called hki_job_start and got true
 *     done       the executor has called hki_job_done, exactly once, from any thread:
 *                that leaves the scope and drops the executor's reference, so the
 *                record is not to be touched afterwards
 *
 * A cancel never ends a job by itself: ops->cancel notes it and wakes who does. That is
 * what lets it be called with the lock of a scope held.
 */
#ifndef HKI_EXEC_EXECUTOR_H
#define HKI_EXEC_EXECUTOR_H

#include "core/workers.h"
#include "exec/future.h"

#include <hocket/executor.h>
#include <hocket/fn.h>

struct hki_job;

/* Where a job is; changes by compare-and-swap only. */
enum hki_job_phase {
    HKI_JOB_QUEUED,  /* not started: a cancel ends it */
    HKI_JOB_STARTED, /* runs, or its result is on its way */
    HKI_JOB_DROPPED, /* cancelled before its start: it never runs */
};

/* How a worker process ended; for hk_job_error. */
struct hki_job_death {
    int signal;      /* that killed it; 0: none */
    int exit_status; /* valid without signal */
    bool died;       /* the worker did, while it had this job */
};

struct hki_job {
    hk_future future; /* first: an hk_future of a job is its job */

    /* ---- what to run: set by the front, immutable ---- */
    const hk_fn *fn;  /* of HK_FN; NULL: */
    hk_job_fn *plain; /* of hk_submit */
    const char *name; /* for dumps; never NULL, lives as long as the program */
    hk_executor *executor;
    unsigned char *image; /* the packed arguments (exec/pack.h): this job's, in place */
    size_t image_size;
    uint32_t item_count; /* of a chunk of a map, packed one after the other; else 0 */

    /* ---- who it is: the same on every machine that may ever see it ---- */
    uint64_t id;                  /* unique in this process */
    char key[HK_JOB_KEY_MAX + 1]; /* idempotency key; "": none was given */
    int32_t priority;             /* higher ones first */
    uint32_t attempt;             /* 1: the first; the executor counts */
    uint32_t attempts_max;        /* > 1: it is idempotent, and may be retried */
    bool is_detached;             /* belongs to no scope */

    /* ---- its state ---- */
    uint32_t phase;             /* atomic: hki_job_phase */
    uint32_t cancelled;         /* atomic: 1 + hk_cancel_how that was asked for */
    struct hki_guest guest;     /* of its scope, unless ops->has_tasks */
    struct hki_job_death death; /* valid once done */

    /* ---- the executor's own, zero at submit ---- */
    struct hki_job *next; /* in its queue */
    void *own[4];
    hk_inbox_node message;
};

struct hki_executor_ops {
    const char *kind; /* "tasks", "threads", "processes" */
    /* Arguments cross to another process: only functions of HK_FN and plain ones. */
    bool crosses;
    /* Jobs are tasks that it spawns into the submitter's scope: no guest is needed. */
    bool has_tasks;

    /*
     * Takes the job: 0; or an error, then the job is still the front's. May wait for
     * room in its queue unless `nowait`, then -EAGAIN. -ECANCELED: the caller was
     * cancelled meanwhile. -EPIPE: it is closed.
     */
    int (*submit)(hk_executor *executor, struct hki_job *job, bool nowait);
    /*
     * job->cancelled was set, or raised. The job may be done at any moment, but its
     * record stays during the call. May be called with a scope's lock held: must
     * neither wait, nor call hki_job_done, nor touch a scope.
     */
    void (*cancel)(hk_executor *executor, struct hki_job *job, hk_cancel_how how);

    void (*close)(hk_executor *executor);     /* no submits from now on */
    int (*join)(hk_executor *executor);       /* waits until all jobs have ended */
    void (*terminate)(hk_executor *executor); /* cancels, or kills, all of them */
    void (*fini)(hk_executor *executor); /* closed and joined: frees what is its own */
    void (*stats)(hk_executor *executor, hk_executor_stats *out); /* adds its own */
};

/* The head of every executor. */
struct hk_executor {
    const struct hki_executor_ops *ops; /* NULL: an hk_executor_view */
    const char *name;
    uint32_t is_closed; /* atomic */
    /* For hk_executor_stats; atomic. */
    uint64_t submitted, done, failed, cancelled;
};

/* ---- for executors ---- */

/* True: the job is the caller's to run. False: it was cancelled before; the caller ends
 * it with hki_job_done(job, -ECANCELED, NULL, 0). */
bool hki_job_start(struct hki_job *job);

/*
 * Runs it, here: fills *out, returns its error or >= 0. In a worker process, on what
 * hki_job_fields of the record say there.
 */
int hki_job_call(const hk_fn *fn, hk_job_fn *plain, unsigned char *image,
                 size_t image_size, uint32_t item_count, hk_result *out);

/*
 * The job has ended: with `rc` >= 0 and a copy of its result, or with an error. A
 * -ECANCELED is told as -EIDRM to who awaits it. Never blocks. Any thread, no lock
 * held; at most once for each job that was submitted.
 */
void hki_job_done(struct hki_job *job, int rc, const void *result, size_t size);

/* The same, with a result that stays where it is: `release(data, size, ctx)` is called
 * when the last reference to the future goes. */
typedef void hki_release_fn(void *data, size_t size, void *ctx);
void hki_job_done_in_place(struct hki_job *job, void *data, size_t size,
                           hki_release_fn *release, void *ctx);

/* For a job that was cancelled in the queue: ends it soon, on another thread. May be
 * called with a scope's lock held. */
void hki_job_drop_later(struct hki_job *job);

void hki_executor_init(hk_executor *executor, const struct hki_executor_ops *ops,
                       const char *name);

#endif
