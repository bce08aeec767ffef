/* SPDX-License-Identifier: MIT */
/*
 * Which job the caller is. A job does not know its thread, nor the thread its job: that
 * would cost each small job some stores for what few ask. But a task knows its
 * argument, and a worker process the slot of the job that it runs.
 */
#include "exec/executor.h"

#include "exec/job_id.h"
#include "exec/letter.h"

#include <hocket/task.h>

#include <errno.h>
#include <string.h>

_Static_assert(offsetof(struct hki_job, work) == 0,
               "a job that is a task is its argument, however it was submitted");
_Static_assert(sizeof(void *) == sizeof(uint64_t), "a task-local value can be an id");

/* Of a job that is not whole and so has no place for one: it is its task's, which runs
 * nothing else, and goes with it. */
static int small_id(uint64_t *out)
{
    static hk_local local = HK_LOCAL_INIT(NULL);
    uint64_t id = (uint64_t)(uintptr_t)hk_local_get(&local);
    int rc = 0;

    if (id == 0) {
        id = hki_job_id_new();
        rc = hk_local_set(&local, (void *)(uintptr_t)id);
    }
    if (rc == 0)
        *out = id;
    return rc;
}

static int identity_of(const struct hki_job *job, hk_job_identity *out)
{
    uint64_t id = 0;
    int rc = 0;

    if (job->is_whole)
        id = job->id;
    else
        rc = small_id(&id);
    if (rc < 0)
        return rc;
    *out = (hk_job_identity){
        .id = id,
        .attempt = job->attempt,
        .attempts_max = job->attempts_max,
        .name = job->work.name,
    };
    if (job->is_whole)
        memcpy(out->key, job->key, sizeof(out->key));
    return 0;
}

int hk_job_self(hk_job_identity *out)
{
    void *job = NULL;

    switch (hki_caller(&job)) {
    case HKI_CALLER_JOB: return identity_of(job, out);
    case HKI_CALLER_THREAD: return hki_letter_identity(out);
    case HKI_CALLER_OTHER: break;
    }
    return -ESRCH;
}
