/* SPDX-License-Identifier: MIT */
/*
 * How many threads a pool has: it grows while jobs block, no further than its limit,
 * and shrinks; a thread that has ended comes back for what is sent to it.
 */
#include "thread_pool_test.h"

#include "exec/work.h"

#include <sched.h>
#include <semaphore.h>

/* ---- growing ---- */

HK_FN_LOCAL(void, waits_for, (sem_t *, semaphore))
{
    hk_blocking_begin();
    hk_blocking_begin(); /* they nest */
    while (sem_wait(semaphore) != 0)
        ;
    hk_blocking_end();
    hk_blocking_end();
}

HK_FN_LOCAL(void, posts, (sem_t *, semaphore))
{
    sem_post(semaphore);
}

/* Each job that blocks can only go on when one has run that comes after all of them. */
static void blocked_jobs_let_the_pool_grow(void **state)
{
    enum { JOBS = 5 };
    hk_executor *pool = pool_of_threads(1, 0);
    hk_local_executor here = hk_in_process(pool);
    hk_future *blocked[JOBS], *posting[JOBS];
    sem_t semaphore;

    (void)state;
    sem_init(&semaphore, 0, 0);
    for (int i = 0; i < JOBS; i++)
        blocked[i] = waits_for_on(here, &semaphore);
    for (int i = 0; i < JOBS; i++)
        posting[i] = posts_on(here, &semaphore);
    for (int i = 0; i < JOBS; i++) {
        assert_int_equal(waits_for_await(blocked[i]), 0);
        assert_int_equal(posts_await(posting[i]), 0);
        hk_future_free(blocked[i]);
        hk_future_free(posting[i]);
    }
    assert_in_range(stats_of(pool).workers, 2, JOBS + 1);
    hk_executor_free(pool);
    sem_destroy(&semaphore);
}

static void a_pool_grows_no_further_than_its_limit(void **state)
{
    hk_executor *pool = pool_of_threads(1, 2);
    hk_local_executor here = hk_in_process(pool);
    hk_future *first, *second, *third;
    sem_t semaphore;

    (void)state;
    sem_init(&semaphore, 0, 0);
    first = waits_for_on(here, &semaphore);
    second = waits_for_on(here, &semaphore);
    third = posts_on(here, &semaphore); /* no thread is left for it */
    while (stats_of(pool).workers < 2)
        sched_yield();
    sem_post(&semaphore);
    assert_int_equal(posts_await(third), 0); /* and sets the other one free */
    assert_int_equal(waits_for_await(first), 0);
    assert_int_equal(waits_for_await(second), 0);
    assert_int_equal(stats_of(pool).workers, 2);
    hk_future_free(first);
    hk_future_free(second);
    hk_future_free(third);
    hk_executor_free(pool);
    sem_destroy(&semaphore);
}

static void blocking_is_nothing_elsewhere(void **state)
{
    (void)state;
    hk_blocking_begin();
    hk_blocking_end();
    hk_blocking_end();
}

static void the_limits_must_fit_together(void **state)
{
    const hk_thread_pool_options wrong[] = {
        {.threads = 257},
        {.threads = 3, .threads_max = 2},
        {.threads = 2, .threads_min = 3},
        {.threads_max = 300},
    };
    hk_executor *pool = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(hk_thread_pool_new(&wrong[i], &pool), -EINVAL);
    assert_null(pool);
}

/* ---- shrinking: with an own pool of work, whose patience is short ---- */

static sem_t gate;
static uint32_t ended; /* atomic */

static void block(struct hki_work *work)
{
    (void)work;
    hk_blocking_begin();
    while (sem_wait(&gate) != 0)
        ;
    hk_blocking_end();
    __atomic_add_fetch(&ended, 1, __ATOMIC_SEQ_CST);
}

static uint32_t threads_now(struct hki_work_pool *work)
{
    hk_executor_stats stats = {0};

    return hki_work_stats(work, &stats);
}

static void await_threads(struct hki_work_pool *work, uint32_t wanted)
{
    while (threads_now(work) != wanted)
        sched_yield();
}

static void idle_threads_end_and_come_back(void **state)
{
    enum { PIECES = 4 };
    const struct hki_work_options options = {
        .threads = 1,
        .threads_max = 8,
        .threads_min = 1,
        .idle_ns = HK_MILLISECOND,
    };
    struct hki_work_pool *work;
    struct hki_work pieces[PIECES];

    (void)state;
    sem_init(&gate, 0, 0);
    assert_int_equal(hki_work_pool_new(&options, &work), 0);
    for (int round = 0; round < scaled(20, 5); round++) {
        __atomic_store_n(&ended, 0, __ATOMIC_SEQ_CST);
        for (int i = 0; i < PIECES; i++) {
            pieces[i] = (struct hki_work){.run = block};
            assert_int_equal(hki_work_push(work, &pieces[i]), 0);
        }
        await_threads(work, PIECES); /* all of them block */
        for (int i = 0; i < PIECES; i++)
            sem_post(&gate);
        while (__atomic_load_n(&ended, __ATOMIC_SEQ_CST) < PIECES)
            sched_yield();
        await_threads(work, 1);
    }
    hki_work_pool_free(work);
    sem_destroy(&gate);
}

/* A callback that was left behind on a thread that has ended since. */
static hk_worker home;

static void take_home(struct hki_work *work)
{
    hk_worker here = hk_worker_self();

    if (hk_worker_index() > 0)
        home = here;
    block(work);
}

static void count_call(void *unused)
{
    (void)unused;
    __atomic_add_fetch(&ended, 1, __ATOMIC_SEQ_CST);
}

static void a_thread_comes_back_for_a_message(void **state)
{
    const struct hki_work_options options = {
        .threads = 1, .threads_max = 2, .threads_min = 1, .idle_ns = HK_MILLISECOND};
    struct hki_work_pool *work;
    struct hki_work pieces[2] = {{.run = take_home}, {.run = take_home}};

    (void)state;
    sem_init(&gate, 0, 0);
    __atomic_store_n(&ended, 0, __ATOMIC_SEQ_CST);
    assert_int_equal(hki_work_pool_new(&options, &work), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(hki_work_push(work, &pieces[i]), 0);
    await_threads(work, 2);
    sem_post(&gate);
    sem_post(&gate);
    while (__atomic_load_n(&ended, __ATOMIC_SEQ_CST) < 2)
        sched_yield();
    for (int round = 0; round < scaled(20, 5); round++) {
        await_threads(work, 1);
        assert_int_equal(hk_call_soon(home, count_call, NULL), 0);
        while (__atomic_load_n(&ended, __ATOMIC_SEQ_CST) < 3 + (uint32_t)round)
            sched_yield();
    }
    hki_work_pool_free(work);
    assert_int_equal(hk_call_soon(home, count_call, NULL), -EBADF);
    sem_destroy(&gate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocked_jobs_let_the_pool_grow),
        cmocka_unit_test(a_pool_grows_no_further_than_its_limit),
        cmocka_unit_test(blocking_is_nothing_elsewhere),
        cmocka_unit_test(the_limits_must_fit_together),
        cmocka_unit_test(idle_threads_end_and_come_back),
        cmocka_unit_test(a_thread_comes_back_for_a_message),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
