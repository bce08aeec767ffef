/* SPDX-License-Identifier: MIT */
/* What a ring must be able to do, and how it is set up: see poller_uring.c. */
#include "sys/uring_ring.h"

#include "base/annotate.h"
#include "sys/ioreq.h"

#include <errno.h>

#define SUBMISSIONS 1024
#define COMPLETIONS 8192

/* liburing maps memory by raw system calls, which TSan does not see: it takes a new
 * ring for the old one at the same address. This orders the two. */
static char ring_memory;

/* Every flag is of Linux 6.1 or older. A kernel that refuses one is too old, and one
 * that refuses us is a sandbox: both have epoll. */
int hki_uring_open(struct io_uring *ring, unsigned *out_enter_flags)
{
    const unsigned features = IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP |
                              IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_CQE_SKIP;
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                 IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL |
                 IORING_SETUP_CQSIZE,
        .cq_entries = COMPLETIONS,
    };
    int rc = io_uring_queue_init_params(SUBMISSIONS, ring, &params);

    if (rc < 0)
        return rc == -ENOMEM || rc == -EMFILE ? rc : -ENOSYS;
    HKI_HB_ACQUIRE(&ring_memory);
    if ((params.features & features) != features || io_uring_ring_dontfork(ring)) {
        io_uring_queue_exit(ring);
        return -ENOSYS;
    }
    /* Saves the look-up of the ring in every enter; a limit of 16 for each thread. */
    (void)io_uring_register_ring_fd(ring);
    *out_enter_flags = IORING_ENTER_GETEVENTS;
    if (ring->enter_ring_fd != ring->ring_fd)
        *out_enter_flags |= IORING_ENTER_REGISTERED_RING;
    for (unsigned i = 0; i < SUBMISSIONS; i++)
        ring->sq.array[i] = i;
    return 0;
}

void hki_uring_close(struct io_uring *ring)
{
    HKI_HB_RELEASE(&ring_memory);
    io_uring_queue_exit(ring);
}

/* What of the ring stands behind each code; without a stream's the ring is of no
 * use. */
static const struct {
    uint8_t code, opcode;
    bool may_be_missing;
} opcodes[] = {
    {HKI_IO_READ, IORING_OP_READ, false},
    {HKI_IO_WRITE, IORING_OP_WRITE, false},
    {HKI_IO_READV, IORING_OP_READV, false},
    {HKI_IO_WRITEV, IORING_OP_WRITEV, false},
    {HKI_IO_RECV, IORING_OP_RECV, false},
    {HKI_IO_SEND, IORING_OP_SEND, false},
    {HKI_IO_RECVMSG, IORING_OP_RECVMSG, false},
    {HKI_IO_SENDMSG, IORING_OP_SENDMSG, false},
    {HKI_IO_ACCEPT, IORING_OP_ACCEPT, false},
    {HKI_IO_CONNECT, IORING_OP_CONNECT, false},
    {HKI_IO_POLL, IORING_OP_POLL_ADD, false},
    {HKI_IO_POLL, IORING_OP_TIMEOUT, false},
    {HKI_IO_POLL, IORING_OP_ASYNC_CANCEL, false},
    {HKI_IO_FSYNC, IORING_OP_FSYNC, true},
    {HKI_IO_OPEN, IORING_OP_OPENAT, true},
    {HKI_IO_STATX, IORING_OP_STATX, true},
};

int hki_uring_probe(struct io_uring *ring, uint32_t *out_missing)
{
    struct io_uring_probe *known = io_uring_get_probe_ring(ring);
    uint32_t missing = 0;
    int rc = 0;

    if (!known)
        return -ENOSYS;
    for (size_t i = 0; i < sizeof(opcodes) / sizeof(opcodes[0]); i++) {
        if (io_uring_opcode_supported(known, opcodes[i].opcode))
            continue;
        missing |= 1u << opcodes[i].code;
        if (!opcodes[i].may_be_missing)
            rc = -ENOSYS;
    }
    io_uring_free_probe(known);
    if (rc == 0)
        *out_missing = missing;
    return rc;
}
