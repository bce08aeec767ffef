/* SPDX-License-Identifier: MIT */
/*
 * Shows what is particular to the mutex, beyond the contract suite: it excludes, it
 * lets a running task barge, and the bound on that: a waiter that is old enough, or was
 * passed often enough, gets it handed. The bound in time is shown on a virtual clock,
 * so the test is exact; exclusion by a plain counter that many parties change.
 */
#include "contract/sync_kit.h"

static hk_mutex mutex;

static void reset(void)
{
    mutex = (hk_mutex)HK_MUTEX_INIT;
}

/* ---- single calls ---- */

static void try_lock_takes_a_free_mutex_only(void **state)
{
    (void)state;
    reset();
    assert_false(hk_mutex_is_held(&mutex));
    assert_int_equal(hk_mutex_try_lock(&mutex), 0);
    assert_true(hk_mutex_is_held(&mutex));
    assert_int_equal(hk_mutex_try_lock(&mutex), -EAGAIN);
    hk_mutex_unlock(&mutex);
    assert_false(hk_mutex_is_held(&mutex));
    assert_int_equal(hk_mutex_lock(&mutex), 0);
    hk_mutex_unlock(&mutex);
    assert_int_equal(mutex.hki_state, 0);
    assert_int_equal(sizeof(hk_mutex), 64);
}

static int see_that_another_holds(void *arg)
{
    (void)arg;
    CHECK(!hk_mutex_is_held(&mutex));
    CHECK_EQ(hk_mutex_try_lock(&mutex), -EAGAIN);
    return 0;
}

static int hold_before_another(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    CHECK_EQ(hk_mutex_lock(&mutex), 0);
    hk_scope_open(&s);
    CHECK_EQ(hk_spawn(&s, see_that_another_holds, NULL), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK(hk_mutex_is_held(&mutex));
    hk_mutex_unlock(&mutex);
    return 0;
}

static void the_holder_is_one_task_not_its_worker(void **state)
{
    (void)state;
    reset();
    assert_int_equal(hk_run(hold_before_another, NULL, NULL), 0);
}

/* ---- shielded ---- */

static int lock_shielded_when_cancelled(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    uint32_t *stage = arg;

    await_stage(stage, 1);
    hk_scope_open(&s);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_mutex_lock(&mutex), -ECANCELED);
    hk_mutex_lock_shielded(&mutex);
    CHECK(hk_mutex_is_held(&mutex));
    hk_mutex_unlock(&mutex);
    CHECK_EQ(hk_mutex_lock(&mutex), -ECANCELED);
    return hk_scope_join(&s);
}

static int hold_for_a_while(void *arg)
{
    uint32_t *stage = arg;

    hk_mutex_lock_shielded(&mutex);
    reach(stage, 1);
    while (mutex_waiters(&mutex) == 0)
        relax();
    hk_mutex_unlock(&mutex);
    return 0;
}

static void a_shielded_lock_waits_although_cancelled(void **state)
{
    (void)state;
    for (enum placing placing = 0; placing < PLACINGS; placing++) {
        uint32_t stage = 0;

        reset();
        run_pair(placing, hold_for_a_while, lock_shielded_when_cancelled, &stage);
    }
}

/* ---- barging and its bound ---- */

static uint32_t
    locked_at; /* atomic: the hog's turn in which the waiter got the mutex */

static int wait_behind_the_hog(void *arg)
{
    const uint32_t *turn = arg; /* guarded by the mutex */

    CHECK_EQ(hk_mutex_lock(&mutex), 0);
    reach(&locked_at, *turn);
    hk_mutex_unlock(&mutex);
    return 0;
}

/* Holds the mutex for `held_ns` while another waits, unlocks, and tries to have it back
 * before the other has run. */
static int barge_after(int64_t held_ns)
{
    hk_scope s = HK_SCOPE_INIT;
    uint32_t turn = 0;
    int rc;

    CHECK_EQ(hk_mutex_lock(&mutex), 0);
    hk_scope_open(&s);
    CHECK_EQ(hk_spawn(&s, wait_behind_the_hog, &turn), 0);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(mutex_waiters(&mutex), 1);
    CHECK_EQ(hk_test_advance(held_ns), 0);
    hk_mutex_unlock(&mutex);
    rc = hk_mutex_try_lock(&mutex);
    if (rc == 0)
        hk_mutex_unlock(&mutex);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(mutex.hki_state, 0);
    return rc;
}

static int barge_early_and_late(void *arg)
{
    (void)arg;
    CHECK_EQ(barge_after(0), 0);
    CHECK_EQ(barge_after(499 * HK_MICROSECOND), 0);
    CHECK_EQ(barge_after(500 * HK_MICROSECOND), -EAGAIN);
    CHECK_EQ(barge_after(HK_SECOND), -EAGAIN);
    return 0;
}

static void mutex_hands_over_to_a_waiter_older_than_the_bound(void **state)
{
    hk_options options = {.virtual_clock = true};

    (void)state;
    reset();
    assert_int_equal(hk_run(barge_early_and_late, NULL, &options), 0);
}

/* Takes it back each time before the waiter, which it has woken, can run. */
static int be_a_hog(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    uint32_t turn = 1;

    (void)arg;
    reach(&locked_at, 0);
    CHECK_EQ(hk_mutex_lock(&mutex), 0);
    hk_scope_open(&s);
    CHECK_EQ(hk_spawn(&s, wait_behind_the_hog, &turn), 0);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    while (!__atomic_load_n(&locked_at, __ATOMIC_ACQUIRE)) {
        turn++;
        hk_mutex_unlock(&mutex);
        CHECK_EQ(hk_mutex_lock(&mutex), 0);
        CHECK_EQ(hk_yield(), 0);
        CHECK(turn < 1000);
    }
    hk_mutex_unlock(&mutex);
    CHECK(locked_at > 2); /* it was passed a few times */
    return hk_scope_join(&s);
}

static void mutex_hands_over_to_a_waiter_that_was_passed_often(void **state)
{
    hk_options options = {.virtual_clock = true};

    (void)state;
    reset();
    assert_int_equal(hk_run(be_a_hog, NULL, &options), 0);
}

/* With a real clock: a thread that never leaves the mutex alone does not starve
 * another. What counts is that this ends, and the longest wait is printed. */
enum { ENTRIES = 100 };

static uint32_t entered; /* atomic */

static int hog_until_the_other_is_done(void *arg)
{
    (void)arg;
    while (__atomic_load_n(&entered, __ATOMIC_RELAXED) < ENTRIES) {
        CHECK_EQ(hk_mutex_lock(&mutex), 0);
        for (int64_t end_ns = hk_now() + 5000; hk_now() < end_ns;)
            ;
        hk_mutex_unlock(&mutex);
    }
    return 0;
}

static int enter_again_and_again(void *arg)
{
    int64_t longest_ns = 0;

    (void)arg;
    for (int i = 0; i < ENTRIES; i++) {
        int64_t begin_ns = hk_now();

        CHECK_EQ(hk_mutex_lock(&mutex), 0);
        if (hk_now() - begin_ns > longest_ns)
            longest_ns = hk_now() - begin_ns;
        hk_mutex_unlock(&mutex);
        count_up(&entered);
        relax();
    }
    printf("# longest wait: %lld us\n", (long long)longest_ns / 1000);
    return 0;
}

static void a_hog_does_not_starve_others(void **state)
{
    (void)state;
    for (enum placing placing = 0; placing < PLACINGS; placing++) {
        reset();
        entered = 0;
        check_doing = placing_name[placing];
        run_pair(placing, hog_until_the_other_is_done, enter_again_and_again, NULL);
    }
}

/* ---- a waiter that was woken and cancelled passes the chance on ---- */

struct woken_and_cancelled {
    hk_scope *first;
    bool second_locked;
};

static int woken_first(void *arg)
{
    struct woken_and_cancelled *c = arg;
    hk_scope s = HK_SCOPE_INIT;
    int rc;

    hk_scope_open(&s);
    c->first = &s;
    rc = hk_mutex_lock(&mutex);
    CHECK_EQ(rc, -ECANCELED); /* somebody had barged, so it was queued again */
    return hk_scope_join(&s);
}

static int waits_second(void *arg)
{
    struct woken_and_cancelled *c = arg;

    CHECK_EQ(hk_mutex_lock(&mutex), 0);
    c->second_locked = true;
    hk_mutex_unlock(&mutex);
    return 0;
}

static int wake_and_cancel(void *arg)
{
    struct woken_and_cancelled c = {0};
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    CHECK_EQ(hk_mutex_lock(&mutex), 0);
    hk_scope_open(&s);
    CHECK_EQ(hk_spawn(&s, woken_first, &c), 0);
    CHECK_EQ(hk_spawn(&s, waits_second, &c), 0);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(mutex_waiters(&mutex), 2);
    hk_mutex_unlock(&mutex); /* the first is on its way */
    CHECK_EQ(mutex_waiters(&mutex), 1);
    CHECK_EQ(hk_mutex_lock(&mutex), 0); /* but we are faster */
    hk_scope_cancel(c.first);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(mutex_waiters(&mutex), 1);
    hk_mutex_unlock(&mutex);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK(c.second_locked);
    CHECK_EQ(mutex.hki_state, 0);
    return 0;
}

static void a_waiter_woken_in_vain_and_cancelled_passes_the_chance_on(void **state)
{
    hk_options options = {.virtual_clock = true};

    (void)state;
    reset();
    assert_int_equal(hk_run(wake_and_cancel, NULL, &options), 0);
}

/* ---- a waiter that was woken in vain keeps its place ---- */

struct order {
    uint32_t next; /* guarded by the mutex */
};

static int expect_first(void *arg)
{
    struct order *order = arg;

    CHECK_EQ(hk_mutex_lock(&mutex), 0);
    CHECK_EQ(order->next++, 0);
    hk_mutex_unlock(&mutex);
    return 0;
}

static int expect_second(void *arg)
{
    struct order *order = arg;

    CHECK_EQ(hk_mutex_lock(&mutex), 0);
    CHECK_EQ(order->next++, 1);
    hk_mutex_unlock(&mutex);
    return 0;
}

static int barge_past_the_first(void *arg)
{
    struct order order = {0};
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    CHECK_EQ(hk_mutex_lock(&mutex), 0);
    hk_scope_open(&s);
    CHECK_EQ(hk_spawn(&s, expect_first, &order), 0);
    CHECK_EQ(hk_spawn(&s, expect_second, &order), 0);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    for (int i = 0; i < 3; i++) {
        hk_mutex_unlock(&mutex); /* wakes the first, but we are faster */
        CHECK_EQ(hk_mutex_lock(&mutex), 0);
        CHECK_EQ(hk_test_wait_all_blocked(), 0);
        CHECK_EQ(mutex_waiters(&mutex), 2);
    }
    hk_mutex_unlock(&mutex);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(order.next, 2);
    return 0;
}

static void a_waiter_woken_in_vain_keeps_its_place(void **state)
{
    hk_options options = {.virtual_clock = true};

    (void)state;
    reset();
    assert_int_equal(hk_run(barge_past_the_first, NULL, &options), 0);
}

/* ---- exclusion, under cancels ---- */

enum { PARTIES = 8, TURNS = 2000 };

struct shared {
    uint64_t plain;   /* guarded by the mutex */
    uint64_t entries; /* atomic */
    uint64_t seed;    /* atomic */
};

static void change(struct shared *shared, bool linger)
{
    uint64_t value = shared->plain;

    if (linger)
        relax();
    shared->plain = value + 1;
    __atomic_add_fetch(&shared->entries, 1, __ATOMIC_RELAXED);
    hk_mutex_unlock(&mutex);
}

static int lock_in_some_way(uint64_t draw)
{
    switch (draw % 8) {
    case 0: return hk_mutex_try_lock(&mutex);
    case 1: hk_mutex_lock_shielded(&mutex); return 0;
    default: return hk_mutex_lock(&mutex);
    }
}

static int enter_with_deadlines(void *arg)
{
    struct shared *shared = arg;
    uint64_t chance = __atomic_add_fetch(&shared->seed, 1, __ATOMIC_RELAXED);

    for (int i = 0; i < TURNS; i++) {
        uint64_t draw = dice(&chance);
        hk_scope s = HK_SCOPE_INIT;
        int rc;

        hk_scope_open(&s);
        if (draw & 0x100)
            hk_scope_deadline(&s, hk_now() + (int64_t)(draw >> 40) % 50000);
        rc = lock_in_some_way(draw);
        if (rc == 0)
            change(shared, (draw & 0xe00) == 0);
        else
            CHECK(rc == -ECANCELED || rc == -EAGAIN);
        rc = hk_scope_join(&s);
        CHECK(rc == 0 || rc == -ETIMEDOUT);
    }
    return 0;
}

static void it_excludes_whoever_comes_and_goes(void **state)
{
    struct shared shared = {.seed = kit_seed()};

    (void)state;
    for (enum placing placing = 0; placing < PLACINGS; placing++) {
        struct ensemble e = {.placing = placing};

        reset();
        for (int i = 0; i < PARTIES; i++)
            add_party(&e, enter_with_deadlines, &shared);
        check_doing = placing_name[placing];
        run_ensemble(&e, NULL);
        assert_int_equal(shared.plain, shared.entries);
        assert_int_equal(mutex.hki_state, 0);
        assert_null(mutex.hki_waiters.head);
    }
    assert_true(shared.entries > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(try_lock_takes_a_free_mutex_only),
        cmocka_unit_test(the_holder_is_one_task_not_its_worker),
        cmocka_unit_test(a_shielded_lock_waits_although_cancelled),
        cmocka_unit_test(mutex_hands_over_to_a_waiter_older_than_the_bound),
        cmocka_unit_test(mutex_hands_over_to_a_waiter_that_was_passed_often),
        cmocka_unit_test(a_hog_does_not_starve_others),
        cmocka_unit_test(a_waiter_woken_in_vain_and_cancelled_passes_the_chance_on),
        cmocka_unit_test(a_waiter_woken_in_vain_keeps_its_place),
        cmocka_unit_test(it_excludes_whoever_comes_and_goes),
    };

    return cmocka_run_group_tests_name("mutex", tests, NULL, NULL);
}
