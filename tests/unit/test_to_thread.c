/* SPDX-License-Identifier: MIT */
/*
 * Blocking calls on a pool's thread (docs/rules.md, rules 11, 13, 32, 35): their
 * results, their misuse, and failing starts; cancels are in test_to_thread_abandoned.c.
 * Calls wait at gates of libc (a semaphore), as a library that knows nothing of hocket
 * would.
 */
#include "to_thread_test.h"

#include "support/torture.h"
#include "support/emulator.h"
#include "sys/offload.h"

/* ---- misuse ---- */

static int leave_a_scope_open(void *scope)
{
    hk_scope_open(scope);
    return 0;
}

PANIC_TEST(call_that_leaves_a_scope_open_panics,
           "called by hk_to_thread, returned with")
{
    hk_scope s = HK_SCOPE_INIT;

    return hk_to_thread(leave_a_scope_open, &s);
}

static int leave_by_pthread_exit(void *arg)
{
    pthread_exit(arg);
}

PANIC_TEST(rule_36_pthread_exit_in_a_call_panics,
           "pthread_exit on a thread of hk_to_thread")
{
    return hk_to_thread(leave_by_pthread_exit, NULL);
}

static void call_to_thread(void *arg)
{
    CHECK_EQ(hk_to_thread(count_me, arg), 0);
}

PANIC_IN_A_TASK(call_in_the_loop_panics, "a waiting call inside a callback")
{
    CHECK_EQ(hk_call_soon(hk_worker_self(), call_to_thread, NULL), 0);
    return hk_sleep(HK_SECOND);
}

/* ---- no thread ---- */

/* In a process without room for another stack, and before the pool has any thread. */
static int call_without_room(void *arg)
{
    struct rlimit before, none;
    int count = 0, rc;
    void *own = &count;

    (void)arg;
    CHECK_EQ(hk_cancelled(), 0); /* this thread has its record */
    CHECK_EQ(getrlimit(RLIMIT_AS, &before), 0);
    none = (struct rlimit){1, before.rlim_max};
    CHECK_EQ(setrlimit(RLIMIT_AS, &none), 0);
    rc = hk_to_thread_owned(count_me, &own, gate_destroy);
    CHECK_EQ(setrlimit(RLIMIT_AS, &before), 0);
    CHECK(rc == -EAGAIN || rc == -ENOMEM);
    CHECK(own == &count);
    CHECK_EQ(count, 0);
    CHECK_EQ(calls_alive(), 0);
    CHECK_EQ(hk_to_thread(count_me, &count), 0);
    CHECK_EQ(count, 1);
    return 0;
}

static void call_is_not_made_when_no_thread_can_be_had(void **state)
{
    char text[1024];
    int status;

    (void)state;
    skip_if_emulated("has no limit on the memory of its threads");
    if (UNDER_ASAN || UNDER_TSAN)
        skip(); /* they need room of their own */
    status = run_in_child(call_without_room, text, sizeof(text));
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- results ---- */

static int where_am_i(void *arg)
{
    *(pthread_t *)arg = pthread_self();
    return hk_worker_self().value == 0 ? 5 : -EIO;
}

HOMES_TEST(call_runs_on_another_thread_and_returns_its_result)
{
    pthread_t there;
    int error = -ENOENT;

    CHECK_EQ(hk_to_thread(where_am_i, &there), 5);
    CHECK(!pthread_equal(there, pthread_self()));
    CHECK_EQ(hk_to_thread(return_it, &error), -ENOENT);
    CHECK_EQ(calls_alive(), 0);
    return 0;
}

static int open_gate(void *arg)
{
    struct gate *gate = arg;

    await(&gate->begun); /* the other task's call blocks; this one's worker does not */
    sem_post(&gate->open);
    return 0;
}

static int two_tasks(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    hk_spawn(&s, blocks_in_a_thread, arg);
    hk_spawn(&s, open_gate, arg);
    return hk_scope_join(&s);
}

static void call_leaves_the_worker_to_other_tasks(void **state)
{
    struct gate *gate = gate_new();

    (void)state;
    CHECK_EQ(run_workers(1, two_tasks, gate), 0);
    free(gate);
}

static int uses_hocket(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    int count = 0;

    (void)arg;
    CHECK_EQ(hk_cancelled(), 0);
    hk_scope_open(&s);
    hk_spawn(&s, count_me, &count);
    hk_spawn_thread(&s, count_me, &count);
    CHECK_EQ(hk_to_thread(count_me, &count), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    return count;
}

HOMES_TEST(call_may_use_hocket_as_a_plain_thread)
{
    CHECK_EQ(hk_to_thread(uses_hocket, NULL), 3);
    return 0;
}

static int set_local(void *arg)
{
    CHECK(!hk_local_get(&local));
    CHECK_EQ(hk_local_set(&local, arg), 0);
    return 0;
}

HOMES_TEST(call_leaves_no_local_values_to_the_next)
{
    int any;

    __atomic_store_n(&destroyed_values, 0, __ATOMIC_RELAXED);
    for (int i = 1; i <= 20; i++) {
        CHECK_EQ(hk_to_thread(set_local, &any), 0);
        CHECK_EQ(peek(&destroyed_values), i);
    }
    return 0;
}

static int many_calls(void *arg)
{
    int mine = 0;

    for (int i = 0; i < scaled(200, 50); i++)
        CHECK_EQ(hk_to_thread(count_me, &mine), 0);
    CHECK_EQ(mine, scaled(200, 50)); /* what the call did is seen */
    return count_me(arg);
}

HOMES_TEST(calls_of_many_tasks_and_threads_all_return)
{
    hk_scope s = HK_SCOPE_INIT;
    int count = 0;

    hk_scope_open(&s);
    for (int i = 0; i < 10; i++) {
        hk_spawn(&s, many_calls, &count);
        hk_spawn_thread(&s, many_calls, &count);
    }
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(count, 20);
    return 0;
}

/* ---- memory, torture, the virtual clock ---- */

HOMES_TEST(call_without_memory_is_not_made)
{
    int count = 0, rc = -ENOMEM;

    for (uint64_t nth = 1; rc < 0; nth++) {
        hk_fault_arm(HK_FAULT_ALLOC, nth, -ENOMEM);
        rc = hk_to_thread(count_me, &count);
        hk_fault_arm(HK_FAULT_ALLOC, 0, 0);
        CHECK(rc == 0 || rc == -ENOMEM);
        CHECK_EQ(count, rc == 0);
    }
    return 0;
}

/* So that a caller is mostly cancelled while it is under way; both are fine. */
static int sleep_a_bit(void *arg)
{
    usleep(100);
    return count_me(arg);
}

static int torture_scenario(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    hk_spawn(&s, sleep_a_bit, arg);
    for (int i = 0; i < 3; i++) {
        int rc = hk_to_thread(sleep_a_bit, arg);

        if (rc < 0)
            return hk_scope_end(&s, rc);
    }
    return hk_scope_join(&s);
}

static void call_is_cancelled_at_each_of_its_points(void **state)
{
    static int count;

    (void)state;
    cancel_at_every_point(torture_scenario, &count, NULL, 3);
    await_no_calls();
}

static int tick(void *arg)
{
    for (;;) {
        int rc = hk_sleep(HK_MILLISECOND);

        if (rc < 0)
            return rc;
        (void)count_me(arg);
    }
}

static int call_under_a_virtual_clock(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    int count = 0;

    (void)arg;
    hk_scope_open(&s);
    hk_spawn(&s, tick, &count);
    for (int i = 0; i < 50; i++)
        CHECK_EQ(hk_to_thread(return_it, &(int){i}), i);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

static void call_returns_under_a_virtual_clock(void **state)
{
    (void)state;
    CHECK_EQ(run_virtual(call_under_a_virtual_clock, NULL), 0);
}

/* ---- fork ---- */

/* Where no runtime runs, or every call would panic. */
static void call_in_a_child_of_fork_finds_no_threads_and_starts_one(void **state)
{
    int called = 0, status;
    pid_t pid;

    (void)state;
    skip_if_emulated("starts no threads in a child of fork");
    if (UNDER_TSAN)
        skip(); /* a child of fork can start no thread there */
    CHECK_EQ(hk_to_thread(count_me, &called), 0);
    while (hki_offload_pending()) /* then its thread waits for the next */
        usleep(100);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        (void)alarm(10);
        called = hk_to_thread(count_me, &called);
        _exit(called);
    }
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(call_that_leaves_a_scope_open_panics),
        cmocka_unit_test(rule_36_pthread_exit_in_a_call_panics),
        cmocka_unit_test(call_in_the_loop_panics),
        cmocka_unit_test(call_is_not_made_when_no_thread_can_be_had),
        cmocka_unit_test(call_in_a_child_of_fork_finds_no_threads_and_starts_one),
        cmocka_unit_test(call_runs_on_another_thread_and_returns_its_result),
        cmocka_unit_test(call_leaves_the_worker_to_other_tasks),
        cmocka_unit_test(call_may_use_hocket_as_a_plain_thread),
        cmocka_unit_test(call_leaves_no_local_values_to_the_next),
        cmocka_unit_test(calls_of_many_tasks_and_threads_all_return),
        cmocka_unit_test(call_without_memory_is_not_made),
        cmocka_unit_test(call_is_cancelled_at_each_of_its_points),
        cmocka_unit_test(call_returns_under_a_virtual_clock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
