/* SPDX-License-Identifier: MIT */
/*
 * Scenarios in a process of their own, for what ends a process or changes its signals:
 * a child runs `body`, and what it writes to standard error is collected. The parent
 * must not have a runtime running.
 */
#ifndef TESTS_UNIT_CHILD_H
#define TESTS_UNIT_CHILD_H

#include "base/annotate.h"
#include "support/emulator.h"
#include "sys/os.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { CHILD_TEXT_MAX = 1 << 20, CHILD_LIMIT_S = 60 };

struct child {
    int status; /* as from waitpid */
    char *text; /* of standard error; static */
};

static inline void child_runs(int (*body)(void), int output)
{
    const struct rlimit no_core = {0, 0};

    (void)setrlimit(RLIMIT_CORE, &no_core);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)alarm(CHILD_LIMIT_S);
    for (int signo = SIGILL; signo <= SIGSEGV; signo++) /* cmocka's handlers */
        (void)signal(signo, SIG_DFL);
    (void)dup2(output, STDERR_FILENO);
    _exit(body());
}

static inline struct child run_child(int (*body)(void))
{
    static char text[CHILD_TEXT_MAX];
    struct child child = {.text = text};
    size_t used = 0;
    ssize_t len;
    int fds[2];
    pid_t pid;

    assert_int_equal(pipe(fds), 0);
    (void)fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)close(fds[0]);
        child_runs(body, fds[1]);
    }
    (void)close(fds[1]);
    while (used < sizeof(text) - 1 &&
           (len = read(fds[0], text + used, sizeof(text) - 1 - used)) > 0)
        used += (size_t)len;
    text[used] = '\0';
    (void)close(fds[0]);
    assert_int_equal(waitpid(pid, &child.status, 0), pid);
    return child;
}

/* The same, where the process has no threads but the program's: emulators have. */
static inline struct child run_child_alone(int (*body)(void))
{
#ifdef HKI_TSAN
    const bool with_deaf = false; /* its own threads are of that kind */
#else
    const bool with_deaf = true;
#endif
    skip_if_emulated("has threads of its own");
    if (hki_os_thread_count(with_deaf) != 1) {
        printf("# skipped: the process has threads that are not ours\n");
        skip();
    }
    return run_child(body);
}

/* Of one that is no child of ours, so that nobody tells us: we look. It may be a zombie
 * until init has looked, too. */
static inline void await_end_of_process(pid_t pid)
{
    assert_true(pid > 0);
    while (kill(pid, 0) == 0)
        (void)usleep(1000);
}

static inline void child_print(const struct child *child)
{
    const char *line = child->text;

    while (*line) {
        int len = (int)strcspn(line, "\n");

        printf("# | %.*s\n", len, line);
        line += len + (line[len] == '\n');
    }
}

static inline void child_expect(const struct child *child, bool fine, const char *what)
{
    if (fine)
        return;
    printf("# not so: %s (status 0x%x); standard error was:\n", what,
           (unsigned)child->status);
    child_print(child);
    fail_msg("%s", what);
}

static inline bool child_said(const struct child *child, const char *words)
{
    return strstr(child->text, words) != NULL;
}

static inline void expect_words(const struct child *child, const char *words)
{
    child_expect(child, child_said(child, words), words);
}

static inline void expect_no_words(const struct child *child, const char *words)
{
    if (child_said(child, words))
        printf("# it must not say:\n");
    child_expect(child, !child_said(child, words), words);
}

static inline void expect_exit(const struct child *child, int status)
{
    child_expect(child,
                 WIFEXITED(child->status) && WEXITSTATUS(child->status) == status,
                 "the child exits as expected");
}

static inline void expect_abort(const struct child *child)
{
    child_expect(child,
                 WIFSIGNALED(child->status) && WTERMSIG(child->status) == SIGABRT,
                 "the child aborts");
}

#endif
