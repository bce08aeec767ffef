/* SPDX-License-Identifier: MIT */
/*
 * The contract of <hocket/waiter.h>, shown with a primitive of our own: the gate of its
 * first page, word for word, and one whose wake is under way when it is asked to abort.
 * Waits of tasks and of plain threads; wakes before the park, from the same worker,
 * from another worker, from a thread. Callbacks are in test_waiter_callback.c.
 */
#include "waiter_test.h"

static hk_verdict gate_abort(hk_waiter *w)
{
    struct gate *g = (struct gate *)(uintptr_t)w->object;
    bool removed;

    hk_lock_acquire(&g->lock);
    removed = hk_waiter_remove(&g->queue, w);
    hk_lock_release(&g->lock);
    return removed ? HK_ABORTED : HK_PENDING;
}

static int gate_wait(struct gate *g)
{
    int rc = hk_cancelled();
    hk_waiter w;

    if (rc < 0)
        return rc;
    hk_lock_acquire(&g->lock);
    if (g->open) {
        hk_lock_release(&g->lock);
        return hk_budget();
    }
    hk_waiter_init(&w, &gate_kind, g);
    hk_waiter_push(&g->queue, &w);
    hk_lock_release(&g->lock);
    return hk_park(&w, gate_abort);
}

static void gate_open(struct gate *g, int result)
{
    hk_waiter *w;

    hk_lock_acquire(&g->lock);
    g->open = true;
    while ((w = hk_waiter_pop(&g->queue))) {
        hk_lock_release(&g->lock);
        hk_wake(w, result);
        hk_lock_acquire(&g->lock);
    }
    hk_lock_release(&g->lock);
}

static int wait_at(void *arg)
{
    return gate_wait(arg);
}

static int wait_at_and_expect_7(void *arg)
{
    CHECK_EQ(gate_wait(arg), 7);
    return 0;
}

/* ---- queues ---- */

static void waiter_queue_is_first_in_first_out(void **state)
{
    hk_waiter_queue queue = {0};
    hk_waiter w[5];

    (void)state;
    for (int i = 0; i < 5; i++) {
        hk_waiter_init(&w[i], &gate_kind, NULL);
        hk_waiter_push(&queue, &w[i]);
    }
    assert_true(hk_waiter_remove(&queue, &w[2]));
    assert_false(hk_waiter_remove(&queue, &w[2]));
    assert_true(hk_waiter_remove(&queue, &w[0]));
    assert_true(hk_waiter_remove(&queue, &w[4]));
    assert_ptr_equal(hk_waiter_pop(&queue), &w[1]);
    assert_ptr_equal(hk_waiter_pop(&queue), &w[3]);
    assert_null(hk_waiter_pop(&queue));
    assert_false(hk_waiter_remove(&queue, &w[3])); /* not after a pop either */
    hk_waiter_push(&queue, &w[3]);                 /* and it may be pushed again */
    assert_ptr_equal(hk_waiter_pop(&queue), &w[3]);
    assert_null(queue.head);
    assert_null(queue.tail);
}

static void waiter_claim_goes_to_one_case_of_a_select(void **state)
{
    uint32_t claim = 0;
    hk_waiter a, b, plain;

    (void)state;
    hk_waiter_init(&a, &gate_kind, NULL);
    hk_waiter_init(&b, &gate_kind, NULL);
    hk_waiter_init(&plain, &gate_kind, NULL);
    a.claim = b.claim = &claim;
    assert_true(hk_waiter_claim(&b));
    assert_false(hk_waiter_claim(&a));
    assert_false(hk_waiter_claim(&b));
    assert_true(hk_waiter_claim(&plain));
    assert_true(hk_waiter_claim(&plain));
}

/* ---- park and wake ---- */

TASK_TEST(waiter_park_returns_the_wakes_result)
{
    struct gate g = {0};
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    for (int i = 0; i < 10; i++)
        hk_spawn(&s, wait_at_and_expect_7, &g);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(hk_scope_children(&s), 10);
    gate_open(&g, 7);
    CHECK_EQ(hk_scope_children(&s), 10); /* a wake runs nothing */
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(gate_wait(&g), 0);
    return 0;
}

TASK_TEST(waiter_wake_before_the_park_is_not_lost)
{
    hk_waiter w;

    hk_waiter_init(&w, &gate_kind, NULL);
    hk_wake(&w, 42);
    CHECK_EQ(hk_park(&w, NULL), 42);
    hk_waiter_init(&w, &gate_kind, NULL); /* armed anew */
    hk_wake(&w, -EIO);
    CHECK_EQ(hk_park(&w, gate_abort), -EIO);
    return 0;
}

TASK_TEST(waiter_wake_before_the_park_beats_a_cancel)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_waiter w;

    hk_scope_open(&s);
    hk_waiter_init(&w, &gate_kind, NULL);
    hk_wake(&w, 42);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_park(&w, gate_abort), 42);
    CHECK_EQ(hk_cancelled(), -ECANCELED);
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

static int park_it(void *arg)
{
    return hk_park(arg, NULL);
}

PANIC_IN_A_TASK(waiter_parked_by_another_task_panics, "that another task armed")
{
    hk_scope s = HK_SCOPE_INIT;
    hk_waiter w;

    hk_waiter_init(&w, &gate_kind, NULL);
    hk_scope_open(&s);
    hk_spawn(&s, park_it, &w);
    return hk_scope_join(&s);
}

/* ---- abort ---- */

TASK_TEST(waiter_abort_that_undid_the_wait_ends_the_park_with_ecanceled)
{
    struct gate g = {0};
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    hk_spawn(&s, wait_at, &g);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK(g.queue.head != NULL);
    hk_scope_cancel(&s);
    CHECK(g.queue.head == NULL); /* asked at once, on the worker */
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

TASK_TEST(waiter_abort_that_is_pending_waits_for_the_wake_and_is_asked_once)
{
    struct slow slow = {0};
    hk_scope outer = HK_SCOPE_INIT, s = HK_SCOPE_INIT;

    hk_scope_open(&outer);
    hk_scope_open(&s);
    hk_spawn(&s, slow_wait, &slow);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    hk_scope_cancel(&s);
    CHECK_EQ(slow.asked, 1);
    hk_scope_cancel(&s);
    hk_scope_cancel(&outer);
    CHECK_EQ(slow.asked, 1);
    hk_scope_shield(&s, true);
    hk_scope_shield(&s, false);
    CHECK_EQ(slow.asked, 1);
    CHECK_EQ(hk_scope_children(&s), 1); /* it waits on */
    hk_wake(slow.waiter, 5);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(slow.result, 5); /* completion beats cancel */
    CHECK_EQ(hk_scope_join(&outer), 0);
    return 0;
}

static int slow_wait_cancelled_before(void *arg)
{
    struct slow *slow = arg;

    CHECK_EQ(hk_cancelled(), -ECANCELED);
    return slow_wait(slow); /* a primitive without a check of its own */
}

TASK_TEST(waiter_park_of_a_cancelled_task_asks_at_once)
{
    struct slow slow = {0};
    struct gate g = {0};
    hk_scope s = HK_SCOPE_INIT;
    hk_waiter w;

    hk_scope_open(&s);
    hk_scope_cancel(&s);
    hk_spawn(&s, slow_wait_cancelled_before, &slow);
    hk_waiter_init(&w, &gate_kind, &g);
    hk_waiter_push(&g.queue, &w);
    CHECK_EQ(hk_park(&w, gate_abort), -ECANCELED);
    CHECK(g.queue.head == NULL);
    hk_scope_shield(&s, true);
    CHECK_EQ(hk_yield(), -ECANCELED); /* its own cancel is not hidden */
    hk_scope_shield(&s, false);
    {
        hk_scope shield = HK_SCOPE_INIT;

        hk_scope_open_with(&shield, HK_SCOPE_SHIELDED, NULL);
        CHECK_EQ(hk_test_wait_all_blocked(), 0);
        CHECK_EQ(hk_scope_join(&shield), 0);
    }
    CHECK_EQ(slow.asked, 1);
    hk_wake(slow.waiter, 9);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(slow.result, 9);
    return 0;
}

static int park_uninterruptibly(void *arg)
{
    struct slow *slow = arg;
    hk_waiter w;

    hk_waiter_init(&w, &gate_kind, NULL);
    slow->waiter = &w;
    slow->result = hk_park(&w, NULL);
    CHECK_EQ(hk_cancelled(), -ECANCELED); /* the next call reports it */
    return 0;
}

TASK_TEST(waiter_park_without_an_abort_is_uninterruptible)
{
    struct slow slow = {0};
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    hk_spawn(&s, park_uninterruptibly, &slow);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    hk_scope_cancel(&s);
    {
        hk_scope shield = HK_SCOPE_INIT;

        hk_scope_open_with(&shield, HK_SCOPE_SHIELDED, NULL);
        CHECK_EQ(hk_test_wait_all_blocked(), 0);
        CHECK_EQ(hk_scope_join(&shield), 0);
    }
    CHECK_EQ(hk_scope_children(&s), 1);
    hk_wake(slow.waiter, 3);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(slow.result, 3);
    return 0;
}

/* An abort may cancel other scopes: what the cancel around it has not reached yet is
 * reached all the same. */
enum { CIRCLE = 5 };

static struct circle {
    hk_scope *scopes[CIRCLE];
    int aborted, ended, cancels;
} circle;

static hk_verdict cancel_one_more(hk_waiter *w)
{
    (void)w;
    if (__atomic_fetch_add(&circle.aborted, 1, __ATOMIC_ACQ_REL) == 0)
        hk_scope_cancel(
            __atomic_load_n(&circle.scopes[circle.cancels], __ATOMIC_ACQUIRE));
    return HK_ABORTED;
}

static int wait_in_the_circle(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_waiter w;

    hk_scope_open(&s);
    __atomic_store_n((hk_scope **)arg, &s, __ATOMIC_RELEASE);
    hk_waiter_init(&w, &gate_kind, NULL);
    CHECK_EQ(hk_park(&w, cancel_one_more), -ECANCELED);
    __atomic_add_fetch(&circle.ended, 1, __ATOMIC_ACQ_REL);
    (void)hk_scope_join(&s);
    return 0;
}

TASK_TEST(waiter_abort_may_cancel_other_scopes)
{
    for (int i = 0; i < CIRCLE; i++) {
        hk_scope s = HK_SCOPE_INIT;

        circle = (struct circle){.cancels = i};
        hk_scope_open(&s);
        for (int k = 0; k < CIRCLE; k++)
            hk_spawn(&s, wait_in_the_circle, &circle.scopes[k]);
        CHECK_EQ(hk_sleep(1), 0);
        hk_scope_cancel(&s);
        CHECK_EQ(hk_scope_join(&s), 0);
        CHECK_EQ(circle.aborted, CIRCLE);
        CHECK_EQ(circle.ended, CIRCLE);
    }
    return 0;
}

/* Woken, but not yet running when the cancel comes: the wake counts, the abort is not
 * asked, the next call reports the cancel. */
static int woken_then_cancelled(void *arg)
{
    struct slow *slow = arg;

    CHECK_EQ(slow_wait(slow), 0);
    CHECK_EQ(slow->result, 11);
    CHECK_EQ(hk_sleep(1), -ECANCELED);
    return 0;
}

TASK_TEST(waiter_that_was_woken_is_not_asked_to_abort)
{
    struct slow slow = {0};
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    hk_spawn(&s, woken_then_cancelled, &slow);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    hk_wake(slow.waiter, 11);
    hk_scope_cancel(&s);
    CHECK_EQ(slow.asked, 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

/* ---- wakes from elsewhere ---- */

struct meeting {
    hk_waiter *waiter; /* atomic */
    int rounds;
};

static void *wake_from_a_thread(void *arg)
{
    struct meeting *m = arg;

    for (int i = 0; i < m->rounds; i++) {
        hk_waiter *w;

        while (!(w = __atomic_exchange_n(&m->waiter, NULL, __ATOMIC_ACQ_REL)))
            ;
        hk_wake(w, i);
    }
    return NULL;
}

/* The wake comes before the park, during it and after it, as chance has it. */
static int meet_often(void *arg)
{
    struct meeting *m = arg;

    for (int i = 0; i < m->rounds; i++) {
        hk_waiter w;

        hk_waiter_init(&w, &gate_kind, NULL);
        __atomic_store_n(&m->waiter, &w, __ATOMIC_RELEASE);
        if (i % 3 == 0)
            for (int spin = 0; spin < i % 100; spin++)
                __asm__ volatile("" ::: "memory");
        CHECK_EQ(hk_park(&w, NULL), i);
    }
    return 0;
}

static void waiter_is_woken_by_a_thread_before_during_and_after_the_park(void **state)
{
    struct meeting m = {.rounds = scaled(100000, 5000)};
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, wake_from_a_thread, &m), 0);
    assert_int_equal(hk_run(meet_often, &m, NULL), 0);
    pthread_join(thread, NULL);
    /* And the same with a plain thread as the one that waits. */
    assert_int_equal(pthread_create(&thread, NULL, wake_from_a_thread, &m), 0);
    assert_int_equal(meet_often(&m), 0);
    pthread_join(thread, NULL);
}

/* Cancel and wake race for one waiter; exactly one of them ends it, and the gate's
 * queue never keeps a waiter that is gone. */
static int gate_waits;

static int wait_in_a_loop(void *arg)
{
    int rc = gate_wait(arg);

    CHECK(rc == 0 || rc == -ECANCELED);
    __atomic_add_fetch(&gate_waits, 1, __ATOMIC_RELAXED);
    return 0;
}

static void *open_the_gate(void *arg)
{
    gate_open(arg, 0);
    return NULL;
}

static int race_cancel_with_wake(void *arg)
{
    int rounds = scaled(1000, 100);

    (void)arg;
    for (int i = 0; i < rounds; i++) {
        struct gate g = {0};
        hk_scope s = HK_SCOPE_INIT;
        pthread_t thread;

        hk_scope_open_with(&s, i % 2 ? HK_SCOPE_PARALLEL : 0, NULL);
        for (int k = 0; k < 8; k++)
            hk_spawn(&s, wait_in_a_loop, &g);
        CHECK_EQ(hk_yield(), 0);
        CHECK_EQ(pthread_create(&thread, NULL, open_the_gate, &g), 0);
        for (int spin = 0; spin < i * 20 % 20000; spin++)
            __asm__ volatile("" ::: "memory");
        hk_scope_cancel(&s);
        CHECK_EQ(hk_scope_join(&s), 0);
        CHECK(!g.queue.head);
        pthread_join(thread, NULL);
    }
    CHECK_EQ(gate_waits, 8 * rounds);
    return 0;
}

static void waiter_is_ended_once_when_cancel_and_wake_race(void **state)
{
    (void)state;
    gate_waits = 0;
    assert_int_equal(run_workers(1, race_cancel_with_wake, NULL), 0);
    gate_waits = 0;
    assert_int_equal(run_workers(3, race_cancel_with_wake, NULL), 0);
}

/* ---- the short lock ---- */

struct counted {
    hk_lock lock;
    int value, rounds;
};

static void *count_locked(void *arg)
{
    struct counted *c = arg;

    for (int i = 0; i < c->rounds; i++) {
        hk_lock_acquire(&c->lock);
        c->value++;
        hk_lock_release(&c->lock);
    }
    return NULL;
}

static void lock_excludes_threads(void **state)
{
    struct counted c = {.rounds = scaled(200000, 20000)};
    pthread_t threads[4];

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_locked, &c), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(c.value, 4 * c.rounds);
    assert_int_equal(c.lock.hki_word, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waiter_parked_by_another_task_panics),
        cmocka_unit_test(waiter_queue_is_first_in_first_out),
        cmocka_unit_test(waiter_claim_goes_to_one_case_of_a_select),
        cmocka_unit_test(waiter_park_returns_the_wakes_result),
        cmocka_unit_test(waiter_wake_before_the_park_is_not_lost),
        cmocka_unit_test(waiter_wake_before_the_park_beats_a_cancel),
        cmocka_unit_test(waiter_abort_that_undid_the_wait_ends_the_park_with_ecanceled),
        cmocka_unit_test(
            waiter_abort_that_is_pending_waits_for_the_wake_and_is_asked_once),
        cmocka_unit_test(waiter_park_of_a_cancelled_task_asks_at_once),
        cmocka_unit_test(waiter_park_without_an_abort_is_uninterruptible),
        cmocka_unit_test(waiter_abort_may_cancel_other_scopes),
        cmocka_unit_test(waiter_that_was_woken_is_not_asked_to_abort),
        cmocka_unit_test(waiter_is_woken_by_a_thread_before_during_and_after_the_park),
        cmocka_unit_test(waiter_is_ended_once_when_cancel_and_wake_race),
        cmocka_unit_test(lock_excludes_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
