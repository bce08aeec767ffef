/* SPDX-License-Identifier: MIT */
/* For the tests of pools of threads. */
#ifndef TESTS_UNIT_THREAD_POOL_TEST_H
#define TESTS_UNIT_THREAD_POOL_TEST_H

#include "support/job_test.h"

static inline hk_executor *pool_of_threads(uint32_t threads, uint32_t threads_max)
{
    const hk_thread_pool_options options = {.threads = threads,
                                            .threads_max = threads_max};
    hk_executor *pool;

    CHECK_EQ(hk_thread_pool_new(&options, &pool), 0);
    return pool;
}

#endif
