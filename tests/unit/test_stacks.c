/* SPDX-License-Identifier: MIT */
/*
 * The stacks of a runtime (hk_options.stacks_max): tasks without one wait for it, run
 * on that of a parent who joins them, or fail when none can come free; and one that
 * gave its memory back is as good as new.
 */
#include "support/core_test.h"

/* ---- stacks_max ---- */

static int in_flight, most_in_flight;

static int be_one_of_few(void *arg)
{
    (void)arg;
    if (++in_flight > most_in_flight)
        most_in_flight = in_flight;
    CHECK_EQ(hk_sleep(5), 0);
    in_flight--;
    return 0;
}

static int spawn_more_than_stacks(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open(&s);
    for (int i = 0; i < 100; i++)
        hk_spawn(&s, be_one_of_few, NULL);
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

static void run_starts_tasks_beyond_stacks_max_when_one_is_free(void **state)
{
    hk_options options = {.virtual_clock = true, .stacks_max = 8, .check_ledger = true};

    (void)state;
    if (UNDER_TSAN)
        skip(); /* its counters are shared on purpose */
    in_flight = most_in_flight = 0;
    assert_int_equal(hk_run(spawn_more_than_stacks, NULL, &options), 0);
    /* Main has the eighth, and may lend it to a child while it joins. */
    assert_true(most_in_flight == 7 || most_in_flight == 8);
    assert_int_equal(in_flight, 0);
}

/* They start in the order in which they were spawned. */
struct turns {
    int next;
    bool in_order;
};

struct turn {
    struct turns *turns;
    int number;
};

static int take_turn(void *arg)
{
    struct turn *turn = arg;

    if (turn->number != turn->turns->next++)
        turn->turns->in_order = false;
    return hk_sleep(5);
}

static int spawn_turns(void *arg)
{
    struct turn turn[20];
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    for (int i = 0; i < 20; i++) {
        turn[i] = (struct turn){arg, i};
        hk_spawn(&s, take_turn, &turn[i]);
    }
    CHECK_EQ(hk_sleep(1), 0); /* they wait for stacks before we lend ours */
    return hk_scope_join(&s);
}

static void run_starts_tasks_beyond_stacks_max_in_order(void **state)
{
    hk_options options = {.virtual_clock = true, .stacks_max = 4};
    struct turns turns = {.in_order = true};

    (void)state;
    if (UNDER_TSAN)
        skip(); /* its counters are shared on purpose */
    assert_int_equal(hk_run(spawn_turns, &turns, &options), 0);
    assert_int_equal(turns.next, 20);
    assert_true(turns.in_order);
}

/* A parent keeps its stack while it joins, so ten of them are more than there are. */
struct nest {
    int depth, reached;
};

static int go_deeper(void *arg)
{
    struct nest *nest = arg;
    hk_scope s = HK_SCOPE_INIT;

    if (++nest->reached == nest->depth)
        return 0;
    hk_scope_open(&s);
    CHECK_EQ(hk_spawn(&s, go_deeper, nest), 0);
    /* It is tried, and starves, before we could lend it our stack in the join. */
    return hk_scope_end(&s, hk_yield());
}

static int fork_in_a_row(void *arg)
{
    struct nest *nest = arg;
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    for (int i = 0; i < 6; i++) {
        struct nest *one = &nest[i];

        *one = (struct nest){.depth = 10};
        CHECK_EQ(hk_spawn(&s, go_deeper, one), 0);
    }
    CHECK_EQ(hk_yield(), 0);
    return hk_scope_join(&s);
}

#if UNDER_ASAN || UNDER_TSAN
#define PARENTS_LEND 0 /* the tools know one task for each stack */
#else
#define PARENTS_LEND 1
#endif

static void run_lends_the_stacks_of_parents_beyond_stacks_max(void **state)
{
    hk_options options = {.stacks_max = 4, .check_ledger = true};
    struct nest one = {.depth = 10}, row[6];
    int rc = hk_run(go_deeper, &one, &options);

    (void)state;
    if (PARENTS_LEND) {
        assert_int_equal(rc, 0);
        assert_int_equal(one.reached, 10);
    } else {
        assert_int_equal(rc, -ENOMEM);
        assert_int_equal(one.reached, 4);
    }
    rc = hk_run(fork_in_a_row, row, &options);
    assert_int_equal(rc, PARENTS_LEND ? 0 : -ENOMEM);
}

static void run_lends_stacks_while_the_checks_are_on(void **state)
{
    CHECK_EQ(hk_check(HK_CHECK_LOCKS, NULL), 0);
    run_lends_the_stacks_of_parents_beyond_stacks_max(state);
    CHECK_EQ(hk_check(0, NULL), 0);
}

static void run_fails_a_child_for_which_no_stack_can_be_had(void **state)
{
    hk_options options = {.stacks_max = 4, .check_ledger = true};
    struct nest nest = {.depth = 1 << 20};

    (void)state;
    assert_int_equal(hk_run(go_deeper, &nest, &options), -ENOMEM);
    assert_true(nest.reached >= 4 && nest.reached < 10000);
}

/* The same with children that any worker may start. */
static int go_deeper_anywhere(void *arg)
{
    struct nest *nest = arg;
    hk_scope s = HK_SCOPE_INIT;

    if (__atomic_add_fetch(&nest->reached, 1, __ATOMIC_RELAXED) == nest->depth)
        return 0;
    hk_scope_open_with(&s, HK_SCOPE_PARALLEL, NULL);
    CHECK_EQ(hk_spawn(&s, go_deeper_anywhere, nest), 0);
    return hk_scope_join(&s);
}

static void run_never_hangs_when_several_workers_are_out_of_stacks(void **state)
{
    hk_options options = {.stacks_max = 4, .workers = 3, .check_ledger = true};
    struct nest nest = {.depth = 1 << 20};

    (void)state;
    assert_int_equal(hk_run(go_deeper_anywhere, &nest, &options), -ENOMEM);
    assert_true(nest.reached >= 4);
}

/* ---- stacks that gave their memory back ---- */

static int sleep_a_moment(void *arg)
{
    (void)arg;
    return hk_sleep(HK_MILLISECOND);
}

static int park_many_twice(void *arg)
{
    hk_stats stats[2];

    (void)arg;
    for (int round = 0; round < 2; round++) {
        hk_scope s = HK_SCOPE_INIT;

        hk_scope_open(&s);
        for (int i = 0; i < 3000; i++)
            hk_spawn(&s, sleep_a_moment, NULL);
        CHECK_EQ(hk_scope_join(&s), 0);
        CHECK_EQ(hk_sleep(50 * HK_MILLISECOND), 0); /* idle: they are trimmed */
        hk_stats_read(&stats[round]);
    }
    CHECK_EQ(stats[1].stacks_mapped, stats[0].stacks_mapped);
    return 0;
}

static void run_uses_stacks_again_that_gave_their_memory_back(void **state)
{
    (void)state;
    assert_int_equal(hk_run(park_many_twice, NULL, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(run_starts_tasks_beyond_stacks_max_when_one_is_free),
        cmocka_unit_test(run_starts_tasks_beyond_stacks_max_in_order),
        cmocka_unit_test(run_lends_the_stacks_of_parents_beyond_stacks_max),
        cmocka_unit_test(run_lends_stacks_while_the_checks_are_on),
        cmocka_unit_test(run_fails_a_child_for_which_no_stack_can_be_had),
        cmocka_unit_test(run_never_hangs_when_several_workers_are_out_of_stacks),
        cmocka_unit_test(run_uses_stacks_again_that_gave_their_memory_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
