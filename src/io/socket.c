/* SPDX-License-Identifier: MIT */
/*
 * Stream sockets: listen, accept, connect. What never waits (socket, bind, options) is
 * a plain system call; what waits is one operation.
 */
#include <hocket/net.h>

#include "io/address.h"
#include "io/handle.h"
#include "sys/os.h"
#include "sys/os_net.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

enum { BACKLOG_DEFAULT = 4096 }; /* cut by the kernel to net.core.somaxconn */

/* ---- bound sockets ---- */

/* Errors of options are not ignored: a listener that silently shares no port would be
 * found only under load. */
static int set_bind_options(int fd, sa_family_t family, unsigned flags)
{
    int rc = 0;

    if (flags & HKI_BIND_REUSE_ADDR && family != AF_UNIX)
        rc = hki_os_socket_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (rc == 0 && flags & HKI_BIND_REUSE_PORT)
        rc = hki_os_socket_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (rc == 0 && family == AF_INET6)
        rc = hki_os_socket_set(fd, IPPROTO_IPV6, IPV6_V6ONLY,
                               (flags & HKI_BIND_IPV6_ONLY) != 0);
    return rc;
}

static int bind_one(const hk_addr *addr, int type, unsigned flags)
{
    sa_family_t family = hki_addr_family(addr);
    int fd = hki_os_socket(family, type);
    int rc;

    if (fd < 0)
        return fd;
    rc = set_bind_options(fd, family, flags);
    if (rc == 0)
        rc = hki_os_bind(fd, hki_addr_get(addr), addr->len);
    if (rc < 0) {
        (void)hki_os_close(fd); /* the first error counts */
        return rc;
    }
    return fd;
}

/* "*:80" on a machine without IPv6 means all there is: IPv4. False for all others. */
static bool any_ipv4(const hk_addr *addr, unsigned flags, hk_addr *out)
{
    struct sockaddr_in6 in6;
    struct sockaddr_in in = {.sin_family = AF_INET};

    if (hki_addr_family(addr) != AF_INET6 || flags & HKI_BIND_IPV6_ONLY)
        return false;
    memcpy(&in6, addr->storage, sizeof(in6));
    if (!IN6_IS_ADDR_UNSPECIFIED(&in6.sin6_addr))
        return false;
    in.sin_port = in6.sin6_port;
    *out = (hk_addr){.len = sizeof(in)};
    memcpy(out->storage, &in, sizeof(in));
    return true;
}

int hki_addr_bind(const hk_addr *addr, int type, unsigned flags)
{
    hk_addr ipv4;
    int fd;

    if (hki_addr_family(addr) == AF_UNSPEC)
        return -EINVAL;
    fd = bind_one(addr, type, flags);
    if (fd == -EAFNOSUPPORT && any_ipv4(addr, flags, &ipv4))
        fd = bind_one(&ipv4, type, flags);
    return fd;
}

/* ---- listen and accept ---- */

static unsigned listen_flags(const hk_listen_options *options)
{
    unsigned flags = HKI_BIND_REUSE_ADDR;

    if (options && options->reuse_port)
        flags |= HKI_BIND_REUSE_PORT;
    if (options && options->ipv6_only)
        flags |= HKI_BIND_IPV6_ONLY;
    return flags;
}

int hk_listen(const hk_addr *addr, const hk_listen_options *options, hk_fd *out)
{
    uint32_t backlog = options ? options->backlog : 0;
    int fd = hki_addr_bind(addr, SOCK_STREAM, listen_flags(options));
    int rc;

    if (fd < 0)
        return fd;
    if (backlog == 0 || backlog > INT32_MAX)
        backlog = BACKLOG_DEFAULT;
    rc = hki_os_listen(fd, (int)backlog);
    if (rc < 0) {
        (void)hki_os_close(fd); /* the first error counts */
        return rc;
    }
    return hki_handle_adopt(fd, HK_FD_SOCKET, out);
}

/* Small messages go out at once; who writes piecemeal has hk_stream. Fails only for
 * sockets that have no such option. */
static void set_no_delay(int fd, const hk_addr *peer)
{
    if (hki_addr_is_ip(peer))
        (void)hki_os_socket_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

/* Errors of the one connection that was next, which is gone: accept(2), "Error
 * handling". EOPNOTSUPP is not among them: it is also said of what is no listener. */
static bool concerns_one_connection(int rc)
{
    switch (rc) {
    case -ECONNABORTED:
    case -EPROTO:
    case -ENOPROTOOPT:
    case -ENETDOWN:
    case -ENETUNREACH:
    case -EHOSTDOWN:
    case -EHOSTUNREACH:
    case -ENONET: return true;
    default: return false;
    }
}

int hk_accept(hk_fd listener, hk_addr *out_peer, hk_fd *out)
{
    hk_addr peer;
    hk_op op;
    unsigned len;
    int rc, fd;

    do {
        peer = (hk_addr){0};
        len = sizeof(peer.storage);
        hk_op_accept(&op, listener, hki_addr_room(&peer), &len);
        fd = hk_op_run(&op);
    } while (concerns_one_connection(fd));
    if (fd < 0)
        return fd;
    peer.len = hki_addr_len(len);
    set_no_delay(fd, &peer);
    rc = hki_handle_adopt(fd, HK_FD_SOCKET | HK_FD_STREAM, out);
    if (rc == 0 && out_peer)
        *out_peer = peer;
    return rc;
}

/* ---- connect ---- */

/*
 * A Unix connect that has to wait would hold a thread of the kernel for as long as it
 * lasts (there is nothing to poll for), unless the socket is non-blocking meanwhile.
 */
static int connect_type(sa_family_t family)
{
    return family == AF_UNIX ? SOCK_STREAM | SOCK_NONBLOCK : SOCK_STREAM;
}

int hk_connect(const hk_addr *addr, hk_fd *out)
{
    sa_family_t family = hki_addr_family(addr);
    hk_fd handle;
    hk_op op;
    int fd, rc;

    if (family == AF_UNSPEC)
        return -EINVAL;
    fd = hki_os_socket(family, connect_type(family));
    if (fd < 0)
        return fd;
    set_no_delay(fd, addr);
    rc = hki_handle_adopt(fd, HK_FD_SOCKET | HK_FD_STREAM, &handle);
    if (rc < 0)
        return rc;
    hk_op_connect(&op, handle, hki_addr_get(addr), addr->len);
    rc = hk_op_run(&op);
    if (rc < 0) {
        (void)hk_close(handle); /* half made: nothing to lose */
        return rc;
    }
    if (family == AF_UNIX)
        hki_os_set_blocking(fd);
    *out = handle;
    return 0;
}

/* ---- calls that never wait ---- */

int hk_shutdown(hk_fd fd, int how)
{
    int number = hk_fd_pin(fd);
    int rc = number;

    if (number >= 0) {
        rc = hki_os_shutdown(number, how);
        hk_fd_unpin(fd);
    }
    return rc;
}

int hk_addr_local(hk_fd fd, hk_addr *out)
{
    hk_addr addr = {0};
    unsigned len = sizeof(addr.storage);
    int number = hk_fd_pin(fd);
    int rc = number;

    if (number >= 0) {
        rc = hki_os_socket_name(number, hki_addr_room(&addr), &len);
        hk_fd_unpin(fd);
    }
    if (rc < 0)
        return rc;
    addr.len = hki_addr_len(len);
    *out = addr;
    return 0;
}

int hk_addr_peer(hk_fd fd, hk_addr *out)
{
    hk_addr addr = {0};
    unsigned len = sizeof(addr.storage);
    int number = hk_fd_pin(fd);
    int rc = number;

    if (number >= 0) {
        rc = hki_os_peer_name(number, hki_addr_room(&addr), &len);
        hk_fd_unpin(fd);
    }
    if (rc < 0)
        return rc;
    addr.len = hki_addr_len(len);
    *out = addr;
    return 0;
}

int hk_sock_set(hk_fd fd, int level, int option, int value)
{
    int number = hk_fd_pin(fd);
    int rc = number;

    if (number >= 0) {
        rc = hki_os_socket_set(number, level, option, value);
        hk_fd_unpin(fd);
    }
    return rc;
}

int hk_sock_get(hk_fd fd, int level, int option, int *out)
{
    int number = hk_fd_pin(fd);
    int rc = number;

    if (number >= 0) {
        rc = hki_os_socket_get(number, level, option, out);
        hk_fd_unpin(fd);
    }
    return rc;
}
