/* SPDX-License-Identifier: MIT */
/* hk_addr as the kernel sees it. */
#ifndef HKI_IO_ADDRESS_H
#define HKI_IO_ADDRESS_H

#include <hocket/net.h>

#include <string.h>
#include <sys/socket.h>

/* For system calls only: its fields are read through a copy, see hki_addr_family. */
static inline struct sockaddr *hki_addr_room(hk_addr *addr)
{
    return (struct sockaddr *)(void *)addr->storage;
}

static inline const struct sockaddr *hki_addr_get(const hk_addr *addr)
{
    return (const struct sockaddr *)(const void *)addr->storage;
}

/* AF_UNSPEC when there is no address. */
static inline sa_family_t hki_addr_family(const hk_addr *addr)
{
    sa_family_t family = AF_UNSPEC;

    if (addr->len >= sizeof(family))
        memcpy(&family, addr->storage, sizeof(family));
    return family;
}

static inline bool hki_addr_is_ip(const hk_addr *addr)
{
    sa_family_t family = hki_addr_family(addr);

    return family == AF_INET || family == AF_INET6;
}

/* What the kernel returned as length may be more than it had room for. */
static inline uint32_t hki_addr_len(unsigned len)
{
    hk_addr *none = NULL;

    return len <= sizeof(none->storage) ? len : (uint32_t)sizeof(none->storage);
}

enum {
    HKI_BIND_REUSE_ADDR = 1 << 0,
    HKI_BIND_REUSE_PORT = 1 << 1,
    HKI_BIND_IPV6_ONLY = 1 << 2,
};

/* A new socket of `type` (SOCK_STREAM, SOCK_DGRAM) bound to `addr`: its descriptor, the
 * caller's to close, or an error. */
int hki_addr_bind(const hk_addr *addr, int type, unsigned flags);

#endif
