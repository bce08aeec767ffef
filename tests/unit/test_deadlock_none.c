/* SPDX-License-Identifier: MIT */
/*
 * Shows when a wait must not fail with -EDEADLK although every task waits: a timer, an
 * operation, a job of the blocking pool, an external wait or a foreign thread could
 * still wake somebody; or nobody waits. Each scenario is a child process that waits for
 * longer than the census takes to give up.
 *
 * Run: full
 */
#include "child.h"

#include <hocket.h>
#include <hocket/lowlevel.h>

#include <pthread.h>
#include <time.h>

/* What has not failed by then does not. */
#define LONG_NS (600 * HK_MILLISECOND)

static hk_event never = {.name = "never"};

static uint32_t foreign_reported; /* atomic */

static void log_line(hk_log_level level, const char *line, void *ctx)
{
    (void)ctx;
    (void)dprintf(STDERR_FILENO, "%s\n", line);
    if (level == HK_LOG_INFO && strstr(line, "that hocket does not know"))
        __atomic_add_fetch(&foreign_reported, 1, __ATOMIC_SEQ_CST);
}

static void nap(int64_t duration_ns)
{
    const struct timespec time = {.tv_nsec = (long)duration_ns};

    (void)nanosleep(&time, NULL);
}

/* Unknown to hocket until it wakes the other. */
static void *foreigner(void *arg)
{
    for (int i = 0; i < 1000 && !__atomic_load_n(&foreign_reported, __ATOMIC_SEQ_CST);
         i++)
        nap(10 * HK_MILLISECOND);
    hk_event_set(&never);
    return arg;
}

static int waits_to_be_woken(void *arg)
{
    int rc = hk_event_wait(&never);

    (void)arg;
    return rc;
}

static int body_foreign(void)
{
    pthread_t thread;
    int rc;

    hk_log_to(log_line, NULL);
    if (pthread_create(&thread, NULL, foreigner, NULL) != 0)
        return 2;
    rc = hk_run(waits_to_be_woken, NULL, NULL);
    (void)pthread_join(thread, NULL);
    return rc == 0 && foreign_reported == 1 ? 0 : 1;
}

static void a_foreign_thread_might_wake_somebody(void **state)
{
    struct child child = run_child_alone(body_foreign);

    (void)state;
    expect_exit(&child, 0);
    expect_no_words(&child, "-EDEADLK");
    expect_words(&child, "1 tasks and 0 threads wait for what only 1 threads that "
                         "hocket does not know could do");
}

static int sets_later(void *arg)
{
    (void)arg;
    (void)hk_sleep(LONG_NS);
    hk_event_set(&never);
    return 0;
}

static int waits_for_a_sleeper(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    int rc;

    (void)arg;
    hk_scope_open(&s);
    hk_spawn(&s, sets_later, NULL);
    rc = hk_event_wait(&never);
    return hk_scope_join(&s) + rc;
}

static int body_timer(void)
{
    return hk_run(waits_for_a_sleeper, NULL, NULL) == 0 ? 0 : 1;
}

static int waits_with_a_deadline(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    int rc;

    (void)arg;
    hk_scope_open(&s);
    hk_scope_deadline(&s, hk_now() + LONG_NS);
    rc = hk_event_wait(&never);
    return hk_scope_join(&s) == -ETIMEDOUT && rc == -ECANCELED ? 0 : -1;
}

static int body_deadline(void)
{
    return hk_run(waits_with_a_deadline, NULL, NULL) == 0 ? 0 : 1;
}

/* The thread has a deadline, and then the main thread. */
static int body_thread_deadline(void)
{
    return waits_with_a_deadline(NULL) == 0 ? 0 : 1;
}

static int pipe_fds[2];

/* Another process: no thread of ours, and no signal, which TSan would hold back. */
static void writes_in_a_while(void)
{
    if (fork() != 0)
        return;
    nap(LONG_NS);
    _exit(write(pipe_fds[1], "x", 1) == 1 ? 0 : 1);
}

static int sets_after_reading(void *arg)
{
    hk_fd in;
    char byte;
    int rc;

    (void)arg;
    if (hk_fd_adopt(pipe_fds[0], HK_FD_STREAM, &in) < 0)
        return -1;
    rc = (int)hk_read(in, &byte, 1);
    hk_event_set(&never);
    (void)hk_close(in);
    return rc == 1 ? 0 : -1;
}

static int waits_for_a_reader(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    int rc;

    (void)arg;
    hk_scope_open(&s);
    hk_spawn(&s, sets_after_reading, NULL);
    rc = hk_event_wait(&never);
    return hk_scope_join(&s) + rc;
}

static int body_io(void)
{
    if (pipe(pipe_fds) < 0)
        return 2;
    writes_in_a_while();
    return hk_run(waits_for_a_reader, NULL, NULL) == 0 ? 0 : 1;
}

static int blocks_for_long(void *arg)
{
    (void)arg;
    nap(LONG_NS);
    return 5;
}

static int sets_after_work(void *arg)
{
    hk_op op;
    int rc;

    (void)arg;
    hk_op_work(&op, blocks_for_long, NULL);
    rc = hk_op_run(&op);
    hk_event_set(&never);
    return rc == 5 ? 0 : -1;
}

static int waits_for_work(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    int rc;

    (void)arg;
    hk_scope_open(&s);
    hk_spawn(&s, sets_after_work, NULL);
    rc = hk_event_wait(&never);
    return hk_scope_join(&s) + rc;
}

static int body_work(void)
{
    return hk_run(waits_for_work, NULL, NULL) == 0 ? 0 : 1;
}

static const hk_wait_kind outside_kind = {.name = "the outside", .external = true};

static hk_verdict undo(hk_waiter *w)
{
    (void)w;
    return HK_ABORTED;
}

static int waits_for_the_outside(void *arg)
{
    hk_waiter w;

    (void)arg;
    hk_waiter_init(&w, &outside_kind, NULL);
    return hk_park(&w, undo);
}

static int app_external(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open(&s);
    hk_spawn(&s, waits_for_the_outside, NULL);
    (void)hk_event_wait(&never);
    return hk_scope_join(&s);
}

/* It waits for ever: so in a process that is looked at, and ended, from here. */
static int body_external(void)
{
    pid_t pid = fork();
    int status;

    if (pid == 0)
        _exit(hk_run(app_external, NULL, NULL) == 0 ? 1 : 2);
    nap(LONG_NS);
    if (waitpid(pid, &status, WNOHANG) != 0)
        return 1;
    (void)kill(pid, SIGKILL);
    return waitpid(pid, &status, 0) == pid ? 0 : 2;
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* The background runtime stays, and nobody waits for it. */
static int body_background(void)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    hk_spawn(&s, nothing, NULL);
    if (hk_scope_join(&s) != 0)
        return 1;
    return hk_sleep(LONG_NS) == 0 ? 0 : 2;
}

static void expect_no_deadlock(int (*body)(void))
{
    struct child child = run_child_alone(body);

    expect_exit(&child, 0);
    expect_no_words(&child, "deadlock");
}

static void a_timer_will_wake_somebody(void **state)
{
    (void)state;
    expect_no_deadlock(body_timer);
    expect_no_deadlock(body_deadline);
    expect_no_deadlock(body_thread_deadline);
}

static void an_operation_may_wake_somebody(void **state)
{
    (void)state;
    expect_no_deadlock(body_io);
}

static void a_job_of_the_pool_will_wake_somebody(void **state)
{
    (void)state;
    expect_no_deadlock(body_work);
}

static void an_external_wait_never_counts(void **state)
{
    (void)state;
    expect_no_deadlock(body_external);
}

static void an_idle_background_runtime_is_none(void **state)
{
    (void)state;
    expect_no_deadlock(body_background);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_foreign_thread_might_wake_somebody),
        cmocka_unit_test(a_timer_will_wake_somebody),
        cmocka_unit_test(an_operation_may_wake_somebody),
        cmocka_unit_test(a_job_of_the_pool_will_wake_somebody),
        cmocka_unit_test(an_external_wait_never_counts),
        cmocka_unit_test(an_idle_background_runtime_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
