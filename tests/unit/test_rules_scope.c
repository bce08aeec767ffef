/* SPDX-License-Identifier: MIT */
/*
 * docs/rules.md, rules 1 to 6, each as tests named after it. Time is the virtual
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

static int spawn_counter(void *arg)
{
    void **args = arg;

    return hk_spawn(args[0], count_me, args[1]);
}

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

/* ---- 3: join waits for every child ---- */

static int clean_up_for_2s(void *arg)
{
    hk_scope shield = HK_SCOPE_INIT;

    CHECK_EQ(hk_sleep(HK_NEVER), -ECANCELED);
    hk_scope_open_with(&shield, HK_SCOPE_SHIELDED, "clean-up");
    CHECK_EQ(hk_sleep(2 * HK_SECOND), 0);
    CHECK_EQ(hk_scope_join(&shield), 0);
    *(bool *)arg = true;
    return -ECANCELED;
}

TASK_TEST(rule_03_join_waits_for_every_child_also_when_cancelled)
{
    hk_scope s = HK_SCOPE_INIT;
    int64_t begin = hk_now();
    bool done[3] = {false};

    hk_scope_open(&s);
    for (int i = 0; i < 3; i++)
        hk_spawn(&s, clean_up_for_2s, &done[i]);
    hk_scope_deadline(&s, begin + HK_SECOND);
    CHECK_EQ(hk_scope_join(&s), -ETIMEDOUT);
    CHECK_EQ(hk_now(), begin + 3 * HK_SECOND);
    CHECK(done[0] && done[1] && done[2]);
    return 0;
}

TASK_TEST(rule_03_join_waits_for_children_spawned_during_the_join)
{
    hk_scope s = HK_SCOPE_INIT;
    int count = 0;
    void *args[] = {&s, &count};

    hk_scope_open(&s);
    for (int i = 0; i < 10; i++)
        hk_spawn(&s, spawn_counter, args);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(count, 10);
    return 0;
}

/* ---- 4: what join returns, in this order ---- */

/* An error, an outer cancel and the own deadline, all delivered. */
static int all_at_once(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    int error = -EIO;

    (void)arg;
    hk_scope_open_with(&s, HK_SCOPE_WAIT_ALL, NULL);
    hk_scope_deadline(&s, hk_now() + 10);
    hk_spawn(&s, sleep_and_swallow, NULL);
    hk_spawn(&s, fail_after_5, &error);
    CHECK_EQ(hk_sleep(HK_SECOND), -ECANCELED);
    CHECK_EQ(hk_scope_join(&s), -EIO);
    return 0;
}

TASK_TEST(rule_04_join_returns_the_first_error_before_anything_else)
{
    hk_scope outer = HK_SCOPE_INIT;

    hk_scope_open(&outer);
    hk_spawn(&outer, all_at_once, NULL);
    CHECK_EQ(hk_sleep(20), 0);
    hk_scope_cancel(&outer);
    CHECK_EQ(hk_scope_join(&outer), 0);
    return 0;
}

static int late_error(void *arg)
{
    hk_scope shield = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open_with(&shield, HK_SCOPE_SHIELDED, NULL);
    CHECK_EQ(hk_sleep(HK_SECOND), 0);
    CHECK_EQ(hk_scope_join(&shield), 0);
    return -EPIPE; /* long after the deadline: still the first error */
}

TASK_TEST(rule_04_an_error_after_the_deadline_still_comes_first)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    hk_scope_deadline(&s, hk_now() + 5);
    hk_spawn(&s, late_error, NULL);
    CHECK_EQ(hk_sleep(10), -ECANCELED);
    CHECK_EQ(hk_scope_join(&s), -EPIPE);
    return 0;
}

TASK_TEST(rule_04_join_returns_ecanceled_before_etimedout)
{
    hk_scope outer = HK_SCOPE_INIT, inner = HK_SCOPE_INIT;

    hk_scope_open(&outer);
    hk_scope_open(&inner);
    hk_scope_deadline(&inner, hk_now() + 5);
    CHECK_EQ(hk_sleep(10), -ECANCELED); /* delivered: the own deadline */
    hk_scope_cancel(&outer);
    CHECK_EQ(hk_sleep(10), -ECANCELED); /* delivered: the ancestor's cancel, too */
    CHECK_EQ(hk_scope_join(&inner), -ECANCELED);
    CHECK_EQ(hk_scope_join(&outer), 0);
    return 0;
}

TASK_TEST(rule_04_join_returns_etimedout_for_its_own_deadline)
{
    hk_scope outer = HK_SCOPE_INIT, inner = HK_SCOPE_INIT;
    int64_t begin = hk_now();

    hk_scope_open(&outer);
    hk_scope_deadline(&outer, begin + 5);
    hk_scope_open(&inner);
    CHECK_EQ(hk_sleep(10), -ECANCELED);
    CHECK_EQ(hk_now(), begin + 5);
    CHECK_EQ(hk_scope_reason(&inner), HK_BY_OUTER);
    CHECK_EQ(hk_scope_join(&inner), -ECANCELED);
    CHECK_EQ(hk_scope_reason(&outer), HK_BY_DEADLINE);
    CHECK_EQ(hk_scope_join(&outer), -ETIMEDOUT);
    CHECK_EQ(hk_scope_reason(&outer), HK_BY_DEADLINE); /* also after the join */
    return 0;
}

TASK_TEST(rule_04_join_returns_0_after_its_own_cancel)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    hk_spawn(&s, sleep_for_ever, NULL);
    CHECK_EQ(hk_yield(), 0);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_sleep(1), -ECANCELED);
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

/* ---- 5: delivered ---- */

TASK_TEST(rule_05_work_that_finished_without_noticing_yields_0)
{
    hk_scope s = HK_SCOPE_INIT;
    int count = 0;

    hk_scope_open(&s);
    hk_scope_deadline(&s, hk_now() - 1); /* has passed */
    hk_spawn(&s, count_me, &count);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(count, 1);
    CHECK_EQ(hk_scope_reason(&s), HK_BY_DEADLINE);
    return 0;
}

static int child_notices(void *arg)
{
    (void)arg;
    CHECK_EQ(hk_cancelled(), -ECANCELED);
    return 0;
}

TASK_TEST(rule_05_a_cancel_that_only_a_child_noticed_was_delivered)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    hk_scope_deadline(&s, 0);
    hk_spawn(&s, child_notices, NULL);
    CHECK_EQ(hk_scope_join(&s), -ETIMEDOUT);
    return 0;
}

/* Delivered to a child of an inner scope: the inner join says -ECANCELED, the outer one
 * -ETIMEDOUT, and a third scope around that nothing happened. */
TASK_TEST(rule_05_delivery_counts_for_every_scope_up_to_the_cancelled_one)
{
    hk_scope a = HK_SCOPE_INIT, b = HK_SCOPE_INIT, c = HK_SCOPE_INIT;

    hk_scope_open(&a);
    hk_scope_open(&b);
    hk_scope_deadline(&b, hk_now() + 5);
    hk_scope_open(&c);
    hk_spawn(&c, sleep_and_swallow, NULL);
    CHECK_EQ(hk_scope_join(&c), -ECANCELED);
    CHECK_EQ(hk_scope_join(&b), -ETIMEDOUT);
    CHECK_EQ(hk_scope_join(&a), 0);
    return 0;
}

/* ---- 6: echoes ---- */

static int return_ecanceled(void *arg)
{
    (void)arg;
    return -ECANCELED;
}

TASK_TEST(rule_06_ecanceled_of_a_child_without_a_cancel_is_an_error)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    hk_spawn(&s, return_ecanceled, NULL);
    CHECK_EQ(hk_sleep(HK_SECOND),
             -ECANCELED); /* it cancels the siblings and the body */
    CHECK_EQ(hk_scope_join(&s), -ECANCELED);
    CHECK_EQ(hk_scope_reason(&s), HK_BY_FAILURE);
    return 0;
}

TASK_TEST(rule_06_ecanceled_of_a_child_under_a_cancel_is_an_echo)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    hk_spawn(&s, sleep_for_ever, NULL);
    CHECK_EQ(hk_sleep(1), 0);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

TASK_TEST(rule_06_ecanceled_of_a_child_that_was_cancelled_alone_is_an_echo)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_task_id id;

    hk_scope_open(&s);
    hk_spawn_named(&s, "alone", sleep_for_ever, NULL, &id);
    CHECK_EQ(hk_sleep(1), 0);
    CHECK_EQ(hk_task_cancel(id), 0);
    CHECK_EQ(hk_sleep(1), 0); /* siblings and body live on */
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(hk_scope_reason(&s), HK_NOT_CANCELLED);
    return 0;
}

TASK_TEST(rule_06_reason_tells_a_kernel_etimedout_from_a_deadline)
{
    hk_scope s = HK_SCOPE_INIT;
    int kernel_timeout = -ETIMEDOUT;

    hk_scope_open(&s);
    hk_spawn(&s, return_it, &kernel_timeout);
    CHECK_EQ(hk_scope_join(&s), -ETIMEDOUT);
    CHECK_EQ(hk_scope_reason(&s), HK_BY_FAILURE);
    hk_scope_open(&s);
    hk_scope_deadline(&s, hk_now() + 1);
    CHECK_EQ(hk_sleep(2), -ECANCELED);
    CHECK_EQ(hk_scope_join(&s), -ETIMEDOUT);
    CHECK_EQ(hk_scope_reason(&s), HK_BY_DEADLINE);
    return 0;
}

/* It may be a place of the stack where a scope, or a part of one, was before. */
TASK_TEST(what_lies_in_the_storage_of_a_scope_does_not_matter)
{
    hk_scope first, second;

    hk_scope_open(&first);
    memcpy(&second, &first, sizeof(second));
    CHECK_EQ(hk_scope_join(&first), 0);
    hk_scope_open(&second);
    return hk_scope_join(&second);
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
        cmocka_unit_test(rule_03_join_waits_for_every_child_also_when_cancelled),
        cmocka_unit_test(rule_03_join_waits_for_children_spawned_during_the_join),
        cmocka_unit_test(rule_04_join_returns_the_first_error_before_anything_else),
        cmocka_unit_test(rule_04_an_error_after_the_deadline_still_comes_first),
        cmocka_unit_test(rule_04_join_returns_ecanceled_before_etimedout),
        cmocka_unit_test(rule_04_join_returns_etimedout_for_its_own_deadline),
        cmocka_unit_test(rule_04_join_returns_0_after_its_own_cancel),
        cmocka_unit_test(rule_05_work_that_finished_without_noticing_yields_0),
        cmocka_unit_test(rule_05_a_cancel_that_only_a_child_noticed_was_delivered),
        cmocka_unit_test(
            rule_05_delivery_counts_for_every_scope_up_to_the_cancelled_one),
        cmocka_unit_test(rule_06_ecanceled_of_a_child_without_a_cancel_is_an_error),
        cmocka_unit_test(rule_06_ecanceled_of_a_child_under_a_cancel_is_an_echo),
        cmocka_unit_test(
            rule_06_ecanceled_of_a_child_that_was_cancelled_alone_is_an_echo),
        cmocka_unit_test(rule_06_reason_tells_a_kernel_etimedout_from_a_deadline),
        cmocka_unit_test(what_lies_in_the_storage_of_a_scope_does_not_matter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
