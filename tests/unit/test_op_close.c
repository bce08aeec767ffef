/* SPDX-License-Identifier: MIT */
/*
 * docs/rules.md, rule 28: a close ends the operations of its handle with -EBADF,
 * whoever has started them, from the same worker, another one, and a thread.
 */
#include "op_test.h"

#include <fcntl.h>

/* ---- rule 28: close against operations in flight ---- */

static int read_byte(void *arg)
{
    char byte;

    return (int)hk_read(*(hk_fd *)arg, &byte, 1);
}

static int expect_ebadf(void *arg)
{
    CHECK_EQ(read_byte(arg), -EBADF);
    return 0;
}

TASK_TEST(rule_28_close_ends_an_operation_of_the_same_worker_with_ebadf)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_fd fds[2];
    int number;

    make_pair(fds);
    number = hk_fd_number(fds[0]);
    hk_scope_open(&s);
    hk_spawn(&s, expect_ebadf, &fds[0]);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(hk_close(fds[0]), 0);
    CHECK_EQ(fcntl(number, F_GETFD), -1); /* released when it has returned */
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(hk_close(fds[0]), -EBADF);
    CHECK_EQ(read_byte(&fds[0]), -EBADF);
    CHECK_EQ(hk_close(fds[1]), 0);
    return 0;
}

struct closing {
    hk_fd fd;
    hk_event go;
    int rc;
};

static int close_it(void *arg)
{
    struct closing *c = arg;

    CHECK_EQ(hk_event_wait(&c->go), 0);
    c->rc = hk_close(c->fd);
    return 0;
}

static int read_until_closed(void *arg)
{
    int rc = read_byte(arg);

    CHECK(rc == -EBADF || rc == 1);
    return 0;
}

/* Readers on one worker, the closer on another, data or nothing arriving meanwhile. */
static int close_from_another_worker(void *arg)
{
    int rounds = scaled(500, 100);

    (void)arg;
    for (int i = 0; i < rounds; i++) {
        hk_scope s = HK_SCOPE_INIT;
        struct closing c = {.rc = 1};
        hk_fd fds[2];

        make_pair(fds);
        c.fd = fds[0];
        hk_scope_open_with(&s, HK_SCOPE_PARALLEL, NULL);
        hk_spawn(&s, close_it, &c);
        hk_spawn(&s, read_until_closed, &fds[0]);
        if (i % 3)
            CHECK_EQ(hk_yield(), 0);
        hk_event_set(&c.go);
        if (i % 2) {
            ssize_t n = hk_write(fds[1], "x", 1);

            CHECK(n == 1 || n == -EPIPE);
        }
        CHECK_EQ(hk_scope_join(&s), 0);
        CHECK_EQ(c.rc, 0);
        CHECK_EQ(hk_close(fds[1]), 0);
    }
    return 0;
}

static void rule_28_close_ends_an_operation_of_another_worker(void **state)
{
    (void)state;
    assert_int_equal(run_workers(2, close_from_another_worker, NULL), 0);
    assert_int_equal(run_workers(3, close_from_another_worker, NULL), 0);
}

static void *close_from_thread(void *arg)
{
    struct closing *c = arg;

    CHECK_EQ(hk_event_wait(&c->go), 0);
    c->rc = hk_close(c->fd);
    return NULL;
}

static int read_while_a_thread_closes(void *arg)
{
    int rounds = scaled(300, 60);

    (void)arg;
    for (int i = 0; i < rounds; i++) {
        hk_scope s = HK_SCOPE_INIT;
        struct closing c = {.rc = 1};
        pthread_t thread;
        hk_fd fds[2];

        make_pair(fds);
        c.fd = fds[0];
        CHECK_EQ(pthread_create(&thread, NULL, close_from_thread, &c), 0);
        hk_scope_open(&s);
        hk_spawn(&s, expect_ebadf, &fds[0]);
        if (i % 2)
            CHECK_EQ(hk_yield(), 0);
        hk_event_set(&c.go);
        CHECK_EQ(hk_scope_join(&s), 0);
        pthread_join(thread, NULL);
        CHECK_EQ(c.rc, 0);
        CHECK_EQ(hk_close(fds[1]), 0);
    }
    return 0;
}

static void rule_28_close_by_a_thread_ends_an_operation_of_a_worker(void **state)
{
    (void)state;
    assert_int_equal(run_workers(1, read_while_a_thread_closes, NULL), 0);
}

/* A cancel by the operation's own worker and a close from elsewhere at the same
 * time. */
static int cancel_and_close(void *arg)
{
    int rounds = scaled(500, 100);

    (void)arg;
    for (int i = 0; i < rounds; i++) {
        struct closing c = {.rc = 1};
        struct pending p;
        pthread_t thread;
        hk_fd fds[2];
        char byte;

        make_pair(fds);
        c.fd = fds[0];
        CHECK_EQ(pthread_create(&thread, NULL, close_from_thread, &c), 0);
        arm(&p);
        hk_op_recv(&p.op, fds[0], &byte, 1, 0);
        CHECK_EQ(hk_op_start(&p.op, &p.waiter), 0);
        hk_event_set(&c.go);
        for (int spin = 0; spin < i % 50 * 100; spin++)
            __asm__ volatile("" ::: "memory");
        hk_op_cancel(&p.op);
        until_done(&p.done);
        CHECK(p.result == -ECANCELED || p.result == -EBADF);
        pthread_join(thread, NULL);
        CHECK_EQ(c.rc, 0);
        CHECK_EQ(peek(&p.done), 1);
        CHECK_EQ(hk_close(fds[1]), 0);
    }
    return 0;
}

static void op_cancel_and_close_from_elsewhere_at_the_same_time(void **state)
{
    (void)state;
    assert_int_equal(run_workers(1, cancel_and_close, NULL), 0);
}

TASK_TEST(rule_17_close_runs_shielded)
{
    hk_scope s = HK_SCOPE_INIT, reader = HK_SCOPE_INIT;
    hk_fd fds[2];

    make_pair(fds);
    hk_scope_open(&reader);
    hk_spawn(&reader, expect_ebadf, &fds[0]);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    hk_scope_open(&s);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_close(fds[0]), 0); /* it has to wait for the reader, and does */
    CHECK_EQ(hk_close(fds[1]), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(hk_scope_join(&reader), 0);
    return 0;
}

static int close_twice(void *arg)
{
    return hk_close(*(hk_fd *)arg);
}

static int close_and_expect_ebadf(void *arg)
{
    CHECK_EQ(hk_close(*(hk_fd *)arg), -EBADF);
    return 0;
}

TASK_TEST(rule_28_of_two_closers_one_succeeds)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_fd fds[2];

    make_pair(fds);
    hk_scope_open(&s);
    hk_spawn(&s, expect_ebadf, &fds[0]);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    hk_spawn(&s, close_twice, &fds[0]);
    hk_spawn(&s, close_and_expect_ebadf, &fds[0]);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(hk_close(fds[1]), 0);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rule_28_close_ends_an_operation_of_the_same_worker_with_ebadf),
        cmocka_unit_test(rule_28_close_ends_an_operation_of_another_worker),
        cmocka_unit_test(rule_28_close_by_a_thread_ends_an_operation_of_a_worker),
        cmocka_unit_test(op_cancel_and_close_from_elsewhere_at_the_same_time),
        cmocka_unit_test(rule_17_close_runs_shielded),
        cmocka_unit_test(rule_28_of_two_closers_one_succeeds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
