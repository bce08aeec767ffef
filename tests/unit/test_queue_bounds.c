/* SPDX-License-Identifier: MIT */
/*
 * Shows that a pool of threads, of tasks or of processes never has more jobs in its
 * queue than it may, however many are submitted from outside: those beyond are refused
 * (nowait), or their submitter waits. So ten million of them (in the long suite; fewer
 * otherwise) need no more memory than the queue. How: first nobody takes jobs, then
 * jobs are taken while they come.
 *
 * Run: limit=400
 */
#include "base/annotate.h"

#include <hocket/executor.h>
#include <hocket/fn.h>
#include <hocket/processes.h>
#include <hocket/scope.h>
#include <hocket/shared.h>
#include <hocket/task.h>
#include <hocket/testing.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { QUEUE = 1000, BYTES_MAX = 4 << 20 };

/* ASan makes each twenty times as long, and TSan keeps memory for what has passed. */
#if defined(HKI_TSAN)
enum { FEW = 2000, MANY = 2000 };
#elif defined(HKI_ASAN)
enum { FEW = 200000, MANY = 1000000 };
#else
enum { FEW = 200000, MANY = 10000000 };
#endif

static long jobs_in_all(void)
{
    return getenv("HOCKET_LONG") ? MANY : FEW;
}

HK_FN(void, count_up, (hk_shared, count))
{
    __atomic_add_fetch((uint64_t *)hk_shared_data(count), 1, __ATOMIC_RELAXED);
}

/* Runs until it is told to end, and waits in hocket meanwhile. */
HK_FN(hk_rc, wait_for, (hk_shared, is_over))
{
    int rc = 0;

    while (rc == 0 &&
           !__atomic_load_n((uint64_t *)hk_shared_data(is_over), __ATOMIC_ACQUIRE))
        rc = hk_sleep(HK_MILLISECOND);
    return rc;
}

/* The same, and keeps its thread. */
HK_FN(void, hold, (hk_shared, is_over))
{
    while (!__atomic_load_n((uint64_t *)hk_shared_data(is_over), __ATOMIC_ACQUIRE))
        (void)usleep(1000);
}

enum kind { TASKS, THREADS, PROCESSES, KINDS };

static hk_executor *pool_of_one(enum kind kind)
{
    const hk_task_pool_options tasks = {.running_max = 1, .queue_max = QUEUE};
    const hk_thread_pool_options threads = {.threads = 1, .queue_max = QUEUE};
    const hk_process_options processes = {.workers_max = 1, .queue_max = QUEUE};
    hk_executor *pool = NULL;

    switch (kind) {
    case TASKS: assert_int_equal(hk_task_pool_new(&tasks, &pool), 0); break;
    case THREADS: assert_int_equal(hk_thread_pool_new(&threads, &pool), 0); break;
    default: assert_int_equal(hk_process_pool_new(&processes, &pool), 0); break;
    }
    return pool;
}

static hk_shared zero(void)
{
    hk_shared block;

    assert_int_equal(hk_shared_alloc(sizeof(uint64_t), &block), 0);
    *(uint64_t *)hk_shared_data(block) = 0;
    return block;
}

static hk_executor_stats numbers_of(hk_executor *pool)
{
    hk_executor_stats stats;

    hk_executor_stats_read(pool, &stats);
    return stats;
}

static uint64_t bytes_now(void)
{
    hk_ledger ledger;

    hk_ledger_read(&ledger);
    return ledger.bytes;
}

static bool was_refused(hk_future *future)
{
    bool is_refused =
        hk_future_is_done(future) && hk_future_try(future, NULL) == -EAGAIN;

    hk_future_free(future);
    return is_refused;
}

/* The one that could take them is busy. */
static void refused_beyond_the_queue(enum kind kind)
{
    const long jobs = jobs_in_all();
    hk_executor *pool = pool_of_one(kind);
    hk_shared is_over = zero(), count = zero();
    hk_executor_view view;
    hk_executor *now = hk_with(&view, pool, &(hk_job_options){.nowait = true});
    hk_future *busy =
        kind == TASKS ? wait_for_on(pool, is_over) : hold_on(pool, is_over);
    uint64_t before;
    long refused = 0;

    while (numbers_of(pool).running == 0)
        assert_int_equal(hk_sleep(HK_MILLISECOND), 0);
    before = bytes_now();
    for (long i = 0; i < jobs; i++)
        refused += was_refused(count_up_on(now, count));
    assert_in_range(jobs - refused, 1, QUEUE + 64); /* some were sent ahead */
    assert_true(bytes_now() < before + BYTES_MAX);
    __atomic_store_n((uint64_t *)hk_shared_data(is_over), 1, __ATOMIC_RELEASE);
    assert_int_equal(hk_future_await(busy, NULL), 0);
    hk_future_free(busy);
    hk_executor_free(pool);
    assert_int_equal(*(uint64_t *)hk_shared_data(count), jobs - refused);
    hk_shared_free(is_over);
    hk_shared_free(count);
}

static void held_back_while_the_queue_is_full(enum kind kind)
{
    const long jobs = jobs_in_all();
    hk_executor *pool = pool_of_one(kind);
    hk_shared count = zero();
    const uint64_t before = bytes_now();

    for (long i = 0; i < jobs; i++) {
        hk_future_free(count_up_on(pool, count));
        if (i % 100 == 0) {
            assert_in_range(numbers_of(pool).queued, 0, QUEUE + 64);
            assert_true(bytes_now() < before + BYTES_MAX);
        }
    }
    hk_executor_free(pool);
    assert_int_equal(*(uint64_t *)hk_shared_data(count), jobs);
    hk_shared_free(count);
}

static void jobs_beyond_the_queue_are_refused(void **state)
{
    (void)state;
    for (int kind = 0; kind < KINDS; kind++)
        refused_beyond_the_queue((enum kind)kind);
}

static void who_submits_to_a_full_queue_waits(void **state)
{
    (void)state;
    for (int kind = 0; kind < KINDS; kind++)
        held_back_while_the_queue_is_full((enum kind)kind);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_beyond_the_queue_are_refused),
        cmocka_unit_test(who_submits_to_a_full_queue_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
