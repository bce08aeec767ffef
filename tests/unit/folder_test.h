/* SPDX-License-Identifier: MIT */
/* A directory of the test's own, below TMPDIR: made and removed as cmocka's setup and
 * teardown, of one test or of all. */
#ifndef TESTS_UNIT_FOLDER_TEST_H
#define TESTS_UNIT_FOLDER_TEST_H

#include <stdio.h>
#include <stdlib.h>

static char folder[512];

static inline int make_folder(void **state)
{
    const char *tmp = getenv("TMPDIR");

    (void)state;
    snprintf(folder, sizeof(folder), "%s/hocket-test-XXXXXX", tmp ? tmp : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

static inline int remove_folder(void **state)
{
    char command[600];

    (void)state;
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command);
}

#endif
