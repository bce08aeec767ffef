/* SPDX-License-Identifier: MIT */
/*
 * Shows that descriptors with a past or an owner of their own work as well: in
 * non-blocking mode, lent to us, closed and opened again under the same number, under
 * two handles; and sockets whose readiness the kernel does not announce.
 */
#include "unit/poller_rig.h"

/* Waits where the kernel would only say EAGAIN or EINPROGRESS. */
static void a_nonblocking_descriptor_waits_all_the_same(void **state)
{
    RIG(state);
    struct sockaddr_in addr;
    int listener = tcp_listener(&addr), fds[2], server;
    struct op a, c, r;
    char buf[4];

    assert_int_equal(hki_os_set_nonblocking(listener), 0);
    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    a = op_of(HKI_IO_ACCEPT, listener, HKI_FD_SOCKET | HKI_FD_BORROWED);
    c = op_of(HKI_IO_CONNECT, fds[0], HKI_FD_SOCKET | HKI_FD_NONBLOCK);
    c.req.addr = (struct sockaddr *)&addr;
    c.req.len = sizeof(addr);
    submit(rig, &a);
    assert_waits(rig, &a);
    assert_int_equal(run(rig, &c), 0);
    server = finish(rig, &a);
    assert_true(server >= 0);
    r = op_buf(HKI_IO_RECV, fds[0], HKI_FD_SOCKET, buf, sizeof(buf));
    submit(rig, &r);
    assert_waits(rig, &r);
    put(server, "late");
    assert_int_equal(finish(rig, &r), 4);
    close_fd(server);
    close_fd(fds[0]);
    close_fd(listener);

    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    check_transfer(rig, fds, HKI_FD_BORROWED);
    check_transfer(rig, fds, HKI_FD_NONBLOCK);
    close_pair(fds);
}

static void nonblocking_connect_is_refused(void **state)
{
    RIG(state);
    struct sockaddr_in addr;
    int fd = tcp_listener(&addr);
    struct op op;

    close_fd(fd);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    op = op_of(HKI_IO_CONNECT, fd, HKI_FD_SOCKET | HKI_FD_NONBLOCK);
    op.req.addr = (struct sockaddr *)&addr;
    op.req.len = sizeof(addr);
    assert_int_equal(run(rig, &op), -ECONNREFUSED);
    close_fd(fd);
}

/* The kernel announces neither when a Unix listener has room again, nor when a Unix
 * datagram's receiver has: such requests are tried again after a while. */
static void check_full_unix_listener(struct rig *rig, int more_type)
{
    struct sockaddr_un addr;
    socklen_t len = unix_address(&addr);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), clients[3];
    struct op ops[3];

    assert_int_equal(bind(listener, (struct sockaddr *)&addr, len), 0);
    assert_int_equal(listen(listener, 0), 0);
    for (int i = 0; i < 3; i++) {
        clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | more_type, 0);
        ops[i] = op_of(HKI_IO_CONNECT, clients[i], HKI_FD_SOCKET);
        ops[i].req.addr = (struct sockaddr *)&addr;
        ops[i].req.len = len;
        submit(rig, &ops[i]);
    }
    assert_waits(rig, &ops[2]);
    cancel(rig, &ops[2]);
    assert_int_equal(finish(rig, &ops[2]), -ECANCELED);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(finish(rig, &ops[i]), 0);
        close_fd(accept(listener, NULL, NULL));
    }
    for (int i = 0; i < 3; i++)
        close_fd(clients[i]);
    close_fd(listener);
}

static void connect_waits_for_a_full_unix_listener(void **state)
{
    RIG(state);

    check_full_unix_listener(rig, 0);
    check_full_unix_listener(rig, SOCK_NONBLOCK);
}

static void a_datagram_waits_for_a_full_unix_receiver(void **state)
{
    RIG(state);
    struct sockaddr_un addr;
    socklen_t len = unix_address(&addr);
    int receiver = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int sender = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct iovec iov = {"gram", 4};
    struct msghdr msg = {.msg_name = &addr, .msg_iov = &iov, .msg_iovlen = 1};
    struct op op = op_of(HKI_IO_SENDMSG, sender, HKI_FD_SOCKET);
    char buf[8];

    msg.msg_namelen = len;
    op.req.msg = &msg;
    op.req.flags = MSG_NOSIGNAL;
    assert_int_equal(bind(receiver, (struct sockaddr *)&addr, len), 0);
    while (sendmsg(sender, &msg, 0) == 4)
        continue;
    submit(rig, &op);
    assert_waits(rig, &op);
    assert_int_equal(recv(receiver, buf, sizeof(buf), 0), 4);
    assert_int_equal(finish(rig, &op), 4);
    close_fd(sender);
    close_fd(receiver);
}

static void a_borrowed_descriptor_is_never_switched(void **state)
{
    RIG(state);
    static char big[1 << 20];
    struct op r, w;
    int fds[2];
    int64_t start_ns;

    pipe_pair(fds);
    check_transfer(rig, fds, HKI_FD_BORROWED);
    /* More than the pipe holds, and nobody reads: the loop must not block in it. */
    w = op_buf(HKI_IO_WRITE, fds[1], HKI_FD_BORROWED, big, sizeof(big));
    start_ns = hki_os_now_ns();
    assert_in_range(run(rig, &w), 1, sizeof(big) - 1);
    submit(rig, &w);
    turn(rig, MS);
    cancel(rig, &w);
    finish(rig, &w);
    assert_true(hki_os_now_ns() - start_ns < 5000 * MS);
    r = op_buf(HKI_IO_READ, fds[0], HKI_FD_BORROWED, big, sizeof(big));
    assert_in_range(run(rig, &r), 1, sizeof(big));
    assert_int_equal(fcntl(fds[0], F_GETFL) & O_NONBLOCK, 0);
    assert_int_equal(fcntl(fds[1], F_GETFL) & O_NONBLOCK, 0);
    close_pair(fds);
}

/* The same number, another file: nothing remembered of the first may stick. */
static void a_reused_number_is_a_new_descriptor(void **state)
{
    RIG(state);
    int fds[2], first;

    for (int i = 0; i < 50; i++) {
        if (i % 3 == 0)
            pipe_pair(fds);
        else if (i % 3 == 1)
            tcp_pair(fds);
        else
            unix_pair(fds);
        if (i == 0)
            first = fds[0];
        if (i % 3 != 1) /* a listener comes in between */
            assert_int_equal(fds[0], first);
        check_transfer(rig, fds, i % 3 ? HKI_FD_SOCKET : 0);
        if (i % 2)
            put(fds[1], "left over");
        close_pair(fds);
    }
}

/* The first handle's registration outlives it, for a duplicate keeps the file open. */
static void a_duplicate_does_not_disturb_the_next_user(void **state)
{
    RIG(state);
    char buf[8];
    struct op op;
    int old[2], fds[2], copy;

    unix_pair(old);
    op = op_buf(HKI_IO_RECV, old[0], HKI_FD_SOCKET, buf, sizeof(buf));
    submit(rig, &op);
    assert_waits(rig, &op);
    put(old[1], "x");
    assert_int_equal(finish(rig, &op), 1);
    copy = dup(old[0]);
    close_fd(old[0]);
    unix_pair(fds);
    assert_int_equal(fds[0], old[0]);
    op = op_buf(HKI_IO_RECV, fds[0], HKI_FD_SOCKET, buf, sizeof(buf));
    submit(rig, &op);
    put(old[1], "stale");
    assert_waits(rig, &op);
    put(fds[1], "new");
    assert_int_equal(finish(rig, &op), 3);
    close_pair(fds);
    close_fd(copy);
    close_fd(old[1]);
}

static void two_handles_of_one_descriptor_share_it(void **state)
{
    RIG(state);
    char a[1], b[1];
    struct op first, second;
    int fds[2];

    pipe_pair(fds);
    first = op_buf(HKI_IO_READ, fds[0], HKI_FD_BORROWED, a, 1);
    second = op_buf(HKI_IO_READ, fds[0], HKI_FD_BORROWED, b, 1);
    second.req.fd_slot = 12345678;
    for (int i = 0; i < 3; i++) {
        submit(rig, &first);
        submit(rig, &second);
        assert_waits(rig, &first);
        assert_waits(rig, &second);
        put(fds[1], "12");
        assert_int_equal(finish(rig, &first), 1);
        assert_int_equal(finish(rig, &second), 1);
    }
    close_pair(fds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(a_nonblocking_descriptor_waits_all_the_same),
        BOTH(nonblocking_connect_is_refused),
        BOTH(connect_waits_for_a_full_unix_listener),
        BOTH(a_datagram_waits_for_a_full_unix_receiver),
        BOTH(a_borrowed_descriptor_is_never_switched),
        BOTH(a_reused_number_is_a_new_descriptor),
        BOTH(a_duplicate_does_not_disturb_the_next_user),
        BOTH(two_handles_of_one_descriptor_share_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
