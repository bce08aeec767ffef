/* SPDX-License-Identifier: MIT */
/* For the tests of the rules about scopes: somebody else's scope, and one who fails. */
#ifndef TESTS_UNIT_RULES_TEST_H
#define TESTS_UNIT_RULES_TEST_H

#include "support/core_test.h"

static hk_scope *foreign; /* atomic: nothing orders those who share it */

/* That of a sibling which runs open_and_wait. */
static inline hk_scope *foreign_scope(void)
{
    (void)hk_yield();
    return __atomic_load_n(&foreign, __ATOMIC_ACQUIRE);
}

static inline int open_and_wait(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open_with(&s, 0, "foreign");
    __atomic_store_n(&foreign, &s, __ATOMIC_RELEASE);
    (void)hk_sleep(HK_SECOND);
    return hk_scope_join(&s);
}

static inline int fail_after_5(void *arg)
{
    (void)arg;
    (void)hk_sleep(5);
    return -EIO;
}

static inline int spawn_counter(void *arg)
{
    void **args = arg;

    return hk_spawn(args[0], count_me, args[1]);
}

#endif
