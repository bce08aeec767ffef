/* SPDX-License-Identifier: MIT */
/*
 * Futures as promises: set once, awaited by tasks and plain threads, in a select.
 * Rules 21 to 23 of the design, with what cancels each waiting call. Several at once
 * are in test_future_many.c, jobs in test_executor_tasks.c.
 */
#include "future_test.h"

#include "support/torture.h"

#include <sched.h>

/* ---- setting ---- */

TASK_TEST(a_future_is_set_once)
{
    hk_future *f = hk_future_new();
    int value = 42;
    hk_bytes out = {NULL, 0};

    CHECK(!hk_future_is_done(f));
    CHECK_EQ(hk_future_try(f, &out), -EAGAIN);
    CHECK_EQ(hk_future_set(f, 3, &value, sizeof(value)), 0);
    CHECK_EQ(hk_future_set(f, 4, NULL, 0), -EALREADY);
    CHECK_EQ(hk_future_fail(f, -EIO), -EALREADY);
    CHECK_EQ(hk_future_cancel(f, HK_CANCEL), -EALREADY);
    CHECK(hk_future_is_done(f));
    CHECK_EQ(hk_future_await(f, &out), 3);
    CHECK_EQ(out.size, sizeof(value));
    CHECK(memcmp(out.data, &value, sizeof(value)) == 0);
    hk_future_free(f);
    return 0;
}

TASK_TEST(a_large_result_is_copied_to_the_heap)
{
    hk_future *f = hk_future_new();
    char text[1000];
    hk_bytes out;

    memset(text, 'x', sizeof(text));
    CHECK_EQ(hk_future_set(f, 0, text, sizeof(text)), 0);
    CHECK_EQ(hk_future_await(f, &out), 0);
    CHECK(out.data != text && memcmp(out.data, text, sizeof(text)) == 0);
    hk_future_free(f);
    return 0;
}

TASK_TEST(a_failed_future_leaves_out_untouched)
{
    hk_future *f = hk_future_new();
    hk_bytes out = {&f, 7};

    CHECK_EQ(hk_future_fail(f, -EIO), 0);
    CHECK_EQ(hk_future_await(f, &out), -EIO);
    CHECK(out.data == &f && out.size == 7);
    hk_future_free(f);
    return 0;
}

TASK_TEST(rule_22_a_cancelled_future_gives_eidrm)
{
    hk_future *f = hk_future_new(), *g = hk_future_new();

    CHECK_EQ(hk_future_cancel(f, HK_CANCEL_QUEUED), 0);
    CHECK_EQ(hk_future_await(f, NULL), -EIDRM);
    CHECK_EQ(hk_future_fail(g, -ECANCELED), 0);
    CHECK_EQ(hk_future_await(g, NULL), -EIDRM);
    hk_future_free(f);
    hk_future_free(g);
    return 0;
}

TASK_TEST(every_reference_keeps_the_result)
{
    hk_future *f = hk_future_new(), *same = hk_future_ref(f);
    hk_bytes out;

    CHECK(same == f);
    CHECK_EQ(hk_future_set(f, 0, "abc", 4), 0);
    hk_future_free(f);
    CHECK_EQ(hk_future_await(same, &out), 0);
    CHECK(strcmp(out.data, "abc") == 0);
    hk_future_free(same);
    hk_future_free(NULL);
    return 0;
}

static int set_with_faults(void *unused)
{
    char text[100] = "";
    hk_future *f;

    (void)unused;
    hk_fault_arm(HK_FAULT_ALLOC, 1, -ENOMEM);
    f = hk_future_new();
    CHECK(f && hk_future_is_done(f));
    CHECK_EQ(hk_future_await(f, NULL), -ENOMEM);
    CHECK_EQ(hk_future_set(f, 0, NULL, 0), -EALREADY);
    CHECK(hk_future_ref(f) == f);
    hk_future_free(f);
    hk_future_free(f);
    hk_fault_arm(HK_FAULT_ALLOC, 2, -ENOMEM);
    f = hk_future_new();
    CHECK_EQ(hk_future_set(f, 0, text, sizeof(text)), -ENOMEM);
    CHECK_EQ(hk_future_await(f, NULL), -ENOMEM);
    hk_future_free(f);
    hk_fault_arm(HK_FAULT_ALLOC, 0, 0);
    return 0;
}

static void without_memory_a_future_has_failed_with_that(void **state)
{
    (void)state;
    assert_int_equal(run_virtual(set_with_faults, NULL), 0);
}

PANIC_TEST(setting_with_an_error_panics, "an error is set by hk_future_fail")
{
    return hk_future_set(hk_future_new(), -1, NULL, 0);
}

PANIC_TEST(failing_with_no_error_panics, "not an error")
{
    return hk_future_fail(hk_future_new(), 0);
}

/* ---- waiting ---- */

struct waiting {
    hk_future *future;
    int rc;
    int done;
};

static int await_it(void *arg)
{
    struct waiting *w = arg;

    w->rc = hk_future_await(w->future, NULL);
    poke(&w->done, 1);
    return 0;
}

TASK_TEST(all_waiters_get_the_result)
{
    struct waiting w[5];
    hk_future *f = hk_future_new();
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    for (int i = 0; i < 5; i++) {
        w[i] = (struct waiting){.future = f};
        hk_spawn(&s, await_it, &w[i]);
    }
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(hk_future_set(f, 9, NULL, 0), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    for (int i = 0; i < 5; i++)
        CHECK_EQ(w[i].rc, 9);
    hk_future_free(f);
    return 0;
}

TASK_TEST(rule_21_a_cancelled_await_leaves_the_future_alone)
{
    struct waiting w = {.future = hk_future_new()};
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    hk_spawn(&s, await_it, &w);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_future_await(w.future, NULL), -ECANCELED);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(w.rc, -ECANCELED);
    CHECK(!hk_future_is_done(w.future));
    CHECK_EQ(hk_future_set(w.future, 1, NULL, 0), 0);
    CHECK_EQ(hk_future_await(w.future, NULL), 1);
    hk_future_free(w.future);
    return 0;
}

/* Done or not, the call looks for a cancel first. */
TASK_TEST(an_await_of_a_done_future_is_a_cancel_point)
{
    hk_future *f = hk_future_new();
    hk_scope s = HK_SCOPE_INIT;

    CHECK_EQ(hk_future_set(f, 1, NULL, 0), 0);
    hk_scope_open(&s);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_future_await(f, NULL), -ECANCELED);
    CHECK_EQ(hk_future_try(f, NULL), 1);
    CHECK_EQ(hk_scope_join(&s), 0);
    hk_future_free(f);
    return 0;
}

/* C3: in one turn, the result comes first: it wins. */
TASK_TEST(a_result_beats_a_cancel_that_comes_after)
{
    struct waiting w = {.future = hk_future_new()};
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    hk_spawn(&s, await_it, &w);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(hk_future_set(w.future, 5, NULL, 0), 0);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(w.rc, 5);
    hk_future_free(w.future);
    return 0;
}

TASK_TEST(a_deadline_ends_an_await)
{
    hk_future *f = hk_future_new();
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    hk_scope_deadline(&s, hk_now() + HK_SECOND);
    CHECK_EQ(hk_future_await(f, NULL), -ECANCELED);
    CHECK_EQ(hk_scope_join(&s), -ETIMEDOUT);
    hk_future_free(f);
    return 0;
}

static int set_it_soon(void *arg)
{
    CHECK_EQ(hk_sleep(HK_MILLISECOND), 0);
    return hk_future_set(arg, 3, NULL, 0);
}

TASK_TEST(a_select_waits_for_a_future)
{
    hk_future *f = hk_future_new(), *never = hk_future_new();
    hk_case cases[] = {HK_CASE_FUTURE(never), HK_CASE_FUTURE(f)};
    hk_case late[] = {HK_CASE_FUTURE(never), HK_CASE_DEADLINE(hk_now() + HK_SECOND)};
    hk_scope s = HK_SCOPE_INIT;

    CHECK_EQ(hk_try_select(cases, 2), -EAGAIN);
    hk_scope_open(&s);
    hk_spawn(&s, set_it_soon, f);
    CHECK_EQ(hk_select(cases, 2), 1);
    CHECK_EQ(cases[1].result, 3);
    CHECK_EQ(hk_select(cases, 2), 1);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(hk_select(late, 2), 1);
    hk_future_free(f);
    hk_future_free(never);
    return 0;
}

static void *set_from_a_thread(void *arg)
{
    hk_future_set(arg, 8, "thread", 7);
    return NULL;
}

TASK_TEST(a_plain_thread_sets_what_a_task_awaits)
{
    hk_future *f = hk_future_new();
    pthread_t thread;
    hk_bytes out;

    CHECK_EQ(pthread_create(&thread, NULL, set_from_a_thread, f), 0);
    CHECK_EQ(hk_future_await(f, &out), 8);
    CHECK(strcmp(out.data, "thread") == 0);
    pthread_join(thread, NULL);
    hk_future_free(f);
    return 0;
}

static void *set_in_a_runtime(void *arg)
{
    CHECK_EQ(run_workers(1, set_it_soon, arg), 0);
    return NULL;
}

static void a_task_sets_what_a_plain_thread_awaits(void **state)
{
    hk_future *f = hk_future_new();
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, set_in_a_runtime, f), 0);
    assert_int_equal(hk_future_await(f, NULL), 3);
    pthread_join(thread, NULL);
    hk_future_free(f);
}

/* Set and await race, on two threads: whoever comes first, nobody is forgotten. */
static void a_set_races_an_await(void **state)
{
    int rounds = scaled(3000, 300);

    (void)state;
    for (int i = 0; i < rounds; i++) {
        hk_future *f = hk_future_new();
        pthread_t thread;

        assert_int_equal(
            pthread_create(&thread, NULL, set_from_a_thread, hk_future_ref(f)), 0);
        assert_int_equal(hk_future_await(f, NULL), 8);
        pthread_join(thread, NULL);
        hk_future_free(f);
        hk_future_free(f);
    }
}

/* Who sets it has no reference; who sees that it is done gives the last one back. */
static void a_future_is_freed_as_soon_as_it_is_done(void **state)
{
    int rounds = scaled(3000, 300);

    (void)state;
    for (int i = 0; i < rounds; i++) {
        hk_future *f = hk_future_new();
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, set_from_a_thread, f), 0);
        assert_int_equal(hk_future_await(f, NULL), 8);
        hk_future_free(f);
        pthread_join(thread, NULL);
    }
}

/* So it cannot be freed while those who wait are told, or are going to be. */
static void a_future_that_is_watched_is_done_with_its_lock_held(void **state)
{
    hk_future *f = hk_future_new();
    hk_lock *lock = hk_future_waiting.lock(f);
    hk_completed it;
    pthread_t thread;

    (void)state;
    assert_int_equal(hk_as_completed(&it, &f, 1), 0);
    hk_lock_acquire(lock);
    assert_int_equal(pthread_create(&thread, NULL, set_from_a_thread, f), 0);
    while (__atomic_load_n(&lock->hki_word, __ATOMIC_RELAXED) == 1)
        sched_yield();
    assert_false(hk_future_is_done(f));
    hk_lock_release(lock);
    assert_int_equal(hk_completed_next(&it), 0);
    hk_completed_end(&it);
    hk_future_free(f);
    pthread_join(thread, NULL);
}

/* ---- torture: cancelled at each point where it waits ---- */

static int set_unless_cancelled(void *arg)
{
    int rc = hk_sleep(HK_MILLISECOND);

    (void)(rc < 0 ? hk_future_fail(arg, rc) : hk_future_set(arg, 3, NULL, 0));
    return rc;
}

static int wait_in_every_way(hk_future **futures, hk_future *all)
{
    hk_completed it;
    int rc = hk_wait(futures, COUNT, HK_UNTIL_FIRST);

    if (rc < 0)
        return rc;
    rc = hk_as_completed(&it, futures, COUNT);
    for (int i = 0; i < COUNT && rc >= 0; i++)
        rc = (int)hk_completed_next(&it);
    hk_completed_end(&it);
    return rc < 0 ? rc : hk_future_await(all, NULL);
}

static int scenario(void *unused)
{
    hk_future *futures[COUNT], *all;
    hk_scope s = HK_SCOPE_INIT;
    int rc;

    (void)unused;
    make(futures);
    all = hk_gather(futures, COUNT);
    hk_scope_open(&s);
    for (int i = 0; i < COUNT; i++)
        hk_spawn(&s, set_unless_cancelled, futures[i]);
    rc = wait_in_every_way(futures, all);
    rc = hk_scope_end(&s, rc);
    hk_future_free(all);
    free_all(futures);
    return rc == -EIDRM ? -ECANCELED : rc; /* the one who sets it was cancelled */
}

static void waits_are_cancelled_at_every_point(void **state)
{
    hk_options options = {.virtual_clock = true};

    (void)state;
    cancel_at_every_point(scenario, NULL, &options, COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(setting_with_an_error_panics),
        cmocka_unit_test(failing_with_no_error_panics),
        cmocka_unit_test(a_future_is_set_once),
        cmocka_unit_test(a_large_result_is_copied_to_the_heap),
        cmocka_unit_test(a_failed_future_leaves_out_untouched),
        cmocka_unit_test(rule_22_a_cancelled_future_gives_eidrm),
        cmocka_unit_test(every_reference_keeps_the_result),
        cmocka_unit_test(without_memory_a_future_has_failed_with_that),
        cmocka_unit_test(all_waiters_get_the_result),
        cmocka_unit_test(rule_21_a_cancelled_await_leaves_the_future_alone),
        cmocka_unit_test(an_await_of_a_done_future_is_a_cancel_point),
        cmocka_unit_test(a_result_beats_a_cancel_that_comes_after),
        cmocka_unit_test(a_deadline_ends_an_await),
        cmocka_unit_test(a_select_waits_for_a_future),
        cmocka_unit_test(a_plain_thread_sets_what_a_task_awaits),
        cmocka_unit_test(a_task_sets_what_a_plain_thread_awaits),
        cmocka_unit_test(a_set_races_an_await),
        cmocka_unit_test(a_future_is_freed_as_soon_as_it_is_done),
        cmocka_unit_test(a_future_that_is_watched_is_done_with_its_lock_held),
        cmocka_unit_test(waits_are_cancelled_at_every_point),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
