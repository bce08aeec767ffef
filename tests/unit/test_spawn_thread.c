/* SPDX-License-Identifier: MIT */
/*
 * Threads that belong to a scope (docs/rules.md, rules 1 to 11, 25, 27, 36): who may
 * start them, and what their results do. How cancels reach them is in
 * test_spawn_thread_cancel.c.
 */
#include "homes_test.h"

static int wait_for_event(void *event)
{
    return hk_event_wait(event);
}

/* ---- misuse ---- */

static void *spawn_from_outside(void *scope)
{
    hk_spawn_thread(scope, sleep_for_ever, NULL);
    return NULL;
}

PANIC_TEST(rule_02_a_foreign_thread_may_not_spawn_a_thread, "from outside")
{
    hk_scope s = HK_SCOPE_INIT;
    pthread_t thread;

    hk_scope_open(&s);
    pthread_create(&thread, NULL, spawn_from_outside, &s);
    pthread_join(thread, NULL);
    return 0;
}

PANIC_TEST(daemon_in_a_scope_panics, "belongs to no scope")
{
    hk_scope s = HK_SCOPE_INIT;
    hk_thread_options options = {.daemon = true};

    hk_scope_open(&s);
    return hk_spawn_thread_with(&s, &options, sleep_for_ever, NULL, NULL);
}

PANIC_TEST(thread_without_a_scope_panics, "only a daemon has none")
{
    return hk_spawn_thread(NULL, sleep_for_ever, NULL);
}

static int leave_open(void *scope)
{
    hk_scope_open(scope);
    return 0;
}

PANIC_TEST(rule_01_a_thread_that_returns_with_a_scope_open_panics,
           "thread 'unnamed' returned with scope 'unnamed' open")
{
    hk_scope s = HK_SCOPE_INIT, inner = HK_SCOPE_INIT;

    hk_scope_open(&s);
    hk_spawn_thread(&s, leave_open, &inner);
    return hk_scope_join(&s);
}

static int leave_by_pthread_exit(void *arg)
{
    pthread_exit(arg);
}

PANIC_TEST(rule_36_pthread_exit_on_a_thread_of_a_scope_panics, "pthread_exit on thread")
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    hk_spawn_thread(&s, leave_by_pthread_exit, NULL);
    return hk_scope_join(&s);
}

/* ---- 27: inside its scope ---- */

struct inside {
    hk_scope *scope;
    int count;
};

static int spawn_more(void *arg)
{
    struct inside *in = arg;
    hk_scope own = HK_SCOPE_INIT;

    hk_scope_open(&own);
    CHECK_EQ(hk_spawn_thread(in->scope, count_me, &in->count), 0);
    CHECK_EQ(hk_spawn(in->scope, count_me, &in->count), 0);
    CHECK_EQ(hk_spawn_thread(&own, count_me, &in->count), 0);
    CHECK_EQ(hk_spawn(&own, count_me, &in->count), 0);
    return hk_scope_join(&own);
}

HOMES_TEST(rule_27_a_thread_may_spawn_into_its_scope)
{
    hk_scope s = HK_SCOPE_INIT;
    struct inside in = {.scope = &s};

    hk_scope_open(&s);
    for (int i = 0; i < 20; i++)
        CHECK_EQ(hk_spawn_thread(&s, spawn_more, &in), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(in.count, 80);
    return 0;
}

static void *look_for_a_cancel(void *arg)
{
    (void)arg;
    CHECK_EQ(hk_cancelled(), 0);
    CHECK_EQ(hk_sleep(1), 0);
    return NULL;
}

HOMES_TEST(rule_27_a_foreign_thread_inherits_no_scope)
{
    hk_scope s = HK_SCOPE_INIT;
    pthread_t thread;

    hk_scope_open(&s);
    hk_scope_cancel(&s);
    CHECK_EQ(pthread_create(&thread, NULL, look_for_a_cancel, NULL), 0);
    pthread_join(thread, NULL);
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

static int note_worker(void *arg)
{
    *(uint64_t *)arg = hk_worker_self().value;
    return 0;
}

static int spawn_a_task(void *arg)
{
    hk_scope own = HK_SCOPE_INIT;

    CHECK_EQ(hk_worker_self().value, 0);
    hk_scope_open(&own);
    hk_spawn(&own, note_worker, arg);
    return hk_scope_join(&own);
}

static int thread_spawns_home(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    uint64_t worker = 0;

    (void)arg;
    hk_scope_open(&s);
    hk_spawn_thread(&s, spawn_a_task, &worker);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(worker, hk_worker_self().value);
    return 0;
}

static void rule_27_tasks_of_a_thread_run_in_the_runtime_around_it(void **state)
{
    (void)state;
    CHECK_EQ(run_workers(1, thread_spawns_home, NULL), 0);
}

struct table {
    hk_sem there, back;
};

static int serve(void *arg)
{
    struct table *table = arg;

    for (int i = 0; i < 100; i++) {
        CHECK_EQ(hk_sem_acquire(&table->there), 0);
        hk_sem_release(&table->back, 1);
    }
    return 0;
}

static int ask(void *arg)
{
    struct table *table = arg;

    for (int i = 0; i < 100; i++) {
        hk_sem_release(&table->there, 1);
        CHECK_EQ(hk_sem_acquire(&table->back), 0);
    }
    return 0;
}

static int run_serve(void *arg)
{
    CHECK_EQ(hk_run(serve, arg, NULL), 0);
    return hk_cancelled();
}

static int run_ask(void *arg)
{
    CHECK_EQ(hk_run(ask, arg, NULL), 0);
    return hk_cancelled();
}

/* The scope of the threads that run them is cancelled: no business of theirs. */
HOMES_TEST(rule_26_runtimes_on_threads_are_independent_and_share_objects)
{
    hk_scope s = HK_SCOPE_INIT;
    struct table table = {0};

    hk_scope_open(&s);
    hk_spawn_thread(&s, run_serve, &table);
    hk_spawn_thread(&s, run_ask, &table);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

static int own_scope_only(void *arg)
{
    hk_scope own = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open(&own);
    hk_scope_cancel(&own);
    CHECK_EQ(hk_sleep(HK_NEVER), -ECANCELED);
    CHECK_EQ(hk_scope_join(&own), 0);
    CHECK_EQ(hk_cancelled(), 0);
    return 7;
}

HOMES_TEST(rule_25_a_threads_own_scope_is_its_own)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    hk_spawn_thread(&s, own_scope_only, NULL);
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

/* ---- 3, 6, 7: results ---- */

HOMES_TEST(rule_07_the_first_error_of_a_thread_cancels_its_siblings)
{
    hk_scope s = HK_SCOPE_INIT;
    int error = -EIO;

    hk_scope_open(&s);
    hk_spawn(&s, sleep_and_swallow, NULL);
    hk_spawn_thread(&s, sleep_and_swallow, NULL);
    hk_spawn_thread(&s, return_it, &error);
    CHECK_EQ(hk_sleep(HK_NEVER), -ECANCELED);
    CHECK_EQ(hk_scope_join(&s), -EIO);
    return 0;
}

HOMES_TEST(rule_07_the_error_of_a_task_cancels_a_thread)
{
    hk_scope s = HK_SCOPE_INIT;
    int error = -EIO;

    hk_scope_open(&s);
    hk_spawn_thread(&s, sleep_and_swallow, NULL);
    hk_spawn(&s, return_it, &error);
    CHECK_EQ(hk_scope_join(&s), -EIO);
    return 0;
}

HOMES_TEST(rule_07_wait_all_and_first_success_hold_for_threads)
{
    hk_scope s = HK_SCOPE_INIT;
    int error = -EIO, fine = 3;
    int64_t some = HK_MILLISECOND;

    hk_scope_open_with(&s, HK_SCOPE_WAIT_ALL, NULL);
    hk_spawn_thread(&s, return_it, &error);
    hk_spawn_thread(&s, sleep_for, &some);
    CHECK_EQ(hk_sleep(HK_MILLISECOND), 0);
    CHECK_EQ(hk_scope_join(&s), -EIO);

    hk_scope_open_with(&s, HK_SCOPE_FIRST_SUCCESS, NULL);
    hk_spawn_thread(&s, return_it, &error);
    hk_spawn_thread(&s, return_it, &fine);
    hk_spawn_thread(&s, sleep_for_ever, NULL);
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

HOMES_TEST(rule_06_an_echo_is_no_error)
{
    hk_scope s = HK_SCOPE_INIT;
    int cancelled = -ECANCELED;

    hk_scope_open(&s);
    hk_spawn_thread(&s, sleep_for_ever, NULL); /* returns -ECANCELED */
    hk_scope_cancel(&s);
    CHECK_EQ(hk_scope_join(&s), 0);

    hk_scope_open(&s);
    hk_spawn_thread(&s, return_it, &cancelled); /* out of nothing: an error */
    CHECK_EQ(hk_scope_join(&s), -ECANCELED);
    return 0;
}

HOMES_TEST(thread_is_counted_among_the_children)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_event go = HK_EVENT_INIT;
    hk_stats stats;

    hk_scope_open(&s);
    hk_spawn_thread(&s, wait_for_event, &go);
    hk_spawn_thread(&s, wait_for_event, &go);
    CHECK_EQ(hk_scope_children(&s), 2);
    hk_stats_read(&stats);
    CHECK(stats.threads_alive >= 2);
    hk_event_set(&go);
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rule_02_a_foreign_thread_may_not_spawn_a_thread),
        cmocka_unit_test(daemon_in_a_scope_panics),
        cmocka_unit_test(thread_without_a_scope_panics),
        cmocka_unit_test(rule_01_a_thread_that_returns_with_a_scope_open_panics),
        cmocka_unit_test(rule_36_pthread_exit_on_a_thread_of_a_scope_panics),
        cmocka_unit_test(rule_27_a_thread_may_spawn_into_its_scope),
        cmocka_unit_test(rule_27_a_foreign_thread_inherits_no_scope),
        cmocka_unit_test(rule_27_tasks_of_a_thread_run_in_the_runtime_around_it),
        cmocka_unit_test(rule_26_runtimes_on_threads_are_independent_and_share_objects),
        cmocka_unit_test(rule_25_a_threads_own_scope_is_its_own),
        cmocka_unit_test(rule_07_the_first_error_of_a_thread_cancels_its_siblings),
        cmocka_unit_test(rule_07_the_error_of_a_task_cancels_a_thread),
        cmocka_unit_test(rule_07_wait_all_and_first_success_hold_for_threads),
        cmocka_unit_test(rule_06_an_echo_is_no_error),
        cmocka_unit_test(thread_is_counted_among_the_children),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
