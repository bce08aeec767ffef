/* SPDX-License-Identifier: MIT */
/* Tasks of a worker that are next and have no stack (options.stacks_max). */
#ifndef HKI_CORE_STARVED_H
#define HKI_CORE_STARVED_H

#include "core/worker.h"

void hki_starved_push(struct hki_worker *worker, struct hki_task *task);
/* The oldest, when it would get a stack now; else NULL. */
struct hki_task *hki_starved_pop(struct hki_worker *worker);

/* True: every stack is held by a task that waits in a join, so that none comes free. */
static inline bool hki_starved_is_stuck(const struct hki_worker *worker)
{
    return worker->starved && worker->stacks.in_use >= worker->stacks.stacks_max &&
           worker->stacks.in_use == worker->joins;
}

/* Then: the parent of one of them runs it on its own stack (hki_task_run_children).
 * False: where it could, there is no room left. */
bool hki_starved_lend(struct hki_worker *worker);
/* Then: the oldest fails, or all would wait for ever. */
void hki_starved_fail(struct hki_worker *worker);

/* `task`, which has not started and is in no queue, ends with `rc`: it got no stack. */
void hki_task_fail_unstarted(struct hki_worker *worker, struct hki_task *task, int rc);

#endif
