/* SPDX-License-Identifier: MIT */
/*
 * docs/rules.md, rules 7 to 10, each as tests named after it, and that a cancel cannot
 * be lost. Time is the virtual clock, so "after 5 s" is exact and free; misuse is run
 * in child processes, which must abort with the sentence.
 */
#include "rules_test.h"

/* ---- 7: policies ---- */

TASK_TEST(rule_07_fail_fast_cancels_siblings_and_body)
{
    hk_scope s = HK_SCOPE_INIT;
    int64_t begin = hk_now();

    hk_scope_open(&s);
    hk_spawn(&s, sleep_and_swallow, NULL);
    hk_spawn(&s, fail_after_5, NULL);
    hk_spawn(&s, sleep_and_swallow, NULL);
    CHECK_EQ(hk_sleep(HK_SECOND), -ECANCELED);
    CHECK_EQ(hk_now(), begin + 5);
    CHECK_EQ(hk_scope_join(&s), -EIO);
    return 0;
}

TASK_TEST(rule_07_wait_all_cancels_nothing)
{
    hk_scope s = HK_SCOPE_INIT;
    int64_t begin = hk_now(), second = HK_SECOND;
    int first = -EPERM;

    hk_scope_open_with(&s, HK_SCOPE_WAIT_ALL, NULL);
    hk_spawn(&s, return_it, &first);
    hk_spawn(&s, fail_after_5, NULL);
    hk_spawn(&s, sleep_for, &second);
    CHECK_EQ(hk_sleep(2 * HK_SECOND), 0);
    CHECK_EQ(hk_scope_join(&s), -EPERM);
    CHECK_EQ(hk_now(), begin + 2 * HK_SECOND);
    CHECK_EQ(hk_scope_reason(&s), HK_NOT_CANCELLED);
    return 0;
}

static int succeed_after_5(void *arg)
{
    (void)arg;
    CHECK_EQ(hk_sleep(5), 0);
    return 7;
}

TASK_TEST(rule_07_first_success_gives_0_and_cancels_the_rest)
{
    hk_scope s = HK_SCOPE_INIT;
    int64_t begin = hk_now();
    int error = -EIO;

    hk_scope_open_with(&s, HK_SCOPE_FIRST_SUCCESS, NULL);
    hk_spawn(&s, return_it, &error); /* an error alone cancels nobody */
    hk_spawn(&s, succeed_after_5, NULL);
    hk_spawn(&s, sleep_for_ever, NULL);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(hk_now(), begin + 5);
    return 0;
}

TASK_TEST(rule_07_first_success_without_success_gives_the_first_error)
{
    hk_scope s = HK_SCOPE_INIT;
    int first = -EPERM;

    hk_scope_open_with(&s, HK_SCOPE_FIRST_SUCCESS, NULL);
    hk_spawn(&s, return_it, &first);
    hk_spawn(&s, fail_after_5, NULL);
    CHECK_EQ(hk_scope_join(&s), -EPERM);
    return 0;
}

TASK_TEST(rule_07_first_success_without_children_gives_0)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open_with(&s, HK_SCOPE_FIRST_SUCCESS, NULL);
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

static int succeed_shielded_after_20(void *arg)
{
    hk_scope shield = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open_with(&shield, HK_SCOPE_SHIELDED, NULL);
    CHECK_EQ(hk_sleep(20), 0);
    return hk_scope_join(&shield);
}

/* The connection that was made a moment after the time was over must not be leaked by
 * an error: any child >= 0 gives 0. */
TASK_TEST(rule_07_first_success_gives_0_also_when_the_deadline_came_before)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open_with(&s, HK_SCOPE_FIRST_SUCCESS, NULL);
    hk_scope_deadline(&s, hk_now() + 10);
    hk_spawn(&s, sleep_for_ever, NULL);
    hk_spawn(&s, succeed_shielded_after_20, NULL);
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

TASK_TEST(rule_07_first_success_without_success_by_its_deadline_times_out)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open_with(&s, HK_SCOPE_FIRST_SUCCESS, NULL);
    hk_scope_deadline(&s, hk_now() + 10);
    hk_spawn(&s, sleep_for_ever, NULL);
    CHECK_EQ(hk_scope_join(&s), -ETIMEDOUT);
    return 0;
}

/* ---- 8: parallel scopes ---- */

static int fail_in_turn(void *arg)
{
    int *next = arg;
    int mine = __atomic_add_fetch(next, 1, __ATOMIC_RELAXED);

    return -1000 - mine;
}

static int parallel_errors(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_stats stats;
    int next = 0, rc;

    (void)arg;
    hk_scope_open_with(&s, HK_SCOPE_PARALLEL, NULL);
    for (int i = 0; i < 50; i++)
        hk_spawn(&s, fail_in_turn, &next);
    rc = hk_scope_join(&s);
    CHECK(rc <= -1001 && rc >= -1050); /* one of them, whole */
    hk_stats_read(&stats);
    CHECK_EQ(stats.errors_unreported, 49);
    return 0;
}

static void rule_08_in_a_parallel_scope_one_error_wins_and_the_others_are_counted(
    void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++)
        assert_int_equal(run_workers(2, parallel_errors, NULL), 0);
}

/* ---- 9: shields ---- */

TASK_TEST(rule_09_a_shield_hides_outer_cancels_and_deadlines)
{
    hk_scope outer = HK_SCOPE_INIT, shield = HK_SCOPE_INIT;

    hk_scope_open(&outer);
    hk_scope_deadline(&outer, hk_now() + 5);
    hk_scope_open_with(&shield, HK_SCOPE_SHIELDED, NULL);
    CHECK_EQ(hk_sleep(10), 0);
    CHECK_EQ(hk_scope_reason(&shield), HK_NOT_CANCELLED);
    CHECK_EQ(hk_scope_join(&shield), 0);
    CHECK_EQ(hk_cancelled(), -ECANCELED); /* the next call outside */
    CHECK_EQ(hk_scope_join(&outer), -ETIMEDOUT);
    return 0;
}

TASK_TEST(rule_09_opened_inside_a_cancelled_scope_a_shield_hides_it_as_well)
{
    hk_scope outer = HK_SCOPE_INIT, shield = HK_SCOPE_INIT, inner = HK_SCOPE_INIT;

    hk_scope_open(&outer);
    hk_scope_cancel(&outer);
    hk_scope_open_with(&shield, HK_SCOPE_SHIELDED, NULL);
    CHECK_EQ(hk_cancelled(), 0);
    hk_scope_open(&inner);
    CHECK_EQ(hk_sleep(5), 0);
    CHECK_EQ(hk_scope_join(&inner), 0);
    CHECK_EQ(hk_scope_join(&shield), 0);
    CHECK_EQ(hk_sleep(5), -ECANCELED);
    CHECK_EQ(hk_scope_join(&outer), 0);
    return 0;
}

TASK_TEST(rule_09_the_shields_own_deadline_cancel_and_fail_fast_act)
{
    hk_scope shield = HK_SCOPE_INIT;

    hk_scope_open_with(&shield, HK_SCOPE_SHIELDED, NULL);
    hk_scope_deadline(&shield, hk_now() + 5);
    CHECK_EQ(hk_sleep(10), -ECANCELED);
    CHECK_EQ(hk_scope_join(&shield), -ETIMEDOUT);

    hk_scope_open_with(&shield, HK_SCOPE_SHIELDED, NULL);
    hk_scope_cancel(&shield);
    CHECK_EQ(hk_sleep(10), -ECANCELED);
    CHECK_EQ(hk_scope_join(&shield), 0);

    hk_scope_open_with(&shield, HK_SCOPE_SHIELDED, NULL);
    hk_spawn(&shield, fail_after_5, NULL);
    CHECK_EQ(hk_sleep(10), -ECANCELED);
    CHECK_EQ(hk_scope_join(&shield), -EIO);
    return 0;
}

TASK_TEST(rule_09_a_shield_is_put_up_and_taken_down_during_the_body)
{
    hk_scope outer = HK_SCOPE_INIT, s = HK_SCOPE_INIT;

    hk_scope_open(&outer);
    hk_scope_open(&s);
    hk_scope_cancel(&outer);
    CHECK_EQ(hk_cancelled(), -ECANCELED);
    hk_scope_shield(&s, true);
    CHECK_EQ(hk_sleep(5), 0);
    hk_scope_shield(&s, false);
    CHECK_EQ(hk_sleep(5), -ECANCELED);
    CHECK_EQ(hk_scope_join(&s), -ECANCELED);
    CHECK_EQ(hk_scope_join(&outer), 0);
    return 0;
}

TASK_TEST(rule_09_children_of_a_shielded_scope_are_shielded)
{
    hk_scope outer = HK_SCOPE_INIT, shield = HK_SCOPE_INIT;
    int64_t duration = 10;

    hk_scope_open(&outer);
    hk_scope_open_with(&shield, HK_SCOPE_SHIELDED, NULL);
    hk_spawn(&shield, sleep_for, &duration);
    hk_spawn(&outer, sleep_and_swallow, NULL);
    CHECK_EQ(hk_yield(), 0);
    hk_scope_cancel(&outer);
    CHECK_EQ(hk_scope_join(&shield), 0);
    CHECK_EQ(hk_scope_join(&outer), 0);
    return 0;
}

PANIC_IN_A_TASK(rule_09_only_who_opened_it_may_shield, "did not open")
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    hk_spawn(&s, open_and_wait, NULL);
    hk_scope_shield(foreign_scope(), true);
    return 0;
}

/* ---- 10: what calls return ---- */

TASK_TEST(rule_10_inside_calls_return_ecanceled_also_for_deadlines_again_and_again)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_event never = HK_EVENT_INIT;

    hk_scope_open(&s);
    hk_scope_deadline(&s, hk_now() + 5);
    CHECK_EQ(hk_event_wait(&never), -ECANCELED);
    for (int i = 0; i < 3; i++) { /* level-triggered */
        CHECK_EQ(hk_sleep(1), -ECANCELED);
        CHECK_EQ(hk_sleep(0), -ECANCELED);
        CHECK_EQ(hk_yield(), -ECANCELED);
        CHECK_EQ(hk_cancelled(), -ECANCELED);
        CHECK_EQ(hk_event_wait(&never), -ECANCELED);
        CHECK_EQ(hk_test_wait_all_blocked(), -ECANCELED);
    }
    CHECK_EQ(hk_scope_join(&s), -ETIMEDOUT);
    return 0;
}

/* ---- promise 4: a cancel cannot be lost ---- */

static int cancel_far_without_memory(void *unused)
{
    enum { TASKS = 100 };
    hk_task_id ids[TASKS], ended;
    hk_scope s, t;
    int zero = 0;

    (void)unused;
    hk_scope_open_with(&t, HK_SCOPE_PARALLEL, NULL);
    hk_spawn_named(&t, NULL, return_it, &zero, &ended);
    CHECK_EQ(hk_scope_join(&t), 0);
    hk_scope_open_with(&s, HK_SCOPE_PARALLEL | HK_SCOPE_WAIT_ALL, NULL);
    for (int i = 0; i < TASKS; i++) /* some start here, some there, some not yet */
        hk_spawn_named(&s, NULL, sleep_for_ever, NULL, &ids[i]);
    for (int i = 0; i < TASKS; i++) {
        hk_fault_arm(HK_FAULT_ALLOC, 1, -ENOMEM);
        CHECK_EQ(hk_task_cancel(ids[i]), 0);
        hk_fault_arm(HK_FAULT_ALLOC, 1, -ENOMEM);
        (void)hk_task_cancel(ended); /* harms nobody */
        hk_fault_arm(HK_FAULT_ALLOC, 0, 0);
        if (i % 10 == 0)
            CHECK_EQ(hk_yield(), 0);
    }
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

static void promise_4_a_cancel_of_a_task_elsewhere_needs_no_memory(void **state)
{
    (void)state;
    for (int i = 0; i < scaled(50, 5); i++) {
        assert_int_equal(cancel_far_without_memory(NULL), 0);
        assert_int_equal(run_workers(3, cancel_far_without_memory, NULL), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rule_09_only_who_opened_it_may_shield),
        cmocka_unit_test(rule_07_fail_fast_cancels_siblings_and_body),
        cmocka_unit_test(rule_07_wait_all_cancels_nothing),
        cmocka_unit_test(rule_07_first_success_gives_0_and_cancels_the_rest),
        cmocka_unit_test(rule_07_first_success_without_success_gives_the_first_error),
        cmocka_unit_test(rule_07_first_success_without_children_gives_0),
        cmocka_unit_test(
            rule_07_first_success_gives_0_also_when_the_deadline_came_before),
        cmocka_unit_test(
            rule_07_first_success_without_success_by_its_deadline_times_out),
        cmocka_unit_test(
            rule_08_in_a_parallel_scope_one_error_wins_and_the_others_are_counted),
        cmocka_unit_test(rule_09_a_shield_hides_outer_cancels_and_deadlines),
        cmocka_unit_test(
            rule_09_opened_inside_a_cancelled_scope_a_shield_hides_it_as_well),
        cmocka_unit_test(rule_09_the_shields_own_deadline_cancel_and_fail_fast_act),
        cmocka_unit_test(rule_09_a_shield_is_put_up_and_taken_down_during_the_body),
        cmocka_unit_test(rule_09_children_of_a_shielded_scope_are_shielded),
        cmocka_unit_test(
            rule_10_inside_calls_return_ecanceled_also_for_deadlines_again_and_again),
        cmocka_unit_test(promise_4_a_cancel_of_a_task_elsewhere_needs_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
