/* SPDX-License-Identifier: MIT */
/*
 * The cancellation checklist of docs/rules.md, C1 to C5, C15 and C17, each as tests
 * named after its line; the others, which concern I/O, are in test_cancellation_io.c.
 * The driver runs them on both pollers. Where a race is the subject both orders are
 * tried many times; where an order is, the kit's wait-until-all-wait makes it, never a
 * sleep. C17 with 100,000 tasks is in tests/stress/test_scope_stress.c as well.
 *
 * Run: limit=240
 */
#include "support/core_test.h"

#include <sys/socket.h>

static void spin(int turns)
{
    for (int i = 0; i < turns; i++)
        __asm__ volatile("" ::: "memory");
}

/* ---- C1: an item handed over, then the receiver is cancelled ---- */

struct reception {
    hk_chan *chan;
    int item, rc;
};

static int receive(void *arg)
{
    struct reception *r = arg;

    r->item = 0;
    r->rc = hk_chan_recv(r->chan, &r->item);
    return 0;
}

TASK_TEST(c01_an_item_handed_over_is_not_lost_when_the_receiver_is_cancelled)
{
    for (size_t capacity = 0; capacity < 3; capacity++) {
        hk_scope s = HK_SCOPE_INIT;
        struct reception r = {0};
        int item = 42;

        CHECK_EQ(hk_chan_new(sizeof(int), capacity, &r.chan), 0);
        hk_scope_open(&s);
        hk_spawn(&s, receive, &r);
        CHECK_EQ(hk_test_wait_all_blocked(), 0);
        CHECK_EQ(hk_chan_send(r.chan, &item), 0);
        hk_scope_cancel(&s);
        CHECK_EQ(hk_scope_join(&s), 0);
        if (r.rc == 0)
            CHECK_EQ(r.item, 42);
        else /* then it must still be there */
            CHECK_EQ(hk_chan_try_recv(r.chan, &r.item), 0);
        CHECK_EQ(r.item, 42);
        hk_chan_free(r.chan);
    }
    return 0;
}

/* The sender on one worker, the cancel from another: every item sent is received
 * once. */
struct stream {
    hk_chan *chan;
    int64_t sent, received; /* sums */
};

static int send_until_cancelled(void *arg)
{
    struct stream *stream = arg;
    int rc;

    for (int item = 1; (rc = hk_chan_send(stream->chan, &item)) == 0; item++)
        stream->sent += item;
    CHECK_EQ(rc, -ECANCELED);
    return 0;
}

static int receive_until_cancelled(void *arg)
{
    struct stream *stream = arg;
    int item, rc;

    while ((rc = hk_chan_recv(stream->chan, &item)) == 0)
        stream->received += item;
    CHECK_EQ(rc, -ECANCELED);
    return 0;
}

static int cancel_streams(void *arg)
{
    (void)arg;
    for (int i = 0; i < scaled(300, 50); i++) {
        hk_scope s = HK_SCOPE_INIT;
        struct stream stream = {0};
        int item;

        CHECK_EQ(hk_chan_new(sizeof(int), (size_t)i % 4, &stream.chan), 0);
        hk_scope_open_with(&s, HK_SCOPE_PARALLEL, NULL);
        hk_spawn(&s, send_until_cancelled, &stream);
        hk_spawn(&s, receive_until_cancelled, &stream);
        for (int k = 0; k < i % 20; k++)
            CHECK_EQ(hk_yield(), 0);
        hk_scope_cancel(&s);
        CHECK_EQ(hk_scope_join(&s), 0);
        while (hk_chan_try_recv(stream.chan, &item) == 0)
            stream.received += item;
        CHECK_EQ(stream.received, stream.sent);
        hk_chan_free(stream.chan);
    }
    return 0;
}

static void c01_items_are_received_once_when_both_ends_are_cancelled(void **state)
{
    (void)state;
    assert_int_equal(run_workers(1, cancel_streams, NULL), 0);
    assert_int_equal(run_workers(3, cancel_streams, NULL), 0);
}

/* ---- C2: a lock or permit granted, then the waiter is cancelled ---- */

struct contest {
    hk_mutex mutex;
    hk_sem sem;
    int got; /* atomic */
};

static int lock_once(void *arg)
{
    struct contest *c = arg;

    if (hk_mutex_lock(&c->mutex) == 0) {
        __atomic_add_fetch(&c->got, 1, __ATOMIC_RELAXED);
        hk_mutex_unlock(&c->mutex);
    }
    return 0;
}

static int acquire_once(void *arg)
{
    struct contest *c = arg;

    if (hk_sem_acquire(&c->sem) == 0) {
        __atomic_add_fetch(&c->got, 1, __ATOMIC_RELAXED);
        hk_sem_release(&c->sem, 1);
    }
    return 0;
}

static int grant_then_cancel(hk_task_fn *fn, struct contest *c)
{
    hk_scope first = HK_SCOPE_INIT, second = HK_SCOPE_INIT;

    hk_scope_open(&second);
    hk_scope_open(&first);
    hk_spawn(&first, fn, c);
    CHECK_EQ(hk_yield(), 0);
    hk_spawn(&second, fn, c); /* behind the first */
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    if (fn == lock_once)
        hk_mutex_unlock(&c->mutex);
    else
        hk_sem_release(&c->sem, 1);
    hk_scope_cancel(&first); /* granted or woken, but it has not run */
    CHECK_EQ(hk_scope_join(&first), 0);
    CHECK_EQ(hk_scope_join(&second), 0); /* hangs when the grant was lost */
    return peek(&c->got);
}

TASK_TEST(c02_a_lock_granted_to_a_cancelled_waiter_wakes_the_next)
{
    struct contest c = {0};

    CHECK_EQ(hk_mutex_lock(&c.mutex), 0);
    CHECK(grant_then_cancel(lock_once, &c) >= 1);
    CHECK_EQ(hk_mutex_lock(&c.mutex), 0);
    hk_mutex_unlock(&c.mutex);
    return 0;
}

TASK_TEST(c02_a_permit_granted_to_a_cancelled_waiter_wakes_the_next)
{
    struct contest c = {0};

    hk_sem_init(&c.sem, 0);
    CHECK(grant_then_cancel(acquire_once, &c) >= 1);
    CHECK_EQ(hk_sem_available(&c.sem), 1);
    return 0;
}

static int contend_and_cancel(void *arg)
{
    (void)arg;
    for (int i = 0; i < scaled(500, 100); i++) {
        struct contest c = {0};
        hk_scope s = HK_SCOPE_INIT;

        hk_sem_init(&c.sem, 1);
        hk_scope_open_with(&s, HK_SCOPE_PARALLEL, NULL);
        for (int k = 0; k < 10; k++)
            hk_spawn(&s, k % 2 ? lock_once : acquire_once, &c);
        for (int k = 0; k < i % 5; k++)
            CHECK_EQ(hk_yield(), 0);
        hk_scope_cancel(&s);
        CHECK_EQ(hk_scope_join(&s), 0);
        CHECK_EQ(hk_mutex_try_lock(&c.mutex), 0);
        hk_mutex_unlock(&c.mutex);
        CHECK_EQ(hk_sem_available(&c.sem), 1);
    }
    return 0;
}

static void c02_nothing_stays_locked_when_contenders_are_cancelled(void **state)
{
    (void)state;
    assert_int_equal(run_workers(1, contend_and_cancel, NULL), 0);
    assert_int_equal(run_workers(3, contend_and_cancel, NULL), 0);
}

/* ---- C3: timeout and result in the same tick ---- */

static int send_at(void *arg)
{
    struct reception *r = arg;
    int item = 42, rc;

    CHECK_EQ(hk_sleep(10), 0);
    rc = hk_chan_try_send(r->chan, &item);
    CHECK(rc == 0 || rc == -EAGAIN);
    r->rc = rc;
    return 0;
}

/* The item comes at the very nanosecond of the deadline: one of the two, never both,
 * never neither. `first` sets which timer is armed first. */
static void same_tick(bool first)
{
    hk_scope sender = HK_SCOPE_INIT, s = HK_SCOPE_INIT;
    struct reception r = {0};
    int item = 0, rc, joined;

    CHECK_EQ(hk_chan_new(sizeof(int), 0, &r.chan), 0);
    hk_scope_open(&sender);
    if (first) {
        hk_spawn(&sender, send_at, &r);
        CHECK_EQ(hk_yield(), 0);
    }
    hk_scope_open(&s);
    hk_scope_deadline(&s, hk_now() + 10);
    if (!first)
        hk_spawn(&sender, send_at, &r);
    rc = hk_chan_recv(r.chan, &item);
    joined = hk_scope_join(&s);
    CHECK_EQ(hk_scope_join(&sender), 0);
    if (rc == 0) {
        CHECK_EQ(item, 42);
        CHECK_EQ(r.rc, 0);
        CHECK_EQ(joined, 0); /* the deadline was not delivered */
    } else {
        CHECK_EQ(rc, -ECANCELED);
        CHECK_EQ(r.rc, -EAGAIN); /* and the sender still has it */
        CHECK_EQ(joined, -ETIMEDOUT);
    }
    hk_chan_free(r.chan);
}

TASK_TEST(c03_timeout_and_result_in_the_same_tick_never_both_never_neither)
{
    same_tick(true);
    same_tick(false);
    return 0;
}

static int write_one(void *arg)
{
    CHECK_EQ(hk_write(*(hk_fd *)arg, "x", 1), 1);
    return 0;
}

static int read_against_deadlines(void *arg)
{
    hk_fd fds[2];
    int got = 0, rounds = scaled(300, 60);
    char byte;

    (void)arg;
    CHECK_EQ(hk_socket_pair(fds), 0);
    for (int i = 0; i < rounds; i++) {
        hk_scope s = HK_SCOPE_INIT, writer = HK_SCOPE_INIT;
        int rc, joined;

        hk_scope_open(&writer);
        hk_scope_open(&s);
        hk_scope_deadline(&s, hk_now() + i % 30 * 2000);
        hk_spawn(&writer, write_one, &fds[1]);
        rc = (int)hk_read(fds[0], &byte, 1);
        joined = hk_scope_join(&s);
        CHECK_EQ(hk_scope_join(&writer), 0);
        CHECK(rc == 1 || rc == -ECANCELED);
        CHECK_EQ(joined, rc == 1 ? 0 : -ETIMEDOUT);
        got += rc == 1;
    }
    CHECK_EQ(hk_shutdown(fds[1], SHUT_WR), 0);
    while (hk_read(fds[0], &byte, 1) == 1)
        got++;
    CHECK_EQ(got, rounds); /* no byte was lost or came twice */
    CHECK_EQ(hk_close(fds[0]), 0);
    CHECK_EQ(hk_close(fds[1]), 0);
    return 0;
}

static void c03_a_read_against_its_deadline_loses_no_byte(void **state)
{
    (void)state;
    assert_int_equal(run_workers(1, read_against_deadlines, NULL), 0);
}

/* ---- C4: unusual moments ---- */

TASK_TEST(c04_cancel_before_the_first_run)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_task_id id;

    hk_scope_open(&s);
    hk_spawn_named(&s, "early", sleep_and_swallow, NULL, &id);
    CHECK_EQ(hk_task_cancel(id), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

static int cancel_myself(void *arg)
{
    (void)arg;
    CHECK_EQ(hk_task_cancel(hk_task_self()), 0);
    CHECK_EQ(hk_cancelled(), -ECANCELED);
    CHECK_EQ(hk_sleep(1), -ECANCELED);
    return -ECANCELED;
}

TASK_TEST(c04_cancel_of_oneself)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    hk_spawn(&s, cancel_myself, NULL);
    CHECK_EQ(hk_scope_join(&s), 0);
    hk_scope_open(&s);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_sleep(1), -ECANCELED);
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

TASK_TEST(c04_cancel_of_a_finished_task)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_task_id id;
    int zero = 0;

    hk_scope_open(&s);
    hk_spawn_named(&s, NULL, return_it, &zero, &id);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(hk_task_cancel(id), -ESRCH);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(hk_task_cancel(id), -ESRCH);
    return 0;
}

TASK_TEST(c04_cancel_twice_is_as_once)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_task_id id;

    hk_scope_open(&s);
    hk_spawn_named(&s, NULL, sleep_and_swallow, NULL, &id);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(hk_task_cancel(id), 0);
    CHECK_EQ(hk_task_cancel(id), 0);
    hk_scope_cancel(&s);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

static int clean_up_slowly(void *arg)
{
    hk_scope shield = HK_SCOPE_INIT;

    CHECK_EQ(hk_sleep(HK_NEVER), -ECANCELED);
    hk_scope_open_with(&shield, HK_SCOPE_SHIELDED, "clean-up");
    CHECK_EQ(hk_sleep(HK_SECOND), 0);
    CHECK_EQ(hk_scope_join(&shield), 0);
    poke(arg, 1);
    return -ECANCELED;
}

TASK_TEST(c04_cancel_during_clean_up)
{
    hk_scope outer = HK_SCOPE_INIT, s = HK_SCOPE_INIT, shield = HK_SCOPE_INIT;
    int done = 0;

    hk_scope_open(&outer);
    hk_scope_open(&s);
    hk_spawn(&s, clean_up_slowly, &done);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    hk_scope_cancel(&s);
    hk_scope_open_with(&shield, HK_SCOPE_SHIELDED, NULL);
    CHECK_EQ(hk_sleep(HK_SECOND / 2), 0); /* now the child is in its clean-up */
    CHECK_EQ(hk_scope_join(&shield), 0);
    CHECK_EQ(peek(&done), 0);
    hk_scope_cancel(&outer);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_scope_join(&s), 0); /* the outer one was not delivered to anybody */
    CHECK_EQ(peek(&done), 1);
    CHECK_EQ(hk_scope_join(&outer), 0);
    return 0;
}

TASK_TEST(c04_cancel_nested)
{
    hk_scope a = HK_SCOPE_INIT, b = HK_SCOPE_INIT, c = HK_SCOPE_INIT;

    hk_scope_open(&a);
    hk_scope_open(&b);
    hk_scope_open(&c);
    hk_scope_cancel(&c);
    hk_scope_cancel(&a);
    CHECK_EQ(hk_sleep(1), -ECANCELED);
    CHECK_EQ(hk_scope_join(&c), -ECANCELED);
    CHECK_EQ(hk_scope_join(&b), -ECANCELED);
    CHECK_EQ(hk_scope_join(&a), 0);
    return 0;
}

TASK_TEST(c04_cancel_shielded_with_its_own_deadline)
{
    hk_scope outer = HK_SCOPE_INIT, shield = HK_SCOPE_INIT;
    int64_t begin = hk_now();

    hk_scope_open(&outer);
    hk_scope_cancel(&outer);
    hk_scope_open_with(&shield, HK_SCOPE_SHIELDED, NULL);
    hk_scope_deadline(&shield, begin + 10);
    CHECK_EQ(hk_sleep(HK_SECOND), -ECANCELED);
    CHECK_EQ(hk_now(), begin + 10);
    CHECK_EQ(hk_scope_join(&shield), -ETIMEDOUT);
    CHECK_EQ(hk_sleep(1), -ECANCELED);
    CHECK_EQ(hk_scope_join(&outer), 0);
    return 0;
}

/* ---- C5: select, losers consume nothing ---- */

struct choice {
    hk_chan *a, *b;
    hk_sem sem;
    int index, a_item, b_item;
};

static int choose(void *arg)
{
    struct choice *c = arg;
    hk_case cases[] = {HK_CASE_RECV(c->a, &c->a_item), HK_CASE_RECV(c->b, &c->b_item),
                       HK_CASE_SEM(&c->sem)};

    c->index = hk_select(cases, 3);
    return 0;
}

static int offer_all_and_cancel(void *arg)
{
    (void)arg;
    for (int i = 0; i < scaled(500, 100); i++) {
        hk_scope s = HK_SCOPE_INIT;
        struct choice c = {.index = -1000};
        int one = 1, two = 2, left = 0, item;

        hk_sem_init(&c.sem, 0);
        CHECK_EQ(hk_chan_new(sizeof(int), 1, &c.a), 0);
        CHECK_EQ(hk_chan_new(sizeof(int), 1, &c.b), 0);
        hk_scope_open_with(&s, HK_SCOPE_PARALLEL, NULL);
        hk_spawn(&s, choose, &c);
        for (int k = 0; k < i % 4; k++)
            CHECK_EQ(hk_yield(), 0);
        CHECK_EQ(hk_chan_send(c.a, &one), 0);
        CHECK_EQ(hk_chan_send(c.b, &two), 0);
        hk_sem_release(&c.sem, 1);
        if (i % 2)
            hk_scope_cancel(&s);
        CHECK_EQ(hk_scope_join(&s), 0);
        left += hk_chan_try_recv(c.a, &item) == 0;
        left += hk_chan_try_recv(c.b, &item) == 0;
        left += (int)hk_sem_available(&c.sem);
        CHECK_EQ(left, c.index == -ECANCELED ? 3 : 2);
        hk_chan_free(c.a);
        hk_chan_free(c.b);
    }
    return 0;
}

static void c05_select_losers_consume_nothing(void **state)
{
    (void)state;
    assert_int_equal(run_workers(1, offer_all_and_cancel, NULL), 0);
    assert_int_equal(run_workers(3, offer_all_and_cancel, NULL), 0);
}

/* ---- C15: wake before wait ---- */

static const hk_wait_kind test_kind = {.name = "test", .external = true};

static int set_before_wait(void *arg)
{
    hk_event event = HK_EVENT_INIT;
    hk_waiter w;
    hk_sem sem;

    (void)arg;
    hk_event_set(&event);
    CHECK_EQ(hk_event_wait(&event), 0);
    hk_sem_init(&sem, 0);
    hk_sem_release(&sem, 1);
    CHECK_EQ(hk_sem_acquire(&sem), 0);
    hk_waiter_init(&w, &test_kind, NULL);
    hk_wake(&w, 3);
    CHECK_EQ(hk_park(&w, NULL), 3);
    return 0;
}

static void c15_a_wake_before_the_wait_is_not_lost(void **state)
{
    (void)state;
    assert_int_equal(run_virtual(set_before_wait, NULL), 0);
    assert_int_equal(set_before_wait(NULL), 0);
}

struct race {
    hk_event ready;
    int rounds;
    hk_event *gate; /* atomic */
};

static void *set_gates(void *arg)
{
    struct race *r = arg;

    for (int i = 0; i < r->rounds; i++) {
        hk_event *gate;

        while (!(gate = __atomic_exchange_n(&r->gate, NULL, __ATOMIC_ACQ_REL)))
            ;
        spin(i % 64);
        hk_event_set(gate);
    }
    return NULL;
}

static int wait_at_gates(void *arg)
{
    struct race *r = arg;
    hk_event *gates = calloc((size_t)r->rounds, sizeof(*gates));

    for (int i = 0; i < r->rounds; i++) {
        __atomic_store_n(&r->gate, &gates[i], __ATOMIC_RELEASE);
        spin(i % 50);
        CHECK_EQ(hk_event_wait(&gates[i]), 0);
    }
    /* The last setter may still be inside hk_event_set: storage outlives both. */
    *(void **)&r->ready.name = gates;
    return 0;
}

static void c15_no_wake_is_lost_between_threads(void **state)
{
    struct race r = {.rounds = scaled(20000, 2000)};
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, set_gates, &r), 0);
    assert_int_equal(hk_run(wait_at_gates, &r, NULL), 0);
    pthread_join(thread, NULL);
    free(*(void **)&r.ready.name);
    assert_int_equal(pthread_create(&thread, NULL, set_gates, &r), 0);
    assert_int_equal(wait_at_gates(&r), 0);
    pthread_join(thread, NULL);
    free(*(void **)&r.ready.name);
}

/* ---- C17: a scope with very many tasks ---- */

static int read_it(void *arg)
{
    char byte;
    int rc = hk_wait_fd(*(int *)arg, 1 /* POLLIN */);

    (void)byte;
    CHECK_EQ(rc, -ECANCELED);
    return 0;
}

static int cancel_many(void *arg)
{
    int tasks = UNDER_TSAN ? 2000 : scaled(20000, 5000), pipe_fds[2];
    hk_scope s = HK_SCOPE_INIT;
    int64_t begin;

    (void)arg;
    CHECK_EQ(pipe(pipe_fds), 0);
    hk_scope_open(&s);
    for (int i = 0; i < tasks; i++) /* half in the kernel, half on events */
        hk_spawn(&s, i % 2 ? read_it : sleep_and_swallow, &pipe_fds[0]);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    begin = cpu_time_ns();
    hk_scope_cancel(&s);
    CHECK_EQ(hk_scope_join(&s), 0);
    printf("# cancelled %d tasks in %lld ms of processor time\n", tasks,
           (long long)((cpu_time_ns() - begin) / HK_MILLISECOND));
    CHECK(cpu_time_ns() - begin < 20 * HK_SECOND);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    return 0;
}

static void c17_cancel_of_very_many_tasks_takes_bounded_time(void **state)
{
    (void)state;
    assert_int_equal(run_virtual(cancel_many, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            c01_an_item_handed_over_is_not_lost_when_the_receiver_is_cancelled),
        cmocka_unit_test(c01_items_are_received_once_when_both_ends_are_cancelled),
        cmocka_unit_test(c02_a_lock_granted_to_a_cancelled_waiter_wakes_the_next),
        cmocka_unit_test(c02_a_permit_granted_to_a_cancelled_waiter_wakes_the_next),
        cmocka_unit_test(c02_nothing_stays_locked_when_contenders_are_cancelled),
        cmocka_unit_test(
            c03_timeout_and_result_in_the_same_tick_never_both_never_neither),
        cmocka_unit_test(c03_a_read_against_its_deadline_loses_no_byte),
        cmocka_unit_test(c04_cancel_before_the_first_run),
        cmocka_unit_test(c04_cancel_of_oneself),
        cmocka_unit_test(c04_cancel_of_a_finished_task),
        cmocka_unit_test(c04_cancel_twice_is_as_once),
        cmocka_unit_test(c04_cancel_during_clean_up),
        cmocka_unit_test(c04_cancel_nested),
        cmocka_unit_test(c04_cancel_shielded_with_its_own_deadline),
        cmocka_unit_test(c05_select_losers_consume_nothing),
        cmocka_unit_test(c15_a_wake_before_the_wait_is_not_lost),
        cmocka_unit_test(c15_no_wake_is_lost_between_threads),
        cmocka_unit_test(c17_cancel_of_very_many_tasks_takes_bounded_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
