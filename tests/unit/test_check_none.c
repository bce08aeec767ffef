/* SPDX-License-Identifier: MIT */
/*
 * Shows what the search for deadlocks among others who go on must leave alone: waits
 * that somebody can end, waits that cannot be undone, and all of them where it shall
 * only be reported. What it finds is in test_check_deadlock.c.
 */
#include "check_deadlock_test.h"

/* ---- what is none, and what is left alone ---- */

static int waits_its_turn(void *arg)
{
    (void)arg;
    for (int i = 0; i < 50; i++) {
        CHECK_EQ(hk_mutex_lock(&mutexes[0]), 0);
        CHECK_EQ(hk_yield(), 0);
        CHECK_EQ(hk_mutex_lock(&mutexes[1]), 0);
        CHECK_EQ(hk_yield(), 0);
        hk_mutex_unlock(&mutexes[1]);
        hk_mutex_unlock(&mutexes[0]);
    }
    return 0;
}

static int turns(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open_with(&s, HK_SCOPE_PARALLEL, NULL);
    for (int i = 0; i < 8; i++)
        CHECK_EQ(hk_spawn(&s, waits_its_turn, NULL), 0);
    return hk_scope_join(&s);
}

static void waiting_for_ones_turn_is_no_deadlock(void **state)
{
    const hk_check_options options = {.hold_limit_ns = -1};

    (void)state;
    start_checks(&options);
    renew();
    CHECK_EQ(run_workers(2, turns, NULL), 0);
    CHECK(silent());
    stop_checks();
}

static int cancels_who_waits_for_it(void *arg)
{
    struct family *family = arg;
    hk_scope s = HK_SCOPE_INIT;

    CHECK_EQ(hk_mutex_lock(&mutexes[0]), 0);
    hk_scope_open_with(&s, family->flags, NULL);
    CHECK_EQ(hk_spawn(&s, child_locks, &family->result), 0);
    for (int i = 0; i < 3 && family->child_first; i++)
        CHECK_EQ(hk_yield(), 0);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_scope_join(&s), 0);
    hk_mutex_unlock(&mutexes[0]);
    return 0;
}

static void who_is_being_cancelled_is_in_no_deadlock(void **state)
{
    (void)state;
    start_checks(NULL);
    for (int i = 0; i < 40; i++) {
        struct family family = {.child_first = i & 1,
                                .flags = i & 2 ? HK_SCOPE_PARALLEL : 0};

        renew();
        CHECK_EQ(run_workers(i & 2 ? 2 : 1, cancels_who_waits_for_it, &family), 0);
        CHECK_EQ(family.result, -ECANCELED);
    }
    CHECK(silent());
    stop_checks();
}

/* One who gives up by itself just when the other finds it to be in a deadlock. */
struct late {
    int64_t deadline_ns;
    hk_event has_first, next;
    int next_result; /* of the wait after that one */
};

static void *gives_up(void *arg)
{
    struct late *late = arg;
    hk_scope s = HK_SCOPE_INIT;
    int rc;

    CHECK_EQ(hk_mutex_lock(&mutexes[0]), 0);
    hk_event_set(&late->has_first);
    hk_scope_open(&s);
    hk_scope_deadline(&s, late->deadline_ns);
    rc = hk_mutex_lock(&mutexes[1]);
    CHECK(rc == -ECANCELED || rc == -EDEADLK);
    (void)hk_scope_join(&s);
    hk_mutex_unlock(&mutexes[0]);
    late->next_result = hk_event_wait(&late->next);
    return NULL;
}

static void who_has_given_up_by_then_is_not_failed_later(void **state)
{
    (void)state;
    start_checks(NULL);
    for (int i = 0; i < 60; i++) {
        struct late late = {.deadline_ns = hk_now() + 3 * HK_MILLISECOND};
        pthread_t thread;

        renew();
        CHECK_EQ(hk_mutex_lock(&mutexes[1]), 0);
        CHECK_EQ(pthread_create(&thread, NULL, gives_up, &late), 0);
        CHECK_EQ(hk_event_wait(&late.has_first), 0);
        CHECK_EQ(hk_sleep_until(late.deadline_ns - (i + 1) * 20 * HK_MICROSECOND), 0);
        hk_mutex_lock_shielded(&mutexes[0]);
        hk_mutex_unlock(&mutexes[0]);
        hk_mutex_unlock(&mutexes[1]);
        CHECK_EQ(hk_sleep(HK_MILLISECOND), 0);
        hk_event_set(&late.next);
        CHECK_EQ(pthread_join(thread, NULL), 0);
        CHECK_EQ(late.next_result, 0);
    }
    stop_checks();
}

static int cancels_a_deadlock(void *arg)
{
    struct crosser *two = arg;
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(hk_spawn_named(&s, two[i].name, cross, &two[i], NULL), 0);
    CHECK_EQ(hk_sleep(HK_MILLISECOND), 0);
    hk_scope_cancel(&s);
    return hk_scope_join(&s);
}

static void it_is_only_reported_if_that_was_asked_for(void **state)
{
    const hk_check_options options = {.on_deadlock = HK_DEADLOCK_REPORT};
    struct crosser two[] = {{.name = "left", .first = 0, .second = 1},
                            {.name = "right", .first = 1, .second = 0}};

    (void)state;
    start_checks(&options);
    prepare(2);
    CHECK_EQ(run_virtual(cancels_a_deadlock, two), 0);
    expect_said("deadlock: 2 wait for one another", 1);
    expect_said("-EDEADLK", 0);
    CHECK_EQ(two[0].result == -ECANCELED || two[1].result == -ECANCELED, true);
    stop_checks();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waiting_for_ones_turn_is_no_deadlock),
        cmocka_unit_test(who_is_being_cancelled_is_in_no_deadlock),
        cmocka_unit_test(who_has_given_up_by_then_is_not_failed_later),
        cmocka_unit_test(it_is_only_reported_if_that_was_asked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
