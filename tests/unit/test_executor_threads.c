/* SPDX-License-Identifier: MIT */
/*
 * Jobs on hk_threads(): they run on other threads, wait for one another without holding
 * them, belong to scopes of tasks and of plain threads, and are cancelled from there.
 */
#include "support/job_test.h"

#include <sched.h>

/* Fibonacci by jobs that wait for jobs: many more than there are threads. */
HK_FN(int, fib, (int, n))
{
    hk_future *f, *g;
    int a = 0, b = 0;

    if (n < 2)
        return n;
    f = fib_on(hk_threads(), n - 1);
    g = fib_on(hk_threads(), n - 2);
    if (fib_await(f, &a) < 0 || fib_await(g, &b) < 0)
        hk_job_fail(-EIO);
    hk_future_free(f);
    hk_future_free(g);
    return a + b;
}

HK_FN(uint64_t, thread_number)
{
    return (uint64_t)(uintptr_t)pthread_self();
}

static int look_where_jobs_run(void *unused)
{
    hk_future *f = thread_number_on(hk_threads());
    uint64_t there;

    (void)unused;
    CHECK_EQ(thread_number_await(f, &there), 0);
    CHECK(there != (uint64_t)(uintptr_t)pthread_self());
    hk_future_free(f);
    return 0;
}

static void a_job_runs_on_another_thread(void **state)
{
    (void)state;
    assert_int_equal(hk_run(look_where_jobs_run, NULL, NULL), 0);
    assert_int_equal(look_where_jobs_run(NULL), 0); /* also of a plain thread */
}

static int is_aligned(hk_bytes input, hk_result *result)
{
    (void)result;
    return (uintptr_t)input.data % 16 == 0;
}

/* On tasks and on threads, a plain one or one with all that a job can have. */
static void an_input_is_aligned_to_16_bytes(void **state)
{
    static const char bytes[600];
    hk_executor_view tasks, threads;
    const hk_job_options options = {.key = "k"};
    hk_executor *on[] = {hk_tasks(), hk_threads(),
                         hk_with(&tasks, hk_tasks(), &options),
                         hk_with(&threads, hk_threads(), &options)};

    (void)state;
    for (size_t size = 1; size <= sizeof(bytes); size++) {
        hk_future *future = hk_submit(on[size % 4], is_aligned, bytes, size);

        assert_int_equal(hk_future_await(future, NULL), 1);
        hk_future_free(future);
    }
}

static int wait_for_fib(void *unused)
{
    int n = UNDER_TSAN ? 8 : 15, want = UNDER_TSAN ? 21 : 610, got;
    hk_future *f = fib_on(hk_threads(), n);

    (void)unused;
    CHECK_EQ(fib_await(f, &got), 0);
    CHECK_EQ(got, want);
    hk_future_free(f);
    return 0;
}

static void jobs_that_wait_for_jobs_do_not_deadlock(void **state)
{
    (void)state;
    assert_int_equal(hk_run(wait_for_fib, NULL, NULL), 0);
    assert_int_equal(wait_for_fib(NULL), 0);
}

static int join_many(void *unused)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_future *futures[300], *all;
    int sum = 0;

    (void)unused;
    hk_scope_open(&s);
    for (int i = 0; i < 300; i++)
        futures[i] = square_on(hk_threads(), i);
    all = hk_gather(futures, 300);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(hk_future_try(all, NULL), 0);
    hk_future_free(all);
    for (int i = 0; i < 300; i++) {
        int value;

        CHECK_EQ(square_await(futures[i], &value), 0);
        hk_future_free(futures[i]);
        sum += value;
    }
    CHECK_EQ(sum, 299 * 300 * 599 / 6);
    return 0;
}

static void a_scope_joins_its_jobs(void **state)
{
    (void)state;
    for (int i = 0; i < scaled(20, 3); i++) {
        assert_int_equal(run_workers(2, join_many, NULL), 0);
        assert_int_equal(join_many(NULL), 0);
    }
}

/* Some sleep for ever, some are done at once: whatever the cancel meets, all end. */
static int cancel_many(void *unused)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_future *futures[100];

    (void)unused;
    hk_scope_open(&s);
    for (int i = 0; i < 100; i++)
        futures[i] = sleeps_on(hk_threads(), i % 2 ? HK_NEVER : 0);
    for (int i = 0; i < 100; i += 5)
        (void)hk_future_cancel(futures[i], (hk_cancel_how)(i % 3));
    hk_scope_cancel(&s);
    CHECK_EQ(hk_scope_join(&s), 0);
    for (int i = 0; i < 100; i++) {
        int rc = hk_future_try(futures[i], NULL);

        CHECK(rc == -EIDRM || (i % 2 == 0 && rc == 0));
        hk_future_free(futures[i]);
    }
    return 0;
}

static void a_cancelled_scope_cancels_its_jobs(void **state)
{
    (void)state;
    for (int i = 0; i < scaled(50, 5); i++) {
        /* Without a look at the ledger: a cancel may still be on its way. */
        assert_int_equal(hk_run(cancel_many, NULL, NULL), 0);
        assert_int_equal(cancel_many(NULL), 0);
    }
}

static int await_until_the_deadline(void *unused)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_future *f;
    int rc;

    (void)unused;
    hk_scope_open(&s);
    hk_scope_deadline(&s, hk_now() + 5 * HK_MILLISECOND);
    f = sleeps_on(hk_threads(), HK_NEVER);
    rc = sleeps_await(f); /* both are cancelled: the job may be faster */
    CHECK(rc == -ECANCELED || rc == -EIDRM);
    CHECK_EQ(hk_scope_join(&s), -ETIMEDOUT);
    CHECK_EQ(hk_future_try(f, NULL), -EIDRM);
    hk_future_free(f);
    return 0;
}

static void a_deadline_reaches_a_job(void **state)
{
    (void)state;
    assert_int_equal(hk_run(await_until_the_deadline, NULL, NULL), 0);
    assert_int_equal(await_until_the_deadline(NULL), 0);
}

static int plus_one(hk_future *done, void *ctx, hk_result *result)
{
    hk_bytes in;
    int value;

    (void)ctx;
    CHECK_EQ(hk_future_try(done, &in), 0);
    memcpy(&value, in.data, sizeof(value));
    value++;
    return hk_result_set(result, &value, sizeof(value));
}

static int hand_over(void *unused)
{
    hk_future *f = square_on(hk_tasks(), 3);
    hk_future *g = hk_then(f, hk_threads(), plus_one, NULL);
    hk_future *h = hk_then(g, hk_tasks(), plus_one, NULL);
    hk_bytes out;
    int value;

    (void)unused;
    CHECK_EQ(hk_future_await(h, &out), 0);
    memcpy(&value, out.data, sizeof(value));
    CHECK_EQ(value, 11);
    hk_future_free(f);
    hk_future_free(g);
    hk_future_free(h);
    return 0;
}

static void continuations_go_from_one_executor_to_another(void **state)
{
    (void)state;
    assert_int_equal(run_virtual(hand_over, NULL), 0);
    assert_int_equal(hand_over(NULL), 0);
}

static int map_squares(void *unused)
{
    enum { COUNT = 1000 };
    struct square_args *args = calloc(COUNT, sizeof(*args));
    int *results = calloc(COUNT, sizeof(*results));

    (void)unused;
    CHECK(args && results);
    for (int i = 0; i < COUNT; i++)
        args[i].n = i;
    CHECK_EQ(square_map(hk_threads(), args, COUNT, results, NULL), 0);
    for (int i = 0; i < COUNT; i++)
        CHECK_EQ(results[i], i * i);
    free(args);
    free(results);
    return 0;
}

static void arrays_are_mapped_over_threads(void **state)
{
    (void)state;
    assert_int_equal(hk_run(map_squares, NULL, NULL), 0);
    assert_int_equal(map_squares(NULL), 0);
}

/* A detached job, and one of a plain thread without a scope, have no scope to tell. */
static void jobs_without_a_scope(void **state)
{
    int value;
    hk_future *f = square_on(hk_threads(), 4), *g = sleeps_on(hk_threads(), HK_NEVER);

    (void)state;
    assert_int_equal(square_await(f, &value), 0);
    assert_int_equal(value, 16);
    assert_int_equal(hk_future_cancel(g, HK_CANCEL), 0);
    assert_int_equal(hk_future_await(g, NULL), -EIDRM);
    hk_future_free(f);
    hk_future_free(g);
}

static void the_numbers_tell_the_threads(void **state)
{
    hk_executor_stats stats;

    (void)state;
    hk_executor_stats_read(hk_threads(), &stats);
    assert_string_equal(stats.kind, "threads");
    assert_true(stats.workers >= 1);
    assert_int_equal(stats.submitted, stats.done + stats.failed + stats.cancelled +
                                          stats.running + stats.queued);
}

/* ---- pools of one's own ---- */

/* Holds its thread until it is told: as a computation does. */
static int gate_open;

HK_FN(void, holds_its_thread)
{
    while (!peek(&gate_open))
        sched_yield();
}

static void close_gate(void)
{
    poke(&gate_open, 0);
}

static hk_executor *small_pool(uint32_t threads, uint32_t queue_max)
{
    hk_thread_pool_options options = {
        .threads = threads, .queue_max = queue_max, .name = "small"};
    hk_executor *pool;

    CHECK_EQ(hk_thread_pool_new(&options, &pool), 0);
    return pool;
}

/* All threads are held, and so many jobs are queued. */
static void fill_pool(hk_executor *pool, uint32_t threads, uint32_t queued)
{
    hk_executor_stats stats;

    close_gate();
    for (uint32_t i = 0; i < threads; i++)
        hk_future_free(holds_its_thread_on(pool));
    do {
        sched_yield();
        hk_executor_stats_read(pool, &stats);
    } while (stats.running < threads);
    for (uint32_t i = 0; i < queued; i++)
        hk_future_free(square_on(pool, 1));
}

static int submit_to_a_full_pool(void *unused)
{
    hk_executor *pool = small_pool(2, 3);
    hk_job_options nowait = {.nowait = true};
    hk_executor_view view;
    hk_executor_stats stats;
    hk_scope s = HK_SCOPE_INIT;
    hk_future *f;

    (void)unused;
    fill_pool(pool, 2, 3);
    hk_executor_stats_read(pool, &stats);
    CHECK(stats.queued == 3 && stats.running == 2 && stats.workers == 2);
    CHECK(strcmp(stats.name, "small") == 0);
    f = square_on(hk_with(&view, pool, &nowait), 2);
    CHECK_EQ(square_await(f, NULL), -EAGAIN);
    hk_future_free(f);
    hk_scope_open(&s);
    hk_scope_deadline(&s, hk_now() + 5 * HK_MILLISECOND);
    f = square_on(pool, 2); /* waits for room until then */
    CHECK(hk_future_is_done(f));
    CHECK_EQ(hk_scope_join(&s), -ETIMEDOUT);
    CHECK_EQ(hk_future_try(f, NULL), -EIDRM);
    hk_future_free(f);
    poke(&gate_open, 1);
    f = square_on(pool, 2);
    CHECK_EQ(square_await(f, NULL), 0);
    hk_future_free(f);
    hk_executor_free(pool);
    return 0;
}

static void a_full_queue_makes_a_submit_wait(void **state)
{
    (void)state;
    assert_int_equal(hk_run(submit_to_a_full_pool, NULL, NULL), 0);
    assert_int_equal(submit_to_a_full_pool(NULL), 0);
}

static hk_executor *inner;

HK_FN(int, submits_many, (int, count))
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    for (int i = 0; i < count; i++)
        hk_future_free(square_on(inner, i));
    return hk_scope_join(&s);
}

static void jobs_of_the_pool_submit_beyond_the_bound(void **state)
{
    hk_future *f;
    int rc;

    (void)state;
    inner = small_pool(1, 2);
    f = submits_many_on(inner, 100);
    assert_int_equal(submits_many_await(f, &rc), 0);
    assert_int_equal(rc, 0);
    hk_future_free(f);
    hk_executor_free(inner);
}

static void a_closed_pool_takes_nothing_and_is_joined(void **state)
{
    hk_executor *pool = small_pool(2, 100);
    hk_future *f = sleeps_on(pool, 10 * HK_MILLISECOND), *late;

    (void)state;
    hk_executor_close(pool);
    late = square_on(pool, 2);
    assert_int_equal(square_await(late, NULL), -EPIPE);
    assert_int_equal(hk_executor_join(pool), 0);
    assert_true(hk_future_is_done(f));
    assert_int_equal(sleeps_await(f), 0);
    assert_int_equal(hk_executor_join(pool), 0);
    hk_executor_free(pool);
    hk_future_free(f);
    hk_future_free(late);
}

static int join_in_time(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    hk_scope_deadline(&s, hk_now() + 5 * HK_MILLISECOND);
    CHECK_EQ(hk_executor_join(arg), -ECANCELED);
    CHECK_EQ(hk_executor_join(arg), -ECANCELED);
    CHECK_EQ(hk_scope_join(&s), -ETIMEDOUT);
    return 0;
}

static void a_terminated_pool_cancels_what_it_has(void **state)
{
    hk_executor *pool = small_pool(2, 100);
    hk_future *futures[20];

    (void)state;
    for (int i = 0; i < 20; i++)
        futures[i] = sleeps_on(pool, HK_NEVER);
    assert_int_equal(join_in_time(pool), 0);
    assert_int_equal(hk_run(join_in_time, pool, NULL), 0);
    hk_executor_terminate(pool);
    hk_executor_free(pool);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(hk_future_try(futures[i], NULL), -EIDRM);
        hk_future_free(futures[i]);
    }
}

static void a_pool_cannot_have_too_many_threads(void **state)
{
    hk_thread_pool_options options = {.threads = 257};
    hk_executor *pool = NULL;

    (void)state;
    assert_int_equal(hk_thread_pool_new(&options, &pool), -EINVAL);
    assert_null(pool);
}

/* Submits of several threads meet a close and a join. */
static void *submit_until_closed(void *arg)
{
    long started = 0;

    for (;;) {
        hk_future *f = square_on(arg, 3);
        int rc = square_await(f, NULL);

        hk_future_free(f);
        if (rc == -EPIPE)
            return (void *)started;
        CHECK_EQ(rc, 0);
        started++;
    }
}

static void a_close_races_submits(void **state)
{
    (void)state;
    for (int round = 0; round < scaled(10, 3); round++) {
        hk_executor *pool = small_pool(2, 4);
        pthread_t threads[3];
        hk_executor_stats stats;
        long started = 0;

        for (int i = 0; i < 3; i++)
            assert_int_equal(
                pthread_create(&threads[i], NULL, submit_until_closed, pool), 0);
        hk_sleep(2 * HK_MILLISECOND);
        assert_int_equal(hk_executor_join(pool), 0);
        for (int i = 0; i < 3; i++) {
            void *count;

            pthread_join(threads[i], &count);
            started += (long)count;
        }
        hk_executor_stats_read(pool, &stats);
        assert_int_equal(stats.done, started);
        hk_executor_free(pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_runs_on_another_thread),
        cmocka_unit_test(an_input_is_aligned_to_16_bytes),
        cmocka_unit_test(jobs_that_wait_for_jobs_do_not_deadlock),
        cmocka_unit_test(a_scope_joins_its_jobs),
        cmocka_unit_test(a_cancelled_scope_cancels_its_jobs),
        cmocka_unit_test(a_deadline_reaches_a_job),
        cmocka_unit_test(continuations_go_from_one_executor_to_another),
        cmocka_unit_test(arrays_are_mapped_over_threads),
        cmocka_unit_test(jobs_without_a_scope),
        cmocka_unit_test(the_numbers_tell_the_threads),
        cmocka_unit_test(a_full_queue_makes_a_submit_wait),
        cmocka_unit_test(jobs_of_the_pool_submit_beyond_the_bound),
        cmocka_unit_test(a_closed_pool_takes_nothing_and_is_joined),
        cmocka_unit_test(a_terminated_pool_cancels_what_it_has),
        cmocka_unit_test(a_pool_cannot_have_too_many_threads),
        cmocka_unit_test(a_close_races_submits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
