/* SPDX-License-Identifier: MIT */
/*
 * docs/rules.md, rule 34, each test named after it: what a child of fork may do, and
 * what becomes of the threads, workers and jobs that only its parent has.
 */
#include "rules_child_test.h"

#include <semaphore.h>

/* ---- 34: fork ---- */

/* Forks in a task; the child calls `fn` and must die of a panic that names fork. */
static int fork_and_call(hk_task_fn *fn)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        (void)fn(NULL);
        _exit(0);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT ? 0 : -EIO;
}

static int call_yield(void *arg)
{
    (void)arg;
    return hk_yield();
}

static int call_sleep(void *arg)
{
    (void)arg;
    return hk_sleep(1);
}

static int call_run(void *arg)
{
    return hk_run(call_yield, arg, NULL);
}

static int call_scope(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open(&s);
    hk_spawn(&s, call_yield, NULL);
    return hk_scope_join(&s);
}

static int call_event(void *arg)
{
    hk_event e = HK_EVENT_INIT;

    (void)arg;
    return hk_event_wait(&e);
}

static int call_read(void *arg)
{
    hk_fd fds[2];
    char byte;

    (void)arg;
    if (hk_pipe(fds) < 0)
        return -1;
    return (int)hk_read(fds[0], &byte, 1);
}

static hk_task_fn *const forbidden[] = {call_yield, call_sleep, call_run,
                                        call_scope, call_event, call_read};

static int fork_in_a_task(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++)
        CHECK_EQ(fork_and_call(forbidden[i]), 0);
    CHECK_EQ(hk_sleep(1), 0); /* the parent goes on */
    return 0;
}

CHILD_TEST(rule_34_hk_calls_panic_in_a_child_of_fork, 0)
{
    return hk_run(fork_in_a_task, NULL, NULL);
}

static int fork_and_exec(void *arg)
{
    pid_t child = fork();
    int status;

    (void)arg;
    if (child == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? -WEXITSTATUS(status) : -1;
}

CHILD_TEST(rule_34_a_child_of_fork_may_exec, 0)
{
    return hk_run(fork_and_exec, NULL, NULL);
}

HK_FN_LOCAL(void, blocks_until, (sem_t *, gate))
{
    while (sem_wait(gate) != 0)
        ;
}

/* There are threads, and a job that an exit of the parent would wait for. */
CHILD_TEST(rule_34_exit_in_a_child_of_fork_ends_that_child, 0)
{
    const hk_job_options detached = {.detached = true};
    hk_executor_view view;
    sem_t gate;

    sem_init(&gate, 0, 0);
    rule_24_job(hk_tasks());
    hk_future_free(
        blocks_until_on(hk_in_process(hk_with(&view, hk_threads(), &detached)), &gate));
    for (int i = 0; i < scaled(20, 2); i++) { /* TSan sleeps a second at each exit */
        pid_t child = fork();
        int status;

        if (child == 0)
            exit(7);
        CHECK_EQ(waitpid(child, &status, 0), child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    }
    sem_post(&gate);
    exit(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rule_34_hk_calls_panic_in_a_child_of_fork),
        cmocka_unit_test(rule_34_a_child_of_fork_may_exec),
        cmocka_unit_test(rule_34_exit_in_a_child_of_fork_ends_that_child),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
