/* SPDX-License-Identifier: MIT */
/*
 * Memory of jobs. A job and its future live in one block; blocks of the usual size are
 * kept, and go round between the threads that take and those that give: hardly a lock,
 * and no page goes back to the system to be faulted in again.
 */
#ifndef HKI_EXEC_JOB_MEMORY_H
#define HKI_EXEC_JOB_MEMORY_H

#include <stddef.h>

/* Not zeroed, aligned to 16 bytes, and to a cache line if it is of a usual size. NULL:
 * no memory. */
void *hki_job_memory_take(size_t bytes);
/* `bytes` as it was taken. */
void hki_job_memory_give(void *block, size_t bytes);

#endif
