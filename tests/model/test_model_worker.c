/* SPDX-License-Identifier: MIT */
/*
 * Models of a worker's loop, the real one, among threads that send it messages: it
 * never sleeps on a message, every message is read once, the wait of a task ends by
 * wake or by cancel, and nobody touches the worker when its loop has ended.
 *
 * Run: once, builds=plain asan clang
 */
#include "model_kit.h"

#include "core/record.h"
#include "core/runtime.h"
#include "core/wait.h"

static struct hki_runtime runtime;
static struct hki_worker worker;

static struct {
    hk_inbox_node messages[2];
    int read, wanted;
    bool ended;
    uint32_t lock; /* guards queue */
    hk_waiter_queue queue;
    hk_waiter waiter, both_read; /* the task's */
    int woken, result;
} world;

/* Nothing is ever given to it: without I/O in flight a worker sleeps on its futex. */
static const struct hki_poller_ops no_poller = {.name = "none"};

/* Records and stacks are kept from run to run. */
static void begin(void *unused)
{
    struct hki_task *records = worker.free_tasks;
    struct hki_stack_pool stacks = worker.stacks;

    (void)unused;
    forget_threads();
    memset(&world, 0, sizeof(world));
    world.wanted = 2;
    runtime.worker_count = 1;
    runtime.workers = &worker;
    runtime.options.stack_size_bytes = 256 * 1024;
    runtime.options.stall_ns = -1;
    runtime.finished = runtime.idle = 0;
    (void)hki_worker_init(&worker, &runtime, 0); /* allocates nothing */
    worker.poller_ops = &no_poller;
    worker.free_tasks = records;
    if (stacks.stack_size)
        worker.stacks = stacks;
}

static bool was_left_alone(void *unused)
{
    (void)unused;
    return world.ended && world.read == world.wanted && worker.sleeping == 0xa5a5a5a5 &&
           worker.posters == 0xa5a5a5a5;
}

/* What comes after its end would show. */
static void run_worker(void *unused)
{
    (void)unused;
    hki_worker_run(&worker);
    worker.sleeping = worker.posters = 0xa5a5a5a5;
    world.ended = true;
}

/* ---- messages ---- */

static void read_message(hk_inbox_node *node, struct hki_worker *reader)
{
    (void)node;
    MODEL_EXPECT(reader == &worker && !world.ended);
    if (++world.read == world.wanted)
        __atomic_store_n(&runtime.finished, 1, __ATOMIC_RELEASE);
}

static void post(int index)
{
    world.messages[index].hki_run = read_message;
    hki_worker_post(&worker, &world.messages[index]);
}

static void post_first(void *unused)
{
    (void)unused;
    post(0);
}

static void post_second(void *unused)
{
    (void)unused;
    post(1);
}

static void a_worker_never_sleeps_on_a_message(void **state)
{
    const hk_model model = {
        .name = "worker",
        .begin = begin,
        .end = was_left_alone,
        .threads = {run_worker, post_first, post_second},
    };

    (void)state;
    expect_all_runs_pass(model);
}

/* ---- a task that waits ---- */

static const hk_wait_kind kind = {.name = "model"};

static hk_verdict give_up(hk_waiter *w)
{
    bool removed;

    hki_lock_acquire(&world.lock);
    removed = hk_waiter_remove(&world.queue, w);
    hki_lock_release(&world.lock);
    return removed ? HK_ABORTED : HK_PENDING;
}

/* Then it waits for both messages: the worker must outlast their senders. */
static int wait_once(void *unused)
{
    (void)unused;
    hki_lock_acquire(&world.lock);
    hk_waiter_init(&world.waiter, &kind, NULL);
    hk_waiter_push(&world.queue, &world.waiter);
    hki_lock_release(&world.lock);
    world.result = hk_park(&world.waiter, give_up);
    MODEL_EXPECT(world.result == 7 || world.result == -ECANCELED);
    MODEL_EXPECT(world.woken || world.result == -ECANCELED);
    (void)hk_park(&world.both_read, NULL);
    return 0;
}

static struct hki_task *task;

static void begin_task(void *unused)
{
    begin(unused);
    task = hki_task_new(&worker, "waits", wait_once, NULL);
    if (!task)
        abort();
    hki_waiter_arm(&world.both_read, &task->self, &kind, NULL);
    hki_ready_push(&worker, task);
}

static void count_message(void)
{
    if (++world.read == 2)
        hk_wake(&world.both_read, 0);
}

static void message_was_read(hk_inbox_node *node, struct hki_worker *reader)
{
    (void)node;
    (void)reader;
    count_message();
}

/* Wakes the task if it waits already. */
static void wake_it(void *unused)
{
    hk_waiter *w;

    (void)unused;
    be_thread(1);
    hki_lock_acquire(&world.lock);
    w = hk_waiter_pop(&world.queue);
    world.woken = w != NULL;
    hki_lock_release(&world.lock);
    if (w)
        hk_wake(w, 7);
    world.messages[0].hki_run = message_was_read;
    hki_worker_post(&worker, &world.messages[0]);
}

static void cancel_here(hk_inbox_node *node, struct hki_worker *reader)
{
    (void)node;
    (void)reader;
    hki_task_cancel_here(task);
    count_message();
}

static void cancel_it(void *unused)
{
    (void)unused;
    be_thread(2);
    world.messages[1].hki_run = cancel_here;
    hki_worker_post(&worker, &world.messages[1]);
}

static bool task_has_ended(void *unused)
{
    (void)unused;
    return world.ended && world.read == 2 && (world.result == 7 || !world.woken) &&
           worker.tasks_ended == 1 && worker.sleeping == 0xa5a5a5a5;
}

static void a_wait_ends_by_wake_or_cancel_never_by_both(void **state)
{
    const hk_model model = {
        .name = "worker_task",
        .begin = begin_task,
        .end = task_has_ended,
        .threads = {run_worker, wake_it, cancel_it},
    };

    (void)state;
    expect_all_runs_pass(model);
}

static int end_world(void **state)
{
    (void)state;
    hki_stack_pool_fini(&worker.stacks);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_worker_never_sleeps_on_a_message),
        cmocka_unit_test(a_wait_ends_by_wake_or_cancel_never_by_both),
    };

    return cmocka_run_group_tests(tests, NULL, end_world);
}
