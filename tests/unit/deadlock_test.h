/* SPDX-License-Identifier: MIT */
/* For the tests of deadlocks: what nobody ever sets, and who waits for it. */
#ifndef TESTS_UNIT_DEADLOCK_TEST_H
#define TESTS_UNIT_DEADLOCK_TEST_H

#include "child.h"

#include <hocket.h>

static inline bool is_dead(int rc)
{
    return rc == -EDEADLK;
}

static hk_event never = {.name = "never"};

static inline int waits_for_the_event(void *arg)
{
    (void)arg;
    return is_dead(hk_event_wait(&never)) ? 0 : -1;
}

#endif
