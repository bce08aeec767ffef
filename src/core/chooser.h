/* SPDX-License-Identifier: MIT */
/*
 * The choices that a worker makes, as far as their outcome is chance to the program:
 * which message arrives first, which ready task runs, which of two timers of one moment
 * fires first. All of them are asked here while schedules are explored
 * (src/testing/schedule.c); elsewhere `worker->chooser` is NULL.
 *
 * The switch from task to task does not ask. A chooser keeps worker->ticks at 0, and so
 * every switch leads through the loop, which does.
 */
#ifndef HKI_CORE_CHOOSER_H
#define HKI_CORE_CHOOSER_H

#include <hocket/timer.h>

struct hki_worker;

struct hki_chooser {
    /* A turn of the loop begins: reads what shall arrive now, in place of the loop. */
    void (*begin_turn)(struct hki_worker *worker);
    /* There are ready tasks: puts the one that shall run at the head. */
    void (*choose_task)(struct hki_worker *worker);
    /* Timers that may be due together: brings them into any order; they are sorted by
     * time afterwards. */
    hk_timer *(*mix_timers)(hk_timer *list);
    /* No task can run, no operation or timer is left. False: sleep as usual. */
    bool (*get_unstuck)(struct hki_worker *worker);
};

#endif
