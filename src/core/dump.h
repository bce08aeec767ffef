/* SPDX-License-Identifier: MIT */
/* The dump, for those who have made the workers stand still already. */
#ifndef HKI_CORE_DUMP_H
#define HKI_CORE_DUMP_H

#include "core/report.h"

#include <hocket/waiter.h>

struct hki_runtime;
struct hki_thread;
struct hki_worker;

/*
 * Adds the tree of every pinned runtime, and the plain threads. `threads_stand`: the
 * caller knows that no plain thread runs, so what they wait for may be looked at, too.
 */
void hki_dump_add(struct hki_report *report, struct hki_runtime *pinned,
                  bool threads_stand);

/* "thread 'reader' (4711) waits for mutex for 3 ms", and more if it `stands` still. */
void hki_dump_add_thread(struct hki_report *report, const struct hki_thread *thread,
                         bool stands);

/* All those that no runtime's tree shows, and the blocking calls. */
void hki_dump_add_threads(struct hki_report *report, bool stand);

/* Tasks of a runtime that have not ended, by its counters. */
uint64_t hki_dump_count_tasks(const struct hki_runtime *runtime);

/* "channel receive (jobs, capacity 8, 0 items)". The waiter stays meanwhile. */
void hki_dump_add_wait(struct hki_report *report, const hk_waiter *waiter);

#endif
