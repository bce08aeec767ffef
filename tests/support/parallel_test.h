/* SPDX-License-Identifier: MIT */
/* For the tests of parallel computation: the same function from everywhere. */
#ifndef TESTS_SUPPORT_PARALLEL_TEST_H
#define TESTS_SUPPORT_PARALLEL_TEST_H

#include "support/core_test.h"

struct anywhere {
    hk_task_fn *fn;
    void *arg;
};

/* As a job of the pool. */
static inline int in_the_pool(hk_bytes input, hk_result *result)
{
    struct anywhere what;

    (void)result;
    memcpy(&what, input.data, sizeof(what));
    return what.fn(what.arg);
}

static inline int run_as_job(hk_executor *pool, hk_task_fn *fn, void *arg)
{
    struct anywhere what = {fn, arg};
    hk_future *f = hk_submit(pool, in_the_pool, &what, sizeof(what));
    int rc = hk_future_await(f, NULL);

    hk_future_free(f);
    return rc;
}

/* More threads than processors, so that there are many to share with. Never freed. */
static inline hk_executor *crowd(void)
{
    static hk_executor *pool;
    const hk_thread_pool_options options = {.threads = 12, .name = "crowd"};

    if (!pool)
        CHECK_EQ(hk_thread_pool_new(&options, &pool), 0);
    return pool;
}

/* fn(arg) must return 0 on a plain thread, in a task, and in jobs of two pools. */
static inline void everywhere(hk_task_fn *fn, void *arg)
{
    assert_int_equal(fn(arg), 0);
    assert_int_equal(hk_run(fn, arg, NULL), 0);
    assert_int_equal(run_as_job(hk_threads(), fn, arg), 0);
    assert_int_equal(run_as_job(crowd(), fn, arg), 0);
}

enum { AT_ONCE = 4 };

static inline void *call_it(void *arg)
{
    struct anywhere *what = arg;

    CHECK_EQ(what->fn(what->arg), 0);
    return NULL;
}

/* fn(arg) on several plain threads at the same time. */
static inline void at_once(hk_task_fn *fn, void *arg)
{
    struct anywhere what = {fn, arg};
    pthread_t threads[AT_ONCE];

    for (int i = 0; i < AT_ONCE; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, call_it, &what), 0);
    for (int i = 0; i < AT_ONCE; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

#endif
