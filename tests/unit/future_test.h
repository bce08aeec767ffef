/* SPDX-License-Identifier: MIT */
/* For the tests of futures: some that nobody has set yet. */
#ifndef TESTS_UNIT_FUTURE_TEST_H
#define TESTS_UNIT_FUTURE_TEST_H

#include "support/core_test.h"

enum { COUNT = 4 };

static inline void make(hk_future **futures)
{
    for (int i = 0; i < COUNT; i++)
        futures[i] = hk_future_new();
}

static inline void free_all(hk_future **futures)
{
    for (int i = 0; i < COUNT; i++)
        hk_future_free(futures[i]);
}

#endif
