/* SPDX-License-Identifier: MIT */
/*
 * docs/rules.md, rules 1 and 2, each as tests named after it. Time is the virtual
 * clock's, so "after 5 s" is exact and free; misuse is run in child processes, which
 * must abort with the sentence.
 */
#include "rules_test.h"

/* ---- 1: last-in first-out, and who may use a scope ---- */

TASK_TEST(rule_01_scopes_open_and_join_last_in_first_out)
{
    hk_scope a = HK_SCOPE_INIT, b = HK_SCOPE_INIT;

    hk_scope_open(&a);
    hk_scope_open(&b);
    CHECK_EQ(hk_scope_join(&b), 0);
    hk_scope_open(&b); /* the storage may be used again */
    CHECK_EQ(hk_scope_join(&b), 0);
    CHECK_EQ(hk_scope_join(&a), 0);
    return 0;
}

TASK_TEST(rule_01_the_body_is_inside)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    CHECK_EQ(hk_sleep(1), 0);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_sleep(1), -ECANCELED);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(hk_sleep(1), 0);
    return 0;
}

TASK_TEST(rule_01_scope_fail_records_the_bodys_error_and_cancels)
{
    hk_scope s = HK_SCOPE_INIT;
    int rc;

    hk_scope_open(&s);
    hk_spawn(&s, sleep_and_swallow, NULL);
    CHECK_EQ(hk_yield(), 0);
    hk_scope_fail(&s, -EIO);
    CHECK_EQ(hk_cancelled(), -ECANCELED);
    CHECK_EQ(hk_scope_reason(&s), HK_BY_FAILURE);
    hk_scope_fail(&s, -EPERM); /* a later one does not replace the first */
    rc = hk_scope_join(&s);
    CHECK_EQ(rc, -EIO);
    return 0;
}

/* What a body does with the -ECANCELED that it got must not look like its own error. */
TASK_TEST(rule_01_scope_fail_with_an_echo_is_no_error)
{
    hk_scope s = HK_SCOPE_INIT;
    int rc;

    hk_scope_open(&s);
    hk_scope_deadline(&s, hk_now() + 5);
    rc = hk_sleep(10);
    CHECK_EQ(rc, -ECANCELED);
    hk_scope_fail(&s, rc);
    CHECK_EQ(hk_scope_join(&s), -ETIMEDOUT);
    hk_scope_open(&s);
    hk_scope_fail(&s, -ECANCELED); /* under no cancel it is one */
    CHECK_EQ(hk_scope_join(&s), -ECANCELED);
    return 0;
}

PANIC_IN_A_TASK(rule_01_joining_an_unopened_scope_panics, "not open")
{
    hk_scope s = HK_SCOPE_INIT;

    return hk_scope_join(&s);
}

PANIC_IN_A_TASK(rule_01_joining_twice_panics, "not open")
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    (void)hk_scope_join(&s);
    return hk_scope_join(&s);
}

PANIC_IN_A_TASK(rule_01_joining_a_scope_that_is_not_the_innermost_panics,
                "not the innermost")
{
    hk_scope a = HK_SCOPE_INIT, b = HK_SCOPE_INIT;

    hk_scope_open_with(&a, 0, "outer");
    hk_scope_open(&b);
    return hk_scope_join(&a);
}

PANIC_IN_A_TASK(rule_01_returning_with_a_scope_open_panics,
                "returned with scope 'left'")
{
    static hk_scope s; /* outlives the task, so that only the rule is broken */

    hk_scope_open_with(&s, 0, "left");
    return 0;
}

/* As a function that opens one and returns: its frame is soon another's. */
static void leave_a_scope_open(void)
{
    static hk_scope s;

    hk_scope_open_with(&s, 0, "left");
    memset(&s, 0x41, sizeof(s));
}

PANIC_IN_A_TASK(rule_01_returning_with_a_scope_open_whose_storage_is_gone_panics,
                "task 'main' returned with scope 'unnamed' open")
{
    leave_a_scope_open();
    return 0;
}

PANIC_IN_A_TASK(rule_01_opening_inside_a_scope_whose_storage_is_gone_panics,
                "hk_scope_open by 'main' inside a scope that is gone")
{
    hk_scope s = HK_SCOPE_INIT;

    leave_a_scope_open();
    hk_scope_open(&s);
    return hk_scope_join(&s);
}

PANIC_IN_A_TASK(rule_01_opening_an_open_scope_panics,
                "hk_scope_open by 'main' of scope 'twice', which is open")
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open_with(&s, 0, "twice");
    hk_scope_open(&s);
    return 0;
}

PANIC_IN_A_TASK(rule_01_cancelling_an_unopened_scope_panics, "not open")
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_cancel(&s);
    return 0;
}

PANIC_IN_A_TASK(rule_01_a_deadline_on_an_unopened_scope_panics, "not open")
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_deadline(&s, 1);
    return 0;
}

PANIC_IN_A_TASK(rule_01_shielding_an_unopened_scope_panics, "hk_scope_shield")
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_shield(&s, true);
    return 0;
}

PANIC_IN_A_TASK(rule_01_failing_with_what_is_no_error_panics, "not an error")
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    hk_scope_fail(&s, 0);
    return 0;
}

static int join_it(void *arg)
{
    return hk_scope_join(arg);
}

PANIC_IN_A_TASK(rule_01_joining_anothers_scope_panics, "not the innermost")
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    hk_spawn(&s, join_it, &s);
    return hk_scope_join(&s);
}

static void *end_with_a_scope_open(void *arg)
{
    hk_scope_open(arg);
    return NULL;
}

PANIC_TEST(rule_01_a_thread_that_ends_with_a_scope_open_panics,
           "ends with a scope open")
{
    static hk_scope s;
    pthread_t thread;

    pthread_create(&thread, NULL, end_with_a_scope_open, &s);
    pthread_join(thread, NULL);
    return 0;
}

/* ---- 2: who may spawn ---- */

TASK_TEST(rule_02_descendants_may_spawn_into_a_scope)
{
    hk_scope outer = HK_SCOPE_INIT, inner = HK_SCOPE_INIT;
    int count = 0;
    void *args[] = {&outer, &count};

    hk_scope_open(&outer);
    hk_scope_open(&inner);
    hk_spawn(&inner, spawn_counter, args); /* a grandchild into the outer scope */
    CHECK_EQ(hk_spawn(&outer, count_me, &count), 0);
    CHECK_EQ(hk_scope_join(&inner), 0);
    CHECK_EQ(hk_scope_join(&outer), 0);
    CHECK_EQ(count, 2);
    return 0;
}

PANIC_IN_A_TASK(rule_02_spawning_from_outside_panics, "from outside")
{
    hk_scope s = HK_SCOPE_INIT;
    int count = 0;

    hk_scope_open(&s);
    hk_spawn(&s, open_and_wait, NULL);
    return hk_spawn(foreign_scope(), count_me, &count);
}

PANIC_IN_A_TASK(rule_02_spawning_into_an_unopened_scope_panics, "not open")
{
    hk_scope s = HK_SCOPE_INIT;

    return hk_spawn(&s, sleep_for_ever, NULL);
}

PANIC_IN_A_TASK(rule_02_failing_a_scope_from_outside_panics, "from outside")
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    hk_spawn(&s, open_and_wait, NULL);
    hk_scope_fail(foreign_scope(), -EIO);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rule_01_joining_an_unopened_scope_panics),
        cmocka_unit_test(rule_01_joining_twice_panics),
        cmocka_unit_test(rule_01_joining_a_scope_that_is_not_the_innermost_panics),
        cmocka_unit_test(rule_01_returning_with_a_scope_open_panics),
        cmocka_unit_test(
            rule_01_returning_with_a_scope_open_whose_storage_is_gone_panics),
        cmocka_unit_test(rule_01_opening_inside_a_scope_whose_storage_is_gone_panics),
        cmocka_unit_test(rule_01_opening_an_open_scope_panics),
        cmocka_unit_test(rule_01_cancelling_an_unopened_scope_panics),
        cmocka_unit_test(rule_01_a_deadline_on_an_unopened_scope_panics),
        cmocka_unit_test(rule_01_shielding_an_unopened_scope_panics),
        cmocka_unit_test(rule_01_failing_with_what_is_no_error_panics),
        cmocka_unit_test(rule_01_joining_anothers_scope_panics),
        cmocka_unit_test(rule_01_a_thread_that_ends_with_a_scope_open_panics),
        cmocka_unit_test(rule_02_spawning_from_outside_panics),
        cmocka_unit_test(rule_02_spawning_into_an_unopened_scope_panics),
        cmocka_unit_test(rule_02_failing_a_scope_from_outside_panics),
        cmocka_unit_test(rule_01_scopes_open_and_join_last_in_first_out),
        cmocka_unit_test(rule_01_the_body_is_inside),
        cmocka_unit_test(rule_01_scope_fail_records_the_bodys_error_and_cancels),
        cmocka_unit_test(rule_01_scope_fail_with_an_echo_is_no_error),
        cmocka_unit_test(rule_02_descendants_may_spawn_into_a_scope),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
