/* SPDX-License-Identifier: MIT */
/*
 * An event: one flag and the queue of those who wait for it.
 *
 * Invariant, under the lock: while the flag is set nobody is queued.
 *
 * An event is often on the stack of who waits for it and gone when the wait returns.
 * Parked waiters are woken after the last access here. But one that sees the flag
 * without parking may see it while the setter still holds the lock: it then waits for
 * the lock, so that nothing touches the event after its wait has returned.
 */
#include <hocket/event.h>

#include "core/self_inline.h"
#include "sync/queue.h"

#include <hocket/select.h>
#include <hocket/task.h>

#include <stdio.h>

static bool is_set(const hk_event *event)
{
    return __atomic_load_n(&event->hki_set, __ATOMIC_ACQUIRE);
}

static void describe(const void *object, char *text, size_t size)
{
    const hk_event *event = object;

    if (event->name)
        (void)snprintf(text, size, "'%s'", event->name);
    else
        (void)snprintf(text, size, "at %p", object);
}

static const hk_wait_kind wait_kind = {.name = "event", .describe = describe};

static hk_verdict wait_abort(hk_waiter *w)
{
    hk_event *event = (hk_event *)w->object;
    bool removed;

    hki_lock_acquire(&event->hki_lock.hki_word);
    removed = hki_queue_remove(&event->hki_waiters, w);
    hki_lock_release(&event->hki_lock.hki_word);
    return removed ? HK_ABORTED : HK_PENDING;
}

/* Under the lock. */
static void join_queue(hk_event *event, hk_waiter *w)
{
    event->hki_contended++;
    hki_queue_push(&event->hki_waiters, w);
}

int hk_event_wait(hk_event *event)
{
    struct hki_self *self = hki_self();
    int rc = hki_enter(self);
    hk_waiter w;

    if (HKI_UNLIKELY(rc < 0))
        return rc;
    if (is_set(event)) {
        hki_lock_outlast(&event->hki_lock.hki_word); /* of the setter */
        hki_spend(self);
        return 0;
    }
    hk_waiter_init(&w, &wait_kind, event);
    hki_lock_acquire(&event->hki_lock.hki_word);
    if (is_set(event)) {
        hki_lock_release(&event->hki_lock.hki_word);
        hki_spend(self);
        return 0;
    }
    join_queue(event, &w);
    hki_lock_release(&event->hki_lock.hki_word);
    return hk_park(&w, wait_abort);
}

/* That it is set is not enough: what the caller did before would be lost on who clears
 * it now and then looks. So both write the flag, and one comes after the other. */
static bool is_set_again(hk_event *event)
{
    uint32_t set = 1;

    return is_set(event) &&
           __atomic_compare_exchange_n(&event->hki_set, &set, 1, false,
                                       __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

void hk_event_set(hk_event *event)
{
    hk_waiter *woken;

    if (is_set_again(event))
        return;
    hki_lock_acquire(&event->hki_lock.hki_word);
    __atomic_store_n(&event->hki_set, 1, __ATOMIC_RELEASE);
    woken = hki_queue_take_all(&event->hki_waiters);
    hki_lock_release(&event->hki_lock.hki_word);
    hki_queue_wake_all(woken, 0);
}

void hk_event_clear(hk_event *event)
{
    (void)__atomic_exchange_n(&event->hki_set, 0, __ATOMIC_ACQ_REL);
}

bool hk_event_is_set(const hk_event *event)
{
    return is_set(event);
}

void hk_event_stats(const hk_event *event, hk_sync_stats *out_stats)
{
    uint32_t *lock = (uint32_t *)&event->hki_lock.hki_word;

    hki_lock_acquire(lock);
    *out_stats = (hk_sync_stats){.waiters = hki_queue_length(&event->hki_waiters),
                                 .contended = event->hki_contended};
    hki_lock_release(lock);
}

void hk_event_fini(hk_event *event)
{
    hk_sync_stats stats;

    if (!event)
        return;
    hk_event_stats(event, &stats);
    if (stats.waiters > 0)
        hki_panic("hk_event_fini: '%s' ends the event '%s' (%p) that %u wait for",
                  hk_task_name(), event->name ? event->name : "unnamed", (void *)event,
                  stats.waiters);
}

/* ---- as a case of a select ---- */

static hk_lock *case_lock(void *object)
{
    return &((hk_event *)object)->hki_lock;
}

static int case_attempt(void *object, void *data)
{
    (void)data;
    return is_set(object) ? 0 : -EAGAIN;
}

static void case_enqueue(void *object, hk_waiter *w)
{
    join_queue(object, w);
}

static void case_dequeue(void *object, hk_waiter *w)
{
    (void)hki_queue_remove(&((hk_event *)object)->hki_waiters, w);
}

const hk_waitable hk_event_waiting = {
    .kind = &wait_kind,
    .lock = case_lock,
    .attempt = case_attempt,
    .enqueue = case_enqueue,
    .dequeue = case_dequeue,
};
