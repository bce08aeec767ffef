/* SPDX-License-Identifier: MIT */
/*
 * In a worker process: jobs that its job submits. They travel up the channel to the
 * program, which runs them in its other workers (exec/request.c), and their results come
 * back. A thread, the clerk, waits for those; it is there from the first submit on.
 */
#ifndef HKI_EXEC_CLERK_H
#define HKI_EXEC_CLERK_H

#include "exec/executor.h"

/* As submit and cancel of hki_executor_ops. */
int hki_clerk_submit(struct hki_job *job, enum hki_submit_how how);
int hki_clerk_cancel(const struct hki_job *job, hk_cancel_how how);

#endif
