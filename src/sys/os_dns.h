/* SPDX-License-Identifier: MIT */
/*
 * System calls for a library that drives its own sockets (c-ares): its sockets in one
 * epoll set, so that one readiness operation waits for all of them. A part of os.h:
 * functions return >= 0 or a negative errno value, never -EINTR, and none waits.
 */
#ifndef HKI_SYS_OS_DNS_H
#define HKI_SYS_OS_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct iovec;
struct sockaddr;

/* One descriptor of a set that is ready. An error or a hang-up counts as both. */
struct hki_os_ready {
    int fd;
    bool in, out;
};

/* A new set, itself a descriptor that is readable while one of its members is ready. */
int hki_os_set_new(void);
/* Puts `fd` in, changes what it waits for, or (both false) takes it out. A member that
 * is closed leaves by itself. */
int hki_os_set_watch(int set, int fd, bool in, bool out);
/* Up to `max` members that are ready now: their number. */
int hki_os_set_ready(int set, struct hki_os_ready *out, int max);

/* recvfrom(2); `*inout_from_len` is a socklen_t, `from` and it may be NULL. */
ssize_t hki_os_receive(int fd, void *buf, size_t len, int flags, struct sockaddr *from,
                       unsigned *inout_from_len);
/* sendmsg(2) of `iov` alone, without SIGPIPE. */
ssize_t hki_os_send_vector(int fd, const struct iovec *iov, int count);

/* For a callback of a library that reads errno: sets it to -error, and returns -1. */
int hki_os_fail_as_libc(int error);

#endif
