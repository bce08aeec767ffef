/* SPDX-License-Identifier: MIT */
/*
 * Shows case by case, with the parties in step, that readers share and a writer is
 * alone, and that whoever would wait for itself is refused. What many at once find is
 * in test_rwlock_crowd.c.
 */
#include "rwlock_test.h"

static void await_waiters(uint32_t count)
{
    while (stats_now().waiters != count)
        relax();
}

static uint32_t stage_now(const uint32_t *stage)
{
    return __atomic_load_n(stage, __ATOMIC_ACQUIRE);
}

static void run_in_every_placing(hk_task_fn *first, hk_task_fn *second,
                                 hk_task_fn *third)
{
    for (enum placing placing = 0; placing < PLACINGS; placing++) {
        struct ensemble e = {.placing = placing};
        uint32_t stage = 0;

        hk_rwlock_init(&lock);
        check_doing = placing_name[placing];
        add_party(&e, first, &stage);
        add_party(&e, second, &stage);
        if (third)
            add_party(&e, third, &stage);
        run_ensemble(&e, NULL);
        check_is_as_new();
    }
}

/* ---- single calls ---- */

static int call_everything(void *arg)
{
    (void)arg;
    CHECK(!hk_rwlock_is_read(&lock) && !hk_rwlock_is_written(&lock));
    CHECK_EQ(hk_rwlock_read_lock(&lock), 0);
    CHECK(hk_rwlock_is_read(&lock) && !hk_rwlock_is_written(&lock));
    CHECK_EQ(stats_now().holders, 1);
    hk_rwlock_read_unlock(&lock);
    CHECK_EQ(hk_rwlock_write_lock(&lock), 0);
    CHECK(!hk_rwlock_is_read(&lock) && hk_rwlock_is_written(&lock));
    CHECK_EQ(stats_now().holders, 1);
    hk_rwlock_unlock(&lock);
    hk_rwlock_read_lock_shielded(&lock);
    CHECK_EQ(hk_rwlock_try_read_lock(&lock), 0); /* once more */
    CHECK_EQ(stats_now().holders, 1);
    hk_rwlock_unlock(&lock);
    CHECK(hk_rwlock_is_read(&lock));
    hk_rwlock_unlock(&lock);
    hk_rwlock_write_lock_shielded(&lock);
    hk_rwlock_unlock(&lock);
    CHECK_EQ(hk_rwlock_try_write_lock(&lock), 0);
    hk_rwlock_unlock(&lock);
    CHECK_EQ(stats_now().holders, 0);
    return 0;
}

static void it_is_locked_and_unlocked_in_all_ways(void **state)
{
    (void)state;
    hk_rwlock_init(&lock);
    assert_int_equal(hk_run(call_everything, NULL, NULL), 0);
    assert_int_equal(call_everything(NULL), 0); /* on a plain thread */
    check_is_as_new();
}

/* ---- who would wait for itself is refused ---- */

static int ask_for_too_much(void *arg)
{
    (void)arg;
    CHECK_EQ(hk_rwlock_read_lock(&lock), 0);
    CHECK_EQ(hk_rwlock_write_lock(&lock), -EDEADLK);
    CHECK_EQ(hk_rwlock_try_write_lock(&lock), -EDEADLK);
    CHECK_EQ(hk_rwlock_read_lock(&lock), 0);
    CHECK_EQ(hk_rwlock_write_lock(&lock), -EDEADLK);
    hk_rwlock_read_unlock(&lock);
    CHECK_EQ(hk_rwlock_write_lock(&lock), -EDEADLK);
    hk_rwlock_read_unlock(&lock);
    CHECK_EQ(hk_rwlock_write_lock(&lock), 0);
    CHECK_EQ(hk_rwlock_write_lock(&lock), -EDEADLK);
    CHECK_EQ(hk_rwlock_try_write_lock(&lock), -EDEADLK);
    CHECK_EQ(hk_rwlock_read_lock(&lock), -EDEADLK);
    CHECK_EQ(hk_rwlock_try_read_lock(&lock), -EDEADLK);
    CHECK(!hk_rwlock_is_read(&lock));
    hk_rwlock_write_unlock(&lock);
    return 0;
}

static void who_would_wait_for_itself_is_refused(void **state)
{
    (void)state;
    hk_rwlock_init(&lock);
    assert_int_equal(hk_run(ask_for_too_much, NULL, NULL), 0);
    assert_int_equal(ask_for_too_much(NULL), 0); /* on a plain thread */
    check_is_as_new();
}

/* ---- readers share; a waiting writer stops new ones, but not those inside ---- */

static int read_beside_a_writer(void *arg)
{
    uint32_t *stage = arg;

    CHECK_EQ(hk_rwlock_read_lock(&lock), 0);
    reach(stage, 1);
    await_stage(stage, 2); /* the other reads, too */
    await_waiters(1);      /* the writer waits */
    CHECK_EQ(hk_rwlock_read_lock(&lock), 0);
    CHECK_EQ(stats_now().holders, 2);
    hk_rwlock_read_unlock(&lock);
    reach(stage, 3);
    await_stage(stage, 4);
    hk_rwlock_read_unlock(&lock);
    return 0;
}

static int read_together_and_again(void *arg)
{
    uint32_t *stage = arg;

    await_stage(stage, 1);
    CHECK_EQ(hk_rwlock_read_lock(&lock), 0);
    CHECK_EQ(stats_now().holders, 2);
    reach(stage, 2);
    await_stage(stage, 3);
    hk_rwlock_read_unlock(&lock);
    CHECK_EQ(hk_rwlock_try_read_lock(&lock), -EAGAIN);
    CHECK_EQ(stats_now().waiters, 1);
    reach(stage, 4);
    CHECK_EQ(hk_rwlock_read_lock(&lock), 0); /* after the writer */
    CHECK_EQ(stage_now(stage), 5);
    hk_rwlock_read_unlock(&lock);
    return 0;
}

static int write_behind_two_readers(void *arg)
{
    uint32_t *stage = arg;

    await_stage(stage, 2);
    CHECK_EQ(hk_rwlock_write_lock(&lock), 0);
    CHECK_EQ(stage_now(stage), 4);
    reach(stage, 5);
    hk_rwlock_write_unlock(&lock);
    return 0;
}

static void a_waiting_writer_stops_new_readers_only(void **state)
{
    (void)state;
    run_in_every_placing(read_beside_a_writer, read_together_and_again,
                         write_behind_two_readers);
}

/* ---- a reader that was woken in vain is let in by the next unlock ---- */

static int read_once(void *arg)
{
    (void)arg;
    CHECK_EQ(hk_rwlock_read_lock(&lock), 0);
    hk_rwlock_read_unlock(&lock);
    return 0;
}

static int write_again_and_again(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    CHECK_EQ(hk_rwlock_write_lock(&lock), 0);
    hk_scope_open(&s);
    CHECK_EQ(hk_spawn(&s, read_once, NULL), 0);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    hk_rwlock_write_unlock(&lock);
    CHECK_EQ(hk_rwlock_write_lock(&lock), 0); /* before the reader has run */
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(stats_now().waiters, 1);
    CHECK_EQ(stats_now().contended, 1);
    hk_rwlock_write_unlock(&lock);
    CHECK_EQ(hk_rwlock_try_write_lock(&lock), -EAGAIN);
    CHECK_EQ(stats_now().holders, 1);
    return hk_scope_join(&s);
}

static void a_reader_woken_in_vain_is_let_in_by_the_next_unlock(void **state)
{
    hk_options options = {.virtual_clock = true};

    (void)state;
    hk_rwlock_init(&lock);
    assert_int_equal(hk_run(write_again_and_again, NULL, &options), 0);
    check_is_as_new();
}

/* ---- upgrade ---- */

static int upgrade_alone(void *arg)
{
    uint32_t *stage = arg;

    CHECK_EQ(hk_rwlock_read_lock(&lock), 0);
    reach(stage, 1);
    await_stage(stage, 2); /* the other reads */
    CHECK_EQ(hk_rwlock_try_upgrade(&lock), -EAGAIN);
    CHECK(hk_rwlock_is_read(&lock) && !hk_rwlock_is_written(&lock));
    reach(stage, 3);
    await_stage(stage, 4); /* it has left */
    /* One that leaves this very moment may still be in the way. */
    while (hk_rwlock_try_upgrade(&lock) == -EAGAIN)
        relax();
    CHECK(!hk_rwlock_is_read(&lock) && hk_rwlock_is_written(&lock));
    CHECK_EQ(stats_now().holders, 1);
    reach(stage, 5);
    await_waiters(1);
    hk_rwlock_write_unlock(&lock);
    return 0;
}

static int read_in_the_way(void *arg)
{
    uint32_t *stage = arg;

    await_stage(stage, 1);
    CHECK_EQ(hk_rwlock_read_lock(&lock), 0);
    reach(stage, 2);
    await_stage(stage, 3);
    CHECK_EQ(hk_rwlock_try_upgrade(&lock), -EAGAIN); /* nor can the other one */
    hk_rwlock_read_unlock(&lock);
    reach(stage, 4);
    await_stage(stage, 5);
    CHECK_EQ(hk_rwlock_try_read_lock(&lock), -EAGAIN);
    CHECK_EQ(hk_rwlock_read_lock(&lock), 0);
    hk_rwlock_read_unlock(&lock);
    return 0;
}

static void a_reader_that_is_alone_may_upgrade(void **state)
{
    (void)state;
    run_in_every_placing(upgrade_alone, read_in_the_way, NULL);
}

/* ---- cancel ---- */

static hk_scope *victim; /* atomic */

static int want_until_cancelled(int (*want)(hk_rwlock *), uint32_t *stage)
{
    hk_scope s = HK_SCOPE_INIT;

    await_stage(stage, 1);
    hk_scope_open(&s);
    __atomic_store_n(&victim, &s, __ATOMIC_RELEASE);
    CHECK_EQ(want(&lock), -ECANCELED);
    CHECK(!hk_rwlock_is_read(&lock) && !hk_rwlock_is_written(&lock));
    CHECK_EQ(want(&lock), -ECANCELED); /* at entry */
    reach(stage, 2);
    return hk_scope_join(&s);
}

static int want_to_read_until_cancelled(void *arg)
{
    return want_until_cancelled(hk_rwlock_read_lock, arg);
}

static int want_to_write_until_cancelled(void *arg)
{
    return want_until_cancelled(hk_rwlock_write_lock, arg);
}

static void cancel_while(uint32_t *stage)
{
    reach(stage, 1);
    await_waiters(1);
    hk_scope_cancel(__atomic_load_n(&victim, __ATOMIC_ACQUIRE));
    await_stage(stage, 2);
    CHECK_EQ(stats_now().waiters, 0);
}

static int cancel_while_writing(void *arg)
{
    CHECK_EQ(hk_rwlock_write_lock(&lock), 0);
    cancel_while(arg);
    hk_rwlock_write_unlock(&lock);
    return 0;
}

static int cancel_while_reading(void *arg)
{
    CHECK_EQ(hk_rwlock_read_lock(&lock), 0);
    cancel_while(arg);
    CHECK_EQ(hk_rwlock_try_upgrade(&lock), 0); /* nothing of the writer is left */
    hk_rwlock_write_unlock(&lock);
    return 0;
}

static void a_cancel_ends_every_wait(void **state)
{
    (void)state;
    run_in_every_placing(cancel_while_writing, want_to_read_until_cancelled, NULL);
    run_in_every_placing(cancel_while_writing, want_to_write_until_cancelled, NULL);
    run_in_every_placing(cancel_while_reading, want_to_write_until_cancelled, NULL);
}

static int read_while_a_writer_gives_up(void *arg)
{
    uint32_t *stage = arg;

    CHECK_EQ(hk_rwlock_read_lock(&lock), 0);
    reach(stage, 1);
    await_waiters(2); /* the writer, and behind it a reader */
    hk_scope_cancel(__atomic_load_n(&victim, __ATOMIC_ACQUIRE));
    await_stage(stage, 3); /* which now reads beside us */
    hk_rwlock_read_unlock(&lock);
    return 0;
}

static int read_behind_a_writer_that_gives_up(void *arg)
{
    uint32_t *stage = arg;

    await_stage(stage, 1);
    await_waiters(1);
    CHECK_EQ(hk_rwlock_read_lock(&lock), 0);
    await_stage(stage, 2);
    reach(stage, 3);
    hk_rwlock_read_unlock(&lock);
    return 0;
}

static void c2_a_cancelled_writer_lets_the_readers_in(void **state)
{
    (void)state;
    run_in_every_placing(read_while_a_writer_gives_up, want_to_write_until_cancelled,
                         read_behind_a_writer_that_gives_up);
}

static int lock_shielded_when_cancelled(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    await_stage(arg, 1);
    hk_scope_open(&s);
    hk_scope_cancel(&s);
    hk_rwlock_read_lock_shielded(&lock);
    hk_rwlock_unlock(&lock);
    hk_rwlock_write_lock_shielded(&lock);
    hk_rwlock_unlock(&lock);
    return hk_scope_join(&s);
}

static int write_until_another_waits(void *arg)
{
    CHECK_EQ(hk_rwlock_write_lock(&lock), 0);
    reach(arg, 1);
    await_waiters(1);
    hk_rwlock_write_unlock(&lock);
    return 0;
}

static void a_shielded_lock_waits_although_cancelled(void **state)
{
    (void)state;
    run_in_every_placing(write_until_another_waits, lock_shielded_when_cancelled, NULL);
}

/* ---- many locks at once, and no memory to note them ---- */

enum { MANY = 40 };

static void a_reader_may_hold_any_number(void **state)
{
    hk_rwlock many[MANY] = {0};

    (void)state;
    for (int i = 0; i < MANY; i++)
        assert_int_equal(hk_rwlock_read_lock(&many[i]), 0);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(hk_rwlock_write_lock(&many[i]), -EDEADLK);
    for (int i = 0; i < MANY; i += 2)
        hk_rwlock_read_unlock(&many[i]);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(hk_rwlock_is_read(&many[i]), i % 2);
    for (int i = 1; i < MANY; i += 2)
        hk_rwlock_read_unlock(&many[i]);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(hk_rwlock_write_lock(&many[i]), 0);
        hk_rwlock_write_unlock(&many[i]);
        hk_rwlock_fini(&many[i]);
    }
}

static void without_memory_a_fifth_lock_is_refused(void **state)
{
    hk_rwlock five[5] = {0};

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(hk_rwlock_read_lock(&five[i]), 0);
    hk_fault_arm(HK_FAULT_ALLOC, 1, -ENOMEM);
    assert_int_equal(hk_rwlock_read_lock(&five[4]), -ENOMEM);
    assert_false(hk_rwlock_is_read(&five[4]));
    assert_int_equal(hk_rwlock_read_lock(&five[4]), 0);
    for (int i = 0; i < 5; i++)
        hk_rwlock_read_unlock(&five[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_locked_and_unlocked_in_all_ways),
        cmocka_unit_test(who_would_wait_for_itself_is_refused),
        cmocka_unit_test(a_waiting_writer_stops_new_readers_only),
        cmocka_unit_test(a_reader_woken_in_vain_is_let_in_by_the_next_unlock),
        cmocka_unit_test(a_reader_that_is_alone_may_upgrade),
        cmocka_unit_test(a_cancel_ends_every_wait),
        cmocka_unit_test(c2_a_cancelled_writer_lets_the_readers_in),
        cmocka_unit_test(a_shielded_lock_waits_although_cancelled),
        cmocka_unit_test(a_reader_may_hold_any_number),
        cmocka_unit_test(without_memory_a_fifth_lock_is_refused),
    };

    return cmocka_run_group_tests_name("rwlock", tests, NULL, NULL);
}
