/* SPDX-License-Identifier: MIT */
/* Datagrams: one operation moves one whole datagram, or nothing. */
#include <hocket/net.h>

#include "io/address.h"
#include "io/handle.h"
#include "sys/os.h"
#include "sys/os_net.h"

#include <sys/uio.h>

int hk_udp_open(const hk_addr *addr, hk_fd *out)
{
    int fd = hki_addr_bind(addr, SOCK_DGRAM, 0);

    return fd < 0 ? fd : hki_handle_adopt(fd, HK_FD_SOCKET, out);
}

int hk_udp_connect(hk_fd fd, const hk_addr *addr)
{
    bool is_valid = hki_addr_family(addr) != AF_UNSPEC;
    int number = hk_fd_pin(fd);
    int rc;

    if (number < 0)
        return number;
    rc = is_valid ? hki_os_connect(number, hki_addr_get(addr), addr->len) : -EINVAL;
    hk_fd_unpin(fd);
    return rc;
}

ssize_t hk_send_to(hk_fd fd, const void *buf, size_t len, const hk_addr *to)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)buf, .iov_len = len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    hk_op op;

    if (!to) {
        hk_op_send(&op, fd, buf, len, 0);
        return hk_op_run(&op);
    }
    if (hki_addr_family(to) == AF_UNSPEC)
        return -EINVAL;
    msg.msg_name = (void *)(uintptr_t)to->storage; /* only read by the kernel */
    msg.msg_namelen = to->len;
    hk_op_sendmsg(&op, fd, &msg, 0);
    return hk_op_run(&op);
}

ssize_t hk_recv_from(hk_fd fd, void *buf, size_t len, hk_addr *out_from,
                     bool *out_truncated)
{
    hk_addr from = {0};
    struct iovec iov = {.iov_base = buf, .iov_len = len};
    struct msghdr msg = {
        .msg_name = from.storage,
        .msg_namelen = sizeof(from.storage),
        .msg_iov = &iov,
        .msg_iovlen = 1,
    };
    hk_op op;
    int rc;

    hk_op_recvmsg(&op, fd, &msg, 0);
    rc = hk_op_run(&op);
    if (rc < 0)
        return rc;
    from.len = hki_addr_len(msg.msg_namelen);
    if (out_from)
        *out_from = from;
    if (out_truncated)
        *out_truncated = (msg.msg_flags & MSG_TRUNC) != 0;
    return rc;
}
