/* SPDX-License-Identifier: MIT */
/*
 * Shows that the checks end the process with a sentence that names the lock and who has
 * it when a task or thread ends, or leaves a scope, with a lock that it took inside;
 * and that a lock which is held across a long wait is reported, once for each place.
 */
#include "check_test.h"

static hk_mutex ledger = {.name = "ledger"};

/* ---- ending with a lock; run in a child, which has its own standard error ---- */

static void check_locks(void)
{
    CHECK_EQ(hk_check(HK_CHECK_LOCKS, NULL), 0);
}

static int keeps_it(void *arg)
{
    (void)arg;
    CHECK_EQ(hk_mutex_lock(&ledger), 0); /* no tail call, which would hide this */
    return 0;
}

static int spawns_a_keeper(void)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    CHECK_EQ(hk_spawn_named(&s, "clerk", keeps_it, NULL, NULL), 0);
    return hk_scope_join(&s);
}

PANIC_IN_A_TASK(a_task_that_ends_with_a_lock_panics,
                "task 'clerk' ends while it holds mutex 'ledger'")
{
    check_locks();
    return spawns_a_keeper();
}

PANIC_IN_A_TASK(where_it_was_taken_is_said_before, "keeps_it+0x")
{
    check_locks();
    return spawns_a_keeper();
}

static void *keeps_it_as_thread(void *arg)
{
    (void)pthread_setname_np(pthread_self(), "clerk");
    (void)keeps_it(NULL);
    return arg;
}

PANIC_TEST(a_thread_that_ends_with_a_lock_panics,
           "thread 'clerk' ends while it holds mutex 'ledger'")
{
    pthread_t thread;

    check_locks();
    CHECK_EQ(pthread_create(&thread, NULL, keeps_it_as_thread, NULL), 0);
    (void)pthread_join(thread, NULL);
    return 0;
}

/* The thread goes on, with the calls of others. */
PANIC_TEST(a_call_that_returns_with_a_lock_panics,
           "thread 'hocket-call' ends while it holds mutex 'ledger'")
{
    check_locks();
    return hk_to_thread(keeps_it, NULL);
}

PANIC_IN_A_TASK(what_was_taken_with_a_timeout_belongs_to_the_scope_around,
                "task 'main' leaves scope 'audit' while it holds mutex 'ledger'")
{
    hk_scope s = HK_SCOPE_INIT, timeout = HK_SCOPE_INIT;

    check_locks();
    hk_scope_open_with(&s, 0, "audit");
    hk_scope_open(&timeout);
    hk_scope_deadline(&timeout, hk_now() + HK_SECOND);
    CHECK_EQ(hk_mutex_lock(&ledger), 0);
    CHECK_EQ(hk_scope_join(&timeout), 0);
    return hk_scope_join(&s);
}

PANIC_IN_A_TASK(leaving_a_scope_with_a_lock_taken_inside_panics,
                "task 'main' leaves scope 'audit' while it holds mutex 'ledger'")
{
    hk_scope s = HK_SCOPE_INIT;

    check_locks();
    hk_scope_open_with(&s, 0, "audit");
    CHECK_EQ(hk_mutex_lock(&ledger), 0);
    return hk_scope_join(&s);
}

static int takes_with_a_timeout(void *deadline_ns)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    hk_scope_deadline(&s, *(const int64_t *)deadline_ns);
    CHECK_EQ(hk_mutex_lock(&ledger), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    hk_mutex_unlock(&ledger);
    return 0;
}

static int holds_around_a_scope(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    CHECK_EQ(hk_mutex_lock(&ledger), 0);
    hk_scope_open(&s);
    CHECK_EQ(hk_scope_join(&s), 0);
    hk_mutex_unlock(&ledger);
    return 0;
}

/* Both scopes lie at one address, as on a stack. */
static int leaves_another_scope_while_it_holds_it(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open(&s);
    hk_scope_deadline(&s, hk_now() + HK_SECOND);
    CHECK_EQ(hk_mutex_lock(&ledger), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    hk_scope_open(&s);
    CHECK_EQ(hk_scope_join(&s), 0);
    hk_mutex_unlock(&ledger);
    return 0;
}

static int signals(void *cond)
{
    hk_cond_signal(cond);
    return 0;
}

/* In a scope, and with a timeout in it. */
static int waits_for_a_condition_in_a_scope(void *arg)
{
    hk_scope s = HK_SCOPE_INIT, timeout = HK_SCOPE_INIT;
    hk_cond cond = HK_COND_INIT;

    (void)arg;
    CHECK_EQ(hk_mutex_lock(&ledger), 0);
    for (int i = 0; i < 4; i++) {
        hk_scope_open(&s);
        if (i < 2)
            CHECK_EQ(hk_spawn(&s, signals, &cond), 0);
        hk_scope_open(&timeout);
        if (i & 1)
            hk_scope_deadline(&timeout, hk_now() + 10 * HK_MILLISECOND);
        else if (i)
            hk_scope_cancel(&timeout);
        CHECK_EQ(hk_cond_wait(&cond, &ledger), i < 2 ? 0 : -ECANCELED);
        (void)hk_scope_join(&timeout);
        CHECK_EQ(hk_scope_join(&s), 0);
    }
    hk_mutex_unlock(&ledger);
    return 0;
}

static int upgrades_in_a_scope(void *arg)
{
    hk_rwlock lock = HK_RWLOCK_INIT;
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    CHECK_EQ(hk_rwlock_read_lock(&lock), 0);
    hk_scope_open(&s);
    CHECK_EQ(hk_rwlock_try_upgrade(&lock), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    hk_rwlock_write_unlock(&lock);
    return 0;
}

static void a_lock_that_comes_back_was_taken_where_it_was_at_first(void **state)
{
    (void)state;
    start_checks(NULL);
    CHECK_EQ(run_virtual(waits_for_a_condition_in_a_scope, NULL), 0);
    CHECK_EQ(run_virtual(upgrades_in_a_scope, NULL), 0);
    CHECK(silent());
    stop_checks();
}

static void a_lock_taken_with_a_timeout_is_not_one_of_a_later_scope(void **state)
{
    (void)state;
    start_checks(NULL);
    CHECK_EQ(run_virtual(leaves_another_scope_while_it_holds_it, NULL), 0);
    CHECK(silent());
    stop_checks();
}

static void a_lock_may_be_taken_with_a_timeout_or_held_around_a_scope(void **state)
{
    int64_t soon_ns = hk_now() + 3600 * HK_SECOND, never_ns = HK_NEVER;

    (void)state;
    start_checks(NULL);
    CHECK_EQ(run_virtual(takes_with_a_timeout, &soon_ns), 0);
    CHECK_EQ(run_virtual(takes_with_a_timeout, &never_ns), 0);
    CHECK_EQ(takes_with_a_timeout(&never_ns), 0); /* on a plain thread */
    CHECK_EQ(run_virtual(holds_around_a_scope, NULL), 0);
    CHECK(silent());
    stop_checks();
}

static int ends_when_they_are_off(void *arg)
{
    int rc = hk_mutex_lock(&ledger);

    (void)arg;
    stop_checks();
    return rc;
}

static void what_was_taken_before_they_were_switched_off_does_not_count(void **state)
{
    (void)state;
    start_checks(NULL);
    CHECK_EQ(run_virtual(ends_when_they_are_off, NULL), 0);
    ledger = (hk_mutex){.name = "ledger"};
}

/* ---- held long; the clock is virtual ---- */

/* One place, however often a loop is unrolled. */
static __attribute__((noinline)) void hold_for(int64_t duration_ns)
{
    CHECK_EQ(hk_mutex_lock(&ledger), 0);
    CHECK_EQ(hk_sleep(duration_ns), 0);
    hk_mutex_unlock(&ledger);
}

static int holds_long(void *arg)
{
    (void)arg;
    hold_for(90 * HK_MILLISECOND);
    CHECK(silent());
    for (int i = 0; i < 3; i++)
        hold_for(110 * HK_MILLISECOND);
    return 0;
}

static void a_lock_held_across_a_long_wait_is_reported_once(void **state)
{
    (void)state;
    start_checks(NULL);
    CHECK_EQ(run_virtual(holds_long, NULL), 0);
    expect_said("held long: task 'main' held mutex 'ledger' while it waited for sleep, "
                "for 110 ms, at",
                1);
    expect_said("it had taken mutex 'ledger' at", 1);
    stop_checks();
}

static int holds_as_long_as_it_says(void *arg)
{
    hold_for(*(const int64_t *)arg);
    return 0;
}

static void the_limit_is_an_option(void **state)
{
    hk_check_options options = {.hold_limit_ns = HK_SECOND};
    int64_t hold_ns = 900 * HK_MILLISECOND;

    (void)state;
    ledger = (hk_mutex){.name = "ledger"};
    start_checks(&options);
    CHECK_EQ(run_virtual(holds_as_long_as_it_says, &hold_ns), 0);
    CHECK(silent());
    hold_ns = 1100 * HK_MILLISECOND;
    CHECK_EQ(run_virtual(holds_as_long_as_it_says, &hold_ns), 0);
    expect_said("for 1.1 s, at", 1);
    stop_checks();
    ledger = (hk_mutex){.name = "ledger"};
    options.hold_limit_ns = -1;
    start_checks(&options);
    hold_ns = 3600 * HK_SECOND;
    CHECK_EQ(run_virtual(holds_as_long_as_it_says, &hold_ns), 0);
    CHECK(silent());
    stop_checks();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_that_ends_with_a_lock_panics),
        cmocka_unit_test(where_it_was_taken_is_said_before),
        cmocka_unit_test(a_thread_that_ends_with_a_lock_panics),
        cmocka_unit_test(leaving_a_scope_with_a_lock_taken_inside_panics),
        cmocka_unit_test(a_call_that_returns_with_a_lock_panics),
        cmocka_unit_test(what_was_taken_with_a_timeout_belongs_to_the_scope_around),
        cmocka_unit_test(a_lock_may_be_taken_with_a_timeout_or_held_around_a_scope),
        cmocka_unit_test(a_lock_that_comes_back_was_taken_where_it_was_at_first),
        cmocka_unit_test(a_lock_taken_with_a_timeout_is_not_one_of_a_later_scope),
        cmocka_unit_test(what_was_taken_before_they_were_switched_off_does_not_count),
        cmocka_unit_test(a_lock_held_across_a_long_wait_is_reported_once),
        cmocka_unit_test(the_limit_is_an_option),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
