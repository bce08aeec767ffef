/* SPDX-License-Identifier: MIT */
/*
 * A name server for tests, on a free port of 127.0.0.1, UDP and TCP, in a thread that
 * knows nothing of hocket. What it answers depends on the name alone:
 *
 *     two.test        A 127.0.0.1, 127.0.0.2
 *     both.test       A 127.0.0.1, AAAA ::1
 *     alias.test      CNAME both.test, with both.test's addresses
 *     nN.burst.test   A 10.0.N/256.N%256, AAAA fd00::N
 *     many.test       A 10.1.0.0 and the following, 60 in all: too many for a datagram
 *     empty.test      no addresses            nx.test       NXDOMAIN
 *     fail.test       SERVFAIL                never.test    silence
 *     lossy.test      as both.test, but the first query for each type is dropped
 *     forged.test     as both.test, but first an answer with a wrong id comes
 *     half.test       A 127.0.0.1, and silence about AAAA
 */
#ifndef TESTS_UNIT_DNS_SERVER_H
#define TESTS_UNIT_DNS_SERVER_H

#include "io_test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/eventfd.h>

enum {
    DNS_A = 1,
    DNS_CNAME = 5,
    DNS_AAAA = 28,
    DNS_HEADER = 12,
    DNS_SERVFAIL = 2,
    DNS_NXDOMAIN = 3,
    DNS_MANY = 60,
    DNS_UDP_MAX = 512,
};

struct dns_server {
    int udp, tcp, stop;
    uint16_t port;
    pthread_t thread;
    uint32_t queries; /* atomic */
    uint32_t by_tcp;  /* atomic */
    unsigned lossy;   /* bit 0: A was asked for, bit 1: AAAA; of the thread */
};

struct dns_message {
    unsigned char bytes[4096];
    size_t len;
};

static inline void dns_put16(struct dns_message *m, unsigned value)
{
    m->bytes[m->len++] = (unsigned char)(value >> 8);
    m->bytes[m->len++] = (unsigned char)value;
}

static inline void dns_set16(struct dns_message *m, size_t at, unsigned value)
{
    m->bytes[at] = (unsigned char)(value >> 8);
    m->bytes[at + 1] = (unsigned char)value;
}

static inline unsigned dns_get16(const unsigned char *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

/* A record whose owner is the name at `owner` in the message. */
static inline void dns_add(struct dns_message *m, unsigned owner, unsigned type,
                           const void *data, size_t len)
{
    dns_put16(m, 0xc000u | owner);
    dns_put16(m, type);
    dns_put16(m, 1); /* IN */
    dns_put16(m, 0);
    dns_put16(m, 60); /* seconds to live */
    dns_put16(m, (unsigned)len);
    memcpy(m->bytes + m->len, data, len);
    m->len += len;
    dns_set16(m, 6, dns_get16(m->bytes + 6) + 1);
}

static inline void dns_add_text(struct dns_message *m, unsigned owner, unsigned type,
                                const char *text)
{
    unsigned char address[16];

    CHECK_EQ(inet_pton(type == DNS_A ? AF_INET : AF_INET6, text, address), 1);
    dns_add(m, owner, type, address, type == DNS_A ? 4 : 16);
}

static inline void dns_add_both(struct dns_message *m, unsigned owner, unsigned type)
{
    dns_add_text(m, owner, type, type == DNS_A ? "127.0.0.1" : "::1");
}

static inline void dns_add_alias(struct dns_message *m, unsigned type)
{
    static const unsigned char target[] = "\4both\4test";
    unsigned at = (unsigned)m->len + 12; /* where the record's data will be */

    dns_add(m, DNS_HEADER, DNS_CNAME, target, sizeof(target));
    dns_add_both(m, at, type);
}

static inline void dns_add_many(struct dns_message *m, bool by_tcp)
{
    if (!by_tcp) {
        m->bytes[2] |= 2; /* TC: truncated */
        return;
    }
    for (unsigned i = 0; i < DNS_MANY; i++)
        dns_add(m, DNS_HEADER, DNS_A, (unsigned char[]){10, 1, 0, (unsigned char)i}, 4);
}

static inline void dns_add_numbered(struct dns_message *m, unsigned type,
                                    const char *name)
{
    unsigned n = (unsigned)atoi(name + 1);
    unsigned char high = (unsigned char)(n >> 8), low = (unsigned char)n;

    if (type == DNS_A)
        dns_add(m, DNS_HEADER, type, (unsigned char[]){10, 0, high, low}, 4);
    else
        dns_add(m, DNS_HEADER, type,
                (unsigned char[16]){[0] = 0xfd, [14] = high, [15] = low}, 16);
}

/* False: no answer at all. */
static inline bool dns_answer(struct dns_server *s, struct dns_message *m,
                              const char *name, unsigned type, bool by_tcp)
{
    if (strcmp(name, "two.test") == 0 && type == DNS_A) {
        dns_add_text(m, DNS_HEADER, DNS_A, "127.0.0.1");
        dns_add_text(m, DNS_HEADER, DNS_A, "127.0.0.2");
    } else if (strcmp(name, "both.test") == 0 || strcmp(name, "forged.test") == 0) {
        dns_add_both(m, DNS_HEADER, type);
    } else if (strcmp(name, "alias.test") == 0) {
        dns_add_alias(m, type);
    } else if (strstr(name, ".burst.test")) {
        dns_add_numbered(m, type, name);
    } else if (strcmp(name, "many.test") == 0 && type == DNS_A) {
        dns_add_many(m, by_tcp);
    } else if (strcmp(name, "nx.test") == 0) {
        m->bytes[3] |= DNS_NXDOMAIN;
    } else if (strcmp(name, "fail.test") == 0) {
        m->bytes[3] |= DNS_SERVFAIL;
    } else if (strcmp(name, "never.test") == 0) {
        return false;
    } else if (strcmp(name, "half.test") == 0) {
        dns_add_both(m, DNS_HEADER, type);
        return type == DNS_A;
    } else if (strcmp(name, "lossy.test") == 0) {
        unsigned bit = type == DNS_A ? 1 : 2;
        bool seen = s->lossy & bit;

        s->lossy |= bit;
        dns_add_both(m, DNS_HEADER, type);
        return seen;
    }
    return true;
}

/* Turns the query in `m` into its answer. */
static inline bool dns_reply(struct dns_server *s, struct dns_message *m, char *name,
                             bool by_tcp)
{
    size_t at = DNS_HEADER, name_len = 0;
    unsigned type;

    while (at < m->len && m->bytes[at]) {
        memcpy(name + name_len, m->bytes + at + 1, m->bytes[at]);
        name_len += m->bytes[at];
        name[name_len++] = '.';
        at += m->bytes[at] + 1u;
    }
    name[name_len - 1] = '\0';
    type = dns_get16(m->bytes + at + 1);
    m->len = at + 5;    /* the question stays, additional records go */
    m->bytes[2] = 0x85; /* an answer, with authority, recursion desired */
    m->bytes[3] = 0x80; /* recursion available */
    memset(m->bytes + 6, 0, 6);
    return dns_answer(s, m, name, type, by_tcp);
}

static inline void dns_serve_udp(struct dns_server *s)
{
    struct dns_message m;
    struct sockaddr_in from;
    socklen_t from_len = sizeof(from);
    char name[256];
    ssize_t len = recvfrom(s->udp, m.bytes, sizeof(m.bytes), MSG_DONTWAIT,
                           (struct sockaddr *)&from, &from_len);

    if (len < DNS_HEADER)
        return;
    m.len = (size_t)len;
    __atomic_add_fetch(&s->queries, 1, __ATOMIC_RELAXED);
    if (!dns_reply(s, &m, name, false))
        return;
    if (strcmp(name, "forged.test") == 0) {
        m.bytes[0] ^= 0x55;
        (void)!sendto(s->udp, m.bytes, m.len, 0, (struct sockaddr *)&from, from_len);
        m.bytes[0] ^= 0x55;
    }
    (void)!sendto(s->udp, m.bytes, m.len, 0, (struct sockaddr *)&from, from_len);
}

/* One query for each connection, which c-ares closes after the answer. */
static inline void dns_serve_tcp(struct dns_server *s)
{
    struct dns_message m;
    unsigned char length[2];
    char name[256];
    int fd = accept(s->tcp, NULL, NULL);

    if (fd < 0)
        return;
    while (recv(fd, length, 2, MSG_WAITALL) == 2) {
        m.len = dns_get16(length);
        if (recv(fd, m.bytes, m.len, MSG_WAITALL) != (ssize_t)m.len)
            break;
        __atomic_add_fetch(&s->by_tcp, 1, __ATOMIC_RELAXED);
        if (!dns_reply(s, &m, name, true))
            break;
        length[0] = (unsigned char)(m.len >> 8);
        length[1] = (unsigned char)m.len;
        (void)!send(fd, length, 2, MSG_NOSIGNAL | MSG_MORE);
        (void)!send(fd, m.bytes, m.len, MSG_NOSIGNAL);
    }
    close(fd);
}

static inline void *dns_thread(void *arg)
{
    struct dns_server *s = arg;
    struct pollfd fds[] = {
        {.fd = s->stop, .events = POLLIN},
        {.fd = s->udp, .events = POLLIN},
        {.fd = s->tcp, .events = POLLIN},
    };

    for (;;) {
        if (poll(fds, 3, -1) < 0)
            continue;
        if (fds[0].revents)
            return NULL;
        if (fds[1].revents)
            dns_serve_udp(s);
        if (fds[2].revents)
            dns_serve_tcp(s);
    }
}

static inline int dns_bind(int type, uint16_t port)
{
    struct sockaddr_in addr = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        .sin_port = htons(port),
    };
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0);
    if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
        return fd;
    close(fd);
    return -1;
}

static inline uint16_t bound_port(int fd)
{
    struct sockaddr_in addr;
    socklen_t len = sizeof(addr);

    CHECK_EQ(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    return ntohs(addr.sin_port);
}

/* The same port for both, and HOCKET_DNS names it. */
static inline void dns_server_start(struct dns_server *s)
{
    char text[32];
    sigset_t all, old;

    *s = (struct dns_server){.tcp = -1};
    while (s->tcp < 0) {
        s->udp = dns_bind(SOCK_DGRAM, 0);
        CHECK(s->udp >= 0);
        s->port = bound_port(s->udp);
        s->tcp = dns_bind(SOCK_STREAM, s->port);
        if (s->tcp < 0)
            close(s->udp);
    }
    CHECK_EQ(listen(s->tcp, 128), 0);
    s->stop = eventfd(0, EFD_CLOEXEC);
    CHECK(s->stop >= 0);
    snprintf(text, sizeof(text), "127.0.0.1:%u", s->port);
    CHECK_EQ(setenv("HOCKET_DNS", text, 1), 0);
    sigfillset(&all);
    CHECK_EQ(pthread_sigmask(SIG_SETMASK, &all, &old), 0);
    CHECK_EQ(pthread_create(&s->thread, NULL, dns_thread, s), 0);
    CHECK_EQ(pthread_sigmask(SIG_SETMASK, &old, NULL), 0);
}

static inline void dns_server_stop(struct dns_server *s)
{
    CHECK_EQ(eventfd_write(s->stop, 1), 0);
    CHECK_EQ(pthread_join(s->thread, NULL), 0);
    close(s->stop);
    close(s->udp);
    close(s->tcp);
}

static inline uint32_t dns_queries(const struct dns_server *s)
{
    return __atomic_load_n(&s->queries, __ATOMIC_RELAXED);
}

#endif
