/* SPDX-License-Identifier: MIT */
#include "exec/job_id.h"

enum { RANGE = 1024, WORKER_SHIFT = 32 };

#define OF_WORKER (UINT64_C(1) << 63)

static uint64_t taken;         /* atomic */
static __thread uint64_t last; /* of the thread's */

/* Each thread takes a thousand at a time. Atomic for TSan, which knows no order between
 * the tasks of a thread. */
uint64_t hki_job_id_new(void)
{
    uint64_t id = __atomic_load_n(&last, __ATOMIC_RELAXED);

    if (id % RANGE == 0)
        id = __atomic_fetch_add(&taken, RANGE, __ATOMIC_RELAXED);
    __atomic_store_n(&last, ++id, __ATOMIC_RELAXED);
    return id;
}

uint64_t hki_job_ids_of_worker(void)
{
    static uint64_t workers;
    uint64_t worker = __atomic_fetch_add(&workers, 1, __ATOMIC_RELAXED);

    return OF_WORKER | worker << WORKER_SHIFT;
}

/* A forked worker has those of the program's. */
void hki_job_ids_begin(uint64_t first)
{
    taken = last = first;
}
