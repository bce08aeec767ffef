/* SPDX-License-Identifier: MIT */
/*
 * Park and wake.
 *
 * A waiter's state. For tasks and callbacks it is touched on the worker only: a wake
 * from elsewhere travels through the worker's inbox and is delivered there, so it can
 * never meet a park half-way. For plain threads it is atomic.
 *
 *     ARMED -> PARKED -> (woken: the task is ready)      the usual way
 *     ARMED -> WOKEN                                      the wake came first
 *     PARKED -> ABORTED                                   abort undid the wait
 *
 * FAR is set by the schedule explorer, beside PARKED: the wake is then on its way for a
 * while, during which an abort finds the waiter gone from its queue.
 */
#include "base/annotate.h"
#include "core/check.h"
#include "core/runtime.h"
#include "core/scope.h"
#include "core/thread.h"
#include "core/wait.h"
#include "core/worker.h"

#include <hocket/waiter.h>

void (*hki_park_observer)(struct hki_self *self);

void hk_lock_acquire(hk_lock *lock)
{
    hki_lock_acquire(&lock->hki_word);
    HKI_HB_ACQUIRE(lock);
}

void hk_lock_release(hk_lock *lock)
{
    HKI_HB_RELEASE(lock);
    hki_lock_release(&lock->hki_word);
}

/* ---- queues ---- */

void hk_waiter_push(hk_waiter_queue *queue, hk_waiter *w)
{
    w->next = NULL;
    w->prev = queue->tail;
    if (queue->tail)
        queue->tail->next = w;
    else
        queue->head = w;
    queue->tail = w;
}

static void unlink_waiter(hk_waiter_queue *queue, hk_waiter *w)
{
    if (w->prev)
        w->prev->next = w->next;
    else
        queue->head = w->next;
    if (w->next)
        w->next->prev = w->prev;
    else
        queue->tail = w->prev;
    w->next = w->prev = NULL;
}

hk_waiter *hk_waiter_pop(hk_waiter_queue *queue)
{
    hk_waiter *w = queue->head;

    if (w)
        unlink_waiter(queue, w);
    return w;
}

bool hk_waiter_remove(hk_waiter_queue *queue, hk_waiter *w)
{
    if (!w->prev && queue->head != w)
        return false;
    unlink_waiter(queue, w);
    return true;
}

/* ---- arming ---- */

static void deliver_callback(hk_inbox_node *node, struct hki_worker *worker);

void hk_waiter_init(hk_waiter *w, const hk_wait_kind *kind, const void *object)
{
    hki_waiter_arm(w, hki_self(), kind, object);
}

int hk_waiter_init_callback(hk_waiter *w, const hk_wait_kind *kind, const void *object,
                            void (*fn)(hk_waiter *w))
{
    struct hki_worker *worker = hki_worker_current;

    if (!worker) {
        int rc = hki_background_worker(&worker);

        if (rc < 0)
            return rc;
    }
    hk_waiter_init(w, kind, object);
    w->hki_node.hki_run = deliver_callback;
    w->hki_target = worker;
    w->hki_callback = fn;
    w->hki_state = HKI_WAIT_CALLBACK;
    return 0;
}

/* ---- waking ---- */

/* Of a task's waiter. Atomic for who wakes it from elsewhere and looks at the kind. */
static inline void set_state(hk_waiter *w, uint32_t state)
{
    __atomic_store_n(&w->hki_state, state, __ATOMIC_RELAXED);
}

/* On the worker of the task that waits. */
void hki_waiter_deliver(hk_inbox_node *node, struct hki_worker *worker)
{
    hk_waiter *w = hki_container_of(node, hk_waiter, hki_node);
    struct hki_self *self = w->hki_target;

    if (w->hki_state & HKI_WAIT_PARKED) {
        set_state(w, HKI_WAIT_TASK | HKI_WAIT_WOKEN);
        self->waiter = NULL;
        hki_ready_push(worker, hki_task_of(self));
    } else {
        set_state(w, HKI_WAIT_TASK | HKI_WAIT_WOKEN);
    }
}

static void deliver_callback(hk_inbox_node *node, struct hki_worker *worker)
{
    hk_waiter *w = hki_container_of(node, hk_waiter, hki_node);

    (void)worker;
    HKI_HB_ACQUIRE(w);
    w->hki_callback(w);
}

static void wake_thread(hk_waiter *w)
{
    /* The waiter may be gone as soon as its state says WOKEN; the thread's record
     * stays. */
    struct hki_thread *thread = hki_thread_of(w->hki_target);

    __atomic_store_n(&w->hki_state, HKI_WAIT_THREAD | HKI_WAIT_WOKEN, __ATOMIC_SEQ_CST);
    hki_thread_kick(thread);
}

void hk_wake(hk_waiter *w, int result)
{
    struct hki_self *self;
    uint32_t state;

    w->result = result;
    if (HKI_UNLIKELY(w->leader)) {
        hk_waiter *leader = w->leader;

        leader->data = w;
        leader->result = 0;
        w = leader;
    }
    HKI_HB_RELEASE(w);
    state = __atomic_load_n(&w->hki_state, __ATOMIC_RELAXED); /* immutable bits of it */
    if (HKI_UNLIKELY(state & (HKI_WAIT_THREAD | HKI_WAIT_CALLBACK | HKI_WAIT_FAR))) {
        if (state & HKI_WAIT_THREAD)
            wake_thread(w);
        else if (state & HKI_WAIT_FAR)
            hki_worker_post(((struct hki_self *)w->hki_target)->worker, &w->hki_node);
        else
            hki_worker_post(w->hki_target, &w->hki_node);
        return;
    }
    self = w->hki_target;
    if (HKI_LIKELY(self->worker == hki_worker_current))
        hki_waiter_deliver(&w->hki_node, self->worker);
    else
        hki_worker_post(self->worker, &w->hki_node);
}

/* ---- parking ---- */

bool hki_wait_abort(struct hki_self *self, int error)
{
    hk_waiter *w = self->waiter;
    hk_abort_fn *abort = w ? w->hki_abort : NULL;
    hk_verdict verdict;

    if (!abort)
        return false;
    w->hki_abort = NULL; /* it is asked once */
    HKI_HB_ACQUIRE(w);   /* it works on what the parked task has written, */
    verdict = abort(w);
    HKI_HB_RELEASE(w); /* and the task goes on after it */
    if (verdict != HK_ABORTED)
        return false;
    if (error == -ECANCELED)
        hki_cancel_delivered(self); /* now: a shield may go up before it runs again */
    HKI_HB_RELEASE(w);              /* what the abort did is seen by who waited */
    w->result = error;
    set_state(w, HKI_WAIT_TASK | HKI_WAIT_ABORTED);
    self->waiter = NULL;
    hki_ready_push(self->worker, hki_task_of(self));
    return true;
}

/* Cancelled before it parked: asks at once. True when the wait is over. */
static bool abort_before_park(struct hki_self *self, hk_waiter *w, hk_abort_fn **abort)
{
    hk_abort_fn *fn = *abort;

    if (!fn || !(self->attention & HKI_CANCELLED))
        return false;
    *abort = NULL;
    return fn(w) == HK_ABORTED;
}

static inline __attribute__((always_inline)) int park(hk_waiter *w, hk_abort_fn *abort)
{
    struct hki_self *self = hki_self();
    struct hki_worker *worker = self->worker;

    if (HKI_UNLIKELY(w->hki_target != self))
        hki_panic("hk_park by '%s' of a waiter that another task armed",
                  hk_task_name());
    if (HKI_UNLIKELY(self->kind != HKI_SELF_TASK)) {
        if (self->kind == HKI_SELF_LOOP)
            hki_panic_no_waiting();
        return hki_thread_park(hki_thread_of(self), w, abort);
    }
    if (HKI_UNLIKELY(w->hki_state & HKI_WAIT_WOKEN)) {
        HKI_HB_ACQUIRE(w);
        return w->result;
    }
    if (HKI_UNLIKELY(self->attention)) {
        if (abort_before_park(self, w, &abort)) {
            hki_cancel_delivered(self);
            return -ECANCELED;
        }
        if (w->hki_state & HKI_WAIT_WOKEN) { /* asking made it complete */
            HKI_HB_ACQUIRE(w);
            return w->result;
        }
    }
    w->hki_abort = abort;
    w->hki_since_ns = worker->now_ns;
    set_state(w, HKI_WAIT_TASK | HKI_WAIT_PARKED);
    self->waiter = w;
    if (HKI_UNLIKELY(hki_park_observer))
        hki_park_observer(self);
    HKI_HB_RELEASE(w);      /* to an abort, which another task or the loop runs */
    HKI_HB_RELEASE(worker); /* to hk_test_wait_all_blocked */
    (void)hki_switch_away(hki_switch_by_return, worker, hki_task_of(self));
    HKI_HB_ACQUIRE(w);
    return w->result;
}

int hki_wait_park(hk_waiter *w, hk_abort_fn *abort)
{
    return park(w, abort);
}

int hk_park(hk_waiter *w, hk_abort_fn *abort)
{
    if (hki_is_checking())
        return hki_check_park(w, abort);
    return park(w, abort);
}

/* ---- sleeping: a wait that only a timer ends ---- */

const hk_wait_kind hki_sleep_kind = {.name = "sleep"};

struct sleeper {
    hk_timer timer;
    hk_waiter waiter;
};

static void sleep_over(hk_timer *timer)
{
    struct sleeper *sleeper = hki_container_of(timer, struct sleeper, timer);

    hk_wake(&sleeper->waiter, 0);
}

static hk_verdict sleep_abort(hk_waiter *w)
{
    struct sleeper *sleeper = hki_container_of(w, struct sleeper, waiter);

    return hk_timer_cancel(&sleeper->timer) ? HK_ABORTED : HK_PENDING;
}

int hk_sleep_until(int64_t time_ns)
{
    struct hki_self *self = hki_self();
    struct sleeper sleeper;
    int rc;

    if (self->kind == HKI_SELF_THREAD)
        return hki_thread_sleep_until(hki_thread_of(self), time_ns);
    rc = hki_enter(self);
    if (rc < 0)
        return rc;
    if (time_ns <= hk_now())
        return hk_yield();
    hk_waiter_init(&sleeper.waiter, &hki_sleep_kind, &sleeper.timer);
    sleeper.timer.hki_link = NULL;
    sleeper.waiter.data = NULL;
    hk_timer_set(&sleeper.timer, time_ns, sleep_over);
    return hk_park(&sleeper.waiter, sleep_abort);
}

int hk_sleep(int64_t duration_ns)
{
    int64_t now;

    if (duration_ns <= 0)
        return hk_yield();
    now = hk_now();
    return hk_sleep_until(duration_ns < HK_NEVER - now ? now + duration_ns : HK_NEVER);
}
