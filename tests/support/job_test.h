/* SPDX-License-Identifier: MIT */
/* For the tests of futures and executors: the jobs that most of them submit. */
#ifndef TESTS_SUPPORT_JOB_TEST_H
#define TESTS_SUPPORT_JOB_TEST_H

#include "support/core_test.h"

HK_FN(hk_rc, sleeps, (int64_t, ns))
{
    return hk_sleep(ns);
}

HK_FN(hk_rc, gives, (int, rc))
{
    return rc;
}

HK_FN(int, square, (int, n))
{
    return n * n;
}

static inline hk_executor_stats stats_of(hk_executor *executor)
{
    hk_executor_stats stats;

    hk_executor_stats_read(executor, &stats);
    return stats;
}

#endif
