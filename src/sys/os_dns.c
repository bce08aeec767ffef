/* SPDX-License-Identifier: MIT */
/* errno is read, and for c-ares set, here; see os.h. */
#include "sys/os_dns.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { READY_MAX = 16 };

int hki_os_set_new(void)
{
    int set = epoll_create1(EPOLL_CLOEXEC);

    return set < 0 ? -errno : set;
}

int hki_os_set_watch(int set, int fd, bool in, bool out)
{
    struct epoll_event event = {
        .events = (in ? EPOLLIN : 0u) | (out ? EPOLLOUT : 0u),
        .data.fd = fd,
    };

    if (!in && !out)
        return epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL) < 0 ? -errno : 0;
    if (epoll_ctl(set, EPOLL_CTL_MOD, fd, &event) == 0)
        return 0;
    if (errno != ENOENT)
        return -errno;
    return epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int hki_os_set_ready(int set, struct hki_os_ready *out, int max)
{
    struct epoll_event events[READY_MAX];
    int count;

    do
        count = epoll_wait(set, events, max < READY_MAX ? max : READY_MAX, 0);
    while (count < 0 && errno == EINTR);
    for (int i = 0; i < count; i++) {
        bool broken = events[i].events & (EPOLLERR | EPOLLHUP);

        out[i] = (struct hki_os_ready){
            .fd = events[i].data.fd,
            .in = broken || (events[i].events & EPOLLIN),
            .out = broken || (events[i].events & EPOLLOUT),
        };
    }
    return count < 0 ? -errno : count;
}

ssize_t hki_os_receive(int fd, void *buf, size_t len, int flags, struct sockaddr *from,
                       unsigned *inout_from_len)
{
    ssize_t rc;

    do
        rc = recvfrom(fd, buf, len, flags, from, inout_from_len);
    while (rc < 0 && errno == EINTR);
    return rc < 0 ? -errno : rc;
}

ssize_t hki_os_send_vector(int fd, const struct iovec *iov, int count)
{
    struct msghdr message = {
        .msg_iov = (struct iovec *)iov,
        .msg_iovlen = (size_t)count,
    };
    ssize_t rc;

    do
        rc = sendmsg(fd, &message, MSG_NOSIGNAL);
    while (rc < 0 && errno == EINTR);
    return rc < 0 ? -errno : rc;
}

int hki_os_fail_as_libc(int error)
{
    errno = -error;
    return -1;
}
