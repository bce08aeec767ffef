/* SPDX-License-Identifier: MIT */
/*
 * docs/rules.md, rules 14 to 20, 31 and 32 as far as they can be shown by calls
 * that exist; each test is named after its rule. Virtual clock, one worker, unless
 * said.
 */
#include "support/core_test.h"

#include <fenv.h>

/* ---- 14: misuse, cancel, try, budget, park ---- */

TASK_TEST(rule_14_cancel_comes_before_the_try)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_event set = HK_EVENT_INIT;
    hk_mutex mutex = HK_MUTEX_INIT;
    hk_chan *chan;
    hk_fd fds[2];
    int item = 1;
    char byte;

    CHECK_EQ(hk_chan_new(sizeof(int), 4, &chan), 0);
    CHECK_EQ(hk_chan_send(chan, &item), 0);
    CHECK_EQ(hk_pipe(fds), 0);
    CHECK_EQ(hk_write(fds[1], "ab", 2), 2);
    hk_event_set(&set);
    hk_scope_open(&s);
    hk_scope_cancel(&s); /* all of these could finish at once */
    CHECK_EQ(hk_event_wait(&set), -ECANCELED);
    CHECK_EQ(hk_mutex_lock(&mutex), -ECANCELED);
    CHECK_EQ(hk_chan_recv(chan, &item), -ECANCELED);
    CHECK_EQ(hk_chan_send(chan, &item), -ECANCELED);
    CHECK_EQ(hk_read(fds[0], &byte, 1), -ECANCELED);
    CHECK_EQ(hk_write(fds[1], "x", 1), -ECANCELED);
    CHECK_EQ(hk_sleep(0), -ECANCELED);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK(!hk_mutex_is_held(&mutex)); /* and nothing has happened */
    CHECK_EQ(hk_chan_count(chan), 1);
    CHECK_EQ(hk_read(fds[0], &byte, 1), 1);
    CHECK_EQ(hk_close(fds[0]), 0);
    CHECK_EQ(hk_close(fds[1]), 0);
    hk_chan_free(chan);
    return 0;
}

PANIC_IN_A_TASK(rule_14_misuse_comes_before_the_cancel, "mutex")
{
    hk_scope s = HK_SCOPE_INIT;
    hk_mutex mutex = HK_MUTEX_INIT;

    if (hk_mutex_lock(&mutex) < 0)
        return -1;
    hk_scope_open(&s);
    hk_scope_cancel(&s);
    (void)!hk_mutex_lock(&mutex); /* holds it already */
    return hk_scope_join(&s);
}

/* Counts how often it gets its turn. */
static int take_turns(void *arg)
{
    int *turns = arg;

    while (hk_yield() == 0)
        __atomic_add_fetch(turns, 1, __ATOMIC_RELAXED);
    return 0;
}

TASK_TEST(rule_14_a_task_yields_after_128_calls_that_finished_at_once)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_event set = HK_EVENT_INIT;
    int turns = 0;

    hk_event_set(&set);
    hk_scope_open(&s);
    hk_spawn(&s, take_turns, &turns);
    CHECK_EQ(hk_yield(), 0);
    CHECK_EQ(__atomic_load_n(&turns, __ATOMIC_RELAXED), 0);
    for (int i = 0; i < 128; i++)
        CHECK_EQ(hk_event_wait(&set), 0);
    CHECK_EQ(__atomic_load_n(&turns, __ATOMIC_RELAXED), 1);
    for (int i = 0; i < 1280; i++)
        CHECK_EQ(hk_event_wait(&set), 0);
    CHECK_EQ(__atomic_load_n(&turns, __ATOMIC_RELAXED), 11);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

/* The budget's yield does not swallow a call: what had succeeded is reported, the
 * cancel that came during the yield by the next call. */
static int cancel_scope(void *arg)
{
    hk_scope_cancel(arg);
    return 0;
}

TASK_TEST(rule_14_a_cancel_during_the_budgets_yield_is_for_the_next_call)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_event set = HK_EVENT_INIT;
    int calls = 0, rc;

    hk_event_set(&set);
    hk_scope_open(&s);
    hk_spawn(&s, cancel_scope, &s);
    while ((rc = hk_event_wait(&set)) == 0)
        calls++;
    CHECK_EQ(rc, -ECANCELED);
    CHECK(calls >= 1 && calls <= 128);
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

/* ---- 15: completion beats cancel while parked ---- */

struct reception {
    hk_chan *chan;
    int item, rc;
};

static int receive(void *arg)
{
    struct reception *r = arg;

    r->rc = hk_chan_recv(r->chan, &r->item);
    CHECK_EQ(hk_cancelled(), -ECANCELED);
    return 0;
}

TASK_TEST(rule_15_completion_beats_cancel_and_the_next_call_reports_it)
{
    hk_scope s = HK_SCOPE_INIT;
    struct reception r = {0};
    int item = 42;

    CHECK_EQ(hk_chan_new(sizeof(int), 0, &r.chan), 0);
    hk_scope_open(&s);
    hk_spawn(&s, receive, &r);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(hk_chan_send(r.chan, &item), 0); /* handed over, the receiver is ready */
    hk_scope_cancel(&s);                      /* before it runs */
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(r.rc, 0);
    CHECK_EQ(r.item, 42);
    hk_chan_free(r.chan);
    return 0;
}

/* ---- 16: select ---- */

TASK_TEST(rule_16_select_cancelled_at_entry_consumes_nothing)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_chan *chan;
    int item = 1;

    CHECK_EQ(hk_chan_new(sizeof(int), 1, &chan), 0);
    CHECK_EQ(hk_chan_send(chan, &item), 0);
    hk_scope_open(&s);
    hk_scope_cancel(&s);
    hk_case cases[] = {HK_CASE_RECV(chan, &item), HK_CASE_DEADLINE(0)};
    CHECK_EQ(hk_select(cases, 2), -ECANCELED);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(hk_chan_count(chan), 1);
    hk_chan_free(chan);
    return 0;
}

struct selection {
    hk_chan *a, *b;
    int got_a, got_b, index;
};

static int select_two(void *arg)
{
    struct selection *t = arg;
    hk_case cases[] = {HK_CASE_RECV(t->a, &t->got_a), HK_CASE_RECV(t->b, &t->got_b)};

    t->index = hk_select(cases, 2);
    return 0;
}

TASK_TEST(rule_16_the_first_committed_case_wins_and_losers_consume_nothing)
{
    hk_scope s = HK_SCOPE_INIT;
    struct selection t = {0};
    int one = 1, two = 2;

    CHECK_EQ(hk_chan_new(sizeof(int), 4, &t.a), 0);
    CHECK_EQ(hk_chan_new(sizeof(int), 4, &t.b), 0);
    hk_scope_open(&s);
    hk_spawn(&s, select_two, &t);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(hk_chan_send(t.b, &two), 0);
    CHECK_EQ(hk_chan_send(t.a, &one), 0);
    hk_scope_cancel(&s); /* too late */
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(t.index, 1);
    CHECK_EQ(t.got_b, 2);
    CHECK_EQ(hk_chan_count(t.a), 1);
    CHECK_EQ(hk_chan_count(t.b), 0);
    hk_chan_free(t.a);
    hk_chan_free(t.b);
    return 0;
}

/* Draws 64 times among three ready cases; the draws as a number. */
static int draw(void *arg)
{
    hk_event a = HK_EVENT_INIT, b = HK_EVENT_INIT, c = HK_EVENT_INIT;
    uint64_t *drawn = arg;

    hk_event_set(&a);
    hk_event_set(&b);
    hk_event_set(&c);
    for (int i = 0; i < 40; i++) {
        hk_case cases[] = {HK_CASE_EVENT(&a), HK_CASE_EVENT(&b), HK_CASE_EVENT(&c)};
        int index = hk_select(cases, 3);

        CHECK(index >= 0 && index < 3);
        *drawn = *drawn * 3 + (uint64_t)index;
    }
    return 0;
}

static uint64_t draw_with_seed(uint64_t seed)
{
    hk_options options = {.virtual_clock = true, .seed = seed};
    uint64_t drawn = 0;

    assert_int_equal(hk_run(draw, &drawn, &options), 0);
    return drawn;
}

static void rule_16_of_several_ready_cases_one_is_drawn_by_the_seed(void **state)
{
    uint64_t first = draw_with_seed(7);

    (void)state;
    assert_true(first == draw_with_seed(7)); /* the seed replays it */
    assert_true(first != draw_with_seed(8));
    assert_true(first != 0);
}

/* ---- 17: what is no cancel point ---- */

TASK_TEST(rule_17_try_unlock_set_close_and_free_are_no_cancel_points)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_mutex held = HK_MUTEX_INIT, mutex = HK_MUTEX_INIT;
    hk_event event = HK_EVENT_INIT;
    hk_sem sem;
    hk_chan *chan;
    hk_fd fds[2];
    int item = 3;

    hk_sem_init(&sem, 1);
    CHECK_EQ(hk_chan_new(sizeof(int), 1, &chan), 0);
    CHECK_EQ(hk_pipe(fds), 0);
    CHECK_EQ(hk_mutex_lock(&held), 0);
    hk_scope_open(&s);
    hk_scope_deadline(&s, 0); /* so that a delivery would show in the join */
    hk_mutex_unlock(&held);
    CHECK_EQ(hk_mutex_try_lock(&mutex), 0);
    CHECK_EQ(hk_mutex_try_lock(&held), 0);
    hk_mutex_unlock(&mutex);
    hk_mutex_unlock(&held);
    hk_mutex_lock_shielded(&mutex);
    hk_mutex_unlock(&mutex);
    hk_event_set(&event);
    hk_event_clear(&event);
    CHECK_EQ(hk_sem_try_acquire(&sem), 0);
    hk_sem_release(&sem, 1);
    CHECK_EQ(hk_chan_try_send(chan, &item), 0);
    CHECK_EQ(hk_chan_try_recv(chan, &item), 0);
    CHECK_EQ(hk_chan_try_recv(chan, &item), -EAGAIN);
    hk_chan_close(chan);
    hk_chan_free(chan);
    CHECK_EQ(hk_close(fds[0]), 0);
    CHECK_EQ(hk_close(fds[1]), 0);
    CHECK_EQ(hk_scope_join(&s), 0); /* nothing was delivered */
    return 0;
}

/* ---- 19: budget yields only tasks ---- */

static void rule_19_budget_does_nothing_on_a_plain_thread(void **state)
{
    (void)state;
    for (int i = 0; i < 100000; i++)
        assert_int_equal(hk_budget(), 0);
}

TASK_TEST(rule_19_budget_yields_a_task_after_128_calls)
{
    hk_scope s = HK_SCOPE_INIT;
    int turns = 0;

    hk_scope_open(&s);
    hk_spawn(&s, take_turns, &turns);
    CHECK_EQ(hk_yield(), 0);
    for (int i = 0; i < 127; i++)
        CHECK_EQ(hk_budget(), 0);
    CHECK_EQ(__atomic_load_n(&turns, __ATOMIC_RELAXED), 0);
    CHECK_EQ(hk_budget(), 0);
    CHECK_EQ(__atomic_load_n(&turns, __ATOMIC_RELAXED), 1);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_budget(), 0); /* not a cancel point */
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

/* ---- 20: what belongs to the worker ---- */

static int change_rounding(void *arg)
{
    (void)arg;
    CHECK_EQ(fesetround(FE_UPWARD), 0);
    CHECK_EQ(hk_yield(), 0);
    return 0;
}

TASK_TEST(rule_20_fp_control_belongs_to_the_worker)
{
    hk_scope s = HK_SCOPE_INIT;
    int before = fegetround(), during;

    hk_scope_open(&s);
    hk_spawn(&s, change_rounding, NULL);
    CHECK_EQ(hk_yield(), 0);
    during = fegetround();
    CHECK_EQ(fesetround(before), 0);
    CHECK_EQ(during, FE_UPWARD);
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rule_14_misuse_comes_before_the_cancel),
        cmocka_unit_test(rule_14_cancel_comes_before_the_try),
        cmocka_unit_test(rule_14_a_task_yields_after_128_calls_that_finished_at_once),
        cmocka_unit_test(
            rule_14_a_cancel_during_the_budgets_yield_is_for_the_next_call),
        cmocka_unit_test(rule_15_completion_beats_cancel_and_the_next_call_reports_it),
        cmocka_unit_test(rule_16_select_cancelled_at_entry_consumes_nothing),
        cmocka_unit_test(
            rule_16_the_first_committed_case_wins_and_losers_consume_nothing),
        cmocka_unit_test(rule_16_of_several_ready_cases_one_is_drawn_by_the_seed),
        cmocka_unit_test(rule_17_try_unlock_set_close_and_free_are_no_cancel_points),
        cmocka_unit_test(rule_19_budget_does_nothing_on_a_plain_thread),
        cmocka_unit_test(rule_19_budget_yields_a_task_after_128_calls),
        cmocka_unit_test(rule_20_fp_control_belongs_to_the_worker),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
