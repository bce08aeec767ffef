/* SPDX-License-Identifier: MIT */
/*
 * docs/rules.md, rules 7 to 13, each as tests named after it. Time is the
 * virtual clock's, so "after 5 s" is exact and free; misuse is run in child processes,
 * which must abort with the sentence.
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

/* ---- 11: a spawned task always runs ---- */

static int first_call_is_cancelled(void *arg)
{
    CHECK_EQ(hk_sleep(1), -ECANCELED);
    free(arg);
    return 0;
}

TASK_TEST(rule_11_a_task_cancelled_before_its_start_runs_and_frees_its_argument)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    for (int i = 0; i < 10; i++)
        hk_spawn(&s, first_call_is_cancelled, malloc(10));
    hk_scope_cancel(&s);
    for (int i = 0; i < 10;
         i++) /* also when the scope was cancelled before the spawn */
        hk_spawn(&s, first_call_is_cancelled, malloc(10));
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

TASK_TEST(rule_11_a_task_cancelled_by_id_before_its_start_runs)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_task_id id;

    hk_scope_open(&s);
    hk_spawn_named(&s, NULL, first_call_is_cancelled, malloc(10), &id);
    CHECK_EQ(hk_task_cancel(id), 0);
    CHECK_EQ(hk_sleep(1), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

/* ---- 12: stealing ---- */

enum { THIEVES = 200 };

static uint32_t started_on[THIEVES];

static int stay_where_started(void *arg)
{
    uint32_t *mine = arg;
    uint32_t worker = hk_worker_index();

    *mine = worker;
    for (int i = 0; i < 20; i++) {
        (void)(i % 5 == 0 ? hk_sleep(1000) : hk_yield());
        CHECK_EQ(hk_worker_index(), worker); /* once started, never */
    }
    return 0;
}

static int steal(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    int64_t begin = hk_now();
    uint32_t elsewhere = 0;

    (void)arg;
    hk_scope_open_with(&s, HK_SCOPE_PARALLEL, "thieves");
    for (int i = 0; i < THIEVES; i++)
        hk_spawn(&s, stay_where_started, &started_on[i]);
    /* Busy without waiting: the others can only be started by the idle worker. */
    while (hk_scope_children(&s) > 0 && hk_now() < begin + 20 * HK_SECOND)
        ;
    CHECK_EQ(hk_scope_children(&s), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    for (int i = 0; i < THIEVES; i++)
        elsewhere += started_on[i] != hk_worker_index();
    CHECK_EQ(elsewhere, THIEVES);
    return 0;
}

static void rule_12_idle_workers_take_unstarted_tasks_of_parallel_scopes(void **state)
{
    (void)state;
    assert_int_equal(run_workers(2, steal, NULL), 0);
}

static int stay(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    uint32_t on[50];

    (void)arg;
    hk_scope_open(&s); /* not parallel */
    for (int i = 0; i < 50; i++)
        hk_spawn(&s, stay_where_started, &on[i]);
    CHECK_EQ(hk_scope_join(&s), 0);
    for (int i = 0; i < 50; i++)
        CHECK_EQ(on[i], hk_worker_index());
    return 0;
}

static void rule_12_tasks_of_other_scopes_stay_on_their_worker(void **state)
{
    (void)state;
    assert_int_equal(run_workers(3, stay, NULL), 0);
}

/* ---- 13: the last access, and what is kept of finished children ---- */

/* The scope's memory is overwritten as soon as the join has returned; under a sanitizer
 * or with a corrupted neighbour a later access shows. */
static int scopes_on_the_heap(void *arg)
{
    int count = 0, rounds = scaled(20000, 2000);

    (void)arg;
    for (int i = 0; i < rounds; i++) {
        hk_scope *s = malloc(sizeof(*s));

        hk_scope_open_with(s, HK_SCOPE_PARALLEL, NULL);
        hk_spawn(s, count_me, &count);
        hk_spawn(s, count_me, &count);
        CHECK_EQ(hk_scope_join(s), 0);
        memset(s, 0xa5, sizeof(*s));
        free(s);
    }
    CHECK_EQ(count, 2 * rounds);
    return 0;
}

static void rule_13_a_scope_may_vanish_as_soon_as_its_join_has_returned(void **state)
{
    (void)state;
    assert_int_equal(run_workers(3, scopes_on_the_heap, NULL), 0);
}

TASK_TEST(rule_13_a_scope_keeps_nothing_of_finished_children)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_stats before, after;
    int count = 0;

    hk_scope_open(&s);
    hk_stats_read(&before);
    for (int i = 0; i < 100000; i++) { /* a server's accept loop */
        hk_spawn(&s, count_me, &count);
        if (i % 8 == 0)
            CHECK_EQ(hk_yield(), 0);
    }
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(hk_scope_children(&s), 0);
    hk_stats_read(&after);
    CHECK(after.stacks_mapped <= before.stacks_mapped + 64);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(count, 100000);
    return 0;
}

TASK_TEST(rule_13_a_stale_id_never_names_another_task)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_task_id ids[100], fresh;
    int zero = 0;

    hk_scope_open(&s);
    for (int i = 0; i < 100; i++)
        hk_spawn_named(&s, NULL, return_it, &zero, &ids[i]);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    for (int i = 0; i < 100; i++)
        hk_spawn_named(&s, NULL, sleep_for_ever, NULL, &fresh);
    for (int i = 0; i < 100; i++)
        CHECK_EQ(hk_task_cancel(ids[i]), -ESRCH);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(hk_scope_children(&s), 100);
    CHECK_EQ(hk_task_cancel((hk_task_id){0}), -ESRCH);
    CHECK_EQ(hk_task_cancel((hk_task_id){UINT64_MAX}), -ESRCH);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_scope_join(&s), 0);
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
        cmocka_unit_test(
            rule_11_a_task_cancelled_before_its_start_runs_and_frees_its_argument),
        cmocka_unit_test(rule_11_a_task_cancelled_by_id_before_its_start_runs),
        cmocka_unit_test(rule_12_idle_workers_take_unstarted_tasks_of_parallel_scopes),
        cmocka_unit_test(rule_12_tasks_of_other_scopes_stay_on_their_worker),
        cmocka_unit_test(rule_13_a_scope_may_vanish_as_soon_as_its_join_has_returned),
        cmocka_unit_test(rule_13_a_scope_keeps_nothing_of_finished_children),
        cmocka_unit_test(rule_13_a_stale_id_never_names_another_task),
        cmocka_unit_test(promise_4_a_cancel_of_a_task_elsewhere_needs_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
