/* SPDX-License-Identifier: MIT */
/*
 * The virtual clock of the testing kit: it stands still while anybody can run, jumps to
 * the next timer when all wait, and lets callbacks come first; waiting until all wait.
 */
#include "support/core_test.h"

/* ---- virtual clock ---- */

static int sleep_for_a_day(void *arg)
{
    int64_t begin = hk_now();

    (void)arg;
    CHECK_EQ(hk_sleep(24 * 3600 * HK_SECOND), 0);
    CHECK_EQ(hk_now(), begin + 24 * 3600 * HK_SECOND);
    return 0;
}

static void virtual_clock_jumps_when_every_task_waits(void **state)
{
    int64_t begin = real_time_ns();

    (void)state;
    for (int i = 0; i < 100; i++)
        assert_int_equal(run_virtual(sleep_for_a_day, NULL), 0);
    assert_true(real_time_ns() - begin < 60 * HK_SECOND);
}

TASK_TEST(virtual_clock_stands_still_while_a_task_can_run)
{
    int64_t begin = hk_now(), real = real_time_ns();

    while (real_time_ns() - real < 3 * HK_MILLISECOND)
        CHECK_EQ(hk_yield(), 0);
    CHECK_EQ(hk_now(), begin);
    return 0;
}

static hk_chan *log_of_times;

static int log_after(void *arg)
{
    int64_t after = *(int64_t *)arg;

    CHECK_EQ(hk_sleep(after), 0);
    CHECK_EQ(hk_chan_send(log_of_times, &after), 0);
    return 0;
}

TASK_TEST(virtual_clock_wakes_sleepers_in_order_of_time)
{
    int64_t times[50], last = 0, now;
    hk_scope s = HK_SCOPE_INIT;
    uint64_t random = 3;

    CHECK_EQ(hk_chan_new(sizeof(int64_t), 50, &log_of_times), 0);
    hk_scope_open(&s);
    for (int i = 0; i < 50; i++) {
        times[i] = (int64_t)below(&random, 100 * (uint64_t)HK_SECOND) + 1;
        hk_spawn(&s, log_after, &times[i]);
    }
    CHECK_EQ(hk_scope_join(&s), 0);
    for (int i = 0; i < 50; i++) {
        CHECK_EQ(hk_chan_try_recv(log_of_times, &now), 0);
        CHECK(now >= last);
        last = now;
    }
    hk_chan_free(log_of_times);
    return 0;
}

/* ---- a callback is called before the clock goes on ---- */

static const hk_wait_kind callback_kind = {.name = "callback"};
static int64_t called_at;

static void note_time(hk_waiter *w)
{
    (void)w;
    __atomic_store_n(&called_at, hk_now(), __ATOMIC_RELEASE);
}

struct early_timer {
    hk_timer timer;
    hk_waiter waiter;
};

static void wake_callback(hk_timer *timer)
{
    hk_wake(&((struct early_timer *)(void *)timer)->waiter, 0);
}

TASK_TEST(virtual_clock_stands_still_until_callbacks_were_called)
{
    struct early_timer early = {.timer = {.hki_link = NULL}};
    int64_t begin = hk_now();

    CHECK_EQ(hk_waiter_init_callback(&early.waiter, &callback_kind, NULL, note_time),
             0);
    hk_timer_set(&early.timer, begin + HK_SECOND, wake_callback);
    CHECK_EQ(hk_sleep(HK_SECOND + 1), 0);
    CHECK_EQ(__atomic_load_n(&called_at, __ATOMIC_ACQUIRE), begin + HK_SECOND);
    return 0;
}

TASK_TEST(advance_fires_timers_in_order_each_at_its_own_time)
{
    int64_t ten = 10, twenty = 20, begin = hk_now(), got;
    hk_scope s = HK_SCOPE_INIT;

    CHECK_EQ(hk_chan_new(sizeof(int64_t), 5, &log_of_times), 0);
    hk_scope_open(&s);
    hk_spawn(&s, log_after, &twenty);
    hk_spawn(&s, log_after, &ten);
    CHECK_EQ(hk_yield(), 0);
    CHECK_EQ(hk_test_advance(9), 0);
    CHECK_EQ(hk_now(), begin + 9);
    CHECK_EQ(hk_chan_count(log_of_times), 0);
    CHECK_EQ(hk_test_advance(1), 0);
    CHECK_EQ(hk_chan_count(log_of_times), 1);
    CHECK_EQ(hk_test_advance(HK_SECOND), 0);
    CHECK_EQ(hk_now(), begin + 10 + HK_SECOND);
    CHECK_EQ(hk_chan_count(log_of_times), 2);
    CHECK_EQ(hk_chan_try_recv(log_of_times, &got), 0);
    CHECK_EQ(got, 10);
    CHECK_EQ(hk_scope_join(&s), 0);
    hk_chan_free(log_of_times);
    return 0;
}

TASK_TEST(advance_in_a_cancelled_scope_is_cancelled)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_test_advance(5), -ECANCELED);
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

static int advance(void *arg)
{
    (void)arg;
    return hk_test_advance(1);
}

PANIC_TEST(advance_without_a_virtual_clock_panics, "without a virtual clock")
{
    return hk_run(advance, NULL, NULL);
}

PANIC_TEST(wait_all_blocked_on_a_plain_thread_panics, "on a plain thread")
{
    return hk_test_wait_all_blocked();
}

/* ---- wait until all wait ---- */

static int yield_100_times(void *arg)
{
    for (int i = 0; i < 100; i++)
        CHECK_EQ(hk_yield(), 0);
    return count_me(arg);
}

TASK_TEST(wait_all_blocked_waits_for_everything_that_can_run)
{
    hk_scope s = HK_SCOPE_INIT;
    int count = 0;

    hk_scope_open(&s);
    hk_spawn(&s, yield_100_times, &count);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(count, 1);
    CHECK_EQ(hk_test_wait_all_blocked(), 0); /* with nobody else as well */
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(advance_without_a_virtual_clock_panics),
        cmocka_unit_test(wait_all_blocked_on_a_plain_thread_panics),
        cmocka_unit_test(virtual_clock_jumps_when_every_task_waits),
        cmocka_unit_test(virtual_clock_stands_still_while_a_task_can_run),
        cmocka_unit_test(virtual_clock_wakes_sleepers_in_order_of_time),
        cmocka_unit_test(virtual_clock_stands_still_until_callbacks_were_called),
        cmocka_unit_test(advance_fires_timers_in_order_each_at_its_own_time),
        cmocka_unit_test(advance_in_a_cancelled_scope_is_cancelled),
        cmocka_unit_test(wait_all_blocked_waits_for_everything_that_can_run),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
