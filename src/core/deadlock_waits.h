/* SPDX-License-Identifier: MIT */
/* All waits of a process in which everybody stands still, and the cycles among them. */
#ifndef HKI_CORE_DEADLOCK_WAITS_H
#define HKI_CORE_DEADLOCK_WAITS_H

#include "core/report.h"
#include "core/thread.h"

struct hki_runtime;

/* A thread that runs a loop is counted as its worker. */
static inline bool hki_thread_is_plain(const struct hki_thread *thread)
{
    return __atomic_load_n(&thread->thread_id, __ATOMIC_ACQUIRE) &&
           !__atomic_load_n(&thread->is_ours, __ATOMIC_ACQUIRE);
}

/* Calls `visit` for each task and plain thread that waits, and for each joiner that
 * lends its stack to a child: that one has no waiter. */
void hki_waits_visit(struct hki_runtime *pinned,
                     void (*visit)(struct hki_self *self, void *ctx), void *ctx);

/*
 * Writes the cycles among them to `report`. `count_max` is how many there are. If any
 * wait in a cycle can be undone, `*victim` becomes the youngest of these.
 */
void hki_waits_name_cycles(struct hki_report *report, struct hki_runtime *pinned,
                           size_t count_max, struct hki_self **victim);

#endif
