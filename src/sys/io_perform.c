/* SPDX-License-Identifier: MIT */
/*
 * A request carried out by plain system calls, here and now. The table of what each
 * code means, used by plain threads, by the blocking pool and by the epoll backend; the
 * ring has its own in poller_uring.c.
 */
#include "sys/io_perform.h"

#include "sys/os_io.h"
#include "sys/poller.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

/* Segments of a vector that go into one call when the first bytes are to be skipped. */
#define SEGMENTS 64

/* More than this is not copied on the loop's own time, cached or not. */
#define CACHED_READ_MAX (1u << 20)

/* `read(2)` with no room returns at once, where recv(2) would wait for a message. */
static int read_socket(const struct hki_ioreq *req, int more_flags)
{
    if (req->len == 0)
        return hki_sys_read(req->fd, req->buf, 0, -1);
    return hki_sys_recv(req->fd, req->buf, req->len, more_flags);
}

static int transfer_vector(const struct hki_ioreq *req, int more_flags)
{
    struct msghdr msg = {.msg_iov = (struct iovec *)req->iov, .msg_iovlen = req->len};
    bool is_read = req->code == HKI_IO_READV;

    if (!(req->fd_flags & HKI_FD_SOCKET))
        return is_read ? hki_sys_readv(req->fd, req->iov, req->len, req->offset)
                       : hki_sys_writev(req->fd, req->iov, req->len, req->offset);
    return is_read ? hki_sys_recvmsg(req->fd, &msg, more_flags)
                   : hki_sys_sendmsg(req->fd, &msg, more_flags | MSG_NOSIGNAL);
}

/* A second connect(2) tells how the first one ended. */
static int finish_connect(const struct hki_ioreq *req)
{
    int rc;

    do {
        rc = hki_sys_poll(req->fd, POLLOUT, -1);
        if (rc >= 0)
            rc = hki_sys_connect(req->fd, req->addr, (socklen_t)req->len);
    } while (rc == -EALREADY || rc == -EINTR);
    return rc == -EISCONN ? 0 : rc;
}

static int connect_socket(struct hki_ioreq *req, int more_flags)
{
    int rc = hki_sys_connect(req->fd, req->addr, (socklen_t)req->len);

    if (rc == -EINTR || rc == -EINPROGRESS) {
        if (!more_flags)
            return finish_connect(req);
        req->begun = true;
        return -EAGAIN;
    }
    if (req->begun && rc == -EALREADY)
        return -EAGAIN;
    return req->begun && rc == -EISCONN ? 0 : rc;
}

static int poll_descriptor(const struct hki_ioreq *req, int more_flags)
{
    int rc = hki_sys_poll(req->fd, req->flags, more_flags ? 0 : -1);

    return rc == 0 ? -EAGAIN : rc;
}

int hki_io_opened(const struct hki_ioreq *req, int rc)
{
    if (rc >= 0 && !(req->flags & (O_NONBLOCK | O_PATH)) &&
        !(req->fd_flags & HKI_FD_NONBLOCK))
        hki_sys_set_status_flags(rc, req->flags);
    return rc;
}

/* The whole request. `more_flags` is MSG_DONTWAIT for an attempt, else 0. */
static int carry_out(struct hki_ioreq *req, int more_flags)
{
    bool is_socket = req->fd_flags & HKI_FD_SOCKET;
    int flags = (int)req->flags | more_flags;

    switch ((enum hki_io_code)req->code) {
    case HKI_IO_READ:
        return is_socket ? read_socket(req, more_flags)
                         : hki_sys_read(req->fd, req->buf, req->len, req->offset);
    case HKI_IO_WRITE:
        return is_socket ? hki_sys_send(req->fd, req->buf, req->len,
                                        more_flags | MSG_NOSIGNAL)
                         : hki_sys_write(req->fd, req->buf, req->len, req->offset);
    case HKI_IO_READV:
    case HKI_IO_WRITEV: return transfer_vector(req, more_flags);
    case HKI_IO_RECV: return hki_sys_recv(req->fd, req->buf, req->len, flags);
    case HKI_IO_SEND: return hki_sys_send(req->fd, req->buf, req->len, flags);
    case HKI_IO_RECVMSG: return hki_sys_recvmsg(req->fd, req->msg, flags);
    case HKI_IO_SENDMSG: return hki_sys_sendmsg(req->fd, req->msg, flags);
    case HKI_IO_ACCEPT: return hki_sys_accept(req->fd, req->addr, req->addr_len);
    case HKI_IO_CONNECT: return connect_socket(req, more_flags);
    case HKI_IO_POLL: return poll_descriptor(req, more_flags);
    case HKI_IO_FSYNC: return hki_sys_fsync(req->fd, req->flags & 1);
    case HKI_IO_OPEN:
        return hki_io_opened(
            req, hki_sys_open(req->fd, req->path, req->flags, req->mode_or_mask));
    case HKI_IO_STATX:
        return hki_sys_statx(req->fd, req->path, req->flags, req->mode_or_mask,
                             req->statx);
    case HKI_IO_WORK: return req->work(req->work_arg);
    case HKI_IO_CODES: break;
    }
    return -ENOSYS;
}

/* Copies what is left of a vector behind its first `skip` bytes; returns the count. */
static size_t rest_of_vector(struct iovec *out, const struct iovec *iov, size_t count,
                             size_t skip)
{
    size_t used = 0;

    for (size_t i = 0; i < count && used < SEGMENTS; i++) {
        if (skip >= iov[i].iov_len) {
            skip -= iov[i].iov_len;
            continue;
        }
        out[used].iov_base = (char *)iov[i].iov_base + skip;
        out[used++].iov_len = iov[i].iov_len - skip;
        skip = 0;
    }
    return used;
}

/* Of a message, the rest carries no address and no control data: both went first. */
static int carry_out_rest_of_message(const struct hki_ioreq *req, int more_flags)
{
    struct iovec left[SEGMENTS];
    struct msghdr msg = {.msg_iov = left};
    struct hki_ioreq rest = *req;

    msg.msg_iovlen =
        rest_of_vector(left, req->msg->msg_iov, req->msg->msg_iovlen, req->moved_bytes);
    rest.msg = &msg;
    return carry_out(&rest, more_flags);
}

static int carry_out_rest(struct hki_ioreq *req, int more_flags)
{
    struct hki_ioreq rest;

    if (HKI_LIKELY(req->moved_bytes == 0))
        return carry_out(req, more_flags);
    if (req->code == HKI_IO_RECVMSG || req->code == HKI_IO_SENDMSG)
        return carry_out_rest_of_message(req, more_flags);
    rest = *req;
    rest.buf = (char *)req->buf + req->moved_bytes;
    rest.len -= req->moved_bytes;
    if (rest.offset >= 0)
        rest.offset += (int64_t)req->moved_bytes;
    return carry_out(&rest, more_flags);
}

int hki_io_perform(struct hki_ioreq *req)
{
    return carry_out(req, 0);
}

int hki_io_attempt(struct hki_ioreq *req)
{
    return carry_out(req, MSG_DONTWAIT);
}

/*
 * Another process may take the data between the look and the call, hence RWF_NOWAIT. A
 * terminal knows no such flag: it gets a plain call, and no more to write than what
 * "ready" promises room for. Files of some systems know it neither.
 */
static int write_ready(const struct hki_ioreq *req, const struct iovec *iov,
                       size_t count)
{
    int rc = hki_sys_writev_nowait(req->fd, iov, count, req->offset);

    if (rc != -EOPNOTSUPP)
        return rc;
    if (hki_sys_is_file(req->fd))
        return -EAGAIN;
    while (count > 1 && iov->iov_len == 0) {
        iov++;
        count--;
    }
    return hki_sys_write(req->fd, iov->iov_base,
                         iov->iov_len < PIPE_BUF ? iov->iov_len : PIPE_BUF, -1);
}

int hki_io_attempt_ready(struct hki_ioreq *req)
{
    struct iovec one = {.iov_base = req->buf, .iov_len = req->len};
    bool is_vector = req->code == HKI_IO_READV || req->code == HKI_IO_WRITEV;
    const struct iovec *iov = is_vector ? req->iov : &one;
    size_t count = is_vector ? req->len : 1;
    int rc;

    if (req->code == HKI_IO_WRITE || req->code == HKI_IO_WRITEV)
        return write_ready(req, iov, count);
    if (req->code == HKI_IO_READ || req->code == HKI_IO_READV) {
        rc = hki_sys_readv_nowait(req->fd, iov, count, req->offset);
        if (rc != -EOPNOTSUPP)
            return rc;
    }
    return hki_io_attempt(req);
}

int hki_io_perform_rest(struct hki_ioreq *req)
{
    return hki_io_sum(req, carry_out_rest(req, 0));
}

int hki_io_attempt_rest(struct hki_ioreq *req)
{
    return carry_out_rest(req, MSG_DONTWAIT);
}

int hki_io_sum(const struct hki_ioreq *req, int rc)
{
    if (HKI_LIKELY(req->moved_bytes == 0))
        return rc;
    return (int)req->moved_bytes + (rc > 0 ? rc : 0);
}

/*
 * A short read of a regular file means its end, as with a blocking read. RWF_NOWAIT is
 * also short where the cache ends, so it goes on until it is told 0 or -EAGAIN.
 */
static bool read_cached(struct hki_ioreq *req)
{
    int rc;

    if (req->len > CACHED_READ_MAX)
        return false;
    do {
        struct iovec rest = {
            .iov_base = (char *)req->buf + req->moved_bytes,
            .iov_len = req->len - req->moved_bytes,
        };
        int64_t offset = req->offset;

        if (offset >= 0)
            offset += (int64_t)req->moved_bytes;
        rc = hki_sys_readv_nowait(req->fd, &rest, 1, offset);
        if (rc > 0)
            req->moved_bytes += (size_t)rc;
    } while (rc > 0 && req->moved_bytes < req->len);
    if (rc < 0)
        return false; /* -EAGAIN, or an error that the blocking read will tell */
    req->result = (int32_t)req->moved_bytes;
    return true;
}

/* Of the errors only -ENOENT is final: the cache knows of absent names. */
static bool open_cached(struct hki_ioreq *req)
{
    int rc;

    if (req->flags & (O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY)))
        return false;
    rc = hki_sys_open_cached(req->fd, req->path, req->flags);
    if (rc < 0 && rc != -ENOENT)
        return false;
    req->result = hki_io_opened(req, rc);
    return true;
}

/*
 * statx of an open file never waits where the file lies on a block device of this
 * machine. Other file systems (major 0: network, FUSE, but also tmpfs and btrfs) may
 * have to ask somebody; AT_STATX_DONT_SYNC keeps this first look from doing so. There
 * is no such look for paths.
 */
static bool statx_cached(struct hki_ioreq *req)
{
    struct statx found;
    unsigned flags = req->flags | AT_STATX_DONT_SYNC;

    if (req->path[0] || !(req->flags & AT_EMPTY_PATH) || req->fd < 0 ||
        req->flags & AT_STATX_FORCE_SYNC)
        return false;
    if (hki_sys_statx(req->fd, "", flags, req->mode_or_mask, &found) < 0 ||
        found.stx_dev_major == 0)
        return false;
    memcpy(req->statx, &found, sizeof(found));
    req->result = 0;
    return true;
}

bool hki_io_try_cached(struct hki_ioreq *req)
{
    switch (req->code) {
    case HKI_IO_READ: return read_cached(req);
    case HKI_IO_OPEN: return open_cached(req);
    case HKI_IO_STATX: return statx_cached(req);
    default: return false;
    }
}
