/* SPDX-License-Identifier: MIT */
/*
 * hk_then: that continuations run as jobs of their own, when the future is done and not
 * before; that they belong to a scope while they wait and while they run.
 */
#include "exec/executor.h"
#include "support/job_test.h"
#include "support/torture.h"

#include <sched.h>

static int add_one(hk_future *done, void *ctx, hk_result *result)
{
    hk_bytes in;
    int value;

    CHECK(hk_future_is_done(done));
    if (ctx)
        ++*(int *)ctx;
    if (hk_future_try(done, &in) < 0)
        return hk_future_try(done, NULL);
    memcpy(&value, in.data, sizeof(value));
    value++;
    return hk_result_set(result, &value, sizeof(value));
}

TASK_TEST(rule_23_a_continuation_is_a_job_of_its_own)
{
    hk_future *f = square_on(hk_tasks(), 6), *g, *h;
    int calls = 0, value;
    hk_bytes out;

    g = hk_then(f, hk_tasks(), add_one, &calls);
    CHECK_EQ(calls, 0);
    CHECK_EQ(hk_future_await(f, NULL), 0);
    h = hk_then(f, hk_tasks(), add_one, &calls); /* is done already */
    CHECK(!hk_future_is_done(h));
    CHECK_EQ(hk_future_await(g, &out), 0);
    memcpy(&value, out.data, sizeof(value));
    CHECK_EQ(value, 37);
    CHECK_EQ(hk_future_await(h, NULL), 0);
    CHECK_EQ(calls, 2);
    hk_future_free(f);
    hk_future_free(g);
    hk_future_free(h);
    return 0;
}

TASK_TEST(a_continuation_has_the_type_of_what_it_gives)
{
    hk_future *f = square_on(hk_tasks(), 6), *g = hk_then(f, hk_tasks(), add_one, NULL);
    int value;

    CHECK_EQ(square_await(g, &value), 0);
    CHECK_EQ(value, 37);
    hk_future_free(f);
    hk_future_free(g);
    return 0;
}

TASK_TEST(continuations_make_chains)
{
    hk_future *f = square_on(hk_tasks(), 0);
    int length = scaled(20000, 1000), value; /* no recursion along the chain */
    hk_bytes out;

    for (int i = 0; i < length; i++) {
        hk_future *next = hk_then(f, hk_tasks(), add_one, NULL);

        hk_future_free(f);
        f = next;
    }
    CHECK_EQ(hk_future_await(f, &out), 0);
    memcpy(&value, out.data, sizeof(value));
    CHECK_EQ(value, length);
    hk_future_free(f);
    return 0;
}

/* None of them goes on; each is given back when nobody else has it. */
TASK_TEST(chains_are_freed_without_recursion)
{
    hk_future *f = hk_future_new(), *promise = f;
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    for (int i = 0; i < scaled(20000, 5000); i++) {
        hk_future *next = hk_then(f, hk_tasks(), add_one, NULL);

        if (i > 0)
            hk_future_free(f);
        if (i == scaled(10000, 2500))
            hk_scope_cancel(&s); /* from here on none of them even waits */
        f = next;
    }
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(hk_future_try(f, NULL), -EIDRM);
    hk_future_free(f);
    hk_future_free(promise);
    return 0;
}

TASK_TEST(a_continuation_sees_an_error)
{
    hk_future *f = gives_on(hk_tasks(), -EIO), *g;
    int calls = 0;

    g = hk_then(f, hk_tasks(), add_one, &calls);
    CHECK_EQ(hk_future_await(g, NULL), -EIO);
    CHECK_EQ(calls, 1);
    hk_future_free(f);
    hk_future_free(g);
    return 0;
}

TASK_TEST(a_continuation_that_waits_is_cancelled_with_its_scope)
{
    hk_future *promise = hk_future_new(), *g, *h;
    hk_scope s = HK_SCOPE_INIT;
    int calls = 0;

    hk_scope_open(&s);
    g = hk_then(promise, hk_tasks(), add_one, &calls);
    h = hk_then(promise, hk_tasks(), add_one, &calls);
    CHECK_EQ(hk_future_cancel(h, HK_CANCEL_QUEUED), 0);
    CHECK_EQ(hk_future_await(h, NULL), -EIDRM);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(hk_future_try(g, NULL), -EIDRM);
    CHECK_EQ(calls, 0);
    CHECK_EQ(hk_future_set(promise, 0, NULL, 0), 0);
    hk_future_free(promise);
    hk_future_free(g);
    hk_future_free(h);
    return 0;
}

static int then_sleep(hk_future *done, void *ctx, hk_result *result)
{
    (void)ctx;
    (void)result;
    return hk_future_try(done, NULL) < 0 ? -ECANCELED : hk_sleep(HK_MILLISECOND);
}

static int sleep_then(hk_future *done, void *ctx, hk_result *result)
{
    (void)done;
    (void)ctx;
    (void)result;
    return hk_sleep(HK_NEVER);
}

TASK_TEST(a_continuation_that_runs_is_cancelled_as_a_job)
{
    hk_future *f = gives_on(hk_tasks(), 0),
              *g = hk_then(f, hk_tasks(), sleep_then, NULL);
    hk_future *h;
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    h = hk_then(f, hk_tasks(), sleep_then, NULL);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(hk_future_cancel(g, HK_CANCEL), 0);
    CHECK_EQ(hk_future_await(g, NULL), -EIDRM);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(hk_future_try(h, NULL), -EIDRM);
    hk_future_free(f);
    hk_future_free(g);
    hk_future_free(h);
    return 0;
}

/* Who cancels has marked it, and then finds it where it waited before. */
TASK_TEST(a_continuation_that_goes_on_sees_who_is_about_to_cancel_it)
{
    hk_future *f = hk_future_new(), *g = hk_then(f, hk_tasks(), sleep_then, NULL);
    struct hki_job *job = hki_future_job(g);
    hk_executor *before = job->executor;

    job->cancelled = 1 + HK_CANCEL;
    CHECK_EQ(hk_future_set(f, 0, NULL, 0), 0);
    CHECK_EQ(hk_future_await(g, NULL), -EIDRM);
    CHECK(job->executor != before);
    CHECK_EQ(before->ops->cancel(before, job, HK_CANCEL), 0);
    hk_future_free(f);
    hk_future_free(g);
    return 0;
}

static int start_detached(void *arg)
{
    const hk_job_options options = {.detached = true};
    hk_future **futures = arg;
    hk_executor_view view;

    futures[1] =
        hk_then(futures[0], hk_with(&view, hk_tasks(), &options), add_one, NULL);
    return 0;
}

static void a_detached_continuation_outlives_its_runtime(void **state)
{
    hk_future *futures[2] = {hk_future_new(), NULL};
    int value = 1;

    (void)state;
    assert_int_equal(hk_run(start_detached, futures, NULL), 0);
    assert_int_equal(hk_future_set(futures[0], 0, &value, sizeof(value)), 0);
    assert_int_equal(hk_future_await(futures[1], NULL), 0);
    hk_future_free(futures[0]);
    hk_future_free(futures[1]);
}

struct race {
    hk_future *future;
    hk_scope *scope; /* atomic */
};

HK_FN_LOCAL(void, continues, (hk_future *, promise), (hk_future **, out))
{
    *out = hk_then(promise, hk_tasks(), add_one, NULL);
}

/* The pool, and the loop of its thread where hk_then was called, is gone when the
 * future is done. */
static int continue_after_the_pool(void *unused)
{
    hk_future *promise = hk_future_new(), *f, *g = NULL;
    const int one = 1;
    hk_executor *pool;
    hk_bytes out;
    hk_scope s;

    (void)unused;
    hk_scope_open(&s);
    CHECK_EQ(hk_thread_pool_new(NULL, &pool), 0);
    f = continues_on(hk_in_process(pool), promise, &g);
    CHECK_EQ(continues_await(f), 0);
    hk_executor_free(pool);
    CHECK_EQ(hk_future_set(promise, 0, &one, sizeof(one)), 0);
    CHECK_EQ(hk_future_await(g, &out), 0);
    CHECK_EQ(*(const int *)out.data, 2);
    hk_future_free(f);
    hk_future_free(g);
    hk_future_free(promise);
    return hk_scope_join(&s);
}

static void a_continuation_outlives_the_pool_where_it_was_made(void **state)
{
    (void)state;
    assert_int_equal(continue_after_the_pool(NULL), 0);
    assert_int_equal(run_workers(1, continue_after_the_pool, NULL), 0);
}

static void *start_in_a_scope(void *arg)
{
    struct race *race = arg;
    hk_scope s = HK_SCOPE_INIT;
    hk_future *g;

    hk_scope_open(&s);
    __atomic_store_n(&race->scope, &s, __ATOMIC_RELEASE);
    g = hk_then(race->future, hk_tasks(), add_one, NULL);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(hk_future_try(g, NULL), -EIDRM);
    hk_future_free(g);
    return NULL;
}

/* The scope is cancelled when the continuation belongs to it, and waits for the lock of
 * the future: the loop, which ends it, has not much of a chance to come later. */
static void a_cancel_races_a_continuation_of_a_plain_thread(void **state)
{
    (void)state;
    for (int i = 0; i < scaled(300, 50); i++) {
        struct race race = {.future = hk_future_new()};
        hk_lock *lock = hk_future_waiting.lock(race.future);
        pthread_t thread;

        hk_lock_acquire(lock);
        assert_int_equal(pthread_create(&thread, NULL, start_in_a_scope, &race), 0);
        while (__atomic_load_n(&lock->hki_word, __ATOMIC_RELAXED) == 1)
            sched_yield();
        hk_scope_cancel(__atomic_load_n(&race.scope, __ATOMIC_ACQUIRE));
        for (int yields = 0; yields < i % 50 * 10; yields++)
            sched_yield();
        hk_lock_release(lock);
        pthread_join(thread, NULL);
        assert_null(race.future->observers);
        hk_future_free(race.future);
    }
}

static void a_continuation_of_a_plain_thread(void **state)
{
    hk_future *f = square_on(hk_tasks(), 5), *g, *h;
    hk_scope s = HK_SCOPE_INIT;

    (void)state;
    g = hk_then(f, hk_tasks(), add_one, NULL);
    assert_int_equal(hk_future_await(g, NULL), 0);
    hk_future_free(f);
    hk_future_free(g);
    f = hk_future_new();
    hk_scope_open(&s);
    g = hk_then(f, hk_tasks(), add_one, NULL);
    hk_scope_cancel(&s);
    assert_int_equal(hk_scope_join(&s), 0);
    assert_int_equal(hk_future_try(g, NULL), -EIDRM);
    h = hk_then(f, hk_tasks(), add_one, NULL);
    assert_int_equal(hk_future_cancel(h, HK_CANCEL), 0);
    assert_int_equal(hk_future_await(h, NULL), -EIDRM);
    hk_future_free(f);
    hk_future_free(g);
    hk_future_free(h);
}

static int run_with_faults(void *unused)
{
    (void)unused;
    for (uint64_t nth = 1; nth < 100; nth++) {
        hk_future *f, *g;
        int rc;

        hk_fault_arm(HK_FAULT_ALLOC, nth, -ENOMEM);
        f = square_on(hk_tasks(), 2);
        g = hk_then(f, hk_tasks(), add_one, NULL);
        rc = hk_future_await(g, NULL);
        hk_fault_arm(HK_FAULT_ALLOC, 0, 0);
        hk_future_free(f);
        hk_future_free(g);
        if (rc == 0)
            return 0;
        CHECK_EQ(rc, -ENOMEM);
    }
    return -EILSEQ;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    assert_int_equal(run_virtual(run_with_faults, NULL), 0);
}

static int scenario(void *unused)
{
    hk_future *f = sleeps_on(hk_tasks(), HK_MILLISECOND);
    hk_future *g = hk_then(f, hk_tasks(), then_sleep, NULL);
    hk_future *h = hk_then(g, hk_tasks(), then_sleep, NULL);
    int rc = hk_future_await(h, NULL);

    (void)unused;
    hk_future_free(f);
    hk_future_free(g);
    hk_future_free(h);
    return rc == -EIDRM ? -ECANCELED : rc; /* one of the jobs was cancelled */
}

static void chains_are_cancelled_at_every_point(void **state)
{
    hk_options options = {.virtual_clock = true};

    (void)state;
    cancel_at_every_point(scenario, NULL, &options, 3);
}

/* What runs on the background runtime comes last: it frees its jobs when it likes. */
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rule_23_a_continuation_is_a_job_of_its_own),
        cmocka_unit_test(a_continuation_has_the_type_of_what_it_gives),
        cmocka_unit_test(continuations_make_chains),
        cmocka_unit_test(chains_are_freed_without_recursion),
        cmocka_unit_test(a_continuation_sees_an_error),
        cmocka_unit_test(a_continuation_that_waits_is_cancelled_with_its_scope),
        cmocka_unit_test(a_continuation_that_runs_is_cancelled_as_a_job),
        cmocka_unit_test(a_continuation_that_goes_on_sees_who_is_about_to_cancel_it),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(chains_are_cancelled_at_every_point),
        cmocka_unit_test(a_continuation_of_a_plain_thread),
        cmocka_unit_test(a_detached_continuation_outlives_its_runtime),
        cmocka_unit_test(a_continuation_outlives_the_pool_where_it_was_made),
        cmocka_unit_test(a_cancel_races_a_continuation_of_a_plain_thread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
