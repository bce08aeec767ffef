/* SPDX-License-Identifier: MIT */
/*
 * Shows what HOCKET_CHECK does: each word is obeyed; a wrong one is told, and changes
 * nothing; and that nothing is checked is told, too. The program starts itself anew for
 * each wish, holds a lock for 150 ms of its virtual clock, and says in its status what
 * was switched on.
 */
#include "support/core_test.h"
#include "support/emulator.h"

#include <hocket/check.h>

#include <spawn.h>

extern char **environ;

static char said[4096];

static int hold_the_ledger(void *arg)
{
    hk_mutex ledger = {.name = "ledger"};

    (void)arg;
    CHECK_EQ(hk_mutex_lock(&ledger), 0);
    CHECK_EQ(hk_sleep(150 * HK_MILLISECOND), 0);
    hk_mutex_unlock(&ledger);
    return 0;
}

/* Whether the checks were on; what was said is in `said`. */
static bool checked_with(const char *wish)
{
    char *args[] = {(char[]){"test"}, (char[]){"child"}, NULL};
    posix_spawn_file_actions_t actions;
    size_t used = 0;
    ssize_t len;
    int ends[2], status;
    pid_t child;

    CHECK_EQ(setenv("HOCKET_CHECK", wish, 1), 0);
    CHECK_EQ(pipe(ends), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    CHECK_EQ(posix_spawn(&child, "/proc/self/exe", &actions, NULL, args, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    while (used < sizeof(said) - 1 &&
           (len = read(ends[0], said + used, sizeof(said) - 1 - used)) > 0)
        used += (size_t)len;
    said[used] = '\0';
    close(ends[0]);
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(unsetenv("HOCKET_CHECK"), 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
    return WEXITSTATUS(status) == 1;
}

static bool is_said(const char *words)
{
    return strstr(said, words) != NULL;
}

static void its_words_are_obeyed(void **state)
{
    (void)state;
    skip_if_emulated("cannot start this program anew");
    CHECK(checked_with("locks"));
    CHECK(is_said("held long: task 'main' held mutex 'ledger'"));
    CHECK(checked_with("locks,hold=never"));
    CHECK_EQ(strlen(said), 0);
    CHECK(checked_with("hold=60000,report,locks"));
    CHECK_EQ(strlen(said), 0);
    CHECK(!checked_with(""));
    CHECK_EQ(strlen(said), 0);
}

static void a_wrong_word_is_told_and_changes_nothing(void **state)
{
    static const char *const wrong[] = {
        "hold=abc", "hold=", "hold=0", "hold=-3", "hold=99999999999999999999", "lock"};

    (void)state;
    skip_if_emulated("cannot start this program anew");
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        char wish[64], words[64];

        snprintf(wish, sizeof(wish), "locks,%s", wrong[i]);
        snprintf(words, sizeof(words), "unknown word '%s'", wrong[i]);
        CHECK(checked_with(wish));
        CHECK(is_said(words));
        CHECK(is_said("held long"));
    }
}

static void that_nothing_is_checked_is_told(void **state)
{
    static const char *const wishes[] = {"lock", "report", "hold=5"};

    (void)state;
    skip_if_emulated("cannot start this program anew");
    for (size_t i = 0; i < sizeof(wishes) / sizeof(*wishes); i++) {
        CHECK(!checked_with(wishes[i]));
        CHECK(is_said("nothing is checked without the word 'locks'"));
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_words_are_obeyed),
        cmocka_unit_test(a_wrong_word_is_told_and_changes_nothing),
        cmocka_unit_test(that_nothing_is_checked_is_told),
    };

    if (argc > 1 && strcmp(argv[1], "child") == 0)
        return run_virtual(hold_the_ledger, NULL) < 0 ? 2 : (int)hk_checks();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
