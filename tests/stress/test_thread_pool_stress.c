/* SPDX-License-Identifier: MIT */
/*
 * Pools of threads under load: a million jobs from several threads and tasks at once;
 * jobs that wait for jobs, block, and are cancelled at random, by themselves or with
 * their scope; pools that are closed while jobs come in. Each job has exactly one
 * outcome, each join comes back, and what never ran was told so.
 *
 * Run: limit=400
 */
#include "support/core_test.h"

#include <sched.h>

static uint64_t started; /* atomic: jobs that ran */

static void ran_once(void)
{
    __atomic_add_fetch(&started, 1, __ATOMIC_RELAXED);
}

static uint64_t ran_in_all(void)
{
    return __atomic_exchange_n(&started, 0, __ATOMIC_SEQ_CST);
}

/* ---- a million ---- */

HK_FN(void, ends_at_once)
{
    ran_once();
}

static int submit_many(void *arg)
{
    long count = *(const long *)arg;
    hk_scope s;

    hk_scope_open(&s);
    for (long i = 0; i < count; i++)
        hk_future_free(ends_at_once_on(hk_threads()));
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

static void *submit_many_on_a_thread(void *arg)
{
    CHECK_EQ(submit_many(arg), 0);
    return NULL;
}

static int spawn_submitters(void *arg)
{
    hk_scope s;

    hk_scope_open_with(&s, HK_SCOPE_PARALLEL, NULL);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(hk_spawn(&s, submit_many, arg), 0);
    return hk_scope_join(&s);
}

static void a_million_jobs_from_many_sides(void **state)
{
    const hk_options options = {.workers = 2}; /* no ledger: others are at work, too */
    long each = scaled(250000, 2000);
    pthread_t threads[2];

    (void)state;
    for (int i = 0; i < 2; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, submit_many_on_a_thread, &each), 0);
    assert_int_equal(hk_run(spawn_submitters, &each, &options), 0);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    assert_int_equal(ran_in_all(), 4 * each);
}

/* ---- random trees of jobs, cancelled at random ---- */

HK_FN_LOCAL(hk_rc, node, (hk_executor *, pool), (uint64_t, seed), (int, depth))
{
    uint64_t random = seed;
    hk_future *children[3];
    int count = depth > 0 ? (int)below(&random, 4) : 0, rc = 0;

    ran_once();
    for (int i = 0; i < count; i++)
        children[i] = node_on(hk_in_process(pool), pool, seed + (uint64_t)i, depth - 1);
    switch (below(&random, 6)) {
    case 0: rc = hk_yield(); break;
    case 1: rc = hk_sleep((int64_t)below(&random, 100) * HK_MICROSECOND); break;
    case 2:
        hk_blocking_begin();
        sched_yield();
        hk_blocking_end();
        break;
    case 3:
        if (count > 0)
            (void)hk_future_cancel(children[0], (hk_cancel_how)below(&random, 3));
        break;
    default: break;
    }
    for (int i = 0; i < count; i++) {
        int child = node_await(children[i]);

        CHECK(child >= 0 || child == -EIDRM || child == -ECANCELED);
        CHECK(child != -ECANCELED || hk_cancelled() < 0);
        hk_future_free(children[i]);
    }
    return rc;
}

static void grow_and_cut(hk_executor *pool, uint64_t seed)
{
    hk_future *roots[8];
    uint64_t random = seed;
    hk_scope s;

    hk_scope_open(&s);
    for (int i = 0; i < 8; i++)
        roots[i] = node_on(hk_in_process(pool), pool, seed * 8 + (uint64_t)i, 4);
    if (below(&random, 2))
        hk_scope_deadline(&s, hk_now() + (int64_t)below(&random, 300) * HK_MICROSECOND);
    for (int i = 0; i < 8; i++) {
        if (below(&random, 3) == 0)
            (void)hk_future_cancel(roots[i], (hk_cancel_how)below(&random, 3));
        if (below(&random, 16) == 0)
            hk_scope_cancel(&s);
    }
    (void)hk_scope_join(&s); /* 0, or -ETIMEDOUT when a job has noticed */
    for (int i = 0; i < 8; i++) {
        CHECK(hk_future_try(roots[i], NULL) != -EAGAIN);
        hk_future_free(roots[i]);
    }
}

struct gardener {
    hk_executor *pool;
    uint64_t seed;
};

static int garden(void *arg)
{
    const struct gardener *gardener = arg;

    for (int i = 0; i < scaled(300, 10); i++)
        grow_and_cut(gardener->pool, gardener->seed + (uint64_t)i);
    return 0;
}

static void *garden_on_a_thread(void *arg)
{
    CHECK_EQ(garden(arg), 0);
    return NULL;
}

static void random_trees_of_jobs_are_cut_at_random(void **state)
{
    const hk_thread_pool_options options = {.threads = 2, .queue_max = 50};
    struct gardener gardeners[3];
    hk_executor_stats stats;
    hk_executor *pool;
    pthread_t thread;

    (void)state;
    assert_int_equal(hk_thread_pool_new(&options, &pool), 0);
    for (uint64_t i = 0; i < 3; i++)
        gardeners[i] = (struct gardener){pool, 1 + i * 1000000};
    CHECK_EQ(pthread_create(&thread, NULL, garden_on_a_thread, &gardeners[0]), 0);
    assert_int_equal(hk_run(garden, &gardeners[1], NULL), 0);
    assert_int_equal(garden(&gardeners[2]), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    assert_int_equal(hk_executor_join(pool), 0);
    hk_executor_stats_read(pool, &stats);
    assert_int_equal(stats.submitted, stats.done + stats.failed + stats.cancelled);
    assert_int_equal(stats.queued + stats.running, 0);
    hk_executor_free(pool);
    (void)ran_in_all();
}

/* ---- shutdown racing submit ---- */

struct race {
    hk_executor *pool;
    uint64_t taken;   /* atomic: jobs with a result */
    uint64_t refused; /* atomic */
    uint64_t cancelled;
};

static void *submit_until_closed(void *arg)
{
    struct race *race = arg;
    bool is_open = true;

    while (is_open) {
        hk_future *f = ends_at_once_on(race->pool);
        int rc = hk_future_await(f, NULL);

        hk_future_free(f);
        is_open = rc == 0;
        CHECK(rc == 0 || rc == -EPIPE || rc == -EIDRM);
        __atomic_add_fetch(rc == 0        ? &race->taken
                           : rc == -EPIPE ? &race->refused
                                          : &race->cancelled,
                           1, __ATOMIC_SEQ_CST);
    }
    return NULL;
}

static void a_shutdown_races_submits(void **state)
{
    (void)state;
    for (int i = 0; i < scaled(200, 10); i++) {
        const hk_thread_pool_options options = {.threads = 2, .queue_max = 2};
        struct race race = {0};
        pthread_t threads[3];

        assert_int_equal(hk_thread_pool_new(&options, &race.pool), 0);
        for (int k = 0; k < 3; k++)
            CHECK_EQ(pthread_create(&threads[k], NULL, submit_until_closed, &race), 0);
        while (__atomic_load_n(&race.taken, __ATOMIC_SEQ_CST) < 10)
            sched_yield();
        if (i % 2)
            hk_executor_terminate(race.pool);
        assert_int_equal(hk_executor_join(race.pool), 0);
        for (int k = 0; k < 3; k++)
            CHECK_EQ(pthread_join(threads[k], NULL), 0);
        assert_int_equal(ran_in_all(), race.taken);
        assert_int_equal(race.refused + race.cancelled, 3);
        hk_executor_free(race.pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_million_jobs_from_many_sides),
        cmocka_unit_test(random_trees_of_jobs_are_cut_at_random),
        cmocka_unit_test(a_shutdown_races_submits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
