/* SPDX-License-Identifier: MIT */
/*
 * The life of a task after its spawn (core/spawn.c): started on a stack, ended; and the
 * stack passed on to the next task that has none, without a switch, when the one that
 * ended never waited.
 */
#include "core/task.h"

#include "core/check.h"
#include "core/record.h"
#include "core/runtime.h"
#include "core/scope.h"
#include "core/worker.h"
#include "core/workers.h"

void hki_task_free(struct hki_worker *worker, struct hki_task *task)
{
    bool remote = task->self.flags & HKI_TASK_REMOTE;

    task->self.flags = 0;
    __atomic_store_n(&task->generation, task->generation + 1, __ATOMIC_RELAXED);
    if (remote) {
        /* Its spawner lives elsewhere and will want the record again. */
        hki_runtime_return_record(worker->runtime, task);
        return;
    }
    task->next = worker->free_tasks;
    worker->free_tasks = task;
}

/* ---- start and end ---- */

static void task_main(void);

static inline void fill_top(struct hki_stack_top *top, struct hki_task *task,
                            const char *low)
{
    top->task = task;
    top->fn = task->fn;
    top->arg = task->arg;
    top->exceptions[0] = top->exceptions[1] = NULL;
    top->locals = NULL;
    top->holds = NULL;
    top->low = low;
    top->cancel_posted = 0;
    top->reads.count = 0;
    top->reads.more = NULL;
    task->stack = top;
}

static void adopt_stack(struct hki_task *task, struct hki_stack *stack)
{
    fill_top((struct hki_stack_top *)(void *)stack, task, stack->context.low);
    if ((task->self.flags & HKI_TASK_REMOTE) && task->self.parent) {
        /* Under the lock a canceller sees it either unstarted, and we see the
         * scope's flag here, or started, and it posts to us. */
        hki_lock_acquire(&task->self.parent->hki_lock);
        task->self.flags |= HKI_TASK_STARTED;
        hki_lock_release(&task->self.parent->hki_lock);
    } else {
        task->self.flags |= HKI_TASK_STARTED;
    }
    if (HKI_UNLIKELY((task->self.flags & HKI_TASK_CANCELLED) ||
                     (task->self.parent &&
                      (hki_scope_flags_of(task->self.parent) & HKI_SCOPE_EFFECTIVE))))
        task->self.attention = HKI_CANCELLED;
}

int hki_task_start(struct hki_worker *worker, struct hki_task *task)
{
    struct hki_stack *stack;
    int rc = hki_stack_get(&worker->stacks, &stack);

    if (HKI_UNLIKELY(rc < 0))
        return rc;
    adopt_stack(task, stack);
    task->sp = hki_context_make(stack, task_main);
    return 0;
}

/* ---- found work ---- */

static void link_found(struct hki_worker *worker, struct hki_self *self)
{
    self->sibling_next = worker->found;
    self->sibling_link = &worker->found;
    if (worker->found)
        worker->found->sibling_link = &self->sibling_next;
    worker->found = self;
}

/* A record for the next piece of work, filled in; NULL: there is none. */
static struct hki_task *find_task(struct hki_worker *worker)
{
    struct hki_task *task = hki_record_get(worker);
    struct hki_found found;

    if (HKI_UNLIKELY(!task)) {
        worker->is_full = true;
        return NULL;
    }
    if (!worker->source->find(worker->source, &found)) {
        task->next = worker->free_tasks;
        worker->free_tasks = task;
        return NULL;
    }
    hki_record_fill(task, worker, found.name, found.fn, found.arg);
    task->self.parent = found.scope;
    link_found(worker, &task->self);
    __atomic_store_n(&task->self.flags,
                     HKI_TASK_LIVE | HKI_TASK_JOB | HKI_TASK_FOUND |
                         (found.is_counted ? HKI_TASK_COUNTED : 0u),
                     __ATOMIC_RELEASE);
    HKI_COUNT(worker->tasks_spawned, 1);
    return task;
}

struct hki_task *hki_task_find(struct hki_worker *worker)
{
    struct hki_stack *stack;
    struct hki_task *task;

    worker->is_full = hki_stack_get(&worker->stacks, &stack) < 0;
    if (worker->is_full) /* what is found must run: another worker may have one */
        return NULL;
    task = find_task(worker);
    if (!task) {
        hki_stack_put(&worker->stacks, stack);
        return NULL;
    }
    adopt_stack(task, stack);
    task->sp = hki_context_make(stack, task_main);
    return task;
}

/* Tells the parent, or the runtime, and gives the record back. Returns whether the
 * stack is free, too: a zombie keeps it until its cancel message has come. */
static bool account_end(struct hki_worker *worker, struct hki_task *task, int result)
{
    HKI_HB_RELEASE(worker->runtime); /* to who called hk_run */
    HKI_HB_RELEASE(worker);          /* to hk_test_wait_all_blocked */
    if (task->self.parent) {
        hki_scope_child_done(task->self.parent, &task->self, result);
    } else if (!worker->runtime->background) {
        worker->runtime->result = result;
        __atomic_store_n(&worker->runtime->finished, 1, __ATOMIC_RELEASE);
        worker->ticks = 0; /* the loop shall see it now */
    }
    if (task->self.flags & HKI_TASK_ZOMBIE)
        return false;
    hki_task_free(worker, task);
    return true;
}

_Noreturn static void leave_for_good(struct hki_worker *worker, struct hki_stack *from)
{
    struct hki_task *next = worker->ready_head;
    struct hki_context *context = &worker->loop_context;
    void *sp = worker->loop_sp;

    if (next && worker->ticks > 0 && hki_task_is_started(next)) {
        worker->ready_head = next->next;
        hki_exceptions_load(worker, next);
        hki_make_current(worker, next);
        context = &hki_stack_of(next->stack)->context;
        sp = next->sp;
    } else {
        worker->current = NULL;
        hki_self_current = &worker->loop_self;
    }
#ifdef HKI_CONTEXT_TOOLS
    hki_context_leave(&from->context, context, true);
#else
    (void)from;
    (void)context;
#endif
    hki_switch_for_good(sp);
}

/* Code of the program may run on the task after its function: then its argument, which
 * may be gone, does not count any more. */
static void run_ends(struct hki_task *task)
{
    task->stack->arg = NULL;
    if (task->stack->locals)
        hki_locals_destroy(&task->stack->locals);
    if (task->stack->holds)
        hki_check_ends(&task->self);
}

static inline void check_end(struct hki_task *task)
{
    if (HKI_UNLIKELY(task->self.scope == &task->self.worker->runtime->root))
        (void)hk_scope_join(
            task->self.scope); /* of jobs: their errors are told there */
    if (HKI_UNLIKELY(task->self.scope))
        hki_panic("task '%s' returned with scope '%s' open: join it first",
                  hki_task_display_name(task), hki_scope_left_name(&task->self));
    if (HKI_UNLIKELY(task->self.forks))
        hki_panic("task '%s' returned without joining what it forked",
                  hki_task_display_name(task));
    if (HKI_UNLIKELY(task->stack->locals || task->stack->holds))
        run_ends(task);
}

/* Tells its end, once. */
static void tell_found_ended(struct hki_worker *worker, struct hki_self *self)
{
    HKI_HB_RELEASE(worker->runtime); /* as account_end */
    HKI_HB_RELEASE(worker);
    if (self->parent)
        HKI_HB_RELEASE(self->parent); /* what it did is seen after the join */
    if (self->flags & HKI_TASK_COUNTED)
        worker->source->ended(worker->source, self->parent);
    self->flags &= (uint16_t)~HKI_TASK_COUNTED;
    self->parent = NULL;
}

static void end_found(struct hki_worker *worker, struct hki_task *task)
{
    struct hki_self *self = &task->self;

    tell_found_ended(worker, self);
    *self->sibling_link = self->sibling_next;
    if (self->sibling_next)
        self->sibling_next->sibling_link = self->sibling_link;
    hki_task_free(worker, task);
}

/*
 * The current task, of found work, has ended and nobody else is ready: goes on as the
 * next piece, in the same record and on the same stack. False: there is none.
 */
static bool becomes_next_found(struct hki_worker *worker, struct hki_task *task)
{
    struct hki_stack_top *top = task->stack;
    struct hki_found found;

    if (worker->ready_head || worker->ticks <= 0)
        return false;
    tell_found_ended(worker, &task->self);
    if (!worker->source->find(worker->source, &found))
        return false;
    HKI_COUNT(worker->tasks_spawned, 1);
    __atomic_store_n(&task->generation, task->generation + 1, __ATOMIC_RELAXED);
    task->self.attention = 0;
    task->self.budget = HKI_BUDGET;
    task->self.parent = found.scope;
    __atomic_store_n(&task->self.flags,
                     HKI_TASK_LIVE | HKI_TASK_STARTED | HKI_TASK_JOB | HKI_TASK_FOUND |
                         (found.is_counted ? HKI_TASK_COUNTED : 0u),
                     __ATOMIC_RELEASE);
    task->name = found.name;
    top->fn = found.fn;
    top->arg = found.arg;
    top->exceptions[0] = top->exceptions[1] = NULL;
    if (found.scope && (hki_scope_flags_of(found.scope) & HKI_SCOPE_EFFECTIVE))
        task->self.attention = HKI_CANCELLED;
    HKI_HB_RELEASE(task);
    hki_make_current(worker, task);
    return true;
}

/* Ends the current task and makes the next one that needs a stack current on this one;
 * when there is none, leaves for good. */
static void end_and_pass_on(struct hki_worker *worker, struct hki_task *task,
                            int result)
{
    struct hki_stack *stack = hki_stack_of(task->stack);
    struct hki_task *next;

    check_end(task);
    HKI_COUNT(worker->tasks_ended, 1); /* before anybody is told, who may look */
    if (HKI_UNLIKELY(task->self.flags & HKI_TASK_FOUND)) {
        if (becomes_next_found(worker, task))
            return;
        end_found(worker, task);
    } else if (!account_end(worker, task, result)) {
        leave_for_good(worker, stack);
    }

    if (HKI_UNLIKELY(worker->source)) {
        worker->source->turns_away(worker->source);
        HKI_HB_RELEASE(worker->runtime); /* to who stops it */
    }
    next = worker->ready_head;
    if (next && worker->ticks > 0 && !hki_task_is_started(next)) {
        worker->ready_head = next->next;
        adopt_stack(next, stack);
        hki_make_current(worker, next);
        return;
    }
    hki_stack_put(&worker->stacks, stack);
    leave_for_good(worker, stack);
}

/* The first function on every stack. It never returns. */
static void task_main(void)
{
    struct hki_worker *worker = hki_worker_current;

#ifdef HKI_CONTEXT_TOOLS
    hki_context_arrive(&hki_stack_of(worker->current->stack)->context, true);
#endif
    for (;;) {
        struct hki_task *task = worker->current;
        int result;

        HKI_HB_ACQUIRE(task);
        result = task->stack->fn(task->stack->arg);
        HKI_HB_RELEASE(task); /* to the next task with this record, and its budget */
        end_and_pass_on(worker, task, result);
    }
}

/* ---- children on the joiner's stack ---- */

static void run_child(struct hki_worker *worker, struct hki_task *task, const char *low)
{
    struct hki_stack_top top;
    int result;

    fill_top(&top, task, low);
    task->self.flags |= HKI_TASK_STARTED;
    if (HKI_UNLIKELY((task->self.flags & HKI_TASK_CANCELLED) ||
                     (hki_scope_flags_of(task->self.parent) & HKI_SCOPE_EFFECTIVE)))
        task->self.attention = HKI_CANCELLED;
    hki_make_current(worker, task);
    /* It may wait, and come back here much later. Its exceptions stop here: the joiner
     * must not catch them. */
    result = hki_call_as_first(top.fn, top.arg);
    check_end(task);
    HKI_COUNT(worker->tasks_ended, 1);
    (void)account_end(worker, task, result);
}

/* Half of the reservation must be left for the child (a quarter is guard). */
static bool has_room(const struct hki_worker *worker, const char *low, const char *here)
{
    return (size_t)(here - low) > worker->stacks.stack_size / 2;
}

void hki_task_run_children(hk_scope *scope, struct hki_task *joiner)
{
    struct hki_worker *worker = joiner->self.worker;
    const char *low = joiner->stack->low;
    struct hki_task *child = worker->ready_head;

#ifdef HKI_CONTEXT_TOOLS
    return; /* the tools know one task for each stack */
#endif
    if (!child || child->self.parent != scope ||
        !has_room(worker, low, __builtin_frame_address(0)))
        return;
    joiner->self.flags |= HKI_TASK_LENDS;
    hki_exceptions_save(worker, joiner);
    while (child && child->self.parent == scope && !hki_task_is_started(child) &&
           !(child->self.flags & HKI_TASK_REMOTE) && worker->ticks > 0) {
        worker->ready_head = child->next;
        if (worker->exceptions)
            worker->exceptions[0] = worker->exceptions[1] = NULL;
        run_child(worker, child, low);
        child = worker->ready_head;
    }
    worker->current = joiner;
    hki_self_current = &joiner->self;
    hki_exceptions_load(worker, joiner);
    joiner->self.flags &= (uint16_t)~HKI_TASK_LENDS;
}

bool hki_task_can_lend(const struct hki_task *joiner)
{
#ifdef HKI_CONTEXT_TOOLS
    (void)joiner;
    return false; /* as above */
#else
    enum { FRAMES = 4096 }; /* more than lies between a park in a join and the join */

    return has_room(joiner->self.worker, joiner->stack->low,
                    (const char *)joiner->sp - FRAMES);
#endif
}
