/* SPDX-License-Identifier: MIT */
/*
 * Runs the contract tests of the locks anew with the checks on: they pass as without,
 * and the checks find nothing to report in them, as nothing in them is wrong.
 *
 * Run: full, limit=400, builds=plain asan
 */
#include "support/core_test.h"

#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <spawn.h>

enum { TEXT_SIZE = 1 << 16 };

static void find_beside(const char *name, char *path, size_t size)
{
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

    assert_true(len > 0);
    self[len] = '\0';
    assert_true(snprintf(path, size, "%s/%s", dirname(self), name) < (int)size);
}

/* Its status, and what it wrote to standard error; the rest is not wanted. */
static int run_checked(const char *path, char *text, size_t size)
{
    char *args[] = {(char *)path, NULL};
    posix_spawn_file_actions_t actions;
    int ends[2], status;
    size_t used = 0;
    ssize_t len;
    pid_t child;

    assert_int_equal(setenv("HOCKET_CHECK", "locks,hold=never", 1), 0);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    assert_int_equal(posix_spawn(&child, path, &actions, NULL, args, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    while (used < size - 1 && (len = read(ends[0], text + used, size - 1 - used)) > 0)
        used += (size_t)len;
    text[used] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

/* Of other reports a busy machine may have its own: a task that got no processor. */
static bool has_report(const char *text)
{
    return strstr(text, "hocket: lock order") || strstr(text, "hocket: deadlock") ||
           strstr(text, "hocket: held long");
}

static void passes_and_nothing_is_reported(void **state)
{
    static char text[TEXT_SIZE];
    char path[PATH_MAX];
    int status;

    find_beside(*state, path, sizeof(path));
    status = run_checked(path, text, sizeof(text));
    if (status != 0 || has_report(text))
        printf("# status %#x: %s\n", (unsigned)status, text);
    assert_int_equal(status, 0);
    assert_false(has_report(text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"test_sync_contract", passes_and_nothing_is_reported, NULL, NULL,
         (char[]){"contract-test_sync_contract"}},
        {"test_sync_cases", passes_and_nothing_is_reported, NULL, NULL,
         (char[]){"contract-test_sync_cases"}},
        {"test_sync_stress", passes_and_nothing_is_reported, NULL, NULL,
         (char[]){"contract-test_sync_stress"}},
        {"test_sync_crowd", passes_and_nothing_is_reported, NULL, NULL,
         (char[]){"contract-test_sync_crowd"}},
        {"test_mutex", passes_and_nothing_is_reported, NULL, NULL,
         (char[]){"unit-test_mutex"}},
        {"test_rwlock", passes_and_nothing_is_reported, NULL, NULL,
         (char[]){"unit-test_rwlock"}},
        {"test_lock_many", passes_and_nothing_is_reported, NULL, NULL,
         (char[]){"unit-test_lock_many"}},
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
