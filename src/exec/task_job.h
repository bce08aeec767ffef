/* SPDX-License-Identifier: MIT */
/*
 * Jobs that are tasks: what executors share whose ops->has_tasks.
 *
 * Before it starts such a job needs no cancel: it finds out itself that it was dropped.
 */
#ifndef HKI_EXEC_TASK_JOB_H
#define HKI_EXEC_TASK_JOB_H

#include "exec/executor.h"

/* What the task runs: `job` is gone afterwards. Returns 0. */
int hki_task_job_run(void *job);

/* Jobs of hk_tasks() that have not ended, and in a pool of tasks those that run without
 * a turn: at most so many. Tests make it less. */
extern uint64_t hki_tasks_max;
extern uint32_t hki_without_turn_max;

/* Their ops->cancel. */
int hki_task_job_cancel(hk_executor *executor, struct hki_job *job, hk_cancel_how how);

#endif
