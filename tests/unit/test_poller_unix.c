/* SPDX-License-Identifier: MIT */
/*
 * Unix sockets whose peer is full, where the ring's own waiting has two traps: a cancel
 * that does not find its request, and a datagram that is sent empty by a second try.
 * Both backends must give the cancel, and the datagram, whole.
 */
#include "poller_rig.h"

#include <sys/socket.h>

static struct sockaddr_un abstract_address(socklen_t *out_len)
{
    static int count;
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int len = snprintf(addr.sun_path + 1, sizeof(addr.sun_path) - 1, "hocket-%d-%d",
                       (int)getpid(), count++);

    *out_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
    return addr;
}

static int full_listener(struct sockaddr_un *addr, socklen_t *len, int *out_filler)
{
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    *addr = abstract_address(len);
    assert_int_equal(bind(listener, (struct sockaddr *)addr, *len), 0);
    assert_int_equal(listen(listener, 0), 0);
    *out_filler = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(*out_filler, (struct sockaddr *)addr, *len), 0);
    return listener;
}

/* Right after the submit the request is on its way to a helper thread, where a cancel
 * does not find it; it must be asked for again. */
static void a_cancel_that_finds_nothing_is_repeated(void **state)
{
    RIG(state);
    struct sockaddr_un addr;
    socklen_t len;
    int filler, listener = full_listener(&addr, &len, &filler);

    for (int i = 0; i < 20; i++) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct op op = op_of(HKI_IO_CONNECT, fd, HKI_FD_SOCKET);

        op.req.addr = (struct sockaddr *)&addr;
        op.req.len = len;
        submit(rig, &op);
        if (i % 2)
            turn(rig, 0);
        cancel(rig, &op);
        finish(rig, &op);
        assert_int_equal(op.req.result, -ECANCELED);
        close(fd);
    }
    close(filler);
    close(listener);
}

static void a_datagram_that_waited_arrives_whole(void **state)
{
    RIG(state);
    char buf[64];
    int fds[2];
    struct op op;

    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
    while (send(fds[0], "filler", 6, MSG_DONTWAIT) == 6)
        ;
    op = op_buf(HKI_IO_SEND, fds[0], HKI_FD_SOCKET | HKI_FD_DATAGRAM, "whole", 5);
    submit(rig, &op);
    turn(rig, 0);
    assert_false(op.is_done);
    for (;;) { /* the queue drains, the sender comes in, and is the last */
        ssize_t got = recv(fds[1], buf, sizeof(buf), MSG_DONTWAIT);

        if (got == 5)
            break;
        if (got < 0)
            turn(rig, MS);
        else
            assert_int_equal(got, 6);
    }
    assert_memory_equal(buf, "whole", 5);
    finish(rig, &op);
    assert_int_equal(op.req.result, 5);
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(a_cancel_that_finds_nothing_is_repeated),
        BOTH(a_datagram_that_waited_arrives_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
