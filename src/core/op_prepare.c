/* SPDX-License-Identifier: MIT */
/* The hk_op_ calls that fill in a request, and the sentence that describes it. */
#include "core/ioop.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum { LEN_MAX = 1 << 30 };

static struct hki_ioreq *prepare(hk_op *op, enum hki_io_code code, hk_fd fd)
{
    struct hki_op *o = hki_op_of(op);

    o->fd = fd;
    o->handle = NULL;
    o->worker = NULL;
    o->req.code = (uint8_t)code;
    o->req.fd = -1;
    o->req.fd_flags = 0;
    o->req.flags = 0;
    o->req.mode_or_mask = 0;
    o->req.offset = -1;
    o->req.cancelled = false;
    o->req.begun = false;
    o->req.moved_bytes = 0;
    return &o->req;
}

static size_t cut(size_t len)
{
    return len < LEN_MAX ? len : LEN_MAX;
}

void hk_op_read(hk_op *op, hk_fd fd, void *buf, size_t len, int64_t offset)
{
    struct hki_ioreq *req = prepare(op, HKI_IO_READ, fd);

    req->buf = buf;
    req->len = cut(len);
    req->offset = offset;
}

void hk_op_write(hk_op *op, hk_fd fd, const void *buf, size_t len, int64_t offset)
{
    struct hki_ioreq *req = prepare(op, HKI_IO_WRITE, fd);

    req->buf = (void *)(uintptr_t)buf;
    req->len = cut(len);
    req->offset = offset;
}

void hk_op_readv(hk_op *op, hk_fd fd, const struct iovec *iov, unsigned count,
                 int64_t offset)
{
    struct hki_ioreq *req = prepare(op, HKI_IO_READV, fd);

    req->iov = iov;
    req->len = count;
    req->offset = offset;
}

void hk_op_writev(hk_op *op, hk_fd fd, const struct iovec *iov, unsigned count,
                  int64_t offset)
{
    struct hki_ioreq *req = prepare(op, HKI_IO_WRITEV, fd);

    req->iov = iov;
    req->len = count;
    req->offset = offset;
}

void hk_op_recv(hk_op *op, hk_fd fd, void *buf, size_t len, int flags)
{
    struct hki_ioreq *req = prepare(op, HKI_IO_RECV, fd);

    req->buf = buf;
    req->len = cut(len);
    req->flags = (uint32_t)flags;
}

void hk_op_send(hk_op *op, hk_fd fd, const void *buf, size_t len, int flags)
{
    struct hki_ioreq *req = prepare(op, HKI_IO_SEND, fd);

    req->buf = (void *)(uintptr_t)buf;
    req->len = cut(len);
    req->flags = (uint32_t)(flags | MSG_NOSIGNAL);
}

void hk_op_recvmsg(hk_op *op, hk_fd fd, struct msghdr *msg, int flags)
{
    struct hki_ioreq *req = prepare(op, HKI_IO_RECVMSG, fd);

    req->msg = msg;
    req->flags = (uint32_t)flags;
}

void hk_op_sendmsg(hk_op *op, hk_fd fd, const struct msghdr *msg, int flags)
{
    struct hki_ioreq *req = prepare(op, HKI_IO_SENDMSG, fd);

    req->msg = (struct msghdr *)(uintptr_t)msg;
    req->flags = (uint32_t)(flags | MSG_NOSIGNAL);
}

void hk_op_accept(hk_op *op, hk_fd fd, struct sockaddr *addr, unsigned *addr_len)
{
    struct hki_ioreq *req = prepare(op, HKI_IO_ACCEPT, fd);

    req->addr = addr;
    req->addr_len = addr_len;
}

void hk_op_connect(hk_op *op, hk_fd fd, const struct sockaddr *addr, unsigned addr_len)
{
    struct hki_ioreq *req = prepare(op, HKI_IO_CONNECT, fd);

    req->addr = (struct sockaddr *)(uintptr_t)addr;
    req->len = addr_len;
}

void hk_op_poll(hk_op *op, hk_fd fd, unsigned events)
{
    prepare(op, HKI_IO_POLL, fd)->flags = events;
}

void hk_op_fsync(hk_op *op, hk_fd fd, bool data_only)
{
    prepare(op, HKI_IO_FSYNC, fd)->flags = data_only;
}

void hk_op_open(hk_op *op, hk_fd dir, const char *path, int flags, unsigned mode)
{
    struct hki_ioreq *req = prepare(op, HKI_IO_OPEN, dir);

    if (!dir.value)
        req->fd = AT_FDCWD;
    req->path = path;
    req->flags = (uint32_t)(flags | O_CLOEXEC);
    req->mode_or_mask = mode;
}

void hk_op_statx(hk_op *op, hk_fd dir, const char *path, int flags, unsigned mask,
                 struct statx *out)
{
    struct hki_ioreq *req = prepare(op, HKI_IO_STATX, dir);

    if (!dir.value)
        req->fd = AT_FDCWD;
    req->path = path ? path : "";
    req->flags = (uint32_t)(path ? flags : flags | AT_EMPTY_PATH);
    req->mode_or_mask = mask;
    req->statx = out;
}

void hk_op_work(hk_op *op, int (*fn)(void *arg), void *arg)
{
    struct hki_ioreq *req = prepare(op, HKI_IO_WORK, HK_FD_NONE);

    req->work = fn;
    req->work_arg = arg;
}

static const char *const verbs[HKI_IO_CODES] = {
    [HKI_IO_READ] = "read from",         [HKI_IO_WRITE] = "write to",
    [HKI_IO_READV] = "read from",        [HKI_IO_WRITEV] = "write to",
    [HKI_IO_RECV] = "receive from",      [HKI_IO_SEND] = "send to",
    [HKI_IO_RECVMSG] = "receive from",   [HKI_IO_SENDMSG] = "send to",
    [HKI_IO_ACCEPT] = "accept on",       [HKI_IO_CONNECT] = "connect of",
    [HKI_IO_POLL] = "readiness of",      [HKI_IO_FSYNC] = "fsync of",
    [HKI_IO_OPEN] = "open of a path in", [HKI_IO_STATX] = "stat of a path in",
    [HKI_IO_WORK] = "a blocking call",
};

void hki_op_describe(const void *object, char *text, size_t size)
{
    const struct hki_op *op = object;

    if (op->fd.value)
        snprintf(text, size, "%s descriptor %d", verbs[op->req.code], op->req.fd);
    else
        snprintf(text, size, "%s%s", verbs[op->req.code],
                 op->req.code == HKI_IO_WORK ? "" : " the working directory");
}
