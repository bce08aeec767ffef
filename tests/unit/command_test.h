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

enum { BIG = 8 << 20, CROWD = 100 };

static inline void check_output(const hk_command *c, const char *want)
{
    hk_output out;

    CHECK_EQ(hk_command_run(c, NULL, 0, 1 << 16, &out), 0);
    CHECK_EQ(out.status, 0);
    if (strcmp(out.out, want) != 0)
        printf("# got '%s', not '%s'\n", out.out, want);
    CHECK_EQ(strcmp(out.out, want), 0);
    CHECK_EQ(out.out_len, strlen(want));
    CHECK(!out.err);
    free(out.out);
}

#endif
