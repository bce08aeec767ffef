/* SPDX-License-Identifier: MIT */
/*
 * Several futures at once: waiting for the first, the first failure or all; one after
 * the other as they complete; gathered into one; and one that is shielded from who
 * awaits it.
 */
#include "future_test.h"

/* ---- several ---- */

struct many {
    hk_future *futures[COUNT];
    hk_wait_until until;
    int rc;
    int done;
};

static int wait_for_many(void *arg)
{
    struct many *m = arg;

    m->rc = hk_wait(m->futures, COUNT, m->until);
    poke(&m->done, 1);
    return 0;
}

/* How many must be set (`failing` with an error) until hk_wait returns, and what. */
static int count_until(hk_wait_until until, int failing)
{
    struct many m = {.until = until};
    hk_scope s = HK_SCOPE_INIT;
    int needed = 0;

    make(m.futures);
    hk_scope_open(&s);
    hk_spawn(&s, wait_for_many, &m);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    while (!peek(&m.done)) {
        if (needed == failing)
            CHECK_EQ(hk_future_fail(m.futures[needed], -EIO), 0);
        else
            CHECK_EQ(hk_future_set(m.futures[needed], 0, NULL, 0), 0);
        needed++;
        CHECK_EQ(hk_test_wait_all_blocked(), 0);
    }
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(m.rc, needed);
    free_all(m.futures);
    return needed;
}

TASK_TEST(wait_returns_when_enough_are_done)
{
    CHECK_EQ(count_until(HK_UNTIL_FIRST, COUNT), 1);
    CHECK_EQ(count_until(HK_UNTIL_ALL, COUNT), COUNT);
    CHECK_EQ(count_until(HK_UNTIL_ALL, 0), COUNT);
    CHECK_EQ(count_until(HK_UNTIL_FAILED, COUNT), COUNT);
    CHECK_EQ(count_until(HK_UNTIL_FAILED, 1), 2);
    CHECK_EQ(hk_wait(NULL, 0, HK_UNTIL_FIRST), 0);
    return 0;
}

TASK_TEST(a_cancelled_wait_for_many_leaves_them_alone)
{
    struct many m = {.until = HK_UNTIL_ALL};
    hk_scope s = HK_SCOPE_INIT;

    make(m.futures);
    hk_scope_open(&s);
    hk_spawn(&s, wait_for_many, &m);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(m.rc, -ECANCELED);
    for (int i = 0; i < COUNT; i++)
        CHECK_EQ(hk_future_set(m.futures[i], 0, NULL, 0), 0);
    free_all(m.futures);
    return 0;
}

TASK_TEST(the_same_future_may_be_in_several_places)
{
    hk_future *f = hk_future_new(), *both[2] = {f, f}, *all;

    CHECK_EQ(hk_future_set(f, 0, NULL, 0), 0);
    CHECK_EQ(hk_wait(both, 2, HK_UNTIL_ALL), 2);
    all = hk_gather(both, 2);
    CHECK_EQ(hk_future_await(all, NULL), 0);
    hk_future_free(all);
    hk_future_free(f);
    return 0;
}

TASK_TEST(as_completed_gives_them_in_order_of_completion)
{
    hk_future *futures[COUNT];
    hk_completed it;

    make(futures);
    CHECK_EQ(hk_future_set(futures[2], 0, NULL, 0), 0);
    CHECK_EQ(hk_as_completed(&it, futures, COUNT), 0);
    CHECK_EQ(hk_completed_next(&it), 2);
    CHECK_EQ(hk_future_fail(futures[3], -EIO), 0);
    CHECK_EQ(hk_future_set(futures[0], 0, NULL, 0), 0);
    CHECK_EQ(hk_completed_next(&it), 3);
    CHECK_EQ(hk_completed_next(&it), 0);
    CHECK_EQ(hk_future_set(futures[1], 0, NULL, 0), 0);
    CHECK_EQ(hk_completed_next(&it), 1);
    CHECK_EQ(hk_completed_next(&it), -ENOENT);
    hk_completed_end(&it);
    CHECK_EQ(hk_completed_next(&it), -ENOENT);
    free_all(futures);
    return 0;
}

TASK_TEST(a_cancel_of_as_completed_loses_none)
{
    hk_future *futures[COUNT];
    hk_completed it;
    hk_scope s = HK_SCOPE_INIT;

    make(futures);
    CHECK_EQ(hk_as_completed(&it, futures, COUNT), 0);
    hk_scope_open(&s);
    hk_scope_deadline(&s, hk_now() + HK_SECOND);
    CHECK_EQ(hk_completed_next(&it), -ECANCELED);
    CHECK_EQ(hk_completed_next(&it), -ECANCELED);
    CHECK_EQ(hk_scope_join(&s), -ETIMEDOUT);
    for (int i = 0; i < COUNT; i++)
        CHECK_EQ(hk_future_set(futures[i], 0, NULL, 0), 0);
    for (int i = 0; i < COUNT; i++)
        CHECK_EQ(hk_completed_next(&it), i);
    hk_completed_end(&it);
    free_all(futures);
    return 0;
}

/* ---- gather and shield ---- */

TASK_TEST(gather_is_done_when_all_are)
{
    hk_future *futures[COUNT], *all;

    make(futures);
    all = hk_gather(futures, COUNT);
    for (int i = 0; i < COUNT; i++) {
        CHECK(!hk_future_is_done(all));
        CHECK_EQ(hk_future_set(futures[i], i, NULL, 0), 0);
    }
    CHECK_EQ(hk_future_await(all, NULL), 0);
    hk_future_free(all);
    free_all(futures);
    all = hk_gather(NULL, 0);
    CHECK_EQ(hk_future_await(all, NULL), 0);
    hk_future_free(all);
    return 0;
}

TASK_TEST(gather_fails_at_once_with_the_first_error)
{
    hk_future *futures[COUNT], *all;

    make(futures);
    all = hk_gather(futures, COUNT);
    CHECK_EQ(hk_future_fail(futures[2], -EIO), 0);
    CHECK_EQ(hk_future_try(all, NULL), -EIO);
    CHECK_EQ(hk_future_fail(futures[1], -ENOENT), 0);
    CHECK_EQ(hk_future_try(all, NULL), -EIO);
    hk_future_free(all); /* two of them are still observed */
    CHECK_EQ(hk_future_set(futures[0], 0, NULL, 0), 0);
    free_all(futures);
    return 0;
}

TASK_TEST(a_cancel_of_a_gather_cancels_all)
{
    hk_future *futures[COUNT], *all;

    make(futures);
    CHECK_EQ(hk_future_set(futures[0], 0, NULL, 0), 0);
    all = hk_gather(futures, COUNT);
    CHECK_EQ(hk_future_cancel(all, HK_CANCEL), 0);
    CHECK_EQ(hk_future_try(all, NULL), -EIDRM);
    CHECK_EQ(hk_future_try(futures[0], NULL), 0);
    for (int i = 1; i < COUNT; i++)
        CHECK_EQ(hk_future_try(futures[i], NULL), -EIDRM);
    hk_future_free(all);
    free_all(futures);
    return 0;
}

TASK_TEST(a_gather_keeps_the_futures_it_stands_on)
{
    hk_future *futures[COUNT], *all;

    make(futures);
    all = hk_gather(futures, COUNT);
    free_all(futures);
    hk_future_free(all);
    return 0;
}

TASK_TEST(a_shield_passes_the_result_on_and_no_cancel)
{
    hk_future *f = hk_future_new(), *a = hk_shield_future(f), *b = hk_shield_future(f);
    hk_bytes out;

    CHECK_EQ(hk_future_cancel(a, HK_KILL), 0);
    CHECK_EQ(hk_future_try(a, NULL), -EIDRM);
    CHECK(!hk_future_is_done(f));
    CHECK_EQ(hk_future_set(f, 6, "six", 4), 0);
    hk_future_free(f);
    CHECK_EQ(hk_future_await(b, &out), 6);
    CHECK(strcmp(out.data, "six") == 0);
    hk_future_free(a);
    hk_future_free(b);
    return 0;
}

TASK_TEST(what_is_known_of_an_error)
{
    hk_future *f = hk_future_new();
    hk_job_error error;

    CHECK_EQ(hk_future_error(f, &error), -EAGAIN);
    CHECK_EQ(hk_future_fail(f, -EIO), 0);
    CHECK_EQ(hk_future_error(f, &error), 0);
    CHECK(error.error == -EIO && error.signal == 0 && error.exit_status == -1);
    hk_future_free(f);
    return 0;
}

/* Rule 38: a promise that nobody can ever set. */
static int await_for_ever(void *arg)
{
    return hk_future_await(arg, NULL);
}

static void an_await_that_nothing_can_end_is_a_deadlock(void **state)
{
    hk_future *f;

    (void)state;
    if (UNDER_TSAN || UNDER_ASAN) /* their threads are not known to hocket */
        return;
    f = hk_future_new();
    assert_int_equal(hk_run(await_for_ever, f, NULL), -EDEADLK);
    hk_future_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wait_returns_when_enough_are_done),
        cmocka_unit_test(a_cancelled_wait_for_many_leaves_them_alone),
        cmocka_unit_test(the_same_future_may_be_in_several_places),
        cmocka_unit_test(as_completed_gives_them_in_order_of_completion),
        cmocka_unit_test(a_cancel_of_as_completed_loses_none),
        cmocka_unit_test(gather_is_done_when_all_are),
        cmocka_unit_test(gather_fails_at_once_with_the_first_error),
        cmocka_unit_test(a_cancel_of_a_gather_cancels_all),
        cmocka_unit_test(a_gather_keeps_the_futures_it_stands_on),
        cmocka_unit_test(a_shield_passes_the_result_on_and_no_cancel),
        cmocka_unit_test(what_is_known_of_an_error),
        cmocka_unit_test(an_await_that_nothing_can_end_is_a_deadlock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
