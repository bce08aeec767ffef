/* SPDX-License-Identifier: MIT */
/*
 * The everyday calls on handles. Each is one operation, or a loop of operations that
 * counts what has moved, so that an error or a cancel in the middle loses no byte.
 */
#include <hocket/fd.h>

#include "base/alloc.h"
#include "io/handle.h"
#include "sys/os.h"
#include "sys/os_net.h"

#include <hocket/scope.h>

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

ssize_t hk_read(hk_fd fd, void *buf, size_t len)
{
    hk_op op;

    hk_op_read(&op, fd, buf, len, -1);
    return hk_op_run(&op);
}

ssize_t hk_write(hk_fd fd, const void *buf, size_t len)
{
    hk_op op;

    hk_op_write(&op, fd, buf, len, -1);
    return hk_op_run(&op);
}

ssize_t hk_readv(hk_fd fd, const struct iovec *iov, unsigned count)
{
    hk_op op;

    if (count > IOV_MAX)
        return -EINVAL;
    hk_op_readv(&op, fd, iov, count, -1);
    return hk_op_run(&op);
}

ssize_t hk_writev(hk_fd fd, const struct iovec *iov, unsigned count)
{
    hk_op op;

    if (count > IOV_MAX)
        return -EINVAL;
    hk_op_writev(&op, fd, iov, count, -1);
    return hk_op_run(&op);
}

int hk_read_exactly(hk_fd fd, void *buf, size_t len, size_t *out_done)
{
    char *at = buf;
    size_t done = 0;
    int rc = hk_cancelled();

    while (rc == 0 && done < len) {
        ssize_t n = hk_read(fd, at + done, len - done);

        if (n > 0)
            done += (size_t)n;
        else if (n == 0)
            rc = done > 0 ? -EPROTO : -ENODATA;
        else
            rc = (int)n;
    }
    if (out_done)
        *out_done = done;
    return rc;
}

int hk_write_all(hk_fd fd, const void *buf, size_t len, size_t *out_done)
{
    const char *at = buf;
    size_t done = 0;
    int rc = hk_cancelled();

    while (rc == 0 && done < len) {
        ssize_t n = hk_write(fd, at + done, len - done);

        if (n > 0)
            done += (size_t)n;
        else
            rc = n < 0 ? (int)n : -EIO; /* a device that takes nothing, and says so */
    }
    if (out_done)
        *out_done = done;
    return rc;
}

int hk_wait_fd(int fd, unsigned events)
{
    hk_op op;
    hk_fd handle;
    int rc = hk_fd_adopt(fd, HK_FD_BORROWED, &handle);

    if (rc < 0)
        return rc;
    hk_op_poll(&op, handle, events);
    rc = hk_op_run(&op);
    (void)hk_fd_release(handle); /* ours alone, and its one operation has completed */
    return rc;
}

/* ---- standard streams ---- */

static hk_lock standard_lock;
static hk_fd standard[3]; /* guarded by standard_lock */

/*
 * Adopted at first use, and again when somebody closed the handle. Standard input is a
 * stream: bytes torn between two readers help nobody. Output and errors are not, since
 * any task may have something to say.
 */
static hk_fd standard_stream(int number)
{
    hk_fd fd;

    hk_lock_acquire(&standard_lock);
    if (hk_fd_number(standard[number]) != number) {
        int kind = hki_handle_kind(number, NULL);

        if (kind >= 0 && number != STDIN_FILENO)
            kind &= ~HK_FD_STREAM;
        standard[number] = HK_FD_NONE;
        /* A closed descriptor, or no memory: calls on the empty handle give -EBADF. */
        if (kind >= 0)
            (void)hk_fd_adopt(number, (unsigned)kind | HK_FD_BORROWED,
                              &standard[number]);
    }
    fd = standard[number];
    hk_lock_release(&standard_lock);
    return fd;
}

hk_fd hk_stdin(void)
{
    return standard_stream(STDIN_FILENO);
}

hk_fd hk_stdout(void)
{
    return standard_stream(STDOUT_FILENO);
}

hk_fd hk_stderr(void)
{
    return standard_stream(STDERR_FILENO);
}

int hk_pipe(hk_fd out[2])
{
    int fds[2];
    int rc = hki_os_pipe(fds);

    return rc < 0 ? rc : hki_handle_adopt_pair(fds, HK_FD_STREAM, out);
}

/* ---- hk_printf ---- */

static ssize_t print_long(hk_fd fd, size_t len, const char *format, va_list args)
{
    char *text = hki_realloc(NULL, len + 1);
    int rc;

    if (!text)
        return -ENOMEM;
    vsnprintf(text, len + 1, format, args);
    rc = hk_write_all(fd, text, len, NULL);
    hki_free(text);
    return rc < 0 ? rc : (ssize_t)len;
}

ssize_t hk_printf(hk_fd fd, const char *format, ...)
{
    char text[512];
    va_list args;
    ssize_t rc;
    int len;

    va_start(args, format);
    len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (len < 0)
        return -EINVAL;
    if ((size_t)len < sizeof(text)) {
        rc = hk_write_all(fd, text, (size_t)len, NULL);
        return rc < 0 ? rc : len;
    }
    va_start(args, format);
    rc = print_long(fd, (size_t)len, format, args);
    va_end(args);
    return rc;
}
