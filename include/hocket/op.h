/* SPDX-License-Identifier: MIT */
/*
 * Handles, and I/O operations that need no task.
 *
 * An hk_fd is an opaque handle with a generation: after its close, the old value gives
 * -EBADF for ever and never hits another file that got the same number. Handles may be
 * shared by all tasks and threads of the process.
 *
 * An hk_op is one operation given to the kernel: prepared by an hk_op_ call,
 * started with a waiter, and completed by one hk_wake of that waiter with the result
 * (>= 0, or negative errno). Between start and wake the operation and its buffers
 * belong to the kernel, cancelled or not. hk_read, hk_accept and all of <hocket/fd.h>,
 * <hocket/net.h>, <hocket/file.h> are a few lines on top.
 */
#ifndef HOCKET_OP_H
#define HOCKET_OP_H

#include <hocket/waiter.h>

struct iovec;
struct msghdr;
struct sockaddr;
struct statx;

HK_BEGIN_DECLS

typedef struct hk_fd {
    uint64_t value; /* 0: none */
} hk_fd;

#ifdef __cplusplus
#define HK_FD_NONE (hk_fd{0})
#else
#define HK_FD_NONE ((hk_fd){0})
#endif

enum {
    /* The descriptor was inherited or is lent: it is never switched to non-blocking,
     * and closing the handle leaves the descriptor open. */
    HK_FD_BORROWED = 1 << 0,
    /* One reader and one writer at a time, more get -EBUSY: byte streams. Without it
     * any number of operations may wait: listeners, datagrams, files. */
    HK_FD_STREAM = 1 << 1,
    /* A socket: recv and send work on it. */
    HK_FD_SOCKET = 1 << 2,
    /* A regular file, directory or block device: never "ready", may block. */
    HK_FD_FILE = 1 << 3,
    /* Not known: the kernel is asked when it first matters, which for positioned reads
     * and writes it never does. Whatever can be opened by a path. */
    HK_FD_ASK = 1 << 4,
};

/*
 * Makes a handle of descriptor `fd`, which then belongs to the handle (unless
 * HK_FD_BORROWED). Never blocks. Any task or thread.
 * Returns: 0; -EBADF (fd < 0); -ENOMEM (the descriptor stays the caller's).
 */
HK_API int hk_fd_adopt(int fd, unsigned flags, hk_fd *out);

/* The descriptor's number, for calls that hocket has not; -EBADF when closed. It stays
 * the handle's: do not close it, and do not let another task close the handle (or pin
 * it). */
HK_API int hk_fd_number(hk_fd fd);

/*
 * The same, and pins it: until hk_fd_unpin the number belongs to this file, since a
 * close waits for that. So a call that races a close hits this file or gets -EBADF,
 * never another file with the same number. Keep it short; pins are counted.
 *
 *     int number = hk_fd_pin(fd);
 *     if (number < 0)
 *         return number;
 *     rc = ioctl(number, ...);
 *     hk_fd_unpin(fd);
 *
 * Blocks:  never.
 * Returns: the number; -EBADF (closed, or closing).
 * Threads: any; who pins a handle must not wait for its close.
 */
HK_API HK_WARN_UNUSED int hk_fd_pin(hk_fd fd);
HK_API void hk_fd_unpin(hk_fd fd);

/*
 * Takes the descriptor out of the handle and gives it back to the caller; the handle is
 * closed. -EBUSY while operations are in flight or it is pinned, -EBADF when closed.
 */
HK_API int hk_fd_release(hk_fd fd);

/*
 * Closes: new calls get -EBADF, operations in flight (on any worker or thread) end with
 * -EBADF or their result, and when the last of them has completed the number is
 * released. Blocks until then; runs shielded, so it always closes.
 * Returns: 0; -EBADF (already closed); or the error of close(2), closed all the same.
 */
HK_API int hk_close(hk_fd fd);

/* One operation. In the caller's storage; fields are private. 256 bytes. */
typedef struct hk_op {
    uint64_t hki_private[32];
} hk_op;

/* Each prepares `op`; pointers are kept until completion. -1 as offset: the file's own
 * position, or a stream. A length over 1 GiB is cut to it. */
HK_API void hk_op_read(hk_op *op, hk_fd fd, void *buf, size_t len, int64_t offset);
HK_API void hk_op_write(hk_op *op, hk_fd fd, const void *buf, size_t len,
                        int64_t offset);
HK_API void hk_op_readv(hk_op *op, hk_fd fd, const struct iovec *iov, unsigned count,
                        int64_t offset);
HK_API void hk_op_writev(hk_op *op, hk_fd fd, const struct iovec *iov, unsigned count,
                         int64_t offset);
/* Flags as recv(2), send(2); MSG_NOSIGNAL is always added to a send. */
HK_API void hk_op_recv(hk_op *op, hk_fd fd, void *buf, size_t len, int flags);
HK_API void hk_op_send(hk_op *op, hk_fd fd, const void *buf, size_t len, int flags);
HK_API void hk_op_recvmsg(hk_op *op, hk_fd fd, struct msghdr *msg, int flags);
HK_API void hk_op_sendmsg(hk_op *op, hk_fd fd, const struct msghdr *msg, int flags);
/* Result: a new descriptor (a plain int, close-on-exec), the caller's. `addr` and
 * `*addr_len` as accept(2), both may be NULL. */
HK_API void hk_op_accept(hk_op *op, hk_fd fd, struct sockaddr *addr,
                         unsigned *addr_len);
HK_API void hk_op_connect(hk_op *op, hk_fd fd, const struct sockaddr *addr,
                          unsigned addr_len);
/* Result: the poll(2) events that are ready, of those in `events`, POLLERR, POLLHUP. */
HK_API void hk_op_poll(hk_op *op, hk_fd fd, unsigned events);
HK_API void hk_op_fsync(hk_op *op, hk_fd fd, bool data_only);
/* Result of open: a new descriptor as with accept. `dir` may be HK_FD_NONE: the working
 * directory. O_CLOEXEC is always added. */
HK_API void hk_op_open(hk_op *op, hk_fd dir, const char *path, int flags,
                       unsigned mode);
/* statx(2) of path, or of the handle itself when path is NULL. */
HK_API void hk_op_statx(hk_op *op, hk_fd dir, const char *path, int flags,
                        unsigned mask, struct statx *out);
/* Runs fn(arg) on a thread of the blocking pool; its result is fn's. For calls that
 * can block and have no operation of their own. */
HK_API void hk_op_work(hk_op *op, int (*fn)(void *arg), void *arg);

/*
 * Starts `op`; on completion wakes `waiter` with the result. It may complete at once,
 * the wake then comes before this call returns.
 *
 * Blocks:  never on a worker. On a plain thread the operation is carried out here,
 *          blocking, honouring the thread's scopes, unless `waiter` is a callback.
 * Returns: 0: started, exactly one wake comes. Else nothing was started and no wake
 *          comes: -EBADF (closed handle), -EBUSY (second reader or writer of a
 *          stream), -ENOMEM.
 * Threads: any; the completion comes on the caller's worker.
 */
HK_API int hk_op_start(hk_op *op, hk_waiter *waiter);

/*
 * Asks the kernel to give up. The wake still comes, with -ECANCELED or with the result
 * if the operation was faster. Twice is the same as once.
 *
 * Blocks:  never.
 * Threads: the worker that started it, before its wake was seen. One that was started
 *          on a plain thread, with a callback: any thread, as long as `op` is there
 *          (after its completion this does nothing).
 */
HK_API void hk_op_cancel(hk_op *op);

/*
 * Start, park and finish in one: what every waiting I/O call does.
 * Cancel:  -ECANCELED means that nothing happened; moved bytes or a new descriptor are
 *          returned even when the cancel came first.
 * Returns: the operation's result, or hk_op_start's error, or -ECANCELED.
 */
HK_API int hk_op_run(hk_op *op);

HK_END_DECLS

#endif
