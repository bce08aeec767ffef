/* SPDX-License-Identifier: MIT */
/*
 * A raw epoll echo server: one recv and one send per request, one epoll_wait per batch.
 *
 * Edge-triggered: the kernel takes a socket off its ready list when it reports it,
 * where level-triggered it would poll it once more. A short read proves the socket
 * empty, so no second recv has to fail with EAGAIN.
 */
#include "../peers/bench.h"
#include "floor.h"
#include <sys/epoll.h>
#include <sys/socket.h>

#define BUFFER_BYTES 16384
#define EVENTS 256

static char buffer[BUFFER_BYTES];

/* Blocks when the client does not read: a floor has no per-connection output queue. */
static int send_all(int fd, size_t len)
{
    size_t sent = 0;

    while (sent < len) {
        ssize_t n = send(fd, buffer + sent, len - sent, MSG_NOSIGNAL);
        if (n < 0)
            return -1;
        sent += (size_t)n;
    }
    return 0;
}

static void serve(int fd)
{
    ssize_t n;

    do {
        n = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0 || send_all(fd, (size_t)n)) {
            close(fd);
            return;
        }
    } while (n == (ssize_t)sizeof buffer);
}

static void watch(int epoll, int fd, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.fd = fd};

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e))
        bench_die("epoll_ctl");
}

void floor_echo_epoll(int listener)
{
    struct epoll_event events[EVENTS];
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    if (epoll < 0)
        bench_die("epoll_create1");
    watch(epoll, listener, EPOLLIN);
    watch(epoll, 0, EPOLLIN);
    for (;;) {
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == 0)
                return; /* the harness closed our stdin */
            if (fd == listener) {
                fd = accept4(listener, 0, 0, SOCK_CLOEXEC);
                if (fd >= 0)
                    watch(epoll, fd, EPOLLIN | EPOLLET);
            } else {
                serve(fd);
            }
        }
    }
}
