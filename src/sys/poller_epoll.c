/* SPDX-License-Identifier: MIT */
/*
 * The epoll backend: completion emulated over readiness.
 *
 * A request is attempted at once, without blocking. One that would block waits in a
 * queue of its descriptor, which is registered edge-triggered, once for each direction
 * that ever had to wait (not for both from the start: a Unix socket makes an edge of
 * every message that its peer has read). An edge lets the queue attempt again, in
 * order, until one of them would block.
 *
 * "Would block" is remembered until the next edge, so that a reader that is known to
 * find nothing goes into its queue without a system call. A TCP socket is also known to
 * be empty after a short read; other streams are not (a Unix socket stops a read where
 * descriptors were attached).
 *
 * Descriptors that are ours are switched to non-blocking; sockets need it only for
 * accept and connect. Borrowed ones are never switched: they wait for readiness first,
 * then comes one call that the kernel is asked not to block in. Regular files and all
 * that has no readiness goes to the blocking pool, unless a cache of the kernel
 * answers.
 */
#include "sys/poller.h"

#include "base/alloc.h"
#include "sys/fd_attempt.h"
#include "sys/fd_table.h"
#include "sys/io_perform.h"
#include "sys/os.h"
#include "sys/os_io.h"
#include "sys/poller_base.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>

#define EVENTS_MAX 256
#define EVENTS_PLAIN 0xffffu /* all but the flags, which are not events */
#define WAKE_DATA UINT64_MAX

struct epoll_poller {
    struct hki_poller base;
    int epoll;
    struct hki_fd_table table;
    struct hki_fd_queue delayed; /* requests in state HKI_REQ_DELAYED */
    int64_t retry_at_ns;         /* when they are tried again */
    unsigned retry_rounds;
    struct epoll_event events[EVENTS_MAX];
};

static struct epoll_poller *of(struct hki_poller *poller)
{
    return hki_container_of(poller, struct epoll_poller, base);
}

/* ---- what a request waits for ---- */

static uint32_t events_of(const struct hki_ioreq *req)
{
    switch (hki_fd_way_of(req)) {
    case HKI_FD_IN: return EPOLLIN | EPOLLRDHUP | EPOLLPRI;
    case HKI_FD_OUT: return EPOLLOUT;
    default: return req->flags & EVENTS_PLAIN;
    }
}

/* No descriptor to wait for: the pool's, unless a cache answers. */
static bool is_for_pool(const struct hki_ioreq *req)
{
    if (req->code >= HKI_IO_FSYNC)
        return true;
    if (req->fd_flags & HKI_FD_FILE)
        return req->code <= HKI_IO_WRITEV;
    return req->code == HKI_IO_CONNECT &&
           (req->fd_flags & (HKI_FD_BORROWED | HKI_FD_NONBLOCK)) == HKI_FD_BORROWED;
}

/* ---- requests that no edge announces ---- */

static void delay(struct epoll_poller *p, struct hki_ioreq *req)
{
    req->state = HKI_REQ_DELAYED;
    if (!p->delayed.head) {
        p->retry_rounds = 0;
        p->retry_at_ns = hki_os_now_ns() + hki_poller_retry_delay_ns(0);
    }
    hki_fd_queue_push(&p->delayed, req);
}

static int64_t cut_for_delayed(const struct epoll_poller *p, int64_t timeout_ns)
{
    int64_t left_ns;

    if (HKI_LIKELY(!p->delayed.head))
        return timeout_ns;
    left_ns = p->retry_at_ns - hki_os_now_ns();
    if (left_ns < 0)
        left_ns = 0;
    return timeout_ns < 0 || timeout_ns > left_ns ? left_ns : timeout_ns;
}

static void retry_delayed(struct epoll_poller *p)
{
    struct hki_ioreq *req = p->delayed.head, *next;

    if (HKI_LIKELY(!req) || hki_os_now_ns() < p->retry_at_ns)
        return;
    for (; req; req = next) {
        next = req->next;
        if (!hki_fd_attempt(hki_fd_table_find(&p->table, (uint32_t)req->fd), req))
            continue;
        hki_fd_queue_remove(&p->delayed, req);
        hki_poller_complete(&p->base, req, req->result);
    }
    p->retry_at_ns = hki_os_now_ns() + hki_poller_retry_delay_ns(++p->retry_rounds);
}

/*
 * Would block, and yet no edge will come: the peer's queue is full where the kernel
 * reports only our own side (Unix sockets: a connect, a datagram).
 */
static bool is_unannounced(const struct hki_ioreq *req)
{
    if (req->code == HKI_IO_CONNECT)
        return !req->begun;
    return req->retries > 0 && hki_sys_poll(req->fd, POLLOUT, 0) & POLLOUT;
}

/* ---- descriptors ---- */

static struct hki_fd_record *record_of(struct epoll_poller *p,
                                       const struct hki_ioreq *req)
{
    struct hki_fd_record *record = hki_fd_table_make(&p->table, (uint32_t)req->fd);

    if (HKI_UNLIKELY(!record))
        return NULL;
    if (HKI_LIKELY(record->is_known && record->fd_slot == req->fd_slot &&
                   record->fd_generation == req->fd_generation))
        return record;
    if (!hki_fd_record_is_idle(record))
        return record; /* a second handle of the same descriptor */
    *record = (struct hki_fd_record){
        .fd_slot = req->fd_slot,
        .fd_generation = req->fd_generation,
        .stamp = record->stamp + 1,
        .is_known = true,
        .is_tcp = req->fd_flags & HKI_FD_SOCKET &&
                  hki_sys_socket_protocol(req->fd) == IPPROTO_TCP,
        .maybe_ready = 1 << HKI_FD_IN | 1 << HKI_FD_OUT,
    };
    return record;
}

/* Edges that are reported from now on; one comes at once if it is ready already. */
static int watch(struct epoll_poller *p, struct hki_fd_record *record,
                 const struct hki_ioreq *req)
{
    uint32_t events = record->events | events_of(req);
    uint64_t data = (uint64_t)record->stamp << 32 | (uint32_t)req->fd;
    int operation = record->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, rc;

    if (HKI_LIKELY(events == record->events))
        return 0;
    rc = hki_sys_epoll_ctl(p->epoll, operation, req->fd, events | EPOLLET, data);
    /* The number of a closed descriptor was given out again, or a registration has
     * outlived its handle: the descriptor was borrowed, or is open elsewhere too. */
    if (rc == -EEXIST || rc == -ENOENT)
        rc = hki_sys_epoll_ctl(p->epoll, rc == -EEXIST ? EPOLL_CTL_MOD : EPOLL_CTL_ADD,
                               req->fd, events | EPOLLET, data);
    if (rc == 0)
        record->events = events;
    return rc;
}

/* Has the request wait for an edge. True: it is done after all. */
static bool enqueue(struct epoll_poller *p, struct hki_fd_record *record,
                    struct hki_ioreq *req)
{
    int rc;

    if (HKI_UNLIKELY(req->code == HKI_IO_CONNECT && is_unannounced(req))) {
        delay(p, req);
        return false;
    }
    rc = watch(p, record, req);
    if (HKI_UNLIKELY(rc < 0 && !(rc == -EPERM && req->code == HKI_IO_POLL))) {
        if (rc == -EPERM) /* a regular file: it blocks, but is never "not ready" */
            return hki_poller_offload(&p->base, req);
        req->result = hki_io_sum(req, rc);
        return true;
    }
    req->state = HKI_REQ_QUEUED;
    hki_fd_queue_push(&record->queues[hki_fd_way_of(req)], req);
    return false;
}

static bool epoll_submit(struct hki_poller *poller, struct hki_ioreq *req)
{
    struct epoll_poller *p = of(poller);
    enum hki_fd_way way = hki_fd_way_of(req);
    struct hki_fd_record *record;

    hki_poller_accept(req, HKI_REQ_DONE);
    if (is_for_pool(req))
        return hki_io_try_cached(req) || hki_poller_offload(poller, req);
    if (HKI_UNLIKELY(req->fd < 0)) {
        req->result = -EBADF;
        return true;
    }
    record = record_of(p, req);
    if (HKI_UNLIKELY(!record)) {
        req->result = -ENOMEM;
        return true;
    }
    /* Behind those that wait already; polls are independent of each other. */
    if (way == HKI_FD_EVENTS ||
        (!record->queues[way].head && record->maybe_ready & 1u << way)) {
        if (hki_fd_attempt(record, req))
            return true;
    } else if (HKI_UNLIKELY(hki_fd_is_message(req) && req->flags & MSG_DONTWAIT)) {
        return hki_fd_attempt(record, req);
    }
    return enqueue(p, record, req);
}

static void epoll_cancel(struct hki_poller *poller, struct hki_ioreq *req)
{
    struct epoll_poller *p = of(poller);
    struct hki_fd_record *record;

    switch (req->state) {
    case HKI_REQ_POOL: hki_poller_withdraw(poller, req); return;
    case HKI_REQ_DELAYED: hki_fd_queue_remove(&p->delayed, req); break;
    case HKI_REQ_QUEUED:
        record = hki_fd_table_find(&p->table, (uint32_t)req->fd);
        hki_fd_queue_remove(&record->queues[hki_fd_way_of(req)], req);
        break;
    default: return; /* it has completed */
    }
    hki_poller_complete(poller, req, hki_io_sum(req, -ECANCELED));
}

/* ---- edges ---- */

/* Lets the queue of one direction attempt in order, until one would block. */
static void serve_way(struct epoll_poller *p, struct hki_fd_record *record,
                      enum hki_fd_way way)
{
    struct hki_fd_queue *queue = &record->queues[way];
    struct hki_ioreq *req;

    while ((req = queue->head)) {
        if (hki_fd_attempt(record, req)) {
            hki_fd_queue_remove(queue, req);
            hki_poller_complete(&p->base, req, req->result);
            continue;
        }
        if (way == HKI_FD_OUT) {
            req->retries = 1;
            if (is_unannounced(req)) {
                hki_fd_queue_remove(queue, req);
                delay(p, req);
            }
        }
        return;
    }
}

/* Every poll looks for itself. */
static void serve_polls(struct epoll_poller *p, struct hki_fd_record *record)
{
    struct hki_fd_queue *queue = &record->queues[HKI_FD_EVENTS];
    struct hki_ioreq *req, *next;

    for (req = queue->head; req; req = next) {
        next = req->next;
        if (!hki_fd_attempt(record, req))
            continue;
        hki_fd_queue_remove(queue, req);
        hki_poller_complete(&p->base, req, req->result);
    }
}

static void serve(struct epoll_poller *p, const struct epoll_event *event)
{
    const uint32_t ends = EPOLLHUP | EPOLLERR;
    struct hki_fd_record *record =
        hki_fd_table_find(&p->table, (uint32_t)event->data.u64);

    /* NULL: our own eventfd. Another stamp: of a descriptor that was closed here and is
     * open elsewhere. */
    if (!record || record->stamp != event->data.u64 >> 32)
        return;
    if (event->events & (EPOLLRDHUP | EPOLLPRI | ends))
        record->short_is_vague = true;
    if (event->events & (EPOLLIN | EPOLLRDHUP | EPOLLPRI | ends)) {
        record->maybe_ready |= 1 << HKI_FD_IN;
        serve_way(p, record, HKI_FD_IN);
    }
    if (event->events & (EPOLLOUT | ends)) {
        record->maybe_ready |= 1 << HKI_FD_OUT;
        serve_way(p, record, HKI_FD_OUT);
    }
    if (HKI_UNLIKELY(record->queues[HKI_FD_EVENTS].head != NULL))
        serve_polls(p, record);
}

static struct hki_ioreq *epoll_wait_completions(struct hki_poller *poller,
                                                int64_t timeout_ns)
{
    struct epoll_poller *p = of(poller);
    int count;

    hki_poller_collect(poller);
    timeout_ns = poller->completed ? 0 : cut_for_delayed(p, timeout_ns);
    if (timeout_ns != 0 && !hki_poller_may_sleep(poller))
        timeout_ns = 0;
    count = hki_sys_epoll_wait(p->epoll, p->events, EVENTS_MAX, timeout_ns);
    hki_poller_awake(poller);
    HKI_ASSERT(count >= 0 || count == -EINTR, "epoll_wait works on our own descriptor");
    for (int i = 0; i < count; i++)
        serve(p, &p->events[i]);
    retry_delayed(p);
    hki_poller_collect(poller);
    return hki_poller_take(poller);
}

/* ---- begin and end ---- */

static void epoll_fini(struct hki_poller *poller)
{
    struct epoll_poller *p = of(poller);

    hki_poller_base_fini(poller);
    hki_fd_table_fini(&p->table);
    hki_os_close(p->epoll);
    hki_free_kept(p);
}

static int epoll_init(struct hki_poller **out)
{
    /* Not counted: a pool may start a thread within a run whose ledger is checked. */
    struct epoll_poller *p = hki_alloc_kept(sizeof(*p));
    int rc;

    if (!p)
        return -ENOMEM;
    p->epoll = rc = hki_sys_epoll_create();
    if (rc < 0)
        goto free_poller;
    rc = hki_poller_base_init(&p->base);
    if (rc < 0)
        goto close_epoll;
    rc = hki_sys_epoll_ctl(p->epoll, EPOLL_CTL_ADD, p->base.wake_fd, EPOLLIN | EPOLLET,
                           WAKE_DATA);
    if (rc < 0)
        goto close_base;
    *out = &p->base;
    return 0;

close_base:
    hki_poller_base_fini(&p->base);
close_epoll:
    hki_os_close(p->epoll);
free_poller:
    hki_free_kept(p);
    return rc;
}

const struct hki_poller_ops hki_poller_epoll = {
    .name = "epoll",
    .init = epoll_init,
    .fini = epoll_fini,
    .submit = epoll_submit,
    .cancel = epoll_cancel,
    .wait = epoll_wait_completions,
    .wake = hki_poller_wake,
};
