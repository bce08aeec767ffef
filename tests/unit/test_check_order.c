/* SPDX-License-Identifier: MIT */
/*
 * Shows that the checks report an order of locks that could deadlock, once, with both
 * places and by whom, although nothing deadlocks: between tasks of one worker, of two
 * workers, plain threads, and in rings of more than two. And when they must be silent:
 * one order, tries, readers, locks that are no more, locks that came later.
 */
#include "check_test.h"

static hk_mutex a = {.name = "alpha"}, b = {.name = "beta"}, c = {.name = "gamma"};

static void renew(void)
{
    a = (hk_mutex){.name = "alpha"};
    b = (hk_mutex){.name = "beta"};
    c = (hk_mutex){.name = "gamma"};
}

static __attribute__((noinline)) void lock_in_order(hk_mutex *first, hk_mutex *second)
{
    CHECK_EQ(hk_mutex_lock(first), 0);
    CHECK_EQ(hk_mutex_lock(second), 0);
    hk_mutex_unlock(second);
    hk_mutex_unlock(first);
}

static int one_way(void *arg)
{
    (void)arg;
    lock_in_order(&a, &b);
    return 0;
}

static int other_way(void *arg)
{
    (void)arg;
    lock_in_order(&b, &a);
    return 0;
}

/* One after the other: they cannot deadlock. */
static int run_after(hk_task_fn *first, hk_task_fn *second, unsigned flags)
{
    hk_task_fn *fns[] = {first, second};
    const char *names[] = {"first", "second"};

    for (int i = 0; i < 2; i++) {
        hk_scope s = HK_SCOPE_INIT;

        hk_scope_open_with(&s, flags, NULL);
        CHECK_EQ(hk_spawn_named(&s, names[i], fns[i], NULL, NULL), 0);
        CHECK_EQ(hk_scope_join(&s), 0);
    }
    return 0;
}

static void expect_inversion(void)
{
    expect_said("2 locks are taken in an order that can deadlock", 1);
    expect_said("holds mutex 'beta' and takes mutex 'alpha' at", 1);
    expect_said("held mutex 'alpha' and took mutex 'beta' at", 1);
}

static int tasks_cross(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10; i++)
        run_after(one_way, other_way, 0);
    return 0;
}

static void an_inversion_of_two_tasks_is_reported_once_with_both_places(void **state)
{
    (void)state;
    renew();
    start_checks(NULL);
    CHECK_EQ(run_virtual(tasks_cross, NULL), 0);
    expect_inversion();
    expect_said("task 'second' holds", 1);
    expect_said("task 'first' held", 1);
    expect_said("other_way", 1);
    expect_said("one_way", 1);
    stop_checks();
}

static int tasks_agree(void *arg)
{
    (void)arg;
    return run_after(one_way, one_way, 0);
}

static void one_order_is_no_inversion(void **state)
{
    (void)state;
    renew();
    start_checks(NULL);
    CHECK_EQ(run_virtual(tasks_agree, NULL), 0);
    CHECK(silent());
    stop_checks();
}

static int workers_cross(void *arg)
{
    (void)arg;
    return run_after(one_way, other_way, HK_SCOPE_PARALLEL);
}

static void it_is_seen_across_workers(void **state)
{
    (void)state;
    renew();
    start_checks(NULL);
    CHECK_EQ(run_workers(2, workers_cross, NULL), 0);
    expect_inversion();
    stop_checks();
}

static void *thread_other_way(void *arg)
{
    (void)other_way(NULL);
    return arg;
}

static int task_one_way(void *arg)
{
    return one_way(arg);
}

static void on_a_thread(void *(*fn)(void *), void *arg)
{
    pthread_t thread;

    CHECK_EQ(pthread_create(&thread, NULL, fn, arg), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
}

static void it_is_seen_between_a_task_and_a_thread(void **state)
{
    (void)state;
    renew();
    start_checks(NULL);
    CHECK_EQ(run_virtual(task_one_way, NULL), 0);
    on_a_thread(thread_other_way, NULL);
    expect_inversion();
    expect_said("thread '", 1);
    expect_said("task 'main' held", 1);
    stop_checks();
}

static void it_is_seen_between_threads_without_a_runtime(void **state)
{
    (void)state;
    renew();
    start_checks(NULL);
    (void)one_way(NULL);
    on_a_thread(thread_other_way, NULL);
    expect_inversion();
    expect_said("thread '", 2);
    stop_checks();
}

static void a_ring_of_three_is_named_in_full(void **state)
{
    (void)state;
    renew();
    start_checks(NULL);
    lock_in_order(&a, &b);
    lock_in_order(&b, &c);
    CHECK(silent());
    lock_in_order(&c, &a);
    expect_said("3 locks are taken", 1);
    expect_said("holds mutex 'gamma' and takes mutex 'alpha'", 1);
    expect_said("held mutex 'alpha' and took mutex 'beta'", 1);
    expect_said("held mutex 'beta' and took mutex 'gamma'", 1);
    stop_checks();
}

static void what_is_held_before_counts_as_well(void **state)
{
    (void)state;
    renew();
    start_checks(NULL);
    CHECK_EQ(hk_mutex_lock(&a), 0);
    lock_in_order(&b, &c);
    hk_mutex_unlock(&a);
    lock_in_order(&c, &a);
    expect_said("can deadlock", 1);
    stop_checks();
}

static void a_release_out_of_order_is_understood(void **state)
{
    (void)state;
    renew();
    start_checks(NULL);
    CHECK_EQ(hk_mutex_lock(&a), 0);
    CHECK_EQ(hk_mutex_lock(&b), 0);
    hk_mutex_unlock(&a);
    CHECK_EQ(hk_mutex_lock(&c), 0); /* under b alone */
    hk_mutex_unlock(&b);
    hk_mutex_unlock(&c);
    lock_in_order(&a, &c);
    CHECK(silent());
    lock_in_order(&c, &b);
    expect_said("held mutex 'beta' and took mutex 'gamma'", 1);
    stop_checks();
}

static void a_try_waits_for_nobody(void **state)
{
    (void)state;
    renew();
    start_checks(NULL);
    CHECK_EQ(hk_mutex_lock(&b), 0);
    CHECK_EQ(hk_mutex_try_lock(&a), 0);
    hk_mutex_unlock(&a);
    hk_mutex_unlock(&b);
    lock_in_order(&a, &b);
    CHECK(silent());
    stop_checks();
}

static void what_a_try_has_taken_is_held(void **state)
{
    (void)state;
    renew();
    start_checks(NULL);
    CHECK_EQ(hk_mutex_lock(&c), 0);
    CHECK_EQ(hk_mutex_try_lock(&b), 0);
    CHECK_EQ(hk_mutex_lock(&a), 0); /* under b, and under c */
    hk_mutex_unlock(&a);
    hk_mutex_unlock(&b);
    hk_mutex_unlock(&c);
    lock_in_order(&a, &b);
    lock_in_order(&a, &c);
    expect_said("held mutex 'beta' and took mutex 'alpha'", 1);
    expect_said("held mutex 'gamma' and took mutex 'alpha'", 1);
    stop_checks();
}

static void a_new_lock_at_an_old_address_has_no_past(void **state)
{
    (void)state;
    renew();
    start_checks(NULL);
    lock_in_order(&a, &b);
    renew();
    lock_in_order(&b, &a);
    CHECK(silent());
    stop_checks();
}

static void locks_of_before_are_learnt_when_they_are_taken_again(void **state)
{
    (void)state;
    renew();
    CHECK_EQ(hk_mutex_lock(&a), 0);
    start_checks(NULL);
    CHECK_EQ(hk_mutex_lock(&b), 0); /* that a is held is not known */
    hk_mutex_unlock(&b);
    hk_mutex_unlock(&a);
    lock_in_order(&b, &a);
    CHECK(silent());
    lock_in_order(&a, &b);
    expect_said("can deadlock", 1);
    CHECK_EQ(hk_mutex_lock(&c), 0);
    stop_checks();
    hk_mutex_unlock(&c); /* unseen: */
    start_checks(NULL);
    lock_in_order(&a, &b); /* not under c */
    lock_in_order(&b, &c);
    CHECK(silent());
    stop_checks();
}

/* ---- locks of others ---- */

static const hk_wait_kind spot_kind = {.name = "spot"};

static void take(const int *spot, bool shared)
{
    hk_check_order(spot, &spot_kind, shared);
    hk_check_took(spot, &spot_kind, shared);
}

static void take_both(const int *first, bool share_first, const int *second,
                      bool share_second)
{
    take(first, share_first);
    take(second, share_second);
    hk_check_gave(second);
    hk_check_gave(first);
}

static void locks_of_others_are_checked_too(void **state)
{
    static int spots[2];

    (void)state;
    start_checks(NULL);
    take_both(&spots[0], false, &spots[1], false);
    take_both(&spots[1], false, &spots[0], false);
    expect_said("can deadlock", 1);
    expect_said("holds spot 0x", 1);
    stop_checks();
}

static void an_address_is_forgotten_on_demand(void **state)
{
    static int spots[2];

    (void)state;
    start_checks(NULL);
    for (int i = 0; i < 3; i++) {
        take_both(&spots[0], false, &spots[1], false);
        hk_check_forget(&spots[0]);
        take_both(&spots[1], false, &spots[0], false);
        CHECK(silent());
        hk_check_forget(&spots[1]);
    }
    take_both(&spots[0], false, &spots[1], false);
    take_both(&spots[1], false, &spots[0], false);
    expect_said("can deadlock", 1);
    stop_checks();
}

static void readers_do_not_wait_for_readers(void **state)
{
    static int spots[3];

    (void)state;
    start_checks(NULL);
    take_both(&spots[0], true, &spots[1], true);
    take_both(&spots[1], true, &spots[0], true);
    CHECK(silent());
    take_both(&spots[0], true, &spots[2], false);
    take_both(&spots[2], false, &spots[1],
              true); /* 2 to 1 to 0 to 2: shared on the way */
    CHECK(silent());
    take_both(&spots[2], false, &spots[0], false); /* a writer of 0 waits for readers */
    expect_said("can deadlock", 1);
    expect_said(" (shared) and took", 1);
    stop_checks();
}

static void a_recursive_lock_has_an_order_once(void **state)
{
    static int spots[2];

    (void)state;
    start_checks(NULL);
    take(&spots[0], false);
    take(&spots[1], false);
    take(&spots[0], false); /* again: does not wait */
    hk_check_gave(&spots[0]);
    take(&spots[1], false);
    hk_check_gave(&spots[1]);
    hk_check_gave(&spots[1]);
    hk_check_gave(&spots[0]);
    CHECK(silent());
    take_both(&spots[1], false, &spots[0], false);
    expect_said("can deadlock", 1);
    stop_checks();
}

enum { MANY = 100 * 1000 };

static void memory_is_bounded_and_what_is_in_use_is_still_checked(void **state)
{
    static char spots[MANY];

    (void)state;
    start_checks(NULL);
    for (int i = 0; i + 1 < MANY; i++) {
        const char *first = &spots[i], *second = &spots[i + 1];

        hk_check_order(first, &spot_kind, false);
        hk_check_took(first, &spot_kind, false);
        hk_check_order(second, &spot_kind, false);
        hk_check_took(second, &spot_kind, false);
        hk_check_gave(second);
        hk_check_gave(first);
    }
    CHECK(silent());
    renew();
    lock_in_order(&a, &b);
    lock_in_order(&b, &a);
    expect_inversion();
    stop_checks();
}

static void many_locks_may_be_held_at_once(void **state)
{
    enum { HELD = 100 };
    static hk_mutex many[HELD];

    (void)state;
    start_checks(NULL);
    for (int i = 0; i < HELD; i++)
        CHECK_EQ(hk_mutex_lock(&many[i]), 0);
    for (int i = 0; i < HELD; i++)
        hk_mutex_unlock(&many[i]);
    CHECK(silent());
    lock_in_order(&many[HELD - 1], &many[0]);
    expect_said("100 locks are taken in an order", 1);
    stop_checks();
}

static void bad_options_are_refused(void **state)
{
    const hk_check_options bad = {.on_deadlock = (hk_on_deadlock)7};

    (void)state;
    assert_int_equal(hk_check(1u << 30, NULL), -EINVAL);
    assert_int_equal(hk_check(HK_CHECK_LOCKS, &bad), -EINVAL);
    assert_int_equal(hk_checks(), 0);
    assert_int_equal(hk_check(HK_CHECK_LOCKS, NULL), 0);
    assert_int_equal(hk_checks(), HK_CHECK_LOCKS);
    assert_int_equal(hk_check(0, NULL), 0);
    assert_int_equal(hk_checks(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_inversion_of_two_tasks_is_reported_once_with_both_places),
        cmocka_unit_test(one_order_is_no_inversion),
        cmocka_unit_test(it_is_seen_across_workers),
        cmocka_unit_test(it_is_seen_between_a_task_and_a_thread),
        cmocka_unit_test(it_is_seen_between_threads_without_a_runtime),
        cmocka_unit_test(a_ring_of_three_is_named_in_full),
        cmocka_unit_test(what_is_held_before_counts_as_well),
        cmocka_unit_test(a_release_out_of_order_is_understood),
        cmocka_unit_test(a_try_waits_for_nobody),
        cmocka_unit_test(what_a_try_has_taken_is_held),
        cmocka_unit_test(a_new_lock_at_an_old_address_has_no_past),
        cmocka_unit_test(locks_of_before_are_learnt_when_they_are_taken_again),
        cmocka_unit_test(locks_of_others_are_checked_too),
        cmocka_unit_test(an_address_is_forgotten_on_demand),
        cmocka_unit_test(readers_do_not_wait_for_readers),
        cmocka_unit_test(a_recursive_lock_has_an_order_once),
        cmocka_unit_test(memory_is_bounded_and_what_is_in_use_is_still_checked),
        cmocka_unit_test(many_locks_may_be_held_at_once),
        cmocka_unit_test(bad_options_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
