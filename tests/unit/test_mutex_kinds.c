/* SPDX-License-Identifier: MIT */
/*
 * Shows what the flags of a mutex change (recursive, error-checking, in order) and that
 * its statistics tell the truth. In order is shown by parties that queue one after the
 * other, while the holder tries to barge each time it unlocks.
 */
#include "contract/sync_kit.h"

static hk_mutex mutex;

static uint32_t waiters(void)
{
    hk_sync_stats stats;

    hk_mutex_stats(&mutex, &stats);
    return stats.waiters;
}

/* Free, with nothing left behind but its flags. */
static void check_is_as_new(uint32_t flags)
{
    CHECK_EQ(mutex.hki_state, flags);
    CHECK_EQ(mutex.hki_depth, 0);
    CHECK_EQ(mutex_waiters(&mutex), 0);
    hk_mutex_fini(&mutex);
}

/* ---- recursive ---- */

static int lock_three_times(void *arg)
{
    uint32_t *stage = arg;

    CHECK_EQ(hk_mutex_lock(&mutex), 0);
    hk_mutex_lock_shielded(&mutex);
    CHECK_EQ(hk_mutex_try_lock(&mutex), 0);
    for (uint32_t i = 1; i <= 3; i++) {
        CHECK(hk_mutex_is_held(&mutex));
        reach(stage, 2 * i - 1);
        await_stage(stage, 2 * i);
        hk_mutex_unlock(&mutex);
    }
    CHECK(!hk_mutex_is_held(&mutex));
    reach(stage, 7);
    return 0;
}

static int find_it_held_thrice(void *arg)
{
    uint32_t *stage = arg;

    for (uint32_t i = 1; i <= 3; i++) {
        await_stage(stage, 2 * i - 1);
        CHECK_EQ(hk_mutex_try_lock(&mutex), -EAGAIN);
        reach(stage, 2 * i);
    }
    await_stage(stage, 7);
    CHECK_EQ(hk_mutex_try_lock(&mutex), 0);
    hk_mutex_unlock(&mutex);
    return 0;
}

static void a_recursive_mutex_is_free_after_as_many_unlocks(void **state)
{
    (void)state;
    for (enum placing placing = 0; placing < PLACINGS; placing++) {
        uint32_t stage = 0;

        hk_mutex_init(&mutex, HK_MUTEX_RECURSIVE);
        check_doing = placing_name[placing];
        run_pair(placing, lock_three_times, find_it_held_thrice, &stage);
        check_is_as_new(HK_MUTEX_RECURSIVE);
    }
}

static int lock_again_when_cancelled(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    CHECK_EQ(hk_mutex_lock(&mutex), 0);
    hk_scope_open(&s);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_mutex_lock(&mutex), -ECANCELED);
    CHECK_EQ(hk_mutex_try_lock(&mutex), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    hk_mutex_unlock(&mutex);
    hk_mutex_unlock(&mutex);
    return 0;
}

static void locking_again_is_a_cancel_point(void **state)
{
    (void)state;
    mutex = (hk_mutex)HK_MUTEX_INIT_WITH(HK_MUTEX_RECURSIVE);
    assert_int_equal(hk_run(lock_again_when_cancelled, NULL, NULL), 0);
    check_is_as_new(HK_MUTEX_RECURSIVE);
}

/* ---- error-checking ---- */

static int lock_own_one(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    CHECK_EQ(hk_mutex_lock(&mutex), 0);
    CHECK_EQ(hk_mutex_lock(&mutex), -EDEADLK);
    CHECK_EQ(hk_mutex_try_lock(&mutex), -EDEADLK);
    hk_scope_open(&s);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_mutex_lock(&mutex), -EDEADLK); /* misuse comes before a cancel */
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK(hk_mutex_is_held(&mutex));
    hk_mutex_unlock(&mutex);
    return 0;
}

static void an_error_checking_mutex_refuses_its_holder(void **state)
{
    (void)state;
    hk_mutex_init(&mutex, HK_MUTEX_ERROR_CHECKING);
    assert_int_equal(hk_run(lock_own_one, NULL, NULL), 0);
    assert_int_equal(lock_own_one(NULL), 0); /* on a plain thread */
    check_is_as_new(HK_MUTEX_ERROR_CHECKING);
}

/* ---- in order ---- */

enum { QUEUERS = 8 };

struct line {
    uint32_t next;  /* guarded by the mutex: who must come */
    uint32_t stage; /* who may queue now */
    int cancelled;  /* who is taken out of the line; -1: nobody */
    hk_scope *scope;
    uint32_t gone;
};

static struct line line;

static int queue_as(uint32_t number)
{
    hk_scope s = HK_SCOPE_INIT;
    int rc;

    await_stage(&line.stage, number + 1);
    hk_scope_open(&s);
    if ((int)number == line.cancelled)
        __atomic_store_n(&line.scope, &s, __ATOMIC_RELEASE);
    rc = hk_mutex_lock(&mutex);
    if ((int)number == line.cancelled) {
        CHECK_EQ(rc, -ECANCELED);
        CHECK(!hk_mutex_is_held(&mutex));
        reach(&line.gone, 1);
    } else {
        CHECK_EQ(rc, 0);
        line.next += (int)line.next == line.cancelled;
        CHECK_EQ(line.next++, number);
        hk_mutex_unlock(&mutex);
    }
    return hk_scope_join(&s);
}

static int queue_in_line(void *arg)
{
    return queue_as((uint32_t)(uintptr_t)arg);
}

static int hold_while_they_queue(void *arg)
{
    (void)arg;
    hk_mutex_lock_shielded(&mutex);
    for (uint32_t i = 0; i < QUEUERS; i++) {
        reach(&line.stage, i + 1);
        while (waiters() < i + 1)
            relax();
    }
    if (line.cancelled >= 0) {
        hk_scope_cancel(__atomic_load_n(&line.scope, __ATOMIC_ACQUIRE));
        await_stage(&line.gone, 1);
        CHECK_EQ(waiters(), QUEUERS - 1);
    }
    hk_mutex_unlock(&mutex);
    /* Somebody holds it until all had their turn, so nobody passes by. */
    if (hk_mutex_try_lock(&mutex) == 0) {
        line.next += (int)line.next == line.cancelled;
        CHECK_EQ(line.next, QUEUERS);
        hk_mutex_unlock(&mutex);
    }
    return 0;
}

static void run_line(int cancelled)
{
    for (enum placing placing = 0; placing < PLACINGS; placing++) {
        struct ensemble e = {.placing = placing};

        hk_mutex_init(&mutex, HK_MUTEX_IN_ORDER);
        line = (struct line){.cancelled = cancelled};
        for (uint32_t i = 0; i < QUEUERS; i++)
            add_party(&e, queue_in_line, (void *)(uintptr_t)i);
        add_party(&e, hold_while_they_queue, NULL);
        check_doing = placing_name[placing];
        run_ensemble(&e, NULL);
        check_is_as_new(HK_MUTEX_IN_ORDER);
    }
}

static void in_order_means_in_order_of_arrival(void **state)
{
    (void)state;
    run_line(-1);
}

static void c2_in_order_a_cancelled_waiter_is_never_handed_it(void **state)
{
    (void)state;
    run_line(0);
    run_line(QUEUERS / 2);
    run_line(QUEUERS - 1);
}

/* ---- all of them exclude ---- */

enum { PARTIES = 4, ENTRIES = 400 };

static uint32_t entries; /* guarded by the mutex */
static uint64_t seed;
static bool is_recursive; /* written before the parties run */

static int enter_often(void *arg)
{
    uint64_t chance = seed + (uintptr_t)arg;

    for (int i = 0; i < ENTRIES; i++) {
        hk_scope s = HK_SCOPE_INIT;
        int rc, levels = 0;

        hk_scope_open(&s);
        hk_scope_deadline(&s, hk_now() + (int64_t)(dice(&chance) % 20000));
        rc = hk_mutex_lock(&mutex);
        CHECK(rc == 0 || rc == -ECANCELED);
        if (rc == 0) {
            uint32_t before = ++entries;

            if (is_recursive && dice(&chance) % 2)
                levels = hk_mutex_try_lock(&mutex) == 0;
            if (dice(&chance) % 8 == 0)
                relax();
            CHECK_EQ(entries, before);
            for (; levels >= 0; levels--)
                hk_mutex_unlock(&mutex);
        }
        rc = hk_scope_join(&s);
        CHECK(rc == 0 || rc == -ETIMEDOUT);
    }
    return 0;
}

static void every_kind_excludes_whoever_comes_and_goes(void **state)
{
    const uint32_t kinds[] = {0, HK_MUTEX_RECURSIVE, HK_MUTEX_ERROR_CHECKING,
                              HK_MUTEX_IN_ORDER,
                              HK_MUTEX_IN_ORDER | HK_MUTEX_RECURSIVE};

    (void)state;
    seed = kit_seed();
    for (size_t kind = 0; kind < sizeof(kinds) / sizeof(*kinds); kind++) {
        for (enum placing placing = 0; placing < PLACINGS; placing++) {
            struct ensemble e = {.placing = placing};

            hk_mutex_init(&mutex, kinds[kind]);
            is_recursive = kinds[kind] & HK_MUTEX_RECURSIVE;
            for (uintptr_t i = 0; i < PARTIES; i++)
                add_party(&e, enter_often, (void *)i);
            check_doing = placing_name[placing];
            run_ensemble(&e, NULL);
            check_is_as_new(kinds[kind]);
        }
    }
}

/* ---- statistics ---- */

static int wait_for_it(void *arg)
{
    (void)arg;
    CHECK_EQ(hk_mutex_lock(&mutex), 0);
    hk_mutex_unlock(&mutex);
    return 0;
}

static int look_at_the_statistics(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_sync_stats stats;

    (void)arg;
    hk_mutex_stats(&mutex, &stats);
    CHECK(stats.holders == 0 && stats.waiters == 0 && stats.contended == 0);
    CHECK_EQ(hk_mutex_lock(&mutex), 0);
    hk_scope_open(&s);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(hk_spawn(&s, wait_for_it, NULL), 0);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    hk_mutex_stats(&mutex, &stats);
    CHECK(stats.holders == 1 && stats.waiters == 3 && stats.contended == 3);
    hk_mutex_unlock(&mutex);
    CHECK_EQ(hk_scope_join(&s), 0);
    hk_mutex_stats(&mutex, &stats);
    CHECK(stats.holders == 0 && stats.waiters == 0);
    CHECK(stats.contended == 3); /* a wake in vain is no new wait */
    return 0;
}

static void statistics_count_holders_waiters_and_waits(void **state)
{
    hk_options options = {.virtual_clock = true};

    (void)state;
    hk_mutex_init(&mutex, 0);
    assert_int_equal(hk_run(look_at_the_statistics, NULL, &options), 0);
    check_is_as_new(0);
    hk_mutex_fini(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_recursive_mutex_is_free_after_as_many_unlocks),
        cmocka_unit_test(locking_again_is_a_cancel_point),
        cmocka_unit_test(an_error_checking_mutex_refuses_its_holder),
        cmocka_unit_test(in_order_means_in_order_of_arrival),
        cmocka_unit_test(c2_in_order_a_cancelled_waiter_is_never_handed_it),
        cmocka_unit_test(every_kind_excludes_whoever_comes_and_goes),
        cmocka_unit_test(statistics_count_holders_waiters_and_waits),
    };

    return cmocka_run_group_tests_name("mutex kinds", tests, NULL, NULL);
}
