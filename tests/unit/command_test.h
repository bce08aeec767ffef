/* SPDX-License-Identifier: MIT */
/* For the tests of commands and processes: what no scenario may leave behind. */
#ifndef TESTS_UNIT_COMMAND_TEST_H
#define TESTS_UNIT_COMMAND_TEST_H

#include "io_test.h"

#include <sys/wait.h>

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* No child, not even a dead one. */
static inline void check_no_child(void)
{
    CHECK_EQ(waitpid(-1, NULL, WNOHANG), -1);
    CHECK_EQ(errno, ECHILD);
}

#endif
