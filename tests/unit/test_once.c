/* SPDX-License-Identifier: MIT */
/*
 * Shows what is particular to once, beyond the contract suite: many callers, one run,
 * whose effects all of them see; who fails or is cancelled is followed by the next,
 * also when that one is being cancelled itself; and nobody runs it again.
 */
#include "contract/sync_kit.h"
#include "support/torture.h"

enum { CALLERS = 8, OBJECTS = 200 };

/* ---- many callers, one run ---- */

struct lazy {
    hk_once once;
    int value; /* written by the run, read by all: ordered by the once alone */
    uint32_t runs;
};

static int make(void *arg)
{
    struct lazy *lazy = arg;

    relax();
    lazy->value = 42;
    count_up(&lazy->runs);
    return 0;
}

static int use_all(void *arg)
{
    struct lazy *lazies = arg;

    for (int i = 0; i < OBJECTS; i++) {
        CHECK_EQ(hk_once_run(&lazies[i].once, make, &lazies[i]), 0);
        CHECK_EQ(lazies[i].value, 42);
        CHECK(hk_once_is_done(&lazies[i].once));
    }
    return 0;
}

static void many_callers_and_one_run_that_all_of_them_see(void **state)
{
    (void)state;
    for (enum placing placing = 0; placing < PLACINGS; placing++) {
        struct lazy *lazies = calloc(OBJECTS, sizeof(*lazies));
        struct ensemble e = {.placing = placing};

        check_doing = placing_name[placing];
        for (int i = 0; i < CALLERS; i++)
            add_party(&e, use_all, lazies);
        run_ensemble(&e, NULL);
        for (int i = 0; i < OBJECTS; i++) {
            assert_int_equal(lazies[i].runs, 1);
            hk_once_fini(&lazies[i].once);
        }
        free(lazies);
    }
    check_doing = "";
}

/* ---- failures ---- */

static int fail_or_succeed(void *arg)
{
    int *rc = arg;

    relax(); /* so that others come to wait */
    return *rc;
}

struct attempt {
    hk_once *once;
    int to_return;
    int returned;
};

static int attempt(void *arg)
{
    struct attempt *a = arg;

    a->returned = hk_once_run(a->once, fail_or_succeed, &a->to_return);
    return 0;
}

static int three_attempts(void *arg)
{
    hk_once once = HK_ONCE_INIT;
    struct attempt attempts[] = {
        {&once, -EIO, 1}, {&once, -ENOENT, 1}, {&once, 7, 1}, {&once, -EPERM, 1}};
    hk_sync_stats stats;
    hk_scope s;

    (void)arg;
    hk_scope_open(&s);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(hk_spawn(&s, attempt, &attempts[i]), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(attempts[0].returned, -EIO);
    CHECK_EQ(attempts[1].returned, -ENOENT);
    CHECK_EQ(attempts[2].returned, 0);
    CHECK_EQ(attempts[3].returned, 0); /* its own function was never needed */
    hk_once_stats(&once, &stats);
    CHECK_EQ(stats.holders, 0);
    CHECK_EQ(stats.waiters, 0);
    CHECK_EQ(stats.contended, 3);
    return 0;
}

static void who_fails_gets_the_error_and_the_next_one_tries(void **state)
{
    (void)state;
    assert_int_equal(hk_run(three_attempts, NULL, NULL), 0);
}

static void a_failure_with_nobody_waiting_leaves_it_to_the_next_call(void **state)
{
    hk_once once = HK_ONCE_INIT;
    int bad = -EIO, good = 0;

    (void)state;
    assert_int_equal(hk_once_run(&once, fail_or_succeed, &bad), -EIO);
    assert_false(hk_once_is_done(&once));
    assert_int_equal(hk_once_run(&once, fail_or_succeed, &good), 0);
    assert_int_equal(hk_once_run(&once, fail_or_succeed, &bad), 0);
}

/* ---- cancels ---- */

static int wait_for_ever(void *arg)
{
    (void)arg;
    return hk_sleep(HK_NEVER);
}

static int run_for_ever(void *arg)
{
    struct attempt *a = arg;

    a->returned = hk_once_run(a->once, wait_for_ever, NULL);
    return 0;
}

/* The runner is cancelled; the next in the queue is cancelled in the same breath, so
 * that it becomes the runner with a cancel waiting for it; the third one succeeds. */
static int cancel_runner_and_heir(void *arg)
{
    hk_once once = HK_ONCE_INIT;
    struct attempt attempts[] = {{&once, 0, 1}, {&once, 0, 1}, {&once, 0, 1}};
    hk_task_id ids[2];
    hk_scope s;

    (void)arg;
    hk_scope_open(&s);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(hk_spawn_named(&s, NULL, run_for_ever, &attempts[i], &ids[i]), 0);
    CHECK_EQ(hk_spawn(&s, attempt, &attempts[2]), 0);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(hk_task_cancel(ids[0]), 0);
    CHECK_EQ(hk_yield(), 0); /* the runner has failed, its heir has not run yet */
    CHECK_EQ(hk_task_cancel(ids[1]), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(attempts[0].returned, -ECANCELED);
    CHECK_EQ(attempts[1].returned, -ECANCELED);
    CHECK_EQ(attempts[2].returned, 0);
    return 0;
}

static void a_cancelled_runner_is_followed_also_by_one_that_is_cancelled(void **state)
{
    (void)state;
    assert_int_equal(hk_run(cancel_runner_and_heir, NULL, NULL), 0);
}

/* ---- who runs, for dumps and the deadlock detection ---- */

static int ask_for_the_runner(void *arg)
{
    hk_once once = {.name = "tables"};
    struct attempt attempts[] = {{&once, 0, 1}, {&once, 0, 1}};
    const hk_wait_kind *kind;
    hk_holder runner = NULL;
    hk_task_id id;
    char text[64];
    hk_scope s;

    (void)arg;
    hk_scope_open(&s);
    CHECK_EQ(hk_spawn_named(&s, NULL, run_for_ever, &attempts[0], &id), 0);
    CHECK_EQ(hk_spawn(&s, attempt, &attempts[1]), 0);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    kind = once.hki_waiters.head->kind;
    CHECK_EQ(kind->holders(&once, &runner, 1), 1);
    CHECK((const void *)runner == once.hki_runner);
    kind->describe(&once, text, sizeof(text));
    CHECK(strstr(text, "tables"));
    CHECK_EQ(hk_task_cancel(id), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(kind->holders(&once, &runner, 1), 0);
    return 0;
}

static void its_runner_is_known(void **state)
{
    (void)state;
    assert_int_equal(hk_run(ask_for_the_runner, NULL, NULL), 0);
}

static void once_it_is_done_it_is_no_cancel_point(void **state)
{
    hk_once once = HK_ONCE_INIT;
    int good = 0;
    hk_scope s;

    (void)state;
    hk_scope_open(&s);
    hk_scope_cancel(&s);
    assert_int_equal(hk_once_run(&once, fail_or_succeed, &good), -ECANCELED);
    assert_int_equal(hk_scope_join(&s), 0);
    assert_int_equal(hk_once_run(&once, fail_or_succeed, &good), 0);
    hk_scope_open(&s);
    hk_scope_cancel(&s);
    assert_int_equal(hk_once_run(&once, fail_or_succeed, &good), 0);
    assert_int_equal(hk_scope_join(&s), 0);
}

static int make_slowly(void *arg)
{
    struct lazy *lazy = arg;

    CHECK_EQ(lazy->runs, 0);
    for (int i = 0; i < 2; i++) {
        int rc = hk_sleep(1);

        if (rc < 0)
            return rc;
    }
    lazy->runs++;
    return 0;
}

static int use_slow(void *arg)
{
    struct lazy *lazy = arg;
    int rc = hk_once_run(&lazy->once, make_slowly, lazy);

    CHECK_EQ(rc, rc == 0 ? 0 : -ECANCELED);
    if (rc == 0)
        CHECK_EQ(lazy->runs, 1);
    return rc;
}

static int scenario(void *arg)
{
    struct lazy lazy = {.once = HK_ONCE_INIT};
    hk_scope s;
    int rc;

    (void)arg;
    hk_scope_open_with(&s, HK_SCOPE_WAIT_ALL, NULL);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(hk_spawn(&s, use_slow, &lazy), 0);
    rc = hk_scope_join(&s);
    hk_once_fini(&lazy.once);
    return rc;
}

static void cancelled_at_every_point_somebody_does_it(void **state)
{
    hk_options options = {.check_ledger = true, .virtual_clock = true};

    (void)state;
    cancel_at_every_point(scenario, NULL, &options, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_callers_and_one_run_that_all_of_them_see),
        cmocka_unit_test(who_fails_gets_the_error_and_the_next_one_tries),
        cmocka_unit_test(a_failure_with_nobody_waiting_leaves_it_to_the_next_call),
        cmocka_unit_test(a_cancelled_runner_is_followed_also_by_one_that_is_cancelled),
        cmocka_unit_test(its_runner_is_known),
        cmocka_unit_test(once_it_is_done_it_is_no_cancel_point),
        cmocka_unit_test(cancelled_at_every_point_somebody_does_it),
    };

    return cmocka_run_group_tests_name("once", tests, NULL, NULL);
}
