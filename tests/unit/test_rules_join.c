/* SPDX-License-Identifier: MIT */
/*
 * docs/rules.md, rules 3 to 6, each as tests named after it: what a join waits for, and
 * what it returns. Time is the virtual clock, so "after 5 s" is exact and free.
 */
#include "rules_test.h"

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
