/* SPDX-License-Identifier: MIT */
/*
 * Jobs on hk_tasks() beyond one worker: of parallel scopes on all of them, from plain
 * threads on the background runtime, detached, and at the exit of the process.
 */
#include "support/job_test.h"

/* ---- several workers, plain threads, the background ---- */

static int many_in_parallel(void *unused)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_future *futures[200];
    int sum = 0;

    (void)unused;
    hk_scope_open_with(&s, HK_SCOPE_PARALLEL, NULL);
    for (int i = 0; i < 200; i++)
        futures[i] = square_on(hk_tasks(), i);
    for (int i = 0; i < 200; i++) {
        int value;

        CHECK_EQ(square_await(futures[i], &value), 0);
        hk_future_free(futures[i]);
        sum += value;
    }
    CHECK_EQ(sum, 199 * 200 * 399 / 6);
    return hk_scope_join(&s);
}

static void jobs_of_a_parallel_scope_run_on_all_workers(void **state)
{
    (void)state;
    for (int i = 0; i < scaled(50, 10); i++)
        assert_int_equal(run_workers(3, many_in_parallel, NULL), 0);
}

/* Cancels while jobs are started, queued and run on other workers. */
static int cancel_in_parallel(void *unused)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_future *futures[50], *all;

    (void)unused;
    hk_scope_open_with(&s, HK_SCOPE_PARALLEL, NULL);
    for (int i = 0; i < 50; i++)
        futures[i] = sleeps_on(hk_tasks(), i % 2 ? HK_NEVER : 0);
    all = hk_gather(futures, 50);
    for (int i = 0; i < 50; i += 3)
        (void)hk_future_cancel(futures[i], (hk_cancel_how)(i % 3));
    hk_scope_cancel(&s);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK(hk_future_try(all, NULL) == -EIDRM || hk_future_try(all, NULL) == 0);
    hk_future_free(all);
    for (int i = 0; i < 50; i++) {
        int rc = hk_future_try(futures[i], NULL);

        CHECK(rc == -EIDRM || (i % 2 == 0 && rc == 0));
        hk_future_free(futures[i]);
    }
    return 0;
}

static void cancels_race_jobs_on_several_workers(void **state)
{
    (void)state;
    for (int i = 0; i < scaled(100, 20); i++)
        assert_int_equal(run_workers(3, cancel_in_parallel, NULL), 0);
}

static void rule_24_a_plain_thread_has_the_background_runtime(void **state)
{
    hk_future *f = square_on(hk_tasks(), 5);
    hk_scope s = HK_SCOPE_INIT;
    int value;

    (void)state;
    assert_int_equal(square_await(f, &value), 0);
    assert_int_equal(value, 25);
    hk_future_free(f);
    f = sleeps_on(hk_tasks(), HK_NEVER);
    assert_int_equal(hk_future_cancel(f, HK_CANCEL), 0);
    assert_int_equal(hk_future_await(f, NULL), -EIDRM);
    hk_future_free(f);
    hk_scope_open(&s);
    f = sleeps_on(hk_tasks(), HK_NEVER);
    hk_scope_cancel(&s);
    assert_int_equal(hk_scope_join(&s), 0);
    assert_int_equal(hk_future_try(f, NULL), -EIDRM);
    hk_future_free(f);
}

static int write_soon(hk_bytes input, hk_result *result)
{
    (void)input;
    (void)result;
    CHECK_EQ(hk_sleep(20 * HK_MILLISECOND), 0);
    return write(2, "written", 7) == 7 ? 0 : -EIO;
}

static int leave_a_job(void *unused)
{
    (void)unused;
    hk_future_free(hk_submit(hk_tasks(), write_soon, NULL, 0));
    exit(0);
}

static int detach_a_job(void *unused)
{
    (void)unused;
    hk_future_free(hk_submit_detached(hk_tasks(), write_soon, NULL, 0));
    return 0;
}

static int run_and_leave(void *unused)
{
    CHECK_EQ(hk_run(detach_a_job, unused, NULL), 0);
    exit(0);
}

static void check_written(hk_task_fn *fn)
{
    char text[1000];
    int status = run_in_child(fn, text, sizeof(text));

    assert_int_equal(status, 0);
    assert_non_null(strstr(text, "written"));
}

static void the_exit_joins_the_background_scope(void **state)
{
    (void)state;
    check_written(leave_a_job);
}

static void a_detached_job_outlives_its_runtime(void **state)
{
    (void)state;
    check_written(run_and_leave);
}

/* What runs on the background runtime comes last: it frees its jobs when it likes. */
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_exit_joins_the_background_scope),
        cmocka_unit_test(a_detached_job_outlives_its_runtime),
        cmocka_unit_test(jobs_of_a_parallel_scope_run_on_all_workers),
        cmocka_unit_test(cancels_race_jobs_on_several_workers),
        cmocka_unit_test(rule_24_a_plain_thread_has_the_background_runtime),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
