/* SPDX-License-Identifier: MIT */
/*
 * In a worker process: what its one thread cannot do while a job runs there. A second
 * one, the clerk, which is there only when it is needed, sleeps until the program wants
 * something of the worker.
 *
 * Jobs that the job submits: they travel up the channel to the program, which runs them
 * in its other workers (exec/request.c), and their results come back.
 *
 * A job that is cancelled, and asked to end before it is killed: it runs in a scope,
 * which the clerk cancels.
 */
#ifndef HKI_EXEC_CLERK_H
#define HKI_EXEC_CLERK_H

#include "exec/channel.h"
#include "exec/executor.h"

/* As submit and cancel of hki_executor_ops. */
int hki_clerk_submit(struct hki_job *job, enum hki_submit_how how);
int hki_clerk_cancel(const struct hki_job *job, hk_cancel_how how);

/* Starts it. 0, -EAGAIN or -ENOMEM. */
int hki_clerk_start(void);

/* From here to there the job of `slot` runs in `scope`, which is open. */
void hki_clerk_job_begins(const struct hki_slot *slot, hk_scope *scope);
void hki_clerk_job_ends(void);

#endif
