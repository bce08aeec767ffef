/* SPDX-License-Identifier: MIT */
/* For the tests of plain threads. */
#ifndef TESTS_UNIT_THREAD_TEST_H
#define TESTS_UNIT_THREAD_TEST_H

#include "support/core_test.h"

static inline pthread_t start(void *(*fn)(void *), void *arg)
{
    pthread_t thread;

    CHECK_EQ(pthread_create(&thread, NULL, fn, arg), 0);
    return thread;
}

#endif
