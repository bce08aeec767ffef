/* SPDX-License-Identifier: MIT */
/*
 * CHECK and CHECK_EQ, for what runs on a task's stack, too: a failed one says what was
 * not so and ends the program. An assertion of cmocka would longjmp off the task.
 */
#ifndef TESTS_SUPPORT_CHECK_H
#define TESTS_SUPPORT_CHECK_H

#include <hocket/base.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#define CHECK(condition)                                                               \
    do {                                                                               \
        if (!(condition))                                                              \
            check_failed(__FILE__, __LINE__, #condition, 0, 1);                        \
    } while (0)

/* Both sides are integers; the message shows what they were. */
#define CHECK_EQ(got, want)                                                            \
    do {                                                                               \
        intmax_t got_ = (intmax_t)(got), want_ = (intmax_t)(want);                     \
        if (got_ != want_)                                                             \
            check_failed(__FILE__, __LINE__, #got " == " #want, got_, want_);          \
    } while (0)

/* What a test that does one thing in many ways is at; the message ends with it. */
static const char *check_doing = "";

__attribute__((noreturn, unused)) static void check_failed(const char *file, int line,
                                                           const char *what,
                                                           intmax_t got, intmax_t want)
{
    printf("# %s:%d: not so: %s (%jd, not %jd) %s\n", file, line, what, got, want,
           check_doing);
    if (got < 0 && got > -200)
        printf("# that is: %s\n", hk_error_text((int)got));
    fflush(stdout);
    _exit(1);
}

#endif
