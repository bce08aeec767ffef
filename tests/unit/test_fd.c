/* SPDX-License-Identifier: MIT */
/*
 * Shows that reading, writing and waiting on handles move every byte once, and say what
 * moved when an error or a close stops them: over pipes and socket pairs, in tasks and
 * on plain threads. Cancels and deadlines are in test_fd_cancel.c.
 */
#include "fd_test.h"

#include <sys/time.h>
#include <sys/uio.h>

/* ---- moving bytes ---- */

static int a_pipe_moves_bytes_to_its_end(void *arg)
{
    hk_fd p[2];
    char buf[16];

    (void)arg;
    CHECK_EQ(hk_pipe(p), 0);
    CHECK_EQ(hk_write(p[1], "hello", 5), 5);
    CHECK_EQ(hk_read(p[0], buf, 3), 3);
    CHECK_EQ(hk_read(p[0], buf + 3, sizeof(buf) - 3), 2);
    CHECK(memcmp(buf, "hello", 5) == 0);
    CHECK_EQ(hk_close(p[1]), 0);
    CHECK_EQ(hk_read(p[0], buf, sizeof(buf)), 0);
    CHECK_EQ(hk_read(p[0], buf, sizeof(buf)), 0);
    CHECK_EQ(hk_close(p[0]), 0);
    return 0;
}

static int several_buffers_move_in_order(void *arg)
{
    char one[4] = "", two[4] = "";
    struct iovec out[] = {{(char[]){"abc"}, 3}, {(char[]){""}, 0}, {(char[]){"de"}, 2}};
    struct iovec in[] = {{one, 2}, {two, 4}};
    hk_fd p[2];

    (void)arg;
    CHECK_EQ(hk_pipe(p), 0);
    CHECK_EQ(hk_writev(p[1], out, 3), 5);
    CHECK_EQ(hk_readv(p[0], in, 2), 5);
    CHECK(memcmp(one, "ab", 2) == 0 && memcmp(two, "cde", 3) == 0);
    close_both(p);
    CHECK_EQ(hk_socket_pair(p), 0);
    CHECK_EQ(hk_writev(p[1], out, 3), 5);
    CHECK_EQ(hk_readv(p[0], in, 2), 5);
    CHECK(memcmp(one, "ab", 2) == 0 && memcmp(two, "cde", 3) == 0);
    CHECK_EQ(hk_writev(p[1], out, 1025), -EINVAL);
    CHECK_EQ(hk_readv(p[0], in, 1025), -EINVAL);
    CHECK_EQ(hk_writev(p[1], out, 0), 0);
    close_both(p);
    return 0;
}

static int read_exactly_tells_a_clean_end_from_a_torn_one(void *arg)
{
    hk_fd p[2];
    char buf[8];
    size_t done = 99;

    (void)arg;
    CHECK_EQ(hk_pipe(p), 0);
    CHECK_EQ(hk_write_all(p[1], "12345678abc", 11, NULL), 0);
    CHECK_EQ(hk_close(p[1]), 0);
    CHECK_EQ(hk_read_exactly(p[0], buf, 0, &done), 0);
    CHECK_EQ(done, 0);
    CHECK_EQ(hk_read_exactly(p[0], buf, 8, NULL), 0);
    CHECK(memcmp(buf, "12345678", 8) == 0);
    CHECK_EQ(hk_read_exactly(p[0], buf, 8, &done), -EPROTO);
    CHECK_EQ(done, 3);
    CHECK_EQ(hk_read_exactly(p[0], buf, 8, &done), -ENODATA);
    CHECK_EQ(done, 0);
    CHECK_EQ(hk_close(p[0]), 0);
    return 0;
}

static int write_big(void *arg)
{
    hk_fd *fd = arg;
    unsigned char *buf = malloc(BIG);
    size_t done = 0;

    fill_pattern(buf, BIG);
    CHECK_EQ(hk_write_all(*fd, buf, BIG, &done), 0);
    CHECK_EQ(done, BIG);
    CHECK_EQ(hk_close(*fd), 0);
    free(buf);
    return 0;
}

static void move_big(hk_fd from, hk_fd to)
{
    unsigned char *buf = malloc(BIG);
    hk_scope s = HK_SCOPE_INIT;
    size_t done = 0;
    char end;

    hk_scope_open(&s);
    hk_spawn(&s, write_big, &from);
    CHECK_EQ(hk_read_exactly(to, buf, BIG, &done), 0);
    CHECK_EQ(done, BIG);
    check_pattern(buf, BIG);
    CHECK_EQ(hk_read(to, &end, 1), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(hk_close(to), 0);
    free(buf);
}

static int eight_megabytes_pass_small_buffers(void *arg)
{
    hk_fd p[2];

    (void)arg;
    CHECK_EQ(hk_pipe(p), 0);
    move_big(p[1], p[0]);
    CHECK_EQ(hk_socket_pair(p), 0);
    CHECK_EQ(hk_sock_set(p[0], SOL_SOCKET, SO_SNDBUF, 4096), 0);
    move_big(p[0], p[1]);
    tcp_pair(p);
    CHECK_EQ(hk_sock_set(p[0], SOL_SOCKET, SO_SNDBUF, 65536), 0);
    move_big(p[0], p[1]);
    return 0;
}

static int a_write_without_reader_is_epipe_and_no_signal(void *arg)
{
    struct iovec iov = {(char[]){"x"}, 1};
    hk_fd p[2];
    size_t done = 99;

    (void)arg;
    CHECK_EQ(hk_pipe(p), 0);
    CHECK_EQ(hk_close(p[0]), 0);
    CHECK_EQ(hk_write(p[1], "x", 1), -EPIPE);
    CHECK_EQ(hk_writev(p[1], &iov, 1), -EPIPE);
    CHECK_EQ(hk_write_all(p[1], "x", 1, &done), -EPIPE);
    CHECK_EQ(done, 0);
    CHECK_EQ(hk_printf(p[1], "x"), -EPIPE);
    CHECK_EQ(hk_close(p[1]), 0);
    CHECK_EQ(hk_socket_pair(p), 0);
    CHECK_EQ(hk_close(p[0]), 0);
    CHECK_EQ(hk_write(p[1], "x", 1), -EPIPE);
    CHECK_EQ(hk_writev(p[1], &iov, 1), -EPIPE);
    CHECK_EQ(hk_close(p[1]), 0);
    return 0;
}

static int printf_writes_short_and_long_text(void *arg)
{
    hk_fd p[2];
    char buf[2048], want[2048];

    (void)arg;
    CHECK_EQ(hk_pipe(p), 0);
    CHECK_EQ(hk_printf(p[1], "%d %s\n", 42, "blue"), 8);
    CHECK_EQ(hk_read(p[0], buf, sizeof(buf)), 8);
    CHECK(memcmp(buf, "42 blue\n", 8) == 0);
    for (int len = 510; len <= 1500; len = len < 514 ? len + 1 : len + 493) {
        snprintf(want, sizeof(want), "%0*d", len, 7);
        CHECK_EQ(hk_printf(p[1], "%0*d", len, 7), len);
        CHECK_EQ(hk_read(p[0], buf, sizeof(buf)), len);
        CHECK(memcmp(buf, want, (size_t)len) == 0);
    }
    CHECK_EQ(hk_printf(p[1], "%s", ""), 0);
    close_both(p);
    CHECK_EQ(hk_printf(p[1], "x"), -EBADF);
    return 0;
}

static int devices_and_files_are_read_and_written(void *arg)
{
    hk_fd null, zero;
    char buf[64] = "x";

    (void)arg;
    CHECK_EQ(hk_open("/dev/null", O_RDWR, 0, &null), 0);
    CHECK_EQ(hk_open("/dev/zero", O_RDONLY, 0, &zero), 0);
    CHECK_EQ(hk_write(null, "x", 1), 1);
    CHECK_EQ(hk_read(null, buf, 1), 0);
    CHECK_EQ(hk_read_exactly(zero, buf, sizeof(buf), NULL), 0);
    CHECK_EQ(buf[0], 0);
    CHECK_EQ(hk_read(zero, buf, 0), 0);
    CHECK_EQ(hk_close(null), 0);
    CHECK_EQ(hk_close(zero), 0);
    return 0;
}

/* ---- one reader, one writer; close; reuse ---- */

static int a_second_reader_or_writer_is_busy(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    struct transfer t;
    hk_fd p[2];
    char buf[4];

    (void)arg;
    CHECK_EQ(hk_socket_pair(p), 0);
    t.fd = p[0];
    hk_scope_open(&s);
    hk_spawn(&s, expect_cancelled_read, &p[0]);
    hk_spawn(&s, write_too_much, &t);
    let_others_wait();
    CHECK_EQ(hk_read(p[0], buf, 4), -EBUSY);
    CHECK_EQ(hk_write(p[0], buf, 4), -EBUSY);
    CHECK_EQ(hk_read(p[1], buf, 4), 4); /* the other end is another stream */
    hk_scope_cancel(&s);
    CHECK_EQ(hk_scope_join(&s), 0);
    close_both(p);
    return 0;
}

static int expect_closed_read(void *arg)
{
    CHECK_EQ(read_byte(arg), -EBADF);
    return 0;
}

static int expect_closed_write(void *arg)
{
    hk_fd *fd = arg;
    char *buf = calloc(1, BIG);

    CHECK_EQ(hk_write_all(*fd, buf, BIG, NULL), -EBADF);
    free(buf);
    return 0;
}

/* A pipe, a Unix and a TCP connection; p[1] writes, p[0] reads. */
static void make_pair(int kind, hk_fd p[2])
{
    if (kind == 2)
        tcp_pair(p);
    else
        CHECK_EQ(kind ? hk_socket_pair(p) : hk_pipe(p), 0);
}

/* Closes `end` of a pair while `child` is inside a call on it. */
static void close_during(hk_task_fn *child, int kind, int end)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_fd p[2];
    int number;
    char buf[4];

    make_pair(kind, p);
    number = hk_fd_number(p[end]);
    hk_scope_open(&s);
    hk_spawn(&s, child, &p[end]);
    let_others_wait();
    CHECK_EQ(hk_close(p[end]), 0);
    CHECK_EQ(fcntl(number, F_GETFD), -1);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(hk_read(p[end], buf, 4), -EBADF);
    CHECK_EQ(hk_write(p[end], buf, 4), -EBADF);
    CHECK_EQ(hk_fd_number(p[end]), -EBADF);
    CHECK_EQ(hk_close(p[end]), -EBADF);
    CHECK_EQ(hk_close(p[!end]), 0);
}

/* C11: on the same worker in a task, on another one from a plain thread. */
static int close_ends_calls_in_flight(void *arg)
{
    (void)arg;
    for (int kind = 0; kind < 3; kind++) {
        close_during(expect_closed_read, kind, 0);
        close_during(expect_closed_write, kind, 1);
    }
    return 0;
}

static int close_now(void *arg)
{
    hk_fd *fd = arg;

    CHECK_EQ(hk_close(*fd), 0);
    return 0;
}

static int close_runs_in_a_cancelled_scope(void *arg)
{
    hk_fd p[2];

    (void)arg;
    CHECK_EQ(hk_pipe(p), 0);
    CHECK_EQ(run_cancelled(close_now, &p[0]), 0);
    CHECK_EQ(run_cancelled(close_now, &p[1]), 0);
    return 0;
}

static int a_stale_handle_never_hits_a_reused_number(void *arg)
{
    hk_fd old[2], new[2];
    char buf[8];

    (void)arg;
    for (int i = 0; i < 200; i++) {
        int number;

        CHECK_EQ(hk_pipe(old), 0);
        number = hk_fd_number(old[0]);
        if (i % 2) {
            hk_scope s = HK_SCOPE_INIT; /* with a read in flight */

            hk_scope_open(&s);
            hk_spawn(&s, expect_closed_read, &old[0]);
            CHECK_EQ(hk_yield(), 0);
            close_both(old);
            CHECK_EQ(hk_scope_join(&s), 0);
        } else {
            close_both(old);
        }
        CHECK_EQ(hk_pipe(new), 0);
        CHECK_EQ(hk_fd_number(new[0]), number);
        CHECK_EQ(hk_write(old[1], "bad", 3), -EBADF);
        CHECK_EQ(hk_close(old[0]), -EBADF);
        CHECK_EQ(hk_write(new[1], "good", 4), 4);
        CHECK_EQ(hk_read(old[0], buf, sizeof(buf)), -EBADF);
        CHECK_EQ(hk_read(new[0], buf, sizeof(buf)), 4);
        close_both(new);
    }
    return 0;
}

static int adopt_and_release(void *arg)
{
    hk_fd p[2], again;
    int number;
    char byte;

    (void)arg;
    CHECK_EQ(hk_fd_adopt(-1, 0, &again), -EBADF);
    CHECK_EQ(hk_pipe(p), 0);
    number = hk_fd_release(p[0]);
    CHECK(number >= 0 && fcntl(number, F_GETFD) == FD_CLOEXEC);
    CHECK_EQ(hk_read(p[0], &byte, 1), -EBADF);
    CHECK_EQ(hk_fd_release(p[0]), -EBADF);
    CHECK_EQ(hk_fd_adopt(number, HK_FD_STREAM, &again), 0);
    CHECK_EQ(hk_write(p[1], "z", 1), 1);
    CHECK_EQ(hk_read(again, &byte, 1), 1);
    CHECK_EQ(hk_close(again), 0);
    CHECK_EQ(hk_close(p[1]), 0);
    return 0;
}

/* ---- signals, limits, memory ---- */

static void on_alarm(int signo)
{
    (void)signo;
}

/* C13: waits, while SIGALRM (without SA_RESTART) comes every millisecond. */
static int signals_end_no_call(void *arg)
{
    struct sigaction act = {.sa_handler = on_alarm}, old;
    struct itimerval every = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
    hk_fd p[2];

    (void)arg;
    CHECK_EQ(hk_pipe(p), 0);
    CHECK_EQ(sigaction(SIGALRM, &act, &old), 0);
    CHECK_EQ(setitimer(ITIMER_REAL, &every, NULL), 0);
    for (int i = 0; i < 5; i++)
        run_to_the_deadline(read_byte, &p[0]);
    CHECK_EQ(setitimer(ITIMER_REAL, &never, NULL), 0);
    CHECK_EQ(sigaction(SIGALRM, &old, NULL), 0);
    close_both(p);
    return 0;
}

static int a_pipe_without_descriptors_is_emfile(void *arg)
{
    rlim_t old = forbid_descriptors();
    hk_fd p[2] = {{1}, {2}};

    (void)arg;
    CHECK_EQ(hk_pipe(p), -EMFILE);
    CHECK(p[0].value == 1 && p[1].value == 2);
    restore_descriptors(old);
    CHECK_EQ(hk_pipe(p), 0);
    close_both(p);
    return 0;
}

/* Fails every allocation in turn; whatever fails leaves no descriptor open. */
static int every_allocation_may_fail(void *arg)
{
    int before = open_descriptors();

    (void)arg;
    for (uint64_t nth = 1; nth < 100; nth++) {
        hk_fd p[2];
        ssize_t rc;

        hk_fault_arm(HK_FAULT_ALLOC, nth, -ENOMEM);
        rc = hk_pipe(p);
        if (rc == 0) {
            rc = hk_printf(p[1], "%0600d", 1);
            close_both(p);
        }
        hk_fault_arm(HK_FAULT_ALLOC, 0, 0);
        CHECK_EQ(open_descriptors(), before);
        if (rc == 600)
            return 0;
        CHECK_EQ(rc, -ENOMEM);
    }
    CHECK(false);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_TASK(a_pipe_moves_bytes_to_its_end),
        ON_A_THREAD(a_pipe_moves_bytes_to_its_end),
        IN_A_TASK(several_buffers_move_in_order),
        ON_A_THREAD(several_buffers_move_in_order),
        IN_A_TASK(read_exactly_tells_a_clean_end_from_a_torn_one),
        ON_A_THREAD(read_exactly_tells_a_clean_end_from_a_torn_one),
        IN_A_TASK(eight_megabytes_pass_small_buffers),
        ON_A_THREAD(eight_megabytes_pass_small_buffers),
        IN_A_TASK(a_write_without_reader_is_epipe_and_no_signal),
        ON_A_THREAD(a_write_without_reader_is_epipe_and_no_signal),
        IN_A_TASK(printf_writes_short_and_long_text),
        ON_A_THREAD(printf_writes_short_and_long_text),
        IN_A_TASK(devices_and_files_are_read_and_written),
        ON_A_THREAD(devices_and_files_are_read_and_written),
        IN_A_TASK(a_second_reader_or_writer_is_busy),
        IN_A_TASK(close_ends_calls_in_flight),
        ON_A_THREAD(close_ends_calls_in_flight),
        IN_A_TASK(close_runs_in_a_cancelled_scope),
        ON_A_THREAD(close_runs_in_a_cancelled_scope),
        IN_A_TASK(a_stale_handle_never_hits_a_reused_number),
        IN_A_TASK(adopt_and_release),
        ON_A_THREAD(adopt_and_release),
        IN_A_TASK(signals_end_no_call),
        ON_A_THREAD(signals_end_no_call),
        IN_A_TASK(a_pipe_without_descriptors_is_emfile),
        IN_A_TASK(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
