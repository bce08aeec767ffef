/* SPDX-License-Identifier: MIT */
/*
 * A worker: one thread, one loop, one poller. Tasks switch to one another directly; the
 * loop (worker.c) runs only when no task is ready, or when `ticks` switches have passed
 * without it. Everything here belongs to the worker's thread but for the parts marked
 * "shared".
 */
#ifndef HKI_CORE_WORKER_H
#define HKI_CORE_WORKER_H

#include "base/mpsc.h"
#include "core/chooser.h"
#include "core/halt.h"
#include "core/task.h"
#include "core/timer.h"
#include "core/watch.h"
#include "core/workers.h"
#include "sys/fault.h"
#include "sys/poller.h"
#include "sys/stack.h"

#include <pthread.h>

enum {
    /* Switches between two looks at timers, messages and completions. */
    HKI_TICKS = 128,
};

/* What `sleeping` says. */
enum {
    HKI_AWAKE,
    HKI_SLEEPS_ON_FUTEX, /* no I/O is in flight: on this very word */
    HKI_SLEEPS_IN_POLLER,
    HKI_AWAY, /* its thread has ended, having nothing to do for long: one that notifies
               * it starts another. Only in a runtime with a source */
};

struct hki_worker {
    struct hki_task *current; /* NULL: the loop runs */
    struct hki_task *ready_head, *ready_tail;
    int32_t ticks;
    uint32_t index;
    void *loop_sp;
    void **exceptions; /* this thread's C++ exception globals; NULL: no C++ here */
    void *loop_exceptions[2];
    uint64_t switches; /* read by the watchdog */
    int64_t now_ns;    /* the clock at the loop's last turn */
    struct hki_runtime *runtime;
    struct hki_task *free_tasks;
    struct hki_stack_pool stacks;

    struct hki_self loop_self; /* who runs while the loop does */
    struct hki_context loop_context;
    hk_inbox_node *unread; /* messages out of the inbox, oldest first: read next */
    /* Unstarted tasks that wait for a stack (stacks_max), oldest first. */
    struct hki_task *starved, *starved_tail;
    uint32_t joins,
        joins_far; /* tasks parked in joins; of those, for remote children */
    hk_waiter_queue blocked_waiters; /* hk_test_wait_all_blocked */
    uint64_t tasks_spawned, tasks_ended, timers_fired, ops_started, polls, stalls;
    uint64_t errors_unreported;
    uint32_t calls_awaited; /* tasks that wait for an hk_to_thread */
    uint32_t zombies;       /* ended tasks whose cancel message is still on its way */
    uint64_t ops_in_flight; /* given to the poller and not back */
    struct hki_op *ops;     /* those, for the dump and the end */

    const struct hki_poller_ops *poller_ops;
    struct hki_poller *poller;
    uint64_t random;                   /* state of hki_random */
    const struct hki_chooser *chooser; /* NULL: everything in its usual order */
    struct hki_wheel wheel;
    struct hki_source *source; /* immutable; NULL: there is no work but tasks */
    struct hki_self *found;    /* tasks made of found work, by their sibling links */
    bool is_away;              /* its thread ends, or begins, in the state AWAY */
    bool breathes; /* the next turn is for a task that computes: no new work */
    bool is_full;  /* the last look for work found no stack or record for it */

    /* ---- shared ---- */
    _Alignas(64) struct hki_mpsc inbox; /* hk_inbox_nodes */
    uint32_t posters;     /* atomic: who posts or notifies; the worker stays till 0 */
    uint32_t sleeping;    /* atomic; also the futex it sleeps on */
    uint32_t shared_lock; /* guards the next two */
    struct hki_task *shared_head, *shared_tail; /* unstarted, for anyone */
    uint32_t shared_count;                      /* atomic: a look without the lock */
    bool is_closed;          /* for hk_call_soon; guarded by the registry's lock */
    uint32_t recheck_posted; /* atomic: that message is on its way */
    hk_inbox_node recheck;
    uint32_t wanted_posted; /* atomic: likewise this one (core/task_id.c) */
    hk_inbox_node wanted;
    struct hki_halt halt;
    struct hki_watch_note watch;
    struct hki_signal_stack signal_stack; /* the worker's thread's */
    int thread_id;
    pthread_t thread; /* of workers but the first */
};

extern __thread struct hki_worker *hki_worker_current
    __attribute__((tls_model("initial-exec"), visibility("hidden")));

int hki_worker_init(struct hki_worker *worker, struct hki_runtime *runtime,
                    uint32_t index);
void hki_worker_fini(struct hki_worker *worker);

/* Makes the calling thread this worker; runs its loop until the runtime ends. */
void hki_worker_run(struct hki_worker *worker);

void hki_worker_notify(struct hki_worker *worker);

/* From now on hk_call_soon refuses; what it accepted before is in the inbox. */
void hki_worker_close_inbox(struct hki_worker *worker);

/* Leaves the calling task when the fast path of hki_switch_away cannot. */
int hki_switch_slow(struct hki_worker *worker, struct hki_task *task);

/* Some that it has to read. */
static inline bool hki_worker_has_messages(const struct hki_worker *worker)
{
    return worker->unread || !hki_mpsc_is_empty(&worker->inbox);
}

static inline void hki_ready_push(struct hki_worker *worker, struct hki_task *task)
{
    task->next = NULL;
    if (worker->ready_head)
        worker->ready_tail->next = task;
    else
        worker->ready_head = task;
    worker->ready_tail = task;
}

static inline struct hki_task *hki_ready_pop(struct hki_worker *worker)
{
    struct hki_task *task = worker->ready_head;

    worker->ready_head = task->next;
    return task;
}

/* C++'s exception globals belong to a stack, not to a thread: swapped at each
 * switch. */
static inline void hki_exceptions_save(struct hki_worker *worker, struct hki_task *task)
{
    if (worker->exceptions) {
        task->stack->exceptions[0] = worker->exceptions[0];
        task->stack->exceptions[1] = worker->exceptions[1];
    }
}

static inline void hki_exceptions_load(struct hki_worker *worker, struct hki_task *task)
{
    if (worker->exceptions) {
        worker->exceptions[0] = task->stack->exceptions[0];
        worker->exceptions[1] = task->stack->exceptions[1];
    }
}

static inline void hki_make_current(struct hki_worker *worker, struct hki_task *task)
{
    worker->current = task;
    HKI_COUNT(worker->switches, 1);
    worker->ticks--;
    hki_self_current = &task->self;
}

static inline int hki_switch_tasks(hki_switch_fn *how, struct hki_worker *worker,
                                   struct hki_task *from, struct hki_task *to)
{
    hki_exceptions_save(worker, from);
    hki_exceptions_load(worker, to);
    hki_make_current(worker, to);
    return hki_context_switch(how, &from->sp, to->sp,
                              &hki_stack_of(from->stack)->context,
                              &hki_stack_of(to->stack)->context);
}

/*
 * Leaves the calling task, which is parked or in the ready queue, and runs what is
 * next.
 * Returns 0 when it is resumed. To be called last, so that it is a jump.
 */
static inline int hki_switch_away(hki_switch_fn *how, struct hki_worker *worker,
                                  struct hki_task *task)
{
    struct hki_task *next = worker->ready_head;

    if (HKI_LIKELY(next && next != task && worker->ticks > 0 &&
                   hki_task_is_started(next))) {
        worker->ready_head = next->next;
        return hki_switch_tasks(how, worker, task, next);
    }
    return hki_switch_slow(worker, task);
}

#endif
