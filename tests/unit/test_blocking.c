/* SPDX-License-Identifier: MIT */
/*
 * Shows that hk_blocking runs on another thread while the loop goes on, that it waits
 * to the end once begun, and that it never runs when cancelled before: blocked
 * functions wait in read(2) of a pipe, which tells when they began and decides when
 * they end.
 */
#include "io_test.h"

#include <pthread.h>

struct blocked {
    int release[2];   /* a pipe: one byte for each call that may end */
    int begun;        /* atomic */
    pthread_t thread; /* atomic: of the last that began */
};

static void blocked_init(struct blocked *b)
{
    CHECK_EQ(pipe(b->release), 0);
    b->begun = 0;
}

static void blocked_fini(struct blocked *b)
{
    CHECK_EQ(close(b->release[0]), 0);
    CHECK_EQ(close(b->release[1]), 0);
}

static int block(void *arg)
{
    struct blocked *b = arg;
    char byte;

    __atomic_store_n(&b->thread, pthread_self(), __ATOMIC_RELAXED);
    __atomic_add_fetch(&b->begun, 1, __ATOMIC_RELEASE);
    CHECK_EQ(read(b->release[0], &byte, 1), 1);
    return 42;
}

static void wait_until_begun(struct blocked *b, int count)
{
    while (__atomic_load_n(&b->begun, __ATOMIC_ACQUIRE) < count)
        CHECK_EQ(hk_sleep(HK_MILLISECOND / 10), 0);
}

static int call_and_expect_42(void *arg)
{
    CHECK_EQ(hk_blocking(block, arg), 42);
    return 0;
}

static int the_loop_runs_while_a_call_blocks(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    struct blocked b;

    (void)arg;
    blocked_init(&b);
    hk_scope_open(&s);
    hk_spawn(&s, call_and_expect_42, &b);
    wait_until_begun(&b, 1); /* we run: the loop is not held up */
    CHECK(!pthread_equal(b.thread, pthread_self()));
    CHECK_EQ(write(b.release[1], "x", 1), 1);
    CHECK_EQ(hk_scope_join(&s), 0);
    blocked_fini(&b);
    return 0;
}

static int call_and_see_the_cancel_later(void *arg)
{
    CHECK_EQ(hk_blocking(block, arg), 42);
    CHECK_EQ(hk_yield(), -ECANCELED);
    return 0;
}

static int once_begun_it_is_waited_for(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    struct blocked b;

    (void)arg;
    blocked_init(&b);
    hk_scope_open(&s);
    hk_spawn(&s, call_and_see_the_cancel_later, &b);
    wait_until_begun(&b, 1);
    hk_scope_cancel(&s);
    CHECK_EQ(write(b.release[1], "x", 1), 1);
    CHECK_EQ(hk_scope_join(&s), 0);
    blocked_fini(&b);
    return 0;
}

static int never(void *arg)
{
    (void)arg;
    CHECK(false);
    return 0;
}

static int expect_cancelled_call(void *arg)
{
    CHECK_EQ(hk_blocking(never, arg), -ECANCELED);
    return 0;
}

static int cancelled_before_it_never_runs(void *arg)
{
    (void)arg;
    CHECK_EQ(run_cancelled(expect_cancelled_call, NULL), 0);
    return 0;
}

enum { POOL_MAX = 64 }; /* HKI_OFFLOAD_THREADS_MAX */

/* Every thread of the pool is held, so that one more call stays in the queue. */
static int cancelled_in_the_queue_it_never_runs(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    struct blocked b;

    (void)arg;
    blocked_init(&b);
    hk_scope_open(&s);
    for (int i = 0; i < POOL_MAX; i++)
        hk_spawn(&s, call_and_expect_42, &b);
    wait_until_begun(&b, POOL_MAX);
    CHECK_EQ(cancel_while_waiting(expect_cancelled_call, NULL), 0);
    for (int i = 0; i < POOL_MAX; i++)
        CHECK_EQ(write(b.release[1], "x", 1), 1);
    CHECK_EQ(hk_scope_join(&s), 0);
    blocked_fini(&b);
    return 0;
}

static int negative(void *arg)
{
    *(pthread_t *)arg = pthread_self();
    return -EXDEV;
}

static int its_result_is_the_functions(void *arg)
{
    pthread_t thread;

    (void)arg;
    CHECK_EQ(hk_blocking(negative, &thread), -EXDEV);
    CHECK_EQ(pthread_equal(thread, pthread_self()) != 0, hk_worker_count() == 0);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_TASK(the_loop_runs_while_a_call_blocks),
        ON_A_THREAD(the_loop_runs_while_a_call_blocks),
        IN_A_TASK(once_begun_it_is_waited_for),
        ON_A_THREAD(once_begun_it_is_waited_for),
        IN_A_TASK(cancelled_before_it_never_runs),
        ON_A_THREAD(cancelled_before_it_never_runs),
        IN_A_TASK(cancelled_in_the_queue_it_never_runs),
        IN_A_TASK(its_result_is_the_functions),
        ON_A_THREAD(its_result_is_the_functions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
