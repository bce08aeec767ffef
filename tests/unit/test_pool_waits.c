/* SPDX-License-Identifier: MIT */
/*
 * Who waits for room in a pool's queue, or for its last job, and is cancelled while the
 * pool closes or that job ends: each wait ends once, and nobody is forgotten. For every
 * kind of pool.
 */
#include "support/core_test.h"

enum { WAITERS = 24 };

static int new_tasks(hk_executor **out)
{
    const hk_task_pool_options options = {.running_max = 1, .queue_max = 1};

    return hk_task_pool_new(&options, out);
}

static int new_threads(hk_executor **out)
{
    const hk_thread_pool_options options = {
        .threads = 1, .threads_max = 1, .queue_max = 1};

    return hk_thread_pool_new(&options, out);
}

static int new_processes(hk_executor **out)
{
    const hk_process_options options = {.workers_max = 1, .queue_max = 1};

    return hk_process_pool_new(&options, out);
}

static int (*const kinds[])(hk_executor **) = {new_tasks, new_threads, new_processes};

struct race {
    hk_executor *pool;
    int waiting; /* atomic: tasks that have begun to wait, or are about to */
    int go;      /* atomic */
    int pause;
};

static int next_pause(void)
{
    static int pause;

    return pause = (pause + 97) % 2000;
}

HK_FN(hk_rc, naps, (int64_t, ns))
{
    return hk_sleep(ns);
}

static int submits(void *arg)
{
    struct race *race = arg;
    hk_future *f;
    int rc;

    (void)count_me(&race->waiting);
    f = naps_on(race->pool, 0);
    rc = naps_await(f);
    CHECK(rc == 0 || rc == -EIDRM || rc == -EPIPE || rc == -ECANCELED);
    hk_future_free(f);
    return 0;
}

static int joins(void *arg)
{
    struct race *race = arg;
    int rc;

    (void)count_me(&race->waiting);
    rc = hk_executor_join(race->pool);
    CHECK(rc == 0 || rc == -ECANCELED);
    return 0;
}

static void *closes(void *arg)
{
    struct race *race = arg;

    while (!peek(&race->go))
        ;
    hk_executor_close(race->pool);
    return NULL;
}

/* Lets all of them wait, and cancels them at the moment that `other` acts. */
static void cancel_waiters(struct race *race, hk_task_fn *waits)
{
    hk_scope s;

    hk_scope_open(&s);
    for (int i = 0; i < WAITERS; i++)
        CHECK_EQ(hk_spawn(&s, waits, race), 0);
    while (peek(&race->waiting) < WAITERS)
        CHECK_EQ(hk_yield(), 0);
    poke(&race->go, 1);
    for (int i = 0; i < race->pause; i++)
        (void)peek(&race->go); /* not always at the same moment */
    hk_scope_cancel(&s);
    CHECK_EQ(hk_scope_join(&s), 0);
}

static int race_a_close(void *arg)
{
    struct race race = {.pause = next_pause()};
    hk_future *busy[3];
    pthread_t thread;

    CHECK_EQ((*(int (*const *)(hk_executor **))arg)(&race.pool), 0);
    busy[0] = naps_on(race.pool, HK_NEVER);
    for (int i = 1; i < 3; i++) /* and one waits, until the first has begun */
        busy[i] = naps_on(hk_with(&(hk_executor_view){0}, race.pool,
                                  &(hk_job_options){.nowait = true}),
                          HK_NEVER);
    CHECK_EQ(pthread_create(&thread, NULL, closes, &race), 0);
    cancel_waiters(&race, submits);
    pthread_join(thread, NULL);
    hk_executor_terminate(race.pool);
    CHECK_EQ(hk_executor_join(race.pool), 0);
    for (int i = 0; i < 3; i++)
        hk_future_free(busy[i]);
    hk_executor_free(race.pool);
    return 0;
}

static int race_the_last_job(void *arg)
{
    struct race race = {.pause = next_pause()};
    hk_future *last;

    CHECK_EQ((*(int (*const *)(hk_executor **))arg)(&race.pool), 0);
    last = naps_on(race.pool, 300 * HK_MICROSECOND);
    cancel_waiters(&race, joins);
    CHECK_EQ(hk_executor_join(race.pool), 0);
    hk_future_free(last);
    hk_executor_free(race.pool);
    return 0;
}

static void run_all(hk_task_fn *fn)
{
    for (size_t kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++)
        for (int i = 0; i < scaled(50, 15); i++)
            assert_int_equal(hk_run(fn, (void *)(uintptr_t)&kinds[kind],
                                    &(hk_options){.workers = 2}),
                             0);
}

static void cancelled_submits_race_a_close(void **state)
{
    (void)state;
    run_all(race_a_close);
}

static void cancelled_joins_race_the_last_job(void **state)
{
    (void)state;
    run_all(race_the_last_job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cancelled_submits_race_a_close),
        cmocka_unit_test(cancelled_joins_race_the_last_job),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
