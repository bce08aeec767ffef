/* SPDX-License-Identifier: MIT */
/*
 * Futures as promises: set once, awaited by tasks and plain threads, in a select, and
 * through those that stand for several. Rules 21 to 23 of the design, with what cancels
 * each waiting call. Jobs are in test_executor_tasks.c.
 */
#include "support/core_test.h"
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

/* ---- several ---- */

enum { COUNT = 4 };

static void make(hk_future **futures)
{
    for (int i = 0; i < COUNT; i++)
        futures[i] = hk_future_new();
}

static void free_all(hk_future **futures)
{
    for (int i = 0; i < COUNT; i++)
        hk_future_free(futures[i]);
}

struct many {
    hk_future *futures[COUNT];
    hk_wait_until until;
    int rc;
    int done;
};

static int wait_for_many(void *arg)
{
    struct many *m = arg;

    m->rc = hk_wait(m->futures, COUNT, m->until);
    poke(&m->done, 1);
    return 0;
}

/* How many must be set (`failing` with an error) until hk_wait returns, and what. */
static int count_until(hk_wait_until until, int failing)
{
    struct many m = {.until = until};
    hk_scope s = HK_SCOPE_INIT;
    int needed = 0;

    make(m.futures);
    hk_scope_open(&s);
    hk_spawn(&s, wait_for_many, &m);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    while (!peek(&m.done)) {
        if (needed == failing)
            CHECK_EQ(hk_future_fail(m.futures[needed], -EIO), 0);
        else
            CHECK_EQ(hk_future_set(m.futures[needed], 0, NULL, 0), 0);
        needed++;
        CHECK_EQ(hk_test_wait_all_blocked(), 0);
    }
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(m.rc, needed);
    free_all(m.futures);
    return needed;
}

TASK_TEST(wait_returns_when_enough_are_done)
{
    CHECK_EQ(count_until(HK_UNTIL_FIRST, COUNT), 1);
    CHECK_EQ(count_until(HK_UNTIL_ALL, COUNT), COUNT);
    CHECK_EQ(count_until(HK_UNTIL_ALL, 0), COUNT);
    CHECK_EQ(count_until(HK_UNTIL_FAILED, COUNT), COUNT);
    CHECK_EQ(count_until(HK_UNTIL_FAILED, 1), 2);
    CHECK_EQ(hk_wait(NULL, 0, HK_UNTIL_FIRST), 0);
    return 0;
}

TASK_TEST(a_cancelled_wait_for_many_leaves_them_alone)
{
    struct many m = {.until = HK_UNTIL_ALL};
    hk_scope s = HK_SCOPE_INIT;

    make(m.futures);
    hk_scope_open(&s);
    hk_spawn(&s, wait_for_many, &m);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(m.rc, -ECANCELED);
    for (int i = 0; i < COUNT; i++)
        CHECK_EQ(hk_future_set(m.futures[i], 0, NULL, 0), 0);
    free_all(m.futures);
    return 0;
}

TASK_TEST(the_same_future_may_be_in_several_places)
{
    hk_future *f = hk_future_new(), *both[2] = {f, f}, *all;

    CHECK_EQ(hk_future_set(f, 0, NULL, 0), 0);
    CHECK_EQ(hk_wait(both, 2, HK_UNTIL_ALL), 2);
    all = hk_gather(both, 2);
    CHECK_EQ(hk_future_await(all, NULL), 0);
    hk_future_free(all);
    hk_future_free(f);
    return 0;
}

TASK_TEST(as_completed_gives_them_in_order_of_completion)
{
    hk_future *futures[COUNT];
    hk_completed it;

    make(futures);
    CHECK_EQ(hk_future_set(futures[2], 0, NULL, 0), 0);
    CHECK_EQ(hk_as_completed(&it, futures, COUNT), 0);
    CHECK_EQ(hk_completed_next(&it), 2);
    CHECK_EQ(hk_future_fail(futures[3], -EIO), 0);
    CHECK_EQ(hk_future_set(futures[0], 0, NULL, 0), 0);
    CHECK_EQ(hk_completed_next(&it), 3);
    CHECK_EQ(hk_completed_next(&it), 0);
    CHECK_EQ(hk_future_set(futures[1], 0, NULL, 0), 0);
    CHECK_EQ(hk_completed_next(&it), 1);
    CHECK_EQ(hk_completed_next(&it), -ENOENT);
    hk_completed_end(&it);
    CHECK_EQ(hk_completed_next(&it), -ENOENT);
    free_all(futures);
    return 0;
}

TASK_TEST(a_cancel_of_as_completed_loses_none)
{
    hk_future *futures[COUNT];
    hk_completed it;
    hk_scope s = HK_SCOPE_INIT;

    make(futures);
    CHECK_EQ(hk_as_completed(&it, futures, COUNT), 0);
    hk_scope_open(&s);
    hk_scope_deadline(&s, hk_now() + HK_SECOND);
    CHECK_EQ(hk_completed_next(&it), -ECANCELED);
    CHECK_EQ(hk_completed_next(&it), -ECANCELED);
    CHECK_EQ(hk_scope_join(&s), -ETIMEDOUT);
    for (int i = 0; i < COUNT; i++)
        CHECK_EQ(hk_future_set(futures[i], 0, NULL, 0), 0);
    for (int i = 0; i < COUNT; i++)
        CHECK_EQ(hk_completed_next(&it), i);
    hk_completed_end(&it);
    free_all(futures);
    return 0;
}

/* ---- gather and shield ---- */

TASK_TEST(gather_is_done_when_all_are)
{
    hk_future *futures[COUNT], *all;

    make(futures);
    all = hk_gather(futures, COUNT);
    for (int i = 0; i < COUNT; i++) {
        CHECK(!hk_future_is_done(all));
        CHECK_EQ(hk_future_set(futures[i], i, NULL, 0), 0);
    }
    CHECK_EQ(hk_future_await(all, NULL), 0);
    hk_future_free(all);
    free_all(futures);
    all = hk_gather(NULL, 0);
    CHECK_EQ(hk_future_await(all, NULL), 0);
    hk_future_free(all);
    return 0;
}

TASK_TEST(gather_fails_at_once_with_the_first_error)
{
    hk_future *futures[COUNT], *all;

    make(futures);
    all = hk_gather(futures, COUNT);
    CHECK_EQ(hk_future_fail(futures[2], -EIO), 0);
    CHECK_EQ(hk_future_try(all, NULL), -EIO);
    CHECK_EQ(hk_future_fail(futures[1], -ENOENT), 0);
    CHECK_EQ(hk_future_try(all, NULL), -EIO);
    hk_future_free(all); /* two of them are still observed */
    CHECK_EQ(hk_future_set(futures[0], 0, NULL, 0), 0);
    free_all(futures);
    return 0;
}

TASK_TEST(a_cancel_of_a_gather_cancels_all)
{
    hk_future *futures[COUNT], *all;

    make(futures);
    CHECK_EQ(hk_future_set(futures[0], 0, NULL, 0), 0);
    all = hk_gather(futures, COUNT);
    CHECK_EQ(hk_future_cancel(all, HK_CANCEL), 0);
    CHECK_EQ(hk_future_try(all, NULL), -EIDRM);
    CHECK_EQ(hk_future_try(futures[0], NULL), 0);
    for (int i = 1; i < COUNT; i++)
        CHECK_EQ(hk_future_try(futures[i], NULL), -EIDRM);
    hk_future_free(all);
    free_all(futures);
    return 0;
}

TASK_TEST(a_gather_keeps_the_futures_it_stands_on)
{
    hk_future *futures[COUNT], *all;

    make(futures);
    all = hk_gather(futures, COUNT);
    free_all(futures);
    hk_future_free(all);
    return 0;
}

TASK_TEST(a_shield_passes_the_result_on_and_no_cancel)
{
    hk_future *f = hk_future_new(), *a = hk_shield_future(f), *b = hk_shield_future(f);
    hk_bytes out;

    CHECK_EQ(hk_future_cancel(a, HK_KILL), 0);
    CHECK_EQ(hk_future_try(a, NULL), -EIDRM);
    CHECK(!hk_future_is_done(f));
    CHECK_EQ(hk_future_set(f, 6, "six", 4), 0);
    hk_future_free(f);
    CHECK_EQ(hk_future_await(b, &out), 6);
    CHECK(strcmp(out.data, "six") == 0);
    hk_future_free(a);
    hk_future_free(b);
    return 0;
}

TASK_TEST(what_is_known_of_an_error)
{
    hk_future *f = hk_future_new();
    hk_job_error error;

    CHECK_EQ(hk_future_error(f, &error), -EAGAIN);
    CHECK_EQ(hk_future_fail(f, -EIO), 0);
    CHECK_EQ(hk_future_error(f, &error), 0);
    CHECK(error.error == -EIO && error.signal == 0 && error.exit_status == -1);
    hk_future_free(f);
    return 0;
}

/* Rule 38: a promise that nobody can ever set. */
static int await_for_ever(void *arg)
{
    return hk_future_await(arg, NULL);
}

static void an_await_that_nothing_can_end_is_a_deadlock(void **state)
{
    hk_future *f;

    (void)state;
    if (UNDER_TSAN || UNDER_ASAN) /* their threads are not known to hocket */
        return;
    f = hk_future_new();
    assert_int_equal(hk_run(await_for_ever, f, NULL), -EDEADLK);
    hk_future_free(f);
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
        cmocka_unit_test(wait_returns_when_enough_are_done),
        cmocka_unit_test(a_cancelled_wait_for_many_leaves_them_alone),
        cmocka_unit_test(the_same_future_may_be_in_several_places),
        cmocka_unit_test(as_completed_gives_them_in_order_of_completion),
        cmocka_unit_test(a_cancel_of_as_completed_loses_none),
        cmocka_unit_test(gather_is_done_when_all_are),
        cmocka_unit_test(gather_fails_at_once_with_the_first_error),
        cmocka_unit_test(a_cancel_of_a_gather_cancels_all),
        cmocka_unit_test(a_gather_keeps_the_futures_it_stands_on),
        cmocka_unit_test(a_shield_passes_the_result_on_and_no_cancel),
        cmocka_unit_test(what_is_known_of_an_error),
        cmocka_unit_test(an_await_that_nothing_can_end_is_a_deadlock),
        cmocka_unit_test(waits_are_cancelled_at_every_point),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
