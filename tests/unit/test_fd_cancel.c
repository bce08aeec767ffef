/* SPDX-License-Identifier: MIT */
/*
 * Shows that a read, a write or a wait on a handle that is cancelled or late says what
 * it has moved, and that the next one finds the rest: nothing lost, nothing twice. Over
 * pipes and socket pairs, in tasks and on plain threads.
 */
#include "fd_test.h"

#include <sys/uio.h>

/* ---- cancel and deadline ---- */

static int try_all_calls(void *arg)
{
    hk_fd *p = arg;
    char buf[4];
    struct iovec iov = {buf, 4};
    size_t done = 99;

    CHECK_EQ(hk_read(p[0], buf, 4), -ECANCELED);
    CHECK_EQ(hk_readv(p[0], &iov, 1), -ECANCELED);
    CHECK_EQ(hk_read_exactly(p[0], buf, 4, &done), -ECANCELED);
    CHECK_EQ(done, 0);
    done = 99;
    CHECK_EQ(hk_write(p[1], buf, 4), -ECANCELED);
    CHECK_EQ(hk_writev(p[1], &iov, 1), -ECANCELED);
    CHECK_EQ(hk_write_all(p[1], buf, 4, &done), -ECANCELED);
    CHECK_EQ(done, 0);
    CHECK_EQ(hk_write_all(p[1], buf, 0, NULL), -ECANCELED);
    CHECK_EQ(hk_printf(p[1], "x"), -ECANCELED);
    CHECK_EQ(hk_wait_fd(hk_fd_number(p[0]), POLLIN), -ECANCELED);
    return 0;
}

static int cancelled_before_no_call_moves_a_byte(void *arg)
{
    hk_fd p[2];
    char buf[8];

    (void)arg;
    CHECK_EQ(hk_pipe(p), 0);
    CHECK_EQ(hk_write(p[1], "kept", 4), 4);
    CHECK_EQ(run_cancelled(try_all_calls, p), 0);
    CHECK_EQ(hk_read(p[0], buf, sizeof(buf)), 4);
    CHECK(memcmp(buf, "kept", 4) == 0);
    close_both(p);
    return 0;
}

static int a_cancelled_read_takes_nothing(void *arg)
{
    hk_fd p[2];
    char byte = 0;

    (void)arg;
    for (int kind = 0; kind < 2; kind++) {
        CHECK_EQ(kind ? hk_socket_pair(p) : hk_pipe(p), 0);
        CHECK_EQ(cancel_while_waiting(expect_cancelled_read, &p[0]), 0);
        CHECK_EQ(hk_write(p[1], "y", 1), 1);
        CHECK_EQ(hk_read(p[0], &byte, 1), 1);
        CHECK_EQ(byte, 'y');
        run_to_the_deadline(read_byte, &p[0]);
        close_both(p);
    }
    return 0;
}

/* C6: what a cancelled write reports is what the reader finds. */
static int a_cancelled_write_counts_what_it_wrote(void *arg)
{
    hk_fd p[2];
    char buf[4096];

    (void)arg;
    for (int kind = 0; kind < 2; kind++) {
        struct transfer t = {.done = BIG};
        size_t found = 0;
        ssize_t n;

        CHECK_EQ(kind ? hk_socket_pair(p) : hk_pipe(p), 0);
        t.fd = p[1];
        CHECK_EQ(cancel_while_waiting(write_too_much, &t), 0);
        CHECK_EQ(hk_close(p[1]), 0);
        while ((n = hk_read(p[0], buf, sizeof(buf))) > 0)
            found += (size_t)n;
        CHECK_EQ(n, 0);
        CHECK_EQ(t.done, found);
        CHECK_EQ(hk_close(p[0]), 0);
    }
    return 0;
}

static int read_exactly_too_much(void *arg)
{
    struct transfer *t = arg;
    char buf[8];

    CHECK_EQ(hk_read_exactly(t->fd, buf, sizeof(buf), &t->done), -ECANCELED);
    CHECK(memcmp(buf, "abc", t->done) == 0);
    return 0;
}

static int a_cancelled_read_exactly_counts_what_it_read(void *arg)
{
    struct transfer t;
    hk_fd p[2];
    char buf[8];

    (void)arg;
    CHECK_EQ(hk_pipe(p), 0);
    CHECK_EQ(hk_write(p[1], "abc", 3), 3);
    t = (struct transfer){p[0], 99};
    CHECK_EQ(cancel_while_waiting(read_exactly_too_much, &t), 0);
    CHECK(t.done == 3 || t.done == 0); /* 0: cancelled before its first run */
    CHECK_EQ(hk_write(p[1], "d", 1), 1);
    CHECK_EQ(hk_read(p[0], buf, sizeof(buf)), 4 - (ssize_t)t.done);
    close_both(p);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_TASK(cancelled_before_no_call_moves_a_byte),
        ON_A_THREAD(cancelled_before_no_call_moves_a_byte),
        IN_A_TASK(a_cancelled_read_takes_nothing),
        ON_A_THREAD(a_cancelled_read_takes_nothing),
        IN_A_TASK(a_cancelled_write_counts_what_it_wrote),
        ON_A_THREAD(a_cancelled_write_counts_what_it_wrote),
        IN_A_TASK(a_cancelled_read_exactly_counts_what_it_read),
        ON_A_THREAD(a_cancelled_read_exactly_counts_what_it_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
