/* SPDX-License-Identifier: MIT */
/*
 * Jobs that wait for a worker: those of a higher priority first, of one priority in
 * order of arrival. Of priorities there are few in use at a time (as a rule one), so
 * each has a list of its own in a list of lists. Guarded by its owner.
 */
#ifndef HKI_EXEC_JOB_QUEUE_H
#define HKI_EXEC_JOB_QUEUE_H

#include "exec/executor.h"

/* All jobs of one priority. */
struct hki_job_band {
    struct hki_job_band *next; /* of a lower priority */
    int32_t priority;
    struct hki_job *first, *last;
};

/* Valid when zeroed. */
struct hki_job_queue {
    struct hki_job_band *bands; /* the highest first; none is empty but the spare */
    struct hki_job_band *spare;
    uint64_t count;
};

/* At the end of its band, or in front of it. 0 or -ENOMEM. */
int hki_job_queue_push(struct hki_job_queue *queue, struct hki_job *job, bool in_front);
/* NULL when empty. */
struct hki_job *hki_job_queue_pop(struct hki_job_queue *queue);
/* Takes out the jobs that are meant: the first of them, linked by `next`. */
struct hki_job *hki_job_queue_take(struct hki_job_queue *queue,
                                   bool (*is_meant)(const struct hki_job *job));
/* The same of those that were cancelled. */
struct hki_job *hki_job_queue_take_dropped(struct hki_job_queue *queue);
/* As hki_job_cancel with HK_KILL, of each; they stay. */
void hki_job_queue_cancel_all(struct hki_job_queue *queue);
/* Empty, but for memory. */
void hki_job_queue_fini(struct hki_job_queue *queue);

#endif
