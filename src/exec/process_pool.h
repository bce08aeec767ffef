/* SPDX-License-Identifier: MIT */
/*
 * A process pool, inside.
 *
 * It has seats, each with at most one worker process at a time, a queue of jobs, and
 * one thread, the courier, who looks after all of it: he collects results, hands out
 * jobs, starts workers, and deals with deaths and cancels. Who submits hands his job to
 * an idle worker himself, so that it begins at once; all else he leaves to the courier.
 *
 * Everything here is guarded by `lock`, unless said. Jobs are ended without it.
 *
 *     process_pool.c     the executor: its operations, its beginning and end
 *     courier.c          the thread
 *     seat.c             one worker: start, handshake, what it is looked at for
 *     seat_end.c         its end, and what becomes of its jobs
 *     dispatch.c         which job to which seat; results
 *     request.c          jobs that jobs of its workers submit
 *     help.c             what a thread does that waits for a job
 */
#ifndef HKI_EXEC_PROCESS_POOL_H
#define HKI_EXEC_PROCESS_POOL_H

#include "exec/channel.h"
#include "exec/executor.h"
#include "exec/handshake.h"
#include "exec/job_queue.h"
#include "exec/keeper.h"
#include "exec/template.h"
#include "exec/waiters.h"

#include <hocket/processes.h>

#include <stdint.h>

/* A channel outlives its worker as long as a future has a result in it. */
struct hki_link {
    struct hki_channel channel;
    uint32_t refs;             /* atomic */
    struct hki_seat *seat;     /* whose worker has it; NULL: that is gone */
    struct hki_request {       /* a job that the worker's job has submitted */
        struct hki_link *link; /* immutable */
        struct hki_job *job;   /* NULL: none is on its way */
        void *block; /* in the heap: of a reply, until the worker has read it */
    } requests[HKI_CHANNEL_REQUESTS];
};

void hki_link_unref(struct hki_link *link);

/*
 *     EMPTY -> STARTING     asked for
 *     STARTING -> READY     it answered; its initializer, if any, has succeeded
 *     READY -> LEAVING      it gets no more jobs; it ends by itself or is killed
 *     any -> EMPTY          it has ended, and what it held was dealt with
 */
enum hki_seat_state {
    HKI_SEAT_EMPTY,
    HKI_SEAT_STARTING,
    HKI_SEAT_READY,
    HKI_SEAT_LEAVING,
};

/* Why we have killed a worker. */
enum hki_seat_kill {
    HKI_KILL_NOT,
    HKI_KILL_CANCEL,  /* its job was cancelled */
    HKI_KILL_STOPPED, /* it was stopped, and nobody might let it go on */
    HKI_KILL_JUNK,    /* it wrote what no worker writes, or takes no jobs */
    HKI_KILL_LEAVING, /* it did not end by itself */
};

struct hki_seat {
    struct hki_child child;
    struct hki_process_pool *pool; /* immutable */
    struct hki_link *link;         /* NULL: no worker */
    enum hki_seat_state state;
    enum hki_seat_kill killed;
    bool is_initializing;     /* STARTING, and letters were sent: libraries, and last */
    bool has_its_initializer; /* the initializer, when this is set */
    bool has_ended;           /* the keeper said so, with these: */
    int end_error, end_status;
    int start_error;             /* why it could not start, if it said so itself */
    uint32_t modules;            /* libraries that it was told to load */
    uint32_t jobs_now;           /* jobs that it was sent and has not done */
    uint32_t requests_now;       /* jobs that its job has submitted, on their way */
    uint32_t requests_seen;      /* the news of them that was looked at */
    const struct hki_job *asked; /* to end: it was cancelled; NULL: none was */
    int64_t asked_until_ns;      /* then it is killed */
    uint32_t depth;              /* as many may be sent to it now */
    uint64_t jobs_done;
    /* When it was started, was sent a job while idle, last ended one, or was
     * dismissed. */
    int64_t progress_ns;
    int64_t looked_ns; /* when it was last asked whether it is stopped */
    uint32_t mean_ns;  /* of a job, lately; at most that; 0: not known */
    struct hki_job *jobs[HKI_CHANNEL_SLOTS]; /* by slot; NULL: no job of ours */
};

struct hki_process_pool {
    hk_executor head; /* first */
    hk_process_options options;
    unsigned char init_input[HKI_SLOT_INLINE_BYTES];
    uint64_t init_function;
    struct hki_handshake handshake; /* what every worker is told */
    struct hki_desk *desk;          /* in the heap */
    struct hki_template origin;     /* of its workers, if they are forked */
    sigset_t mask;                  /* of who made the pool */
    uint32_t has_cancels;           /* atomic: the courier is to look for them */

    hk_lock lock;
    struct hki_job_queue queue;
    struct hki_seat *seats;        /* options.workers_max; immutable */
    uint64_t jobs;                 /* submitted and not done */
    uint64_t kills_for_memory;     /* by the kernel so far, as seen last */
    struct hki_waiters submitters; /* wait for room in the queue */
    struct hki_waiters joiners;    /* wait for `jobs` to be 0 */
    hk_waiter *finisher;           /* waits for the courier's end */
    bool has_courier;
    bool has_helper;                /* a thread looks for results: see help.c */
    uint32_t submits, submits_seen; /* so far; and when the courier last looked */
    uint32_t looked_at;             /* seats, for many results, in turn */
    bool must_ring;    /* the courier is to be rung once the lock is given back */
    int64_t look_ns;   /* when the courier looks next, if nobody rings */
    int64_t active_ns; /* when the courier last saw a job */
    uint32_t mean_ns;  /* of a job, as its worker has measured last; 0: not known */
    bool is_ending;    /* the courier is to end, and all workers before it */

    /* starts */
    uint32_t starts_failed_in_row;
    bool is_try_due; /* jobs have failed without one: the next ones may fare better */
    int degraded_in_log;   /* stats.degraded, as the log knows it */
    int64_t next_start_ns; /* none before */
    hk_process_stats stats;
};

/* So short that results come faster than a thread is woken. */
enum { HKI_TINY_JOB_NS = 2000 };

/* Jobs whose end is to be told, without the lock; linked by `next`. Their results lie
 * in their futures already. */
struct hki_ended_jobs {
    struct hki_job *first, *last;
    uint64_t count;
};

/* ---- dispatch.c ---- */

/* Puts jobs of the queue into workers that can take some, and lets submitters in. */
void hki_dispatch(struct hki_process_pool *pool);
/* Puts a new job into a worker, when nothing waits in the queue. False: not now. */
bool hki_dispatch_at_once(struct hki_process_pool *pool, struct hki_job *job);
/* Has the worker load libraries, up to this one: before it calls a function of it. Then
 * there is room for one more letter. False: there is none, call again later. */
bool hki_seat_send_modules(struct hki_seat *seat, uint32_t wanted);
/* What the worker has done. True: there was something. */
bool hki_collect(struct hki_seat *seat, struct hki_ended_jobs *ended);
/* The same if that is worth the transfer of cache lines which the worker may need: it
 * has done many, or all that it had. */
bool hki_collect_many(struct hki_seat *seat, struct hki_ended_jobs *ended);
void hki_collect_where_many(struct hki_process_pool *pool,
                            struct hki_ended_jobs *ended);
/* The seat whose worker has the job, and how many slots are in front of it. NULL:
 * none has. */
struct hki_seat *hki_seat_of(const struct hki_process_pool *pool,
                             const struct hki_job *job, uint32_t *out_index);
/* Takes back what the worker has not begun; it goes to the front of the queue. */
void hki_take_back(struct hki_seat *seat, struct hki_ended_jobs *ended);
/* Adds a job that ended with this. */
void hki_ended_jobs_add(struct hki_ended_jobs *ended, struct hki_job *job, int rc);
/* Tells the ends; without the lock. */
void hki_ended_jobs_tell(struct hki_process_pool *pool, struct hki_ended_jobs *ended);

/* ---- request.c ---- */

/* Looks for jobs that the worker's job has submitted, or cancelled. True: there is
 * news. */
bool hki_requests_look(struct hki_seat *seat, struct hki_ended_jobs *ended);
/* The job, whatever its result, if it was one of those: the worker gets it. */
void hki_request_ended(const struct hki_job *job);
/* The end of its job was told; without the lock. */
void hki_request_forget(struct hki_request *request, hk_future *future);
/* The worker has died. */
void hki_requests_abandon(struct hki_link *link);

/* ---- seat.c ---- */

/* One has ended, and its seat was not looked at yet. */
bool hki_has_dead_worker(const struct hki_process_pool *pool);
/* Starts workers for what is in the queue, as far as that is allowed now. */
void hki_seats_start(struct hki_process_pool *pool, int64_t now_ns);
/* The queue is not empty, and there is a seat without a worker: the courier is to see
 * to it. */
bool hki_seats_can_start(const struct hki_process_pool *pool);
/* A start has failed; the next one waits, and longer each time. */
void hki_start_failed(struct hki_process_pool *pool, int error, const char *step);
/* Looks after one: its answer, its results (all, or as hki_collect_many), its end.
 * True: something changed. */
bool hki_seat_look(struct hki_seat *seat, struct hki_ended_jobs *ended, bool all);
/* Looks for jobs of its that were cancelled. */
void hki_seat_look_for_cancels(struct hki_seat *seat, struct hki_ended_jobs *ended);
/* Once in a while: is it stopped, does it hold jobs back? Returns when to ask again. */
int64_t hki_seat_tick(struct hki_seat *seat, struct hki_ended_jobs *ended,
                      int64_t now_ns);
/* The job at this place among its jobs is its worker's no more. */
static inline void hki_seat_let_go(struct hki_seat *seat, struct hki_job **place)
{
    if (seat->asked == *place)
        seat->asked = NULL;
    *place = NULL;
    seat->jobs_now--;
}

/* ---- seat_end.c ---- */

void hki_seat_kill(struct hki_seat *seat, enum hki_seat_kill why);
/* Asks a worker that has no job to end. */
void hki_seat_dismiss(struct hki_seat *seat);
/* It has ended: its jobs, and why it did. The seat is empty then. */
void hki_seat_bury(struct hki_seat *seat, struct hki_ended_jobs *ended);

/* ---- help.c ---- */

/* As in hki_executor_ops. */
void hki_pool_help(hk_executor *executor, const struct hki_job *job);

/* ---- courier.c ---- */

/* 0, -EAGAIN, -ENOMEM, -EDEADLK (in a worker). With the lock. */
int hki_courier_start(struct hki_process_pool *pool);

#endif
