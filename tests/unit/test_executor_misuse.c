/* SPDX-License-Identifier: MIT */
/*
 * Shows what mistakes with executors and futures lead to: a sentence that names them,
 * or an error, and never a crash or a hang. How: each is made in a process of its own.
 */
#include "support/core_test.h"

#include <hocket/processes.h>

HK_FN(int, square, (int, n))
{
    return n * n;
}

HK_FN_LOCAL(int, deref, (int *, p))
{
    return *p;
}

static int nothing(hk_bytes input, hk_result *result)
{
    (void)input;
    (void)result;
    return 0;
}

static int go_on(hk_future *done, void *ctx, hk_result *result)
{
    (void)done;
    (void)ctx;
    (void)result;
    return 0;
}

static hk_executor *own; /* whose jobs close it */

static int join_own(hk_bytes input, hk_result *result)
{
    (void)input;
    (void)result;
    return hk_executor_join(own);
}

static int free_own(hk_bytes input, hk_result *result)
{
    (void)input;
    (void)result;
    hk_executor_free(own);
    return 0;
}

/* ---- what is NULL ---- */

PANIC_TEST(a_job_without_an_executor_panics, "an executor is NULL")
{
    return hk_future_await(square_on(NULL, 3), NULL);
}

PANIC_TEST(a_job_without_a_function_panics, "hk_submit of no function")
{
    return hk_future_await(hk_submit(hk_threads(), NULL, NULL, 0), NULL);
}

PANIC_TEST(a_view_of_no_executor_panics, "an executor is NULL")
{
    const hk_job_options options = {.priority = 1};
    hk_executor_view view;

    (void)hk_with(&view, NULL, &options);
    return 0;
}

PANIC_TEST(closing_no_executor_panics, "an executor is NULL")
{
    hk_executor_close(NULL);
    return 0;
}

PANIC_TEST(awaiting_no_future_panics, "a future is NULL")
{
    return hk_future_await(NULL, NULL);
}

PANIC_TEST(waiting_for_no_future_among_others_panics, "a future is NULL")
{
    hk_future *futures[2] = {hk_future_new(), NULL};

    return hk_wait(futures, 2, HK_UNTIL_ALL);
}

PANIC_TEST(gathering_no_future_panics, "a future is NULL")
{
    hk_future *none = NULL;

    hk_future_free(hk_gather(&none, 1));
    return 0;
}

PANIC_TEST(cancelling_no_future_panics, "a future is NULL")
{
    return hk_future_cancel(NULL, HK_KILL);
}

/* ---- what cannot be there ---- */

PANIC_TEST(pointers_to_another_process_panic, "hk_in_process of 'processes'")
{
    int n = 3;

    hk_future_free(deref_on(hk_in_process(hk_processes()), &n));
    return 0;
}

PANIC_TEST(a_continuation_in_another_process_panics, "hk_then on 'processes'")
{
    hk_future_free(hk_then(hk_future_new(), hk_processes(), go_on, NULL));
    return 0;
}

PANIC_TEST(a_key_that_is_too_long_panics, "more than 39 bytes")
{
    const hk_job_options options = {.key = "0123456789012345678901234567890123456789"};
    hk_executor_view view;

    hk_future_free(square_on(hk_with(&view, hk_threads(), &options), 3));
    return 0;
}

/* ---- who waits for himself ---- */

PANIC_TEST(a_pool_of_threads_is_not_freed_by_its_job,
           "waits for a job that waits for it")
{
    CHECK_EQ(hk_thread_pool_new(NULL, &own), 0);
    return hk_future_await(hk_submit(own, free_own, NULL, 0), NULL);
}

PANIC_TEST(a_pool_of_tasks_is_not_freed_by_its_job, "waits for a job that waits for it")
{
    CHECK_EQ(hk_task_pool_new(NULL, &own), 0);
    return hk_future_await(hk_submit(own, free_own, NULL, 0), NULL);
}

static void own_is_not_joined_by_its_job(void)
{
    hk_future *future = hk_submit(own, join_own, NULL, 0);

    CHECK_EQ(hk_future_await(future, NULL), -EDEADLK);
    hk_future_free(future);
    future = square_on(own, 3);
    CHECK_EQ(hk_future_await(future, NULL), -EPIPE); /* it is closed */
    hk_future_free(future);
    hk_executor_free(own);
}

static void a_pool_is_not_joined_by_its_job(void **state)
{
    (void)state;
    CHECK_EQ(hk_thread_pool_new(NULL, &own), 0);
    own_is_not_joined_by_its_job();
    CHECK_EQ(hk_task_pool_new(NULL, &own), 0);
    own_is_not_joined_by_its_job();
}

PANIC_TEST(a_loop_without_a_body_panics, "hk_parallel_for without a body")
{
    return hk_parallel_for(0, 10, 0, NULL, NULL);
}

/* ---- what is allowed ---- */

static void a_result_may_be_awaited_twice_and_by_nobody(void **state)
{
    hk_executor *const on[] = {hk_tasks(), hk_threads(), hk_processes()};

    (void)state;
    for (int i = 0; i < 3; i++) {
        hk_future *future = square_on(on[i], 3);
        int got = 0;

        CHECK_EQ(square_await(future, &got), 0);
        CHECK_EQ(got, 9);
        got = 0;
        CHECK_EQ(square_await(future, &got), 0);
        CHECK_EQ(got, 9);
        CHECK_EQ(square_await(future, NULL), 0);
        hk_future_free(future);
        hk_future_free(square_on(on[i], 4));
    }
    hk_future_free(NULL);
    hk_executor_free(NULL);
}

static void nothing_at_all_is_waited_for_at_once(void **state)
{
    hk_future *none = hk_gather(NULL, 0);
    hk_completed it;

    (void)state;
    CHECK_EQ(hk_wait(NULL, 0, HK_UNTIL_FIRST), 0);
    CHECK_EQ(hk_future_await(none, NULL), 0);
    hk_future_free(none);
    CHECK_EQ(hk_as_completed(&it, NULL, 0), 0);
    CHECK_EQ(hk_completed_next(&it), -ENOENT);
    hk_completed_end(&it);
    CHECK_EQ(square_map(hk_threads(), NULL, 0, NULL, NULL), 0);
}

static void a_closed_pool_says_so_to_each_job(void **state)
{
    hk_executor *pools[3];

    (void)state;
    CHECK_EQ(hk_task_pool_new(NULL, &pools[0]), 0);
    CHECK_EQ(hk_thread_pool_new(NULL, &pools[1]), 0);
    CHECK_EQ(hk_process_pool_new(NULL, &pools[2]), 0);
    for (int i = 0; i < 3; i++) {
        hk_future *future;

        hk_executor_close(pools[i]);
        hk_executor_close(pools[i]);
        future = hk_submit(pools[i], nothing, NULL, 0);
        CHECK_EQ(hk_future_await(future, NULL), -EPIPE);
        hk_future_free(future);
        hk_executor_free(pools[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_without_an_executor_panics),
        cmocka_unit_test(a_job_without_a_function_panics),
        cmocka_unit_test(a_view_of_no_executor_panics),
        cmocka_unit_test(closing_no_executor_panics),
        cmocka_unit_test(awaiting_no_future_panics),
        cmocka_unit_test(waiting_for_no_future_among_others_panics),
        cmocka_unit_test(gathering_no_future_panics),
        cmocka_unit_test(cancelling_no_future_panics),
        cmocka_unit_test(pointers_to_another_process_panic),
        cmocka_unit_test(a_continuation_in_another_process_panics),
        cmocka_unit_test(a_key_that_is_too_long_panics),
        cmocka_unit_test(a_pool_of_threads_is_not_freed_by_its_job),
        cmocka_unit_test(a_pool_of_tasks_is_not_freed_by_its_job),
        cmocka_unit_test(a_loop_without_a_body_panics),
        cmocka_unit_test(a_pool_is_not_joined_by_its_job),
        cmocka_unit_test(a_result_may_be_awaited_twice_and_by_nobody),
        cmocka_unit_test(nothing_at_all_is_waited_for_at_once),
        cmocka_unit_test(a_closed_pool_says_so_to_each_job),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
