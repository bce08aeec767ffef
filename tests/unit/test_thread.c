/* SPDX-License-Identifier: MIT */
/*
 * Plain threads: the same calls block them (docs/rules.md, rule 25). Deadlines, cancels
 * from other threads, spawns to the background runtime, primitives shared with tasks;
 * reading and writing are in test_thread_io.c.
 * Where one thread must be known to wait before another acts, the order does not matter
 * for the result: both are tried by many repetitions, never by a sleep.
 */
#include "thread_test.h"

/* ---- rule 25: scopes of a thread ---- */

static void rule_25_without_an_open_scope_nothing_cancels_a_thread(void **state)
{
    (void)state;
    assert_int_equal(hk_cancelled(), 0);
    assert_int_equal(hk_yield(), 0);
    assert_int_equal(hk_sleep(1), 0);
    assert_int_equal(hk_sleep(-1), 0);
    assert_int_equal(hk_task_self().value, 0);
    assert_int_equal(hk_worker_count(), 0);
    assert_non_null(hk_task_name());
}

static void rule_25_a_thread_has_a_scope_stack(void **state)
{
    hk_scope a = HK_SCOPE_INIT, b = HK_SCOPE_INIT;

    (void)state;
    hk_scope_open(&a);
    hk_scope_open(&b);
    hk_scope_cancel(&b);
    assert_int_equal(hk_cancelled(), -ECANCELED);
    assert_int_equal(hk_sleep(HK_NEVER), -ECANCELED);
    assert_int_equal(hk_yield(), -ECANCELED);
    assert_int_equal(hk_scope_join(&b), 0);
    assert_int_equal(hk_cancelled(), 0);
    assert_int_equal(hk_scope_join(&a), 0);
}

static void rule_25_a_threads_spawns_run_on_the_background_runtime(void **state)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_stats stats;
    int count = 0;

    (void)state;
    hk_scope_open(&s);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(hk_spawn(&s, count_me, &count), 0);
    assert_int_equal(hk_scope_join(&s), 0); /* join blocks it */
    assert_int_equal(count, 1000);
    hk_stats_read(&stats);
    assert_true(stats.tasks_spawned >= 1000);
    assert_int_equal(stats.tasks_alive, 0);
}

static void thread_join_returns_the_first_error_of_its_tasks(void **state)
{
    hk_scope s = HK_SCOPE_INIT;
    int error = -EIO;

    (void)state;
    hk_scope_open(&s);
    hk_spawn(&s, sleep_and_swallow, NULL);
    hk_spawn(&s, return_it, &error);
    assert_int_equal(hk_sleep(HK_NEVER), -ECANCELED); /* fail-fast reaches the body */
    assert_int_equal(hk_scope_join(&s), -EIO);
}

static void thread_deadline_ends_a_sleep(void **state)
{
    hk_scope s = HK_SCOPE_INIT;
    int64_t begin = hk_now();

    (void)state;
    hk_scope_open(&s);
    hk_scope_deadline(&s, begin + 5 * HK_MILLISECOND);
    assert_int_equal(hk_sleep(HK_NEVER), -ECANCELED);
    assert_true(hk_now() >= begin + 5 * HK_MILLISECOND);
    assert_int_equal(hk_scope_join(&s), -ETIMEDOUT);
}

static void thread_deadline_in_the_past_takes_effect_at_once(void **state)
{
    const int64_t past[] = {0, -1, INT64_MIN, 1, hk_now()};

    (void)state;
    for (size_t i = 0; i < sizeof(past) / sizeof(past[0]); i++) {
        hk_scope s = HK_SCOPE_INIT;

        hk_scope_open(&s);
        hk_scope_deadline(&s, past[i]);
        assert_int_equal(hk_cancelled(), -ECANCELED);
        assert_int_equal(hk_scope_reason(&s), HK_BY_DEADLINE);
        assert_int_equal(hk_scope_join(&s), -ETIMEDOUT);
    }
}

static void thread_deadline_can_be_taken_away_and_moved(void **state)
{
    hk_scope s = HK_SCOPE_INIT;

    (void)state;
    hk_scope_open(&s);
    hk_scope_deadline(&s, hk_now() + HK_MILLISECOND);
    hk_scope_deadline(&s, HK_NEVER);
    assert_int_equal(hk_sleep(3 * HK_MILLISECOND), 0);
    hk_scope_deadline(&s, hk_now() + 100 * HK_SECOND);
    hk_scope_deadline(&s, hk_now() + HK_MILLISECOND);
    assert_int_equal(hk_sleep(HK_NEVER), -ECANCELED);
    assert_int_equal(hk_scope_join(&s), -ETIMEDOUT);
}

/* The thread waits in the join, which no cancel ends; its children must be cancelled
 * all the same when the time is over. */
static void thread_deadline_cancels_the_children_during_the_join(void **state)
{
    hk_scope s = HK_SCOPE_INIT;

    (void)state;
    hk_scope_open(&s);
    hk_scope_deadline(&s, hk_now() + 5 * HK_MILLISECOND);
    hk_spawn(&s, sleep_and_swallow, NULL);
    assert_int_equal(hk_scope_join(&s), -ETIMEDOUT);
}

static void thread_outer_deadline_cancels_children_while_inside_a_shield(void **state)
{
    hk_scope outer = HK_SCOPE_INIT, shield = HK_SCOPE_INIT;
    hk_sem done;

    (void)state;
    hk_sem_init(&done, 0);
    hk_scope_open(&outer);
    hk_scope_deadline(&outer, hk_now() + 5 * HK_MILLISECOND);
    hk_spawn(&outer, sleep_and_swallow, NULL);
    hk_scope_open_with(&shield, HK_SCOPE_SHIELDED, NULL);
    assert_int_equal(hk_sleep(20 * HK_MILLISECOND), 0);
    assert_int_equal(hk_scope_reason(&outer), HK_BY_DEADLINE);
    assert_int_equal(hk_scope_join(&shield), 0);
    assert_int_equal(hk_cancelled(), -ECANCELED);
    assert_int_equal(hk_scope_join(&outer), -ETIMEDOUT);
}

static void thread_shield_hides_an_outer_deadline(void **state)
{
    hk_scope outer = HK_SCOPE_INIT, shield = HK_SCOPE_INIT;

    (void)state;
    hk_scope_open(&outer);
    hk_scope_deadline(&outer, hk_now());
    hk_scope_open_with(&shield, HK_SCOPE_SHIELDED, NULL);
    assert_int_equal(hk_sleep(HK_MILLISECOND), 0);
    hk_scope_deadline(&shield, hk_now() + HK_MILLISECOND);
    assert_int_equal(hk_sleep(HK_NEVER), -ECANCELED);
    assert_int_equal(hk_scope_join(&shield), -ETIMEDOUT);
    assert_int_equal(hk_cancelled(), -ECANCELED);
    assert_int_equal(hk_scope_join(&outer), -ETIMEDOUT);
}

/* ---- cancels from another thread ---- */

static void *cancel_scope(void *arg)
{
    hk_scope_cancel(arg);
    return NULL;
}

static void thread_sleep_is_cancelled_from_another_thread(void **state)
{
    (void)state;
    for (int i = 0; i < scaled(500, 100); i++) {
        hk_scope s = HK_SCOPE_INIT;
        pthread_t canceller;

        hk_scope_open(&s);
        canceller = start(cancel_scope, &s);
        assert_int_equal(hk_sleep(HK_NEVER), -ECANCELED);
        pthread_join(canceller, NULL);
        assert_int_equal(hk_scope_join(&s), 0);
    }
}

static void thread_event_wait_is_cancelled_from_another_thread(void **state)
{
    (void)state;
    for (int i = 0; i < scaled(500, 100); i++) {
        hk_scope s = HK_SCOPE_INIT;
        hk_event never = HK_EVENT_INIT;
        pthread_t canceller;

        hk_scope_open(&s);
        canceller = start(cancel_scope, &s);
        assert_int_equal(hk_event_wait(&never), -ECANCELED);
        pthread_join(canceller, NULL);
        assert_int_equal(hk_scope_join(&s), 0);
    }
}

static void thread_children_are_cancelled_from_another_thread(void **state)
{
    (void)state;
    for (int i = 0; i < scaled(200, 50); i++) {
        hk_scope s = HK_SCOPE_INIT;
        pthread_t canceller;

        hk_scope_open(&s);
        for (int k = 0; k < 5; k++)
            hk_spawn(&s, sleep_and_swallow, NULL);
        canceller = start(cancel_scope, &s);
        pthread_join(canceller, NULL);
        assert_int_equal(hk_scope_join(&s), 0);
    }
}

/* A shield goes up and down while another thread cancels: the cancel must not get
 * lost. */
static void thread_shield_does_not_lose_a_cancel_from_another_thread(void **state)
{
    (void)state;
    for (int i = 0; i < scaled(2000, 200); i++) {
        hk_scope s = HK_SCOPE_INIT;
        pthread_t canceller;

        hk_scope_open(&s);
        canceller = start(cancel_scope, &s);
        for (int k = 0; k < 300; k++)
            hk_scope_shield(&s, k % 2 == 0);
        pthread_join(canceller, NULL);
        assert_int_equal(hk_cancelled(), -ECANCELED);
        assert_int_equal(hk_scope_reason(&s), HK_BY_CANCEL);
        assert_int_equal(hk_scope_join(&s), 0);
    }
}

static int cancel_arg(void *arg)
{
    hk_scope_cancel(arg);
    return 0;
}

static void thread_is_cancelled_by_its_own_child(void **state)
{
    (void)state;
    for (int i = 0; i < scaled(500, 100); i++) {
        hk_scope s = HK_SCOPE_INIT;

        hk_scope_open(&s);
        hk_spawn(&s, cancel_arg, &s);
        assert_int_equal(hk_sleep(HK_NEVER), -ECANCELED);
        assert_int_equal(hk_scope_join(&s), 0);
    }
}

static void *cancel_task_loop(void *arg)
{
    uint64_t *id = arg, value;

    while ((value = __atomic_load_n(id, __ATOMIC_ACQUIRE)) != 1)
        if (value)
            (void)hk_task_cancel((hk_task_id){value});
    return NULL;
}

static void thread_may_cancel_a_task_by_id_at_any_time(void **state)
{
    uint64_t id = 0;
    pthread_t canceller = start(cancel_task_loop, &id);

    (void)state;
    for (int i = 0; i < scaled(300, 50); i++) {
        hk_scope s = HK_SCOPE_INIT;
        hk_task_id task;

        hk_scope_open(&s);
        hk_spawn_named(&s, "victim", sleep_and_swallow, NULL, &task);
        __atomic_store_n(&id, task.value, __ATOMIC_RELEASE);
        assert_int_equal(hk_scope_join(&s), 0);
    }
    __atomic_store_n(&id, 1, __ATOMIC_RELEASE);
    pthread_join(canceller, NULL);
}

/* Keeps its worker until it is told. */
static int hold_worker(void *arg)
{
    int *word = arg;

    __atomic_store_n(word, 1, __ATOMIC_RELEASE);
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == 1)
        ;
    return hk_sleep(HK_NEVER) == -ECANCELED ? 0 : -EINVAL;
}

static uint64_t bytes_now(void)
{
    hk_ledger ledger;

    hk_ledger_read(&ledger);
    return ledger.bytes;
}

/* One is enough, however long the task's worker is busy with other things. */
static void many_cancels_of_one_task_do_not_pile_up(void **state)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_task_id task;
    uint64_t before;
    int word = 0;

    (void)state;
    hk_scope_open(&s);
    assert_int_equal(hk_spawn_named(&s, "victim", hold_worker, &word, &task), 0);
    while (!__atomic_load_n(&word, __ATOMIC_ACQUIRE))
        (void)sched_yield();
    before = bytes_now();
    for (int i = 0; i < 10000; i++)
        assert_int_equal(hk_task_cancel(task), 0);
    assert_in_range(bytes_now(), 0, before + 4096);
    __atomic_store_n(&word, 2, __ATOMIC_RELEASE);
    assert_int_equal(hk_scope_join(&s), 0);
}

/* ---- threads and tasks share primitives ---- */

struct ping {
    hk_sem there, back;
    int rounds;
};

static int answer(void *arg)
{
    struct ping *p = arg;

    for (int i = 0; i < p->rounds; i++) {
        CHECK_EQ(hk_sem_acquire(&p->there), 0);
        hk_sem_release(&p->back, 1);
    }
    return 0;
}

static void *answer_run(void *arg)
{
    CHECK_EQ(hk_run(answer, arg, NULL), 0);
    return NULL;
}

/* No wake-up is lost between a thread and a task of another thread's runtime. */
static void thread_and_task_of_another_runtime_wake_each_other(void **state)
{
    struct ping p = {.rounds = scaled(20000, 1000)};
    pthread_t other;

    (void)state;
    hk_sem_init(&p.there, 0);
    hk_sem_init(&p.back, 0);
    other = start(answer_run, &p);
    for (int i = 0; i < p.rounds; i++) {
        hk_sem_release(&p.there, 1);
        assert_int_equal(hk_sem_acquire(&p.back), 0);
    }
    pthread_join(other, NULL);
}

static int wait_once(void *arg)
{
    return hk_event_wait(arg);
}

static void *run_and_end(void *arg)
{
    CHECK_EQ(hk_run(wait_once, arg, NULL), 0);
    return NULL;
}

/* The woken task is its runtime's last: the runtime must outlive the waker's last
 * access to it. (Found as a use after free under ASan.) */
static void thread_may_wake_the_last_task_of_a_runtime(void **state)
{
    (void)state;
    for (int i = 0; i < scaled(3000, 500); i++) {
        hk_event *event = calloc(1, sizeof(*event));
        pthread_t other = start(run_and_end, event);

        for (int spin = 0; spin < i % 50 * 100; spin++)
            __asm__ volatile("" ::: "memory");
        hk_event_set(event);
        pthread_join(other, NULL);
        free(event);
    }
}

/* ---- an abort that cancels what lies around it ---- */

struct gate {
    hk_scope *around;
    int is_parked; /* atomic */
};

static const hk_wait_kind gate_kind = {.name = "a gate"};

static hk_verdict cancel_around(hk_waiter *w)
{
    hk_scope_cancel(((struct gate *)w->data)->around);
    return HK_ABORTED;
}

static int park_at_gate(void *arg)
{
    struct gate *gate = arg;
    hk_waiter w;

    hk_waiter_init(&w, &gate_kind, gate);
    w.data = gate;
    poke(&gate->is_parked, 1);
    CHECK_EQ(hk_park(&w, cancel_around), -ECANCELED);
    return 0;
}

static int cancel_inner(void *arg)
{
    hk_scope_cancel(arg);
    return 0;
}

/* Both tasks are on the background worker, whose walk would have held the lock of the
 * thread's chain of scopes, which the abort needs again. */
static void abort_may_cancel_a_scope_of_the_thread_that_is_being_cancelled(void **state)
{
    hk_scope outer = HK_SCOPE_INIT, inner = HK_SCOPE_INIT;
    struct gate gate = {.around = &outer};

    (void)state;
    hk_scope_open(&outer);
    hk_scope_open(&inner);
    hk_spawn(&inner, park_at_gate, &gate);
    while (!peek(&gate.is_parked))
        hk_yield();
    hk_spawn(&inner, cancel_inner, &inner);
    CHECK_EQ(hk_scope_join(&inner), -ECANCELED);
    CHECK_EQ(hk_cancelled(), -ECANCELED);
    CHECK_EQ(hk_scope_reason(&outer), HK_BY_CANCEL);
    CHECK_EQ(hk_scope_join(&outer), 0);
}

/* ---- threads come and go ---- */

static void *one_call(void *arg)
{
    (void)arg;
    CHECK_EQ(hk_sleep(1), 0);
    return NULL;
}

static void thread_records_are_reused(void **state)
{
    (void)state;
    for (int i = 0; i < scaled(500, 100); i++) {
        pthread_t threads[4];

        for (int k = 0; k < 4; k++)
            threads[k] = start(one_call, NULL);
        for (int k = 0; k < 4; k++)
            pthread_join(threads[k], NULL);
    }
}

PANIC_TEST(thread_join_of_a_scope_that_is_not_open_panics, "not open")
{
    hk_scope s = HK_SCOPE_INIT;

    return hk_scope_join(&s);
}

static void *deadline_on(void *arg)
{
    hk_scope_deadline(arg, 1);
    return NULL;
}

PANIC_TEST(thread_deadline_on_another_threads_scope_panics, "of another thread")
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    pthread_join(start(deadline_on, &s), NULL);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thread_join_of_a_scope_that_is_not_open_panics),
        cmocka_unit_test(thread_deadline_on_another_threads_scope_panics),
        cmocka_unit_test(rule_25_without_an_open_scope_nothing_cancels_a_thread),
        cmocka_unit_test(rule_25_a_thread_has_a_scope_stack),
        cmocka_unit_test(rule_25_a_threads_spawns_run_on_the_background_runtime),
        cmocka_unit_test(thread_join_returns_the_first_error_of_its_tasks),
        cmocka_unit_test(thread_deadline_ends_a_sleep),
        cmocka_unit_test(thread_deadline_in_the_past_takes_effect_at_once),
        cmocka_unit_test(thread_deadline_can_be_taken_away_and_moved),
        cmocka_unit_test(thread_deadline_cancels_the_children_during_the_join),
        cmocka_unit_test(thread_outer_deadline_cancels_children_while_inside_a_shield),
        cmocka_unit_test(thread_shield_hides_an_outer_deadline),
        cmocka_unit_test(thread_sleep_is_cancelled_from_another_thread),
        cmocka_unit_test(thread_event_wait_is_cancelled_from_another_thread),
        cmocka_unit_test(thread_children_are_cancelled_from_another_thread),
        cmocka_unit_test(thread_shield_does_not_lose_a_cancel_from_another_thread),
        cmocka_unit_test(thread_is_cancelled_by_its_own_child),
        cmocka_unit_test(thread_may_cancel_a_task_by_id_at_any_time),
        cmocka_unit_test(many_cancels_of_one_task_do_not_pile_up),
        cmocka_unit_test(
            abort_may_cancel_a_scope_of_the_thread_that_is_being_cancelled),
        cmocka_unit_test(thread_and_task_of_another_runtime_wake_each_other),
        cmocka_unit_test(thread_may_wake_the_last_task_of_a_runtime),
        cmocka_unit_test(thread_records_are_reused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
