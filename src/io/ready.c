/* SPDX-License-Identifier: MIT */
/*
 * Readiness as a case of a select: one poll operation with a callback, started when the
 * select begins to wait. What it finds goes to the select's waiter, if nobody else has
 * claimed it. The operation lives in the hk_ready, so a select that is over gives it up
 * and waits until it has come back.
 *
 * Guarded by the lock: `flying` from the start of the operation to its callback; the
 * select's waiter, first while it is queued, then (`leaving`) while it outlasts the
 * operation that it has given up; who is parked for that. The callback's last access is
 * the release of the lock, or the wake of a waiter that still waits for it.
 */
#include <hocket/select.h>

#include "sys/os_io.h"

#include <poll.h>
#include <stdio.h>

static void describe(const void *object, char *text, size_t size)
{
    const hk_ready *ready = object;
    bool in = ready->events & POLLIN, out = ready->events & POLLOUT;

    (void)snprintf(text, size, "descriptor %d%s%s%s", hk_fd_number(ready->fd),
                   in ? ", readable" : "", in && out ? " or" : "",
                   out ? (in ? " writable" : ", writable") : "");
}

static const hk_wait_kind ready_kind = {
    .name = "readiness", .describe = describe, .external = true};
static const hk_wait_kind settle_kind = {.name = "the end of a poll", .external = true};

void hk_ready_init(hk_ready *ready, hk_fd fd, unsigned events)
{
    *ready = (hk_ready){.fd = fd, .events = events};
}

static hk_lock *case_lock(void *object)
{
    return &((hk_ready *)object)->hki_lock;
}

static int case_attempt(void *object, void *data)
{
    const hk_ready *ready = object;
    int number = hk_fd_pin(ready->fd);
    int rc;

    (void)data;
    if (number < 0)
        return number;
    rc = hki_sys_poll(number, ready->events, 0);
    hk_fd_unpin(ready->fd);
    return rc == 0 ? -EAGAIN : rc;
}

/* The operation is over. On the loop of the worker where it was started. */
static void came_back(hk_waiter *callback)
{
    hk_ready *ready = callback->data;
    int result = callback->result;
    hk_waiter *waiter, *settler;

    hk_lock_acquire(&ready->hki_lock);
    waiter = ready->hki_waiter;
    settler = ready->hki_settler;
    ready->hki_waiter = ready->hki_leaving = ready->hki_settler = NULL;
    ready->hki_flying = false;
    if (waiter && !hk_waiter_claim(waiter))
        waiter = NULL;
    hk_lock_release(&ready->hki_lock);
    if (waiter)
        hk_wake(waiter, result);
    if (settler)
        hk_wake(settler, 0);
}

static int start(hk_ready *ready)
{
    int rc =
        hk_waiter_init_callback(&ready->hki_callback, &ready_kind, ready, came_back);

    if (rc < 0)
        return rc;
    ready->hki_callback.data = ready;
    hk_op_poll(&ready->hki_op, ready->fd, ready->events);
    return hk_op_start(&ready->hki_op, &ready->hki_callback);
}

static void case_enqueue(void *object, hk_waiter *w)
{
    hk_ready *ready = object;
    int rc = ready->hki_waiter || ready->hki_flying ? -EBUSY : start(ready);

    if (rc == 0) {
        ready->hki_flying = true;
        ready->hki_waiter = w;
    } else if (hk_waiter_claim(w)) {
        hk_wake(w, rc); /* what came of it, at once */
    }
}

static void case_dequeue(void *object, hk_waiter *w)
{
    hk_ready *ready = object;

    if (ready->hki_waiter != w)
        return;
    ready->hki_waiter = NULL;
    ready->hki_leaving = w;
    hk_op_cancel(&ready->hki_op);
}

static void case_settle(void *object, hk_waiter *w)
{
    hk_ready *ready = object;
    hk_waiter settler;

    hk_lock_acquire(&ready->hki_lock);
    if (ready->hki_leaving != w) {
        hk_lock_release(&ready->hki_lock);
        return;
    }
    hk_waiter_init(&settler, &settle_kind, ready);
    ready->hki_settler = &settler;
    hk_lock_release(&ready->hki_lock);
    (void)hk_park(&settler, NULL); /* it has been cancelled: not for long */
}

const hk_waitable hk_ready_waiting = {
    .kind = &ready_kind,
    .lock = case_lock,
    .attempt = case_attempt,
    .enqueue = case_enqueue,
    .dequeue = case_dequeue,
    .settle = case_settle,
};
