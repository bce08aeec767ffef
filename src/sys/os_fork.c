/* SPDX-License-Identifier: MIT */
/* errno is read here; see os.h. */
#include "sys/os_fork.h"

#include "sys/os.h"
#include "sys/os_proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { STDIO_COUNT = 3 };

pid_t hki_os_fork(void)
{
    pid_t pid;

    (void)fflush(NULL); /* what cannot be written now is the program's trouble */
    pid = fork();
    return pid < 0 ? -errno : pid;
}

/* ---- the child ---- */

/* As execve does it; SIGCHLD even if it was ignored, for the ends of children are asked
 * for. */
static void reset_signals(void)
{
    const struct sigaction standard = {.sa_handler = SIG_DFL};
    struct sigaction now;

    for (int signo = 1; signo <= SIGRTMAX; signo++)
        if (sigaction(signo, NULL, &now) == 0 &&
            (now.sa_handler != SIG_IGN || signo == SIGCHLD))
            (void)sigaction(signo, &standard, NULL); /* not those that nobody may */
}

static int empty_input(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (fd < 0 || dup2(fd, STDIN_FILENO) < 0)
        return -errno;
    if (fd >= STDIO_COUNT) /* else one of the three was missing, and is not now */
        close(fd);
    __fpurge(stdin);
    return 0;
}

/* Exit handlers run in the order opposite to that of their registration: those that the
 * child adds, this one, and none of its parent's. */
static void leave(int status, void *unused)
{
    (void)unused;
    (void)fflush(NULL);
    _exit(status);
}

int hki_os_start_afresh(void)
{
    int rc;

    reset_signals();
    hki_os_occupy_standard();
    rc = empty_input();
    return rc == 0 && on_exit(leave, NULL) != 0 ? -ENOMEM : rc;
}

int hki_os_stand_alone(const int *keep, int count)
{
    (void)setpgid(0, 0); /* cannot fail in a child */
    for (int i = 0; i < count; i++)
        if (dup2(keep[i], STDIO_COUNT + i) < 0)
            return -errno;
    closefrom(STDIO_COUNT + count);
    return 0;
}

/* ---- messages ---- */

int hki_os_message_pair(int lowest, int out[2])
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    return hki_os_move_pair_above(fds, lowest, out);
}

union control {
    struct cmsghdr head; /* aligns the rest */
    char bytes[CMSG_SPACE(HKI_MESSAGE_FDS_MAX * sizeof(int))];
};

int hki_os_message_send(int fd, const void *data, size_t size, const int *fds,
                        int fd_count)
{
    const size_t length = (size_t)fd_count * sizeof(int);
    struct iovec part = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    union control control = {.head = {.cmsg_level = SOL_SOCKET}};
    ssize_t sent;

    if (fd_count > 0) {
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(length);
        memcpy(CMSG_DATA(&control.head), fds, length);
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(length);
    }
    do
        sent = sendmsg(fd, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return errno == ECONNRESET ? -EPIPE : -errno;
    return 0;
}

static int take_descriptors(struct msghdr *message, int fds[HKI_MESSAGE_FDS_MAX])
{
    const struct cmsghdr *head = CMSG_FIRSTHDR(message);
    size_t length;

    if (!head || head->cmsg_type != SCM_RIGHTS)
        return 0;
    length = head->cmsg_len - CMSG_LEN(0);
    memcpy(fds, CMSG_DATA(head), length);
    return (int)(length / sizeof(int));
}

int hki_os_message_receive(int fd, void *data, size_t size,
                           int fds[HKI_MESSAGE_FDS_MAX], int timeout_ms)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    struct iovec part = {.iov_base = data, .iov_len = size};
    union control control;
    struct msghdr message = {
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };
    ssize_t got;
    int rc;

    do
        rc = poll(&ready, 1, timeout_ms);
    while (rc < 0 && errno == EINTR);
    if (rc == 0)
        return -ETIMEDOUT;
    do
        got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got == 0 || (got < 0 && errno == ECONNRESET))
        return -EPIPE;
    if (got < 0)
        return -errno;
    return (size_t)got == size ? take_descriptors(&message, fds) : -EPROTO;
}
