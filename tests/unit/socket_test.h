/* SPDX-License-Identifier: MIT */
/* For the tests of sockets: addresses, and a few words over a connection. */
#ifndef TESTS_UNIT_SOCKET_TEST_H
#define TESTS_UNIT_SOCKET_TEST_H

#include "unit/io_test.h"

static inline hk_addr parse(const char *text)
{
    hk_addr addr;

    CHECK_EQ(hk_addr_parse(text, &addr), 0);
    return addr;
}

/* Another one each time: `form` has the places of two numbers. */
static inline void unix_address(hk_addr *out, const char *form)
{
    static int count;
    char text[128];

    snprintf(text, sizeof(text), form, getpid(), ++count);
    *out = parse(text);
}

static inline void talk(hk_fd a, hk_fd b)
{
    char buf[8];

    CHECK_EQ(hk_write(a, "ping", 4), 4);
    CHECK_EQ(hk_read(b, buf, sizeof(buf)), 4);
    CHECK_EQ(hk_write(b, "pong!", 5), 5);
    CHECK_EQ(hk_read(a, buf, sizeof(buf)), 5);
}

static inline void close_ends(hk_fd a, hk_fd b)
{
    CHECK_EQ(hk_close(a), 0);
    CHECK_EQ(hk_close(b), 0);
}

#endif
