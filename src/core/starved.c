/* SPDX-License-Identifier: MIT */
/*
 * Tasks that wait for a stack, oldest first: as many have one as options.stacks_max
 * allows. Most of the time another task ends, and the first of them goes on. But it may
 * be that all who have a stack wait in a join for those who have none.
 */
#include "core/starved.h"

#include "core/runtime.h"
#include "core/scope.h"

void hki_starved_push(struct hki_worker *worker, struct hki_task *task)
{
    task->next = NULL;
    if (worker->starved)
        worker->starved_tail->next = task;
    else
        worker->starved = task;
    worker->starved_tail = task;
}

struct hki_task *hki_starved_pop(struct hki_worker *worker)
{
    struct hki_task *task = worker->starved;

    if (!task || worker->stacks.in_use >= worker->stacks.stacks_max)
        return NULL;
    worker->starved = task->next;
    return task;
}

void hki_task_fail_unstarted(struct hki_worker *worker, struct hki_task *task, int rc)
{
    hki_log(HK_LOG_ERROR, "task '%s' got no stack: %s", hki_task_display_name(task),
            hk_error_text(rc));
    HKI_COUNT(worker->tasks_ended, 1);
    if (task->self.parent) {
        hki_scope_child_done(task->self.parent, &task->self, rc);
    } else if (!worker->runtime->background) {
        worker->runtime->result = rc;
        __atomic_store_n(&worker->runtime->finished, 1, __ATOMIC_RELEASE);
    }
    hki_task_free(worker, task);
}

/* Takes the first starved task whose parent can lend it its stack; NULL: none can. */
static struct hki_task *take_lendable(struct hki_worker *worker)
{
    struct hki_task *before = NULL;

    for (struct hki_task *task = worker->starved; task; task = task->next) {
        const hk_scope *scope = task->self.parent;

        if (scope && !(task->self.flags & HKI_TASK_REMOTE) && scope->hki_joiner &&
            hki_task_can_lend(hki_task_of(scope->hki_owner))) {
            if (before)
                before->next = task->next;
            else
                worker->starved = task->next;
            if (worker->starved_tail == task)
                worker->starved_tail = before;
            return task;
        }
        before = task;
    }
    return NULL;
}

bool hki_starved_lend(struct hki_worker *worker)
{
    struct hki_task *task = take_lendable(worker);
    hk_waiter *joiner;

    if (!task)
        return false;
    joiner = task->self.parent->hki_joiner;
    task->self.parent->hki_joiner = NULL;
    hk_wake(joiner, 0); /* looks again what there is to wait for */
    hki_ready_push(worker, task);
    return true;
}

void hki_starved_fail(struct hki_worker *worker)
{
    struct hki_task *task = worker->starved;

    worker->starved = task->next;
    hki_log(HK_LOG_ERROR,
            "all %u stacks (hk_options.stacks_max) are held by tasks that wait for "
            "their children",
            worker->stacks.stacks_max);
    hki_task_fail_unstarted(worker, task, -ENOMEM);
}
