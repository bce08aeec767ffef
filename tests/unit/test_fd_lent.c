/* SPDX-License-Identifier: MIT */
/*
 * Shows that descriptors which are not ours are waited for and used without being
 * changed: foreign ones through hk_wait_fd, standard input (made a pipe of ours by
 * main) and lent ones, blocking or not. Whether it may have changed is asked of
 * fcntl(2).
 */
#include "fd_test.h"

static int stdin_feed; /* the writing end of what standard input was made by main */

/* ---- foreign descriptors ---- */

static int expect_readable(void *arg)
{
    int *fd = arg;

    CHECK_EQ(hk_wait_fd(*fd, POLLIN), POLLIN);
    return 0;
}

static int wait_fd_waits_for_readiness(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    int fds[2];

    (void)arg;
    CHECK_EQ(pipe(fds), 0);
    hk_scope_open(&s);
    for (int i = 0; i < 3; i++)
        hk_spawn(&s, expect_readable, &fds[0]); /* several for one descriptor */
    let_others_wait();
    CHECK_EQ(hk_wait_fd(fds[1], POLLOUT), POLLOUT);
    CHECK_EQ(write(fds[1], "x", 1), 1);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(hk_wait_fd(fds[0], POLLIN | POLLPRI), POLLIN); /* nothing was read */
    CHECK_EQ(close(fds[1]), 0);
    CHECK_EQ(hk_wait_fd(fds[0], POLLIN), POLLIN | POLLHUP);
    CHECK_EQ(fcntl(fds[0], F_GETFL) & O_NONBLOCK, 0);
    CHECK_EQ(close(fds[0]), 0);
    CHECK_EQ(hk_wait_fd(fds[0], POLLIN), -EBADF);
    CHECK_EQ(hk_wait_fd(-1, POLLIN), -EBADF);
    return 0;
}

static int wait_readable(void *arg)
{
    int *fd = arg;

    return hk_wait_fd(*fd, POLLIN);
}

static int expect_cancelled_wait(void *arg)
{
    CHECK_EQ(wait_readable(arg), -ECANCELED);
    return 0;
}

static int wait_fd_can_be_cancelled_and_the_number_reused(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        int fds[2];

        CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        CHECK_EQ(cancel_while_waiting(expect_cancelled_wait, &fds[0]), 0);
        if (i % 2)
            CHECK_EQ(write(fds[1], "x", 1), 1);
        else
            run_to_the_deadline(wait_readable, &fds[0]);
        if (i % 2)
            CHECK_EQ(hk_wait_fd(fds[0], POLLIN), POLLIN);
        CHECK_EQ(close(fds[0]), 0);
        CHECK_EQ(close(fds[1]), 0);
    }
    return 0;
}

static int files_are_always_ready(void *arg)
{
    int fd = open("/proc/self/exe", O_RDONLY);
    int null = open("/dev/null", O_WRONLY);

    (void)arg;
    CHECK_EQ(hk_wait_fd(fd, POLLIN), POLLIN);
    CHECK_EQ(hk_wait_fd(null, POLLOUT), POLLOUT);
    CHECK_EQ(close(fd), 0);
    CHECK_EQ(close(null), 0);
    return 0;
}

/* ---- standard streams, and borrowed descriptors ---- */

static int standard_input_stays_blocking(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_fd in = hk_stdin();
    char byte;

    (void)arg;
    CHECK_EQ(hk_stdin().value, in.value);
    CHECK_EQ(hk_fd_number(in), 0);
    hk_scope_open(&s);
    hk_spawn(&s, expect_cancelled_read, &in);
    let_others_wait();
    CHECK_EQ(fcntl(0, F_GETFL) & O_NONBLOCK, 0); /* while a read waits */
    hk_scope_cancel(&s);
    CHECK_EQ(hk_scope_join(&s), 0);
    run_to_the_deadline(read_byte, &in);
    CHECK_EQ(write(stdin_feed, "k", 1), 1);
    CHECK_EQ(hk_read(in, &byte, 1), 1);
    CHECK_EQ(byte, 'k');
    CHECK_EQ(fcntl(0, F_GETFL) & O_NONBLOCK, 0);
    CHECK_EQ(hk_close(in), 0);
    CHECK_EQ(fcntl(0, F_GETFD), 0); /* still open */
    CHECK_EQ(hk_read(in, &byte, 1), -EBADF);
    in = hk_stdin(); /* a new handle */
    CHECK_EQ(write(stdin_feed, "m", 1), 1);
    CHECK_EQ(hk_read(in, &byte, 1), 1);
    CHECK_EQ(byte, 'm');
    return 0;
}

static int standard_output_is_shared_by_tasks(void *arg)
{
    int flags = fcntl(1, F_GETFL);

    (void)arg;
    CHECK_EQ(hk_printf(hk_stdout(), "# from %s\n", "a task"), 14);
    CHECK_EQ(hk_fd_number(hk_stderr()), 2);
    CHECK_EQ(fcntl(1, F_GETFL), flags);
    return 0;
}

/* Whoever lent it may have made it non-blocking: still a read waits. */
static int a_lent_non_blocking_descriptor_waits(void *arg)
{
    int fds[2];
    hk_fd in, out;
    size_t done;
    struct transfer t;

    (void)arg;
    CHECK_EQ(pipe2(fds, O_NONBLOCK), 0);
    CHECK_EQ(hk_fd_adopt(fds[0], HK_FD_BORROWED | HK_FD_STREAM, &in), 0);
    CHECK_EQ(hk_fd_adopt(fds[1], HK_FD_BORROWED | HK_FD_STREAM, &out), 0);
    run_to_the_deadline(read_byte, &in);
    t.fd = out;
    CHECK_EQ(cancel_while_waiting(write_too_much, &t), 0);
    if (t.done > 0) {
        char *buf = malloc(t.done);

        CHECK_EQ(hk_read_exactly(in, buf, t.done, &done), 0);
        free(buf);
    }
    CHECK_EQ(hk_close(in), 0);
    CHECK_EQ(hk_close(out), 0);
    CHECK_EQ(close(fds[0]), 0);
    CHECK_EQ(close(fds[1]), 0);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_TASK(standard_input_stays_blocking),
        ON_A_THREAD(standard_input_stays_blocking),
        IN_A_TASK(standard_output_is_shared_by_tasks),
        ON_A_THREAD(standard_output_is_shared_by_tasks),
        IN_A_TASK(wait_fd_waits_for_readiness),
        ON_A_THREAD(wait_fd_waits_for_readiness),
        IN_A_TASK(wait_fd_can_be_cancelled_and_the_number_reused),
        ON_A_THREAD(wait_fd_can_be_cancelled_and_the_number_reused),
        IN_A_TASK(files_are_always_ready),
        ON_A_THREAD(files_are_always_ready),
        IN_A_TASK(a_lent_non_blocking_descriptor_waits),
        ON_A_THREAD(a_lent_non_blocking_descriptor_waits),
    };
    int fds[2];

    CHECK_EQ(pipe(fds), 0);
    CHECK_EQ(dup2(fds[0], 0), 0);
    CHECK_EQ(close(fds[0]), 0);
    stdin_feed = fds[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
