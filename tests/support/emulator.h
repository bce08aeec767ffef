/* SPDX-License-Identifier: MIT */
/*
 * Some tests ask of the kernel what a user-mode emulator (qemu-user runs the tests of
 * the aarch64 build) does not do. They skip themselves there, and say why.
 */
#ifndef TESTS_SUPPORT_EMULATOR_H
#define TESTS_SUPPORT_EMULATOR_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* An emulator shows the program itself as /proc/self/exe, but knows no other way to
 * ask: there one sees the emulator. */
static inline bool is_emulated(void)
{
    char self[4096], thread[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self));

    return n < 0 || readlink("/proc/thread-self/exe", thread, sizeof(thread)) != n ||
           memcmp(self, thread, (size_t)n) != 0;
}

/* `what`: completes "an emulator ...". To be called by the test function itself. */
static inline void skip_if_emulated(const char *what)
{
    if (!is_emulated())
        return;
    printf("# skipped: an emulator %s\n", what);
    skip();
}

#endif
