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

#include "base/assert.h"
#include "base/list.h"
#include "core/workers.h"
#include "exec/future.h"
#include "exec/work.h"

#include <hocket/executor.h>
#include <hocket/fn.h>

#include <stddef.h>

/* What a job has come to, while it runs. */
struct hk_result {
    unsigned char *small; /* HKI_FUTURE_INLINE bytes for a small one, aligned to 16 */
    void *data;           /* the result: in `small`, or elsewhere */
    size_t size;
    void (*release)(void *data, size_t size, void *ctx); /* NULL: nothing to do */
    /* Memory for a larger one, and its release; NULL: the heap's. Set before. */
    void *(*room)(size_t size);
    void (*room_release)(void *data, size_t size, void *ctx);
};

struct hki_job;

enum { HKI_ATTEMPTS_MAX = 3 }; /* of an idempotent job */

/* Where a job is; changes by compare-and-swap only. */
enum hki_job_phase {
    HKI_JOB_QUEUED,  /* not started: a cancel ends it */
    HKI_JOB_STARTED, /* runs, or its result is on its way */
    HKI_JOB_DROPPED, /* cancelled before its start: it never runs */
};

/* How a worker process ended; for hk_job_error. */
struct hki_job_death {
    int signal;      /* that killed it; 0: none */
    int exit_status; /* valid without signal; -1: not known either */
    bool died;       /* the worker did, while it had this job */
    bool for_memory; /* killed, and the kernel has killed for want of memory */
};

/*
 * The first part is all that a job of tasks or threads needs, and goes from one
 * processor's cache to another's: who submits fills in two lines of it, and who runs it
 * writes the rest, if anybody might ask for that. Only a *whole* job has the second
 * part, and finds all of both zeroed.
 */
struct hki_job {
    /* ---- what to run: set by the front, immutable ---- */
    struct hki_work work;  /* first. For pools of threads; always: its name, never NULL,
                            * and the scope it belongs to; NULL: the background,
                            * detached */
    hk_executor *executor; /* atomic: hk_then has one before */
    const hk_fn *fn;       /* of HK_FN; NULL: */
    hk_job_fn *plain;      /* of hk_submit */
    size_t image_size;
    /* ---- */
    uint32_t phase;            /* atomic: hki_job_phase */
    uint32_t cancelled;        /* atomic: 1 + hk_cancel_how that was asked for */
    int32_t priority;          /* higher ones first */
    uint8_t attempt;           /* 1: the first; the executor counts */
    uint8_t attempts_max;      /* > 1: it is idempotent, and may be retried */
    uint8_t is_task_cancelled; /* atomic: cancel_of_task was used */
    bool nowait      : 1;      /* as in hk_job_options */
    bool is_detached : 1;
    bool is_counted  : 1; /* among those that an exit waits for */
    bool is_whole    : 1;
    bool has_image   : 1; /* the arguments lie in memory of its executor */
    bool has_key     : 1;
    hk_future future; /* its result comes with its end */
    _Alignas(16) unsigned char small[HKI_FUTURE_INLINE]; /* the result, if it fits */
    /* Once it has started, unless nobody has its future: */
    hk_holder runner; /* atomic: the task that runs it here; NULL: none */
    uint64_t task;    /* atomic: of jobs that are tasks, the hk_task_id; or 0 */
    union {
        hk_inbox_node message;                 /* until it starts */
        struct hki_task_cancel cancel_of_task; /* then; used once */
    };

    /* ---- of a whole job; the image of another begins here ---- */
    /* Frees what its image has; NULL: nothing. */
    _Alignas(16) void (*fini)(struct hki_job *job);
    void *image; /* if has_image; NULL: no longer */
    void (*image_free)(void *image);
    char key[HK_JOB_KEY_MAX + 1]; /* idempotency key; "" without has_key */
    struct hki_guest guest;       /* of its scope, unless ops->has_tasks */
    struct hki_job_death death;   /* valid once done */
    /* The executor's own, zero at submit. */
    struct hki_job *next; /* in its queue */
    void *own[5];
    uint64_t id; /* exec/job_id.h; here, as an executor that sends it reads both */
};

/* Who runs it, in this process; NULL: nobody yet. The caller has a reference. */
static inline hk_holder hki_job_runner(const struct hki_job *job)
{
    return __atomic_load_n(&job->phase, __ATOMIC_ACQUIRE) == HKI_JOB_STARTED
               ? __atomic_load_n(&job->runner, __ATOMIC_RELAXED)
               : NULL;
}

/* False: it is not queued any more. */
static inline bool hki_job_leave_queue(struct hki_job *job, enum hki_job_phase to)
{
    uint32_t queued = HKI_JOB_QUEUED;

    return __atomic_compare_exchange_n(&job->phase, &queued, to, false,
                                       __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

/* The packed arguments (exec/pack.h): this job's, as a rule behind its record. */
static inline unsigned char *hki_job_image(const struct hki_job *job)
{
    size_t size = job->is_whole ? sizeof(*job) : offsetof(struct hki_job, fini);

    return job->has_image ? job->image : (unsigned char *)(uintptr_t)job + size;
}

struct hki_executor_ops {
    const char *kind; /* "tasks", "threads", "processes" */
    /* Arguments cross to another process: only functions of HK_FN and plain ones. */
    bool crosses;
    /* Jobs are tasks of the submitter's scope, or counted by it: no guest is needed,
     * and they need not be whole. */
    bool has_tasks;
    /* It counts for itself what is submitted, and its stats adds that. */
    bool counts_submits;

    /*
     * Takes the job: 0; or an error, then the job is still the front's. -ECANCELED: the
     * caller was cancelled while it waited for room. -EPIPE: it is closed.
     */
    int (*submit)(hk_executor *executor, struct hki_job *job, enum hki_submit_how how);
    /*
     * job->cancelled was set, or raised. The job may be done at any moment, but its
     * record stays during the call. May be called with a scope's lock held: must
     * neither wait, nor call hki_job_done, nor touch a scope. 0 or -ENOMEM.
     */
    int (*cancel)(hk_executor *executor, struct hki_job *job, hk_cancel_how how);

    /* Memory for the arguments of a job that is tried once, where its workers see them.
     * When it is NULL, or returns NULL, they lie behind the job's record. */
    void *(*image_new)(size_t size);
    void (*image_free)(void *image);

    /* A plain thread is about to wait for a job: it may do something for it first, for
     * some microseconds. May be NULL. */
    void (*help)(hk_executor *executor, const struct hki_job *job);

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
    uint32_t is_closed;           /* atomic */
    struct hki_job_counts counts; /* atomic */
    uint32_t held;                /* atomic: by hki_job_hold_executor */
};

/* ---- for executors ---- */

/* True: the job is the caller's to run. False: it was cancelled before; the caller ends
 * it with hki_job_done(job, -ECANCELED, NULL, 0). */
bool hki_job_start(struct hki_job *job);

/*
 * Calls a function with packed arguments, here: fills *out (of which only `small` is
 * set before), and returns its error or >= 0. For a worker process, too. The image is
 * changed.
 */
int hki_job_call(const hk_fn *fn, hk_job_fn *plain, unsigned char *image, size_t size,
                 hk_result *out);
/* Forgets the result. */
void hki_result_drop(hk_result *result);

/* Runs a job that was started, in this process, and ends it. */
void hki_job_run(struct hki_job *job);

/*
 * The job has ended: with `rc` >= 0 and a copy of its result, or with an error. A
 * -ECANCELED is told as -EIDRM to who awaits it. Never blocks. Any thread, no lock
 * held; at most once for each job that was submitted.
 */
void hki_job_done(struct hki_job *job, int rc, const void *result, size_t size);

/* The same, with a result that stays where it is: `release(data, size, ctx)` is called
 * when the last reference to the future goes. */
typedef void hki_release_fn(void *data, size_t size, void *ctx);
void hki_job_done_in_place(struct hki_job *job, int rc, void *data, size_t size,
                           hki_release_fn *release, void *ctx);

/* For a job that was cancelled in the queue: ends it soon, on a loop. May be called
 * with a scope's lock held. 0, or why there is no loop. Uses job->message. */
int hki_job_drop_later(struct hki_job *job);

/* Calls `run` with &job->message on the worker's loop; what the caller wrote into the
 * job is seen there after HKI_HB_ACQUIRE(job). */
void hki_job_post(struct hki_job *job, struct hki_worker *worker,
                  void (*run)(hk_inbox_node *node, struct hki_worker *worker));

/*
 * A job that is done may outlive its executor. This is the executor of one that is not,
 * which stays until it is given back; NULL: it is done. To be held for microseconds:
 * who frees the executor spins.
 */
hk_executor *hki_job_hold_executor(const struct hki_job *job);
void hki_executor_unhold(hk_executor *executor);
/* Until nobody holds it. All of its jobs are done. */
void hki_executor_await_holders(const hk_executor *executor);

/* Lets the executor do something for who is about to wait. */
void hki_job_help(hk_future *future);

/* Asks for its end. As hk_future_cancel. */
int hki_job_cancel(struct hki_job *job, hk_cancel_how how);
/* job->executor has the job since a moment ago: who has cancelled it before that has
 * asked in vain, or another executor. The caller has a reference. */
void hki_job_arrived(struct hki_job *job);

/* ---- for the front ---- */

/* What is left when nobody has looked whether a pool was made. */
static inline void hki_check_executor(const hk_executor *on)
{
    if (HKI_UNLIKELY(!on))
        hki_panic("an executor is NULL, where one is used");
}

/* A job for `on`, which may be a view; the image is to be filled. NULL: no memory. */
struct hki_job *hki_job_new(hk_executor *on, size_t image_size);
/* A whole one, whatever `on` needs. */
struct hki_job *hki_job_new_whole(hk_executor *on, size_t image_size);
/* Panics when `fn` takes pointers and `on` runs jobs elsewhere. */
void hki_check_may_cross(const hk_executor *on, const hk_fn *fn);
/* From now on it is counted in the numbers of its executor. */
void hki_job_counts(struct hki_job *job);
/* Submits it; its future. */
hk_future *hki_job_submit(struct hki_job *job);
/* Makes it a guest of its scope, or one that an exit waits for. False: the scope is
 * cancelled. */
bool hki_job_joins_scope(struct hki_job *job);

extern const struct hki_future_kind hki_job_kind;

/* The job whose future it is; NULL: of none. */
static inline struct hki_job *hki_future_job(const hk_future *future)
{
    return future->kind == &hki_job_kind
               ? hki_container_of((hk_future *)(uintptr_t)future, struct hki_job,
                                  future)
               : NULL;
}

/* Of background jobs, for which an exit waits (exec/background.c). */
void hki_background_job_begins(void);
void hki_background_job_ends(void);

void hki_executor_init(hk_executor *executor, const struct hki_executor_ops *ops,
                       const char *name);

#endif
