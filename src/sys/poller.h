/* SPDX-License-Identifier: MIT */
/*
 * The seam between hocket and the kernel: six functions. It is completion-shaped: a
 * request goes in, and comes back exactly once with its result. io_uring is that by
 * nature, epoll emulates it (readiness, then the call). Timers, fairness, handles and
 * statistics live above; an implementation keeps to these rules:
 *
 *  - all functions but `wake` are called by the owning thread only;
 *  - every submitted request comes back exactly once, cancelled or not; its memory and
 *    buffers are untouched after it has;
 *  - no -EINTR, -EAGAIN (for a stream or listener) or -ERESTART ever is a result;
 *    an inherited non-blocking descriptor makes the request wait for readiness;
 *  - a cancelled request comes back with -ECANCELED, or with its result when that was
 *    faster: bytes that moved and descriptors that were accepted are never dropped;
 *  - SIGPIPE is not raised: sends carry MSG_NOSIGNAL, and core ignores the signal.
 *
 * Requests that no backend can carry out itself (HKI_IO_WORK; on epoll every regular
 * file) run on the blocking pool of sys/offload.h, which hands them back through the
 * poller's own thread-safe `done` list.
 */
#ifndef HKI_SYS_POLLER_H
#define HKI_SYS_POLLER_H

#include "sys/ioreq.h"

struct hki_poller;

struct hki_poller_ops {
    const char *name; /* "io_uring", "epoll" */

    /* 0, -ENOSYS (not allowed here), -ENOMEM, -EMFILE. */
    int (*init)(struct hki_poller **out);
    /* Every request has come back before. */
    void (*fini)(struct hki_poller *poller);

    /*
     * Takes the request. Returns true when it has completed at once: `result` is set
     * and it will not come back through wait. Otherwise it comes back by wait. It never
     * fails: an error is a result.
     */
    bool (*submit)(struct hki_poller *poller, struct hki_ioreq *req);

    /* Asks to give a submitted request up. Harmless when it has completed. */
    void (*cancel)(struct hki_poller *poller, struct hki_ioreq *req);

    /*
     * Gives what was submitted to the kernel, waits up to `timeout_ns` (0: only looks;
     * negative: for ever) for a completion or a wake, and returns the completed
     * requests linked by `next` (NULL: none). May return early without reason.
     */
    struct hki_ioreq *(*wait)(struct hki_poller *poller, int64_t timeout_ns);

    /* Makes the current or next wait return soon. Any thread; async-signal-safe. */
    void (*wake)(struct hki_poller *poller);
};

extern const struct hki_poller_ops hki_poller_uring;
extern const struct hki_poller_ops hki_poller_epoll;

/*
 * True when a wait with timeout 0 would find nothing and there is nothing to submit: a
 * cheap look that saves the system call. May say false without reason.
 */
bool hki_poller_uring_is_quiet(const struct hki_poller *poller);

/* Carries out a request right here, blocking; for plain threads and the pool.
 * -EAGAIN is possible for a non-blocking descriptor. EINTR is retried. `begun` and
 * `moved_bytes` must be zero the first time. */
int hki_io_perform(struct hki_ioreq *req);

/* The same, but never blocking on a socket, pipe or listener: -EAGAIN when it would
 * (sockets: MSG_DONTWAIT; others: the descriptor was made non-blocking before, or was
 * reported ready). A connect is begun by the first attempt, and found out about by the
 * next ones. */
int hki_io_attempt(struct hki_ioreq *req);

/*
 * The same for a descriptor in blocking mode (lent to us) that is no socket and was
 * reported ready: a call that does not block even if another process was faster, or if
 * there is less room than the request has bytes. -EAGAIN: wait again; a regular file is
 * always ready and says so too, it must be performed. An accept may block all the same:
 * there is no call for it.
 */
int hki_io_attempt_ready(struct hki_ioreq *req);

#endif
