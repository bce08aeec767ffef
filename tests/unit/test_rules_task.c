/* SPDX-License-Identifier: MIT */
/*
 * docs/rules.md, rules 11 to 13, each as tests named after it: a spawned task always
 * runs, may be stolen until it does, and its last access. Time is the virtual clock.
 */
#include "rules_test.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            rule_11_a_task_cancelled_before_its_start_runs_and_frees_its_argument),
        cmocka_unit_test(rule_11_a_task_cancelled_by_id_before_its_start_runs),
        cmocka_unit_test(rule_12_idle_workers_take_unstarted_tasks_of_parallel_scopes),
        cmocka_unit_test(rule_12_tasks_of_other_scopes_stay_on_their_worker),
        cmocka_unit_test(rule_13_a_scope_may_vanish_as_soon_as_its_join_has_returned),
        cmocka_unit_test(rule_13_a_scope_keeps_nothing_of_finished_children),
        cmocka_unit_test(rule_13_a_stale_id_never_names_another_task),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
