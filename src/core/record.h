/* SPDX-License-Identifier: MIT */
/*
 * Making a task: its record is taken from the worker's free list and filled in. In line
 * in who spawns and in who finds work, as there is nothing else that costs there.
 */
#ifndef HKI_CORE_RECORD_H
#define HKI_CORE_RECORD_H

#include "core/runtime.h"

static inline struct hki_task *hki_record_get(struct hki_worker *worker)
{
    struct hki_task *task = worker->free_tasks;

    if (HKI_UNLIKELY(!task)) {
        task = hki_runtime_records(worker->runtime);
        if (!task)
            return NULL;
    }
    worker->free_tasks = task->next;
    return task;
}

/* All but LIVE, which is set last: who walks the slabs (core/dump.c) believes the rest
 * when it sees that. The other flags of a free record are 0, and so are its forks. */
static inline void hki_record_fill(struct hki_task *task, struct hki_worker *worker,
                                   const char *name, hk_task_fn *fn, void *arg)
{
    task->self.attention = 0;
    task->self.kind = HKI_SELF_TASK;
    task->self.budget = HKI_BUDGET;
    task->self.scope = NULL;
    task->self.waiter = NULL;
    __atomic_store_n(&task->self.worker, worker, __ATOMIC_RELAXED);
    task->self.parent = NULL;
    task->fn = fn;
    task->arg = arg;
    task->name = name;
    HKI_HB_RELEASE(task); /* what the spawner did is seen by the task */
}

/* A task that is in no scope yet, and in no queue; NULL: no memory. */
static inline struct hki_task *hki_task_new(struct hki_worker *worker, const char *name,
                                            hk_task_fn *fn, void *arg)
{
    struct hki_task *task = hki_record_get(worker);

    if (HKI_UNLIKELY(!task))
        return NULL;
    hki_record_fill(task, worker, name, fn, arg);
    __atomic_store_n(&task->self.flags, HKI_TASK_LIVE, __ATOMIC_RELEASE);
    HKI_COUNT(worker->tasks_spawned, 1);
    return task;
}

#endif
