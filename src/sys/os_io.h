/* SPDX-License-Identifier: MIT */
/*
 * The system calls of the pollers and of the blocking pool. A part of os.h: every
 * function returns >= 0 or a negative errno value. EINTR is retried where a second call
 * means the same as the first; hki_sys_connect and hki_sys_epoll_wait hand it on.
 */
#ifndef HKI_SYS_OS_IO_H
#define HKI_SYS_OS_IO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

struct epoll_event;
struct statx;

/* Offset -1: the file's own position, or a stream. */
int hki_sys_read(int fd, void *buf, size_t len, int64_t offset);
int hki_sys_write(int fd, const void *buf, size_t len, int64_t offset);
int hki_sys_readv(int fd, const struct iovec *iov, size_t count, int64_t offset);
int hki_sys_writev(int fd, const struct iovec *iov, size_t count, int64_t offset);
/* -EAGAIN where the call would block, -EOPNOTSUPP where the kernel cannot tell. */
int hki_sys_readv_nowait(int fd, const struct iovec *iov, size_t count, int64_t offset);
int hki_sys_writev_nowait(int fd, const struct iovec *iov, size_t count,
                          int64_t offset);

/* Non-zero for a regular file or a block device. */
int hki_sys_is_file(int fd);

int hki_sys_recv(int fd, void *buf, size_t len, int flags);
int hki_sys_send(int fd, const void *buf, size_t len, int flags);
int hki_sys_recvmsg(int fd, struct msghdr *msg, int flags);
int hki_sys_sendmsg(int fd, const struct msghdr *msg, int flags);
/* Close-on-exec. */
int hki_sys_accept(int fd, struct sockaddr *addr, socklen_t *addr_len);
int hki_sys_connect(int fd, const struct sockaddr *addr, socklen_t addr_len);
/* SOCK_STREAM, ...; -ENOTSOCK. */
int hki_sys_socket_type(int fd);
/* IPPROTO_TCP, ...; 0 for Unix sockets; -ENOTSOCK. */
int hki_sys_socket_protocol(int fd);

/* The ready events of one descriptor; 0: none in time; -EBADF: it is closed. */
int hki_sys_poll(int fd, unsigned events, int timeout_ms);

int hki_sys_fsync(int fd, int data_only);
/*
 * Opens close-on-exec, and in non-blocking mode, asked for or not: a FIFO or a terminal
 * must not hold the caller. hki_sys_set_status_flags takes the mode away again. The
 * second one opens only when no directory must be read for it and nothing is to be
 * waited for; else some error that says nothing.
 */
int hki_sys_open(int dir, const char *path, unsigned flags, unsigned mode);
int hki_sys_open_cached(int dir, const char *path, unsigned flags);
void hki_sys_set_status_flags(int fd, unsigned flags);
int hki_sys_statx(int dir, const char *path, unsigned flags, unsigned mask,
                  struct statx *out);

int hki_sys_epoll_create(void);
int hki_sys_epoll_ctl(int epoll, int operation, int fd, uint32_t events, uint64_t data);
/* timeout_ns < 0: for ever. Never returns early for the sake of rounding. */
int hki_sys_epoll_wait(int epoll, struct epoll_event *events, int count,
                       int64_t timeout_ns);

#endif
