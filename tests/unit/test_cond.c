/* SPDX-License-Identifier: MIT */
/*
 * Shows that a condition loses no signal and gives none to who does not take it: by
 * turns that go round, by tokens that are counted while waiters are cancelled at
 * random, and case by case: cancelled before the signal, after it, while it waits for
 * the mutex.
 */
#include "contract/sync_kit.h"

#include "support/emulator.h"

static hk_mutex mutex;
static hk_cond cond;

static uint32_t waiting(void)
{
    hk_sync_stats stats;

    hk_cond_stats(&cond, &stats);
    return stats.waiters;
}

static void await_waiting(uint32_t count)
{
    while (waiting() != count)
        relax();
}

static void reset(void)
{
    mutex = (hk_mutex)HK_MUTEX_INIT;
    cond = (hk_cond)HK_COND_INIT;
}

static void check_is_as_new(void)
{
    CHECK_EQ(mutex.hki_state, 0);
    CHECK_EQ(waiting(), 0);
    CHECK(!cond.hki_waiters.head && !cond.hki_waiters.tail);
    hk_mutex_fini(&mutex);
    hk_cond_fini(&cond);
}

static void run_in_every_placing(hk_task_fn *first, hk_task_fn *second)
{
    for (enum placing placing = 0; placing < PLACINGS; placing++) {
        uint32_t stage = 0;

        reset();
        check_doing = placing_name[placing];
        run_pair(placing, first, second, &stage);
        check_is_as_new();
    }
}

/* ---- turns ---- */

enum { ROUNDS = 500 };

static uint32_t turn; /* guarded by the mutex */

static int take_turns(uint32_t mine)
{
    CHECK_EQ(hk_mutex_lock(&mutex), 0);
    for (int i = 0; i < ROUNDS; i++) {
        while (turn != mine) {
            CHECK_EQ(hk_cond_wait(&cond, &mutex), 0);
            CHECK(hk_mutex_is_held(&mutex));
        }
        turn = 1 - mine;
        hk_cond_signal(&cond);
    }
    hk_mutex_unlock(&mutex);
    return 0;
}

static int take_even_turns(void *arg)
{
    (void)arg;
    return take_turns(0);
}

static int take_odd_turns(void *arg)
{
    (void)arg;
    return take_turns(1);
}

static void two_take_turns(void **state)
{
    (void)state;
    turn = 0;
    run_in_every_placing(take_even_turns, take_odd_turns);
}

/* ---- tokens: signalled and cancelled at random ---- */

enum { TAKERS = 5, TOKENS = 600 };

static uint32_t tokens, taken; /* guarded by the mutex */
static uint64_t seed;

static bool take_one(int64_t patience_ns)
{
    hk_scope s = HK_SCOPE_INIT;
    int rc = 0, why;
    bool is_over;

    hk_scope_open(&s);
    hk_scope_deadline(&s, hk_now() + patience_ns);
    hk_mutex_lock_shielded(&mutex);
    while (rc == 0 && tokens == 0 && taken < TOKENS)
        rc = hk_cond_wait(&cond, &mutex);
    CHECK(hk_mutex_is_held(&mutex));
    CHECK(rc == 0 || rc == -ECANCELED);
    if (rc == 0 && tokens > 0) {
        tokens--;
        if (++taken == TOKENS)
            hk_cond_broadcast(&cond);
    }
    is_over = taken == TOKENS;
    hk_mutex_unlock(&mutex);
    why = hk_scope_join(&s);
    CHECK(why == 0 || why == -ETIMEDOUT);
    return !is_over;
}

static int take_impatiently(void *arg)
{
    uint64_t chance = seed + (uintptr_t)arg;

    while (take_one((int64_t)(dice(&chance) % 100000)))
        ;
    return 0;
}

static int take_patiently(void *arg)
{
    (void)arg;
    while (take_one(1000 * HK_SECOND))
        ;
    return 0;
}

/* One signal for each token: whoever it went to must take it, or all would stop. */
static int offer(void *arg)
{
    uint64_t chance = seed + (uintptr_t)arg;

    for (int i = 0; i < TOKENS; i++) {
        bool inside = dice(&chance) % 2;

        CHECK_EQ(hk_mutex_lock(&mutex), 0);
        tokens++;
        if (inside)
            hk_cond_signal(&cond);
        hk_mutex_unlock(&mutex);
        if (!inside)
            hk_cond_signal(&cond);
        if (dice(&chance) % 4 == 0)
            relax();
    }
    return 0;
}

static void no_signal_is_lost_to_a_cancelled_waiter(void **state)
{
    (void)state;
    seed = kit_seed();
    for (enum placing placing = 0; placing < PLACINGS; placing++) {
        struct ensemble e = {.placing = placing};

        reset();
        tokens = taken = 0;
        add_party(&e, take_patiently, NULL);
        for (uintptr_t i = 1; i < TAKERS; i++)
            add_party(&e, take_impatiently, (void *)i);
        add_party(&e, offer, (void *)(uintptr_t)TAKERS);
        check_doing = placing_name[placing];
        run_ensemble(&e, NULL);
        CHECK_EQ(tokens, 0);
        check_is_as_new();
    }
}

/* ---- cancelled before the signal: it consumes none ---- */

static hk_scope *scope_of_first; /* atomic */

static int wait_and_be_cancelled(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    uint32_t *stage = arg;

    hk_scope_open(&s);
    __atomic_store_n(&scope_of_first, &s, __ATOMIC_RELEASE);
    CHECK_EQ(hk_mutex_lock(&mutex), 0);
    CHECK_EQ(hk_cond_wait(&cond, &mutex), -ECANCELED);
    CHECK(hk_mutex_is_held(&mutex));
    CHECK_EQ(hk_cond_wait(&cond, &mutex), -ECANCELED); /* at entry */
    CHECK(hk_mutex_is_held(&mutex));
    hk_mutex_unlock(&mutex);
    reach(stage, 2);
    return hk_scope_join(&s);
}

static int wait_second(void *arg)
{
    uint32_t *stage = arg;

    await_waiting(1);
    CHECK_EQ(hk_mutex_lock(&mutex), 0);
    reach(stage, 1);
    CHECK_EQ(hk_cond_wait(&cond, &mutex), 0);
    hk_mutex_unlock(&mutex);
    return 0;
}

static int cancel_the_first_and_signal_once(void *arg)
{
    uint32_t *stage = arg;

    await_stage(stage, 1);
    await_waiting(2);
    hk_scope_cancel(__atomic_load_n(&scope_of_first, __ATOMIC_ACQUIRE));
    await_stage(stage, 2);
    CHECK_EQ(waiting(), 1);
    hk_cond_signal(&cond);
    return 0;
}

static void c2_a_cancelled_waiter_leaves_the_signal_to_the_next(void **state)
{
    (void)state;
    for (enum placing placing = 0; placing < PLACINGS; placing++) {
        struct ensemble e = {.placing = placing};
        uint32_t stage = 0;

        reset();
        add_party(&e, wait_and_be_cancelled, &stage);
        add_party(&e, wait_second, &stage);
        add_party(&e, cancel_the_first_and_signal_once, &stage);
        check_doing = placing_name[placing];
        run_ensemble(&e, NULL);
        check_is_as_new();
    }
}

/* ---- cancelled after the signal: it has it ---- */

static int wait_and_be_cancelled_too_late(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open(&s);
    __atomic_store_n(&scope_of_first, &s, __ATOMIC_RELEASE);
    CHECK_EQ(hk_mutex_lock(&mutex), 0);
    CHECK_EQ(hk_cond_wait(&cond, &mutex), 0);
    CHECK(hk_mutex_is_held(&mutex));
    hk_mutex_unlock(&mutex);
    while (hk_cancelled() == 0) /* from another worker it takes its time */
        relax();
    CHECK_EQ(hk_mutex_lock(&mutex), -ECANCELED); /* the next call tells */
    return hk_scope_join(&s);
}

static int signal_and_cancel(void *arg)
{
    (void)arg;
    await_waiting(1);
    CHECK_EQ(hk_mutex_lock(&mutex), 0);
    hk_cond_signal(&cond);
    CHECK_EQ(waiting(), 0);
    hk_scope_cancel(__atomic_load_n(&scope_of_first, __ATOMIC_ACQUIRE));
    for (int i = 0; i < 10; i++)
        relax(); /* with the mutex held: now the cancel meets it in the mutex's queue */
    hk_mutex_unlock(&mutex);
    return 0;
}

static void c1_a_waiter_cancelled_after_the_signal_keeps_it(void **state)
{
    (void)state;
    run_in_every_placing(wait_and_be_cancelled_too_late, signal_and_cancel);
}

/* ---- one signal for one, the oldest first; a broadcast for all ---- */

enum { CROWD = 6 };

static uint32_t arrived;      /* atomic */
static uint32_t left, inside; /* guarded by the mutex */

static int wait_in_the_crowd(void *arg)
{
    uint32_t number = (uint32_t)(uintptr_t)arg;

    await_stage(&arrived, number);
    CHECK_EQ(hk_mutex_lock(&mutex), 0);
    reach(&arrived, number + 1);
    CHECK_EQ(hk_cond_wait(&cond, &mutex), 0);
    left++;
    CHECK_EQ(inside++, 0);
    relax(); /* with the mutex held: nobody else may be here */
    CHECK_EQ(--inside, 0);
    hk_mutex_unlock(&mutex);
    return 0;
}

static uint32_t how_many_left(void)
{
    uint32_t count;

    hk_mutex_lock_shielded(&mutex);
    count = left;
    hk_mutex_unlock(&mutex);
    return count;
}

static int signal_one_by_one(void *arg)
{
    (void)arg;
    await_stage(&arrived, CROWD);
    await_waiting(CROWD);
    for (uint32_t i = 1; i <= CROWD; i++) {
        hk_cond_signal(&cond);
        CHECK_EQ(waiting(), CROWD - i);
        while (how_many_left() < i)
            relax();
        CHECK_EQ(how_many_left(), i);
    }
    hk_cond_signal(&cond); /* for nobody */
    return 0;
}

/* While it holds the mutex nobody wakes: all of them wait for the mutex. */
static int broadcast_holding(void *arg)
{
    (void)arg;
    await_stage(&arrived, CROWD);
    await_waiting(CROWD);
    hk_mutex_lock_shielded(&mutex);
    hk_cond_broadcast(&cond);
    CHECK_EQ(waiting(), 0);
    CHECK_EQ(mutex_waiters(&mutex), CROWD);
    hk_mutex_unlock(&mutex);
    return 0;
}

static int broadcast_without_the_mutex(void *arg)
{
    (void)arg;
    await_stage(&arrived, CROWD);
    await_waiting(CROWD);
    hk_cond_broadcast(&cond);
    CHECK_EQ(waiting(), 0);
    return 0;
}

static void run_crowd(uint32_t flags, hk_task_fn *waker)
{
    for (enum placing placing = 0; placing < PLACINGS; placing++) {
        struct ensemble e = {.placing = placing};

        reset();
        hk_mutex_init(&mutex, flags);
        arrived = left = 0;
        for (uintptr_t i = 0; i < CROWD; i++)
            add_party(&e, wait_in_the_crowd, (void *)i);
        add_party(&e, waker, NULL);
        check_doing = placing_name[placing];
        run_ensemble(&e, NULL);
        CHECK_EQ(left, CROWD);
        mutex.hki_state &= ~flags;
        check_is_as_new();
    }
}

static void a_signal_wakes_one(void **state)
{
    (void)state;
    run_crowd(0, signal_one_by_one);
}

static void a_broadcast_wakes_all_one_after_the_other(void **state)
{
    (void)state;
    run_crowd(0, broadcast_holding);
    run_crowd(0, broadcast_without_the_mutex);
}

static void it_waits_with_mutexes_of_every_kind(void **state)
{
    const uint32_t kinds[] = {HK_MUTEX_RECURSIVE, HK_MUTEX_IN_ORDER};

    (void)state;
    for (int i = 0; i < 2; i++) {
        run_crowd(kinds[i], signal_one_by_one);
        run_crowd(kinds[i], broadcast_holding);
        run_crowd(kinds[i], broadcast_without_the_mutex);
    }
}

/* ---- deadlines, deadlocks, the end ---- */

static int wait_until_the_deadline(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open(&s);
    hk_scope_deadline(&s, hk_now() + HK_MILLISECOND);
    hk_mutex_lock_shielded(&mutex);
    CHECK_EQ(hk_cond_wait(&cond, &mutex), -ECANCELED);
    hk_mutex_unlock(&mutex);
    CHECK_EQ(hk_scope_join(&s), -ETIMEDOUT);
    return 0;
}

static void a_deadline_ends_the_wait(void **state)
{
    (void)state;
    run_in_every_placing(wait_until_the_deadline, wait_until_the_deadline);
}

static void say_nothing(hk_log_level level, const char *text, void *ctx)
{
    (void)level;
    (void)text;
    (void)ctx;
}

static int wait_for_a_signal_that_never_comes(void *arg)
{
    (void)arg;
    CHECK_EQ(hk_mutex_lock(&mutex), 0);
    CHECK_EQ(hk_cond_wait(&cond, &mutex), -EDEADLK);
    CHECK(hk_mutex_is_held(&mutex));
    hk_mutex_unlock(&mutex);
    return 0;
}

static void who_can_never_be_signalled_is_told(void **state)
{
    (void)state;
    skip_if_emulated("has threads of its own, which might wake somebody");
    reset();
    hk_log_to(say_nothing, NULL);
    assert_int_equal(hk_run(wait_for_a_signal_that_never_comes, NULL, NULL), 0);
    hk_log_to(NULL, NULL);
    check_is_as_new();
}

static int wait_once(void *arg)
{
    (void)arg;
    CHECK_EQ(hk_mutex_lock(&mutex), 0);
    CHECK_EQ(hk_cond_wait(&cond, &mutex), 0);
    hk_mutex_unlock(&mutex);
    return 0;
}

static int count_the_waits(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_sync_stats stats;

    (void)arg;
    hk_scope_open(&s);
    CHECK_EQ(hk_spawn(&s, wait_once, NULL), 0);
    CHECK_EQ(hk_spawn(&s, wait_once, NULL), 0);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    hk_cond_stats(&cond, &stats);
    CHECK(stats.holders == 0 && stats.waiters == 2 && stats.contended == 2);
    hk_cond_broadcast(&cond);
    CHECK_EQ(hk_scope_join(&s), 0);
    hk_cond_stats(&cond, &stats);
    CHECK(stats.waiters == 0 && stats.contended == 2);
    return 0;
}

static void statistics_count_waiters_and_waits(void **state)
{
    hk_options options = {.virtual_clock = true};

    (void)state;
    reset();
    assert_int_equal(hk_run(count_the_waits, NULL, &options), 0);
    check_is_as_new();
    hk_cond_fini(NULL);
}

/* ---- a condition that dies with its last waiter ---- */

enum { LIVES = 300 };

struct short_lived {
    hk_mutex mutex;
    hk_cond cond;
    bool is_ready; /* guarded by mutex */
};

static struct short_lived *offered; /* atomic */

static int wait_and_free(void *arg)
{
    (void)arg;
    for (int i = 0; i < LIVES; i++) {
        struct short_lived *one = calloc(1, sizeof(*one));

        CHECK(one);
        CHECK_EQ(hk_mutex_lock(&one->mutex), 0);
        __atomic_store_n(&offered, one, __ATOMIC_RELEASE);
        while (!one->is_ready)
            CHECK_EQ(hk_cond_wait(&one->cond, &one->mutex), 0);
        hk_mutex_unlock(&one->mutex);
        memset(one, 0xff, sizeof(*one));
        free(one);
    }
    return 0;
}

static int signal_what_is_offered(void *arg)
{
    (void)arg;
    for (int i = 0; i < LIVES; i++) {
        struct short_lived *one;

        while (!(one = __atomic_exchange_n(&offered, NULL, __ATOMIC_ACQ_REL)))
            relax();
        CHECK_EQ(hk_mutex_lock(&one->mutex), 0);
        one->is_ready = true;
        hk_cond_signal(&one->cond);
        hk_mutex_unlock(&one->mutex);
    }
    return 0;
}

static void it_may_be_freed_by_who_waited_last(void **state)
{
    (void)state;
    run_in_every_placing(wait_and_free, signal_what_is_offered);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_take_turns),
        cmocka_unit_test(no_signal_is_lost_to_a_cancelled_waiter),
        cmocka_unit_test(c2_a_cancelled_waiter_leaves_the_signal_to_the_next),
        cmocka_unit_test(c1_a_waiter_cancelled_after_the_signal_keeps_it),
        cmocka_unit_test(a_signal_wakes_one),
        cmocka_unit_test(a_broadcast_wakes_all_one_after_the_other),
        cmocka_unit_test(it_waits_with_mutexes_of_every_kind),
        cmocka_unit_test(a_deadline_ends_the_wait),
        cmocka_unit_test(who_can_never_be_signalled_is_told),
        cmocka_unit_test(statistics_count_waiters_and_waits),
        cmocka_unit_test(it_may_be_freed_by_who_waited_last),
    };

    return cmocka_run_group_tests_name("condition", tests, NULL, NULL);
}
