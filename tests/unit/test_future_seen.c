/* SPDX-License-Identifier: MIT */
/* What a future tells about itself: who runs its job, who waits, who has waited, and
 * why it has failed. */
#include "support/job_test.h"

static hk_sync_stats stats_of_future(const hk_future *future)
{
    hk_sync_stats stats;

    hk_future_stats(future, &stats);
    return stats;
}

static int awaits(void *future)
{
    return hk_future_await(future, NULL);
}

static int waits_for_both(void *futures)
{
    return hk_wait(futures, 2, HK_UNTIL_ALL) == 2 ? 0 : -EINVAL;
}

TASK_TEST(waiters_of_a_future_are_counted)
{
    hk_future *futures[2] = {hk_future_new(), hk_future_new()}, *both;
    hk_sync_stats stats = stats_of_future(futures[0]);
    hk_scope s;

    CHECK(stats.waiters == 0 && stats.holders == 0 && stats.contended == 0);
    hk_scope_open(&s);
    CHECK_EQ(hk_spawn(&s, awaits, futures[0]), 0);
    CHECK_EQ(hk_spawn(&s, waits_for_both, futures), 0);
    both = hk_gather(futures, 2);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    stats = stats_of_future(futures[0]);
    CHECK(stats.waiters == 3 && stats.contended == 3 && stats.holders == 0);
    CHECK_EQ(stats_of_future(futures[1]).waiters, 2);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(hk_future_set(futures[i], 0, NULL, 0), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    stats = stats_of_future(futures[0]);
    CHECK(stats.waiters == 0 && stats.contended == 3);
    CHECK_EQ(hk_future_await(futures[0], NULL), 0); /* that does not wait */
    CHECK_EQ(stats_of_future(futures[0]).contended, 3);
    hk_future_free(both);
    for (int i = 0; i < 2; i++)
        hk_future_free(futures[i]);
    return 0;
}

TASK_TEST(a_job_that_runs_holds_its_future)
{
    hk_future *future = sleeps_on(hk_tasks(), HK_SECOND);

    CHECK_EQ(stats_of_future(future).holders, 0); /* it has not begun */
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(stats_of_future(future).holders, 1);
    CHECK_EQ(sleeps_await(future), 0);
    CHECK_EQ(stats_of_future(future).holders, 0);
    hk_future_free(future);
    return 0;
}

TASK_TEST(an_error_is_that_of_the_job_behind_a_gather_and_a_shield)
{
    hk_future *job = gives_on(hk_tasks(), -EIO), *fine = gives_on(hk_tasks(), 0);
    hk_future *futures[2] = {fine, job};
    hk_future *gather = hk_gather(futures, 2), *shield = hk_shield_future(gather);
    hk_job_error error;

    CHECK_EQ(hk_future_await(shield, NULL), -EIO);
    CHECK_EQ(hk_future_error(shield, &error), 0);
    CHECK_EQ(error.error, -EIO);
    CHECK(strcmp(error.job, "gives") == 0);
    CHECK_EQ(error.attempts, 1);
    hk_future_free(shield);
    hk_future_free(gather);
    hk_future_free(job);
    hk_future_free(fine);
    return 0;
}

TASK_TEST(a_cancelled_shield_has_an_error_of_its_own)
{
    hk_future *job = sleeps_on(hk_tasks(), HK_SECOND), *shield = hk_shield_future(job);
    hk_job_error error;

    CHECK_EQ(hk_future_cancel(shield, HK_CANCEL), 0);
    CHECK_EQ(hk_future_await(shield, NULL), -EIDRM);
    CHECK_EQ(sleeps_await(job), 0);
    CHECK_EQ(hk_future_error(shield, &error), 0);
    CHECK(error.error == -EIDRM && error.attempts == 0);
    hk_future_free(shield);
    hk_future_free(job);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waiters_of_a_future_are_counted),
        cmocka_unit_test(a_job_that_runs_holds_its_future),
        cmocka_unit_test(an_error_is_that_of_the_job_behind_a_gather_and_a_shield),
        cmocka_unit_test(a_cancelled_shield_has_an_error_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
