/* SPDX-License-Identifier: MIT */
/*
 * Reading, writing and waiting on handles: pipes, sockets, terminals, files.
 *
 * Every call here is *partial*: it returns the bytes that moved, also when a cancel
 * came meanwhile, and the next call is cancelled; -ECANCELED means none moved. Those
 * that go on until all is done (hk_read_exactly, hk_write_all, hk_printf) may be
 * stopped in between by a cancel or an error; the first two say how far they came. All
 * work the same in a task (which parks) and on a plain thread (which blocks).
 * Errors common to all: -EBADF (closed handle), -EBUSY (another task is already
 * reading, or writing, this stream), -ECANCELED, and what the kernel says (-EPIPE,
 * -ECONNRESET, ...). SIGPIPE is never raised, -EINTR never returned.
 */
#ifndef HOCKET_FD_H
#define HOCKET_FD_H

#include <hocket/op.h>

HK_BEGIN_DECLS

/* Reads up to `len` bytes: > 0 bytes, 0 at the end. From a stream, or a file's own
 * position. */
HK_API HK_WARN_UNUSED ssize_t hk_read(hk_fd fd, void *buf, size_t len);

/* Writes up to `len` bytes: the bytes written, maybe fewer. */
HK_API HK_WARN_UNUSED ssize_t hk_write(hk_fd fd, const void *buf, size_t len);

/* The same with several buffers; -EINVAL: more than 1024. */
HK_API HK_WARN_UNUSED ssize_t hk_readv(hk_fd fd, const struct iovec *iov,
                                       unsigned count);
HK_API HK_WARN_UNUSED ssize_t hk_writev(hk_fd fd, const struct iovec *iov,
                                        unsigned count);

/*
 * Reads exactly `len` bytes. Returns 0; -ENODATA when the end came before the first
 * byte, -EPROTO when it came after some; else an error. `*out_done` (may be NULL) is
 * set to the bytes that were read, whatever is returned.
 */
HK_API HK_WARN_UNUSED int hk_read_exactly(hk_fd fd, void *buf, size_t len,
                                          size_t *out_done);

/*
 * Writes all `len` bytes. Returns 0 or the error that stopped it; `*out_done` (may be
 * NULL) is set to the bytes that were written, whatever is returned.
 */
HK_API HK_WARN_UNUSED int hk_write_all(hk_fd fd, const void *buf, size_t len,
                                       size_t *out_done);

/*
 * Waits until foreign descriptor `fd` (an int of another library, not a handle) is
 * ready for `events` (POLLIN, POLLOUT, POLLPRI of poll(2)); level-triggered, nothing is
 * read. Returns the ready events, with POLLERR and POLLHUP; -EBADF, -ECANCELED, ...
 * Regular files are always ready. Any number of tasks may wait for one `fd`. Do not
 * close it during the wait.
 */
HK_API HK_WARN_UNUSED int hk_wait_fd(int fd, unsigned events);

/*
 * The process's standard streams: borrowed, never switched to non-blocking; what they
 * are (terminal, pipe, file) is seen at the first use. One task at a time reads
 * standard input; any number may write to the others, and a hk_printf stays together
 * unless the kernel takes it in pieces. Of a stream that the process was started
 * without: a handle with which every call gives -EBADF. Never blocks.
 */
HK_API hk_fd hk_stdin(void);
HK_API hk_fd hk_stdout(void);
HK_API hk_fd hk_stderr(void);

/*
 * A pipe: out[0] is the reading end, out[1] the writing end; both close-on-exec.
 * Returns 0, -EMFILE, -ENFILE, -ENOMEM; on failure `out` is untouched. Never blocks.
 */
HK_API int hk_pipe(hk_fd out[2]);

/* printf to a handle, for small outputs (it is formatted in memory first). Returns the
 * bytes written, which is all of them; -EINVAL (format), -ENOMEM, or the error that
 * stopped it: a part may be written then. */
HK_API ssize_t hk_printf(hk_fd fd, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

HK_END_DECLS

#endif
