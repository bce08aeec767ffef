/* SPDX-License-Identifier: MIT */
/*
 * The loop of a worker. One turn: messages, timers, completions, then the ready tasks,
 * which switch among themselves until none is left or HKI_TICKS switches have passed.
 * What it does when there is nothing to do is in core/rest.c.
 */
#include "core/worker.h"

#include "core/deadlock.h"
#include "core/ioop.h"
#include "core/rest.h"
#include "core/runtime.h"
#include "core/scope.h"
#include "core/starved.h"
#include "sys/futex.h"
#include "sys/os.h"

#include <string.h>

__thread struct hki_worker *hki_worker_current
    __attribute__((tls_model("initial-exec")));

/* The C++ runtime's, if the program has one. */
extern void *__cxa_get_globals(void) __attribute__((weak));

int hki_worker_init(struct hki_worker *worker, struct hki_runtime *runtime,
                    uint32_t index)
{
    memset(worker, 0, sizeof(*worker));
    worker->runtime = runtime;
    worker->index = index;
    worker->source = runtime->source;
    worker->random = runtime->options.seed + index;
    hki_stack_pool_init(&worker->stacks, runtime->options.stack_size_bytes,
                        runtime->options.stacks_max);
    worker->loop_self = (struct hki_self){
        .attention = HKI_NO_WAITING,
        .kind = HKI_SELF_LOOP,
        .budget = HKI_BUDGET,
        .worker = worker,
    };
    return 0;
}

/* ---- messages from elsewhere ---- */

void hki_worker_notify(struct hki_worker *worker)
{
    uint32_t state = __atomic_load_n(&worker->sleeping, __ATOMIC_SEQ_CST);

    if (state == HKI_AWAKE)
        return;
    if (HKI_UNLIKELY(state == HKI_AWAY)) {
        hki_runtime_bring_back(worker);
        return;
    }
    /* It may wake by itself before we come to wake it, and end: not without us. */
    __atomic_add_fetch(&worker->posters, 1, __ATOMIC_SEQ_CST);
    if (__atomic_compare_exchange_n(&worker->sleeping, &state, HKI_AWAKE, false,
                                    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
        if (state == HKI_SLEEPS_ON_FUTEX)
            hki_futex_wake(&worker->sleeping, 1);
        else
            worker->poller_ops->wake(worker->poller);
    } else if (HKI_UNLIKELY(state == HKI_AWAY)) {
        hki_runtime_bring_back(worker);
    }
    __atomic_sub_fetch(&worker->posters, 1, __ATOMIC_RELEASE);
}

/* What the message wakes may be the last task of its runtime: it has been read before
 * we have looked whether the worker sleeps. So the worker's end waits for us. */
void hki_worker_post(struct hki_worker *worker, hk_inbox_node *node)
{
    __atomic_add_fetch(&worker->posters, 1, __ATOMIC_RELAXED);
    hki_mpsc_push(&worker->inbox, (struct hki_mpsc_node *)(void *)node);
    hki_worker_notify(worker);
    __atomic_sub_fetch(&worker->posters, 1, __ATOMIC_RELEASE);
}

enum { MESSAGES_IN_A_TURN = 256 };

/* As many as a turn may have: a thread that sends without end must not keep the loop
 * from its timers and tasks. */
static void read_inbox(struct hki_worker *worker)
{
    for (int i = 0; i < MESSAGES_IN_A_TURN; i++) {
        hk_inbox_node *node = worker->unread;

        if (!node)
            node = (hk_inbox_node *)(void *)hki_mpsc_take_all(&worker->inbox);
        if (!node)
            return;
        worker->unread = node->hki_next; /* the message may be gone after it ran */
        node->hki_run(node, worker);
    }
}

void hki_worker_fini(struct hki_worker *worker)
{
    while (hki_worker_has_messages(worker))
        read_inbox(worker); /* an hk_task_cancel that came too late */
    hki_stack_pool_fini(&worker->stacks);
}

/* ---- completions ---- */

bool hki_worker_take_completions(struct hki_worker *worker, int64_t timeout_ns)
{
    struct hki_ioreq *req = worker->poller_ops->wait(worker->poller, timeout_ns);
    bool any = req;

    HKI_COUNT(worker->polls, 1);
    while (req) {
        struct hki_ioreq *next = req->next;

        hki_op_completed(worker, req);
        req = next;
    }
    return any;
}

/* ---- shared tasks: those that any worker may start ---- */

/* The lock also keeps hk_task_cancel from marking a task that is being taken. */
static struct hki_task *take_shared(struct hki_worker *from, struct hki_worker *worker)
{
    struct hki_task *task;

    if (!__atomic_load_n(&from->shared_count, __ATOMIC_SEQ_CST))
        return NULL;
    hki_lock_acquire(&from->shared_lock);
    task = from->shared_head;
    if (task) {
        from->shared_head = task->next;
        __atomic_store_n(&task->self.worker, worker, __ATOMIC_RELAXED);
        __atomic_store_n(&from->shared_count, from->shared_count - 1, __ATOMIC_RELAXED);
    }
    hki_lock_release(&from->shared_lock);
    return task;
}

/* One from our own queue, else from another's. */
static bool find_shared(struct hki_worker *worker)
{
    struct hki_runtime *runtime = worker->runtime;

    for (uint32_t i = 0; i < hki_worker_count(runtime); i++) {
        uint32_t victim = (worker->index + i) % hki_worker_count(runtime);
        struct hki_task *task = take_shared(&runtime->workers[victim], worker);

        if (task) {
            hki_ready_push(worker, task);
            return true;
        }
    }
    return false;
}

/* ---- found work: core/workers.h ---- */

static void recheck_found(hk_inbox_node *node, struct hki_worker *worker)
{
    struct hki_self *next;

    (void)node;
    /* From now on another canceller tells us anew. */
    (void)__atomic_exchange_n(&worker->recheck_posted, 0, __ATOMIC_SEQ_CST);
    for (struct hki_self *self = worker->found; self; self = next) {
        next = self->sibling_next; /* none of them ends meanwhile: they do not run */
        if (hki_workers_are_cancelled(worker->runtime))
            hki_task_cancel_here(hki_task_of(self));
        else
            hki_cancel_spread_task(hki_task_of(self));
    }
}

void hki_workers_recheck(struct hki_runtime *runtime)
{
    uint32_t count = __atomic_load_n(&runtime->worker_count, __ATOMIC_SEQ_CST);

    for (uint32_t i = 0; i < count; i++) {
        struct hki_worker *worker = &runtime->workers[i];

        /* It has no tasks; those that it finds once it is back look by themselves. */
        if (__atomic_load_n(&worker->sleeping, __ATOMIC_SEQ_CST) == HKI_AWAY)
            continue;
        if (__atomic_exchange_n(&worker->recheck_posted, 1, __ATOMIC_SEQ_CST))
            continue;
        worker->recheck.hki_run = recheck_found;
        hki_worker_post(worker, &worker->recheck);
    }
}

void hki_workers_notify(struct hki_runtime *runtime, uint32_t index)
{
    hki_worker_notify(&runtime->workers[index]);
}

uint32_t hki_workers_index(void)
{
    return hki_worker_current->index;
}

/* True: a task of it is ready. */
static bool find_work(struct hki_worker *worker)
{
    struct hki_task *task = hki_task_find(worker);

    if (task)
        hki_ready_push(worker, task);
    return task;
}

/* ---- running tasks ---- */

/* Runs the first ready task; comes back when the tasks have nothing more to do, or
 * their ticks are used up. */
static void run_tasks(struct hki_worker *worker)
{
    struct hki_task *task;

    if (HKI_UNLIKELY(worker->chooser))
        worker->chooser->choose_task(worker);
    task = hki_ready_pop(worker);
    if (!hki_task_is_started(task)) {
        int rc = hki_task_start(worker, task);

        if (rc == -EAGAIN) { /* stacks_max: until another task ends */
            hki_starved_push(worker, task);
            return;
        }
        if (rc < 0) {
            hki_task_fail_unstarted(worker, task, rc);
            return;
        }
    }
    if (worker->exceptions)
        memcpy(worker->loop_exceptions, worker->exceptions,
               sizeof(worker->loop_exceptions));
    hki_exceptions_load(worker, task);
    hki_make_current(worker, task);
    (void)hki_context_switch(hki_switch_by_return, &worker->loop_sp, task->sp,
                             &worker->loop_context,
                             &hki_stack_of(task->stack)->context);
    if (worker->exceptions)
        memcpy(worker->exceptions, worker->loop_exceptions,
               sizeof(worker->loop_exceptions));
}

/* Those that now get a stack. */
static void run_starved(struct hki_worker *worker)
{
    struct hki_task *task;

    while ((task = hki_starved_pop(worker))) {
        hki_ready_push(worker, task);
        run_tasks(worker);
    }
}

int hki_switch_slow(struct hki_worker *worker, struct hki_task *task)
{
    struct hki_task *next = worker->ready_head;

    if (next && next != task && worker->ticks > 0 && !hki_task_is_started(next) &&
        hki_task_start(worker, next) == 0) {
        worker->ready_head = next->next;
        return hki_switch_tasks(hki_switch_by_return, worker, task, next);
    }
    /* To the loop, which also deals with a stack that could not be had. */
    hki_exceptions_save(worker, task);
    worker->current = NULL;
    hki_self_current = &worker->loop_self;
    return hki_context_switch(hki_switch_by_return, &task->sp, worker->loop_sp,
                              &hki_stack_of(task->stack)->context,
                              &worker->loop_context);
}

/* ---- the loop ---- */

static void turn(struct hki_worker *worker)
{
    worker->ticks = HKI_TICKS;
    if (HKI_UNLIKELY(worker->chooser))
        worker->chooser->begin_turn(worker);
    else
        read_inbox(worker);
    worker->now_ns = hki_worker_now(worker);
    if (worker->wheel.count)
        HKI_COUNT(worker->timers_fired, hki_wheel_fire(&worker->wheel, worker->now_ns));
    if (worker->starved)
        run_starved(worker);
    /* One of our own in each turn, or tasks that only yield would starve them. */
    if (!worker->ready_head || __atomic_load_n(&worker->shared_count, __ATOMIC_RELAXED))
        find_shared(worker);
    /* Likewise one of the work in each turn. */
    if (HKI_UNLIKELY(worker->source) && !worker->breathes && !find_work(worker) &&
        worker->ready_head)
        worker->source->turns_away(worker->source);
    worker->breathes = false;
    if (worker->ready_head) {
        run_tasks(worker);
        if (worker->ops_in_flight && worker->ready_head)
            hki_worker_take_completions(worker, 0);
    } else if (!worker->unread) {
        hki_worker_rest(worker);
    } else if (worker->ops_in_flight) {
        hki_worker_take_completions(worker, 0);
    }
}

static bool is_over(struct hki_worker *worker)
{
    if (HKI_UNLIKELY(worker->is_away))
        return true;
    if (__atomic_load_n(&worker->runtime->abandoned, __ATOMIC_ACQUIRE))
        return true;
    if (!__atomic_load_n(&worker->runtime->finished, __ATOMIC_ACQUIRE))
        return false;
    if (!worker->is_closed) /* or who calls without end would keep it from ending */
        hki_worker_close_inbox(worker);
    return !worker->ready_head && !worker->zombies && !hki_worker_has_messages(worker);
}

/* What waits for them by callback is called here, where it belongs; what it starts anew
 * is given up as well. */
static void end_operations(struct hki_worker *worker)
{
    do {
        hki_op_end_all(worker);
        read_inbox(worker);
    } while (worker->ops_in_flight || hki_worker_has_messages(worker));
}

static void leave_thread(struct hki_worker *worker, struct hki_self *outer,
                         const char *stayed)
{
    hki_deadlock_worker_ends(outer);
    hki_signal_stack_close(&worker->signal_stack);
    (void)hki_thread_stays(stayed);
    hki_worker_current = NULL;
    hki_self_current = outer;
}

void hki_worker_run(struct hki_worker *worker)
{
    struct hki_self *outer = hki_self_current;
    const char *stayed;

    hki_worker_current = worker;
    hki_self_current = &worker->loop_self;
    stayed = hki_thread_stays("a worker's thread, which all its tasks share: return "
                              "from the task instead");
    worker->thread_id = hki_os_thread_id();
    worker->exceptions = __cxa_get_globals ? __cxa_get_globals() : NULL;
    hki_context_init_thread(&worker->loop_context);
    worker->now_ns = hki_worker_now(worker);
    hki_wheel_init(&worker->wheel, worker->now_ns);
    hki_signal_stack_open(&worker->signal_stack);
    hki_deadlock_worker_starts(outer);
    hki_halt_enter(worker);
    if (HKI_UNLIKELY(worker->is_away)) {
        worker->is_away = false;
        worker->source->returns(worker->source);
        worker->source->wakes(worker->source);
    }
    while (!is_over(worker))
        turn(worker);
    hki_halt_leave(worker);
    if (HKI_UNLIKELY(worker->is_away)) {
        leave_thread(worker, outer, stayed);
        return;
    }
    hki_worker_close_inbox(worker);
    /* At the exit of the process nobody waits for a blocking call to return. */
    if (!__atomic_load_n(&worker->runtime->abandoned, __ATOMIC_ACQUIRE))
        end_operations(worker);
    while (__atomic_load_n(&worker->posters, __ATOMIC_SEQ_CST))
        hki_os_yield();
    leave_thread(worker, outer, stayed);
}
