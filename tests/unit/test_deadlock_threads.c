/* SPDX-License-Identifier: MIT */
/*
 * Shows that plain threads, with and without a runtime, count when nothing can ever end
 * a wait: as who waits, and as who could still wake somebody. Each scenario is a child
 * process, since it must know all of its threads.
 */
#include "deadlock_test.h"

#include <pthread.h>
#include <time.h>

/* ---- plain threads ---- */

static hk_event for_main, for_thread;

/* Whoever of the two fails releases the other. */
static int waits_or_releases(hk_event *own, hk_event *others)
{
    int rc = hk_event_wait(own);

    if (is_dead(rc))
        hk_event_set(others);
    return rc == 0 || is_dead(rc) ? 0 : -1;
}

static void *thread_waits(void *arg)
{
    return waits_or_releases(&for_thread, &for_main) == 0 ? arg : &for_thread;
}

static int app_waits(void *arg)
{
    (void)arg;
    return waits_or_releases(&for_main, &for_thread);
}

static int with_a_thread(bool runtime)
{
    pthread_t thread;
    void *result;
    int rc;

    if (pthread_create(&thread, NULL, thread_waits, NULL) != 0)
        return 2;
    rc = runtime ? hk_run(app_waits, NULL, NULL) : app_waits(NULL);
    (void)pthread_join(thread, &result);
    return rc == 0 && !result ? 0 : 1;
}

static int body_thread_and_runtime(void)
{
    return with_a_thread(true);
}

static int body_threads_alone(void)
{
    return with_a_thread(false);
}

static void plain_threads_count(void **state)
{
    struct child child = run_child_alone(body_thread_and_runtime);

    (void)state;
    expect_exit(&child, 0);
    expect_words(&child, "deadlock: no task can ever be woken: 2 wait for ever");
    expect_words(&child, "threads\n");
}

static void plain_threads_need_no_runtime(void **state)
{
    struct child child = run_child_alone(body_threads_alone);

    (void)state;
    expect_exit(&child, 0);
    expect_words(&child, "deadlock: no task can ever be woken: 2 wait for ever");
    expect_words(&child, "-EDEADLK goes to thread '");
}

/* The census, which looks 20 ms after the others have come to wait, finds it alive. */
static void *uses_hocket_and_ends(void *arg)
{
    const struct timespec while_others_wait = {.tv_nsec = 50 * 1000 * 1000};

    (void)hk_event_is_set(&never);
    (void)hk_yield();
    (void)nanosleep(&while_others_wait, NULL);
    return arg;
}

static int body_last_thread_ends(void)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, uses_hocket_and_ends, NULL) != 0)
        return 2;
    (void)pthread_detach(thread);
    return hk_run(waits_for_the_event, NULL, NULL) == 0 ? 0 : 1;
}

static void it_is_seen_when_the_last_thread_ends(void **state)
{
    struct child child = run_child_alone(body_last_thread_ends);

    (void)state;
    expect_exit(&child, 0);
}

/* ---- a runtime on a thread of the pool ---- */

static int returns_at_once(void *arg)
{
    (void)arg;
    return 0;
}

static int runs_a_runtime(void *arg)
{
    (void)arg;
    (void)hk_cancelled(); /* the thread becomes known before */
    return hk_run(returns_at_once, NULL, NULL);
}

static int after_a_runtime_in_the_pool(void *arg)
{
    int rc = hk_to_thread(runs_a_runtime, NULL);

    return rc < 0 ? rc : waits_for_the_event(arg);
}

static int body_in_the_pool(void)
{
    (void)alarm(5); /* before the thread of the pool is tired of waiting */
    return hk_run(after_a_runtime_in_the_pool, NULL, NULL) == 0 ? 0 : 1;
}

static void it_is_seen_after_a_runtime_on_a_thread_of_the_pool(void **state)
{
    struct child child = run_child_alone(body_in_the_pool);

    (void)state;
    expect_exit(&child, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_threads_count),
        cmocka_unit_test(plain_threads_need_no_runtime),
        cmocka_unit_test(it_is_seen_when_the_last_thread_ends),
        cmocka_unit_test(it_is_seen_after_a_runtime_on_a_thread_of_the_pool),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
