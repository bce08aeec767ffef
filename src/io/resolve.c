/* SPDX-License-Identifier: MIT */
/*
 * Names to addresses, by c-ares 1.18. A lookup is a c-ares channel of its own, in the
 * hands of one task from start to end, so nothing is shared and nothing is locked:
 *
 *  - c-ares reads resolv.conf, hosts and /dev/urandom with plain reads: the channel is
 *    made, and the hosts file tried, on the blocking pool. That also sends the queries;
 *  - its sockets are members of one epoll set, whose handle the task waits on. A lost
 *    datagram makes no descriptor ready, so the wait has a deadline: ares_timeout;
 *  - only so many lookups run at once, since each has descriptors.
 */
#include "base/alloc.h"
#include "io/address.h"
#include "io/handle.h"
#include "sys/os.h"
#include "sys/os_dns.h"
#include "sys/os_net.h"

#include <hocket/file.h>
#include <hocket/lowlevel.h>
#include <hocket/scope.h>
#include <hocket/sem.h>

#include <ares.h>
#include <poll.h>
#include <stdio.h>
#include <strings.h>

enum {
    HOST_MAX = 253,
    LABEL_MAX = 63,
    LOOKUPS_MAX = 128, /* at once, each with two descriptors or a few more */
    READY_MAX = 8,
    /* A server gets 2, 4 and 8 seconds (c-ares takes up to 7/16 off, at random). */
    TRY_MS = 2000,
    TRIES = 3,
};

struct lookup {
    const char *host;
    ares_channel channel;
    int set;      /* the sockets of the channel */
    hk_fd set_fd; /* the same, to wait for */
    int shortage; /* why a socket could not be had, which c-ares does not say; or 0 */
    bool done;    /* status and found are set */
    int status;   /* ARES_ */
    struct ares_addrinfo *found;
};

static hk_sem lookups_free = HK_SEM_INIT(LOOKUPS_MAX);

/* ---- what is no name ---- */

/* An IPv6 address, or what could only be an IPv4 address: a top-level domain is never a
 * number (RFC 3696 section 2). */
static bool is_address(const char *host)
{
    const char *last = strrchr(host, '.');

    last = last ? last + 1 : host;
    return strchr(host, ':') || (*last && strspn(last, "0123456789") == strlen(last));
}

static int resolve_address(const char *host, uint16_t port, hk_addr *out)
{
    char text[HK_ADDR_TEXT_MAX];
    const char *format = strchr(host, ':') ? "[%s]:%u" : "%s:%u";
    int len = snprintf(text, sizeof(text), format, host, port);

    if (len < 0 || (size_t)len >= sizeof(text) || hk_addr_parse(text, out) < 0)
        return -EINVAL;
    (void)hk_budget(); /* always 0 */
    return 1;
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '-' || c == '_';
}

/* Labels of 1 to 63 letters, digits, "-" and "_", and between them single dots; one
 * more dot at the end. */
static bool is_name(const char *host)
{
    size_t len = strlen(host), label = 0;

    if (len > 0 && host[len - 1] == '.')
        len--;
    if (len == 0 || len > HOST_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (host[i] == '.' ? label == 0 : !is_name_char(host[i]))
            return false;
        label = host[i] == '.' ? 0 : label + 1;
        if (label > LABEL_MAX)
            return false;
    }
    return label > 0;
}

/* Never asked of a server (RFC 6761 section 6.3). */
static bool is_localhost(const char *host)
{
    static const char local[] = "localhost";
    size_t len = strlen(host), local_len = sizeof(local) - 1;

    if (len > 0 && host[len - 1] == '.')
        len--;
    if (len < local_len || strncasecmp(host + len - local_len, local, local_len) != 0)
        return false;
    return len == local_len || host[len - local_len - 1] == '.';
}

static int loopback(uint16_t port, hk_addr *out, size_t max)
{
    int count = resolve_address("127.0.0.1", port, &out[0]);

    return max > 1 ? count + resolve_address("::1", port, &out[1]) : count;
}

/* ---- the sockets of c-ares; its callbacks return -1 and errno ---- */

static bool is_shortage(int error)
{
    return error == -EMFILE || error == -ENFILE || error == -ENOMEM ||
           error == -ENOBUFS;
}

static int on_socket(int family, int type, int protocol, void *arg)
{
    struct lookup *lookup = arg;
    int fd = hki_os_socket(family, type | SOCK_NONBLOCK);

    (void)protocol; /* follows from the type */
    if (is_shortage(fd))
        lookup->shortage = fd;
    return fd < 0 ? hki_os_fail_as_libc(fd) : fd;
}

static int on_close(int fd, void *arg)
{
    int rc = hki_os_close(fd);

    (void)arg;
    return rc < 0 ? hki_os_fail_as_libc(rc) : 0;
}

static int on_connect(int fd, const struct sockaddr *addr, ares_socklen_t addr_len,
                      void *arg)
{
    int rc = hki_os_connect(fd, addr, addr_len);

    (void)arg;
    return rc < 0 ? hki_os_fail_as_libc(rc) : 0;
}

static ares_ssize_t on_receive(int fd, void *buf, size_t len, int flags,
                               struct sockaddr *from, ares_socklen_t *from_len,
                               void *arg)
{
    ssize_t rc = hki_os_receive(fd, buf, len, flags, from, from_len);

    (void)arg;
    return rc < 0 ? hki_os_fail_as_libc((int)rc) : rc;
}

/* A refusal is news of the datagram before, and this one was not sent. c-ares would
 * give up this query alone and let the one before wait for its time to run out; so it
 * shall have the news when it reads, where it gives up both. */
static ares_ssize_t on_send(int fd, const struct iovec *iov, int count, void *arg)
{
    ssize_t rc = hki_os_send_vector(fd, iov, count);

    (void)arg;
    if (rc == -ECONNREFUSED)
        rc = hki_os_send_vector(fd, iov, count);
    return rc < 0 ? hki_os_fail_as_libc((int)rc) : rc;
}

static const struct ares_socket_functions socket_functions = {
    .asocket = on_socket,
    .aclose = on_close,
    .aconnect = on_connect,
    .arecvfrom = on_receive,
    .asendv = on_send,
};

/* What c-ares waits for. */
static void on_interest(void *arg, int fd, int in, int out)
{
    struct lookup *lookup = arg;
    int rc = hki_os_set_watch(lookup->set, fd, in, out);

    if (rc < 0 && (in || out))
        lookup->shortage = rc; /* the answer will not be seen: the tries run out */
}

/* ---- one lookup ---- */

static void on_done(void *arg, int status, int timeouts, struct ares_addrinfo *found)
{
    struct lookup *lookup = arg;

    (void)timeouts;
    lookup->done = true;
    lookup->status = status;
    lookup->found = found;
}

/* HOCKET_DNS stands in for resolv.conf as a whole, so that tests depend on nothing. */
static int channel_new(struct lookup *lookup)
{
    const char *servers = hki_os_environment("HOCKET_DNS");
    struct ares_options options = {
        .timeout = TRY_MS,
        .tries = TRIES,
        .lookups = is_localhost(lookup->host) ? (char[]){"f"} : (char[]){"fb"},
        .sock_state_cb = on_interest,
        .sock_state_cb_data = lookup,
        .ndomains = 0,
    };
    int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
               ARES_OPT_SOCK_STATE_CB | (servers ? ARES_OPT_DOMAINS : 0);
    int status = ares_init_options(&lookup->channel, &options, mask);

    if (status != ARES_SUCCESS)
        return status;
    ares_set_socket_functions(lookup->channel, &socket_functions, lookup);
    return servers ? ares_set_servers_ports_csv(lookup->channel, servers) : status;
}

/* On the blocking pool: everything up to the first queries. */
static int lookup_start(void *arg)
{
    static const struct ares_addrinfo_hints hints = {
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
    };
    struct lookup *lookup = arg;
    int status = channel_new(lookup);

    if (status == ARES_SUCCESS)
        ares_getaddrinfo(lookup->channel, lookup->host, NULL, &hints, on_done, lookup);
    else
        on_done(lookup, status, 0, NULL);
    return 0;
}

/* When c-ares wants to look at its clock, which it reads in whole milliseconds. */
static int64_t next_try_ns(const struct lookup *lookup)
{
    struct timeval room;
    const struct timeval *wait = ares_timeout(lookup->channel, NULL, &room);

    if (!wait)
        return HK_NEVER;
    return hk_now() + wait->tv_sec * HK_SECOND + wait->tv_usec * HK_MICROSECOND +
           HK_MILLISECOND;
}

/* 0: a socket is ready, or it is time for another try. */
static int lookup_wait(struct lookup *lookup)
{
    hk_scope limit = HK_SCOPE_INIT;
    hk_op op;
    int rc, joined;

    hk_scope_open_with(&limit, 0, "answer of a name server");
    hk_scope_deadline(&limit, next_try_ns(lookup));
    hk_op_poll(&op, lookup->set_fd, POLLIN);
    rc = hk_op_run(&op);
    joined = hk_scope_join(&limit);
    return rc >= 0 || joined == -ETIMEDOUT ? 0 : rc;
}

static void lookup_process(struct lookup *lookup)
{
    struct hki_os_ready ready[READY_MAX];
    int count = hki_os_set_ready(lookup->set, ready, READY_MAX);

    for (int i = 0; i < count; i++)
        ares_process_fd(lookup->channel, ready[i].in ? ready[i].fd : ARES_SOCKET_BAD,
                        ready[i].out ? ready[i].fd : ARES_SOCKET_BAD);
    if (count <= 0)
        ares_process_fd(lookup->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

static int lookup_run(struct lookup *lookup)
{
    int rc = hk_blocking(lookup_start, lookup);

    while (rc == 0 && !lookup->done) {
        rc = lookup_wait(lookup);
        if (rc == 0)
            lookup_process(lookup);
    }
    return rc;
}

static int lookup_error(const struct lookup *lookup)
{
    if (lookup->shortage)
        return lookup->shortage;
    switch (lookup->status) {
    case ARES_ENOTFOUND:
    case ARES_ENODATA:
    case ARES_ENONAME: return -ENOENT;
    case ARES_ETIMEOUT: return -ETIMEDOUT;
    case ARES_ENOMEM: return -ENOMEM;
    case ARES_EBADNAME:
    case ARES_EBADSTR: /* of HOCKET_DNS */ return -EINVAL;
    default: return -EAGAIN;
    }
}

static int lookup_result(const struct lookup *lookup, uint16_t port, hk_addr *out,
                         size_t max)
{
    size_t count = 0;

    if (lookup->status != ARES_SUCCESS)
        return lookup_error(lookup);
    for (const struct ares_addrinfo_node *node = lookup->found->nodes;
         node && count < max; node = node->ai_next) {
        hk_addr *addr = &out[count++];

        *addr = (hk_addr){.len = (uint32_t)node->ai_addrlen};
        memcpy(addr->storage, node->ai_addr, addr->len);
        hk_addr_set_port(addr, port);
    }
    return count > 0 ? (int)count : -ENOENT;
}

/* The end of the channel also ends a lookup that is under way, and that with an answer
 * if the other family's had come. */
static void lookup_fini(struct lookup *lookup)
{
    if (lookup->channel)
        ares_destroy(lookup->channel);
    if (lookup->found)
        ares_freeaddrinfo(lookup->found);
    (void)hk_close(lookup->set_fd); /* nothing is written to it */
}

static int resolve_name(const char *host, uint16_t port, hk_addr *out, size_t max)
{
    struct lookup lookup = {.host = host, .set = hki_os_set_new()};
    int rc;

    if (lookup.set < 0)
        return lookup.set;
    rc = hki_handle_adopt(lookup.set, 0, &lookup.set_fd);
    if (rc < 0)
        return rc;
    rc = lookup_run(&lookup);
    if (rc == 0)
        rc = lookup_result(&lookup, port, out, max);
    lookup_fini(&lookup);
    return rc;
}

int hk_resolve(const char *host, uint16_t port, hk_addr *out, size_t max)
{
    int rc = hk_cancelled();

    if (rc < 0)
        return rc;
    if (max == 0)
        return -EINVAL;
    if (is_address(host))
        return resolve_address(host, port, out);
    if (!is_name(host))
        return -EINVAL;
    rc = hk_sem_acquire(&lookups_free);
    if (rc < 0)
        return rc;
    rc = resolve_name(host, port, out, max);
    hk_sem_release(&lookups_free, 1);
    if (rc < 0 && rc != -ECANCELED && is_localhost(host))
        return loopback(port, out, max);
    return rc;
}
