/* SPDX-License-Identifier: MIT */
/*
 * The inside of hk_op. An operation is in flight from hk_op_start to its completion; it
 * hangs in its handle's list (so that close finds it) and in its worker's (so that
 * the dump does).
 */
#ifndef HKI_CORE_IOOP_H
#define HKI_CORE_IOOP_H

#include "core/handle.h"
#include "sys/ioreq.h"

struct hki_worker;
struct hki_thread;

enum hki_op_flags {
    HKI_OP_READS = 1 << 0,   /* occupies the reading side of a stream */
    HKI_OP_WRITES = 1 << 1,  /* the writing side */
    HKI_OP_CLOSED = 1 << 2,  /* given up by hk_close: -ECANCELED becomes -EBADF */
    HKI_OP_MESSAGE = 1 << 3, /* `message` is on its way; guarded by the handle's lock */
    HKI_OP_DONE = 1 << 4,    /* completed, but the message must arrive first */
    HKI_OP_CANCELLED = 1 << 5,
    /* A plain thread has started it and may cancel it: MESSAGE, DONE, CLOSED and
     * CANCELLED change by atomic operations alone, with the handle's lock or without.
     * DONE is set at completion in any case: then no message is sent any more. */
    HKI_OP_FAR = 1 << 6,
};

struct hki_op {
    struct hki_ioreq req;
    hk_fd fd;                  /* value 0: no handle */
    struct hki_handle *handle; /* NULL: none */
    hk_waiter *waiter;
    struct hki_worker *worker;   /* whose poller has it; NULL: a plain thread's */
    struct hki_thread *thread;   /* that carries it out itself */
    struct hki_op *next, **link; /* in handle->ops */
    struct hki_op *worker_next, **worker_link; /* in worker->ops */
    hk_inbox_node message;
    int32_t fault;  /* for a torture: what -ECANCELED becomes; 0: nothing */
    uint32_t flags; /* hki_op_flags; atomic, and but for CANCELLED and those of FAR
                     * operations guarded by the handle's lock */
};

_Static_assert(sizeof(struct hki_op) <= sizeof(hk_op), "hk_op has room");

static inline struct hki_op *hki_op_of(hk_op *op)
{
    return (struct hki_op *)(void *)op;
}

/* Others mark it meanwhile. */
static inline uint32_t hki_op_flags_of(const struct hki_op *op)
{
    return __atomic_load_n(&op->flags, __ATOMIC_ACQUIRE);
}

/* Carries out one that has entered its handle, on the calling plain thread; the result
 * of the request. */
int hki_op_perform(struct hki_thread *thread, struct hki_op *op);

/* A request came back from the worker's poller. */
void hki_op_completed(struct hki_worker *worker, struct hki_ioreq *req);

/*
 * For a torture: the operation that the parked waiter waits for, NULL if it waits for
 * something else. And gives an operation up in such a way that it ends with `error`,
 * unless it completes first. On its worker.
 */
struct hki_op *hki_op_waited_for(const hk_waiter *waiter);
void hki_op_fail_here(struct hki_op *op, int error);

/* The worker ends: gives up what callback waiters left in flight, and waits for it. */
void hki_op_end_all(struct hki_worker *worker);

/* Gives an operation up from anywhere, for hk_close. With its handle's lock. */
void hki_op_close_locked(struct hki_op *op);

/* "receive from descriptor 7" */
void hki_op_describe(const void *op, char *text, size_t size);

#endif
