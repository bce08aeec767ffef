/* SPDX-License-Identifier: MIT */
/*
 * Shows that the end of a child is told once and for all to whoever waits for it, and
 * that a wait that is cancelled and a free leave no zombie and nothing running, however
 * stubborn the child. How: shells that ignore every polite signal; after each scenario
 * the test looks for children. Each scenario runs as a task and on a plain thread.
 */
#include "command_test.h"

#include <sys/syscall.h>

/* ---- helpers ---- */

static void check_gone(pid_t pid)
{
    CHECK_EQ(kill(pid, 0), -1);
    CHECK_EQ(errno, ESRCH);
}

/* Starts what would run for long and ignores polite signals. */
static hk_process *start_stubborn(void)
{
    hk_command c = {
        .args = ARGS("sh", "-c",
                     "trap '' TERM HUP INT; echo up; while :; do sleep 1; done"),
        .out = HK_STDIO_PIPE,
        .new_group = true,
    };
    hk_process *p;
    char text[8];

    CHECK_EQ(hk_command_start(&c, &p), 0);
    CHECK_EQ(hk_read(hk_process_stdout(p), text, sizeof(text)), 3);
    return p;
}

/* ---- scenarios ---- */

static int the_status_can_be_asked_for_again(void *arg)
{
    hk_command c = {.args = ARGS("sh", "-c", "exit 3")};
    hk_process *p;
    int status;

    (void)arg;
    CHECK_EQ(hk_command_start(&c, &p), 0);
    CHECK(hk_process_pid(p) > 0);
    for (int i = 0; i < 3; i++) {
        status = -1;
        CHECK_EQ(hk_process_wait(p, &status), 0);
        CHECK_EQ(WEXITSTATUS(status), 3);
    }
    CHECK_EQ(hk_process_wait(p, NULL), 0);
    CHECK_EQ(hk_process_kill(p, SIGTERM), -ESRCH);
    hk_process_free(p);
    return 0;
}

struct waiting {
    hk_process *process;
    int rc, status;
};

static int wait_for_process(void *arg)
{
    struct waiting *w = arg;

    w->rc = hk_process_wait(w->process, &w->status);
    return w->rc;
}

static int several_wait_and_all_are_told(void *arg)
{
    struct waiting waits[5];
    hk_scope s = HK_SCOPE_INIT;
    hk_process *p = start_stubborn();

    (void)arg;
    hk_scope_open(&s);
    for (int i = 0; i < 5; i++) {
        waits[i] = (struct waiting){.process = p};
        CHECK_EQ(hk_spawn(&s, wait_for_process, &waits[i]), 0);
    }
    let_others_wait();
    CHECK_EQ(hk_process_kill(p, 12345), -EINVAL);
    CHECK_EQ(hk_process_kill(p, SIGTERM), 0); /* ignored */
    CHECK_EQ(hk_process_kill(p, SIGKILL), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    for (int i = 0; i < 5; i++)
        CHECK(WIFSIGNALED(waits[i].status) && WTERMSIG(waits[i].status) == SIGKILL);
    hk_process_free(p);
    check_no_child();
    return 0;
}

static int a_cancelled_wait_kills_and_reaps(void *arg)
{
    struct waiting w = {.process = start_stubborn()};
    pid_t pid = hk_process_pid(w.process);
    int status;

    (void)arg;
    CHECK_EQ(cancel_while_waiting(wait_for_process, &w), 0);
    CHECK_EQ(w.rc, -ECANCELED);
    check_gone(pid);
    check_no_child();
    CHECK_EQ(hk_process_wait(w.process, &status), 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    hk_process_free(w.process);
    w.process = start_stubborn();
    run_to_the_deadline(wait_for_process, &w);
    check_no_child();
    hk_process_free(w.process);
    w.process = start_stubborn();
    CHECK_EQ(run_cancelled(wait_for_process, &w), -ECANCELED);
    check_no_child();
    hk_process_free(w.process);
    return 0;
}

static int free_process(void *arg)
{
    hk_process_free(arg);
    return 0;
}

static int a_freed_process_is_killed_and_reaped(void *arg)
{
    hk_process *p = start_stubborn();
    int before = open_descriptors();
    pid_t pid;

    (void)arg;
    for (int i = 0; i < 2; i++) {
        pid = hk_process_pid(p);
        CHECK_EQ(i == 0 ? free_process(p) : run_cancelled(free_process, p), 0);
        check_gone(pid);
        check_no_child();
        p = start_stubborn();
        CHECK_EQ(open_descriptors(), before);
    }
    hk_process_free(p);
    hk_process_free(NULL);
    return 0;
}

/* The shell's own child is not ours to reap: that it ends is seen by its pidfd. */
static int a_group_is_killed_as_a_whole(void *arg)
{
    hk_command c = {
        .args = ARGS("sh", "-c", "sleep 1000 & echo $!; wait"),
        .out = HK_STDIO_PIPE,
        .new_group = true,
    };
    char text[32] = "";
    hk_process *p;
    int pidfd;

    (void)arg;
    CHECK_EQ(hk_command_start(&c, &p), 0);
    CHECK(hk_read(hk_process_stdout(p), text, sizeof(text) - 1) > 1);
    pidfd = (int)syscall(SYS_pidfd_open, atoi(text), 0);
    CHECK(pidfd >= 0);
    CHECK_EQ(getpgid(hk_process_pid(p)), hk_process_pid(p));
    hk_process_free(p);
    CHECK(hk_wait_fd(pidfd, POLLIN) & POLLIN);
    CHECK_EQ(close(pidfd), 0);
    check_no_child();
    return 0;
}

static int a_status_taken_by_others_is_told(void *arg)
{
    hk_command c = {.args = ARGS("true")};
    hk_process *p;

    (void)arg;
    CHECK_EQ(hk_command_start(&c, &p), 0);
    CHECK_EQ(waitpid(hk_process_pid(p), NULL, 0), hk_process_pid(p));
    CHECK_EQ(hk_process_wait(p, NULL), -ECHILD);
    CHECK_EQ(hk_process_wait(p, NULL), -ECHILD);
    CHECK_EQ(hk_process_kill(p, SIGTERM), -ESRCH);
    hk_process_free(p);
    return 0;
}

static int start_into(void *arg)
{
    *(hk_process **)arg = start_stubborn();
    return 0;
}

static void a_process_may_outlive_the_runtime_that_started_it(void **state)
{
    hk_process *p = NULL;
    int status;

    (void)state;
    CHECK_EQ(hk_run(start_into, &p, NULL), 0);
    CHECK_EQ(hk_process_kill(p, SIGKILL), 0);
    CHECK_EQ(hk_process_wait(p, &status), 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    hk_process_free(p);
    CHECK_EQ(hk_run(start_into, &p, NULL), 0);
    hk_process_free(p);
    check_no_child();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_TASK(the_status_can_be_asked_for_again),
        ON_A_THREAD(the_status_can_be_asked_for_again),
        IN_A_TASK(several_wait_and_all_are_told),
        ON_A_THREAD(several_wait_and_all_are_told),
        IN_A_TASK(a_cancelled_wait_kills_and_reaps),
        ON_A_THREAD(a_cancelled_wait_kills_and_reaps),
        IN_A_TASK(a_freed_process_is_killed_and_reaped),
        ON_A_THREAD(a_freed_process_is_killed_and_reaped),
        IN_A_TASK(a_group_is_killed_as_a_whole),
        ON_A_THREAD(a_group_is_killed_as_a_whole),
        IN_A_TASK(a_status_taken_by_others_is_told),
        ON_A_THREAD(a_status_taken_by_others_is_told),
        cmocka_unit_test(a_process_may_outlive_the_runtime_that_started_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
