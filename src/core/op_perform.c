/* SPDX-License-Identifier: MIT */
/*
 * Operations that a plain thread carries out itself: what may take long on a file by
 * the blocking call, everything else by calls that do not block, between which it waits
 * in ppoll, where a close or a cancel reaches it.
 */
#include "core/ioop.h"
#include "core/thread.h"

#include "sys/os.h"
#include "sys/poller.h"

#include <poll.h>

static bool is_file_request(const struct hki_op *op)
{
    switch (op->req.code) {
    case HKI_IO_FSYNC:
    case HKI_IO_OPEN:
    case HKI_IO_STATX:
    case HKI_IO_WORK: return true;
    default: return op->req.fd_flags & HKI_FD_FILE;
    }
}

static short events_for(const struct hki_op *op)
{
    if (op->req.code == HKI_IO_POLL)
        return (short)op->req.flags;
    return op->req.code == HKI_IO_CONNECT || (hki_op_flags_of(op) & HKI_OP_WRITES)
               ? POLLOUT
               : POLLIN;
}

/* A listener, a connecting socket or a pipe of ours must not block in the call itself;
 * one that we were lent is called when it is ready. */
static int prepare_nonblocking(struct hki_op *op)
{
    uint8_t flags = op->req.fd_flags;
    bool by_flag = (flags & HKI_FD_SOCKET) && op->req.code != HKI_IO_ACCEPT &&
                   op->req.code != HKI_IO_CONNECT;

    if (by_flag || (flags & (HKI_FD_NONBLOCK | HKI_FD_BORROWED)) ||
        op->req.code == HKI_IO_POLL)
        return 0;
    op->req.fd_flags |= HKI_FD_NONBLOCK;
    return hki_os_set_nonblocking(op->req.fd);
}

static int wait_ready(struct hki_thread *thread, struct hki_op *op)
{
    for (;;) {
        uint32_t sequence = __atomic_load_n(&thread->sequence, __ATOMIC_SEQ_CST);
        int rc;

        if (hki_op_flags_of(op) & HKI_OP_CLOSED)
            return -EBADF;
        rc = hki_thread_poll(thread, sequence, op->req.fd, events_for(op), true);
        if (rc != 0)
            return rc;
    }
}

/* A call that does not block. */
static int attempt(struct hki_op *op)
{
    bool lent =
        (op->req.fd_flags & (HKI_FD_BORROWED | HKI_FD_SOCKET)) == HKI_FD_BORROWED;

    return lent ? hki_io_attempt_ready(&op->req) : hki_io_attempt(&op->req);
}

/* A Unix listener's backlog or a Unix datagram socket's queue: while it is full, the
 * sending side is "ready" all the same. */
static bool waits_for_a_full_peer(const struct hki_op *op)
{
    return op->req.code == HKI_IO_CONNECT || ((op->req.fd_flags & HKI_FD_DATAGRAM) &&
                                              (hki_op_flags_of(op) & HKI_OP_WRITES));
}

static int perform_waiting(struct hki_thread *thread, struct hki_op *op)
{
    bool ask_first = op->req.fd_flags & HKI_FD_BORROWED;
    int rc = prepare_nonblocking(op);

    if (rc < 0)
        return rc;
    for (;;) {
        if (ask_first || op->req.code == HKI_IO_POLL) {
            rc = wait_ready(thread, op);
            if (rc < 0 || op->req.code == HKI_IO_POLL)
                return rc;
        }
        rc = attempt(op);
        if (rc != -EAGAIN && rc != -EINPROGRESS)
            return rc;
        ask_first = true;
        if (rc == -EAGAIN && waits_for_a_full_peer(op)) {
            rc = hki_thread_sleep_until(thread, hki_os_now_ns() + HK_MILLISECOND);
            if (rc < 0)
                return rc;
        }
    }
}

int hki_op_perform(struct hki_thread *thread, struct hki_op *op)
{
    return is_file_request(op) ? hki_io_perform(&op->req) : perform_waiting(thread, op);
}
