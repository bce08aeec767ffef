/* SPDX-License-Identifier: MIT */
/* For the tests of operations: some that call back, and what came of them. */
#ifndef TESTS_UNIT_OP_TEST_H
#define TESTS_UNIT_OP_TEST_H

#include "support/core_test.h"

static const hk_wait_kind test_kind = {.name = "test", .external = true};

struct pending {
    hk_waiter waiter;
    hk_op op;
    int done;
    int result;
    hk_event *event;
};

static inline void note_result(hk_waiter *w)
{
    struct pending *p = w->data;

    p->result = w->result;
    __atomic_add_fetch(&p->done, 1, __ATOMIC_RELEASE);
    if (p->event)
        hk_event_set(p->event);
}

static inline void arm(struct pending *p)
{
    memset(p, 0, sizeof(*p));
    CHECK_EQ(hk_waiter_init_callback(&p->waiter, &test_kind, NULL, note_result), 0);
    p->waiter.data = p;
}

static inline void make_pair(hk_fd out[2])
{
    CHECK_EQ(hk_socket_pair(out), 0);
}

/* Lets the loop run until `*done`. */
static inline void until_done(const int *done)
{
    while (!peek(done))
        CHECK_EQ(hk_sleep(HK_MILLISECOND), 0);
}

#endif
