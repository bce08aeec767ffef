/* SPDX-License-Identifier: MIT */
/*
 * Spawning: a record, filled in, belongs to its scope and goes into a queue: the ready
 * queue of the caller's worker, in a parallel scope the one from which idle workers
 * take, and from a plain thread the inbox of the worker that serves it.
 */
#include "core/record.h"
#include "core/runtime.h"
#include "core/scope.h"
#include "core/workers.h"

#include "base/list.h"

static void share(struct hki_worker *worker, struct hki_task *task)
{
    task->next = NULL;
    hki_lock_acquire(&worker->shared_lock);
    if (worker->shared_head)
        worker->shared_tail->next = task;
    else
        worker->shared_head = task;
    worker->shared_tail = task;
    __atomic_store_n(&worker->shared_count, worker->shared_count + 1, __ATOMIC_SEQ_CST);
    hki_lock_release(&worker->shared_lock);
}

/* Makes one sleeping worker look for shared tasks. */
static void wake_an_idle_worker(struct hki_runtime *runtime)
{
    if (!__atomic_load_n(&runtime->idle, __ATOMIC_SEQ_CST))
        return;
    for (uint32_t i = 0; i < hki_worker_count(runtime); i++) {
        struct hki_worker *worker = &runtime->workers[i];

        if (__atomic_load_n(&worker->sleeping, __ATOMIC_RELAXED) != HKI_AWAKE) {
            hki_worker_notify(worker);
            return;
        }
    }
}

static int spawn_far(hk_scope *scope, struct hki_self *self, uint16_t flags,
                     const char *name, hk_task_fn *fn, void *arg, hk_task_id *out_id);

/* Without a look whether the caller is inside; a failure is only returned. In line, in
 * each of its callers: the call would cost a spawn a tenth. */
static inline __attribute__((always_inline)) int spawn(hk_scope *scope,
                                                       struct hki_self *self,
                                                       uint16_t flags, const char *name,
                                                       hk_task_fn *fn, void *arg,
                                                       hk_task_id *out_id)
{
    struct hki_worker *worker = self->worker;
    struct hki_task *task;

    if (HKI_UNLIKELY(!worker))
        return spawn_far(scope, self, flags, name, fn, arg, out_id);
    task = hki_task_new(worker, name, fn, arg);
    if (HKI_UNLIKELY(!task))
        return -ENOMEM;
    task->self.flags |= flags;
    if (out_id)
        *out_id = hki_task_id_of(worker->runtime, task);
    if (HKI_LIKELY(scope) && hki_scope_add_task(scope, self, &task->self) &&
        (hki_scope_flags_of(scope) & HKI_SCOPE_PARALLEL) &&
        hki_worker_count(worker->runtime) > 1) {
        share(worker, task);
        wake_an_idle_worker(worker->runtime);
    } else {
        hki_ready_push(worker, task);
    }
    return 0;
}

int hki_spawn(hk_scope *scope, const char *name, hk_task_fn *fn, void *arg)
{
    return spawn(scope, hki_self(), HKI_TASK_JOB, name, fn, arg, NULL);
}

int hk_spawn_named(hk_scope *scope, const char *name, hk_task_fn *fn, void *arg,
                   hk_task_id *out_id)
{
    struct hki_self *self = hki_self();
    int rc;

    if (HKI_UNLIKELY(self->scope != scope))
        hki_scope_check_inside(scope, self);
    rc = spawn(scope, self, 0, name, fn, arg, out_id);
    if (HKI_UNLIKELY(rc < 0))
        hk_scope_fail(scope, rc);
    return rc;
}

int hk_spawn(hk_scope *scope, hk_task_fn *fn, void *arg)
{
    return hk_spawn_named(scope, NULL, fn, arg, NULL);
}

/* ---- on a plain thread ---- */

/* A task that was spawned on a plain thread arrives at its worker. Until it starts, its
 * record has no scope and no waiter: those two words carry the message. */
static void far_task_arrives(hk_inbox_node *node, struct hki_worker *worker)
{
    struct hki_task *task = hki_container_of(node, struct hki_task, self.scope);

    task->self.scope = NULL;
    task->self.waiter = NULL;
    HKI_COUNT(worker->tasks_spawned, 1);
    hki_ready_push(worker, task);
}

/* Where a plain thread's task runs: with the next task around its scope, which is there
 * when hocket has started the thread; else on the background runtime. */
static int far_worker(const hk_scope *scope, struct hki_worker **out)
{
    for (; scope; scope = scope->hki_owner->parent) {
        *out = scope->hki_owner->worker;
        if (*out)
            return 0;
    }
    return hki_background_worker(out);
}

static int spawn_far(hk_scope *scope, struct hki_self *self, uint16_t flags,
                     const char *name, hk_task_fn *fn, void *arg, hk_task_id *out_id)
{
    struct hki_worker *worker;
    struct hki_task *task = NULL;
    hk_inbox_node *node;
    int rc = far_worker(scope, &worker);

    if (rc == 0) {
        task = hki_runtime_take_record(worker->runtime);
        rc = task ? 0 : -ENOMEM;
    }
    if (rc < 0)
        return rc;
    hki_record_fill(task, worker, name, fn, arg);
    task->self.flags |= flags;
    if (out_id)
        *out_id = hki_task_id_of(worker->runtime, task);
    hki_scope_add_task(scope, self, &task->self);
    __atomic_fetch_or(&task->self.flags, HKI_TASK_LIVE, __ATOMIC_RELEASE);
    node = (hk_inbox_node *)(void *)&task->self.scope;
    node->hki_run = far_task_arrives;
    hki_worker_post(worker, node);
    return 0;
}

_Static_assert(offsetof(struct hki_self, waiter) ==
                   offsetof(struct hki_self, scope) + sizeof(void *),
               "a message fits over scope and waiter");
