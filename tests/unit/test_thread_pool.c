/* SPDX-License-Identifier: MIT */
/*
 * How a pool of threads behaves beside running jobs: they start by priority; queued
 * ones of a cancelled scope never run, and a running one is cancelled without memory; a
 * scope counts them. How many threads it has is in test_thread_pool_size.c.
 */
#include "thread_pool_test.h"

#include "exec/work.h"

#include <semaphore.h>

/* ---- priorities ---- */

enum { ORDERED = 5 };

static int order[ORDERED];
static uint32_t order_count; /* atomic */

HK_FN(void, takes_turn, (int, number))
{
    order[__atomic_fetch_add(&order_count, 1, __ATOMIC_SEQ_CST)] = number;
}

HK_FN_LOCAL(void, holds, (sem_t *, semaphore), (sem_t *, begun))
{
    sem_post(begun);
    while (sem_wait(semaphore) != 0) /* blocks, and does not say so */
        ;
}

static void jobs_start_by_priority(void **state)
{
    const int32_t priorities[ORDERED] = {0, -3, 7, 0, 100};
    const int expected[ORDERED] = {4, 2, 0, 3, 1};
    hk_executor *pool = pool_of_threads(1, 1);
    hk_future *holder, *futures[ORDERED];
    sem_t semaphore, begun;

    (void)state;
    sem_init(&semaphore, 0, 0);
    sem_init(&begun, 0, 0);
    holder = holds_on(hk_in_process(pool), &semaphore, &begun);
    while (sem_wait(&begun) != 0)
        ;
    for (int i = 0; i < ORDERED; i++) {
        const hk_job_options options = {.priority = priorities[i]};
        hk_executor_view view;

        futures[i] = takes_turn_on(hk_with(&view, pool, &options), i);
    }
    sem_post(&semaphore);
    for (int i = 0; i < ORDERED; i++) {
        assert_int_equal(takes_turn_await(futures[i]), 0);
        hk_future_free(futures[i]);
    }
    for (int i = 0; i < ORDERED; i++)
        assert_int_equal(order[i], expected[i]);
    assert_int_equal(holds_await(holder), 0);
    hk_future_free(holder);
    hk_executor_free(pool);
    sem_destroy(&semaphore);
    sem_destroy(&begun);
}

static uint32_t ran; /* atomic */

HK_FN(void, counts)
{
    __atomic_add_fetch(&ran, 1, __ATOMIC_SEQ_CST);
}

/* ---- closing ---- */

static void *submit_too_late(void *pool)
{
    hk_future *f = counts_on(pool);

    CHECK_EQ(counts_await(f), -EPIPE);
    hk_future_free(f);
    return NULL;
}

/* They wait for room, more of them than there will ever be room for at once. */
static void who_waits_for_room_is_refused_at_once_by_a_close(void **state)
{
    enum { THREADS = 4 };
    const hk_thread_pool_options options = {.threads = 1, .queue_max = 1};
    hk_future *holder, *queued;
    pthread_t threads[THREADS];
    sem_t semaphore, begun;
    hk_executor *pool;

    (void)state;
    sem_init(&semaphore, 0, 0);
    sem_init(&begun, 0, 0);
    assert_int_equal(hk_thread_pool_new(&options, &pool), 0);
    holder = holds_on(hk_in_process(pool), &semaphore, &begun);
    while (sem_wait(&begun) != 0)
        ;
    queued = counts_on(pool);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, submit_too_late, pool), 0);
    assert_int_equal(hk_sleep(20 * HK_MILLISECOND), 0); /* now they wait, as a rule */
    hk_executor_close(pool);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    sem_post(&semaphore);
    assert_int_equal(holds_await(holder), 0);
    assert_int_equal(counts_await(queued), 0);
    hk_future_free(holder);
    hk_future_free(queued);
    hk_executor_free(pool);
    sem_destroy(&semaphore);
    sem_destroy(&begun);
}

/* ---- cancelling ---- */

static void queued_jobs_of_a_cancelled_scope_never_run(void **state)
{
    enum { JOBS = 1000 };
    hk_executor *pool = pool_of_threads(1, 1);
    hk_future *holder, *futures[JOBS];
    sem_t semaphore, begun;
    hk_executor_stats stats;
    hk_scope s;

    (void)state;
    sem_init(&semaphore, 0, 0);
    sem_init(&begun, 0, 0);
    __atomic_store_n(&ran, 0, __ATOMIC_SEQ_CST);
    holder = holds_on(hk_in_process(pool), &semaphore, &begun);
    while (sem_wait(&begun) != 0)
        ;
    hk_scope_open(&s);
    for (int i = 0; i < JOBS; i++)
        futures[i] = counts_on(pool);
    assert_int_equal(hk_scope_children(&s), JOBS);
    hk_scope_cancel(&s);
    sem_post(&semaphore);
    assert_int_equal(hk_scope_join(&s), 0);
    for (int i = 0; i < JOBS; i++) {
        assert_int_equal(hk_future_try(futures[i], NULL), -EIDRM);
        hk_future_free(futures[i]);
    }
    assert_int_equal(__atomic_load_n(&ran, __ATOMIC_SEQ_CST), 0);
    assert_int_equal(holds_await(holder), 0);
    hk_executor_stats_read(pool, &stats);
    assert_int_equal(stats.submitted, JOBS + 1);
    assert_int_equal(stats.cancelled, JOBS);
    assert_int_equal(stats.done, 1);
    assert_int_equal(stats.queued + stats.running, 0);
    hk_future_free(holder);
    hk_executor_free(pool);
    sem_destroy(&semaphore);
    sem_destroy(&begun);
}

static int cancel_after_free(void *unused)
{
    hk_executor *first = pool_of_threads(1, 1), *second;
    hk_future *f;
    hk_scope s;

    (void)unused;
    hk_scope_open(&s);
    for (int i = 0; i < 10; i++) {
        f = counts_on(first);
        CHECK_EQ(counts_await(f), 0);
        hk_future_free(f);
        second = pool_of_threads(1, 1);
        hk_executor_free(first);
        first = second;
    }
    hk_executor_free(first);
    hk_scope_cancel(&s);
    return hk_scope_join(&s);
}

static void a_scope_is_cancelled_after_the_pool_of_its_jobs_is_freed(void **state)
{
    (void)state;
    assert_int_equal(cancel_after_free(NULL), 0);
    assert_int_equal(run_workers(2, cancel_after_free, NULL), 0);
}

HK_FN_LOCAL(hk_rc, sleeps_for_ever, (sem_t *, begun))
{
    sem_post(begun);
    return hk_sleep_until(HK_NEVER);
}

/* By its future, by its scope, by the end of its pool: none of them needs memory. */
static void a_running_job_is_cancelled_without_memory(void **state)
{
    enum { BY_FUTURE, BY_SCOPE, BY_POOL, WAYS };

    (void)state;
    for (int way = 0; way < WAYS; way++) {
        hk_executor *pool = pool_of_threads(2, 0);
        hk_future *f;
        sem_t begun;
        hk_scope s;

        sem_init(&begun, 0, 0);
        hk_scope_open(&s);
        f = sleeps_for_ever_on(hk_in_process(pool), &begun);
        while (sem_wait(&begun) != 0)
            ;
        for (uint64_t nth = 1; nth <= 4; nth++) {
            hk_fault_arm(HK_FAULT_ALLOC, nth, -ENOMEM);
            if (way == BY_FUTURE)
                assert_int_equal(hk_future_cancel(f, HK_CANCEL), 0);
            else if (way == BY_SCOPE)
                hk_scope_cancel(&s);
            else
                hk_executor_terminate(pool);
            hk_fault_arm(HK_FAULT_ALLOC, 0, 0);
            if (way == BY_FUTURE)
                break; /* the first one was heard */
        }
        assert_int_equal(hk_scope_join(&s), 0);
        assert_int_equal(sleeps_for_ever_await(f), -EIDRM);
        hk_future_free(f);
        hk_executor_free(pool);
        sem_destroy(&begun);
    }
}

HK_FN_LOCAL(int, submits_beyond, (hk_executor *, pool), (int, jobs))
{
    int refused = 0;

    for (int i = 0; i < jobs; i++) {
        hk_future *f = counts_on(pool);

        refused += hk_future_is_done(f) && hk_future_try(f, NULL) == -EAGAIN;
        hk_future_free(f);
    }
    return refused;
}

/* One thread, which is busy meanwhile. */
static void what_a_job_submits_is_bounded(void **state)
{
    enum { MAX = 100, MORE = 3 };
    const hk_thread_pool_options options = {.threads = 1, .queue_max = 1};
    uint32_t max = hki_work_own_max;
    int refused = 0;
    hk_executor *pool;
    hk_future *f;

    (void)state;
    __atomic_store_n(&ran, 0, __ATOMIC_SEQ_CST);
    hki_work_own_max = MAX;
    assert_int_equal(hk_thread_pool_new(&options, &pool), 0);
    f = submits_beyond_on(hk_in_process(pool), pool, MAX + MORE);
    assert_int_equal(submits_beyond_await(f, &refused), 0);
    hk_future_free(f);
    hk_executor_free(pool);
    hki_work_own_max = max;
    assert_int_equal(refused, MORE);
    assert_int_equal(__atomic_load_n(&ran, __ATOMIC_SEQ_CST), MAX);
}

/* ---- scopes ---- */

HK_FN(hk_rc, submits_to_its_scope, (int, depth))
{
    if (depth > 0)
        for (int i = 0; i < 2; i++)
            hk_future_free(submits_to_its_scope_on(hk_threads(), depth - 1));
    counts();
    return 0;
}

static int join_what_jobs_submit(void *unused)
{
    hk_scope s;

    (void)unused;
    __atomic_store_n(&ran, 0, __ATOMIC_SEQ_CST);
    hk_scope_open(&s);
    hk_future_free(submits_to_its_scope_on(hk_threads(), 10));
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(__atomic_load_n(&ran, __ATOMIC_SEQ_CST), (2 << 10) - 1);
    return 0;
}

static void a_scope_joins_what_its_jobs_submit(void **state)
{
    (void)state;
    for (int i = 0; i < scaled(20, 3); i++) {
        assert_int_equal(run_workers(2, join_what_jobs_submit, NULL), 0);
        assert_int_equal(join_what_jobs_submit(NULL), 0);
    }
}

HK_FN_LOCAL(hk_rc, waits_for_event, (hk_event *, event))
{
    return hk_event_wait(event);
}

static int blocks(void *semaphore)
{
    while (sem_wait(semaphore) != 0)
        ;
    return 0;
}

HK_FN_LOCAL(hk_rc, sets_and_spawns, (hk_event *, event), (sem_t *, semaphore))
{
    hk_scope s;

    hk_scope_open(&s);
    hk_event_set(event);
    hk_spawn(&s, blocks, semaphore);
    return hk_scope_join(&s); /* first goes on who waits for the event */
}

/* On its thread comes a new task, which ends when the join has: it must not wait. */
static void the_end_of_a_job_is_told_before_a_task_starts(void **state)
{
    const hk_job_options detached = {.detached = true};
    hk_executor *pool = pool_of_threads(1, 1);
    hk_event event = HK_EVENT_INIT;
    hk_future *first, *second;
    hk_executor_view view;
    sem_t semaphore;
    hk_scope s;

    (void)state;
    sem_init(&semaphore, 0, 0);
    hk_scope_open(&s);
    first = waits_for_event_on(hk_in_process(pool), &event);
    assert_int_equal(hk_sleep(5 * HK_MILLISECOND), 0); /* it waits, as a rule */
    second = sets_and_spawns_on(hk_in_process(hk_with(&view, pool, &detached)), &event,
                                &semaphore);
    assert_int_equal(hk_scope_join(&s), 0);
    sem_post(&semaphore);
    assert_int_equal(waits_for_event_await(first), 0);
    assert_int_equal(sets_and_spawns_await(second), 0);
    hk_future_free(first);
    hk_future_free(second);
    hk_executor_free(pool);
    hk_event_fini(&event);
    sem_destroy(&semaphore);
}

static int submit_later(void *unused)
{
    (void)unused;
    for (int i = 0; i < 20; i++) {
        int rc = hk_yield();

        if (rc < 0)
            return rc;
        hk_future_free(counts_on(hk_threads()));
    }
    return 0;
}

/* The body joins before any of its tasks has submitted the first job. */
static int join_before_the_first(void *unused)
{
    hk_scope s;

    (void)unused;
    __atomic_store_n(&ran, 0, __ATOMIC_SEQ_CST);
    hk_scope_open_with(&s, HK_SCOPE_PARALLEL, NULL);
    for (int i = 0; i < 10; i++)
        CHECK_EQ(hk_spawn(&s, submit_later, NULL), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(__atomic_load_n(&ran, __ATOMIC_SEQ_CST), 200);
    return 0;
}

static void tasks_submit_while_their_scope_is_joined(void **state)
{
    (void)state;
    for (int i = 0; i < scaled(50, 5); i++) {
        assert_int_equal(run_workers(1, join_before_the_first, NULL), 0);
        assert_int_equal(run_workers(2, join_before_the_first, NULL), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_start_by_priority),
        cmocka_unit_test(who_waits_for_room_is_refused_at_once_by_a_close),
        cmocka_unit_test(queued_jobs_of_a_cancelled_scope_never_run),
        cmocka_unit_test(a_scope_is_cancelled_after_the_pool_of_its_jobs_is_freed),
        cmocka_unit_test(a_running_job_is_cancelled_without_memory),
        cmocka_unit_test(what_a_job_submits_is_bounded),
        cmocka_unit_test(a_scope_joins_what_its_jobs_submit),
        cmocka_unit_test(the_end_of_a_job_is_told_before_a_task_starts),
        cmocka_unit_test(tasks_submit_while_their_scope_is_joined),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
