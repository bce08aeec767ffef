/* SPDX-License-Identifier: MIT */
/*
 * A raw io_uring echo server: multishot receive into provided buffers, one send per
 * request, every send of a turn and the wait for the next one in a single enter.
 *
 * A buffer goes back to the ring when its send has completed, not earlier: the send may
 * still be reading it. MSG_WAITALL makes the kernel finish a short send itself. A
 * connection has one send in flight; what arrives meanwhile waits in a list, or two
 * sends could pass each other.
 *
 * Connections are accepted straight into the ring's own descriptor table: measured
 * 2.5 % less CPU per request than ordinary descriptors. Measured too, and no better:
 * smaller rings, fewer buffers; and 4 % worse: single receives linked behind the sends.
 */
#include "../peers/bench.h"
#include "floor.h"
#include <liburing.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define BUFFERS 2048 /* a power of two, at least one for each connection */
/* Not a power of two: the first lines of all buffers would share a few cache sets. */
#define BUFFER_BYTES (2048 + 64)
#define SLOTS_MAX 8192

enum kind { ACCEPT, STDIN, RECEIVE, SEND, CLOSE };

/* user_data: kind in bits 0-3, buffer in 8-31, slot in 32-63. */
static uint64_t tag(enum kind kind, unsigned buffer, int slot)
{
    return (uint64_t)kind | (uint64_t)buffer << 8 | (uint64_t)(unsigned)slot << 32;
}

struct connection {
    bool sending;
    bool closing;
    int first, last; /* buffers that wait for the send in flight; -1: none */
};

static struct io_uring ring;
static struct io_uring_buf_ring *provided;
static char *memory;
static struct connection connections[SLOTS_MAX];
static int next_waiting[BUFFERS];
static unsigned filled[BUFFERS]; /* bytes in a buffer that waits */

static struct io_uring_sqe *get_sqe(void)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

    if (!sqe) {
        io_uring_submit(&ring);
        sqe = io_uring_get_sqe(&ring);
    }
    return sqe;
}

static void start_accept(int listener)
{
    struct io_uring_sqe *sqe = get_sqe();

    io_uring_prep_multishot_accept_direct(sqe, listener, 0, 0, 0);
    io_uring_sqe_set_data64(sqe, tag(ACCEPT, 0, 0));
}

static void start_receive(int slot)
{
    struct io_uring_sqe *sqe = get_sqe();

    io_uring_prep_recv_multishot(sqe, slot, 0, 0, 0);
    sqe->flags |= IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
    sqe->buf_group = 0;
    io_uring_sqe_set_data64(sqe, tag(RECEIVE, 0, slot));
}

static void start_send(int slot, unsigned buffer, unsigned len)
{
    struct io_uring_sqe *sqe = get_sqe();

    connections[slot].sending = true;
    io_uring_prep_send(sqe, slot, memory + (size_t)buffer * BUFFER_BYTES, len,
                       MSG_WAITALL | MSG_NOSIGNAL);
    sqe->flags |= IOSQE_FIXED_FILE;
    io_uring_sqe_set_data64(sqe, tag(SEND, buffer, slot));
}

static void give_back(unsigned buffer)
{
    io_uring_buf_ring_add(provided, memory + (size_t)buffer * BUFFER_BYTES,
                          BUFFER_BYTES, (unsigned short)buffer, BUFFERS - 1, 0);
    io_uring_buf_ring_advance(provided, 1);
}

static void close_when_idle(int slot)
{
    struct io_uring_sqe *sqe;

    if (!connections[slot].closing || connections[slot].sending)
        return;
    sqe = get_sqe();
    io_uring_prep_close_direct(sqe, (unsigned)slot);
    io_uring_sqe_set_data64(sqe, tag(CLOSE, 0, slot));
}

static void received(const struct io_uring_cqe *cqe, int slot)
{
    struct connection *c = &connections[slot];
    bool more = cqe->flags & IORING_CQE_F_MORE;
    int buffer = -1;

    if (cqe->flags & IORING_CQE_F_BUFFER)
        buffer = (int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
    if (cqe->res <= 0 && cqe->res != -ENOBUFS) {
        if (buffer >= 0)
            give_back((unsigned)buffer);
        c->closing = true;
        close_when_idle(slot);
        return;
    }
    if (cqe->res > 0 && !c->sending) {
        start_send(slot, (unsigned)buffer, (unsigned)cqe->res);
    } else if (cqe->res > 0) {
        filled[buffer] = (unsigned)cqe->res;
        next_waiting[buffer] = -1;
        if (c->first < 0)
            c->first = buffer;
        else
            next_waiting[c->last] = buffer;
        c->last = buffer;
    }
    if (!more)
        start_receive(slot);
}

static void sent(const struct io_uring_cqe *cqe, int slot, unsigned buffer)
{
    struct connection *c = &connections[slot];

    c->sending = false;
    give_back(buffer);
    if (c->first >= 0) {
        int next = c->first;
        c->first = next_waiting[next];
        if (cqe->res >= 0)
            start_send(slot, (unsigned)next, filled[next]);
        else
            give_back((unsigned)next);
    }
    close_when_idle(slot);
}

/* True when the harness has closed our stdin. */
static bool dispatch(const struct io_uring_cqe *cqe, int listener)
{
    int slot = (int)(cqe->user_data >> 32);

    switch ((enum kind)(cqe->user_data & 15)) {
    case RECEIVE: received(cqe, slot); break;
    case SEND: sent(cqe, slot, (unsigned)(cqe->user_data >> 8) & 0xffffff); break;
    case ACCEPT:
        if (cqe->res >= 0) {
            connections[cqe->res] = (struct connection){.first = -1};
            start_receive(cqe->res);
        }
        if (!(cqe->flags & IORING_CQE_F_MORE))
            start_accept(listener);
        break;
    case CLOSE: break;
    case STDIN: return true;
    }
    return false;
}

static void set_up(void)
{
    struct io_uring_params p = {0};
    struct io_uring_buf_reg reg = {.ring_entries = BUFFERS};
    size_t ring_bytes = BUFFERS * sizeof(struct io_uring_buf);

    p.flags =
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE;
    p.cq_entries = 8192;
    errno = -io_uring_queue_init_params(1024, &ring, &p);
    if (errno)
        bench_die("io_uring");
    io_uring_register_ring_fd(&ring);
    errno = -io_uring_register_files_sparse(&ring, SLOTS_MAX);
    if (errno)
        bench_die("io_uring descriptor table");
    provided = mmap(0, ring_bytes + (size_t)BUFFERS * BUFFER_BYTES,
                    PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (provided == MAP_FAILED)
        bench_die("mmap");
    memory = (char *)provided + ring_bytes;
    reg.ring_addr = (uint64_t)(uintptr_t)provided;
    errno = -io_uring_register_buf_ring(&ring, &reg, 0);
    if (errno)
        bench_die("io_uring buffer ring");
    io_uring_buf_ring_init(provided);
    for (unsigned i = 0; i < BUFFERS; i++)
        give_back(i);
}

void floor_echo_uring(int listener)
{
    struct io_uring_sqe *sqe;
    bool stop = false;

    set_up();
    start_accept(listener);
    sqe = get_sqe();
    io_uring_prep_poll_add(sqe, 0, POLLIN | POLLHUP);
    io_uring_sqe_set_data64(sqe, tag(STDIN, 0, 0));
    while (!stop) {
        struct io_uring_cqe *cqe;
        unsigned head, seen = 0;

        io_uring_submit_and_wait(&ring, 1);
        io_uring_for_each_cqe(&ring, head, cqe)
        {
            seen++;
            if (dispatch(cqe, listener))
                stop = true;
        }
        io_uring_cq_advance(&ring, seen);
    }
}
