/* SPDX-License-Identifier: MIT */
/*
 * The io_uring backend. A request is one entry of the submission queue, and its address
 * is the entry's user_data; everything that a loop turn submits goes in with the one
 * io_uring_enter of its wait.
 *
 * A request is handed back after its own completion only, never because of the
 * cancel's: until then the kernel may write to its buffers. The same memory may be
 * submitted again right afterwards, with the same user_data; an old cancel cannot hit
 * it, because entries are carried out in order and the cancel was queued before.
 *
 * Three results are not handed back but mean "again": -EINTR, -EAGAIN (the descriptor
 * is in non-blocking mode, so the kernel did not wait) and -EINPROGRESS. A poll of the
 * descriptor, under the same user_data, then stands in for the operation, which is
 * submitted again when the poll has completed.
 *
 * Everything is submitted by the thread that made the ring (SINGLE_ISSUER), completions
 * are made when that thread asks for them (DEFER_TASKRUN). No kernel thread polls.
 */
#include "sys/poller.h"

#include "base/alloc.h"
#include "base/annotate.h"
#include "sys/io_perform.h"
#include "sys/os.h"
#include "sys/poller_base.h"
#include "sys/uring_prepare.h"
#include "sys/uring_ring.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>

/* In the low bits of user_data, which are zero in a request's address. */
enum { TAG_REQUEST, TAG_IGNORED, TAG_WAKE, TAG_CANCEL, TAG_MASK = 7 };

/* From so many fruitless readiness polls in a row on, time is waited for instead. */
#define POLLS_MAX 16

struct uring_poller {
    struct hki_poller base;
    struct io_uring ring;
    uint32_t pool_codes;    /* bit (1 << code) set: the ring does not know it */
    unsigned enter_flags;   /* that every enter has */
    bool is_wake_poll_lost; /* the poll of wake_fd has ended: start it again */
    bool is_reaping;        /* `reap` is on the stack */
    /* Cancelled, and not back yet: linked by next and prev, which the kernel's requests
     * have no other use for. */
    struct hki_ioreq *cancelling;
    int64_t cancel_again_ns; /* when to ask for those once more; 0: no need */
    unsigned cancel_rounds;
};

static struct uring_poller *of(struct hki_poller *poller)
{
    return hki_container_of(poller, struct uring_poller, base);
}

static const struct uring_poller *of_const(const struct hki_poller *poller)
{
    return hki_container_of(poller, const struct uring_poller, base);
}

static void reap(struct uring_poller *p);

/* ---- submission ---- */

/* The queue's own index array was set to the identity: publishing is moving the
 * tail. */
static unsigned publish(struct uring_poller *p)
{
    struct io_uring_sq *sq = &p->ring.sq;

    __atomic_store_n(sq->ktail, sq->sqe_tail, __ATOMIC_RELEASE);
    return sq->sqe_tail - __atomic_load_n(sq->khead, __ATOMIC_ACQUIRE);
}

/* timeout_ns < 0: for ever. */
static int enter(struct uring_poller *p, unsigned wait_for, int64_t timeout_ns)
{
    struct __kernel_timespec at = {
        .tv_sec = timeout_ns / 1000000000,
        .tv_nsec = timeout_ns % 1000000000,
    };
    struct io_uring_getevents_arg arg = {
        .sigmask_sz = _NSIG / 8,
        .ts = timeout_ns > 0 ? (uint64_t)(uintptr_t)&at : 0,
    };

    return io_uring_enter2((unsigned)p->ring.enter_ring_fd, publish(p), wait_for,
                           p->enter_flags | IORING_ENTER_EXT_ARG, (void *)&arg,
                           sizeof(arg));
}

/*
 * The submission queue is full: what is in it goes to the kernel now. Completions are
 * taken as well, so that they do not pile up on the kernel's side, unless we were
 * called while taking them: that would nest without end.
 */
static struct io_uring_sqe *make_room(struct uring_poller *p)
{
    struct io_uring_sqe *sqe;

    do {
        int rc = enter(p, 0, 0);

        HKI_ASSERT(rc >= 0 || rc == -EINTR || rc == -EAGAIN || rc == -EBUSY,
                   "io_uring_enter takes what we have queued");
        if (!p->is_reaping)
            reap(p);
        sqe = io_uring_get_sqe(&p->ring);
    } while (!sqe);
    return sqe;
}

static inline struct io_uring_sqe *next_sqe(struct uring_poller *p)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&p->ring);

    return HKI_LIKELY(sqe != NULL) ? sqe : make_room(p);
}

static void queue_operation(struct uring_poller *p, struct hki_ioreq *req)
{
    struct io_uring_sqe *sqe = next_sqe(p);

    hki_uring_prepare(sqe, req);
    io_uring_sqe_set_data64(sqe, (uintptr_t)req | TAG_REQUEST);
    req->state = HKI_REQ_KERNEL;
}

static bool uring_submit(struct hki_poller *poller, struct hki_ioreq *req)
{
    struct uring_poller *p = of(poller);
    bool is_file = req->fd_flags & HKI_FD_FILE || req->code >= HKI_IO_FSYNC;

    hki_poller_accept(req, HKI_REQ_DONE);
    if (HKI_UNLIKELY(is_file) && hki_io_try_cached(req))
        return true;
    if (HKI_UNLIKELY(p->pool_codes & 1u << req->code))
        return hki_poller_offload(poller, req);
    queue_operation(p, req);
    return false;
}

/* ---- cancelling ---- */

/*
 * A cancel can fail although its request is in flight: the kernel does not find one
 * that is just on its way from "polled" to a helper thread, nor stop one that a helper
 * is busy with. So cancelled requests stay on a list until they are back, and as long
 * as a cancel has failed all of them are asked for again after a while.
 */
static void list_cancelled(struct uring_poller *p, struct hki_ioreq *req)
{
    req->prev = NULL;
    req->next = p->cancelling;
    if (req->next)
        req->next->prev = req;
    p->cancelling = req;
}

static void unlist_cancelled(struct uring_poller *p, struct hki_ioreq *req)
{
    if (req->prev)
        req->prev->next = req->next;
    else
        p->cancelling = req->next;
    if (req->next)
        req->next->prev = req->prev;
    if (!p->cancelling) {
        p->cancel_again_ns = 0;
        p->cancel_rounds = 0;
    }
}

static void fill_cancel(struct io_uring_sqe *sqe, struct hki_ioreq *req)
{
    io_uring_prep_cancel64(sqe, (uintptr_t)req | TAG_REQUEST, 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(sqe, TAG_CANCEL);
}

static void cancel_failed(struct uring_poller *p)
{
    if (p->cancelling && !p->cancel_again_ns)
        p->cancel_again_ns =
            hki_os_now_ns() + hki_poller_retry_delay_ns(p->cancel_rounds++);
}

/* Asks again when it is time; returns how long the next wait may take. */
static int64_t cancel_again(struct uring_poller *p, int64_t timeout_ns)
{
    int64_t left_ns = p->cancel_again_ns - hki_os_now_ns();

    if (left_ns > 0)
        return timeout_ns < 0 || timeout_ns > left_ns ? left_ns : timeout_ns;
    p->cancel_again_ns = 0;
    for (struct hki_ioreq *req = p->cancelling; req; req = req->next) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&p->ring);

        if (!sqe) { /* making room could change the list under us: the rest later */
            cancel_failed(p);
            break;
        }
        fill_cancel(sqe, req);
    }
    return timeout_ns;
}

static void uring_cancel(struct hki_poller *poller, struct hki_ioreq *req)
{
    struct uring_poller *p = of(poller);
    struct io_uring_sqe *sqe;

    if (req->cancelled || req->state == HKI_REQ_DONE)
        return;
    if (req->state == HKI_REQ_POOL) {
        req->cancelled = true;
        hki_poller_withdraw(poller, req);
        return;
    }
    sqe = next_sqe(p);
    if (req->state == HKI_REQ_DONE) { /* making room has found its completion */
        io_uring_prep_nop(sqe);
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
        io_uring_sqe_set_data64(sqe, TAG_IGNORED);
        return;
    }
    req->cancelled = true;
    list_cancelled(p, req);
    fill_cancel(sqe, req);
}

/* ---- completion ---- */

static unsigned readiness_of(const struct hki_ioreq *req)
{
    switch (req->code) {
    case HKI_IO_READ:
    case HKI_IO_READV:
    case HKI_IO_RECV:
    case HKI_IO_RECVMSG:
    case HKI_IO_ACCEPT: return POLLIN;
    default: return POLLOUT;
    }
}

/*
 * Something stands in for a request that the kernel would not wait for: a poll; or a
 * timeout, where polls have said "ready" in vain (a Unix socket whose peer's queue is
 * full reports its own side).
 */
static void queue_stand_in(struct uring_poller *p, struct hki_ioreq *req)
{
    struct io_uring_sqe *sqe = next_sqe(p);
    bool is_unannounced = req->code == HKI_IO_CONNECT && !req->begun;

    if (req->retries < UINT8_MAX)
        req->retries++;
    if (is_unannounced || (req->retries > POLLS_MAX && !req->begun)) {
        unsigned round = is_unannounced ? req->retries : req->retries - POLLS_MAX;

        req->delay[0] = 0;
        req->delay[1] = hki_poller_retry_delay_ns(round - 1);
        io_uring_prep_timeout(sqe, (struct __kernel_timespec *)(void *)req->delay, 0,
                              0);
    } else {
        io_uring_prep_poll_add(sqe, req->fd, readiness_of(req));
    }
    io_uring_sqe_set_data64(sqe, (uintptr_t)req | TAG_REQUEST);
    req->state = HKI_REQ_READINESS;
}

static bool asked_not_to_wait(const struct hki_ioreq *req)
{
    return req->code >= HKI_IO_RECV && req->code <= HKI_IO_SENDMSG &&
           req->flags & MSG_DONTWAIT;
}

/* The operation's own result, where it is not simply the request's. True: again. */
static bool wants_again(struct hki_ioreq *req, int32_t *result)
{
    switch (*result) {
    case -EINTR:
    case -ECANCELED: /* not by us: no helper thread could be had */ return true;
    case -EAGAIN: return !asked_not_to_wait(req);
    case -EINPROGRESS: req->begun = true; return true;
    case -EALREADY: return req->begun;
    case -EISCONN:
        if (req->begun)
            *result = 0;
        return false;
    default: return false;
    }
}

/* The rare completions: of a stand-in, or with a result that may mean "again". */
static void complete_slowly(struct uring_poller *p, struct hki_ioreq *req,
                            int32_t result)
{
    bool is_stand_in = req->state == HKI_REQ_READINESS;

    if (!is_stand_in && !wants_again(req, &result)) {
        if (req->code == HKI_IO_OPEN)
            result = hki_io_opened(req, result);
        hki_poller_complete(&p->base, req, hki_io_sum(req, result));
    } else if (req->cancelled) {
        hki_poller_complete(&p->base, req, hki_io_sum(req, -ECANCELED));
    } else if (is_stand_in || result == -EINTR) {
        queue_operation(p, req);
    } else if (req->fd_flags & HKI_FD_FILE || req->code >= HKI_IO_FSYNC) {
        /* A file opened with O_NONBLOCK: it is "ready", and yet would block. */
        if (hki_poller_offload(&p->base, req))
            hki_poller_complete(&p->base, req, req->result);
    } else {
        queue_stand_in(p, req);
    }
}

static inline bool is_plain(const struct hki_ioreq *req, int32_t result)
{
    return req->state == HKI_REQ_KERNEL && req->moved_bytes == 0 &&
           req->code != HKI_IO_OPEN &&
           (result >= 0 ||
            (result != -EAGAIN && result != -EINTR && result != -ECANCELED &&
             result != -EINPROGRESS && !req->begun));
}

static void take_completion(struct uring_poller *p, const struct io_uring_cqe *cqe)
{
    unsigned tag = cqe->user_data & TAG_MASK;
    struct hki_ioreq *req;

    if (HKI_UNLIKELY(tag != TAG_REQUEST)) {
        if (tag == TAG_WAKE && !(cqe->flags & IORING_CQE_F_MORE))
            p->is_wake_poll_lost = true;
        else if (tag == TAG_CANCEL && cqe->res < 0)
            cancel_failed(p);
        return;
    }
    req = (struct hki_ioreq *)(uintptr_t)cqe->user_data;
    if (HKI_UNLIKELY(req->cancelled)) /* whatever it says, it is back for good */
        unlist_cancelled(p, req);
    if (HKI_LIKELY(is_plain(req, cqe->res)))
        hki_poller_complete(&p->base, req, cqe->res);
    else
        complete_slowly(p, req, cqe->res);
}

/* Takes every completion that is there. The head moves with each: what follows from one
 * may have to enter the kernel, which wants room. */
static void reap(struct uring_poller *p)
{
    struct io_uring_cq *cq = &p->ring.cq;
    unsigned head = *cq->khead;

    p->is_reaping = true;
    while (head != __atomic_load_n(cq->ktail, __ATOMIC_ACQUIRE)) {
        take_completion(p, &cq->cqes[head & cq->ring_mask]);
        __atomic_store_n(cq->khead, ++head, __ATOMIC_RELEASE);
    }
    p->is_reaping = false;
}

/* A multishot poll: one entry serves many wakes. The eventfd is never read, since every
 * write to it makes a completion, whatever its count. */
static void watch_wake_fd(struct uring_poller *p)
{
    struct io_uring_sqe *sqe = next_sqe(p);

    io_uring_prep_poll_multishot(sqe, p->base.wake_fd, POLLIN);
    io_uring_sqe_set_data64(sqe, TAG_WAKE);
    p->is_wake_poll_lost = false;
}

/* Neither submissions nor completions, nor any that an enter would bring forward. */
static inline bool has_no_work(const struct uring_poller *p)
{
    const unsigned flags = IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW;

    return io_uring_sq_ready(&p->ring) == 0 &&
           !(__atomic_load_n(p->ring.sq.kflags, __ATOMIC_RELAXED) & flags);
}

bool hki_poller_uring_is_quiet(const struct hki_poller *poller)
{
    const struct uring_poller *p = of_const(poller);

    return has_no_work(p) && io_uring_cq_ready(&p->ring) == 0 && !poller->completed &&
           hki_mpsc_is_empty(&poller->done) &&
           __atomic_load_n(&poller->wake_state, __ATOMIC_RELAXED) != HKI_WOKEN;
}

static struct hki_ioreq *uring_wait(struct hki_poller *poller, int64_t timeout_ns)
{
    struct uring_poller *p = of(poller);
    bool may_sleep;

    hki_poller_collect(poller);
    if (HKI_UNLIKELY(p->is_wake_poll_lost))
        watch_wake_fd(p);
    if (HKI_UNLIKELY(p->cancel_again_ns))
        timeout_ns = cancel_again(p, timeout_ns);
    may_sleep = timeout_ns != 0 && !poller->completed && hki_poller_may_sleep(poller);
    if (may_sleep || !has_no_work(p)) {
        int rc = enter(p, may_sleep ? 1 : 0, timeout_ns);

        HKI_ASSERT(rc >= 0 || rc == -EINTR || rc == -ETIME || rc == -EAGAIN ||
                       rc == -EBUSY,
                   "io_uring_enter takes what we have queued");
    }
    hki_poller_awake(poller);
    reap(p);
    hki_poller_collect(poller);
    return hki_poller_take(poller);
}

/* ---- begin and end ---- */

static void uring_fini(struct hki_poller *poller)
{
    struct uring_poller *p = of(poller);

    hki_uring_close(&p->ring);
    hki_poller_base_fini(poller);
    hki_free_kept(p);
}

static int uring_init(struct hki_poller **out)
{
    /* Not counted: a pool may start a thread within a run whose ledger is checked. */
    struct uring_poller *p = hki_alloc_kept(sizeof(*p));
    int rc;

    if (!p)
        return -ENOMEM;
    rc = hki_poller_base_init(&p->base);
    if (rc < 0)
        goto free_poller;
    rc = hki_uring_open(&p->ring, &p->enter_flags);
    if (rc < 0)
        goto close_base;
    rc = hki_uring_probe(&p->ring, &p->pool_codes);
    if (rc < 0)
        goto close_ring;
    p->pool_codes |= 1u << HKI_IO_WORK;
    /* A sandbox may allow the setup and not the enter. */
    watch_wake_fd(p);
    rc = enter(p, 0, 0) == 1 ? 0 : -ENOSYS;
    if (rc < 0)
        goto close_ring;
    *out = &p->base;
    return 0;

close_ring:
    hki_uring_close(&p->ring);
close_base:
    hki_poller_base_fini(&p->base);
free_poller:
    hki_free_kept(p);
    return rc;
}

const struct hki_poller_ops hki_poller_uring = {
    .name = "io_uring",
    .init = uring_init,
    .fini = uring_fini,
    .submit = uring_submit,
    .cancel = uring_cancel,
    .wait = uring_wait,
    .wake = hki_poller_wake,
};
