/* SPDX-License-Identifier: MIT */
/*
 * The life of a task: spawned, started on a stack, ended; and the stack passed on to
 * the next task that has none, without a switch, when the one that ended never waited.
 */
#include "core/task.h"

#include "core/check.h"
#include "core/runtime.h"
#include "core/scope.h"
#include "core/thread.h"
#include "base/list.h"
#include "core/worker.h"
#include "core/workers.h"
#include "sys/function_name.h"
#include "sys/os.h"

/* ---- records ---- */

static struct hki_task *record_get(struct hki_worker *worker)
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
static inline void fill_record(struct hki_task *task, struct hki_worker *worker,
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

struct hki_task *hki_task_new(struct hki_worker *worker, const char *name,
                              hk_task_fn *fn, void *arg)
{
    struct hki_task *task = record_get(worker);

    if (HKI_UNLIKELY(!task))
        return NULL;
    fill_record(task, worker, name, fn, arg);
    __atomic_store_n(&task->self.flags, HKI_TASK_LIVE, __ATOMIC_RELEASE);
    HKI_COUNT(worker->tasks_spawned, 1);
    return task;
}

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
    struct hki_task *task = record_get(worker);
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
    fill_record(task, worker, found.name, found.fn, found.arg);
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
    if (HKI_UNLIKELY(task->stack->locals))
        hki_locals_destroy(&task->stack->locals);
    if (HKI_UNLIKELY(task->stack->holds))
        hki_check_ends(&task->self);
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

/* ---- spawn ---- */

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
    fill_record(task, worker, name, fn, arg);
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

/* ---- yield, and who am I ---- */

/* Nobody to yield to; now and then the loop gets its turn. In line: a call would cost a
 * yield a fourth. */
static inline __attribute__((always_inline)) bool nobody_else(struct hki_worker *worker)
{
    if (HKI_LIKELY(worker->ready_head) || worker->ticks <= 0 ||
        hki_worker_has_messages(worker))
        return false;
    worker->ticks--;
    return true;
}

int hk_yield(void)
{
    struct hki_self *self = hki_self();
    struct hki_worker *worker = self->worker;
    int rc = hki_enter(self);

    if (HKI_UNLIKELY(rc < 0))
        return rc;
    if (HKI_UNLIKELY(!worker)) {
        hki_os_yield();
        return 0;
    }
    self->budget = HKI_BUDGET;
    if (nobody_else(worker))
        return 0;
    hki_ready_push(worker, hki_task_of(self));
    return hki_switch_away(hki_switch, worker, hki_task_of(self));
}

void hki_self_exhausted(struct hki_self *self)
{
    struct hki_worker *worker = self->worker;

    self->budget = HKI_BUDGET;
    if (self->kind != HKI_SELF_TASK)
        return;
    hki_ready_push(worker, hki_task_of(self));
    (void)hki_switch_away(hki_switch_by_return, worker, hki_task_of(self));
}

void hki_workers_share(struct hki_self *self)
{
    struct hki_worker *worker = self->worker;

    self->budget = HKI_BUDGET;
    if (self->kind != HKI_SELF_TASK || nobody_else(worker))
        return;
    worker->breathes = true;
    hki_self_exhausted(self);
}

void hki_workers_breathe(struct hki_self *self)
{
    if (self->kind != HKI_SELF_TASK)
        return;
    self->worker->ticks = 0;
    self->worker->breathes = true;
    hki_self_exhausted(self);
}

int hk_budget(void)
{
    hki_spend(hki_self());
    return 0;
}

static const char *name_of(const struct hki_task *task, bool patient)
{
    hk_task_fn *fn = hki_task_is_started(task) ? task->stack->fn : task->fn;
    const char *name = task->name;

    if (!name)
        name = hki_function_name((const void *)(uintptr_t)fn, patient);
    return name ? name : "unnamed";
}

const char *hki_task_display_name(const struct hki_task *task)
{
    return name_of(task, true);
}

const char *hki_task_name_in_handler(const struct hki_task *task)
{
    return name_of(task, false);
}

const char *hki_self_name(const struct hki_self *self)
{
    if (self->kind == HKI_SELF_TASK)
        return hki_task_display_name((const struct hki_task *)(const void *)self);
    return self->kind == HKI_SELF_THREAD
               ? ((const struct hki_thread *)(const void *)self)->name
               : "event loop";
}

const char *hk_task_name(void)
{
    return hki_self_name(hki_self());
}

void hk_task_rename(const char *name)
{
    struct hki_self *self = hki_self();

    if (self->kind == HKI_SELF_TASK)
        hki_task_of(self)->name = name;
}
