/* SPDX-License-Identifier: MIT */
/*
 * Unix sockets: handles that travel between processes. A descriptor that recvmsg put
 * into our table is a leak until it is either adopted or closed, whatever else failed;
 * so all of them are first counted, then judged.
 */
#include <hocket/net.h>

#include "io/handle.h"
#include "sys/os.h"
#include "sys/os_net.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum {
    FDS_MAX = 16,
    /* Room for 16, and for the credentials that a socket with SO_PASSCRED adds. */
    CONTROL_SIZE = CMSG_SPACE(FDS_MAX * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred)),
    ARRIVED_MAX = CONTROL_SIZE / sizeof(int),
};

union control {
    struct cmsghdr align;
    char bytes[CONTROL_SIZE];
};

int hk_socket_pair(hk_fd out[2])
{
    int fds[2];
    int rc = hki_os_socket_pair(fds);

    if (rc < 0)
        return rc;
    return hki_handle_adopt_pair(fds, HK_FD_SOCKET | HK_FD_STREAM, out);
}

/* ---- sending ---- */

static void unpin_all(const hk_fd *fds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        hk_fd_unpin(fds[i]);
}

/* All of them, or none. */
static int pin_all(const hk_fd *fds, size_t count, int *out_numbers)
{
    for (size_t i = 0; i < count; i++) {
        int number = hk_fd_pin(fds[i]);

        if (number < 0) {
            unpin_all(fds, i);
            return number;
        }
        out_numbers[i] = number;
    }
    return 0;
}

static void put_numbers(struct msghdr *msg, union control *control, const int *numbers,
                        size_t count)
{
    struct cmsghdr *head;

    if (count == 0)
        return;
    memset(control, 0, sizeof(*control));
    msg->msg_control = control;
    msg->msg_controllen = CMSG_SPACE(count * sizeof(int));
    head = CMSG_FIRSTHDR(msg);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(head), numbers, count * sizeof(int));
}

ssize_t hk_send_fds(hk_fd fd, const void *buf, size_t len, const hk_fd *fds,
                    size_t count)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)buf, .iov_len = len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    union control control;
    int numbers[FDS_MAX], rc;
    hk_op op;

    if (len == 0 || count > FDS_MAX)
        return -EINVAL;
    rc = pin_all(fds, count, numbers);
    if (rc < 0)
        return rc;
    put_numbers(&msg, &control, numbers, count);
    hk_op_sendmsg(&op, fd, &msg, 0);
    rc = hk_op_run(&op);
    unpin_all(fds, count);
    return rc;
}

/* ---- receiving ---- */

static size_t take_fds(struct msghdr *msg, int arrived[ARRIVED_MAX])
{
    size_t count = 0;

    for (struct cmsghdr *head = CMSG_FIRSTHDR(msg); head;
         head = CMSG_NXTHDR(msg, head)) {
        size_t size;

        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
            continue;
        size = head->cmsg_len - CMSG_LEN(0);
        memcpy(arrived + count, CMSG_DATA(head), size);
        count += size / sizeof(int);
    }
    return count;
}

/* All of them, or none: then every one is closed. */
static int adopt_all(const int *numbers, size_t count, hk_fd *out)
{
    hk_fd fds[FDS_MAX];
    size_t done = 0, next = 0;
    int rc = 0;

    for (; rc >= 0 && next < count; next++) {
        rc = hki_handle_kind(numbers[next], NULL);
        if (rc < 0)
            (void)hki_os_close(numbers[next]); /* the first error counts */
        else
            rc = hki_handle_adopt(numbers[next], (unsigned)rc, &fds[done]);
        if (rc >= 0)
            done++;
    }
    if (rc >= 0) {
        memcpy(out, fds, done * sizeof(*fds));
        return 0;
    }
    for (; next < count; next++)
        (void)hki_os_close(numbers[next]); /* the first error counts */
    while (done > 0)
        hki_handle_drop(fds[--done]);
    return rc;
}

/* What the kernel cut off was never in our table: by a lack of room in `control`, or,
 * when there was room, of descriptors. */
static int verdict(const struct msghdr *msg, size_t arrived, size_t wanted)
{
    if (msg->msg_flags & MSG_CTRUNC && arrived < FDS_MAX)
        return -EMFILE;
    if (msg->msg_flags & MSG_CTRUNC || arrived > wanted)
        return -EMSGSIZE;
    return 0;
}

ssize_t hk_recv_fds(hk_fd fd, void *buf, size_t len, hk_fd *fds, size_t *inout_count)
{
    struct iovec iov = {.iov_base = buf, .iov_len = len};
    union control control;
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };
    int arrived[ARRIVED_MAX];
    size_t count;
    hk_op op;
    int rc, moved;

    if (len == 0 || *inout_count > FDS_MAX)
        return -EINVAL;
    hk_op_recvmsg(&op, fd, &msg, MSG_CMSG_CLOEXEC);
    moved = hk_op_run(&op);
    if (moved < 0)
        return moved;
    count = take_fds(&msg, arrived);
    rc = verdict(&msg, count, *inout_count);
    if (rc < 0) {
        for (size_t i = 0; i < count; i++)
            (void)hki_os_close(arrived[i]); /* the first error counts */
        return rc;
    }
    rc = adopt_all(arrived, count, fds);
    if (rc < 0)
        return rc;
    *inout_count = count;
    return moved;
}
