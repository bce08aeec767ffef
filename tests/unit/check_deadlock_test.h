/* SPDX-License-Identifier: MIT */
/* For the tests of deadlocks among others who go on: some who lock crosswise. */
#ifndef TESTS_UNIT_CHECK_DEADLOCK_TEST_H
#define TESTS_UNIT_CHECK_DEADLOCK_TEST_H

#include "check_test.h"

static hk_mutex mutexes[3];

static inline void renew(void)
{
    static const char *const names[] = {"alpha", "beta", "gamma"};

    for (int i = 0; i < 3; i++)
        mutexes[i] = (hk_mutex){.name = names[i]};
}

/* One who takes two mutexes, with a meeting in between: all hold one, all want one. */
struct crosser {
    const char *name;
    int first, second;
    bool is_shielded;
    int result; /* of the second lock */
};

static int here;              /* atomic: how many have their first */
static int expected;          /* how many there are */
static hk_event all_are_here; /* set by the last */

static inline void meet(void)
{
    if (__atomic_add_fetch(&here, 1, __ATOMIC_ACQ_REL) == expected)
        hk_event_set(&all_are_here);
    CHECK_EQ(hk_event_wait(&all_are_here), 0);
}

static inline void prepare(int count)
{
    renew();
    __atomic_store_n(&here, 0, __ATOMIC_RELEASE);
    expected = count;
    all_are_here = (hk_event)HK_EVENT_INIT;
}

static inline int cross(void *arg)
{
    struct crosser *crosser = arg;

    CHECK_EQ(hk_mutex_lock(&mutexes[crosser->first]), 0);
    meet();
    if (crosser->is_shielded) {
        hk_mutex_lock_shielded(&mutexes[crosser->second]);
        crosser->result = 0;
    } else {
        crosser->result = hk_mutex_lock(&mutexes[crosser->second]);
    }
    if (crosser->result == 0)
        hk_mutex_unlock(&mutexes[crosser->second]);
    hk_mutex_unlock(&mutexes[crosser->first]);
    return 0;
}

static inline int child_locks(void *arg)
{
    int *result = arg;

    *result = hk_mutex_lock(&mutexes[0]);
    if (*result == 0)
        hk_mutex_unlock(&mutexes[0]);
    return 0;
}

struct family {
    hk_task_fn *child;
    unsigned flags;
    bool child_first; /* it waits before its parent does */
    int result;
};

#endif
