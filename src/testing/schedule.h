/* SPDX-License-Identifier: MIT */
/*
 * One schedule: the chooser of a worker, all of whose choices come from one seed. There
 * is one at a time in a process.
 */
#ifndef HKI_TESTING_SCHEDULE_H
#define HKI_TESTING_SCHEDULE_H

#include "core/worker.h"

#include <hocket/explore.h>

/*
 * From here on `worker`, the caller's, is led by `seed`, with clock and timers as in
 * every schedule. `scope` is cancelled when its tasks wait for ever, or never end.
 */
void hki_schedule_begin(struct hki_worker *worker, hk_scope *scope, uint64_t seed,
                        const hk_explore_options *options);

/* Reads what is still on its way, and gives the worker back its habits. Returns 0,
 * -EDEADLK or -ELOOP. */
int hki_schedule_end(struct hki_worker *worker);

/* Of the one that runs, or ran last. */
uint64_t hki_schedule_trace(void);
uint64_t hki_schedule_steps(void);

/* Frees what all schedules shared. */
void hki_schedule_forget(void);

#endif
