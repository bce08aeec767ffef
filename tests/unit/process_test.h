/* SPDX-License-Identifier: MIT */
/*
 * What the tests of process pools share: functions that run in workers, and awaits with
 * the checks that every test makes.
 */
#ifndef TESTS_UNIT_PROCESS_TEST_H
#define TESTS_UNIT_PROCESS_TEST_H

#include <hocket/executor.h>
#include <hocket/fn.h>
#include <hocket/processes.h>
#include <hocket/run.h>
#include <hocket/scope.h>
#include <hocket/task.h>

#include "unit/child.h"

#include <errno.h>
#include <fcntl.h>

/* ---- what runs in workers ---- */

HK_FN(long, add, (long, a), (long, b))
{
    return a + b;
}

HK_FN(int, die_by, (int, signo))
{
    (void)signal(signo, SIG_DFL);
    (void)raise(signo);
    return 0;
}

HK_FN(int, exit_with, (int, status))
{
    _exit(status);
}

HK_FN(int, run_for_ever)
{
    for (;;)
        (void)pause();
}

/* ---- help ---- */

/* Of all pools of a test. */
static hk_process_start how_to_start;

static inline hk_executor *pool_of(const hk_process_options *options)
{
    hk_process_options with_start = *options;
    hk_executor *pool;

    with_start.start = how_to_start;
    assert_int_equal(hk_process_pool_new(&with_start, &pool), 0);
    return pool;
}

static inline hk_executor *pool_with(uint32_t workers)
{
    return pool_of(&(hk_process_options){.workers_max = workers});
}

static inline void expect_add(hk_executor *pool, long a, long b)
{
    hk_future *future = add_on(pool, a, b);
    long sum = 0;

    assert_int_equal(add_await(future, &sum), 0);
    assert_int_equal(sum, a + b);
    hk_future_free(future);
}

static inline int await_and_free(hk_future *future)
{
    int rc = hk_future_await(future, NULL);

    hk_future_free(future);
    return rc;
}

static inline hk_process_stats stats_of(hk_executor *pool)
{
    hk_process_stats stats;

    hk_process_stats_read(pool, &stats);
    return stats;
}

static inline pid_t await_worker(hk_future *future)
{
    pid_t pid;

    while ((pid = hk_future_worker(future)) == 0)
        assert_int_equal(hk_sleep(HK_MILLISECOND), 0);
    return pid;
}

/* ---- the same with forked workers ---- */

static CMUnitTestFunction forked_test;

static inline int run_forked_test(void)
{
    const struct CMUnitTest tests[] = {{.name = "forked", .test_func = forked_test}};

    (void)dup2(STDERR_FILENO, STDOUT_FILENO);
    how_to_start = HK_START_FORK;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* In a process of its own, which has one thread when the test makes its pool. */
static inline void in_forked_workers(void **state)
{
    struct child child;

    skip_if_emulated("has threads of its own");
    forked_test = (CMUnitTestFunction)(uintptr_t)*state;
    child = run_child(run_forked_test);
    expect_exit(&child, 0);
}

/* A test that makes one pool, once more. To be run before all that have threads. */
#define forked_unit_test(test)                                                         \
    {                                                                                  \
        .name = "forked: " #test, .test_func = in_forked_workers,                      \
        .initial_state = (void *)(uintptr_t)(test),                                    \
    }

#endif
