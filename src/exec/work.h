/* SPDX-License-Identifier: MIT */
/*
 * Work for a pool of threads: pieces that are pushed from anywhere and run as tasks of
 * the thread that finds them. Jobs of thread pools, forks and parallel loops are made
 * of it.
 *
 * The threads of a pool are the workers of a runtime of its own. Each has a *seat*: a
 * deque (base/deque.h) of what its tasks have pushed, from which it takes what came
 * last and others steal what came first. What comes from other threads waits in the
 * pool's queue (exec/work_queue.h).
 *
 * As many threads compute as `threads` says. The pool keeps the number of those that
 * are missing, `room`; who pushes looks at it, and when it is above 0 and nobody
 * searches for work, wakes or starts one thread. That one, when it has found work and
 * there is more, wakes the next. Who goes to sleep first gives its place back, then
 * makes a fence on all threads, then looks for work once more: so either who pushes
 * sees the room, or who sleeps sees the work, and a push needs no fence of its own.
 */
#ifndef HKI_EXEC_WORK_H
#define HKI_EXEC_WORK_H

#include "base/annotate.h"
#include "base/deque.h"
#include "core/workers.h"

#include <hocket/executor.h>
#include <hocket/scope.h>

/*
 * A piece of work, in the storage of who pushes it; it stays there until `run` is
 * called, and is not looked at afterwards. `run` is called once, as a task of a thread
 * of the pool, so it may wait.
 */
struct hki_work {
    void (*run)(struct hki_work *work);
    hk_scope *scope;  /* around the task: its cancel reaches it; may be NULL */
    const char *name; /* for dumps; may be NULL */
    bool is_counted;  /* the task's end is told to the pool: jobs */
};

struct hki_work_pool;

enum { HKI_WORK_THREADS_MAX = 256 }; /* as many workers as a runtime can have */

/* For hk_executor_stats. */
struct hki_job_counts {
    uint64_t submitted, started, done, failed, cancelled;
    uint64_t dropped; /* of the cancelled ones, before they started */
};

/* How a submit meets a full queue. */
enum hki_submit_how {
    HKI_SUBMIT_WAIT,
    HKI_SUBMIT_NOWAIT, /* -EAGAIN */
    HKI_SUBMIT_BEYOND, /* goes in, beyond the bound; on a loop: must not wait */
};

/* A thread's place in a pool. Its thread only, unless said. */
struct hki_work_seat {
    struct hki_deque deque; /* steal: any thread */
    struct hki_work_pool *pool;
    uint32_t asleep;   /* atomic: 1 until it, or who wakes it, makes it 0 */
    bool searches;     /* one of pool->searchers */
    bool dozes;        /* sleeps although it computes, as far as others know */
    uint32_t blocking; /* calls of hk_blocking_begin less those of its end */
    bool is_guest;     /* a plain thread's: */
    bool has_place;    /* it computes in place of a thread of the pool */
    uint32_t is_taken; /* atomic */
    struct hki_place place;
    uint32_t finds;
    uint64_t random;
    /* The tasks of counted work that have ended and were not told yet, of one scope. */
    hk_scope *ended_scope;
    uint64_t ended;
    const hk_executor *executor;  /* immutable */
    struct hki_job_counts counts; /* atomic; of its jobs, for hk_executor_stats */
};

/* Who makes the fence between a push and the look for sleepers. */
enum hki_work_fence_by { HKI_BY_PUSHER, HKI_BY_BOTH, HKI_BY_SLEEPER };

/* What a push looks at. The rest of a pool is in work.c. */
struct hki_work_demand {
    int32_t room;       /* atomic: threads that may compute less those that do */
    uint32_t searchers; /* atomic: threads that look for work now */
    uint32_t guests;    /* atomic: plain threads in place of one of the pool's */
    uint32_t fence_by;  /* atomic: hki_work_fence_by; goes down */
};

extern __thread struct hki_work_seat *hki_work_seat_here
    __attribute__((tls_model("initial-exec"), visibility("hidden")));

struct hki_work_options {
    uint32_t threads;      /* that compute at once */
    uint32_t threads_max;  /* with those that are blocked */
    uint32_t threads_min;  /* that stay when there is nothing to do; at least 1 */
    int64_t idle_ns;       /* after which others end */
    uint32_t queue_max;    /* pieces in the queue, for hki_work_submit */
    hk_executor *executor; /* whose jobs are counted by its seats; may be NULL */
};

/* 0, or why no thread could be started. */
int hki_work_pool_new(const struct hki_work_options *options,
                      struct hki_work_pool **out);
/* No task of it is alive, no work is left, and nobody takes part. Blocks until its
 * threads have ended. False: the process exits, and it stays. */
bool hki_work_pool_free(struct hki_work_pool *pool);
/* That of hk_threads(), made at need; it ends with the process. */
int hki_work_pool_default(struct hki_work_pool **out);
struct hki_runtime *hki_work_runtime(struct hki_work_pool *pool);

/* For hki_work_push, which has the fast part. */
void hki_work_wake(struct hki_work_pool *pool);
int hki_work_push_far(struct hki_work_pool *pool, struct hki_work *work);

static inline struct hki_work_demand *hki_work_demand_of(struct hki_work_pool *pool)
{
    return (struct hki_work_demand *)(void *)pool; /* it comes first */
}

/* True when the caller has a seat there: on one of its threads, or as one who takes
 * part. */
static inline bool hki_work_is_here(const struct hki_work_pool *pool)
{
    return hki_work_seat_here && hki_work_seat_here->pool == pool;
}

/* After a push: somebody shall come for it. */
static inline void hki_work_pushed(struct hki_work_pool *pool)
{
    const struct hki_work_demand *demand = hki_work_demand_of(pool);

    if (HKI_LIKELY(__atomic_load_n(&demand->fence_by, __ATOMIC_RELAXED) ==
                   HKI_BY_SLEEPER))
        __atomic_signal_fence(__ATOMIC_SEQ_CST); /* the sleeper has the real one */
    else
        (void)__atomic_fetch_add(&hki_work_demand_of(pool)->room, 0, __ATOMIC_SEQ_CST);
    if (HKI_UNLIKELY(__atomic_load_n(&demand->room, __ATOMIC_RELAXED) > 0))
        hki_work_wake(pool);
}

/*
 * Gives it to the pool: to the caller's own deque if it has a seat there, else into the
 * queue, which then has no bound. 0 or -ENOMEM. Any task or thread.
 */
static inline int hki_work_push(struct hki_work_pool *pool, struct hki_work *work)
{
    int rc;

    if (HKI_UNLIKELY(!hki_work_is_here(pool)))
        return hki_work_push_far(pool, work);
    HKI_HB_RELEASE(work);
    rc = hki_deque_push(&hki_work_seat_here->deque, work);
    if (HKI_UNLIKELY(rc < 0))
        return rc;
    hki_work_pushed(pool);
    return 0;
}

/*
 * The same, but what comes from outside meets the bound of the queue, and what comes
 * from a thread of the pool the bound of its deque. Those of the highest priority are
 * found first. Also -EAGAIN; -EPIPE: it is closed; -EBADF: the process exits;
 * -ECANCELED: cancelled while it waited.
 */
extern uint32_t hki_work_own_max; /* of the deque; tests make it less */
int hki_work_submit(struct hki_work_pool *pool, struct hki_work *work, int32_t priority,
                    enum hki_submit_how how);

/*
 * Takes back what was pushed last on the caller's seat, by whichever of its thread's
 * tasks; NULL: it is all gone. Only who has a seat.
 */
static inline struct hki_work *hki_work_take(void)
{
    struct hki_work *work =
        (struct hki_work *)hki_deque_take(&hki_work_seat_here->deque);

    if (work)
        HKI_HB_ACQUIRE(work);
    return work;
}

/*
 * A plain thread gets a seat, and computes in place of one of the pool's threads until
 * it leaves, but not in place of the last one, and not while it waits. 0; -EBUSY: it
 * has one already; -ENOMEM. Not on a worker of a runtime. What it leaves behind goes
 * into the queue.
 */
int hki_work_participate(struct hki_work_pool *pool);
void hki_work_leave(struct hki_work_pool *pool);

/* No counted work is taken from now on: -EPIPE. And waits until all of it has ended,
 * once it is closed: 0, -ECANCELED, or -EBADF: the process exits, so it never will. */
void hki_work_close(struct hki_work_pool *pool);
int hki_work_join(struct hki_work_pool *pool);

/* Adds what the threads have counted; returns how many threads there are. */
uint32_t hki_work_stats(const struct hki_work_pool *pool, hk_executor_stats *out);

/* How many threads shall compute at once, the caller's included. */
uint32_t hki_work_threads(const struct hki_work_pool *pool);

#endif
