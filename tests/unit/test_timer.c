/* SPDX-License-Identifier: MIT */
/*
 * Timers through the public calls, on the virtual clock, where every time is exact. The
 * wheel behind them is in test_wheel.c.
 */
#include "support/core_test.h"

static int order[64];
static int order_count;

struct numbered {
    hk_timer timer;
    int number;
    int64_t at_ns;
};

static void note_order(hk_timer *timer)
{
    struct numbered *n = (struct numbered *)(void *)timer;

    CHECK_EQ(hk_now(), n->at_ns); /* the virtual clock stands exactly there */
    order[order_count] = n->number;
    poke(&order_count, order_count + 1);
}

TASK_TEST(timer_fires_at_its_very_nanosecond_in_order_of_time)
{
    const int64_t after_ns[] = {70, 7, HK_SECOND, 3 * HK_SECOND + 1, 8, 9999999, 7};
    struct numbered timers[7] = {0};
    int64_t begin = hk_now();

    poke(&order_count, 0);
    for (int i = 0; i < 7; i++) {
        timers[i].number = i;
        timers[i].at_ns = begin + after_ns[i];
        hk_timer_set(&timers[i].timer, timers[i].at_ns, note_order);
    }
    CHECK_EQ(hk_sleep(4 * HK_SECOND), 0);
    CHECK_EQ(hk_now(), begin + 4 * HK_SECOND);
    CHECK_EQ(peek(&order_count), 7);
    const int expected[] = {1, 6, 4, 0, 5, 2, 3};
    for (int i = 0; i < 7; i++)
        CHECK_EQ(order[i], expected[i]);
    return 0;
}

TASK_TEST(timer_that_is_set_again_is_moved)
{
    struct numbered t = {.number = 1, .at_ns = hk_now() + 50};

    poke(&order_count, 0);
    hk_timer_set(&t.timer, hk_now() + 5, note_order);
    hk_timer_set(&t.timer, t.at_ns, note_order);
    CHECK_EQ(hk_sleep(100), 0);
    CHECK_EQ(peek(&order_count), 1);
    return 0;
}

TASK_TEST(timer_cancel_says_whether_it_was_set)
{
    struct numbered t = {0};

    poke(&order_count, 0);
    CHECK(!hk_timer_cancel(&t.timer)); /* valid when zeroed */
    hk_timer_set(&t.timer, hk_now() + 5, note_order);
    CHECK(hk_timer_cancel(&t.timer));
    CHECK(!hk_timer_cancel(&t.timer));
    CHECK_EQ(hk_sleep(100), 0);
    CHECK_EQ(peek(&order_count), 0);
    t.at_ns = hk_now() + 5;
    hk_timer_set(&t.timer, t.at_ns, note_order);
    CHECK_EQ(hk_sleep(100), 0);
    CHECK_EQ(peek(&order_count), 1);
    CHECK(!hk_timer_cancel(&t.timer)); /* it has fired */
    return 0;
}

static int periods;

static void every_ms(hk_timer *timer)
{
    poke(&periods, periods + 1);
    if (periods < 1000)
        hk_timer_set(timer, hk_now() + HK_MILLISECOND, every_ms);
}

TASK_TEST(timer_may_set_itself_again_in_its_callback)
{
    hk_timer t = {0};
    int64_t begin = hk_now();

    poke(&periods, 0);
    hk_timer_set(&t, begin + HK_MILLISECOND, every_ms);
    CHECK_EQ(hk_sleep(999 * HK_MILLISECOND), 0);
    CHECK(peek(&periods) >= 998 && peek(&periods) <= 999);
    CHECK_EQ(hk_sleep(2 * HK_MILLISECOND), 0);
    CHECK_EQ(peek(&periods), 1000);
    CHECK_EQ(hk_now(), begin + 1001 * HK_MILLISECOND);
    return 0;
}

static int overdue_fired;

static void count_overdue(hk_timer *timer)
{
    (void)timer;
    poke(&overdue_fired, overdue_fired + 1);
}

TASK_TEST(timer_in_the_past_fires_in_the_next_turn)
{
    hk_timer t = {0}, zero = {0}, negative = {0};

    poke(&overdue_fired, 0);
    hk_timer_set(&t, hk_now() - HK_SECOND, count_overdue);
    hk_timer_set(&zero, 0, count_overdue);
    hk_timer_set(&negative, -5, count_overdue);
    CHECK_EQ(peek(&overdue_fired), 0); /* never inside the call */
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(peek(&overdue_fired), 3);
    return 0;
}

static int sleep_real(void *arg)
{
    int64_t begin = real_time_ns();

    CHECK_EQ(hk_sleep(*(int64_t *)arg), 0);
    CHECK(real_time_ns() - begin >= *(int64_t *)arg);
    return 0;
}

static int many_real_sleeps(void *arg)
{
    int64_t durations[100];
    hk_scope s = HK_SCOPE_INIT;
    uint64_t random = 5;

    (void)arg;
    hk_scope_open(&s);
    for (int i = 0; i < 100; i++) {
        durations[i] = (int64_t)below(&random, 20 * (uint64_t)HK_MILLISECOND);
        hk_spawn(&s, sleep_real, &durations[i]);
    }
    return hk_scope_join(&s);
}

static void sleep_on_the_real_clock_is_never_early(void **state)
{
    (void)state;
    assert_int_equal(hk_run(many_real_sleeps, NULL, NULL), 0);
}

static int sleep_half_of_eternity(void *arg)
{
    int64_t cpu_ns = cpu_time_ns();

    __atomic_store_n((uint64_t *)arg, hk_task_self().value, __ATOMIC_RELEASE);
    CHECK_EQ(hk_sleep(HK_NEVER / 2), -ECANCELED);
    CHECK(cpu_time_ns() - cpu_ns < 150 * HK_MILLISECOND);
    return 0;
}

/* The duration is what the processor time is compared with, not a synchronisation. */
static void *cancel_after_a_while(void *arg)
{
    CHECK_EQ(hk_sleep(300 * HK_MILLISECOND), 0);
    CHECK_EQ(hk_task_cancel(
                 (hk_task_id){__atomic_load_n((uint64_t *)arg, __ATOMIC_ACQUIRE)}),
             0);
    return NULL;
}

static void sleep_of_a_century_does_not_spin(void **state)
{
    uint64_t id = 0;
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, cancel_after_a_while, &id), 0);
    assert_int_equal(hk_run(sleep_half_of_eternity, &id, NULL), 0);
    pthread_join(thread, NULL);
}

PANIC_TEST(timer_set_on_a_plain_thread_panics, "timers belong to a worker")
{
    hk_timer t = {0};

    hk_timer_set(&t, 0, every_ms);
    return 0;
}

static void wait_in_callback(hk_timer *timer)
{
    (void)timer;
    (void)hk_sleep(1);
}

PANIC_IN_A_TASK(timer_callback_that_waits_panics, "inside a callback of the event loop")
{
    hk_timer t = {0};

    hk_timer_set(&t, hk_now() + 1, wait_in_callback);
    return hk_sleep(HK_SECOND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timer_set_on_a_plain_thread_panics),
        cmocka_unit_test(timer_callback_that_waits_panics),
        cmocka_unit_test(timer_fires_at_its_very_nanosecond_in_order_of_time),
        cmocka_unit_test(timer_that_is_set_again_is_moved),
        cmocka_unit_test(timer_cancel_says_whether_it_was_set),
        cmocka_unit_test(timer_may_set_itself_again_in_its_callback),
        cmocka_unit_test(timer_in_the_past_fires_in_the_next_turn),
        cmocka_unit_test(sleep_on_the_real_clock_is_never_early),
        cmocka_unit_test(sleep_of_a_century_does_not_spin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
