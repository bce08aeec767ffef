/* SPDX-License-Identifier: MIT */
/*
 * The cancellation checklist of docs/rules.md, C1 to C3: what was granted, an item, a
 * lock, a permit, is not lost when its receiver is cancelled at that moment, or late.
 * As in test_cancellation.c.
 *
 * Run: limit=240
 */
#include "support/core_test.h"

#include <sys/socket.h>

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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
