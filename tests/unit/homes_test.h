/* SPDX-License-Identifier: MIT */
/*
 * A scenario whose home does not matter is run in three: on a plain thread, in a task,
 * in a task of two workers.
 */
#ifndef TESTS_UNIT_HOMES_TEST_H
#define TESTS_UNIT_HOMES_TEST_H

#include "support/core_test.h"

static inline void in_every_home(hk_task_fn *scenario)
{
    CHECK_EQ(scenario(NULL), 0);
    CHECK_EQ(run_workers(1, scenario, NULL), 0);
    CHECK_EQ(run_workers(2, scenario, NULL), 0);
}

/* The body that follows is run in every home; it returns 0. */
#define HOMES_TEST(name)                                                               \
    static int name##_body(void *unused_arg);                                          \
    static void name(void **state)                                                     \
    {                                                                                  \
        (void)state;                                                                   \
        in_every_home(name##_body);                                                    \
    }                                                                                  \
    static int name##_body(void *unused_arg __attribute__((unused)))

#endif
