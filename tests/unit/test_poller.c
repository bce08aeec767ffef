/* SPDX-License-Identifier: MIT */
/*
 * Shows that both backends carry out every request on sockets, pipes and listeners
 * alike: each test runs over a real poller of each kind, with real descriptors. Unusual
 * descriptors are in test_poller_fds.c, cancelling in test_poller_cancel.c, files in
 * test_poller_files.c, wakes in test_poller_wake.c.
 */
#include "unit/poller_rig.h"

#include "support/emulator.h"

#include <poll.h>
#include <sys/resource.h>

static void check_vectors(struct rig *rig, const int fds[2], unsigned fd_flags)
{
    char a[3] = "", b[8] = "";
    struct iovec in[2] = {{a, 2}, {b, 7}}, out[2] = {{"ab", 2}, {"cdef", 4}};
    struct op r = op_of(HKI_IO_READV, fds[0], fd_flags);
    struct op w = op_of(HKI_IO_WRITEV, fds[1], fd_flags);

    r.req.iov = in;
    w.req.iov = out;
    r.req.len = w.req.len = 2;
    submit(rig, &r);
    assert_waits(rig, &r);
    assert_int_equal(run(rig, &w), 6);
    assert_int_equal(finish(rig, &r), 6);
    assert_string_equal(a, "ab");
    assert_string_equal(b, "cdef");
}

static void read_and_write_work_on_every_stream(void **state)
{
    RIG(state);
    int fds[2];

    tcp_pair(fds);
    check_transfer(rig, fds, HKI_FD_SOCKET);
    check_vectors(rig, fds, HKI_FD_SOCKET);
    close_pair(fds);
    unix_pair(fds);
    check_transfer(rig, fds, HKI_FD_SOCKET);
    check_vectors(rig, fds, HKI_FD_SOCKET);
    close_pair(fds);
    unix_pair(fds); /* adopted without saying what it is */
    check_transfer(rig, fds, 0);
    close_pair(fds);
    pipe_pair(fds);
    check_transfer(rig, fds, 0);
    check_vectors(rig, fds, 0);
    close_pair(fds);
    pipe_pair(fds);
    check_transfer(rig, fds, HKI_FD_BORROWED);
    close_pair(fds);
}

/* Where the kernel has no call for it, one piece at a time is written. */
static void lent_streams_take_vectors(void **state)
{
    RIG(state);
    int fds[2];

    skip_if_emulated("has no pwritev2");
    unix_pair(fds);
    check_vectors(rig, fds, HKI_FD_BORROWED);
    close_pair(fds);
    pipe_pair(fds);
    check_vectors(rig, fds, HKI_FD_BORROWED);
    close_pair(fds);
}

static void messages_carry_data_and_descriptors(void **state)
{
    RIG(state);
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control_in = {{0}}, control_out = {{0}};
    char in[8] = "";
    struct iovec iov_in = {in, sizeof(in)}, iov_out = {"msg", 3};
    struct msghdr msg_in = {.msg_iov = &iov_in, .msg_iovlen = 1};
    struct msghdr msg_out = {.msg_iov = &iov_out, .msg_iovlen = 1};
    struct op r, w;
    int fds[2], passed;

    unix_pair(fds);
    msg_in.msg_control = &control_in;
    msg_out.msg_control = &control_out;
    msg_in.msg_controllen = msg_out.msg_controllen = sizeof(control_in);
    control_out.align = (struct cmsghdr){
        .cmsg_len = CMSG_LEN(sizeof(int)),
        .cmsg_level = SOL_SOCKET,
        .cmsg_type = SCM_RIGHTS,
    };
    memcpy(CMSG_DATA(&control_out.align), &fds[0], sizeof(int));
    r = op_of(HKI_IO_RECVMSG, fds[0], HKI_FD_SOCKET);
    w = op_of(HKI_IO_SENDMSG, fds[1], HKI_FD_SOCKET);
    r.req.msg = &msg_in;
    r.req.flags = MSG_CMSG_CLOEXEC;
    w.req.msg = &msg_out;
    w.req.flags = MSG_NOSIGNAL;
    submit(rig, &r);
    assert_waits(rig, &r);
    assert_int_equal(run(rig, &w), 3);
    assert_int_equal(finish(rig, &r), 3);
    assert_string_equal(in, "msg");
    memcpy(&passed, CMSG_DATA(&control_in.align), sizeof(int));
    close_fd(passed);
    close_pair(fds);
}

/* A Unix socket ends a read behind a message that carried descriptors, though there is
 * more: a backend must not take the short read for an empty socket. */
static void a_short_read_does_not_hide_what_follows(void **state)
{
    RIG(state);
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec iov = {"first", 5};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control};
    struct cmsghdr header = {
        .cmsg_len = CMSG_LEN(sizeof(int)),
        .cmsg_level = SOL_SOCKET,
        .cmsg_type = SCM_RIGHTS,
    };
    char buf[64];
    int fds[2], zero = 0;

    unix_pair(fds);
    msg.msg_controllen = sizeof(control);
    memcpy(control, &header, sizeof(header));
    memcpy(CMSG_DATA((struct cmsghdr *)(void *)control), &zero, sizeof(int));
    assert_int_equal(sendmsg(fds[1], &msg, 0), 5);
    put(fds[1], "second");
    assert_int_equal(run_recv(rig, fds[0], buf, sizeof(buf)), 5);
    assert_int_equal(run_recv(rig, fds[0], buf, sizeof(buf)), 6);
    close_pair(fds);
}

/* After a short read of TCP, data and the end each still wake the next reader. */
static void a_short_read_is_followed_by_data_and_by_the_end(void **state)
{
    RIG(state);
    char buf[64];
    struct op op;
    int fds[2];

    tcp_pair(fds);
    op = op_buf(HKI_IO_RECV, fds[0], HKI_FD_SOCKET, buf, sizeof(buf));
    for (int i = 0; i < 100; i++) {
        put(fds[1], "four");
        assert_int_equal(run(rig, &op), 4);
        submit(rig, &op);
        if (i % 2)
            turn(rig, 0);
        put(fds[1], "5 now");
        assert_int_equal(finish(rig, &op), 5);
    }
    put(fds[1], "bye");
    close_fd(fds[1]);
    assert_int_equal(run(rig, &op), 3);
    assert_int_equal(run(rig, &op), 0);
    assert_int_equal(run(rig, &op), 0);
    close_fd(fds[0]);
}

static void accept_and_connect_meet(void **state)
{
    RIG(state);
    struct sockaddr_in addr, peer;
    socklen_t peer_len = sizeof(peer);
    int listener = tcp_listener(&addr);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), server;
    struct op a = op_of(HKI_IO_ACCEPT, listener, HKI_FD_SOCKET);
    struct op c = op_of(HKI_IO_CONNECT, client, HKI_FD_SOCKET);

    a.req.addr = (struct sockaddr *)&peer;
    a.req.addr_len = &peer_len;
    c.req.addr = (struct sockaddr *)&addr;
    c.req.len = sizeof(addr);
    submit(rig, &a);
    assert_waits(rig, &a);
    assert_int_equal(run(rig, &c), 0);
    server = finish(rig, &a);
    assert_true(server >= 0);
    assert_int_equal(fcntl(server, F_GETFD), FD_CLOEXEC);
    assert_int_equal(peer_len, sizeof(peer));
    assert_int_equal(peer.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    close_fd(server);
    close_fd(client);
    close_fd(listener);
}

static void connect_is_refused(void **state)
{
    RIG(state);
    struct sockaddr_in addr;
    int fd = tcp_listener(&addr);
    struct op op;

    close_fd(fd);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    op = op_of(HKI_IO_CONNECT, fd, HKI_FD_SOCKET);
    op.req.addr = (struct sockaddr *)&addr;
    op.req.len = sizeof(addr);
    assert_int_equal(run(rig, &op), -ECONNREFUSED);
    close_fd(fd);
}

/* One byte for each. The epoll backend serves in order, the ring in the kernel's. */
static void several_readers_share_a_descriptor(void **state)
{
    RIG(state);
    char bytes[3];
    struct op ops[3];
    int fds[2], sum = 0;

    pipe_pair(fds);
    for (int i = 0; i < 3; i++) {
        ops[i] = op_buf(HKI_IO_READ, fds[0], 0, &bytes[i], 1);
        submit(rig, &ops[i]);
    }
    for (unsigned left = 3; left > 0; left--) {
        turn(rig, MS);
        assert_int_equal(rig->in_flight, left);
        put(fds[1], (const char *[]){"", "c", "b", "a"}[left]);
        while (rig->in_flight == left)
            turn(rig, 100 * MS);
        if (rig->ops == &hki_poller_epoll)
            assert_true(ops[3 - left].is_done && bytes[3 - left] == (char)('d' - left));
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ops[i].req.result, 1);
        sum += bytes[i];
    }
    assert_int_equal(sum, 'a' + 'b' + 'c');
    close_pair(fds);
}

/* More than fits: the writer waits until the reader makes room, and nothing is lost. */
static void a_writer_waits_for_room(void **state)
{
    RIG(state);
    static char chunk[65536], in[65536];
    struct op w;
    size_t sent = 0, received = 0;
    int fds[2];

    unix_pair(fds);
    w = op_buf(HKI_IO_SEND, fds[1], HKI_FD_SOCKET, chunk, sizeof(chunk));
    for (;;) {
        submit(rig, &w);
        for (int i = 0; i < 3 && !w.is_done; i++)
            turn(rig, MS);
        if (!w.is_done)
            break;
        sent += (size_t)w.req.result;
    }
    while (!w.is_done || received < sent) {
        int n = run_recv(rig, fds[0], in, sizeof(in));

        assert_true(n > 0);
        received += (size_t)n;
        turn(rig, 0);
        if (w.is_done && w.req.result > 0) {
            sent += (size_t)w.req.result;
            w.req.result = 0;
        }
    }
    assert_int_equal(received, sent);
    close_pair(fds);
}

static void poll_is_level_triggered(void **state)
{
    RIG(state);
    struct op op;
    char c;
    int fds[2];

    pipe_pair(fds);
    op = op_of(HKI_IO_POLL, fds[0], HKI_FD_BORROWED);
    op.req.flags = POLLIN;
    submit(rig, &op);
    assert_waits(rig, &op);
    put(fds[1], "x");
    assert_int_equal(finish(rig, &op), POLLIN);
    assert_int_equal(run(rig, &op), POLLIN);
    assert_int_equal(run(rig, &op), POLLIN);
    assert_int_equal(read(fds[0], &c, 1), 1);
    submit(rig, &op);
    assert_waits(rig, &op);
    close_fd(fds[1]);
    assert_true(finish(rig, &op) & POLLHUP);
    close_fd(fds[0]);
}

static void the_end_of_a_stream_is_zero(void **state)
{
    RIG(state);
    char buf[4];
    struct op op;
    int fds[2];

    tcp_pair(fds);
    op = op_buf(HKI_IO_RECV, fds[0], HKI_FD_SOCKET, buf, sizeof(buf));
    submit(rig, &op);
    assert_waits(rig, &op);
    close_fd(fds[1]);
    assert_int_equal(finish(rig, &op), 0);
    close_fd(fds[0]);
    pipe_pair(fds);
    op = op_buf(HKI_IO_READ, fds[0], 0, buf, sizeof(buf));
    submit(rig, &op);
    assert_waits(rig, &op);
    close_fd(fds[1]);
    assert_int_equal(finish(rig, &op), 0);
    close_fd(fds[0]);
}

static void a_reset_ends_reader_and_writer(void **state)
{
    RIG(state);
    struct linger at_once = {.l_onoff = 1};
    char buf[4];
    struct op op;
    int fds[2];

    tcp_pair(fds);
    op = op_buf(HKI_IO_RECV, fds[0], HKI_FD_SOCKET, buf, sizeof(buf));
    submit(rig, &op);
    assert_waits(rig, &op);
    setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close_fd(fds[1]);
    assert_int_equal(finish(rig, &op), -ECONNRESET);
    op = op_buf(HKI_IO_SEND, fds[0], HKI_FD_SOCKET, buf, sizeof(buf));
    assert_int_equal(run(rig, &op), -EPIPE);
    close_fd(fds[0]);
}

/* SIGPIPE has its default disposition here: it would end the program. */
static void a_closed_socket_gives_epipe_and_no_signal(void **state)
{
    RIG(state);
    struct op op;
    int fds[2];

    unix_pair(fds);
    close_fd(fds[0]);
    op = op_buf(HKI_IO_SEND, fds[1], HKI_FD_SOCKET, "x", 1);
    assert_int_equal(run(rig, &op), -EPIPE);
    op = op_buf(HKI_IO_WRITE, fds[1], HKI_FD_SOCKET, "x", 1);
    assert_int_equal(run(rig, &op), -EPIPE);
    close_fd(fds[1]);
}

static void bad_descriptors_are_results(void **state)
{
    RIG(state);
    static const uint8_t codes[] = {HKI_IO_READ, HKI_IO_RECV, HKI_IO_SEND, HKI_IO_POLL};
    char buf[4];

    for (size_t i = 0; i < sizeof(codes); i++) {
        struct op op = op_buf(codes[i], -1, 0, buf, sizeof(buf));

        assert_int_equal(run(rig, &op), -EBADF);
        op = op_buf(codes[i], 9999, 0, buf, sizeof(buf));
        assert_int_equal(run(rig, &op), -EBADF);
    }
}

static void waitall_collects_everything(void **state)
{
    RIG(state);
    char buf[12] = "", a[4], b[8];
    struct iovec iov[2] = {{a, 4}, {b, 8}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
    struct op op, m;
    int fds[2];

    tcp_pair(fds);
    op = op_buf(HKI_IO_RECV, fds[0], HKI_FD_SOCKET, buf, sizeof(buf));
    m = op_of(HKI_IO_RECVMSG, fds[0], HKI_FD_SOCKET);
    m.req.msg = &msg;
    op.req.flags = m.req.flags = MSG_WAITALL;
    for (int i = 0; i < 2; i++) {
        struct op *now = i ? &m : &op;

        submit(rig, now);
        put(fds[1], "abc");
        assert_waits(rig, now);
        put(fds[1], "defgh");
        assert_waits(rig, now);
        put(fds[1], "ijkl");
        assert_int_equal(finish(rig, now), 12);
    }
    assert_memory_equal(buf, "abcdefghijkl", 12);
    assert_memory_equal(a, "abcd", 4);
    assert_memory_equal(b, "efghijkl", 8);
    submit(rig, &op);
    put(fds[1], "abc");
    assert_waits(rig, &op);
    close_fd(fds[1]);
    assert_int_equal(finish(rig, &op), 3); /* the end comes first */
    close_fd(fds[0]);
}

static void who_asks_not_to_wait_is_told(void **state)
{
    RIG(state);
    char buf[4];
    struct op r, d;
    int fds[2];

    unix_pair(fds);
    d = op_buf(HKI_IO_RECV, fds[0], HKI_FD_SOCKET, buf, sizeof(buf));
    d.req.flags = MSG_DONTWAIT;
    assert_int_equal(run(rig, &d), -EAGAIN);
    r = op_buf(HKI_IO_RECV, fds[0], HKI_FD_SOCKET, buf, sizeof(buf));
    submit(rig, &r);
    assert_waits(rig, &r);
    assert_int_equal(run(rig, &d), -EAGAIN);
    put(fds[1], "x");
    assert_int_equal(finish(rig, &r), 1);
    close_pair(fds);
}

static void ten_thousand_wait_at_once(void **state)
{
    RIG(state);
    enum { PAIRS = 5000 };
    static int fds[PAIRS][2];
    static struct op r[PAIRS], p[PAIRS];
    static char bytes[PAIRS];
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < 2 * PAIRS + 100)
        skip();
    for (int i = 0; i < PAIRS; i++) {
        unix_pair(fds[i]);
        r[i] = op_buf(HKI_IO_RECV, fds[i][0], HKI_FD_SOCKET, &bytes[i], 1);
        p[i] = op_of(HKI_IO_POLL, fds[i][1], HKI_FD_SOCKET);
        p[i].req.flags = POLLIN;
        submit(rig, &r[i]);
        submit(rig, &p[i]);
    }
    turn(rig, 0);
    assert_int_equal(rig->in_flight, 2 * PAIRS);
    for (int i = 0; i < PAIRS; i++) {
        put(fds[i][1], "x");
        put(fds[i][0], "y");
    }
    for (int i = 0; i < PAIRS; i++) {
        assert_int_equal(finish(rig, &r[i]), 1);
        assert_int_equal(finish(rig, &p[i]), POLLIN);
    }
    for (int i = 0; i < PAIRS; i++)
        close_pair(fds[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(read_and_write_work_on_every_stream),
        BOTH(lent_streams_take_vectors),
        BOTH(messages_carry_data_and_descriptors),
        BOTH(a_short_read_does_not_hide_what_follows),
        BOTH(a_short_read_is_followed_by_data_and_by_the_end),
        BOTH(accept_and_connect_meet),
        BOTH(connect_is_refused),
        BOTH(several_readers_share_a_descriptor),
        BOTH(a_writer_waits_for_room),
        BOTH(poll_is_level_triggered),
        BOTH(the_end_of_a_stream_is_zero),
        BOTH(a_reset_ends_reader_and_writer),
        BOTH(a_closed_socket_gives_epipe_and_no_signal),
        BOTH(bad_descriptors_are_results),
        BOTH(waitall_collects_everything),
        BOTH(who_asks_not_to_wait_is_told),
        BOTH(ten_thousand_wait_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
