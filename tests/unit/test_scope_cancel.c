/* SPDX-License-Identifier: MIT */
/*
 * How a cancel spreads: through scopes in scopes, over tasks and workers, around
 * shields; deadlines in all orders; and a scope that is looked at from other workers
 * and threads. Rules as such are in test_rules_*.c; here are the shapes that the
 * code can take.
 */
#include "support/core_test.h"

/* ---- deadlines ---- */

TASK_TEST(deadline_may_be_moved_and_taken_away)
{
    hk_scope s = HK_SCOPE_INIT;
    int64_t begin = hk_now();

    hk_scope_open(&s);
    hk_scope_deadline(&s, begin + 10);
    hk_scope_deadline(&s, begin + 100);
    CHECK_EQ(hk_sleep(50), 0);
    hk_scope_deadline(&s, HK_NEVER);
    CHECK_EQ(hk_sleep(500), 0);
    hk_scope_deadline(&s, hk_now() + 5);
    CHECK_EQ(hk_sleep(500), -ECANCELED);
    CHECK_EQ(hk_now(), begin + 555);
    hk_scope_deadline(&s, hk_now() + 1000); /* too late: it stays cancelled */
    hk_scope_deadline(&s, HK_NEVER);
    CHECK_EQ(hk_sleep(1), -ECANCELED);
    CHECK_EQ(hk_scope_join(&s), -ETIMEDOUT);
    return 0;
}

TASK_TEST(deadline_is_forgotten_by_the_join)
{
    hk_scope *s = malloc(sizeof(*s));

    hk_scope_open(s);
    hk_scope_deadline(s, hk_now() + 10);
    CHECK_EQ(hk_scope_join(s), 0);
    memset(s, 0xa5, sizeof(*s));
    free(s);
    CHECK_EQ(hk_sleep(100), 0); /* the timer would fire into freed memory */
    return 0;
}

TASK_TEST(deadline_of_the_outer_scope_before_the_inner_and_the_other_way_round)
{
    hk_scope outer = HK_SCOPE_INIT, inner = HK_SCOPE_INIT;

    hk_scope_open(&outer);
    hk_scope_deadline(&outer, hk_now() + 10);
    hk_scope_open(&inner);
    hk_scope_deadline(&inner, hk_now() + 20);
    CHECK_EQ(hk_sleep(100), -ECANCELED);
    CHECK_EQ(hk_scope_join(&inner), -ECANCELED);
    CHECK_EQ(hk_scope_join(&outer), -ETIMEDOUT);

    hk_scope_open(&outer);
    hk_scope_deadline(&outer, hk_now() + 20);
    hk_scope_open(&inner);
    hk_scope_deadline(&inner, hk_now() + 10);
    CHECK_EQ(hk_sleep(100), -ECANCELED);
    CHECK_EQ(hk_scope_join(&inner), -ETIMEDOUT);
    CHECK_EQ(hk_sleep(5), 0);
    CHECK_EQ(hk_sleep(100), -ECANCELED);
    CHECK_EQ(hk_scope_join(&outer), -ETIMEDOUT);
    return 0;
}

static int set_deadline(void *arg)
{
    hk_scope_deadline(arg, hk_now() + 10); /* by a child, on the owner's worker */
    return hk_sleep(HK_NEVER);
}

TASK_TEST(deadline_may_be_set_by_a_child)
{
    hk_scope s = HK_SCOPE_INIT;
    int64_t begin = hk_now();

    hk_scope_open(&s);
    hk_spawn(&s, set_deadline, &s);
    CHECK_EQ(hk_scope_join(&s), -ETIMEDOUT);
    CHECK_EQ(hk_now(), begin + 10);
    return 0;
}

TASK_TEST(deadlines_of_a_thousand_scopes_at_once)
{
    enum { DEPTH = 1000 };
    static hk_scope scopes[DEPTH];

    for (int i = 0; i < DEPTH; i++) {
        hk_scope_open(&scopes[i]);
        hk_scope_deadline(&scopes[i], hk_now() + 10);
    }
    CHECK_EQ(hk_sleep(100), -ECANCELED);
    for (int i = DEPTH - 1; i > 0; i--)
        CHECK_EQ(hk_scope_join(&scopes[i]), -ECANCELED);
    CHECK_EQ(hk_scope_join(&scopes[0]), -ETIMEDOUT);
    return 0;
}

/* ---- shapes ---- */

struct shape {
    int levels;
    int cancelled; /* atomic */
};

/* A task with two scopes open and children in both, `levels` deep. */
static int grow_shape(void *arg)
{
    struct shape *shape = arg;
    struct shape below_it = {.levels = shape->levels - 1};
    hk_scope a = HK_SCOPE_INIT, b = HK_SCOPE_INIT;

    if (shape->levels == 0) {
        CHECK_EQ(hk_sleep(HK_NEVER), -ECANCELED);
        __atomic_add_fetch(&shape->cancelled, 1, __ATOMIC_RELAXED);
        return -ECANCELED;
    }
    hk_scope_open(&a);
    hk_spawn(&a, grow_shape, &below_it);
    hk_spawn(&a, grow_shape, &below_it);
    hk_scope_open(&b);
    hk_spawn(&b, grow_shape, &below_it);
    CHECK_EQ(hk_scope_join(&b), -ECANCELED);
    CHECK_EQ(hk_scope_join(&a), -ECANCELED);
    __atomic_add_fetch(&shape->cancelled,
                       __atomic_load_n(&below_it.cancelled, __ATOMIC_RELAXED),
                       __ATOMIC_RELAXED);
    return -ECANCELED;
}

TASK_TEST(cancel_reaches_the_leaves_of_a_tree_of_tasks)
{
    struct shape shape = {.levels = 5};
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    hk_spawn(&s, grow_shape, &shape);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(shape.cancelled, 243);
    return 0;
}

static int shielded_middle(void *arg)
{
    hk_scope outer = HK_SCOPE_INIT, shield = HK_SCOPE_INIT, inner = HK_SCOPE_INIT;
    int64_t ten = 10;

    hk_scope_open(&outer);
    hk_spawn(&outer, sleep_and_swallow, NULL); /* outside the shield: cancelled */
    hk_scope_open_with(&shield, HK_SCOPE_SHIELDED, NULL);
    hk_scope_open(&inner);
    hk_spawn(&inner, sleep_for, &ten); /* inside: not */
    CHECK_EQ(hk_sleep(20), 0);
    CHECK_EQ(hk_scope_join(&inner), 0);
    CHECK_EQ(hk_scope_join(&shield), 0);
    CHECK_EQ(hk_sleep(1), -ECANCELED);
    CHECK_EQ(hk_scope_join(&outer), -ECANCELED);
    poke(arg, 1);
    return -ECANCELED;
}

TASK_TEST(cancel_stops_at_shields_and_goes_on_beside_them)
{
    hk_scope s = HK_SCOPE_INIT;
    int done = 0;

    hk_scope_open(&s);
    hk_spawn(&s, shielded_middle, &done);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(peek(&done), 1);
    return 0;
}

TASK_TEST(cancel_while_a_shield_is_put_up_over_waiting_children)
{
    hk_scope outer = HK_SCOPE_INIT, s = HK_SCOPE_INIT;
    int64_t ten = 10;

    hk_scope_open(&outer);
    hk_scope_open(&s);
    hk_spawn(&s, sleep_for, &ten);
    CHECK_EQ(hk_yield(), 0);
    hk_scope_shield(&s, true);
    hk_scope_cancel(&outer);
    CHECK_EQ(hk_sleep(5), 0);
    CHECK_EQ(hk_scope_join(&s), 0); /* the child slept to its end */
    CHECK_EQ(hk_cancelled(), -ECANCELED);
    CHECK_EQ(hk_scope_join(&outer), 0);
    return 0;
}

TASK_TEST(cancel_was_delivered_although_a_shield_went_up_before_the_task_ran)
{
    hk_scope outer = HK_SCOPE_INIT, middle = HK_SCOPE_INIT, s = HK_SCOPE_INIT;

    hk_scope_open(&outer);
    hk_scope_open(&middle);
    hk_scope_open(&s);
    hk_spawn(&s, sleep_and_swallow, NULL);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    hk_scope_cancel(&outer);        /* ends the child's sleep, */
    hk_scope_shield(&middle, true); /* and this comes before it runs */
    CHECK_EQ(hk_scope_join(&s), -ECANCELED);
    CHECK_EQ(hk_cancelled(), 0);
    CHECK_EQ(hk_scope_join(&middle), -ECANCELED);
    CHECK_EQ(hk_scope_join(&outer), 0);
    return 0;
}

/* ---- other workers ---- */

static int fail_now(void *arg)
{
    (void)arg;
    return -EIO;
}

static int join_parallel_failure(void *arg)
{
    (void)arg;
    for (int i = 0; i < scaled(2000, 200); i++) {
        hk_scope s = HK_SCOPE_INIT;

        hk_scope_open_with(&s, HK_SCOPE_PARALLEL, NULL);
        for (int k = 0; k < 4; k++)
            hk_spawn(&s, k == i % 4 ? fail_now : sleep_and_swallow, NULL);
        if (i % 2)
            CHECK_EQ(hk_sleep(HK_NEVER), -ECANCELED);
        CHECK_EQ(hk_scope_join(&s), -EIO);
    }
    return 0;
}

static void cancel_by_a_child_on_another_worker(void **state)
{
    (void)state;
    assert_int_equal(run_workers(2, join_parallel_failure, NULL), 0);
    assert_int_equal(run_workers(3, join_parallel_failure, NULL), 0);
}

static int nest_parallel(void *arg)
{
    int levels = *(int *)arg - 1;
    hk_scope s = HK_SCOPE_INIT;

    if (levels < 0)
        return sleep_and_swallow(NULL);
    hk_scope_open_with(&s, HK_SCOPE_PARALLEL, NULL);
    hk_spawn(&s, nest_parallel, &levels);
    hk_spawn(&s, nest_parallel, &levels);
    CHECK_EQ(hk_scope_join(&s), -ECANCELED);
    return -ECANCELED;
}

static int cancel_parallel_trees(void *arg)
{
    (void)arg;
    for (int i = 0; i < scaled(500, 60); i++) {
        hk_scope s = HK_SCOPE_INIT;
        int levels = 4;

        hk_scope_open_with(&s, HK_SCOPE_PARALLEL, NULL);
        hk_spawn(&s, nest_parallel, &levels);
        for (int k = 0; k < i % 30; k++)
            CHECK_EQ(hk_yield(), 0);
        if (i % 3) {
            hk_scope_cancel(&s);
            CHECK_EQ(hk_scope_join(&s), 0);
        } else {
            hk_scope_deadline(&s, hk_now() + i * 100);
            CHECK_EQ(hk_scope_join(&s), -ETIMEDOUT);
        }
    }
    return 0;
}

static void cancel_of_trees_that_spread_over_workers(void **state)
{
    (void)state;
    assert_int_equal(run_workers(2, cancel_parallel_trees, NULL), 0);
    assert_int_equal(run_workers(3, cancel_parallel_trees, NULL), 0);
}

/* ---- from threads ---- */

struct target {
    hk_scope *scope; /* atomic */
    int rounds;
};

static void *cancel_targets(void *arg)
{
    struct target *t = arg;

    for (int i = 0; i < t->rounds; i++) {
        hk_scope *scope;

        while (!(scope = __atomic_load_n(&t->scope, __ATOMIC_ACQUIRE)))
            ;
        hk_scope_cancel(scope);
        __atomic_store_n(&t->scope, NULL, __ATOMIC_RELEASE);
    }
    return NULL;
}

static int be_cancelled_by_a_thread(void *arg)
{
    struct target *t = arg;

    for (int i = 0; i < t->rounds; i++) {
        hk_scope s = HK_SCOPE_INIT;

        hk_scope_open(&s);
        hk_spawn(&s, sleep_and_swallow, NULL);
        __atomic_store_n(&t->scope, &s, __ATOMIC_RELEASE);
        CHECK_EQ(hk_sleep(HK_NEVER), -ECANCELED);
        while (__atomic_load_n(&t->scope, __ATOMIC_ACQUIRE))
            ; /* the scope must stay open while the thread is inside hk_scope_cancel */
        CHECK_EQ(hk_scope_join(&s), 0);
    }
    return 0;
}

static void cancel_from_a_thread_reaches_tasks(void **state)
{
    struct target t = {.rounds = scaled(3000, 300)};
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, cancel_targets, &t), 0);
    assert_int_equal(hk_run(be_cancelled_by_a_thread, &t, NULL), 0);
    pthread_join(thread, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deadline_may_be_moved_and_taken_away),
        cmocka_unit_test(deadline_is_forgotten_by_the_join),
        cmocka_unit_test(
            deadline_of_the_outer_scope_before_the_inner_and_the_other_way_round),
        cmocka_unit_test(deadline_may_be_set_by_a_child),
        cmocka_unit_test(deadlines_of_a_thousand_scopes_at_once),
        cmocka_unit_test(cancel_reaches_the_leaves_of_a_tree_of_tasks),
        cmocka_unit_test(cancel_stops_at_shields_and_goes_on_beside_them),
        cmocka_unit_test(cancel_while_a_shield_is_put_up_over_waiting_children),
        cmocka_unit_test(
            cancel_was_delivered_although_a_shield_went_up_before_the_task_ran),
        cmocka_unit_test(cancel_by_a_child_on_another_worker),
        cmocka_unit_test(cancel_of_trees_that_spread_over_workers),
        cmocka_unit_test(cancel_from_a_thread_reaches_tasks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
