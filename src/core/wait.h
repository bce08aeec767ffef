/* SPDX-License-Identifier: MIT */
/* The state word of a waiter, and what others in core do with parked ones. */
#ifndef HKI_CORE_WAIT_H
#define HKI_CORE_WAIT_H

#include "base/list.h"
#include "core/self_inline.h"

/* Besides whom it wakes (enum hki_waiter_kind). */
enum hki_wait_state {
    HKI_WAIT_PARKED = 1 << 3,
    HKI_WAIT_WOKEN = 1 << 4,
    HKI_WAIT_ABORTED = 1 << 5,
    HKI_WAIT_FAR = 1 << 6, /* its wake comes as a message, as from another worker */
};

/* Of hk_sleep; the object is the hk_timer that ends it. */
extern const hk_wait_kind hki_sleep_kind;

/*
 * Undoes the wait of a parked task, which then returns `error`; false when it cannot
 * be undone or its wake is on the way. On the task's worker.
 */
bool hki_wait_abort(struct hki_self *self, int error);

/* hk_park, past the checks. */
int hki_wait_park(hk_waiter *w, hk_abort_fn *abort);

/* The testing kit's look at every task that is about to park (cancel torture). NULL,
 * and one predictable branch, everywhere else. Set while no runtime runs. */
extern void (*hki_park_observer)(struct hki_self *self);

#endif
