/* SPDX-License-Identifier: MIT */
/*
 * The rig of the poller tests: a backend, requests that know whether they are done, and
 * descriptors to try them on. Every test is listed once and runs over both backends.
 */
#ifndef HOCKET_TESTS_POLLER_RIG_H
#define HOCKET_TESTS_POLLER_RIG_H

#include "sys/offload.h"
#include "sys/os.h"
#include "sys/poller.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define RIG_FDS 32768
#define MS INT64_C(1000000)

struct rig {
    const struct hki_poller_ops *ops;
    struct hki_poller *poller;
    unsigned in_flight;
};

/* One request; `req` comes first, so that one can be told from the other. */
struct op {
    struct hki_ioreq req;
    bool is_done;
};

static uint32_t rig_generations[RIG_FDS];

__attribute__((unused)) static int rig_open(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    int rc;

    rig->ops = *state;
    rc = rig->ops->init(&rig->poller);
    if (rc == -ENOSYS && rig->ops == &hki_poller_uring) {
        free(rig);
        rig = NULL; /* not allowed here: RIG skips the test */
    } else {
        assert_int_equal(rc, 0);
    }
    *state = rig;
    return 0;
}

__attribute__((unused)) static int rig_close(void **state)
{
    struct rig *rig = *state;

    if (rig) {
        assert_int_equal(rig->in_flight, 0);
        rig->ops->fini(rig->poller);
        free(rig);
    }
    return 0;
}

#define RIG(state)                                                                     \
    struct rig *rig = *(state);                                                        \
    if (!rig)                                                                          \
    skip()

#define BOTH(test)                                                                     \
    {"epoll: " #test, test, rig_open, rig_close, (void *)&hki_poller_epoll},           \
    {                                                                                  \
        "io_uring: " #test, test, rig_open, rig_close, (void *)&hki_poller_uring       \
    }

/* ---- requests ---- */

static inline struct op op_of(int code, int fd, unsigned fd_flags)
{
    struct op op = {.req = {.code = (uint8_t)code, .fd = fd, .offset = -1}};

    op.req.fd_flags = (uint8_t)fd_flags;
    if (fd >= 0) {
        op.req.fd_slot = (uint32_t)fd;
        op.req.fd_generation = rig_generations[fd];
    }
    return op;
}

static inline struct op op_buf(int code, int fd, unsigned fd_flags, void *buf,
                               size_t len)
{
    struct op op = op_of(code, fd, fd_flags);

    op.req.buf = buf;
    op.req.len = len;
    if (code == HKI_IO_SEND)
        op.req.flags = MSG_NOSIGNAL;
    return op;
}

static inline void submit(struct rig *rig, struct op *op)
{
    op->is_done = false;
    if (rig->ops->submit(rig->poller, &op->req))
        op->is_done = true;
    else
        rig->in_flight++;
}

static inline void cancel(struct rig *rig, struct op *op)
{
    if (!op->is_done)
        rig->ops->cancel(rig->poller, &op->req);
}

/* One wait; how many came back. */
static inline unsigned turn(struct rig *rig, int64_t timeout_ns)
{
    struct hki_ioreq *req = rig->ops->wait(rig->poller, timeout_ns), *next;
    unsigned count = 0;

    for (; req; req = next) {
        struct op *op = (struct op *)(void *)req;

        next = req->next;
        assert_false(op->is_done); /* C12: never twice */
        op->is_done = true;
        count++;
    }
    assert_in_range(count, 0, rig->in_flight);
    rig->in_flight -= count;
    return count;
}

/* Until `op` is done; its result. Ten seconds are for ever. */
static inline int finish(struct rig *rig, struct op *op)
{
    int64_t end_ns = hki_os_now_ns() + 10000 * MS;

    while (!op->is_done) {
        assert_true(hki_os_now_ns() < end_ns);
        turn(rig, 100 * MS);
    }
    return op->req.result;
}

static inline int run(struct rig *rig, struct op *op)
{
    submit(rig, op);
    return finish(rig, op);
}

/* Gives the request every chance to complete, and sees that it does not. */
static inline void assert_waits(struct rig *rig, const struct op *op)
{
    for (int i = 0; i < 3; i++)
        turn(rig, MS);
    assert_false(op->is_done);
}

static inline int run_recv(struct rig *rig, int fd, void *buf, size_t len)
{
    struct op op = op_buf(HKI_IO_RECV, fd, HKI_FD_SOCKET, buf, len);

    return run(rig, &op);
}

/* ---- descriptors ---- */

/* The number may be given out again: its next user is another file. */
static inline void close_fd(int fd)
{
    rig_generations[fd]++;
    assert_int_equal(close(fd), 0);
}

static inline int tcp_listener(struct sockaddr_in *out_addr)
{
    socklen_t len = sizeof(*out_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    *out_addr = (struct sockaddr_in){.sin_family = AF_INET};
    out_addr->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)out_addr, len), 0);
    assert_int_equal(listen(fd, 4096), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)out_addr, &len), 0);
    return fd;
}

__attribute__((unused)) static void tcp_pair(int out[2])
{
    struct sockaddr_in addr;
    int listener = tcp_listener(&addr);

    out[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(out[0], (struct sockaddr *)&addr, sizeof(addr)), 0);
    out[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(out[1] >= 0);
    close_fd(listener);
}

__attribute__((unused)) static void unix_pair(int out[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, out), 0);
}

__attribute__((unused)) static void pipe_pair(int out[2])
{
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
}

/* A name in the abstract namespace that nobody else has. */
__attribute__((unused)) static socklen_t unix_address(struct sockaddr_un *out)
{
    static int count;
    int len;

    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    len = snprintf(out->sun_path + 1, sizeof(out->sun_path) - 1, "hocket-test-%d-%d",
                   (int)getpid(), count++);
    return (socklen_t)(sizeof(sa_family_t) + 1 + (size_t)len);
}

__attribute__((unused)) static void close_pair(const int fds[2])
{
    close_fd(fds[0]);
    close_fd(fds[1]);
}

__attribute__((unused)) static void put(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* The reader waits first, then the writer makes it ready: three times over. */
__attribute__((unused)) static void check_transfer(struct rig *rig, const int fds[2],
                                                   unsigned fd_flags)
{
    char in[8] = "", out[] = "hocket";
    struct op r = op_buf(HKI_IO_READ, fds[0], fd_flags, in, sizeof(in));
    struct op w = op_buf(HKI_IO_WRITE, fds[1], fd_flags, out, 6);

    for (int i = 0; i < 3; i++) {
        memset(in, 0, sizeof(in));
        submit(rig, &r);
        assert_waits(rig, &r);
        assert_int_equal(run(rig, &w), 6);
        assert_int_equal(finish(rig, &r), 6);
        assert_string_equal(in, out);
    }
}

/* CI takes the short form; HOCKET_LONG=1 the whole. */
__attribute__((unused)) static int rounds(int whole, int in_ci)
{
    return getenv("HOCKET_LONG") ? whole : in_ci;
}

#endif
