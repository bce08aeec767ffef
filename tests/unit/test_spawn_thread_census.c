/* SPDX-License-Identifier: MIT */
/*
 * Threads and blocking calls as the deadlock census sees them. Each scenario is a child
 * process, since it must know all of its threads.
 */
#include "dump_test.h"

#include <semaphore.h>

/* ---- the dump ---- */

static sem_t call_begun;

/* ---- the census ---- */

static hk_mutex first = {.name = "first"}, second = {.name = "second"};
static hk_event has_first = {.name = "has first"}, has_second = {.name = "has second"};

static int lock_two(hk_mutex *one, hk_event *has_one, hk_event *others, hk_mutex *two)
{
    int rc = hk_mutex_lock(one);

    if (rc < 0)
        return rc;
    hk_event_set(has_one);
    rc = hk_event_wait(others);
    if (rc == 0)
        rc = hk_mutex_lock(two);
    if (rc == 0)
        hk_mutex_unlock(two);
    hk_mutex_unlock(one);
    return rc == -EDEADLK ? 1 : rc;
}

static int first_then_second(void *arg)
{
    (void)arg;
    return lock_two(&first, &has_first, &has_second, &second);
}

static int second_then_first(void *arg)
{
    (void)arg;
    return lock_two(&second, &has_second, &has_first, &first);
}

static int app_crosswise(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open(&s);
    hk_spawn_named(&s, "left", first_then_second, NULL, NULL);
    (void)hk_spawn_thread_with(&s, &(hk_thread_options){.name = "right"},
                               second_then_first, NULL, NULL);
    return hk_scope_join(&s);
}

static int body_crosswise(void)
{
    return hk_run(app_crosswise, NULL, NULL) == 0 ? 0 : 1;
}

static void task_and_thread_that_wait_for_each_other_are_a_deadlock(void **state)
{
    struct child child = run_child_alone(body_crosswise);

    (void)state;
    expect_exit(&child, 0);
    expect_words(&child, "deadlock");
    expect_words(&child, "task 'left'");
    expect_words(&child, "thread 'right'");
    expect_words(&child, "-EDEADLK goes to t");
}

static int lock_first(void *arg)
{
    int rc;

    (void)arg;
    rc = hk_mutex_lock(&first);
    return rc == -EDEADLK ? 0 : -1;
}

static int app_join_under_a_lock(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    int rc;

    (void)arg;
    rc = hk_mutex_lock(&first);
    if (rc < 0)
        return rc;
    hk_scope_open(&s);
    (void)hk_spawn_thread_with(&s, &(hk_thread_options){.name = "child"}, lock_first,
                               NULL, NULL);
    rc = hk_scope_join(&s); /* with the lock that the child wants */
    hk_mutex_unlock(&first);
    return rc;
}

static int body_join_under_a_lock(void)
{
    return hk_run(app_join_under_a_lock, NULL, NULL) == 0 ? 0 : 1;
}

static int body_thread_joins_under_a_lock(void)
{
    return app_join_under_a_lock(NULL) == 0 ? 0 : 1;
}

static void join_of_a_thread_that_wants_the_joiners_lock_is_a_deadlock(void **state)
{
    struct child child = run_child_alone(body_join_under_a_lock);

    (void)state;
    expect_exit(&child, 0);
    expect_words(&child, "-EDEADLK goes to thread 'child'");
    child = run_child_alone(body_thread_joins_under_a_lock);
    expect_exit(&child, 0);
    expect_words(&child, "-EDEADLK goes to thread 'child'");
}

static hk_thread each_other[2];
static hk_event both_are_there = {.name = "both are there"};

static int join_the_other(void *arg)
{
    int rc = hk_event_wait(&both_are_there);

    if (rc == 0)
        rc = hk_thread_join(*(hk_thread *)arg);
    return rc == -EDEADLK ? 1 : rc;
}

static int app_join_each_other(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open(&s);
    for (int i = 0; i < 2; i++)
        (void)hk_spawn_thread_with(&s, NULL, join_the_other, &each_other[1 - i],
                                   &each_other[i]);
    hk_event_set(&both_are_there);
    return hk_scope_join(&s);
}

static int body_join_each_other(void)
{
    return hk_run(app_join_each_other, NULL, NULL) == 0 ? 0 : 1;
}

static void threads_that_join_each_other_are_a_deadlock(void **state)
{
    struct child child = run_child_alone(body_join_each_other);

    (void)state;
    expect_exit(&child, 0);
    expect_words(&child, "which waits for the end of a thread (thread 'unnamed')");
}

static int use_hocket_in_a_call(void *arg)
{
    (void)arg;
    return hk_sleep(1);
}

static int app_after_a_call(void *arg)
{
    int rc = hk_to_thread(use_hocket_in_a_call, NULL); /* its thread stays, idle */

    (void)arg;
    if (rc < 0)
        return rc;
    return hk_event_wait(&has_first) == -EDEADLK ? 0 : -1;
}

static int body_after_a_call(void)
{
    return hk_run(app_after_a_call, NULL, NULL) == 0 ? 0 : 1;
}

static void idle_threads_of_the_pool_hide_no_deadlock(void **state)
{
    struct child child = run_child_alone(body_after_a_call);

    (void)state;
    expect_exit(&child, 0);
}

static int set_much_later(void *event)
{
    sem_post(&call_begun);
    (void)usleep(600000); /* longer than the census looks around */
    hk_event_set(event);
    return 0;
}

static int cancel_when_begun(void *scope)
{
    while (sem_trywait(&call_begun) < 0)
        (void)hk_sleep(HK_MILLISECOND);
    hk_scope_cancel(scope);
    return 0;
}

static int app_abandons(void *arg)
{
    static hk_event set = {.name = "set by a call"};
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open(&s);
    hk_spawn(&s, cancel_when_begun, &s);
    if (hk_to_thread(set_much_later, &set) != -ECANCELED || hk_scope_join(&s) != 0)
        return -1;
    return hk_event_wait(&set);
}

static int body_abandons(void)
{
    sem_init(&call_begun, 0, 0);
    return hk_run(app_abandons, NULL, NULL) == 0 ? 0 : 1;
}

static void there_is_no_deadlock_while_a_call_runs(void **state)
{
    struct child child = run_child_alone(body_abandons);

    (void)state;
    expect_exit(&child, 0);
    expect_no_words(&child, "deadlock");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(task_and_thread_that_wait_for_each_other_are_a_deadlock),
        cmocka_unit_test(join_of_a_thread_that_wants_the_joiners_lock_is_a_deadlock),
        cmocka_unit_test(threads_that_join_each_other_are_a_deadlock),
        cmocka_unit_test(idle_threads_of_the_pool_hide_no_deadlock),
        cmocka_unit_test(there_is_no_deadlock_while_a_call_runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
