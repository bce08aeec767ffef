/* SPDX-License-Identifier: MIT */
/*
 * Sockets: TCP, UDP and Unix, and names.
 *
 *     hk_addr addr;
 *     hk_fd listener, conn;
 *     int rc = hk_addr_parse("127.0.0.1:8080", &addr);
 *     rc = hk_listen(&addr, NULL, &listener);
 *     rc = hk_accept(listener, NULL, &conn);
 *     ... hk_read(conn, ...), hk_write(conn, ...), hk_close(conn)
 *
 * Cancel: accept, connect and dial are *atomic*: -ECANCELED means no connection was
 * made or taken (a half-made one is closed). Sends and receives of datagrams too.
 */
#ifndef HOCKET_NET_H
#define HOCKET_NET_H

#include <hocket/fd.h>

HK_BEGIN_DECLS

/* A socket address; 132 bytes, copyable. */
typedef struct hk_addr {
    uint32_t len; /* of what is used of storage; 0: none */
    /* a struct sockaddr_in, sockaddr_in6 or sockaddr_un */
    uint32_t storage[32];
} hk_addr;

/* Room for any text that hk_addr_format writes, NUL included. */
#define HK_ADDR_TEXT_MAX 128

/*
 * Reads "127.0.0.1:80", "[::1]:80", "[fe80::1%eth0]:80" (or the interface's number),
 * "*:80" (any address, IPv6 and IPv4: the same as "[::]:80"), "unix:/path" or
 * "unix:@abstract", the last two of at most 107 bytes behind the colon. No names: see
 * hk_resolve. Never blocks. Returns 0, or -EINVAL (also: no such interface).
 */
HK_API int hk_addr_parse(const char *text, hk_addr *out);
/* Writes the same form; NULs inside an abstract name as "@"; "unix:" for a Unix socket
 * without a name, "none" for no address. Returns the length, or -ENOSPC. */
HK_API int hk_addr_format(const hk_addr *addr, char *text, size_t size);
/* The port (0 for Unix addresses), and a changed one. */
HK_API uint16_t hk_addr_port(const hk_addr *addr);
HK_API void hk_addr_set_port(hk_addr *addr, uint16_t port);

typedef struct hk_listen_options {
    uint32_t backlog; /* default 4096 */
    bool reuse_port;  /* several listeners share the port */
    bool ipv6_only;
    uint64_t reserved[4];
} hk_listen_options;

/*
 * A listening stream socket, SO_REUSEADDR set (TCP). `options` may be NULL. Never
 * blocks. Port 0: the kernel's choice, see hk_addr_local. A Unix path must not exist
 * (-EADDRINUSE), and stays when the listener is closed: hk_unlink.
 */
HK_API int hk_listen(const hk_addr *addr, const hk_listen_options *options, hk_fd *out);

/*
 * Takes the next connection; `out_peer` may be NULL. TCP_NODELAY is set on it. Any
 * number of tasks may accept on one listener. Failures of one connection
 * (ECONNABORTED and the like) are skipped. -EMFILE/-ENFILE are returned: wait a little,
 * try again; no connection is lost by them.
 */
HK_API HK_WARN_UNUSED int hk_accept(hk_fd listener, hk_addr *out_peer, hk_fd *out);

/* Connects a stream socket, TCP_NODELAY set. While a Unix listener's backlog is full it
 * waits. */
HK_API HK_WARN_UNUSED int hk_connect(const hk_addr *addr, hk_fd *out);

/*
 * Resolves `host` and connects to the first of its addresses (16 at most) that answers,
 * by happy eyeballs (RFC 8305): IPv6 and IPv4 take turns, the next attempt starts when
 * the one before has failed, or after 250 ms; the losers are closed. TCP_NODELAY is
 * set. There is no limit of time but your scope's deadline and the kernel's (2
 * minutes).
 *
 * Cancel:  atomic: -ECANCELED means that no connection was made, or that it is closed.
 * Returns: 0; the error of the attempt that failed last; or an error of hk_resolve.
 * Threads: any task or thread. On a plain thread the attempts run as tasks of the
 *          background runtime, unless there is one address only.
 */
HK_API HK_WARN_UNUSED int hk_dial(const char *host, uint16_t port, hk_fd *out);

/*
 * Looks `host` up and writes up to `max` (>= 1) stream addresses with `port`, best
 * first (RFC 6724). An IPv4 or IPv6 address in text form needs no lookup; else
 * /etc/hosts is asked, then the name servers of /etc/resolv.conf, by c-ares.
 * "localhost" and names under it are never asked of a server. At most 128 lookups of
 * the process run at once, more wait. When the environment has
 * HOCKET_DNS=ADDRESS:PORT[,ADDRESS:PORT...], these servers are asked in place of
 * resolv.conf's, without its search list.
 *
 * Cancel:  -ECANCELED; nothing was written.
 * Returns: the number of addresses, at least 1;
 *          -ENOENT: there is no such name, or it has no address;
 *          -EAGAIN: the servers failed or refused, or none could be reached;
 *          -ETIMEDOUT: the servers did not answer (a single one: within 14 seconds);
 *          -EINVAL: not a host name (letters, digits, "-", "_" and "."), not an address
 *          (a name that ends in a number is never one), or `max` is 0;
 *          -EMFILE, -ENFILE, -ENOMEM.
 * Threads: any task or thread.
 */
HK_API HK_WARN_UNUSED int hk_resolve(const char *host, uint16_t port, hk_addr *out,
                                     size_t max);

/* No more sends (SHUT_WR), receives (SHUT_RD) or both, as shutdown(2). Never blocks, as
 * do the next four. */
HK_API int hk_shutdown(hk_fd fd, int how);

HK_API int hk_addr_local(hk_fd fd, hk_addr *out);
HK_API int hk_addr_peer(hk_fd fd, hk_addr *out);

/* setsockopt and getsockopt of an int. */
HK_API int hk_sock_set(hk_fd fd, int level, int option, int value);
HK_API int hk_sock_get(hk_fd fd, int level, int option, int *out);

/* ---- datagrams ---- */

/* A UDP (or Unix datagram) socket bound to `addr`. */
HK_API int hk_udp_open(const hk_addr *addr, hk_fd *out);
/* Bytes sent; `to` NULL on a connected socket. */
HK_API HK_WARN_UNUSED ssize_t hk_send_to(hk_fd fd, const void *buf, size_t len,
                                         const hk_addr *to);
/* Bytes received (the rest of a longer datagram is lost; `*out_truncated`, may be
 * NULL, says so). `out_from` may be NULL. */
HK_API HK_WARN_UNUSED ssize_t hk_recv_from(hk_fd fd, void *buf, size_t len,
                                           hk_addr *out_from, bool *out_truncated);
/* Fixes the peer of a datagram socket: others are no longer heard. Never blocks. */
HK_API int hk_udp_connect(hk_fd fd, const hk_addr *addr);

/* ---- Unix sockets ---- */

/* Two connected stream sockets. */
HK_API int hk_socket_pair(hk_fd out[2]);

/*
 * Sends `len` (>= 1) bytes together with up to 16 handles, which stay the caller's; a
 * close of one meanwhile waits for the end of this call.
 * Cancel:  partial, as hk_write.
 * Returns: the bytes sent; the handles go with the first byte. -EINVAL (no byte, too
 *          many handles), -EBADF (one of them is closed): nothing was sent.
 */
HK_API HK_WARN_UNUSED ssize_t hk_send_fds(hk_fd fd, const void *buf, size_t len,
                                          const hk_fd *fds, size_t count);
/*
 * Receives bytes and handles: at most `*inout_count` (<= 16) are stored in `fds`, the
 * caller's to close, and `*inout_count` becomes their number. Each is marked as what it
 * is, as by hk_open. Handles that come to a hk_read are closed by the kernel.
 * Cancel:  partial, as hk_read.
 * Returns: the bytes, 0 at the end. -EINVAL (no room for a byte, or over 16 handles):
 *          nothing was received. -EMSGSIZE (more came than `*inout_count`), -EMFILE
 *          (no more descriptors may be open), -ENOMEM: the bytes are lost, and every
 *          handle that came with them has been closed.
 */
HK_API HK_WARN_UNUSED ssize_t hk_recv_fds(hk_fd fd, void *buf, size_t len, hk_fd *fds,
                                          size_t *inout_count);

HK_END_DECLS

#endif
