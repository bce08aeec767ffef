/* SPDX-License-Identifier: MIT */
/* For the tests of reading and writing: children that wait in one, to be cancelled. */
#ifndef TESTS_UNIT_FD_TEST_H
#define TESTS_UNIT_FD_TEST_H

#include "unit/io_test.h"

enum { BIG = 8 * 1024 * 1024 }; /* more than any pipe or socket takes */

static inline int read_byte(void *arg)
{
    hk_fd *fd = arg;
    char byte;
    ssize_t n = hk_read(*fd, &byte, 1);

    return n < 0 ? (int)n : byte;
}

static inline int expect_cancelled_read(void *arg)
{
    CHECK_EQ(read_byte(arg), -ECANCELED);
    return 0;
}

struct transfer {
    hk_fd fd;
    size_t done;
};

static inline int write_too_much(void *arg)
{
    struct transfer *t = arg;
    char *buf = calloc(1, BIG);
    int rc = hk_write_all(t->fd, buf, BIG, &t->done);

    free(buf);
    CHECK_EQ(rc, -ECANCELED);
    return 0;
}

#endif
