/* SPDX-License-Identifier: MIT */
/*
 * The loop of a worker. One turn: messages, timers, completions, then the ready tasks,
 * which switch among themselves until none is left or HKI_TICKS switches have passed.
 * When there is nothing to do it sleeps: on a futex while no I/O is in flight (the
 * cheapest wake there is), else in the poller.
 */
#include "core/worker.h"

#include "base/spin.h"
#include "core/deadlock.h"
#include "core/ioop.h"
#include "core/runtime.h"
#include "core/scope.h"
#include "core/virtual_clock.h"
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

static bool take_completions(struct hki_worker *worker, int64_t timeout_ns)
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

static bool any_shared(const struct hki_runtime *runtime)
{
    for (uint32_t i = 0; i < hki_worker_count(runtime); i++)
        if (__atomic_load_n(&runtime->workers[i].shared_count, __ATOMIC_SEQ_CST))
            return true;
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

enum {
    SEARCH_LOOKS = 50,
    SEARCH_PAUSES = 8, /* of 20 ns, between two looks */
};

/* Looks around for a few microseconds: waking up costs more. Not all the time, as each
 * look takes the ends of deques away from the caches of those who use them. */
static bool search(struct hki_worker *worker)
{
    struct hki_source *source = worker->source;

    if (worker->is_full || !source->searches(source))
        return false;
    for (unsigned i = 0; i < SEARCH_LOOKS; i++) {
        if (source->has_work(source) || hki_worker_has_messages(worker))
            return true;
        for (int k = 0; k < SEARCH_PAUSES; k++)
            hki_spin_pause(0);
    }
    return false;
}

/* ---- running tasks ---- */

static void fail_unstarted(struct hki_worker *worker, struct hki_task *task, int rc)
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

static void starve(struct hki_worker *worker, struct hki_task *task)
{
    task->next = NULL;
    if (worker->starved)
        worker->starved_tail->next = task;
    else
        worker->starved = task;
    worker->starved_tail = task;
}

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
            starve(worker, task);
            return;
        }
        if (rc < 0) {
            fail_unstarted(worker, task, rc);
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

static void feed_starved(struct hki_worker *worker)
{
    while (worker->starved && worker->stacks.in_use < worker->stacks.stacks_max) {
        struct hki_task *task = worker->starved;

        worker->starved = task->next;
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

/* ---- sleeping ---- */

static bool has_news(struct hki_worker *worker)
{
    return worker->ready_head || hki_worker_has_messages(worker) ||
           any_shared(worker->runtime) ||
           __atomic_load_n(&worker->runtime->finished, __ATOMIC_SEQ_CST);
}

static void sleep_on_futex(struct hki_worker *worker, int64_t until_ns)
{
    bool for_ever = until_ns == HK_NEVER;

    if (for_ever)
        hki_deadlock_quiet(worker);
    while (__atomic_load_n(&worker->sleeping, __ATOMIC_SEQ_CST) != HKI_AWAKE &&
           (for_ever || hki_os_now_ns() < until_ns))
        hki_futex_wait(&worker->sleeping, HKI_SLEEPS_ON_FUTEX, until_ns);
    if (for_ever)
        hki_deadlock_stirs(worker);
}

/* It has slept as long as it may: its thread ends, unless there is something that needs
 * it, or somebody calls it now. */
static bool goes_away(struct hki_worker *worker, int64_t until_ns)
{
    uint32_t asleep = HKI_SLEEPS_ON_FUTEX;

    if (!worker->source || until_ns == HK_NEVER || hki_os_now_ns() < until_ns ||
        worker->tasks_spawned != worker->tasks_ended || worker->zombies ||
        worker->wheel.count || worker->ops_in_flight || worker->blocked_waiters.head ||
        has_news(worker) || !worker->source->may_leave(worker->source))
        return false;
    worker->is_away =
        __atomic_compare_exchange_n(&worker->sleeping, &asleep, HKI_AWAY, false,
                                    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
    if (!worker->is_away)
        worker->source->returns(worker->source);
    return worker->is_away;
}

/* To be called when `sleeping` says so. */
static bool work_lets_sleep(struct hki_worker *worker)
{
    struct hki_source *source = worker->source;

    return !source || source->sleeps(source) || worker->is_full;
}

/* Sleeps until a message, a completion or the time `until_ns`. */
static void sleep_until(struct hki_worker *worker, int64_t until_ns)
{
    struct hki_runtime *runtime = worker->runtime;
    bool io = worker->ops_in_flight > 0;

    __atomic_add_fetch(&runtime->idle, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&worker->sleeping, io ? HKI_SLEEPS_IN_POLLER : HKI_SLEEPS_ON_FUTEX,
                     __ATOMIC_SEQ_CST);
    if (work_lets_sleep(worker) && !has_news(worker)) {
        if (!io) {
            sleep_on_futex(worker, until_ns);
        } else if (until_ns == HK_NEVER) {
            take_completions(worker, -1);
        } else {
            int64_t left_ns = until_ns - hki_os_now_ns();

            take_completions(worker, left_ns > 0 ? left_ns : 0);
        }
    }
    __atomic_sub_fetch(&runtime->idle, 1, __ATOMIC_SEQ_CST);
    if (HKI_UNLIKELY(worker->source) && goes_away(worker, until_ns))
        return;
    __atomic_store_n(&worker->sleeping, HKI_AWAKE, __ATOMIC_SEQ_CST);
    if (worker->source)
        worker->source->wakes(worker->source);
    hki_watch_stirs();
}

/* Every task waits. Whoever waits for that is woken first. */
static bool wake_blocked_waiters(struct hki_worker *worker)
{
    hk_waiter *w;

    if (!worker->blocked_waiters.head)
        return false;
    for (int looks = 0; looks < 2; looks++)
        if (worker->ops_in_flight && take_completions(worker, 0))
            return true;
    if (has_news(worker))
        return true;
    while ((w = hk_waiter_pop(&worker->blocked_waiters)))
        hk_wake(w, 0);
    return true;
}

/* ---- every stack is held by a task that waits in a join ---- */

#define STARVED_GRACE_NS (100 * HK_MILLISECOND)

static bool is_out_of_stacks(const struct hki_worker *worker)
{
    return worker->starved && worker->stacks.in_use >= worker->stacks.stacks_max &&
           worker->stacks.in_use == worker->joins;
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

static void fail_starved(struct hki_worker *worker)
{
    struct hki_task *task = worker->starved;

    worker->starved = task->next;
    hki_log(HK_LOG_ERROR,
            "all %u stacks (hk_options.stacks_max) are held by tasks that wait for "
            "their children",
            worker->stacks.stacks_max);
    fail_unstarted(worker, task, -ENOMEM);
}

/*
 * No task will give a stack back, and some have none: the parent of one of them runs it
 * on its own (hki_task_run_children). Where none has room left the first one fails, or
 * all would wait for ever; if a join waits for other workers, not before they had some
 * time.
 */
static void relieve_starved(struct hki_worker *worker)
{
    struct hki_task *task = take_lendable(worker);

    if (task) {
        hk_waiter *joiner = task->self.parent->hki_joiner;

        task->self.parent->hki_joiner = NULL;
        hk_wake(joiner, 0); /* looks again what there is to wait for */
        hki_ready_push(worker, task);
        return;
    }
    if (worker->joins_far) {
        sleep_until(worker, hki_os_now_ns() + STARVED_GRACE_NS);
        if (has_news(worker) || !is_out_of_stacks(worker))
            return;
    }
    fail_starved(worker);
}

/* Work waits, and there was no memory for a stack: it tries again so soon. */
#define FULL_NS (10 * HK_MILLISECOND)

/* The next timer; with a source maybe sooner. */
static int64_t sleep_end(struct hki_worker *worker)
{
    int64_t until_ns = hki_wheel_next(&worker->wheel, false), at_most_ns, now_ns;

    if (HKI_LIKELY(!worker->source))
        return until_ns;
    at_most_ns = worker->source->sleeps_at_most(worker->source);
    if (worker->is_full)
        at_most_ns = FULL_NS;
    if (at_most_ns == HK_NEVER)
        return until_ns;
    now_ns = hki_os_now_ns();
    return until_ns - now_ns > at_most_ns ? now_ns + at_most_ns : until_ns;
}

static void rest(struct hki_worker *worker)
{
    if (is_out_of_stacks(worker)) {
        relieve_starved(worker);
        return;
    }
    if (wake_blocked_waiters(worker))
        return;
    if (worker->runtime->options.virtual_clock) {
        if (hki_worker_has_messages(worker))
            return; /* a timer has called back: that comes before the clock goes on */
        if (worker->ops_in_flight &&
            (take_completions(worker, HKI_VIRTUAL_GRACE_NS) || has_news(worker)))
            return;
        if (worker->calls_awaited) {
            sleep_until(worker, hki_os_now_ns() + HKI_VIRTUAL_GRACE_NS);
            if (has_news(worker))
                return;
        }
        if (hki_virtual_jump(worker))
            return;
        if (worker->chooser && worker->chooser->get_unstuck(worker))
            return;
        sleep_until(worker, HK_NEVER);
        return;
    }
    if (hki_stack_pool_trim(&worker->stacks)) {
        take_completions(worker, 0); /* there is more to give: look around, come back */
        return;
    }
    if (worker->source && search(worker))
        return;
    sleep_until(worker, sleep_end(worker));
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
        feed_starved(worker);
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
            take_completions(worker, 0);
    } else if (!worker->unread) {
        rest(worker);
    } else if (worker->ops_in_flight) {
        take_completions(worker, 0);
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
