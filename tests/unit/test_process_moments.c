/* SPDX-License-Identifier: MIT */
/*
 * Shows that a worker may be stopped, killed or go wrong at moments that seldom come by
 * themselves: after its result was written and before the program has read it, while it
 * has no job, in its initializer; and that what it writes to descriptors that it was
 * not given hurts nobody. How: a process that a job has forked stops the program,
 * waits until the worker sleeps, kills it, and lets the program go on.
 */
#include "unit/process_test.h"

#include <hocket/shared.h>

enum { RESULT = 11, LARGE_RESULT = 100000 };

/* ---- what runs in workers, and beside them ---- */

/* What the kernel says of a process: 'S', it sleeps; 'Z', it has ended; 0: unknown. */
static char state_of(pid_t pid)
{
    char path[64], text[256] = "";
    const char *end;
    ssize_t len;
    int fd;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 'Z';
    len = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    end = len > 0 ? strrchr(text, ')') : NULL;
    return end && end[1] ? end[2] : 0;
}

static void await_state(pid_t pid, char wanted)
{
    while (state_of(pid) != wanted)
        (void)usleep(1000);
}

struct moment {
    uint32_t is_returning; /* atomic: the job has nothing more to do */
};

/* The program is stopped since before the job's return. A worker that sleeps has
 * written its result, and waits for the next job. */
static _Noreturn void kill_between(pid_t program, pid_t worker, struct moment *moment)
{
    while (!__atomic_load_n(&moment->is_returning, __ATOMIC_ACQUIRE))
        (void)usleep(1000);
    await_state(worker, 'S');
    (void)kill(worker, SIGKILL);
    await_state(worker, 'Z');
    (void)kill(program, SIGCONT);
    _exit(0);
}

HK_FN(hk_bytes, return_and_be_killed, (hk_shared, shared), (int, program),
      (size_t, size))
{
    struct moment *moment = hk_shared_data(shared);
    const pid_t worker = getpid();
    char *result = malloc(size);

    memset(result, RESULT, size);
    (void)kill(program, SIGSTOP);
    await_state(program, 'T');
    if (fork() == 0)
        kill_between(program, worker, moment);
    __atomic_store_n(&moment->is_returning, 1, __ATOMIC_RELEASE);
    return (hk_bytes){result, size};
}

HK_FN(int, own_pid)
{
    return (int)getpid();
}

/* To all descriptors but those for output; returns how many have taken it. */
HK_FN(int, write_to_descriptors)
{
    char junk[512];
    int count = 0;

    memset(junk, 0xa5, sizeof(junk));
    for (int fd = 0; fd < 100; fd++)
        if (fd != STDOUT_FILENO && fd != STDERR_FILENO &&
            fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
            count += write(fd, junk, sizeof(junk)) > 0;
    return count;
}

static int init_crashes(hk_bytes input, hk_result *result)
{
    (void)input;
    (void)result;
    (void)signal(SIGSEGV, SIG_DFL);
    return raise(SIGSEGV);
}

/* ---- tests ---- */

/* In a process of its own, which is stopped. */
static int reads_the_result_of_a_dead_worker(void)
{
    hk_executor *pool = pool_with(1);
    hk_shared shared;

    expect_add(pool, 1, 2);
    assert_int_equal(hk_shared_alloc(sizeof(struct moment), &shared), 0);
    for (int i = 0; i < 6; i++) {
        size_t size = i % 2 ? LARGE_RESULT : 8;
        hk_future *future;
        hk_bytes got;

        memset(hk_shared_data(shared), 0, sizeof(struct moment));
        future = return_and_be_killed_on(pool, shared, (int)getpid(), size);
        if (return_and_be_killed_await(future, &got) != 0 || got.size != size)
            return 1;
        for (size_t at = 0; at < size; at++)
            if (((const char *)got.data)[at] != RESULT)
                return 2;
        hk_future_free(future);
        expect_add(pool, 1, 2);
    }
    hk_shared_free(shared);
    if (stats_of(pool).lost > 0) /* none of them had a job */
        return 3;
    hk_executor_free(pool);
    return 0;
}

static void a_result_that_was_written_before_the_death_is_read(void **state)
{
    struct child child;

    (void)state;
    skip_if_emulated("stops threads one by one");
    child = run_child(reads_the_result_of_a_dead_worker);
    expect_exit(&child, 0);
}

static pid_t idle_worker(hk_executor *pool)
{
    hk_future *future = own_pid_on(pool);
    int pid;

    assert_int_equal(own_pid_await(future, &pid), 0);
    hk_future_free(future);
    return pid;
}

/* The job that finds it so is not begun, and another worker has it. */
static void an_idle_worker_that_was_stopped_is_replaced(void **state)
{
    hk_executor *pool = pool_with(1);

    (void)state;
    for (int i = 0; i < 3; i++) {
        pid_t pid = idle_worker(pool);

        assert_int_equal(kill(pid, SIGSTOP), 0);
        await_state(pid, 'T');
        assert_int_not_equal(idle_worker(pool), pid);
    }
    assert_int_equal(stats_of(pool).lost, 0);
    hk_executor_free(pool);
}

/* The next job is handed over before, while or after the death becomes known. A worker
 * that has just been awake may even begin it. */
static void an_idle_worker_that_was_killed_is_replaced(void **state)
{
    hk_executor *pool = pool_with(1);
    uint64_t lost = 0;

    (void)state;
    for (int i = 0; i < 60; i++) {
        pid_t pid = idle_worker(pool);
        int rc;

        assert_int_equal(kill(pid, SIGKILL), 0);
        if (i % 3 > 0)
            (void)usleep(i % 3 == 1 ? 30 : 3000);
        rc = await_and_free(add_on(pool, 1, 2));
        assert_true(rc == 0 || rc == -EOWNERDEAD);
        lost += rc < 0;
        await_state(pid, 'Z');
        assert_int_not_equal(idle_worker(pool), pid);
    }
    assert_int_equal(stats_of(pool).lost, lost);
    hk_executor_free(pool);
}

static void junk_in_descriptors_hurts_nobody(void **state)
{
    hk_executor *pool = pool_with(1);
    pid_t pid = idle_worker(pool);

    (void)state;
    assert_int_equal(await_and_free(write_to_descriptors_on(pool)), 0);
    assert_int_equal(idle_worker(pool), pid);
    assert_int_equal(await_and_free(die_by_on(pool, SIGKILL)), -EOWNERDEAD);
    expect_add(pool, 1, 2);
    hk_executor_free(pool);
}

static void an_initializer_that_crashes_fails_the_jobs(void **state)
{
    hk_executor *pool =
        pool_of(&(hk_process_options){.workers_max = 1, .init = init_crashes});

    (void)state;
    assert_int_equal(await_and_free(add_on(pool, 1, 2)), -EOWNERDEAD);
    assert_int_equal(stats_of(pool).degraded, -EOWNERDEAD);
    assert_int_equal(stats_of(pool).lost, 0);
    hk_executor_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* first: what forks must not have threads */
        cmocka_unit_test(a_result_that_was_written_before_the_death_is_read),
        forked_unit_test(an_idle_worker_that_was_stopped_is_replaced),
        forked_unit_test(an_idle_worker_that_was_killed_is_replaced),
        forked_unit_test(junk_in_descriptors_hurts_nobody),
        cmocka_unit_test(an_idle_worker_that_was_stopped_is_replaced),
        cmocka_unit_test(an_idle_worker_that_was_killed_is_replaced),
        cmocka_unit_test(junk_in_descriptors_hurts_nobody),
        cmocka_unit_test(an_initializer_that_crashes_fails_the_jobs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
