/* SPDX-License-Identifier: MIT */
/*
 * Pools of tasks: how many run at once and how many wait, in which order, what a job
 * may wait for, and what a cancel, a close and a terminate leave of queued and running
 * jobs.
 */
#include "support/job_test.h"

#include "exec/task_job.h"

static hk_executor *pool_of_tasks(uint32_t running_max, uint32_t queue_max)
{
    const hk_task_pool_options options = {.running_max = running_max,
                                          .queue_max = queue_max};
    hk_executor *pool;

    CHECK_EQ(hk_task_pool_new(&options, &pool), 0);
    return pool;
}

/* ---- bounds ---- */

static int now, most, ran; /* atomic */

HK_FN(hk_rc, naps, (int64_t, ns))
{
    int here = __atomic_add_fetch(&now, 1, __ATOMIC_SEQ_CST);
    int seen = __atomic_load_n(&most, __ATOMIC_SEQ_CST);
    int rc;

    while (here > seen &&
           !__atomic_compare_exchange_n(&most, &seen, here, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST))
        ;
    rc = hk_sleep(ns);
    __atomic_sub_fetch(&now, 1, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&ran, 1, __ATOMIC_SEQ_CST);
    return rc;
}

static void forget_runs(void)
{
    __atomic_store_n(&most, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&ran, 0, __ATOMIC_SEQ_CST);
}

TASK_TEST(no_more_run_at_once_than_may)
{
    hk_executor *pool = pool_of_tasks(3, 0);
    int64_t begun_ns = hk_now();
    hk_scope s;

    forget_runs();
    hk_scope_open(&s);
    for (int i = 0; i < 20; i++)
        hk_future_free(naps_on(pool, HK_SECOND));
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(ran, 20);
    CHECK_EQ(most, 3);
    CHECK_EQ(hk_now() - begun_ns, 7 * HK_SECOND);
    hk_executor_free(pool);
    return 0;
}

TASK_TEST(a_submit_waits_for_room_or_says_that_there_is_none)
{
    const hk_job_options options = {.nowait = true};
    hk_executor *pool = pool_of_tasks(1, 2);
    int64_t begun_ns = hk_now();
    hk_executor_view view;
    hk_future *f;
    hk_scope s;

    forget_runs();
    hk_scope_open(&s);
    for (int i = 0; i < 3; i++)
        hk_future_free(naps_on(pool, HK_SECOND)); /* one runs, two wait */
    CHECK_EQ(hk_now() - begun_ns, 0);
    f = naps_on(hk_with(&view, pool, &options), 0);
    CHECK_EQ(naps_await(f), -EAGAIN);
    hk_future_free(f);
    hk_future_free(naps_on(pool, HK_SECOND));
    CHECK_EQ(hk_now() - begun_ns, HK_SECOND);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(ran, 4);
    hk_executor_free(pool);
    return 0;
}

TASK_TEST(a_submit_that_waits_for_room_is_cancelled)
{
    hk_executor *pool = pool_of_tasks(1, 1);
    hk_future *running = naps_on(pool, HK_SECOND), *queued = naps_on(pool, 0), *f;
    hk_scope s;

    hk_scope_open(&s);
    hk_scope_deadline(&s, hk_now() + HK_MILLISECOND);
    f = naps_on(pool, 0);
    CHECK_EQ(hk_scope_join(&s), -ETIMEDOUT);
    CHECK_EQ(hk_future_try(f, NULL), -EIDRM);
    CHECK_EQ(naps_await(queued), 0);
    CHECK_EQ(naps_await(running), 0);
    hk_future_free(f);
    hk_future_free(queued);
    hk_future_free(running);
    hk_executor_free(pool);
    return 0;
}

static int naps_in(void *pool)
{
    hk_future *f = naps_on(pool, 0);

    CHECK_EQ(naps_await(f), -ECANCELED);
    hk_future_free(f);
    return 0;
}

/* The job comes into the queue after it was cancelled, and nobody might look there. */
TASK_TEST(a_submit_that_was_given_room_is_cancelled)
{
    hk_executor *pool = pool_of_tasks(1, 1);
    hk_future *running = naps_on(pool, HK_SECOND), *queued = naps_on(pool, 0);
    int64_t begun_ns = hk_now();
    hk_scope s;

    hk_scope_open(&s);
    CHECK_EQ(hk_spawn(&s, naps_in, pool), 0);
    CHECK_EQ(hk_yield(), 0);
    CHECK_EQ(hk_future_cancel(queued, HK_CANCEL), 0);
    while (hk_future_try(queued, NULL) == -EAGAIN)
        CHECK_EQ(hk_yield(), 0);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK(hk_now() - begun_ns < HK_SECOND);
    hk_future_free(queued);
    hk_future_free(running);
    hk_executor_free(pool);
    return 0;
}

/* ---- order ---- */

enum { ORDERED = 5 };

static int order[ORDERED];
static int order_count; /* atomic */

HK_FN(void, takes_turn, (int, number))
{
    order[__atomic_fetch_add(&order_count, 1, __ATOMIC_SEQ_CST)] = number;
}

TASK_TEST(jobs_begin_by_priority)
{
    const int32_t priorities[ORDERED] = {0, -3, 7, 0, 100};
    const int expected[ORDERED] = {4, 2, 0, 3, 1};
    hk_executor *pool = pool_of_tasks(1, 0);
    hk_scope s;

    __atomic_store_n(&order_count, 0, __ATOMIC_SEQ_CST);
    hk_scope_open(&s);
    hk_future_free(naps_on(pool, HK_SECOND));
    for (int i = 0; i < ORDERED; i++) {
        const hk_job_options options = {.priority = priorities[i]};
        hk_executor_view view;

        hk_future_free(takes_turn_on(hk_with(&view, pool, &options), i));
    }
    CHECK_EQ(hk_scope_join(&s), 0);
    for (int i = 0; i < ORDERED; i++)
        CHECK_EQ(order[i], expected[i]);
    hk_executor_free(pool);
    return 0;
}

/* ---- jobs that wait for jobs ---- */

static hk_executor *nesting; /* the pool of the next one */

HK_FN(hk_rc, nests, (int, depth))
{
    hk_future *f;
    int rc;

    if (depth == 0)
        return 0;
    f = nests_on(nesting, depth - 1);
    rc = nests_await(f);
    hk_future_free(f);
    return rc < 0 ? rc : depth;
}

/* Each holds the turn that there is, and waits for another job. */
static int nest(void *unused)
{
    hk_future *futures[4];

    (void)unused;
    nesting = pool_of_tasks(1, 1);
    for (int i = 0; i < 4; i++)
        futures[i] = nests_on(nesting, 5);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(nests_await(futures[i]), 5);
        hk_future_free(futures[i]);
    }
    hk_executor_free(nesting);
    return 0;
}

static void jobs_may_wait_for_jobs(void **state)
{
    (void)state;
    assert_int_equal(run_virtual(nest, NULL), 0);
    assert_int_equal(run_workers(2, nest, NULL), 0);
    assert_int_equal(nest(NULL), 0); /* from a plain thread */
}

/* A task inside of a job is as the job. */
static int sub_job(void *pool)
{
    hk_future *f = naps_on(pool, 0);
    int rc = naps_await(f);

    hk_future_free(f);
    return rc;
}

HK_FN_LOCAL(hk_rc, waits_by_a_task, (hk_executor *, pool))
{
    hk_scope s;

    hk_scope_open(&s);
    CHECK_EQ(hk_spawn(&s, sub_job, pool), 0);
    return hk_scope_join(&s);
}

TASK_TEST(tasks_of_a_job_may_wait_for_jobs)
{
    hk_executor *pool = pool_of_tasks(1, 1);
    hk_future *f = waits_by_a_task_on(hk_in_process(pool), pool);

    CHECK_EQ(waits_by_a_task_await(f), 0);
    hk_future_free(f);
    hk_executor_free(pool);
    return 0;
}

HK_FN_LOCAL(hk_rc, starts_many, (hk_executor *, pool))
{
    enum { MORE = 3 };
    int refused = 0;

    for (uint32_t i = 0; i < hki_without_turn_max + MORE; i++) {
        hk_future *f = naps_on(pool, HK_SECOND);

        refused += hk_future_try(f, NULL) == -EAGAIN && hk_future_is_done(f);
        hk_future_free(f);
    }
    return refused == MORE ? 0 : -EINVAL;
}

TASK_TEST(what_jobs_start_is_bounded)
{
    hk_executor *pool = pool_of_tasks(1, 1);
    uint32_t max = hki_without_turn_max;
    hk_future *f;

    hki_without_turn_max = 100;
    f = starts_many_on(hk_in_process(pool), pool);
    CHECK_EQ(starts_many_await(f), 0);
    CHECK_EQ(hk_executor_join(pool), 0);
    hki_without_turn_max = max;
    hk_future_free(f);
    hk_executor_free(pool);
    return 0;
}

/* ---- cancelling ---- */

TASK_TEST(queued_jobs_of_a_cancelled_scope_never_run)
{
    enum { JOBS = 20000 };
    hk_executor *pool = pool_of_tasks(1, 0);
    hk_future *outside = naps_on(pool, HK_SECOND), *inside;
    int64_t begun_ns = hk_now();
    hk_executor_stats stats;
    hk_scope s;

    forget_runs();
    hk_scope_open(&s);
    for (int i = 0; i < JOBS - 1; i++)
        hk_future_free(naps_on(pool, 0));
    inside = naps_on(pool, 0);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(hk_now() - begun_ns, 0); /* at once, and not when their turn comes */
    CHECK_EQ(hk_future_try(inside, NULL), -EIDRM);
    CHECK_EQ(naps_await(outside), 0);
    CHECK_EQ(ran, 1);
    stats = stats_of(pool);
    CHECK_EQ(stats.submitted, JOBS + 1);
    CHECK_EQ(stats.cancelled, JOBS);
    CHECK_EQ(stats.done, 1);
    CHECK_EQ(stats.queued + stats.running, 0);
    hk_future_free(inside);
    hk_future_free(outside);
    hk_executor_free(pool);
    return 0;
}

TASK_TEST(one_job_is_cancelled_queued_or_running)
{
    hk_executor *pool = pool_of_tasks(1, 0);
    hk_future *running = naps_on(pool, HK_NEVER), *queued = naps_on(pool, 0);

    CHECK_EQ(hk_sleep(1), 0);
    CHECK_EQ(hk_future_cancel(queued, HK_CANCEL_QUEUED), 0);
    CHECK_EQ(naps_await(queued), -EIDRM);
    CHECK_EQ(hk_future_cancel(running, HK_CANCEL_QUEUED), 0);
    CHECK_EQ(hk_future_try(running, NULL), -EAGAIN);
    CHECK_EQ(hk_future_cancel(running, HK_CANCEL), 0);
    CHECK_EQ(naps_await(running), -EIDRM);
    hk_future_free(running);
    hk_future_free(queued);
    hk_executor_free(pool);
    return 0;
}

/* ---- the end of a pool ---- */

TASK_TEST(a_closed_pool_ends_what_it_has)
{
    hk_executor *pool = pool_of_tasks(1, 0);
    hk_future *f[3];

    for (int i = 0; i < 2; i++)
        f[i] = naps_on(pool, HK_SECOND);
    hk_executor_close(pool);
    f[2] = naps_on(pool, 0);
    CHECK_EQ(naps_await(f[2]), -EPIPE);
    CHECK_EQ(hk_executor_join(pool), 0);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(hk_future_try(f[i], NULL), 0);
    for (int i = 0; i < 3; i++)
        hk_future_free(f[i]);
    hk_executor_free(pool);
    return 0;
}

TASK_TEST(a_terminated_pool_cancels_what_it_has)
{
    hk_executor *pool = pool_of_tasks(2, 0);
    hk_future *f[4];

    for (int i = 0; i < 4; i++)
        f[i] = naps_on(pool, HK_NEVER);
    CHECK_EQ(hk_sleep(1), 0);
    hk_executor_terminate(pool);
    CHECK_EQ(hk_executor_join(pool), 0);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(hk_future_try(f[i], NULL), -EIDRM);
        hk_future_free(f[i]);
    }
    hk_executor_free(pool);
    return 0;
}

/* ---- all at once ---- */

struct hammer {
    hk_executor *pool;
    int rounds;
};

/* Submits, and sometimes cancels; from tasks of several workers and plain threads. */
static int hammer(void *arg)
{
    const struct hammer *h = arg;

    for (int i = 0; i < h->rounds; i++) {
        hk_scope s;
        int rc;

        hk_scope_open(&s);
        for (int k = 0; k < 20; k++) {
            hk_future *f = naps_on(h->pool, k % 3);

            if (k % 7 == 0)
                (void)hk_future_cancel(f, HK_CANCEL);
            hk_future_free(f);
        }
        if (i % 2)
            hk_scope_cancel(&s);
        rc = hk_scope_join(&s);
        CHECK(rc == 0);
    }
    return 0;
}

static int hammer_as_tasks(void *arg)
{
    hk_scope s;

    hk_scope_open_with(&s, HK_SCOPE_PARALLEL, "hammer");
    for (int i = 0; i < 4; i++)
        CHECK_EQ(hk_spawn(&s, hammer, arg), 0);
    return hk_scope_join(&s);
}

static void *hammer_as_thread(void *arg)
{
    (void)hammer(arg);
    return NULL;
}

static void every_job_ends_once(void **state)
{
    struct hammer h = {pool_of_tasks(3, 5), scaled(100, 20)};
    hk_executor_stats stats;
    pthread_t threads[2];

    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer_as_thread, &h), 0);
    /* Without a look at the ledger: the threads' jobs are in it, too. */
    assert_int_equal(hk_run(hammer_as_tasks, &h, &(hk_options){.workers = 2}), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    stats = stats_of(h.pool);
    assert_int_equal(stats.submitted, 6 * 20 * h.rounds);
    assert_int_equal(stats.done + stats.failed + stats.cancelled, stats.submitted);
    hk_executor_free(h.pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_more_run_at_once_than_may),
        cmocka_unit_test(a_submit_waits_for_room_or_says_that_there_is_none),
        cmocka_unit_test(a_submit_that_waits_for_room_is_cancelled),
        cmocka_unit_test(a_submit_that_was_given_room_is_cancelled),
        cmocka_unit_test(jobs_begin_by_priority),
        cmocka_unit_test(queued_jobs_of_a_cancelled_scope_never_run),
        cmocka_unit_test(one_job_is_cancelled_queued_or_running),
        cmocka_unit_test(a_closed_pool_ends_what_it_has),
        cmocka_unit_test(a_terminated_pool_cancels_what_it_has),
        cmocka_unit_test(jobs_may_wait_for_jobs),
        cmocka_unit_test(tasks_of_a_job_may_wait_for_jobs),
        cmocka_unit_test(what_jobs_start_is_bounded),
        cmocka_unit_test(every_job_ends_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
