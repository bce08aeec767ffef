/* SPDX-License-Identifier: MIT */
/*
 * Shows that handles travel over Unix sockets, that they are marked as what they are,
 * and that every descriptor which arrives is either handed out or closed: too many, no
 * room in the process, no memory, a sender that is not hocket. Counted by the open
 * descriptors of the process, before and after.
 */
#include "io_test.h"

#include "support/emulator.h"

#include <sys/stat.h>
#include <sys/un.h>

/* What a descriptor is: the same for two that share one open file. */
static ino_t inode_of(hk_fd fd)
{
    struct stat st;

    CHECK_EQ(fstat(hk_fd_number(fd), &st), 0);
    return st.st_ino;
}

static int a_socket_pair_talks(void *arg)
{
    hk_fd p[2];
    char buf[4];

    (void)arg;
    CHECK_EQ(hk_socket_pair(p), 0);
    CHECK_EQ(fcntl(hk_fd_number(p[0]), F_GETFD), FD_CLOEXEC);
    CHECK_EQ(hk_write(p[0], "a", 1), 1);
    CHECK_EQ(hk_read(p[1], buf, 4), 1);
    CHECK_EQ(hk_write(p[1], "bc", 2), 2);
    CHECK_EQ(hk_read(p[0], buf, 4), 2);
    close_both(p);
    return 0;
}

static int handles_travel_with_bytes(void *arg)
{
    hk_fd p[2], pipe_ends[2], got[16];
    size_t count = 16;
    char buf[8];

    (void)arg;
    CHECK_EQ(hk_socket_pair(p), 0);
    CHECK_EQ(hk_pipe(pipe_ends), 0);
    CHECK_EQ(hk_send_fds(p[0], "two", 3, pipe_ends, 2), 3);
    CHECK_EQ(hk_send_fds(p[0], "none", 4, NULL, 0), 4);
    CHECK_EQ(hk_recv_fds(p[1], buf, 3, got, &count), 3);
    CHECK_EQ(count, 2);
    CHECK(memcmp(buf, "two", 3) == 0);
    CHECK_EQ(inode_of(got[0]), inode_of(pipe_ends[0]));
    CHECK_EQ(fcntl(hk_fd_number(got[0]), F_GETFD), FD_CLOEXEC);
    CHECK_EQ(hk_write(got[1], "through", 7), 7);
    CHECK_EQ(hk_read(pipe_ends[0], buf, sizeof(buf)), 7);
    close_both(got);
    close_both(pipe_ends);
    count = 16;
    CHECK_EQ(hk_recv_fds(p[1], buf, sizeof(buf), got, &count), 4);
    CHECK_EQ(count, 0);
    CHECK_EQ(hk_close(p[0]), 0);
    count = 16;
    CHECK_EQ(hk_recv_fds(p[1], buf, sizeof(buf), got, &count), 0);
    CHECK_EQ(count, 0);
    CHECK_EQ(hk_close(p[1]), 0);
    return 0;
}

static int what_arrives_is_marked_as_what_it_is(void *arg)
{
    hk_fd p[2], tcp[2], sent[4], got[4];
    size_t count = 4;
    hk_addr addr;
    char buf[8];

    (void)arg;
    CHECK_EQ(hk_socket_pair(p), 0);
    tcp_pair(tcp);
    CHECK_EQ(hk_open("/proc/self/exe", O_RDONLY, 0, &sent[0]), 0);
    sent[1] = tcp[0];
    CHECK_EQ(hk_addr_parse("127.0.0.1:0", &addr), 0);
    CHECK_EQ(hk_listen(&addr, NULL, &sent[2]), 0);
    CHECK_EQ(hk_udp_open(&addr, &sent[3]), 0);
    CHECK_EQ(hk_send_fds(p[0], "x", 1, sent, 4), 1);
    CHECK_EQ(hk_recv_fds(p[1], buf, 1, got, &count), 1);
    CHECK_EQ(count, 4);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(hk_close(sent[i]), 0);
    CHECK_EQ(hk_pread(got[0], buf, 4, 0), 4); /* a file */
    CHECK(memcmp(buf, "\177ELF", 4) == 0);
    CHECK_EQ(hk_write(got[1], "hi", 2), 2); /* a stream */
    CHECK_EQ(hk_read(tcp[1], buf, sizeof(buf)), 2);
    CHECK_EQ(hk_addr_local(got[2], &addr), 0); /* a listener */
    CHECK_EQ(hk_connect(&addr, &sent[0]), 0);
    CHECK_EQ(hk_accept(got[2], NULL, &sent[1]), 0);
    close_both(sent);
    CHECK_EQ(hk_addr_local(got[3], &addr), 0); /* datagrams */
    CHECK_EQ(hk_send_to(got[3], "me", 2, &addr), 2);
    CHECK_EQ(hk_recv_from(got[3], buf, sizeof(buf), NULL, NULL), 2);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(hk_close(got[i]), 0);
    CHECK_EQ(hk_close(tcp[1]), 0);
    close_both(p);
    return 0;
}

/* ---- how many ---- */

static int sixteen_travel_and_seventeen_do_not(void *arg)
{
    int before = open_descriptors();
    hk_fd p[2], sent[17], got[16];
    size_t count = 17;
    char byte;

    (void)arg;
    CHECK_EQ(hk_socket_pair(p), 0);
    for (int i = 0; i < 17; i++)
        CHECK_EQ(hk_open("/dev/null", O_RDONLY, 0, &sent[i]), 0);
    CHECK_EQ(hk_send_fds(p[0], "x", 1, sent, 17), -EINVAL);
    CHECK_EQ(hk_send_fds(p[0], "", 0, sent, 1), -EINVAL);
    CHECK_EQ(hk_recv_fds(p[1], &byte, 1, got, &count), -EINVAL);
    count = 16;
    CHECK_EQ(hk_recv_fds(p[1], &byte, 0, got, &count), -EINVAL);
    CHECK_EQ(hk_send_fds(p[0], "x", 1, sent, 16), 1);
    CHECK_EQ(hk_recv_fds(p[1], &byte, 1, got, &count), 1);
    CHECK_EQ(count, 16);
    for (int i = 0; i < 16; i++)
        CHECK_EQ(hk_close(got[i]), 0);
    CHECK_EQ(hk_close(sent[16]), 0);
    CHECK_EQ(hk_send_fds(p[0], "x", 1, sent + 10, 7), -EBADF); /* one is closed */
    for (int i = 0; i < 16; i++)
        CHECK_EQ(hk_close(sent[i]), 0);
    close_both(p);
    CHECK_EQ(hk_send_fds(p[0], "x", 1, sent, 0), -EBADF);
    CHECK_EQ(open_descriptors(), before);
    return 0;
}

/* Sends `count` descriptors by hand, as another program may. */
static void send_by_hand(hk_fd fd, size_t count)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(253 * sizeof(int))];
    } control;
    struct iovec iov = {(char[]){"h"}, 1};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    int numbers[253];

    CHECK(count <= 253);
    for (size_t i = 0; i < count; i++)
        numbers[i] = hk_fd_number(fd);
    memset(&control, 0, sizeof(control));
    control.head.cmsg_level = SOL_SOCKET;
    control.head.cmsg_type = SCM_RIGHTS;
    control.head.cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(&control.head), numbers, count * sizeof(int));
    CHECK_EQ(sendmsg(hk_fd_number(fd), &msg, 0), 1);
}

static int more_than_wanted_are_closed(void *arg)
{
    const size_t counts[] = {1, 2, 3, 16, 17, 18, 24, 25, 100, 253};
    int before = open_descriptors();
    hk_fd p[2], got[16];
    char byte;

    (void)arg;
    for (size_t wanted = 0; wanted <= 16; wanted += wanted < 2 ? 1 : 14)
        for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
            bool fits = counts[i] <= wanted;
            size_t count = wanted;

            CHECK_EQ(hk_socket_pair(p), 0);
            send_by_hand(p[0], counts[i]);
            CHECK_EQ(hk_recv_fds(p[1], &byte, 1, got, &count), fits ? 1 : -EMSGSIZE);
            CHECK_EQ(count, fits ? counts[i] : wanted);
            for (size_t j = 0; fits && j < count; j++)
                CHECK_EQ(hk_close(got[j]), 0);
            CHECK_EQ(hk_write(p[0], "n", 1), 1); /* the connection goes on */
            CHECK_EQ(hk_recv_fds(p[1], &byte, 1, got, &count), 1);
            CHECK_EQ(byte, 'n');
            close_both(p);
            CHECK_EQ(open_descriptors(), before);
        }
    return 0;
}

static const char surplus[] = "loses descriptors that a message has no room for";

static void more_than_wanted_are_closed_in_a_task(void **state)
{
    skip_if_emulated(surplus);
    *state = (void *)(uintptr_t)more_than_wanted_are_closed;
    run_in_a_task(state);
}

static void more_than_wanted_are_closed_on_a_thread(void **state)
{
    skip_if_emulated(surplus);
    *state = (void *)(uintptr_t)more_than_wanted_are_closed;
    run_on_a_thread(state);
}

/* A socket that also wants credentials: they take room, but not that of handles. */
static int credentials_do_not_displace_handles(void *arg)
{
    int before = open_descriptors();
    hk_fd p[2], got[16];
    size_t count = 16;
    char byte;

    (void)arg;
    CHECK_EQ(hk_socket_pair(p), 0);
    CHECK_EQ(hk_sock_set(p[1], SOL_SOCKET, SO_PASSCRED, 1), 0);
    send_by_hand(p[0], 16);
    CHECK_EQ(hk_recv_fds(p[1], &byte, 1, got, &count), 1);
    CHECK_EQ(count, 16);
    for (size_t i = 0; i < count; i++)
        CHECK_EQ(hk_close(got[i]), 0);
    close_both(p);
    CHECK_EQ(open_descriptors(), before);
    return 0;
}

/* ---- failures ---- */

static int without_descriptors_it_is_emfile(void *arg)
{
    int before = open_descriptors();
    hk_fd p[2], got[16], more[2] = {{1}, {2}};
    size_t count = 16;
    char byte;
    rlim_t old;

    (void)arg;
    CHECK_EQ(hk_socket_pair(p), 0);
    send_by_hand(p[0], 5);
    old = forbid_descriptors();
    CHECK_EQ(hk_socket_pair(more), -EMFILE);
    CHECK(more[0].value == 1 && more[1].value == 2);
    CHECK_EQ(hk_recv_fds(p[1], &byte, 1, got, &count), -EMFILE);
    CHECK_EQ(count, 16);
    restore_descriptors(old);
    close_both(p);
    CHECK_EQ(open_descriptors(), before);
    return 0;
}

static int every_allocation_may_fail(void *arg)
{
    int before = open_descriptors(), rc = -ENOMEM;

    (void)arg;
    for (uint64_t nth = 1; rc < 0; nth++) {
        hk_fd p[2], got[16];
        size_t count = 16;
        char byte;

        CHECK(nth < 100);
        hk_fault_arm(HK_FAULT_ALLOC, nth, -ENOMEM);
        rc = hk_socket_pair(p);
        if (rc == 0) {
            send_by_hand(p[0], 5);
            rc = (int)hk_recv_fds(p[1], &byte, 1, got, &count);
            for (size_t i = 0; rc > 0 && i < count; i++)
                CHECK_EQ(hk_close(got[i]), 0);
            close_both(p);
        }
        hk_fault_arm(HK_FAULT_ALLOC, 0, 0);
        CHECK(rc == 1 || rc == -ENOMEM);
        CHECK_EQ(open_descriptors(), before);
    }
    return 0;
}

/* ---- cancel ---- */

static int receive(void *arg)
{
    hk_fd *fd = arg, got[16];
    size_t count = 16;
    char byte;

    return (int)hk_recv_fds(*fd, &byte, 1, got, &count);
}

static int expect_cancelled(void *arg)
{
    CHECK_EQ(receive(arg), -ECANCELED);
    return 0;
}

static int expect_cancelled_send(void *arg)
{
    hk_fd *fd = arg;

    CHECK_EQ(hk_send_fds(*fd, "x", 1, fd, 1), -ECANCELED);
    return 0;
}

static int expect_closed(void *arg)
{
    CHECK_EQ(receive(arg), -EBADF);
    return 0;
}

static int a_cancelled_call_moves_no_handle(void *arg)
{
    int before = open_descriptors();
    hk_scope s = HK_SCOPE_INIT;
    hk_fd p[2], got[16];
    size_t count = 16;
    char byte;

    (void)arg;
    CHECK_EQ(hk_socket_pair(p), 0);
    CHECK_EQ(cancel_while_waiting(expect_cancelled, &p[1]), 0);
    run_to_the_deadline(receive, &p[1]);
    CHECK_EQ(run_cancelled(expect_cancelled_send, &p[0]), 0);
    CHECK_EQ(hk_send_fds(p[0], "y", 1, p, 2), 1);
    CHECK_EQ(run_cancelled(expect_cancelled, &p[1]), 0);
    CHECK_EQ(hk_recv_fds(p[1], &byte, 1, got, &count), 1);
    CHECK_EQ(byte, 'y');
    CHECK_EQ(count, 2);
    close_both(got);
    hk_scope_open(&s);
    hk_spawn(&s, expect_closed, &p[1]);
    let_others_wait();
    CHECK_EQ(hk_close(p[1]), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(hk_close(p[0]), 0);
    CHECK_EQ(open_descriptors(), before);
    return 0;
}

/* A cancel at any moment of an exchange: what arrived was handed out, or is still on
 * its way and falls with the socket. */
static int send_two(void *arg)
{
    hk_fd *p = arg;

    return (int)hk_send_fds(p[0], "zz", 2, p, 2);
}

static int receive_two(void *arg)
{
    hk_fd *p = arg, got[16];
    size_t count = 16;
    char buf[2];
    int rc = (int)hk_recv_fds(p[1], buf, 2, got, &count);

    for (size_t i = 0; rc >= 0 && i < count; i++)
        CHECK_EQ(hk_close(got[i]), 0);
    return rc;
}

static int cancels_race_with_handles(void *arg)
{
    int before = open_descriptors();

    (void)arg;
    for (int i = 0; i < 300; i++) {
        hk_scope s = HK_SCOPE_INIT;
        hk_fd p[2];

        CHECK_EQ(hk_socket_pair(p), 0);
        hk_scope_open(&s);
        hk_spawn(&s, receive_two, p);
        for (int j = 0; j < i % 3; j++)
            CHECK_EQ(hk_yield(), 0);
        hk_spawn(&s, send_two, p);
        for (int j = 0; j < i / 3 % 5; j++)
            CHECK_EQ(hk_yield(), 0);
        hk_scope_cancel(&s);
        CHECK_EQ(hk_scope_join(&s), 0);
        close_both(p);
        CHECK_EQ(open_descriptors(), before);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_TASK(a_socket_pair_talks),
        ON_A_THREAD(a_socket_pair_talks),
        IN_A_TASK(handles_travel_with_bytes),
        ON_A_THREAD(handles_travel_with_bytes),
        IN_A_TASK(what_arrives_is_marked_as_what_it_is),
        ON_A_THREAD(what_arrives_is_marked_as_what_it_is),
        IN_A_TASK(sixteen_travel_and_seventeen_do_not),
        ON_A_THREAD(sixteen_travel_and_seventeen_do_not),
        cmocka_unit_test(more_than_wanted_are_closed_in_a_task),
        cmocka_unit_test(more_than_wanted_are_closed_on_a_thread),
        IN_A_TASK(credentials_do_not_displace_handles),
        IN_A_TASK(without_descriptors_it_is_emfile),
        IN_A_TASK(every_allocation_may_fail),
        IN_A_TASK(a_cancelled_call_moves_no_handle),
        ON_A_THREAD(a_cancelled_call_moves_no_handle),
        IN_A_TASK(cancels_race_with_handles),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
