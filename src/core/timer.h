/* SPDX-License-Identifier: MIT */
/*
 * The timer wheel of one worker: eight levels of 64 slots, each level 64 times coarser
 * than the one below, the finest slot 2^14 ns (16 us). Set and cancel are a handful of
 * instructions whatever the number of timers; a timer moves down at most seven times.
 *
 * Exactness: a slot is emptied when its time is over, or, for the slot that is now,
 * timer by timer: nothing fires before its own nanosecond.
 */
#ifndef HKI_CORE_TIMER_H
#define HKI_CORE_TIMER_H

#include <hocket/timer.h>

enum {
    HKI_WHEEL_LEVELS = 8,
    HKI_WHEEL_SLOTS = 64,
    HKI_WHEEL_BITS = 6,
    HKI_WHEEL_TICK_SHIFT = 14,
};

struct hki_wheel {
    uint64_t tick;                       /* every earlier tick has been dealt with */
    uint64_t occupied[HKI_WHEEL_LEVELS]; /* one bit for each slot with a timer */
    hk_timer *slots[HKI_WHEEL_LEVELS][HKI_WHEEL_SLOTS];
    uint64_t count;
};

void hki_wheel_init(struct hki_wheel *wheel, int64_t now_ns);
void hki_wheel_set(struct hki_wheel *wheel, hk_timer *timer, int64_t deadline_ns);
bool hki_wheel_cancel(struct hki_wheel *wheel, hk_timer *timer);

/* Calls everything that is due at `now_ns`, in order of time; returns how many. */
uint64_t hki_wheel_fire(struct hki_wheel *wheel, int64_t now_ns);

/*
 * When to call hki_wheel_fire next: never later than the earliest timer, HK_NEVER when
 * there is none. `exact`: that very timer's time, at the cost of a walk (for the
 * virtual clock); else at most one tick of 16 us late.
 */
int64_t hki_wheel_next(struct hki_wheel *wheel, bool exact);

#endif
