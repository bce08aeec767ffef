/* SPDX-License-Identifier: MIT */
/*
 * Shows that a job which waits for itself is told at once; that jobs which wait for one
 * another in a circle are found by the checks, also through a gather and a shield; and
 * that a gather which may still fail by another of its futures is in no circle.
 */
#include "check_test.h"

/* Awaits the future that it finds at `at`, when that is there. */
struct promised {
    hk_event there;
    hk_future *future;
};

static struct promised promised[2];

static void renew(void)
{
    for (int i = 0; i < 2; i++)
        promised[i] = (struct promised){.there = HK_EVENT_INIT};
}

static void bring(int which, hk_future *future)
{
    promised[which].future = future;
    hk_event_set(&promised[which].there);
}

HK_FN(hk_rc, awaits, (int, which))
{
    int rc = hk_event_wait(&promised[which].there);

    return rc < 0 ? rc : hk_future_await(promised[which].future, NULL);
}

/* Somebody who is awake all the time: so it is not found by the census of those who
 * sleep (test_deadlock.c). */
static int stay_awake(void *unused)
{
    (void)unused;
    return hk_sleep(10 * HK_SECOND);
}

/* At once, and without the checks: no census is needed. */
TASK_TEST(a_job_that_awaits_itself_is_told)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_future *f, *shield;
    int64_t begun;

    renew();
    hk_scope_open(&s);
    hk_spawn(&s, stay_awake, NULL);
    for (int i = 0; i < 2; i++) {
        begun = hk_now();
        f = awaits_on(hk_tasks(), i);
        shield = hk_shield_future(f);
        bring(i, i ? shield : f);
        CHECK_EQ(awaits_await(f), -EDEADLK);
        CHECK_EQ(hk_now(), begun);
        hk_future_free(shield);
        hk_future_free(f);
    }
    hk_scope_cancel(&s);
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

static int jobs_await_one_another(void *unused)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_future *f, *g, *all, *shield;

    (void)unused;
    hk_scope_open(&s);
    hk_spawn(&s, stay_awake, NULL);
    f = awaits_on(hk_tasks(), 0);
    g = awaits_on(hk_tasks(), 1);
    all = hk_gather(&g, 1);
    shield = hk_shield_future(f);
    bring(0, all);
    bring(1, shield);
    CHECK_EQ(hk_sleep(HK_SECOND), 0); /* it is told at once */
    CHECK(hk_future_is_done(f) && hk_future_is_done(g));
    CHECK_EQ(hk_future_try(f, NULL), -EDEADLK);
    CHECK_EQ(hk_future_try(g, NULL), -EDEADLK);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_scope_join(&s), 0);
    hk_future_free(f);
    hk_future_free(g);
    hk_future_free(all);
    hk_future_free(shield);
    return 0;
}

static void jobs_that_await_one_another_are_told(void **state)
{
    (void)state;
    renew();
    start_checks(NULL);
    CHECK_EQ(run_virtual(jobs_await_one_another, NULL), 0);
    expect_said("deadlock: 2 wait for one another", 1);
    stop_checks();
}

/* ---- a gather ---- */

static hk_mutex mutex;

HK_FN(hk_rc, locks)
{
    int rc = hk_mutex_lock(&mutex);

    if (rc == 0)
        hk_mutex_unlock(&mutex);
    return rc;
}

HK_FN(hk_rc, fails_later)
{
    int rc = hk_sleep(HK_SECOND);

    return rc < 0 ? rc : -EIO;
}

/* One of its jobs wants what who waits for them holds; but another one ends that. */
static int gather_what_fails(void *unused)
{
    hk_future *futures[2], *all;

    (void)unused;
    CHECK_EQ(hk_mutex_lock(&mutex), 0);
    futures[0] = locks_on(hk_tasks());
    futures[1] = fails_later_on(hk_tasks());
    all = hk_gather(futures, 2);
    CHECK_EQ(hk_future_await(all, NULL), -EIO);
    hk_mutex_unlock(&mutex);
    CHECK_EQ(locks_await(futures[0]), 0);
    hk_future_free(all);
    hk_future_free(futures[0]);
    hk_future_free(futures[1]);
    return 0;
}

static void a_gather_that_may_fail_is_in_no_deadlock(void **state)
{
    (void)state;
    mutex = (hk_mutex)HK_MUTEX_INIT;
    start_checks(NULL);
    CHECK_EQ(run_virtual(gather_what_fails, NULL), 0);
    expect_said("deadlock:", 0);
    stop_checks();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_that_awaits_itself_is_told),
        cmocka_unit_test(jobs_that_await_one_another_are_told),
        cmocka_unit_test(a_gather_that_may_fail_is_in_no_deadlock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
