/* SPDX-License-Identifier: MIT */
/* Requests as entries of io_uring's submission queue. */
#include "sys/uring_prepare.h"

#include "base/assert.h"

#include <fcntl.h>
#include <liburing.h>

/*
 * A datagram must not wait inside the kernel: it is copied before its receiver's queue
 * is found full, and the kernel's own second try then finds nothing left to copy and
 * sends an empty one (seen on Linux 6.18). So it comes back, and is begun afresh.
 */
static unsigned send_flags(const struct hki_ioreq *req, unsigned flags)
{
    return req->fd_flags & HKI_FD_DATAGRAM ? flags | MSG_DONTWAIT : flags;
}

static void prepare_transfer(struct io_uring_sqe *sqe, const struct hki_ioreq *req)
{
    int opcode = req->code == HKI_IO_READ ? IORING_OP_READ : IORING_OP_WRITE;
    int64_t offset = req->offset;

    /* A write to a socket would raise SIGPIPE. */
    if (opcode == IORING_OP_WRITE && req->fd_flags & HKI_FD_SOCKET) {
        io_uring_prep_send(sqe, req->fd, req->buf, req->len,
                           (int)send_flags(req, MSG_NOSIGNAL));
        return;
    }
    if (offset >= 0)
        offset += (int64_t)req->moved_bytes;
    io_uring_prep_rw(opcode, sqe, req->fd, (char *)req->buf + req->moved_bytes,
                     (unsigned)(req->len - req->moved_bytes), (uint64_t)offset);
}

/* See hki_io_opened. */
static int open_flags(const struct hki_ioreq *req)
{
    return (int)req->flags | O_CLOEXEC | (req->flags & O_PATH ? 0 : O_NONBLOCK);
}

void hki_uring_prepare(struct io_uring_sqe *sqe, const struct hki_ioreq *req)
{
    int fd = req->fd;
    unsigned count = (unsigned)req->len;

    switch ((enum hki_io_code)req->code) {
    case HKI_IO_READ:
    case HKI_IO_WRITE: prepare_transfer(sqe, req); break;
    case HKI_IO_READV:
        io_uring_prep_readv(sqe, fd, req->iov, count, (uint64_t)req->offset);
        break;
    case HKI_IO_WRITEV:
        io_uring_prep_writev2(sqe, fd, req->iov, count, (uint64_t)req->offset,
                              req->fd_flags & HKI_FD_DATAGRAM ? RWF_NOWAIT : 0);
        break;
    case HKI_IO_RECV:
        io_uring_prep_recv(sqe, fd, req->buf, req->len, (int)req->flags);
        break;
    case HKI_IO_SEND:
        io_uring_prep_send(sqe, fd, req->buf, req->len,
                           (int)send_flags(req, req->flags));
        break;
    case HKI_IO_RECVMSG: io_uring_prep_recvmsg(sqe, fd, req->msg, req->flags); break;
    case HKI_IO_SENDMSG:
        io_uring_prep_sendmsg(sqe, fd, req->msg, send_flags(req, req->flags));
        break;
    case HKI_IO_ACCEPT:
        io_uring_prep_accept(sqe, fd, req->addr, req->addr_len, SOCK_CLOEXEC);
        break;
    case HKI_IO_CONNECT:
        io_uring_prep_connect(sqe, fd, req->addr, (socklen_t)req->len);
        break;
    case HKI_IO_POLL: io_uring_prep_poll_add(sqe, fd, req->flags); break;
    case HKI_IO_FSYNC:
        io_uring_prep_fsync(sqe, fd, req->flags & 1 ? IORING_FSYNC_DATASYNC : 0);
        break;
    case HKI_IO_OPEN:
        io_uring_prep_openat(sqe, fd, req->path, open_flags(req), req->mode_or_mask);
        break;
    case HKI_IO_STATX:
        io_uring_prep_statx(sqe, fd, req->path, (int)req->flags, req->mode_or_mask,
                            req->statx);
        break;
    case HKI_IO_WORK:
    case HKI_IO_CODES: hki_panic("request code %d is not the ring's", req->code);
    }
}
