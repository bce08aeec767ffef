/* SPDX-License-Identifier: MIT */
/* One attempt at a request of the epoll backend. */
#include "sys/fd_attempt.h"

#include "base/annotate.h"
#include "base/assert.h"
#include "sys/io_perform.h"
#include "sys/os.h"
#include "sys/os_io.h"
#include "sys/poller.h"

#include <errno.h>
#include <poll.h>

enum hki_fd_way hki_fd_way_of(const struct hki_ioreq *req)
{
    switch ((enum hki_io_code)req->code) {
    case HKI_IO_READ:
    case HKI_IO_READV:
    case HKI_IO_RECV:
    case HKI_IO_RECVMSG:
    case HKI_IO_ACCEPT: return HKI_FD_IN;
    case HKI_IO_POLL: return HKI_FD_EVENTS;
    default: return HKI_FD_OUT;
    }
}

/* Ready, and lent to us: one call that does not block. */
static int attempt_borrowed(struct hki_ioreq *req)
{
    unsigned events = hki_fd_way_of(req) == HKI_FD_IN ? POLLIN : POLLOUT;
    int rc = hki_sys_poll(req->fd, events, 0);

    if (rc <= 0)
        return rc < 0 ? rc : -EAGAIN;
    return hki_io_attempt_ready(req);
}

/* One system call's worth. */
static int step(struct hki_fd_record *record, struct hki_ioreq *req)
{
    bool is_safe = hki_fd_is_message(req) || req->code == HKI_IO_POLL ||
                   (req->code <= HKI_IO_WRITEV && (req->fd_flags & HKI_FD_SOCKET));

    HKI_HB_ACQUIRE(req); /* the task's buffer, which the loop's thread now touches */
    if (!is_safe && !record->is_nonblocking && !(req->fd_flags & HKI_FD_NONBLOCK)) {
        int rc;

        if (req->fd_flags & HKI_FD_BORROWED)
            return attempt_borrowed(req);
        rc = hki_os_set_nonblocking(req->fd);
        if (rc < 0)
            return rc;
        record->is_nonblocking = true;
    }
    return hki_io_attempt_rest(req);
}

/* Remembers what the outcome of an attempt says about the descriptor. */
static void learn(struct hki_fd_record *record, const struct hki_ioreq *req, int rc)
{
    enum hki_fd_way way = hki_fd_way_of(req);
    bool is_plain = req->code == HKI_IO_READ ||
                    (req->code == HKI_IO_RECV &&
                     !(req->flags & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE | MSG_TRUNC)));
    bool is_short = rc > 0 && is_plain && (size_t)rc + req->moved_bytes < req->len;

    if (way == HKI_FD_EVENTS)
        return;
    if (rc == -EAGAIN || (is_short && record->is_tcp && !record->short_is_vague))
        record->maybe_ready &= (uint8_t) ~(1u << way);
}

static size_t wanted_bytes(const struct hki_ioreq *req)
{
    size_t bytes = 0;

    if (req->code == HKI_IO_RECV || req->code == HKI_IO_SEND)
        return req->len;
    for (size_t i = 0; i < req->msg->msg_iovlen; i++)
        bytes += req->msg->msg_iov[i].iov_len;
    return bytes;
}

/* MSG_WAITALL, which the kernel honours only in calls that may block (and in the
 * ring). */
static bool wants_more(struct hki_ioreq *req, int rc)
{
    if (rc <= 0 || !hki_fd_is_message(req) ||
        (req->flags & (MSG_WAITALL | MSG_PEEK)) != MSG_WAITALL)
        return false;
    if (req->moved_bytes + (size_t)rc >= wanted_bytes(req) ||
        hki_sys_socket_type(req->fd) != SOCK_STREAM)
        return false;
    req->moved_bytes += (size_t)rc;
    return true;
}

bool hki_fd_attempt(struct hki_fd_record *record, struct hki_ioreq *req)
{
    int rc;

    do {
        rc = step(record, req);
        learn(record, req, rc);
    } while (HKI_UNLIKELY(wants_more(req, rc)));
    /* Who asks not to wait gets the answer as it is. */
    if (rc == -EAGAIN && !(hki_fd_is_message(req) && (req->flags & MSG_DONTWAIT)))
        return false;
    req->result = hki_io_sum(req, rc);
    return true;
}
