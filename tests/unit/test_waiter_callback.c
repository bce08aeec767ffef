/* SPDX-License-Identifier: MIT */
/*
 * Waiters that call back in place of waking somebody (<hocket/waiter.h>): armed in
 * tasks and on plain threads, called on the loop; and that a callback must not wait.
 */
#include "waiter_test.h"

/* ---- callbacks ---- */

static struct {
    hk_waiter waiter;
    int called;
    int result;
    uint32_t worker;
} callback;

static void note_call(hk_waiter *w)
{
    CHECK(w == &callback.waiter);
    callback.result = w->result;
    callback.worker = hk_worker_index();
    poke(&callback.called, callback.called + 1);
}

TASK_TEST(waiter_callback_runs_on_the_loop_never_inside_the_wake)
{
    memset(&callback, 0, sizeof(callback));
    CHECK_EQ(hk_waiter_init_callback(&callback.waiter, &gate_kind, NULL, note_call), 0);
    hk_wake(&callback.waiter, 21);
    CHECK_EQ(peek(&callback.called), 0);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(peek(&callback.called), 1);
    CHECK_EQ(callback.result, 21);
    return 0;
}

static void wake_another(hk_waiter *w)
{
    hk_wake(w->data, 1);
}

TASK_TEST(waiter_callback_may_wake_a_task)
{
    struct slow slow = {0};
    hk_scope s = HK_SCOPE_INIT;
    hk_waiter w;

    hk_scope_open(&s);
    hk_spawn(&s, slow_wait, &slow);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(hk_waiter_init_callback(&w, &gate_kind, NULL, wake_another), 0);
    w.data = slow.waiter;
    hk_wake(&w, 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(slow.result, 1);
    return 0;
}

static void wait_inside(hk_waiter *w)
{
    (void)w;
    (void)hk_yield();
}

PANIC_IN_A_TASK(waiter_callback_that_waits_panics,
                "inside a callback of the event loop")
{
    hk_waiter w;

    (void)hk_waiter_init_callback(&w, &gate_kind, NULL, wait_inside);
    hk_wake(&w, 0);
    return hk_sleep(1);
}

static void open_inside(hk_waiter *w)
{
    static hk_scope s;

    (void)w;
    hk_scope_open(&s);
}

PANIC_IN_A_TASK(waiter_callback_that_opens_a_scope_panics, "event loop")
{
    hk_waiter w;

    (void)hk_waiter_init_callback(&w, &gate_kind, NULL, open_inside);
    hk_wake(&w, 0);
    return hk_sleep(1);
}

/* ---- a callback armed on a plain thread ---- */

static void raise_event(hk_waiter *w)
{
    CHECK_EQ(hk_worker_count(), 1); /* on the background runtime's loop */
    hk_event_set(w->data);
}

static void waiter_callback_of_a_thread_runs_on_the_background_runtime(void **state)
{
    hk_event event = HK_EVENT_INIT;
    hk_waiter w;

    (void)state;
    assert_int_equal(hk_waiter_init_callback(&w, &gate_kind, NULL, raise_event), 0);
    w.data = &event;
    hk_wake(&w, 0);
    assert_int_equal(hk_event_wait(&event), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waiter_callback_that_waits_panics),
        cmocka_unit_test(waiter_callback_that_opens_a_scope_panics),
        cmocka_unit_test(waiter_callback_runs_on_the_loop_never_inside_the_wake),
        cmocka_unit_test(waiter_callback_may_wake_a_task),
        cmocka_unit_test(waiter_callback_of_a_thread_runs_on_the_background_runtime),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
