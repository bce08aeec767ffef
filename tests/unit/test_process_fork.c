/* SPDX-License-Identifier: MIT */
/*
 * Shows what is special about workers that are forked: they see the memory of the
 * program as it was when the pool was made, and nothing else of it: no descriptor, no
 * handler, no output that was not written yet; that the pool is refused where a fork
 * could hang; and that nothing is left of it. What they have in common with all others
 * is shown by the other tests of process pools, which run over both kinds. How: each
 * pool is made in a process of its own, which has one thread.
 */
#include "unit/process_test.h"

#include <hocket/event.h>

/* ---- what runs in workers ---- */

enum { TABLE_SIZE = 1 << 20 };

static unsigned char *table; /* made by the program */
static int descriptor;       /* opened by the program */
static hk_executor *former;  /* a pool that was made before */

HK_FN(long, sum_table)
{
    long sum = 0;

    for (int i = 0; i < TABLE_SIZE; i++)
        sum += table[i];
    return sum;
}

HK_FN(void, fill_table, (int, byte))
{
    memset(table, byte, TABLE_SIZE);
}

HK_FN(int, is_open)
{
    return fcntl(descriptor, F_GETFD) >= 0;
}

HK_FN(int, catches, (int, signo))
{
    struct sigaction now;

    return sigaction(signo, NULL, &now) == 0 && now.sa_handler != SIG_DFL;
}

static void say_bye(void)
{
    (void)!write(STDERR_FILENO, "worker's handler\n", 17);
}

HK_FN(void, exit_by, (int, status))
{
    (void)atexit(say_bye);
    (void)printf("worker's output\n");
    exit(status);
}

HK_FN(int, use_former)
{
    return await_and_free(add_on(former, 1, 2));
}

static int add_in_thread(void *arg)
{
    hk_future *future = add_on(hk_threads(), 1, 2);

    (void)arg;
    return await_and_free(future);
}

static int wait_for_nobody(void *arg)
{
    hk_event event = HK_EVENT_INIT;

    (void)arg;
    return hk_event_wait(&event);
}

/* With waits, threads, runtimes of its own, one of which is found to be dead. */
HK_FN(int, use_hocket)
{
    int rc = hk_sleep(HK_MILLISECOND);

    if (rc == 0)
        rc = hk_run(wait_for_nobody, NULL, NULL) == -EDEADLK ? 0 : -EINVAL;
    return rc < 0 ? rc : hk_run(add_in_thread, NULL, NULL);
}

HK_FN(int, parent_pid)
{
    return (int)getppid();
}

/* ---- in processes of their own ---- */

static hk_executor *forking_pool(uint32_t workers)
{
    how_to_start = HK_START_FORK;
    return pool_with(workers);
}

static int int_of(hk_future *future)
{
    int value = -1;
    hk_bytes bytes;

    assert_int_equal(hk_future_await(future, &bytes), 0);
    memcpy(&value, bytes.data, sizeof(value));
    hk_future_free(future);
    return value;
}

static long table_sum(hk_executor *pool)
{
    hk_future *future = sum_table_on(pool);
    long sum = -1;

    assert_int_equal(sum_table_await(future, &sum), 0);
    hk_future_free(future);
    return sum;
}

static void workers_see_what_the_program_has_made(void **state)
{
    hk_executor *pool;

    (void)state;
    table = malloc(TABLE_SIZE);
    memset(table, 1, TABLE_SIZE);
    pool = forking_pool(1);
    assert_int_equal(table_sum(pool), TABLE_SIZE);
    memset(table, 2, TABLE_SIZE); /* too late */
    assert_int_equal(table_sum(pool), TABLE_SIZE);
    assert_int_equal(await_and_free(fill_table_on(pool, 3)), 0);
    assert_int_equal(table_sum(pool), 3 * TABLE_SIZE); /* each has its own */
    assert_int_equal(table[0], 2);
    assert_int_equal(await_and_free(die_by_on(pool, SIGKILL)), -EOWNERDEAD);
    assert_int_equal(table_sum(pool), TABLE_SIZE); /* the next is as the first was */
    hk_executor_free(pool);
    free(table);
}

static void on_signal(int signo)
{
    (void)signo;
}

static void workers_have_no_descriptor_and_no_handler_of_the_program(void **state)
{
    hk_executor *pool;

    (void)state;
    descriptor = dup(STDERR_FILENO);
    (void)signal(SIGUSR1, on_signal);
    pool = forking_pool(1);
    assert_int_equal(int_of(is_open_on(pool)), 0);
    assert_int_equal(int_of(catches_on(pool, SIGUSR1)), 0);
    hk_executor_free(pool);
}

static void workers_use_hocket_as_any_process_does(void **state)
{
    hk_executor *pool;
    hk_scope s;

    (void)state;
    hk_scope_open(&s);
    hk_scope_cancel(&s); /* it is the program's thread's, not theirs */
    pool = forking_pool(1);
    assert_int_equal(hk_scope_join(&s), 0);
    assert_int_equal(int_of(use_hocket_on(pool)), 0);
    hk_executor_free(pool);
}

static void a_pool_that_was_made_before_is_refused_in_workers(void **state)
{
    hk_executor *pool;

    (void)state;
    assert_int_equal(hk_process_pool_new(NULL, &former), 0);
    pool = forking_pool(1);
    assert_int_equal(int_of(use_former_on(pool)), -EDEADLK);
    expect_add(former, 1, 2);
    hk_executor_free(pool);
    hk_executor_free(former);
}

static void several_templates_may_be_made_one_after_the_other(void **state)
{
    hk_executor *pools[3];

    (void)state;
    table = malloc(TABLE_SIZE);
    for (int i = 0; i < 3; i++) {
        memset(table, i, TABLE_SIZE);
        pools[i] = forking_pool(1);
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(table_sum(pools[i]), i * TABLE_SIZE);
    for (int i = 0; i < 3; i++)
        hk_executor_free(pools[i]);
    free(table);
}

static void without_its_template_the_pool_is_degraded_and_says_so(void **state)
{
    hk_executor *pool = forking_pool(2);
    pid_t template = int_of(parent_pid_on(pool));
    hk_future *busy = run_for_ever_on(pool);

    (void)state;
    (void)await_worker(busy);
    assert_int_not_equal(template, getpid());
    assert_int_equal(kill(template, SIGKILL), 0);
    assert_int_equal(await_and_free(busy), -EOWNERDEAD);
    assert_int_equal(await_and_free(add_on(pool, 1, 2)), -EOWNERDEAD);
    assert_int_equal(stats_of(pool).degraded, -EOWNERDEAD);
    assert_string_equal(stats_of(pool).step, "forking from the template");
    assert_int_equal(await_and_free(add_on(pool, 1, 2)), -EOWNERDEAD);
    hk_executor_free(pool);
}

static void nothing_is_left_of_a_pool_that_was_freed(void **state)
{
    hk_executor *pool = forking_pool(1);
    pid_t template = int_of(parent_pid_on(pool));

    (void)state;
    hk_executor_free(pool);
    assert_int_equal(kill(template, 0), -1);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static uint32_t hints; /* lines of the log that say what to do */

static void on_log(hk_log_level level, const char *line, void *ctx)
{
    (void)level;
    (void)ctx;
    hints += strstr(line, "first in main") != NULL;
}

static int refused_here(void *arg)
{
    const hk_process_options options = {.start = HK_START_FORK};
    hk_executor *pool;

    (void)arg;
    assert_int_equal(hk_process_pool_new(&options, &pool), -EDEADLK);
    return 0;
}

static void forking_is_refused_in_tasks_and_beside_threads(void **state)
{
    (void)state;
    hk_log_to(on_log, NULL);
    assert_int_equal(hk_run(refused_here, NULL, &(hk_options){.workers = 1}), 0);
    expect_add(hk_threads(), 1, 2); /* they stay */
    (void)refused_here(NULL);
    hk_log_to(NULL, NULL);
    assert_int_equal(hints, 2);
}

static void a_start_that_does_not_exist_is_refused(void **state)
{
    const hk_process_options options = {.start = (hk_process_start)7};
    hk_executor *pool;

    (void)state;
    assert_int_equal(hk_process_pool_new(&options, &pool), -EINVAL);
}

static void say_that_the_program_ends(void)
{
    (void)!write(STDERR_FILENO, "program's handler\n", 18);
}

static int exits_in_a_worker(void)
{
    hk_job_error error;
    hk_executor *pool;
    hk_future *future;

    (void)dup2(STDERR_FILENO, STDOUT_FILENO);
    (void)setvbuf(stdout, NULL, _IOFBF, BUFSIZ);
    (void)atexit(say_that_the_program_ends);
    (void)printf("program's output\n");
    pool = forking_pool(1);
    expect_add(pool, 1, 2);
    future = exit_by_on(pool, 3);
    if (hk_future_await(future, NULL) != -EOWNERDEAD ||
        hk_future_error(future, &error) < 0 || error.exit_status != 3)
        return 1;
    hk_future_free(future);
    hk_executor_free(pool);
    (void)fflush(stdout);
    return 0;
}

static int count_of(const struct child *child, const char *words)
{
    int count = 0;

    for (const char *at = child->text; (at = strstr(at, words)); at++)
        count++;
    return count;
}

static void neither_output_nor_handlers_of_the_program_are_done_in_workers(void **state)
{
    struct child child;

    (void)state;
    skip_if_emulated("has threads of its own");
    child = run_child(exits_in_a_worker); /* which itself leaves by _exit */
    expect_exit(&child, 0);
    assert_int_equal(count_of(&child, "program's output"), 1);
    assert_int_equal(count_of(&child, "worker's output"), 1);
    assert_int_equal(count_of(&child, "worker's handler"), 1);
    assert_int_equal(count_of(&child, "program's handler"), 0);
}

static int dies_with_work(void)
{
    hk_executor *pool = forking_pool(2);
    pid_t pids[3] = {int_of(parent_pid_on(pool))};

    for (int i = 1; i < 3; i++)
        pids[i] = await_worker(run_for_ever_on(pool));
    (void)!write(STDERR_FILENO, pids, sizeof(pids));
    return raise(SIGKILL);
}

static void nothing_is_left_when_the_program_is_killed(void **state)
{
    struct child child;
    pid_t pids[3];

    (void)state;
    skip_if_emulated("has threads of its own");
    child = run_child(dies_with_work);
    assert_true(WIFSIGNALED(child.status));
    memcpy(pids, child.text, sizeof(pids));
    for (int i = 0; i < 3; i++)
        await_end_of_process(pids[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            neither_output_nor_handlers_of_the_program_are_done_in_workers),
        cmocka_unit_test(nothing_is_left_when_the_program_is_killed),
        forked_unit_test(workers_see_what_the_program_has_made),
        forked_unit_test(workers_have_no_descriptor_and_no_handler_of_the_program),
        forked_unit_test(workers_use_hocket_as_any_process_does),
        forked_unit_test(a_pool_that_was_made_before_is_refused_in_workers),
        forked_unit_test(several_templates_may_be_made_one_after_the_other),
        forked_unit_test(without_its_template_the_pool_is_degraded_and_says_so),
        forked_unit_test(nothing_is_left_of_a_pool_that_was_freed),
        forked_unit_test(forking_is_refused_in_tasks_and_beside_threads),
        cmocka_unit_test(a_start_that_does_not_exist_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
