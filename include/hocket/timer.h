/* SPDX-License-Identifier: MIT */
/*
 * Timers without a task: a callback at a point in time, for authors of primitives and
 * protocols. Programs use hk_sleep and scope deadlines.
 *
 * Setting and cancelling are O(1), also with a million timers alive (a hashed
 * hierarchical wheel after Varghese and Lauck, 1987). A timer never fires early; it
 * fires in the first turn of the loop at or after its time.
 */
#ifndef HOCKET_TIMER_H
#define HOCKET_TIMER_H

#include <hocket/base.h>

HK_BEGIN_DECLS

/* In the caller's storage, valid when zeroed, must stay in place while set. */
typedef struct hk_timer {
    struct hk_timer *hki_next;
    struct hk_timer **hki_link; /* what points at us; NULL while not set */
    int64_t hki_deadline_ns;
    void (*hki_fire)(struct hk_timer *timer);
} hk_timer;

/*
 * Calls `fire(timer)` on the calling worker's loop when hk_now() >= deadline_ns; by
 * then the timer is no longer set and may be set again. `fire` must not wait. A timer
 * that is set is moved. Never blocks, never fails. On a plain thread it panics.
 */
HK_API void hk_timer_set(hk_timer *timer, int64_t deadline_ns,
                         void (*fire)(hk_timer *timer));

/* Takes it back: false when it was not set. Only on the worker that set it. */
HK_API bool hk_timer_cancel(hk_timer *timer);

HK_END_DECLS

#endif
