/* SPDX-License-Identifier: MIT */
/* For the tests of waiters: a gate to wait at, and a primitive whose wake is under way
 * when it is asked to abort. */
#ifndef TESTS_UNIT_WAITER_TEST_H
#define TESTS_UNIT_WAITER_TEST_H

#include "support/core_test.h"

struct gate {
    hk_lock lock;
    bool open;
    hk_waiter_queue queue;
};

static const hk_wait_kind gate_kind = {.name = "gate"};

struct slow {
    hk_waiter *waiter;
    int asked;
    int result;
};

static inline hk_verdict slow_abort(hk_waiter *w)
{
    struct slow *slow = w->data;

    slow->asked++;
    return HK_PENDING;
}

static inline int slow_wait(void *arg)
{
    struct slow *slow = arg;
    hk_waiter w;

    hk_waiter_init(&w, &gate_kind, NULL);
    w.data = slow;
    slow->waiter = &w;
    slow->result = hk_park(&w, slow_abort);
    return 0;
}

#endif
