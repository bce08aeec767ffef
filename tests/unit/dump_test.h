/* SPDX-License-Identifier: MIT */
/* For the tests of the dump: takes one into `text`, and looks for words in it. */
#ifndef TESTS_UNIT_DUMP_TEST_H
#define TESTS_UNIT_DUMP_TEST_H

#include "child.h"

#include <hocket.h>
#include <hocket/inspect.h>

#include <sys/mman.h>

static char text[1 << 20];

static inline void take_dump(void)
{
    int fd = memfd_create("dump", MFD_CLOEXEC);
    ssize_t len;

    if (fd < 0 || hk_dump_tasks(fd) != 0)
        abort();
    len = pread(fd, text, sizeof(text) - 1, 0);
    text[len > 0 ? len : 0] = '\0';
    (void)close(fd);
}

static inline const char *find(const char *from, const char *words)
{
    const char *at = strstr(from, words);

    if (!at) {
        printf("# \"%s\" is missing in:\n", words);
        for (const char *line = from; *line;) {
            int len = (int)strcspn(line, "\n");

            printf("# | %.*s\n", len, line);
            line += len + (line[len] == '\n');
        }
        (void)fflush(stdout);
        _exit(1);
    }
    return at;
}

static inline void expect(const char *words)
{
    (void)find(text, words);
}

/* In this order, each after the one before. */
static inline void expect_in_order(const char *const *words)
{
    const char *at = text;

    for (; *words; words++)
        at = find(at, *words) + 1;
}

static inline void expect_not(const char *words)
{
    if (!strstr(text, words))
        return;
    printf("# the dump says \"%s\"\n", words);
    (void)fflush(stdout);
    _exit(1);
}

#endif
