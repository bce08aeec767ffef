/* SPDX-License-Identifier: MIT */
/*
 * The virtual clock of a runtime with one worker: stands still while a task can run,
 * and jumps to the next timer when all wait.
 */
#ifndef HKI_CORE_VIRTUAL_CLOCK_H
#define HKI_CORE_VIRTUAL_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct hki_worker;

/* What I/O and blocking calls in flight get of real time before the clock jumps without
 * them. */
#define HKI_VIRTUAL_GRACE_NS INT64_C(1000000)

/* Jumps to the next timer; false when there is none. */
bool hki_virtual_jump(struct hki_worker *worker);

#endif
