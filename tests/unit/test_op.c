/* SPDX-License-Identifier: MIT */
/*
 * Operations without tasks, and handles: started with callback waiters from a task,
 * from a callback and from a plain thread; cancelled (docs/rules.md, rule 29); handles
 * that are stale, released, busy. What a close does to them is in test_op_close.c.
 */
#include "op_test.h"

#include <fcntl.h>

static void close_pair(hk_fd fds[2])
{
    CHECK_EQ(hk_close(fds[0]), 0);
    CHECK_EQ(hk_close(fds[1]), 0);
}

TASK_TEST(op_is_started_without_a_task_and_calls_back)
{
    char text[8] = "";
    struct pending p;
    hk_fd fds[2];

    make_pair(fds);
    arm(&p);
    hk_op_recv(&p.op, fds[0], text, sizeof(text), 0);
    CHECK_EQ(hk_op_start(&p.op, &p.waiter), 0);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(peek(&p.done), 0);
    CHECK_EQ(hk_write(fds[1], "abc", 3), 3);
    until_done(&p.done);
    CHECK_EQ(p.result, 3);
    CHECK(memcmp(text, "abc", 3) == 0);
    close_pair(fds);
    return 0;
}

TASK_TEST(op_that_completes_at_once_wakes_exactly_once)
{
    char text[8];
    struct pending p;
    hk_fd fds[2];

    make_pair(fds);
    CHECK_EQ(hk_write(fds[1], "abc", 3), 3);
    arm(&p);
    hk_op_recv(&p.op, fds[0], text, sizeof(text), 0);
    CHECK_EQ(hk_op_start(&p.op, &p.waiter), 0);
    until_done(&p.done);
    CHECK_EQ(hk_sleep(HK_MILLISECOND), 0);
    CHECK_EQ(peek(&p.done), 1);
    CHECK_EQ(p.result, 3);
    close_pair(fds);
    return 0;
}

TASK_TEST(op_cancel_ends_it_with_ecanceled_and_twice_is_as_once)
{
    char byte;
    struct pending p;
    hk_fd fds[2];

    make_pair(fds);
    arm(&p);
    hk_op_recv(&p.op, fds[0], &byte, 1, 0);
    CHECK_EQ(hk_op_start(&p.op, &p.waiter), 0);
    hk_op_cancel(&p.op);
    hk_op_cancel(&p.op);
    until_done(&p.done);
    CHECK_EQ(p.result, -ECANCELED);
    CHECK_EQ(hk_sleep(HK_MILLISECOND), 0);
    CHECK_EQ(peek(&p.done), 1);
    close_pair(fds);
    return 0;
}

/* On io_uring the cancel that comes too late loses nothing. */
TASK_TEST(op_cancelled_too_late_brings_its_result)
{
    int rounds = scaled(300, 100), got = 0;
    hk_fd fds[2];

    make_pair(fds);
    for (int i = 0; i < rounds; i++) {
        struct pending p;
        char byte;

        arm(&p);
        hk_op_recv(&p.op, fds[0], &byte, 1, 0);
        CHECK_EQ(hk_op_start(&p.op, &p.waiter), 0);
        if (i % 2)
            CHECK_EQ(hk_yield(), 0);
        CHECK_EQ(hk_write(fds[1], "x", 1), 1);
        hk_op_cancel(&p.op);
        until_done(&p.done);
        CHECK(p.result == 1 || p.result == -ECANCELED);
        got += p.result == 1;
    }
    /* What no operation has brought is still in the socket. */
    CHECK_EQ(hk_write(fds[1], "", 1), 1);
    for (;;) {
        char buf[64];
        int n = (int)hk_read(fds[0], buf, sizeof(buf));

        CHECK(n > 0);
        got += n;
        if (buf[n - 1] == '\0')
            break;
    }
    CHECK_EQ(got, rounds + 1);
    close_pair(fds);
    return 0;
}

/* ---- rule 29 ---- */

TASK_TEST(rule_29_a_second_reader_or_writer_of_a_stream_gets_ebusy)
{
    char byte, *big = calloc(1, 1 << 20);
    struct pending reader, writer;
    hk_fd fds[2];

    make_pair(fds);
    arm(&reader);
    hk_op_recv(&reader.op, fds[0], &byte, 1, 0);
    CHECK_EQ(hk_op_start(&reader.op, &reader.waiter), 0);
    CHECK_EQ(hk_read(fds[0], &byte, 1), -EBUSY);
    CHECK_EQ(hk_write(fds[0], "a", 1), 1); /* a reader and a writer */

    arm(&writer);
    for (;;) { /* until it no longer completes at once */
        hk_op_send(&writer.op, fds[1], big, 1 << 20, 0);
        CHECK_EQ(hk_op_start(&writer.op, &writer.waiter), 0);
        CHECK_EQ(hk_sleep(HK_MILLISECOND), 0);
        if (!peek(&writer.done))
            break;
        arm(&writer);
    }
    CHECK_EQ(hk_write(fds[1], "a", 1), -EBUSY);
    CHECK_EQ(hk_read(fds[1], &byte, 1), 1);
    hk_op_cancel(&writer.op);
    until_done(&writer.done);
    until_done(&reader.done); /* it got a byte of the big write */
    CHECK_EQ(reader.result, 1);
    CHECK_EQ(hk_read(fds[0], &byte, 1), 1); /* free again */
    close_pair(fds);
    free(big);
    return 0;
}

TASK_TEST(rule_29_listeners_and_files_take_any_number)
{
    struct pending waits[5];
    hk_addr address;
    hk_fd listener;

    CHECK_EQ(hk_addr_parse("127.0.0.1:0", &address), 0);
    CHECK_EQ(hk_listen(&address, NULL, &listener), 0);
    for (int i = 0; i < 5; i++) {
        arm(&waits[i]);
        hk_op_accept(&waits[i].op, listener, NULL, NULL);
        CHECK_EQ(hk_op_start(&waits[i].op, &waits[i].waiter), 0);
    }
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(hk_close(listener), 0); /* returns when all five are through */
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(peek(&waits[i].done), 1);
        CHECK_EQ(waits[i].result, -EBADF);
    }
    return 0;
}

/* ---- handles ---- */

TASK_TEST(handle_that_is_stale_never_hits_another_file)
{
    hk_fd old[2], fresh[2];
    int number;
    char byte;

    make_pair(old);
    number = hk_fd_number(old[0]);
    close_pair(old);
    make_pair(fresh); /* the same numbers, most likely the same slots */
    CHECK(hk_fd_number(fresh[0]) == number || hk_fd_number(fresh[1]) == number);
    CHECK_EQ(hk_read(old[0], &byte, 1), -EBADF);
    CHECK_EQ(hk_write(old[0], "x", 1), -EBADF);
    CHECK_EQ(hk_fd_number(old[0]), -EBADF);
    CHECK_EQ(hk_close(old[0]), -EBADF);
    CHECK_EQ(hk_fd_release(old[0]), -EBADF);
    CHECK_EQ(hk_read(HK_FD_NONE, &byte, 1), -EBADF);
    CHECK_EQ(hk_close(HK_FD_NONE), -EBADF);
    CHECK_EQ(hk_close((hk_fd){UINT64_MAX}), -EBADF);
    CHECK_EQ(hk_close((hk_fd){UINT32_MAX}), -EBADF);
    CHECK_EQ(hk_close((hk_fd){0x123456789}), -EBADF);
    close_pair(fresh);
    return 0;
}

TASK_TEST(handle_release_gives_the_descriptor_back_unless_it_is_busy)
{
    struct pending p;
    hk_fd fds[2];
    int number;
    char byte;

    make_pair(fds);
    arm(&p);
    hk_op_recv(&p.op, fds[0], &byte, 1, 0);
    CHECK_EQ(hk_op_start(&p.op, &p.waiter), 0);
    CHECK_EQ(hk_fd_release(fds[0]), -EBUSY);
    hk_op_cancel(&p.op);
    until_done(&p.done);
    number = hk_fd_release(fds[0]);
    CHECK(number >= 0);
    CHECK_EQ(fcntl(number, F_GETFD), FD_CLOEXEC);
    CHECK_EQ(hk_read(fds[0], &byte, 1), -EBADF);
    CHECK_EQ(close(number), 0);
    CHECK_EQ(hk_close(fds[1]), 0);
    return 0;
}

TASK_TEST(handle_that_is_borrowed_leaves_the_descriptor_open)
{
    int fds[2];
    hk_fd lent;
    char byte;

    CHECK_EQ(pipe(fds), 0);
    CHECK_EQ(hk_fd_adopt(fds[0], HK_FD_BORROWED | HK_FD_STREAM, &lent), 0);
    CHECK_EQ(write(fds[1], "x", 1), 1);
    CHECK_EQ(hk_read(lent, &byte, 1), 1);
    CHECK_EQ(fcntl(fds[0], F_GETFL) & O_NONBLOCK, 0);
    CHECK_EQ(hk_close(lent), 0);
    CHECK(fcntl(fds[0], F_GETFD) >= 0);
    CHECK_EQ(hk_fd_adopt(-1, 0, &lent), -EBADF);
    close(fds[0]);
    close(fds[1]);
    return 0;
}

/* ---- work ---- */

static int blocking_work(void *arg)
{
    int *value = arg;

    *value += 1;
    return 1000 + *value;
}

TASK_TEST(op_work_runs_on_the_blocking_pool)
{
    int value = 5;
    hk_op op;

    hk_op_work(&op, blocking_work, &value);
    CHECK_EQ(hk_op_run(&op), 1006);
    CHECK_EQ(value, 6);
    return 0;
}

TASK_TEST(op_work_of_many_at_once)
{
    enum { MANY = 200 };
    static struct pending works[MANY];
    static int values[MANY];

    for (int i = 0; i < MANY; i++) {
        arm(&works[i]);
        values[i] = i;
        hk_op_work(&works[i].op, blocking_work, &values[i]);
        CHECK_EQ(hk_op_start(&works[i].op, &works[i].waiter), 0);
    }
    for (int i = 0; i < MANY; i++) {
        until_done(&works[i].done);
        CHECK_EQ(works[i].result, 1001 + i);
    }
    return 0;
}

static void op_on_a_plain_thread_blocks_it(void **state)
{
    int value = 1;
    hk_op op;

    (void)state;
    hk_op_work(&op, blocking_work, &value);
    assert_int_equal(hk_op_run(&op), 1002);
}

static void op_with_a_callback_starts_on_a_plain_thread(void **state)
{
    hk_event done = HK_EVENT_INIT;
    struct pending p;
    hk_fd fds[2];
    char byte;

    (void)state;
    for (int i = 0; i < 100; i++) {
        make_pair(fds);
        arm(&p);
        hk_event_clear(&done);
        p.event = &done;
        hk_op_recv(&p.op, fds[0], &byte, 1, 0);
        assert_int_equal(hk_op_start(&p.op, &p.waiter), 0); /* does not block */
        if (i % 2) {
            assert_int_equal(hk_write(fds[1], "x", 1), 1);
            assert_int_equal(hk_event_wait(&done), 0);
            assert_int_equal(p.result, 1);
            assert_int_equal(hk_close(fds[0]), 0);
        } else {
            assert_int_equal(hk_close(fds[0]), 0);
            assert_int_equal(hk_event_wait(&done), 0);
            assert_int_equal(p.result, -EBADF);
        }
        assert_int_equal(hk_close(fds[1]), 0);
    }
}

/* ---- the end of a runtime ---- */

static char late_bytes[4];
static struct pending late;
static hk_fd late_fds[2];

static int leave_an_operation(void *arg)
{
    (void)arg;
    make_pair(late_fds);
    arm(&late);
    hk_op_recv(&late.op, late_fds[0], late_bytes, sizeof(late_bytes), 0);
    CHECK_EQ(hk_op_start(&late.op, &late.waiter), 0);
    return 0;
}

/* C14: a callback's operation is in flight when main returns: it is given up, its
 * buffer is not touched afterwards. */
static void op_in_flight_at_the_end_of_the_runtime_is_given_up(void **state)
{
    hk_ledger ledger;

    (void)state;
    assert_int_equal(hk_run(leave_an_operation, NULL, NULL), 0);
    hk_ledger_read(&ledger);
    assert_int_equal(ledger.ops, 0);
    assert_int_equal(hk_write(late_fds[1], "data", 4), 4);
    assert_int_equal(late_bytes[0], 0);
    assert_int_equal(hk_read(late_fds[0], late_bytes, 4), 4); /* nothing was lost */
    close_pair(late_fds);
}

/* Its callback still runs on the worker, and may start another. */
static struct {
    hk_waiter waiter;
    hk_timer timer;
    hk_op op;
    int calls;
    uint32_t workers;
} last;

static void never_fires(hk_timer *timer)
{
    (void)timer;
    abort();
}

static void read_once_more(hk_waiter *w)
{
    CHECK_EQ(w->result, -ECANCELED);
    last.workers = hk_worker_count(); /* 0 on a plain thread */
    hk_timer_set(&last.timer, hk_now() + HK_SECOND, never_fires);
    CHECK(hk_timer_cancel(&last.timer));
    if (last.calls++)
        return;
    CHECK_EQ(hk_waiter_init_callback(w, &test_kind, NULL, read_once_more), 0);
    hk_op_recv(&last.op, late_fds[0], late_bytes, 4, 0);
    CHECK_EQ(hk_op_start(&last.op, w), 0);
}

static int leave_one_that_goes_on(void *arg)
{
    (void)arg;
    make_pair(late_fds);
    CHECK_EQ(hk_waiter_init_callback(&last.waiter, &test_kind, NULL, read_once_more),
             0);
    hk_op_recv(&last.op, late_fds[0], late_bytes, 4, 0);
    CHECK_EQ(hk_op_start(&last.op, &last.waiter), 0);
    return 0;
}

static void op_given_up_at_the_end_calls_back_on_its_worker(void **state)
{
    (void)state;
    assert_int_equal(hk_run(leave_one_that_goes_on, NULL, NULL), 0);
    assert_int_equal(last.calls, 2);
    assert_int_equal(last.workers, 1);
    close_pair(late_fds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(op_is_started_without_a_task_and_calls_back),
        cmocka_unit_test(op_that_completes_at_once_wakes_exactly_once),
        cmocka_unit_test(op_cancel_ends_it_with_ecanceled_and_twice_is_as_once),
        cmocka_unit_test(op_cancelled_too_late_brings_its_result),
        cmocka_unit_test(rule_29_a_second_reader_or_writer_of_a_stream_gets_ebusy),
        cmocka_unit_test(rule_29_listeners_and_files_take_any_number),
        cmocka_unit_test(handle_that_is_stale_never_hits_another_file),
        cmocka_unit_test(handle_release_gives_the_descriptor_back_unless_it_is_busy),
        cmocka_unit_test(handle_that_is_borrowed_leaves_the_descriptor_open),
        cmocka_unit_test(op_work_runs_on_the_blocking_pool),
        cmocka_unit_test(op_work_of_many_at_once),
        cmocka_unit_test(op_in_flight_at_the_end_of_the_runtime_is_given_up),
        cmocka_unit_test(op_given_up_at_the_end_calls_back_on_its_worker),
        cmocka_unit_test(op_on_a_plain_thread_blocks_it),
        cmocka_unit_test(op_with_a_callback_starts_on_a_plain_thread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
