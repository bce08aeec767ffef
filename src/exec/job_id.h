/* SPDX-License-Identifier: MIT */
/*
 * Ids of jobs: no two jobs of a program have the same, its worker processes included,
 * which make jobs of their own.
 *
 *     0 (63 bits)                            of the program, from 1 on
 *     1 | worker (31 bits) | job (32 bits)   of a worker; workers are counted as they
 *                                            are started
 *
 * Only a whole job (exec/executor.h) has its id from the beginning.
 */
#ifndef HKI_EXEC_JOB_ID_H
#define HKI_EXEC_JOB_ID_H

#include <stdint.h>

/* Any thread. */
uint64_t hki_job_id_new(void);

/* In the program: what the ids of one more worker begin with. Any thread. */
uint64_t hki_job_ids_of_worker(void);
/* In the worker, before it has made a job. */
void hki_job_ids_begin(uint64_t first);

#endif
