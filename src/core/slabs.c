/* SPDX-License-Identifier: MIT */
/*
 * The records of a runtime's tasks: in slabs that stay until it is freed, so that a
 * slot is a place for good. Workers take free ones by the list, and keep what becomes
 * free; only a record that another worker will want comes back, one at a time.
 */
#include "core/runtime.h"

#include "base/alloc.h"

#include <hocket/testing.h>

#include <stdlib.h>
#include <string.h>

#define SLAB_BYTES (HKI_TASK_SLAB * (sizeof(struct hki_task) + sizeof(uint32_t)))

static struct hki_task *slab_new(struct hki_runtime *runtime)
{
    uint32_t index = runtime->slab_count;
    struct hki_task *slab;

    if (index == HKI_TASK_SLABS_MAX || hki_fault(HK_FAULT_ALLOC))
        return NULL;
    slab = aligned_alloc(64, SLAB_BYTES);
    if (!slab)
        return NULL;
    memset(slab, 0, SLAB_BYTES);
    for (uint32_t i = 0; i < HKI_TASK_SLAB; i++) {
        slab[i].slot = index * HKI_TASK_SLAB + i;
        slab[i].generation = runtime->first_generation;
        slab[i].next = i + 1 < HKI_TASK_SLAB ? &slab[i + 1] : NULL;
        HKI_HB_RELEASE(&slab[i]); /* to the tasks that will use it */
    }
    __atomic_store_n(&runtime->slabs[index], slab, __ATOMIC_RELEASE);
    __atomic_store_n(&runtime->slab_count, index + 1, __ATOMIC_RELEASE);
    return slab;
}

struct hki_task *hki_runtime_records(struct hki_runtime *runtime)
{
    struct hki_task *list;

    hki_lock_acquire(&runtime->slabs_lock);
    list = runtime->free_records;
    runtime->free_records = NULL;
    if (!list)
        list = slab_new(runtime);
    hki_lock_release(&runtime->slabs_lock);
    return list;
}

struct hki_task *hki_runtime_take_record(struct hki_runtime *runtime)
{
    struct hki_task *task;

    hki_lock_acquire(&runtime->slabs_lock);
    if (!runtime->free_records)
        runtime->free_records = slab_new(runtime);
    task = runtime->free_records;
    if (task)
        runtime->free_records = task->next;
    hki_lock_release(&runtime->slabs_lock);
    return task;
}

void hki_runtime_return_record(struct hki_runtime *runtime, struct hki_task *task)
{
    hki_lock_acquire(&runtime->slabs_lock);
    task->next = runtime->free_records;
    runtime->free_records = task;
    hki_lock_release(&runtime->slabs_lock);
}

struct hki_task *hki_runtime_task(struct hki_runtime *runtime, uint32_t slot)
{
    if (slot / HKI_TASK_SLAB >= __atomic_load_n(&runtime->slab_count, __ATOMIC_ACQUIRE))
        return NULL;
    return &__atomic_load_n(&runtime->slabs[slot / HKI_TASK_SLAB],
                            __ATOMIC_ACQUIRE)[slot % HKI_TASK_SLAB];
}

uint32_t *hki_runtime_wanted(struct hki_runtime *runtime, uint32_t slot)
{
    struct hki_task *slab =
        __atomic_load_n(&runtime->slabs[slot / HKI_TASK_SLAB], __ATOMIC_ACQUIRE);

    return (uint32_t *)(void *)(slab + HKI_TASK_SLAB) + slot % HKI_TASK_SLAB;
}
