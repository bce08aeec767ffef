/* SPDX-License-Identifier: MIT */
/* Starting and ending the threads of a runtime's workers: for who makes runtimes. */
#ifndef HKI_CORE_LAUNCH_H
#define HKI_CORE_LAUNCH_H

#include "core/runtime.h"

#include <time.h>

/* By the thread that is going to be the worker: io_uring demands that. */
int hki_worker_open_poller(struct hki_worker *worker);
void hki_worker_close_poller(struct hki_worker *worker);

/* Starts the worker's thread; returns when its loop can run, or why it cannot. */
int hki_worker_launch(struct hki_worker *worker);

/* The same for the workers `from` to the last; on failure none of them runs. */
int hki_runtime_launch(struct hki_runtime *runtime, uint32_t from);

/* From now on no worker is launched, or comes back; those that run end. */
void hki_runtime_tell_end(struct hki_runtime *runtime);

/* Waits for the threads of workers from..to; those of abandoned runtimes are not waited
 * for any longer than until `end`, a CLOCK_REALTIME that is set before. */
void hki_runtime_join(struct hki_runtime *runtime, uint32_t from, uint32_t to);
void hki_abandoned_join_until(const struct timespec *end);

/* Both of them. */
void hki_runtime_stop(struct hki_runtime *runtime, uint32_t from, uint32_t to);

#endif
