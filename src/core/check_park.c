/* SPDX-License-Identifier: MIT */
/*
 * Parking while the checks are on. Who is about to wait for a lock or a join registers
 * in the graph of waits, under its lock, and looks whether it thereby closes a cycle;
 * the last one of a deadlock to wait sees all of it (check_wait.c says why it is one).
 * It is the youngest, and as a rule its wait can be undone: then it returns -EDEADLK
 * without ever having parked. Otherwise another is told, on its worker.
 *
 * That costs a contended lock a stack trace and a short global lock: the price of being
 * told at once. What is not contended never comes here.
 */
#include "core/check_wait.h"

#include "core/runtime.h"
#include "core/scope.h"
#include "core/thread.h"
#include "core/wait.h"
#include "core/check_once.h"

#include <hocket/task.h>

#include <stdlib.h>

static uint32_t graph_lock;
static struct hki_wait_graph graph; /* guarded by graph_lock */
static uint64_t last_age;           /* guarded by graph_lock */

/* With an order for TSan's logical mode, too: libc's printf is seen to read names. */
static void lock_graph(void)
{
    hki_lock_acquire(&graph_lock);
    HKI_HB_ACQUIRE(&graph_lock);
}

/* ---- ending the wait of another ---- */

/* Travels to the worker of the one that shall give up. */
struct order_to_end {
    hk_inbox_node message;
    struct hki_self *self;
    uint64_t age; /* of the wait that is meant */
};

static void end_wait(hk_inbox_node *node, struct hki_worker *worker)
{
    struct order_to_end *order = hki_container_of(node, struct order_to_end, message);
    const struct hki_wait *wait;
    bool is_it;

    (void)worker;
    lock_graph();
    wait = hki_wait_find(&graph, order->self);
    is_it = wait && wait->age == order->age && order->self->waiter == wait->waiter;
    hki_lock_release(&graph_lock);
    if (is_it) /* on this worker nobody else changes that */
        (void)hki_wait_abort(order->self, -EDEADLK);
    free(order);
}

/* With the lock: so it is still registered, and its worker runs. */
static bool tell(struct hki_wait *victim)
{
    struct order_to_end *order;

    if (victim->self->kind == HKI_SELF_THREAD) {
        hki_thread_give_up(hki_thread_of(victim->self));
        return true;
    }
    order = malloc(sizeof(*order));
    if (!order)
        return false;
    order->message.hki_run = end_wait;
    order->self = victim->self;
    order->age = victim->age;
    hki_worker_post(victim->self->worker, &order->message);
    return true;
}

/* ---- the verdict ---- */

/* With the lock, `wait` being in a cycle: says so in `report`, and who shall give up.
 * NULL: nobody, or nobody can. */
static struct hki_wait *judge(struct hki_report *report, struct hki_wait *wait)
{
    struct hki_wait *victim = hki_wait_victim(wait);

    hki_wait_add_cycle(report, wait);
    if (hki_check_settings().only_report)
        return NULL;
    if (!victim) {
        hki_report_add(report, "deadlock: no wait in it can be undone: all are joins "
                               "or shielded\n");
        return NULL;
    }
    hki_wait_add_victim(report, victim->self, victim->waiter);
    victim->is_ending = true;
    return victim;
}

/* Registers. True: the caller itself shall give up, and log the report if it does. */
static bool enter(struct hki_wait *wait, struct hki_report *report, bool *out_found)
{
    struct hki_wait *victim = NULL;

    lock_graph();
    wait->age = ++last_age;
    hki_wait_add(&graph, wait);
    *out_found = hki_wait_closes_cycle(&graph, wait, false);
    if (HKI_UNLIKELY(*out_found)) {
        hki_report_init(report, -1);
        victim = judge(report, wait);
        if (victim && victim != wait)
            (void)tell(victim); /* without memory it is only reported */
    }
    hki_lock_release(&graph_lock);
    return victim == wait;
}

/* From then on nobody tells it to give up. A thread may have been told a moment ago, by
 * a search that found it when its wait was over: that must not end its next wait. */
static void leave(struct hki_wait *wait)
{
    struct hki_self *self = wait->self;

    lock_graph();
    hki_wait_remove(wait);
    hki_lock_release(&graph_lock);
    if (self->kind == HKI_SELF_THREAD)
        __atomic_store_n(&hki_thread_of(self)->hopeless, 0, __ATOMIC_RELAXED);
}

static void log_and_fini(struct hki_report *report)
{
    hki_report_log(report, HK_LOG_ERROR);
    hki_report_fini(report);
}

/* Only of these it is known who must end them. */
static bool is_in_graph(const hk_waiter *w)
{
    const hk_wait_kind *kind = w->kind;

    return kind &&
           ((kind->holders && !kind->holders_are_guessed) || kind == &hki_join_kind);
}

static int park_registered(struct hki_self *self, hk_waiter *w, hk_abort_fn *abort)
{
    struct hki_frames frames;
    struct hki_report report;
    struct hki_wait wait;
    bool found;
    int rc;

    if (!is_in_graph(w))
        return hki_wait_park(w, abort);
    hki_wait_fill(&wait, self, w);
    hki_backtrace_here(&frames);
    wait.frames = &frames;
    wait.can_undo = abort;
    if (enter(&wait, &report, &found)) {
        if (abort(w) == HK_ABORTED) {
            leave(&wait);
            log_and_fini(&report);
            return -EDEADLK;
        }
        hki_report_fini(&report); /* it was granted meanwhile: no deadlock */
        found = false;
        abort = NULL; /* it is asked once */
    }
    if (found)
        log_and_fini(&report);
    rc = hki_wait_park(w, abort);
    leave(&wait);
    return rc;
}

/* ---- locks that are held across a wait ---- */

static __attribute__((noinline, cold)) void complain(const struct hki_self *self,
                                                     const struct hki_hold *hold,
                                                     const hk_waiter *w,
                                                     int64_t held_ns)
{
    uint64_t site = (uintptr_t)hold->site[1];
    struct hki_report report;
    struct hki_frames here;
    char text[128];

    if (hki_once_add(hki_once_key(hold->identity, site, (uintptr_t)w->kind)) <= 0)
        return;
    hki_check_lock_text(hold->lock, hold->kind, text, sizeof(text));
    hki_backtrace_here(&here);
    hki_report_init(&report, -1);
    hki_report_add(&report, "held long: %s '%s' held %s while it waited for %s, for ",
                   hki_check_what_is(self), hki_self_name(self), text,
                   w->kind && w->kind->name ? w->kind->name : "something");
    hki_report_add_time(&report, held_ns);
    hki_report_add(&report, ", at\n");
    hki_report_add_frames(&report, 6, &here);
    hki_report_add(&report, "held long:   it had taken %s at\n", text);
    hki_check_add_site(&report, 6, hold);
    hki_report_log(&report, HK_LOG_WARNING);
    hki_report_fini(&report);
}

static int park_holding(struct hki_self *self, hk_waiter *w, hk_abort_fn *abort)
{
    int64_t limit_ns = hki_check_settings().hold_limit_ns, since_ns = hk_now();
    int rc = park_registered(self, w, abort);
    int64_t held_ns = hk_now() - since_ns;
    struct hki_holds *holds = held_ns > limit_ns ? hki_holds_peek(self) : NULL;

    for (uint32_t i = 0; holds && i < holds->count; i++)
        complain(self, &holds->room->items[i], w, held_ns);
    return rc;
}

int hki_check_park(hk_waiter *w, hk_abort_fn *abort)
{
    struct hki_self *self = hki_self();
    struct hki_holds *holds = hki_holds_peek(self);

    if (self->kind == HKI_SELF_LOOP || w->hki_target != self)
        return hki_wait_park(w, abort); /* which panics */
    if (holds && holds->count)
        return park_holding(self, w, abort);
    return park_registered(self, w, abort);
}
