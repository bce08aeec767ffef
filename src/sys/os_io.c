/* SPDX-License-Identifier: MIT */
/* The system calls of the pollers and of the blocking pool, as functions. */
#include "sys/os_io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* glibc 2.35 and later have it; the number is the same on every CPU since Linux
 * 5.11. */
#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

/* A transfer is at most 2^31 - 4096 bytes in one call, so that int holds it. */
static inline int result(ssize_t rc)
{
    return rc < 0 ? -errno : (int)rc;
}

int hki_sys_read(int fd, void *buf, size_t len, int64_t offset)
{
    return result(TEMP_FAILURE_RETRY(offset < 0 ? read(fd, buf, len)
                                                : pread(fd, buf, len, offset)));
}

int hki_sys_write(int fd, const void *buf, size_t len, int64_t offset)
{
    return result(TEMP_FAILURE_RETRY(offset < 0 ? write(fd, buf, len)
                                                : pwrite(fd, buf, len, offset)));
}

int hki_sys_readv(int fd, const struct iovec *iov, size_t count, int64_t offset)
{
    return result(TEMP_FAILURE_RETRY(preadv2(fd, iov, (int)count, offset, 0)));
}

int hki_sys_writev(int fd, const struct iovec *iov, size_t count, int64_t offset)
{
    return result(TEMP_FAILURE_RETRY(pwritev2(fd, iov, (int)count, offset, 0)));
}

int hki_sys_readv_nowait(int fd, const struct iovec *iov, size_t count, int64_t offset)
{
    return result(TEMP_FAILURE_RETRY(preadv2(fd, iov, (int)count, offset, RWF_NOWAIT)));
}

int hki_sys_writev_nowait(int fd, const struct iovec *iov, size_t count, int64_t offset)
{
    return result(
        TEMP_FAILURE_RETRY(pwritev2(fd, iov, (int)count, offset, RWF_NOWAIT)));
}

int hki_sys_is_file(int fd)
{
    struct stat found;

    return fstat(fd, &found) == 0 && (S_ISREG(found.st_mode) || S_ISBLK(found.st_mode));
}

int hki_sys_recv(int fd, void *buf, size_t len, int flags)
{
    return result(TEMP_FAILURE_RETRY(recv(fd, buf, len, flags)));
}

int hki_sys_send(int fd, const void *buf, size_t len, int flags)
{
    return result(TEMP_FAILURE_RETRY(send(fd, buf, len, flags)));
}

int hki_sys_recvmsg(int fd, struct msghdr *msg, int flags)
{
    return result(TEMP_FAILURE_RETRY(recvmsg(fd, msg, flags)));
}

int hki_sys_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    return result(TEMP_FAILURE_RETRY(sendmsg(fd, msg, flags)));
}

int hki_sys_accept(int fd, struct sockaddr *addr, socklen_t *addr_len)
{
    return result(TEMP_FAILURE_RETRY(accept4(fd, addr, addr_len, SOCK_CLOEXEC)));
}

int hki_sys_connect(int fd, const struct sockaddr *addr, socklen_t addr_len)
{
    return result(connect(fd, addr, addr_len));
}

static int socket_option(int fd, int option)
{
    int value = 0;
    socklen_t len = sizeof(value);

    return getsockopt(fd, SOL_SOCKET, option, &value, &len) < 0 ? -errno : value;
}

int hki_sys_socket_type(int fd)
{
    return socket_option(fd, SO_TYPE);
}

int hki_sys_socket_protocol(int fd)
{
    return socket_option(fd, SO_PROTOCOL);
}

int hki_sys_poll(int fd, unsigned events, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = (short)events};
    int rc = result(TEMP_FAILURE_RETRY(poll(&p, 1, timeout_ms)));

    if (rc <= 0)
        return rc;
    return p.revents & POLLNVAL ? -EBADF : (unsigned short)p.revents;
}

int hki_sys_fsync(int fd, int data_only)
{
    return result(TEMP_FAILURE_RETRY(data_only ? fdatasync(fd) : fsync(fd)));
}

static unsigned open_flags(unsigned flags)
{
    return flags | O_CLOEXEC | (flags & O_PATH ? 0 : O_NONBLOCK);
}

int hki_sys_open(int dir, const char *path, unsigned flags, unsigned mode)
{
    int rc =
        result(TEMP_FAILURE_RETRY(openat(dir, path, (int)open_flags(flags), mode)));

    /* Somebody holds a lease on the file: the kernel waits until it is given up, or for
     * /proc/sys/fs/lease-break-time. */
    if (rc == -EAGAIN)
        rc =
            result(TEMP_FAILURE_RETRY(openat(dir, path, (int)flags | O_CLOEXEC, mode)));
    return rc;
}

int hki_sys_open_cached(int dir, const char *path, unsigned flags)
{
    struct open_how how = {.flags = open_flags(flags), .resolve = RESOLVE_CACHED};

    return result(syscall(SYS_openat2, dir, path, &how, sizeof(how)));
}

void hki_sys_set_status_flags(int fd, unsigned flags)
{
    (void)fcntl(fd, F_SETFL, flags); /* takes only flags away: cannot fail */
}

int hki_sys_statx(int dir, const char *path, unsigned flags, unsigned mask,
                  struct statx *out)
{
    return result(TEMP_FAILURE_RETRY(statx(dir, path, (int)flags, mask, out)));
}

int hki_sys_epoll_create(void)
{
    return result(epoll_create1(EPOLL_CLOEXEC));
}

int hki_sys_epoll_ctl(int epoll, int operation, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event event = {.events = events, .data.u64 = data};

    return result(epoll_ctl(epoll, operation, fd, &event));
}

static int timeout_ms(int64_t timeout_ns)
{
    int64_t ms = (timeout_ns + 999999) / 1000000;

    return ms > INT_MAX ? INT_MAX : (int)ms;
}

int hki_sys_epoll_wait(int epoll, struct epoll_event *events, int count,
                       int64_t timeout_ns)
{
    static bool has_no_pwait2; /* atomic; Linux before 5.11, or a sandbox */
    struct timespec at;
    int rc;

    if (timeout_ns <= 0)
        return result(epoll_wait(epoll, events, count, timeout_ns < 0 ? -1 : 0));
    if (!__atomic_load_n(&has_no_pwait2, __ATOMIC_RELAXED)) {
        at.tv_sec = timeout_ns / 1000000000;
        at.tv_nsec = timeout_ns % 1000000000;
        rc = result(syscall(SYS_epoll_pwait2, epoll, events, count, &at, NULL, 0));
        if (rc != -ENOSYS && rc != -EPERM)
            return rc;
        __atomic_store_n(&has_no_pwait2, true, __ATOMIC_RELAXED);
    }
    return result(epoll_wait(epoll, events, count, timeout_ms(timeout_ns)));
}
