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

static inline hk_executor *pool_of(const hk_process_options *options)
{
    hk_executor *pool;

    assert_int_equal(hk_process_pool_new(options, &pool), 0);
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

#endif
