/* SPDX-License-Identifier: MIT */
/*
 * Jobs of a pool of threads are seen: a dump shows how many a scope has, each that
 * waits with the scope that it belongs to, and how many jobs have none; a deadlock of
 * jobs is found and ended.
 */
#include "dump_test.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static uint32_t waiting; /* atomic: jobs that are about to wait */

HK_FN_LOCAL(hk_rc, awaits, (hk_future *, promise))
{
    __atomic_add_fetch(&waiting, 1, __ATOMIC_SEQ_CST);
    return hk_future_await(promise, NULL);
}

static void start_three(hk_future **jobs, hk_future *promise)
{
    __atomic_store_n(&waiting, 0, __ATOMIC_SEQ_CST);
    for (int i = 0; i < 3; i++)
        jobs[i] = awaits_on(hk_in_process(hk_threads()), promise);
    while (__atomic_load_n(&waiting, __ATOMIC_SEQ_CST) < 3)
        sched_yield();
}

static int dump_jobs(void *unused)
{
    const char *const tree[] = {"task 'main'", "scope 'downloads': 3 children",
                                "3 jobs of a pool of threads", NULL};
    hk_future *promise = hk_future_new(), *jobs[3];
    hk_scope s;

    (void)unused;
    hk_scope_open_with(&s, 0, "downloads");
    start_three(jobs, promise);
    do { /* until one of them has parked */
        (void)hk_sleep(HK_MILLISECOND);
        take_dump();
    } while (!strstr(text, "in scope 'downloads' of "));
    expect_in_order(tree);
    expect("task 'awaits'");
    (void)hk_future_set(promise, 0, NULL, 0);
    if (hk_scope_join(&s) != 0)
        return -EIO;
    for (int i = 0; i < 3; i++)
        hk_future_free(jobs[i]);
    hk_future_free(promise);
    return 0;
}

static void a_dump_shows_the_jobs_of_a_scope(void **state)
{
    (void)state;
    assert_int_equal(hk_run(dump_jobs, NULL, NULL), 0);
}

static int nap(hk_bytes input, hk_result *result)
{
    (void)input;
    (void)result;
    return hk_sleep(HK_SECOND);
}

/* Also while it is in a worker process, where no task shows it. */
static void a_dump_shows_jobs_without_a_scope(void **state)
{
    hk_executor *const on[] = {hk_tasks(), hk_threads(), hk_processes()};
    hk_future *jobs[3];

    (void)state;
    for (int i = 0; i < 3; i++)
        jobs[i] = hk_submit_detached(on[i], nap, NULL, 0);
    do {
        (void)hk_sleep(HK_MILLISECOND);
        take_dump();
    } while (!strstr(text, "task 'detached'"));
    expect("3 jobs without a scope or detached, wherever");
    for (int i = 0; i < 3; i++) {
        (void)hk_future_cancel(jobs[i], HK_KILL);
        (void)hk_future_await(jobs[i], NULL);
        hk_future_free(jobs[i]);
    }
}

static void a_deadlock_of_jobs_is_found(void **state)
{
    hk_future *promise = hk_future_new(), *jobs[3];
    hk_scope s;

    (void)state;
    hk_scope_open(&s);
    start_three(jobs, promise);
    assert_int_equal(hk_scope_join(&s), 0); /* a join cannot be undone, the jobs can */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(awaits_await(jobs[i]), -EDEADLK);
        hk_future_free(jobs[i]);
    }
    hk_future_free(promise);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dump_shows_the_jobs_of_a_scope),
        cmocka_unit_test(a_dump_shows_jobs_without_a_scope),
        cmocka_unit_test(a_deadlock_of_jobs_is_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
