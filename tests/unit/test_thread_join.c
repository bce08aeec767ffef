/* SPDX-License-Identifier: MIT */
/*
 * Waiting for the end of one thread, by its name (rules 13 to 15): by many at once, for
 * some time only, cancelled, too late; and of a thousand threads.
 */
#include "homes_test.h"

static int wait_for_event(void *event)
{
    return hk_event_wait(event);
}

static int computes(void *arg)
{
    (void)arg;
    while (hk_cancelled() == 0)
        ;
    return -ECANCELED;
}

/* ---- join ---- */

static int join_by_name(void *arg)
{
    return hk_thread_join(*(hk_thread *)arg);
}

HOMES_TEST(join_waits_for_the_end_by_tasks_and_threads_alike)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_event go = HK_EVENT_INIT;
    hk_thread thread;

    hk_scope_open(&s);
    CHECK_EQ(hk_spawn_thread_with(&s, NULL, wait_for_event, &go, &thread), 0);
    CHECK(hk_thread_is_alive(thread));
    for (int i = 0; i < 5; i++) {
        hk_spawn(&s, join_by_name, &thread);
        hk_spawn_thread(&s, join_by_name, &thread);
    }
    hk_event_set(&go);
    CHECK_EQ(hk_thread_join(thread), 0);
    CHECK(!hk_thread_is_alive(thread));
    CHECK_EQ(hk_thread_join(thread), 0); /* long ago */
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(hk_thread_join(thread), 0);
    return 0;
}

HOMES_TEST(join_gives_up_at_the_deadline_of_its_scope_and_the_thread_goes_on)
{
    hk_scope s = HK_SCOPE_INIT, patience = HK_SCOPE_INIT;
    hk_event go = HK_EVENT_INIT;
    hk_thread thread;

    hk_scope_open(&s);
    CHECK_EQ(hk_spawn_thread_with(&s, NULL, wait_for_event, &go, &thread), 0);
    hk_scope_open(&patience);
    hk_scope_deadline(&patience, hk_now() + 2 * HK_MILLISECOND);
    CHECK_EQ(hk_scope_end(&patience, hk_thread_join(thread)), -ETIMEDOUT);
    CHECK(hk_thread_is_alive(thread));
    hk_event_set(&go);
    CHECK_EQ(hk_thread_join(thread), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

HOMES_TEST(join_is_cancelled_at_any_moment)
{
    for (int i = 0; i < scaled(200, 50); i++) {
        hk_scope s = HK_SCOPE_INIT;
        hk_thread thread;
        int rc;

        hk_scope_open_with(&s, HK_SCOPE_WAIT_ALL, NULL);
        CHECK_EQ(hk_spawn_thread_with(&s, NULL, computes, NULL, &thread), 0);
        hk_spawn_thread(&s, join_by_name, &thread);
        hk_spawn(&s, join_by_name, &thread);
        hk_scope_cancel(&s);
        rc = hk_thread_join(thread);
        CHECK_EQ(rc, -ECANCELED);
        CHECK_EQ(hk_scope_join(&s), 0);
    }
    return 0;
}

static int join_itself(void *arg)
{
    hk_thread *own = arg;

    while (!__atomic_load_n(&own->hki_record, __ATOMIC_ACQUIRE))
        ;
    CHECK_EQ(hk_thread_join(*own), -EDEADLK);
    return 0;
}

HOMES_TEST(join_of_oneself_and_of_nobody_is_refused)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_thread thread = {0}, shared = {0};

    CHECK_EQ(hk_thread_join(thread), -ESRCH);
    CHECK_EQ(hk_thread_cancel(thread), -ESRCH);
    CHECK(!hk_thread_is_alive(thread));
    hk_scope_open(&s);
    CHECK_EQ(hk_spawn_thread_with(&s, NULL, join_itself, &shared, &thread), 0);
    shared.hki_generation = thread.hki_generation;
    __atomic_store_n(&shared.hki_record, thread.hki_record, __ATOMIC_RELEASE);
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

/* ---- many ---- */

static int join_the_one_before(void *arg)
{
    hk_thread *threads = arg;

    CHECK_EQ(hk_thread_join(threads[0]), 0);
    return 0;
}

HOMES_TEST(thousand_threads_are_spawned_and_joined)
{
    enum { MANY = 1000 };
    static hk_thread threads[MANY];
    static int first;
    int many = scaled(MANY, 100);
    hk_scope s = HK_SCOPE_INIT;
    hk_thread_options small = {.stack_size_bytes = 128 << 10};

    hk_scope_open(&s);
    for (int i = 0; i < many; i++)
        CHECK_EQ(hk_spawn_thread_with(&s, &small, i ? join_the_one_before : count_me,
                                      i ? (void *)&threads[i - 1] : &first,
                                      &threads[i]),
                 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    for (int i = 0; i < many; i++)
        CHECK(!hk_thread_is_alive(threads[i]));
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(join_waits_for_the_end_by_tasks_and_threads_alike),
        cmocka_unit_test(
            join_gives_up_at_the_deadline_of_its_scope_and_the_thread_goes_on),
        cmocka_unit_test(join_is_cancelled_at_any_moment),
        cmocka_unit_test(join_of_oneself_and_of_nobody_is_refused),
        cmocka_unit_test(thousand_threads_are_spawned_and_joined),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
