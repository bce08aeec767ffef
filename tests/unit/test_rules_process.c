/* SPDX-License-Identifier: MIT */
/*
 * docs/rules.md, rules 24, 26, 33, 35, 36 and 38, each test named after its rule.
 * What ends a process, or must not meet a runtime of this one, runs in a child.
 */
#include "rules_child_test.h"

#include "support/emulator.h"

#include <semaphore.h>

/* ---- 24, 25: the background runtime ends with the process ---- */

CHILD_TEST(rule_24_the_background_runtime_is_stopped_at_exit, 0)
{
    hk_scope s = HK_SCOPE_INIT;
    int count = 0;

    hk_scope_open(&s);
    hk_spawn(&s, count_me, &count);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(count, 1);
    exit(0);
}

static hk_scope left_open;

CHILD_TEST(rule_24_exit_does_not_wait_for_what_the_background_runs, 0)
{
    hk_scope_open(&left_open);
    hk_spawn(&left_open, sleep_for_ever, NULL);
    exit(0);
}

static int block_for_ever(void *arg)
{
    for (;;)
        pause();
    return arg != NULL;
}

static hk_event work_begins;

static int start_blocking_work(void *arg)
{
    hk_op op;

    (void)arg;
    hk_op_work(&op, block_for_ever, NULL);
    hk_event_set(&work_begins);
    return hk_op_run(&op);
}

CHILD_TEST(rule_24_exit_does_not_wait_for_blocking_work_of_the_background, 0)
{
    hk_scope_open(&left_open);
    hk_spawn(&left_open, start_blocking_work, NULL);
    CHECK_EQ(hk_event_wait(&work_begins), 0);
    CHECK_EQ(hk_sleep(10 * HK_MILLISECOND),
             0); /* shows nothing when it comes too early */
    exit(0);
}

static sem_t blocking_begun;

HK_FN(void, blocks_for_ever)
{
    sem_post(&blocking_begun);
    (void)block_for_ever(NULL);
}

static int64_t exit_began_ns;

static void check_time_of_exit(void)
{
    _exit(hk_now() - exit_began_ns < 3 * HK_SECOND ? 42 : 1);
}

/* One second, however many threads there are. */
CHILD_TEST(rule_24_exit_waits_one_second_for_jobs_that_compute, 42)
{
    enum { THREADS = 6 };
    const hk_thread_pool_options options = {.threads = THREADS};
    hk_executor *pool;

    atexit(check_time_of_exit); /* runs after hocket's */
    sem_init(&blocking_begun, 0, 0);
    CHECK_EQ(hk_thread_pool_new(&options, &pool), 0);
    hk_scope_open(&left_open);
    for (int i = 0; i < THREADS; i++)
        hk_future_free(blocks_for_ever_on(pool));
    for (int i = 0; i < THREADS; i++)
        CHECK_EQ(sem_wait(&blocking_begun), 0);
    exit_began_ns = hk_now();
    exit(0);
}

/* ---- 26: several runtimes ---- */

struct relay {
    hk_chan *in, *out;
    int rounds;
};

static int pass_on(void *arg)
{
    struct relay *r = arg;
    int item;

    for (int i = 0; i < r->rounds; i++) {
        CHECK_EQ(hk_chan_recv(r->in, &item), 0);
        item++;
        CHECK_EQ(hk_chan_send(r->out, &item), 0);
    }
    return 0;
}

static void *run_relay(void *arg)
{
    CHECK_EQ(hk_run(pass_on, arg, NULL), 0);
    return NULL;
}

static void rule_26_several_runtimes_share_objects(void **state)
{
    enum { RUNTIMES = 3 };
    hk_chan *chans[RUNTIMES + 1];
    struct relay relays[RUNTIMES];
    pthread_t threads[RUNTIMES];
    int rounds = scaled(2000, 300);

    (void)state;
    for (int i = 0; i <= RUNTIMES; i++)
        assert_int_equal(hk_chan_new(sizeof(int), (size_t)i, &chans[i]), 0);
    for (int i = 0; i < RUNTIMES; i++) {
        relays[i] = (struct relay){chans[i], chans[i + 1], rounds};
        assert_int_equal(pthread_create(&threads[i], NULL, run_relay, &relays[i]), 0);
    }
    for (int i = 0; i < rounds; i++) {
        int item = i;

        assert_int_equal(hk_chan_send(chans[0], &item), 0);
        assert_int_equal(hk_chan_recv(chans[RUNTIMES], &item), 0);
        assert_int_equal(item, i + RUNTIMES);
    }
    for (int i = 0; i < RUNTIMES; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i <= RUNTIMES; i++)
        hk_chan_free(chans[i]);
}

/* ---- 33: SIGPIPE ---- */

static int write_to_nobody(void *arg)
{
    struct sigaction now;
    hk_fd fds[2];

    (void)arg;
    CHECK_EQ(sigaction(SIGPIPE, NULL, &now), 0);
    CHECK(now.sa_handler == SIG_IGN);
    CHECK_EQ(hk_pipe(fds), 0);
    CHECK_EQ(hk_close(fds[0]), 0);
    CHECK_EQ(hk_write(fds[1], "x", 1), -EPIPE);
    CHECK_EQ(hk_close(fds[1]), 0);
    return 0;
}

CHILD_TEST(rule_33_sigpipe_is_ignored_during_hk_run_and_restored, 0)
{
    struct sigaction after;

    signal(SIGPIPE, SIG_DFL);
    CHECK_EQ(hk_run(write_to_nobody, NULL, NULL), 0);
    CHECK_EQ(sigaction(SIGPIPE, NULL, &after), 0);
    CHECK(after.sa_handler == SIG_DFL);
    return 0;
}

static volatile sig_atomic_t pipes;

static void on_sigpipe(int signo)
{
    (void)signo;
    pipes++;
}

static int keeps_the_users_handler(void *arg)
{
    struct sigaction now;

    (void)arg;
    CHECK_EQ(sigaction(SIGPIPE, NULL, &now), 0);
    CHECK(now.sa_handler == on_sigpipe);
    return 0;
}

CHILD_TEST(rule_33_a_users_handler_for_sigpipe_is_left_alone, 0)
{
    signal(SIGPIPE, on_sigpipe);
    CHECK_EQ(hk_run(keeps_the_users_handler, NULL, NULL), 0);
    return keeps_the_users_handler(NULL);
}

/* ---- 35: after hk_run ---- */

static hk_task_id last_id;

static int remember_id(void *arg)
{
    (void)arg;
    last_id = hk_task_self();
    return 5;
}

static void rule_35_after_hk_run_primitives_work_as_from_a_plain_thread(void **state)
{
    hk_event event = HK_EVENT_INIT;
    hk_mutex mutex = HK_MUTEX_INIT;
    hk_chan *chan;
    int item = 1;

    (void)state;
    assert_int_equal(run_virtual(remember_id, NULL), 5);
    assert_int_equal(hk_task_cancel(last_id), -ESRCH);
    assert_int_equal(hk_task_self().value, 0);
    hk_event_set(&event);
    assert_int_equal(hk_event_wait(&event), 0);
    assert_int_equal(hk_mutex_lock(&mutex), 0);
    hk_mutex_unlock(&mutex);
    assert_int_equal(hk_chan_new(sizeof(int), 1, &chan), 0);
    assert_int_equal(hk_chan_send(chan, &item), 0);
    assert_int_equal(hk_chan_recv(chan, &item), 0);
    hk_chan_free(chan);
    assert_int_equal(hk_sleep(1), 0);
    assert_int_equal(run_virtual(remember_id, NULL), 5); /* and another one may run */
}

static int spawn_failed, run_failed;

static void in_atexit(void)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_mutex mutex = HK_MUTEX_INIT;

    CHECK_EQ(hk_mutex_lock(&mutex), 0); /* primitives work */
    hk_mutex_unlock(&mutex);
    hk_scope_open(&s);
    spawn_failed = hk_spawn(&s, sleep_for_ever, NULL); /* no new runtime */
    CHECK_EQ(hk_scope_join(&s), spawn_failed);
    run_failed = hk_run(remember_id, NULL, NULL);
    _exit(spawn_failed == -EBADF && run_failed == -EBADF ? 42 : 1);
}

CHILD_TEST(rule_35_in_atexit_primitives_work_and_no_new_runtime_starts, 42)
{
    atexit(in_atexit); /* before hocket's own handler: runs after it */
    rule_24_the_background_runtime_is_stopped_at_exit_body(NULL);
    return 1;
}

CHILD_TEST(rule_35_in_atexit_after_hk_run_alone_no_new_runtime_starts, 42)
{
    atexit(in_atexit);
    CHECK_EQ(hk_run(remember_id, NULL, NULL), 5);
    exit(0);
}

static hk_executor *own_pool;

static void submit_in_atexit(void)
{
    hk_executor *const all[] = {hk_threads(), own_pool, hk_tasks()};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        hk_future *f = gives_one_on(all[i]);
        int one;

        CHECK_EQ(gives_one_await(f, &one), -EBADF);
        hk_future_free(f);
    }
    hk_executor_free(own_pool); /* with a job that will never start */
    _exit(42);
}

CHILD_TEST(rule_35_in_atexit_no_pool_takes_a_job, 42)
{
    const hk_thread_pool_options options = {.threads = 1};

    atexit(submit_in_atexit);
    sem_init(&blocking_begun, 0, 0);
    CHECK_EQ(hk_thread_pool_new(&options, &own_pool), 0);
    rule_24_job(own_pool);
    rule_24_job(hk_threads());
    rule_24_job(hk_tasks());
    hk_scope_open(&left_open);
    hk_future_free(blocks_for_ever_on(own_pool));
    CHECK_EQ(sem_wait(&blocking_begun), 0);
    hk_future_free(gives_one_on(own_pool));
    exit(0);
}

/* ---- 36: the ends of a process and of a thread ---- */

static int exit_3(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open(&s);
    hk_spawn(&s, sleep_for_ever, NULL);
    (void)hk_yield();
    exit(3);
}

CHILD_TEST(rule_36_exit_in_a_task_ends_the_process_without_joining, 3)
{
    return hk_run(exit_3, NULL, NULL);
}

CHILD_TEST(rule_36_exit_in_a_task_with_several_workers, 3)
{
    return run_workers(3, exit_3, NULL);
}

CHILD_TEST(rule_36_exit_in_a_background_task, 3)
{
    hk_scope_open(&left_open);
    hk_spawn(&left_open, exit_3, NULL);
    return hk_scope_join(&left_open);
}

#if !UNDER_TSAN && !UNDER_ASAN
static int leave_the_thread(void *arg)
{
    (void)arg;
    pthread_exit(NULL);
}

PANIC_TEST(rule_36_pthread_exit_in_a_task_panics, "pthread_exit")
{
    return hk_run(leave_the_thread, NULL, NULL);
}

static void *run_leaving(void *arg)
{
    return (void *)(intptr_t)hk_run(leave_the_thread, arg, NULL);
}

PANIC_TEST(rule_36_pthread_exit_in_a_task_of_another_thread_panics, "pthread_exit")
{
    pthread_t thread;

    pthread_create(&thread, NULL, run_leaving, NULL);
    pthread_join(thread, NULL);
    return 0;
}

PANIC_TEST(rule_36_pthread_exit_in_a_background_task_panics, "pthread_exit")
{
    hk_scope_open(&left_open);
    hk_spawn(&left_open, leave_the_thread, NULL);
    return hk_scope_join(&left_open);
}
#endif

/* ---- 38: nothing can ever wake you ---- */

static int wait_for_nobody(void *arg)
{
    hk_event nobody = HK_EVENT_INIT;

    (void)arg;
    return hk_event_wait(&nobody);
}

/* In a child: the verdict needs that every thread of the process is known. */
CHILD_TEST(wait_that_nothing_can_end, 0)
{
    hk_log_to(NULL, NULL);
    CHECK_EQ(hk_run(wait_for_nobody, NULL, NULL), -EDEADLK);
    return 0;
}

static void rule_38_a_wait_that_nothing_can_end_fails_with_edeadlk(void **state)
{
    skip_if_emulated("has threads of its own, which might wake somebody");
    wait_that_nothing_can_end(state);
}

static int wait_with_a_timer(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    hk_scope_deadline(&s, hk_now() + 20 * HK_MILLISECOND);
    CHECK_EQ(wait_for_nobody(arg), -ECANCELED);
    CHECK_EQ(hk_scope_join(&s), -ETIMEDOUT);
    return 0;
}

CHILD_TEST(rule_38_a_live_timer_is_no_deadlock, 0)
{
    return hk_run(wait_with_a_timer, NULL, NULL);
}

static void *set_later(void *arg)
{
    struct timespec t = {.tv_nsec = 50000000};

    /* A thread that hocket has never heard of, busy with itself when the census looks,
     * which is after 20 ms. */
    nanosleep(&t, NULL);
    hk_event_set(arg);
    return NULL;
}

static int wait_for_it(void *arg)
{
    return hk_event_wait(arg);
}

CHILD_TEST(rule_38_an_unknown_thread_may_still_wake_so_it_only_reports, 0)
{
    hk_event event = HK_EVENT_INIT;
    pthread_t thread;
    int rc;

    pthread_create(&thread, NULL, set_later, &event);
    rc = hk_run(wait_for_it, &event, NULL);
    pthread_join(thread, NULL);
    return rc;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rule_24_the_background_runtime_is_stopped_at_exit),
        cmocka_unit_test(rule_24_exit_does_not_wait_for_what_the_background_runs),
        cmocka_unit_test(
            rule_24_exit_does_not_wait_for_blocking_work_of_the_background),
        cmocka_unit_test(rule_33_sigpipe_is_ignored_during_hk_run_and_restored),
        cmocka_unit_test(rule_33_a_users_handler_for_sigpipe_is_left_alone),
        cmocka_unit_test(rule_35_in_atexit_primitives_work_and_no_new_runtime_starts),
        cmocka_unit_test(rule_35_in_atexit_after_hk_run_alone_no_new_runtime_starts),
        cmocka_unit_test(rule_24_exit_waits_one_second_for_jobs_that_compute),
        cmocka_unit_test(rule_35_in_atexit_no_pool_takes_a_job),
        cmocka_unit_test(rule_36_exit_in_a_task_ends_the_process_without_joining),
        cmocka_unit_test(rule_36_exit_in_a_task_with_several_workers),
        cmocka_unit_test(rule_36_exit_in_a_background_task),
#if !UNDER_TSAN && !UNDER_ASAN /* which end the process themselves, at another stack */
        cmocka_unit_test(rule_36_pthread_exit_in_a_task_panics),
        cmocka_unit_test(rule_36_pthread_exit_in_a_task_of_another_thread_panics),
        cmocka_unit_test(rule_36_pthread_exit_in_a_background_task_panics),
#endif
        cmocka_unit_test(rule_38_a_wait_that_nothing_can_end_fails_with_edeadlk),
        cmocka_unit_test(rule_38_a_live_timer_is_no_deadlock),
        cmocka_unit_test(rule_38_an_unknown_thread_may_still_wake_so_it_only_reports),
        cmocka_unit_test(rule_35_after_hk_run_primitives_work_as_from_a_plain_thread),
        cmocka_unit_test(rule_26_several_runtimes_share_objects),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
