/* SPDX-License-Identifier: MIT */
/*
 * Shows that a dump may be asked for by a task, a callback, a plain thread, or when no
 * runtime runs; that it shows every runtime and worker, busy workers by what they do,
 * plain threads by what they wait for and the tasks that they spawned; and that it is
 * whole when there is no memory, and tells when it cannot be written.
 */
#include "base/annotate.h"
#include "dump_test.h"

#include <hocket/lowlevel.h>

#include <poll.h>
#include <pthread.h>
#include <stdint.h>

#define NOINLINE __attribute__((noinline))

static hk_event event = {.name = "gate"};

static int run(hk_task_fn *fn, const hk_options *options)
{
    return hk_run(fn, NULL, options);
}

static int waits(void *arg)
{
    (void)arg;
    return hk_event_wait(&event);
}

static int sleeps(void *arg)
{
    (void)arg;
    return hk_sleep(3600 * HK_SECOND) == -ECANCELED ? 0 : -1;
}

/* ---- who asks ---- */

static uint32_t dumped; /* atomic */

static void *dumper(void *arg)
{
    take_dump();
    __atomic_store_n(&dumped, 1, __ATOMIC_RELEASE);
    return arg;
}

static int app_thread_asks(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    pthread_t thread;

    (void)arg;
    dumped = 0;
    hk_scope_open(&s);
    hk_spawn_named(&s, "sleeper", sleeps, NULL, NULL);
    if (pthread_create(&thread, NULL, dumper, NULL) != 0)
        return -1;
    while (!__atomic_load_n(&dumped, __ATOMIC_ACQUIRE))
        (void)hk_sleep(HK_MILLISECOND);
    (void)pthread_join(thread, NULL);
    hk_scope_cancel(&s);
    return hk_scope_join(&s);
}

static void a_plain_thread_may_ask(void **state)
{
    (void)state;
    assert_int_equal(run(app_thread_asks, NULL), 0);
    expect("task 'main' (id ");
    expect("sleeps, ");
    expect_not("busy");
}

static void dumping_timer(hk_timer *timer)
{
    (void)timer;
    take_dump();
}

static int app_loop_asks(void *arg)
{
    hk_timer timer = {.hki_link = NULL};

    (void)arg;
    hk_timer_set(&timer, hk_now() + HK_MILLISECOND, dumping_timer);
    return hk_sleep(2 * HK_MILLISECOND);
}

static void a_callback_may_ask(void **state)
{
    (void)state;
    text[0] = '\0';
    assert_int_equal(run(app_loop_asks, NULL), 0);
    expect("task 'main' (id ");
    expect("sleeps, ");
}

static void without_a_runtime_there_is_nothing_to_tell(void **state)
{
    (void)state;
    take_dump();
    expect_not("runtime ");
    assert_int_equal(hk_dump_tasks(-1), 0); /* not even a write that fails */
}

static int app_bad_descriptor(void *arg)
{
    (void)arg;
    return hk_dump_tasks(1000000) == -EBADF ? 0 : -1;
}

static void an_error_of_the_write_is_returned(void **state)
{
    (void)state;
    assert_int_equal(run(app_bad_descriptor, NULL), 0);
}

/* ---- several workers and runtimes ---- */

static volatile int spins;
static uint32_t spinning; /* atomic */

static NOINLINE void spins_until_dumped(void)
{
    __atomic_store_n(&spinning, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&dumped, __ATOMIC_ACQUIRE)) {
        spins = spins + 1;
#ifdef HKI_TSAN
        (void)poll(NULL, 0, 0);
#endif
    }
}

static int busy(void *arg)
{
    (void)arg;
    spins_until_dumped();
    return 0;
}

/* The task that shares the worker with the busy one cannot be shown. */
static int app_busy(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    dumped = spinning = 0;
    hk_scope_open_with(&s, HK_SCOPE_PARALLEL, "both");
    hk_spawn_named(&s, "sleeper 1", sleeps, NULL, NULL);
    hk_spawn_named(&s, "sleeper 2", sleeps, NULL, NULL);
    (void)hk_sleep(HK_MILLISECOND);
    hk_spawn_named(&s, "busy", busy, NULL, NULL);
    while (!__atomic_load_n(&spinning, __ATOMIC_ACQUIRE))
        ; /* this worker is taken: the other one will come */
    take_dump();
    __atomic_store_n(&dumped, 1, __ATOMIC_RELEASE);
    hk_scope_cancel(&s);
    return hk_scope_join(&s);
}

static void a_busy_worker_is_named_with_its_task(void **state)
{
    const hk_options options = {.workers = 2, .stall_ns = -1};

    (void)state;
    assert_int_equal(run(app_busy, &options), 0);
    expect("worker 1 is busy with task 'busy'; its tasks cannot be shown\n");
    expect("scope 'both': 3 children, parallel\n");
    expect("task 'busy' (id ");
    expect(") belongs to a busy worker\n");
#ifndef HKI_TSAN
    expect("spins_until_dumped+0x");
#endif
}

static uint32_t second_runs; /* atomic */

static int app_second(void *arg)
{
    hk_task_rename("the other main");
    __atomic_store_n(&second_runs, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&dumped, __ATOMIC_ACQUIRE))
        (void)hk_sleep(HK_MILLISECOND);
    return arg != NULL;
}

static void *second_runtime(void *arg)
{
    return hk_run(app_second, NULL, NULL) == 0 ? arg : &second_runs;
}

static int app_two_runtimes(void *arg)
{
    pthread_t thread;
    void *result;

    (void)arg;
    dumped = second_runs = 0;
    if (pthread_create(&thread, NULL, second_runtime, NULL) != 0)
        return -1;
    while (!__atomic_load_n(&second_runs, __ATOMIC_ACQUIRE))
        (void)hk_sleep(HK_MILLISECOND);
    take_dump();
    __atomic_store_n(&dumped, 1, __ATOMIC_RELEASE);
    (void)pthread_join(thread, &result);
    return result ? -1 : 0;
}

static void every_runtime_is_shown(void **state)
{
    const hk_options options = {.workers = 2};

    (void)state;
    assert_int_equal(run(app_two_runtimes, &options), 0);
    expect(": 2 workers on ");
    expect(": 1 worker on ");
    expect("task 'main' (id ");
    expect("task 'the other main' (id ");
}

/* ---- plain threads ---- */

static void *thread_waits(void *arg)
{
    (void)pthread_setname_np(pthread_self(), "bystander");
    (void)hk_event_wait(arg);
    return NULL;
}

static int app_threads(void *arg)
{
    hk_event gate = HK_EVENT_INIT;
    pthread_t thread;

    (void)arg;
    if (pthread_create(&thread, NULL, thread_waits, &gate) != 0)
        return -1;
    do {
        (void)hk_sleep(HK_MILLISECOND);
        take_dump();
    } while (!strstr(text, "thread 'bystander'") ||
             !strstr(text, "waits for event for"));
    hk_event_set(&gate);
    return -pthread_join(thread, NULL);
}

static void plain_threads_tell_what_they_wait_for(void **state)
{
    (void)state;
    assert_int_equal(run(app_threads, NULL), 0);
    expect("threads\n");
}

static int background_child(void *arg)
{
    return hk_event_wait(arg);
}

/* Leaves a background runtime behind: in a child. */
static int body_background(void)
{
    hk_event gate = HK_EVENT_INIT;
    hk_scope s = HK_SCOPE_INIT;

    (void)pthread_setname_np(pthread_self(), "boss");
    hk_scope_open_with(&s, 0, "work");
    hk_spawn_named(&s, "helper", background_child, &gate, NULL);
    do {
        take_dump();
    } while (!strstr(text, "waits for event"));
    expect("background runtime ");
    expect("in scope 'work' of thread 'boss':\n");
    expect("task 'helper' (id ");
    hk_event_set(&gate);
    return hk_scope_join(&s);
}

static void tasks_of_plain_threads_are_shown(void **state)
{
    struct child child = run_child(body_background);

    (void)state;
    expect_exit(&child, 0);
}

/* ---- no memory ---- */

static int dumps_without_memory(void *arg)
{
    struct rlimit limit;
    int rc;

    (void)arg;
    (void)getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = 1; /* no new mapping: neither for the text nor for symbols */
    (void)setrlimit(RLIMIT_AS, &limit);
    rc = hk_dump_tasks(STDERR_FILENO);
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_AS, &limit);
    return rc;
}

static int app_no_memory(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    int rc;

    (void)arg;
    hk_event_clear(&event);
    hk_scope_open(&s);
    hk_spawn_named(&s, "waiter", waits, NULL, NULL);
    (void)hk_yield();
    rc = dumps_without_memory(NULL);
    hk_event_set(&event);
    return rc == 0 ? hk_scope_join(&s) : rc;
}

static int body_no_memory(void)
{
    return run(app_no_memory, NULL) == 0 ? 0 : 1;
}

static void without_memory_it_is_shorter_but_whole(void **state)
{
    struct child child;

    (void)state;
#ifdef HKI_ASAN
    skip(); /* its own memory comes from the same system calls */
#endif
    child = run_child(body_no_memory);
    expect_exit(&child, 0);
    expect_words(&child, "runtime ");
    expect_words(&child, "task 'main'");
    expect_words(&child, "task 'waiter'");
    expect_words(&child, "waits for event ('gate')");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_of_plain_threads_are_shown),
        cmocka_unit_test(without_memory_it_is_shorter_but_whole),
        cmocka_unit_test(a_plain_thread_may_ask),
        cmocka_unit_test(a_callback_may_ask),
        cmocka_unit_test(without_a_runtime_there_is_nothing_to_tell),
        cmocka_unit_test(an_error_of_the_write_is_returned),
        cmocka_unit_test(a_busy_worker_is_named_with_its_task),
        cmocka_unit_test(every_runtime_is_shown),
        cmocka_unit_test(plain_threads_tell_what_they_wait_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
