/* SPDX-License-Identifier: MIT */
/*
 * Task ids: 12 bits of the runtime's serial, 24 bits of slot, 28 of generation. An id
 * outlives its task and its runtime; what it named is looked up with the registry
 * locked, and the cancel itself happens on the task's worker.
 */
#include "base/alloc.h"
#include "core/runtime.h"
#include "core/scope.h"

#include <hocket/task.h>

enum { SERIAL_BITS = 12, SLOT_BITS = 24 };

#define GENERATION_MASK ((UINT64_C(1) << 28) - 1)

hk_task_id hki_task_id_of(const struct hki_runtime *runtime, const struct hki_task *task)
{
    uint64_t generation =
        __atomic_load_n(&task->generation, __ATOMIC_RELAXED) & GENERATION_MASK;

    return (hk_task_id){generation << (SERIAL_BITS + SLOT_BITS) |
                        (uint64_t)task->slot << SERIAL_BITS | runtime->serial};
}

hk_task_id hk_task_self(void)
{
    struct hki_self *self = hki_self();

    return self->kind == HKI_SELF_TASK
               ? hki_task_id_of(self->worker->runtime, hki_task_of(self))
               : (hk_task_id){0};
}

static bool names(hk_task_id id, const struct hki_runtime *runtime,
                  const struct hki_task *task)
{
    return (task->self.flags & HKI_TASK_LIVE) && !(task->self.flags & HKI_TASK_ZOMBIE) &&
           hki_task_id_of(runtime, task).value == id.value;
}

struct request {
    hk_inbox_node node;
    hk_task_id id;
    struct hki_task *task;
};

void hki_task_cancel_here(struct hki_task *task)
{
    if (task->self.flags & HKI_TASK_CANCELLED)
        return;
    task->self.flags |= HKI_TASK_CANCELLED;
    if (hki_task_is_started(task))
        hki_cancel_spread_task(task);
}

/* On the worker that had the task when the request was made. A task that no worker had
 * yet may meanwhile have been taken by another: then on to that one. */
static void deliver(hk_inbox_node *node, struct hki_worker *worker)
{
    struct request *request = (struct request *)(void *)node;
    struct hki_task *task = request->task;

    if (names(request->id, worker->runtime, task)) {
        if (task->self.worker != worker) {
            hki_worker_post(task->self.worker, node);
            return;
        }
        hki_task_cancel_here(task);
    }
    hki_free(request);
}

struct lookup {
    hk_task_id id;
    int rc;
};

static void look(struct hki_runtime *runtime, void *ctx)
{
    struct lookup *lookup = ctx;
    struct request *request;
    struct hki_task *task;
    uint32_t slot = (uint32_t)(lookup->id.value >> SERIAL_BITS) & ((1u << SLOT_BITS) - 1);

    if ((lookup->id.value & ((1u << SERIAL_BITS) - 1)) != runtime->serial ||
        !(task = hki_runtime_task(runtime, slot)) || !names(lookup->id, runtime, task))
        return;
    if (task->self.worker == hki_worker_current) {
        hki_task_cancel_here(task);
        lookup->rc = 0;
        return;
    }
    request = hki_alloc(sizeof(*request));
    lookup->rc = request ? 0 : -ENOMEM;
    if (!request)
        return;
    *request = (struct request){.node = {.hki_run = deliver}, .id = lookup->id,
                                .task = task};
    hki_worker_post(task->self.worker, &request->node);
}

int hk_task_cancel(hk_task_id id)
{
    struct lookup lookup = {.id = id, .rc = -ESRCH};

    hki_runtimes_visit(look, &lookup);
    return lookup.rc;
}
