/* SPDX-License-Identifier: MIT */
/*
 * Shows that a job in a worker process may submit jobs (DESIGN.md, rule 39): to the
 * pool that it belongs to, whose other workers run them, to threads, and as tasks; that
 * their results, errors and deaths come back; that a submit which nobody could run is
 * refused at once; and that nothing of them stays when the worker that asked dies.
 */
#include "unit/process_test.h"

#include <hocket/shared.h>

/* ---- what runs in workers ---- */

HK_FN(int, own_pid)
{
    return (int)getpid();
}

HK_FN(hk_bytes, reverse, (hk_bytes, bytes))
{
    const char *from = bytes.data;
    char *to = malloc(bytes.size);

    for (size_t i = 0; i < bytes.size; i++)
        to[i] = from[bytes.size - 1 - i];
    return (hk_bytes){to, bytes.size};
}

static int triple(hk_bytes input, hk_result *result)
{
    int number;

    memcpy(&number, input.data, sizeof(number));
    number *= 3;
    return hk_result_set(result, &number, sizeof(number));
}

/* The sum of 1 to n, of which each step is another job. */
HK_FN(long, sum_down, (long, n))
{
    hk_future *future;
    long below = 0;
    int rc;

    if (n == 0)
        return 0;
    future = sum_down_on(hk_processes(), n - 1);
    rc = sum_down_await(future, &below);
    hk_future_free(future);
    if (rc < 0)
        hk_job_fail(rc);
    return n + below;
}

HK_FN(long, sum_of_many, (long, count))
{
    hk_future **futures = calloc((size_t)count, sizeof(*futures));
    long sum = 0, one;

    for (long i = 0; i < count; i++)
        futures[i] = add_on(hk_processes(), i, 1);
    for (long i = 0; i < count; i++) {
        int rc = add_await(futures[i], &one);

        if (rc < 0)
            hk_job_fail(rc);
        sum += one;
        hk_future_free(futures[i]);
    }
    free(futures);
    return sum;
}

HK_FN(bool, run_elsewhere)
{
    hk_future *future = own_pid_on(hk_processes());
    int pid = 0, rc = own_pid_await(future, &pid);

    hk_future_free(future);
    return rc == 0 && pid > 0 && pid != getpid() && pid != getppid();
}

HK_FN(hk_rc, reverse_twice, (hk_bytes, bytes))
{
    hk_future *future = reverse_on(hk_processes(), bytes);
    hk_bytes back;
    int rc = reverse_await(future, &back);

    if (rc == 0) {
        hk_future *again = reverse_on(hk_processes(), back);
        hk_bytes same;

        rc = reverse_await(again, &same);
        if (rc == 0 &&
            (same.size != bytes.size || memcmp(same.data, bytes.data, bytes.size) != 0))
            rc = -EILSEQ;
        hk_future_free(again);
    }
    hk_future_free(future);
    return rc;
}

HK_FN(hk_rc, submit_untyped)
{
    int number = 14;
    hk_future *future = hk_submit(hk_processes(), triple, &number, sizeof(number));
    hk_bytes out;
    int rc = hk_future_await(future, &out);

    if (rc >= 0)
        memcpy(&number, out.data, sizeof(number));
    hk_future_free(future);
    return rc < 0 ? rc : number;
}

HK_FN(hk_rc, lose_one)
{
    hk_future *future = die_by_on(hk_processes(), SIGKILL);
    int rc = hk_future_await(future, NULL);
    hk_job_error error;

    if (hk_future_error(future, &error) < 0 || error.signal != SIGKILL)
        rc = -EILSEQ;
    hk_future_free(future);
    return rc;
}

HK_FN(hk_rc, cancel_one)
{
    hk_future *future = run_for_ever_on(hk_processes());
    int rc;

    (void)hk_future_cancel(future, HK_KILL);
    rc = hk_future_await(future, NULL);
    hk_future_free(future);
    return rc;
}

HK_FN(void, count_up, (hk_shared, shared))
{
    __atomic_add_fetch((int *)hk_shared_data(shared), 1, __ATOMIC_RELEASE);
}

HK_FN(void, start_and_forget, (hk_shared, shared), (int, count))
{
    for (int i = 0; i < count; i++)
        hk_future_free(count_up_on(hk_processes(), shared));
}

/* Never comes to an end, nor does the one that it starts. */
HK_FN(void, wait_for_ever)
{
    (void)hk_future_await(run_for_ever_on(hk_processes()), NULL);
}

HK_FN(long, use_threads_and_tasks)
{
    hk_future *on_threads = add_on(hk_threads(), 1, 2);
    hk_future *on_tasks = add_on(hk_tasks(), 3, 4);
    long sum = 0, one;

    if (add_await(on_threads, &one) == 0)
        sum += one;
    if (add_await(on_tasks, &one) == 0)
        sum += one;
    hk_future_free(on_threads);
    hk_future_free(on_tasks);
    return sum;
}

static int await_in_task(void *out)
{
    hk_future *future = add_on(hk_processes(), 20, 22);
    int rc = add_await(future, out);

    hk_future_free(future);
    return rc;
}

HK_FN(long, use_runtime)
{
    long sum = 0;
    int rc = hk_run(await_in_task, &sum, NULL);

    return rc < 0 ? rc : sum;
}

/* Counts up when it is told to. */
HK_FN(void, count_when_told, (hk_shared, shared))
{
    int *board = hk_shared_data(shared);

    while (__atomic_load_n(&board[1], __ATOMIC_ACQUIRE) == 0)
        (void)usleep(100);
    __atomic_add_fetch(&board[0], 1, __ATOMIC_RELEASE);
}

HK_FN(void, start_one_and_forget, (hk_shared, shared))
{
    hk_future_free(count_when_told_on(hk_processes(), shared));
}

/* Initializers. */
static int init_as_told(hk_bytes input, hk_result *result)
{
    hk_shared told;

    (void)result;
    memcpy(&told, input.data, sizeof(told));
    return __atomic_load_n((int *)hk_shared_data(told), __ATOMIC_ACQUIRE);
}

static int init_by_a_job(hk_bytes input, hk_result *result)
{
    (void)input;
    (void)result;
    return await_and_free(add_on(hk_processes(), 1, 2));
}

HK_FN(hk_rc, make_pool)
{
    hk_executor *pool;

    return hk_process_pool_new(NULL, &pool);
}

/* ---- tests ---- */

static void expect_rc(hk_future *future, int expected)
{
    assert_int_equal(await_and_free(future), expected);
}

static void a_job_runs_jobs_in_other_workers(void **state)
{
    hk_executor *pool = pool_with(2);
    hk_future *future = run_elsewhere_on(pool);
    bool is_elsewhere = false;

    (void)state;
    assert_int_equal(run_elsewhere_await(future, &is_elsewhere), 0);
    assert_true(is_elsewhere);
    hk_future_free(future);
    expect_rc(submit_untyped_on(pool), 42);
    hk_executor_free(pool);
}

static void a_job_may_start_many(void **state)
{
    hk_executor *pool = pool_with(2);
    hk_future *future = sum_of_many_on(pool, 500);
    long sum = 0;

    (void)state;
    assert_int_equal(sum_of_many_await(future, &sum), 0);
    assert_int_equal(sum, 500 * 501 / 2);
    hk_future_free(future);
    hk_executor_free(pool);
}

static void large_arguments_and_results_go_there_and_back(void **state)
{
    static const size_t sizes[] = {1, 200, 209, 5000, 3 << 20};
    hk_executor *pool = pool_with(2);
    char *block = malloc(3 << 20);

    (void)state;
    for (size_t i = 0; i < 3 << 20; i++)
        block[i] = (char)(i * 7);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        expect_rc(reverse_twice_on(pool, (hk_bytes){block, sizes[i]}), 0);
    free(block);
    hk_executor_free(pool);
}

static void a_worker_more_is_started_for_each_that_waits(void **state)
{
    hk_executor *pool = pool_with(5);
    hk_future *future = sum_down_on(pool, 4);
    long sum = 0;

    (void)state;
    assert_int_equal(sum_down_await(future, &sum), 0);
    assert_int_equal(sum, 10);
    hk_future_free(future);
    assert_int_equal(stats_of(pool).started, 5);
    hk_executor_free(pool);
}

static void a_submit_that_nobody_could_run_is_refused(void **state)
{
    (void)state;
    for (uint32_t workers = 1; workers <= 3; workers++) {
        hk_executor *pool = pool_with(workers);

        expect_rc(sum_down_on(pool, (long)workers), -EDEADLK);
        expect_rc(sum_down_on(pool, (long)workers - 1), 0);
        expect_add(pool, 1, 2);
        hk_executor_free(pool);
    }
}

static void a_death_and_a_cancel_come_back(void **state)
{
    hk_executor *pool = pool_with(2);

    (void)state;
    expect_rc(lose_one_on(pool), -EOWNERDEAD);
    expect_rc(cancel_one_on(pool), -EIDRM);
    expect_add(pool, 1, 2);
    hk_executor_free(pool);
}

/* Also when their worker is replaced meanwhile. */
static void jobs_that_nobody_awaits_run_as_well(void **state)
{
    hk_shared shared;

    (void)state;
    assert_int_equal(hk_shared_alloc(sizeof(int), &shared), 0);
    for (uint64_t jobs_per_worker = 0; jobs_per_worker < 2; jobs_per_worker++) {
        hk_executor *pool = pool_of(&(hk_process_options){
            .workers_max = 2, .jobs_per_worker = jobs_per_worker});
        int *count = hk_shared_data(shared);

        __atomic_store_n(count, 0, __ATOMIC_RELEASE);
        expect_rc(start_and_forget_on(pool, shared, 10), 0);
        while (__atomic_load_n(count, __ATOMIC_ACQUIRE) < 10)
            assert_int_equal(hk_sleep(HK_MILLISECOND), 0);
        hk_executor_free(pool);
    }
    hk_shared_free(shared);
}

static uint64_t jobs_of(hk_executor *pool)
{
    hk_executor_stats stats;

    hk_executor_stats_read(pool, &stats);
    return stats.submitted - stats.done - stats.failed - stats.cancelled;
}

static void what_a_dead_worker_has_started_ends_with_it(void **state)
{
    hk_executor *pool = pool_with(2);
    hk_future *future = wait_for_ever_on(pool);

    (void)state;
    while (stats_of(pool).workers < 2) /* the second runs the job of the first */
        assert_int_equal(hk_sleep(HK_MILLISECOND), 0);
    (void)kill(await_worker(future), SIGKILL);
    expect_rc(future, -EOWNERDEAD);
    while (jobs_of(pool) > 0)
        assert_int_equal(hk_sleep(HK_MILLISECOND), 0);
    expect_rc(sum_down_on(pool, 1), 0);
    hk_executor_free(pool);
}

/* Longer than a worker is waited for that was asked to end. */
static void a_worker_is_not_replaced_while_its_jobs_are_on_their_way(void **state)
{
    hk_executor *pool =
        pool_of(&(hk_process_options){.workers_max = 2, .jobs_per_worker = 1});
    hk_shared shared;
    int *board;

    (void)state;
    assert_int_equal(hk_shared_alloc(2 * sizeof(int), &shared), 0);
    board = hk_shared_data(shared);
    memset(board, 0, shared.size);
    expect_rc(start_one_and_forget_on(pool, shared), 0);
    (void)usleep(1200 * 1000);
    __atomic_store_n(&board[1], 1, __ATOMIC_RELEASE);
    assert_int_equal(hk_executor_join(pool), 0);
    assert_int_equal(__atomic_load_n(&board[0], __ATOMIC_ACQUIRE), 1);
    hk_executor_free(pool);
    hk_shared_free(shared);
}

/* One worker there is, but that waits for the job. */
static void a_job_that_no_other_worker_can_be_started_for_fails(void **state)
{
    hk_executor *pool;
    hk_shared told;

    (void)state;
    assert_int_equal(hk_shared_alloc(sizeof(int), &told), 0);
    *(int *)hk_shared_data(told) = 0;
    pool = pool_of(&(hk_process_options){
        .workers_max = 2, .init = init_as_told, .init_input = {&told, sizeof(told)}});
    expect_add(pool, 1, 2);
    __atomic_store_n((int *)hk_shared_data(told), -ENXIO, __ATOMIC_RELEASE);
    expect_rc(sum_down_on(pool, 1), -ENXIO);
    expect_add(pool, 1, 2); /* the first one is there as before */
    hk_executor_free(pool);
    hk_shared_free(told);
}

static void a_submit_in_an_initializer_is_refused(void **state)
{
    hk_executor *pool =
        pool_of(&(hk_process_options){.workers_max = 2, .init = init_by_a_job});

    (void)state;
    expect_rc(add_on(pool, 1, 2), -EDEADLK);
    hk_executor_free(pool);
}

static void a_job_may_use_threads_and_tasks(void **state)
{
    hk_executor *pool = pool_with(2);
    hk_future *future = use_threads_and_tasks_on(pool);
    long sum = 0;

    (void)state;
    assert_int_equal(use_threads_and_tasks_await(future, &sum), 0);
    assert_int_equal(sum, 10);
    hk_future_free(future);
    future = use_runtime_on(pool);
    assert_int_equal(use_runtime_await(future, &sum), 0);
    assert_int_equal(sum, 42);
    hk_future_free(future);
    hk_executor_free(pool);
}

static void a_worker_has_no_pools_of_its_own(void **state)
{
    hk_executor *pool = pool_with(1);

    (void)state;
    expect_rc(make_pool_on(pool), -EDEADLK);
    hk_executor_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* first: what forks must not have threads */
        forked_unit_test(a_job_runs_jobs_in_other_workers),
        forked_unit_test(a_job_may_start_many),
        forked_unit_test(large_arguments_and_results_go_there_and_back),
        forked_unit_test(a_worker_more_is_started_for_each_that_waits),
        forked_unit_test(a_death_and_a_cancel_come_back),
        forked_unit_test(what_a_dead_worker_has_started_ends_with_it),
        forked_unit_test(a_job_may_use_threads_and_tasks),
        forked_unit_test(a_worker_has_no_pools_of_its_own),
        cmocka_unit_test(a_job_runs_jobs_in_other_workers),
        cmocka_unit_test(a_job_may_start_many),
        cmocka_unit_test(large_arguments_and_results_go_there_and_back),
        cmocka_unit_test(a_worker_more_is_started_for_each_that_waits),
        cmocka_unit_test(a_submit_that_nobody_could_run_is_refused),
        cmocka_unit_test(a_death_and_a_cancel_come_back),
        cmocka_unit_test(jobs_that_nobody_awaits_run_as_well),
        cmocka_unit_test(what_a_dead_worker_has_started_ends_with_it),
        cmocka_unit_test(a_worker_is_not_replaced_while_its_jobs_are_on_their_way),
        cmocka_unit_test(a_job_that_no_other_worker_can_be_started_for_fails),
        cmocka_unit_test(a_submit_in_an_initializer_is_refused),
        cmocka_unit_test(a_job_may_use_threads_and_tasks),
        cmocka_unit_test(a_worker_has_no_pools_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
