/* SPDX-License-Identifier: MIT */
/*
 * Operations: started, cancelled, completed. On a worker the request goes to its
 * poller; a plain thread carries it out itself (core/op_perform.c).
 */
#include "core/ioop.h"

#include "base/alloc.h"
#include "base/list.h"
#include "core/runtime.h"
#include "core/scope.h"
#include "core/thread.h"
#include "core/wait.h"

#include <hocket/testing.h>

static const hk_wait_kind io_kind = {
    .name = "I/O", .describe = hki_op_describe, .external = true};

/* ---- the handle's side ---- */

static uint32_t stream_side(enum hki_io_code code)
{
    switch (code) {
    case HKI_IO_READ:
    case HKI_IO_READV:
    case HKI_IO_RECV:
    case HKI_IO_RECVMSG: return HKI_OP_READS;
    case HKI_IO_WRITE:
    case HKI_IO_WRITEV:
    case HKI_IO_SEND:
    case HKI_IO_SENDMSG: return HKI_OP_WRITES;
    default: return 0;
    }
}

/* A handle that does not know yet what it is: true when this operation must know. */
static bool must_ask(const struct hki_handle *handle, const struct hki_op *op)
{
    bool positioned = op->req.code <= HKI_IO_WRITEV && op->req.offset >= 0;

    return (handle->flags & HK_FD_ASK) && !positioned && op->req.code < HKI_IO_FSYNC;
}

static uint8_t request_flags(const struct hki_handle *handle)
{
    return (uint8_t)((handle->flags & HK_FD_BORROWED ? HKI_FD_BORROWED : 0) |
                     (handle->flags & HK_FD_SOCKET ? HKI_FD_SOCKET : 0) |
                     ((handle->flags & (HK_FD_SOCKET | HK_FD_STREAM)) == HK_FD_SOCKET
                          ? HKI_FD_DATAGRAM
                          : 0) |
                     (handle->flags & (HK_FD_FILE | HK_FD_ASK) ? HKI_FD_FILE : 0) |
                     (handle->nonblocking ? HKI_FD_NONBLOCK : 0));
}

/* Hangs the operation on its handle: 0, -EBADF or -EBUSY. */
static int enter_handle(struct hki_op *op)
{
    struct hki_handle *handle = hki_handle_at(op->fd);
    int rc = 0;

    if (!handle)
        return -EBADF;
    hki_lock_acquire(&handle->lock);
    if (must_ask(handle, op))
        hki_handle_ask(handle);
    if (!hki_handle_is(handle, op->fd) || handle->closing) {
        rc = -EBADF;
    } else if ((handle->flags & HK_FD_STREAM) &&
               (((op->flags & HKI_OP_READS) && handle->reading) ||
                ((op->flags & HKI_OP_WRITES) && handle->writing))) {
        rc = -EBUSY;
    } else {
        handle->reading |= (op->flags & HKI_OP_READS) != 0;
        handle->writing |= (op->flags & HKI_OP_WRITES) != 0;
        op->handle = handle;
        op->req.fd = handle->fd;
        op->req.fd_flags = request_flags(handle);
        op->req.fd_slot = handle->slot;
        op->req.fd_generation = handle->generation;
        op->next = handle->ops;
        op->link = &handle->ops;
        if (op->next)
            op->next->link = &op->next;
        handle->ops = op;
    }
    hki_lock_release(&handle->lock);
    return rc;
}

/*
 * Takes it off the handle again; the closer is woken after the last. Returns true when
 * the operation must not be finished yet, since a message to it is on its way.
 */
static bool leave_handle(struct hki_op *op)
{
    struct hki_handle *handle = op->handle;
    bool far = hki_op_flags_of(op) & HKI_OP_FAR;
    hk_waiter *closer;

    if (HKI_UNLIKELY(far) &&
        (__atomic_fetch_or(&op->flags, HKI_OP_DONE, __ATOMIC_ACQ_REL) & HKI_OP_MESSAGE))
        return true;
    if (!handle)
        return false;
    hki_lock_acquire(&handle->lock);
    if (!far && (hki_op_flags_of(op) & HKI_OP_MESSAGE)) {
        __atomic_or_fetch(&op->flags, HKI_OP_DONE, __ATOMIC_RELAXED);
        hki_lock_release(&handle->lock);
        return true;
    }
    *op->link = op->next;
    if (op->next)
        op->next->link = op->link;
    if (hki_op_flags_of(op) & HKI_OP_READS)
        handle->reading = false;
    if (hki_op_flags_of(op) & HKI_OP_WRITES)
        handle->writing = false;
    if (op->req.fd_flags & HKI_FD_NONBLOCK)
        handle->nonblocking = true;
    closer = hki_handle_take_closer(handle);
    hki_lock_release(&handle->lock);
    if (closer)
        hk_wake(closer, 0);
    return false;
}

static int result_of(const struct hki_op *op)
{
    int result = op->req.result;

    if (result != -ECANCELED)
        return result;
    if (HKI_UNLIKELY(op->fault))
        return op->fault;
    return hki_op_flags_of(op) & HKI_OP_CLOSED ? -EBADF : result;
}

/* ---- completion ---- */

static void unlink_from_worker(struct hki_worker *worker, struct hki_op *op)
{
    *op->worker_link = op->worker_next;
    if (op->worker_next)
        op->worker_next->worker_link = op->worker_link;
    HKI_COUNT(worker->ops_in_flight, -UINT64_C(1));
}

void hki_op_completed(struct hki_worker *worker, struct hki_ioreq *req)
{
    struct hki_op *op = hki_container_of(req, struct hki_op, req);
    hk_waiter *waiter = op->waiter;
    int result;

    unlink_from_worker(worker, op);
    if (HKI_UNLIKELY(leave_handle(op)))
        return;
    result = result_of(op);
    hk_wake(waiter, result); /* op may be gone after this */
}

/* ---- giving it up from elsewhere ---- */

/* The message has come. Returns what the flags were. */
static uint32_t clear_message(struct hki_op *op)
{
    bool locks = op->handle && !(hki_op_flags_of(op) & HKI_OP_FAR);
    uint32_t flags;

    if (locks)
        hki_lock_acquire(&op->handle->lock);
    flags = __atomic_fetch_and(&op->flags, ~(uint32_t)HKI_OP_MESSAGE, __ATOMIC_ACQ_REL);
    if (locks)
        hki_lock_release(&op->handle->lock);
    return flags;
}

static void give_up_message(hk_inbox_node *node, struct hki_worker *worker)
{
    struct hki_op *op = hki_container_of(node, struct hki_op, message);

    if (!(clear_message(op) & HKI_OP_DONE)) {
        worker->poller_ops->cancel(worker->poller, &op->req);
    } else {
        hk_waiter *waiter = op->waiter;

        (void)leave_handle(op);
        hk_wake(waiter, result_of(op));
    }
}

static void post_give_up(struct hki_op *op)
{
    op->message.hki_run = give_up_message;
    hki_worker_post(op->worker, &op->message);
}

/*
 * Marks a FAR operation with `why` and tells its worker, unless it is done or told. One
 * that has not arrived at its worker is only marked: start_message looks.
 */
static void give_up_far(struct hki_op *op, uint32_t why)
{
    uint32_t flags = hki_op_flags_of(op), marked;

    do {
        if (flags & HKI_OP_DONE)
            return;
        marked = flags | why;
        if (!(flags & (HKI_OP_CANCELLED | HKI_OP_CLOSED)))
            marked |= HKI_OP_MESSAGE;
    } while (!__atomic_compare_exchange_n(&op->flags, &flags, marked, true,
                                          __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
    if ((marked & HKI_OP_MESSAGE) && !(flags & HKI_OP_MESSAGE))
        post_give_up(op);
}

void hki_op_close_locked(struct hki_op *op)
{
    uint32_t flags;

    if (hki_op_flags_of(op) & HKI_OP_FAR) {
        give_up_far(op, HKI_OP_CLOSED);
        return;
    }
    flags = __atomic_or_fetch(&op->flags, HKI_OP_CLOSED, __ATOMIC_ACQ_REL);
    if (op->thread) {
        hki_thread_kick(op->thread);
    } else if (flags & HKI_OP_MESSAGE) {
        return; /* it is told already */
    } else if (op->worker == hki_worker_current) {
        op->worker->poller_ops->cancel(op->worker->poller, &op->req);
    } else {
        __atomic_or_fetch(&op->flags, HKI_OP_MESSAGE, __ATOMIC_RELAXED);
        post_give_up(op);
    }
}

/* ---- starting on a worker ---- */

/* True: it has completed at once, and req.result is final. */
static bool submit(struct hki_worker *worker, struct hki_op *op)
{
    bool done;

    op->worker_next = worker->ops;
    op->worker_link = &worker->ops;
    if (worker->ops)
        worker->ops->worker_link = &op->worker_next;
    worker->ops = op;
    HKI_COUNT(worker->ops_in_flight, 1);
    HKI_COUNT(worker->ops_started, 1);
    HKI_HB_RELEASE(&op->req); /* the buffer, as the task has left it */
    done = worker->poller_ops->submit(worker->poller, &op->req);
    if (done)
        unlink_from_worker(worker, op);
    return done && !leave_handle(op);
}

/* What every start begins with: faults, and the handle. Whoever closes the handle from
 * now on finds out here whom to tell. */
static int begin(struct hki_op *op, struct hki_worker *worker,
                 struct hki_thread *thread)
{
    int fault = hki_fault(HK_FAULT_IO);

    op->flags |= stream_side(op->req.code);
    op->fault = 0;
    op->handle = NULL;
    op->worker = worker;
    op->thread = thread;
    if (HKI_UNLIKELY(fault))
        return fault;
    return op->fd.value ? enter_handle(op) : 0;
}

/* Blocks the calling thread until the operation is through. */
static int perform(struct hki_thread *thread, struct hki_op *op)
{
    op->req.result = hki_op_perform(thread, op);
    (void)leave_handle(op);
    return result_of(op);
}

/* ---- the public calls ---- */

static void start_message(hk_inbox_node *node, struct hki_worker *worker)
{
    struct hki_op *op = hki_container_of(node, struct hki_op, message);
    uint32_t flags = clear_message(op);

    HKI_HB_ACQUIRE(&op->message); /* the descriptor, as its thread has made it */
    if (flags & (HKI_OP_CLOSED | HKI_OP_CANCELLED)) {
        hk_waiter *waiter = op->waiter;

        (void)leave_handle(op); /* nobody sends it a second message */
        hk_wake(waiter, flags & HKI_OP_CLOSED ? -EBADF : -ECANCELED);
    } else if (submit(worker, op)) {
        hk_wake(op->waiter, result_of(op));
    }
}

/* A plain thread starts an operation that shall call back: on the callback's worker. */
static int start_far(struct hki_op *op)
{
    int rc;

    op->flags = HKI_OP_MESSAGE | HKI_OP_FAR;
    op->message.hki_run = start_message;
    rc = begin(op, op->waiter->hki_target, NULL);
    if (rc == 0) {
        HKI_HB_RELEASE(&op->message);
        hki_worker_post(op->worker, &op->message);
    }
    return rc;
}

static int start_here(struct hki_op *op, struct hki_worker *worker)
{
    int rc = begin(op, worker, NULL);

    if (rc == 0 && submit(worker, op))
        hk_wake(op->waiter, result_of(op));
    return rc;
}

int hk_op_start(hk_op *public_op, hk_waiter *waiter)
{
    struct hki_op *op = hki_op_of(public_op);
    struct hki_thread *thread;
    int rc;

    op->waiter = waiter;
    op->flags = 0;
    HKI_HB_RELEASE(waiter); /* what the starter did is seen by the callback */
    if (hki_worker_current)
        return start_here(op, hki_worker_current);
    if (waiter->hki_state & HKI_WAIT_CALLBACK)
        return start_far(op);
    thread = hki_thread_of(hki_self());
    rc = begin(op, NULL, thread);
    if (rc == 0)
        hk_wake(waiter, perform(thread, op));
    return rc;
}

void hk_op_cancel(hk_op *public_op)
{
    struct hki_op *op = hki_op_of(public_op);

    if (!op->worker || (hki_op_flags_of(op) & (HKI_OP_CANCELLED | HKI_OP_CLOSED)))
        return;
    if (hki_op_flags_of(op) & HKI_OP_FAR) {
        give_up_far(op, HKI_OP_CANCELLED);
        return;
    }
    if (HKI_UNLIKELY(op->worker != hki_worker_current))
        hki_panic("hk_op_cancel on another worker than the operation's");
    __atomic_or_fetch(&op->flags, HKI_OP_CANCELLED, __ATOMIC_RELAXED);
    op->worker->poller_ops->cancel(op->worker->poller, &op->req);
}

static hk_verdict io_abort(hk_waiter *w)
{
    hk_op_cancel(w->data);
    return HK_PENDING; /* the buffer is ours again only after the kernel's answer */
}

struct hki_op *hki_op_waited_for(const hk_waiter *waiter)
{
    return waiter->kind == &io_kind ? waiter->data : NULL;
}

void hki_op_fail_here(struct hki_op *op, int error)
{
    op->fault = error;
    op->worker->poller_ops->cancel(op->worker->poller, &op->req);
}

static int run_on_worker(struct hki_self *self, struct hki_op *op)
{
    hk_waiter w;
    int rc;

    if (submit(self->worker, op)) {
        hki_spend(self);
        return result_of(op);
    }
    hk_waiter_init(&w, &io_kind, op);
    w.data = op;
    op->waiter = &w;
    rc = hk_park(&w, io_abort);
    if (HKI_UNLIKELY(rc == -ECANCELED) && (self->attention & HKI_CANCELLED))
        hki_cancel_delivered(self);
    return rc;
}

int hk_op_run(hk_op *public_op)
{
    struct hki_op *op = hki_op_of(public_op);
    struct hki_self *self = hki_self();
    int rc = hki_enter(self);

    if (HKI_UNLIKELY(rc < 0))
        return rc;
    op->flags = 0;
    if (HKI_UNLIKELY(self->kind == HKI_SELF_THREAD)) {
        rc = begin(op, NULL, hki_thread_of(self));
        return rc < 0 ? rc : perform(hki_thread_of(self), op);
    }
    rc = begin(op, self->worker, NULL);
    return HKI_UNLIKELY(rc < 0) ? rc : run_on_worker(self, op);
}

void hki_op_end_all(struct hki_worker *worker)
{
    for (struct hki_op *op = worker->ops; op; op = op->worker_next)
        worker->poller_ops->cancel(worker->poller, &op->req);
    while (worker->ops_in_flight) {
        struct hki_ioreq *req = worker->poller_ops->wait(worker->poller, -1);

        while (req) {
            struct hki_ioreq *next = req->next;

            hki_op_completed(worker, req);
            req = next;
        }
    }
}
