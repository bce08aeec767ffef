/* SPDX-License-Identifier: MIT */
/*
 * The sixteen cases of CPython's tests for executors that deadlock
 * (Lib/test/test_concurrent_futures/test_deadlock.py), each as what it means here.
 * Their executor hangs or is broken for good when something goes wrong at the wrong
 * moment: while arguments are packed or unpacked, in the function, while the result is
 * packed or unpacked, in a shutdown, with large data, with many wake-ups. Shown each
 * time, with workers that were executed and with forked ones: the job has one outcome,
 * and the pool works afterwards.
 *
 * Unpacking runs no code of the program here. So what "crashes" there is a worker whose
 * own description of the function was spoiled by the job before.
 */
#include "unit/process_test.h"

#include <hocket/shared.h>
#include <hocket/testing.h>

#include <pthread.h>
#include <sys/syscall.h>

enum { LARGE = 1 << 20 };

/* ---- what runs in workers ---- */

HK_FN(size_t, count_bytes, (hk_bytes, bytes))
{
    return bytes.size;
}

static void exit_in_place_of_call(void *args, void *result)
{
    (void)args;
    (void)result;
    _exit(3);
}

enum spoil { ERROR_AT_UNPACK, EXIT_AT_UNPACK, CRASH_AT_UNPACK };

/* From now on this worker cannot run count_bytes. */
HK_FN(int, spoil_worker, (int, how))
{
    hk_fn *fn = (hk_fn *)(uintptr_t)count_bytes_fn();

    switch ((enum spoil)how) {
    case ERROR_AT_UNPACK: fn->args_size = 1 << 30; break;
    case EXIT_AT_UNPACK: fn->call = exit_in_place_of_call; break;
    case CRASH_AT_UNPACK: fn->call = NULL; break;
    }
    return 0;
}

HK_FN(hk_rc, fail_with, (int, error))
{
    return error;
}

HK_FN(hk_bytes, return_wild_pointer)
{
    return (hk_bytes){(void *)16, LARGE};
}

HK_FN(hk_bytes, return_too_much)
{
    return (hk_bytes){malloc(1), (size_t)1 << 45};
}

static ssize_t exit_in_write(void *cookie, const char *data, size_t size)
{
    (void)cookie;
    (void)data;
    (void)size;
    (void)syscall(SYS_exit_group, 5); /* what TSan does at an exit does not work here */
    return 0;
}

/* What it has printed is flushed after its return, before its result is sent. */
HK_FN(int, exit_after_return)
{
    stdout = fopencookie(NULL, "w", (cookie_io_functions_t){.write = exit_in_write});
    return putchar('x');
}

HK_FN(hk_bytes, return_bytes, (size_t, size))
{
    return (hk_bytes){calloc(1, size), size};
}

static void *die_when_told(void *told)
{
    while (!__atomic_load_n((int *)told, __ATOMIC_ACQUIRE))
        (void)usleep(100);
    (void)raise(SIGKILL);
    return NULL;
}

/* The result is sent, and then the worker dies. */
HK_FN(int, return_and_die, (hk_shared, told))
{
    pthread_t thread;

    (void)pthread_create(&thread, NULL, die_when_told, hk_shared_data(told));
    return 6;
}

HK_FN(int, crash_with, (hk_bytes, bytes))
{
    (void)bytes;
    return raise(SIGSEGV);
}

/* ---- help ---- */

static hk_executor *pool_works(hk_executor *pool)
{
    expect_add(pool, 1, 2);
    return pool;
}

static int count_bytes_in_spoiled_worker(hk_executor *pool, enum spoil how)
{
    char bytes[1000] = {0};

    assert_int_equal(await_and_free(spoil_worker_on(pool, (int)how)), 0);
    return await_and_free(count_bytes_on(pool, (hk_bytes){bytes, sizeof(bytes)}));
}

static int die_signal_of(hk_future *future, int *out_status)
{
    hk_job_error error;

    assert_int_equal(hk_future_await(future, NULL), -EOWNERDEAD);
    assert_int_equal(hk_future_error(future, &error), 0);
    *out_status = error.exit_status;
    hk_future_free(future);
    return error.signal;
}

/* ---- the cases ---- */

/* Theirs: test_error_at_task_pickle. */
static void arguments_that_cannot_be_packed(void **state)
{
    hk_executor *pool = pool_with(1);
    const hk_bytes endless = {"", SIZE_MAX - 100};

    (void)state;
    assert_int_equal(await_and_free(count_bytes_on(pool, endless)), -ENOMEM);
    hk_executor_free(pool_works(pool));
}

/* test_error_at_task_unpickle */
static void an_error_while_arguments_are_unpacked(void **state)
{
    hk_executor *pool = pool_with(1);

    (void)state;
    assert_int_equal(count_bytes_in_spoiled_worker(pool, ERROR_AT_UNPACK), -EBADMSG);
    hk_executor_free(pool_works(pool));
}

/* test_exit_at_task_unpickle */
static void an_exit_while_arguments_are_unpacked(void **state)
{
    hk_executor *pool = pool_with(1);

    (void)state;
    assert_int_equal(count_bytes_in_spoiled_worker(pool, EXIT_AT_UNPACK), -EOWNERDEAD);
    hk_executor_free(pool_works(pool));
}

/* test_crash_at_task_unpickle */
static void a_crash_while_arguments_are_unpacked(void **state)
{
    hk_executor *pool = pool_with(1);

    (void)state;
    assert_int_equal(count_bytes_in_spoiled_worker(pool, CRASH_AT_UNPACK), -EOWNERDEAD);
    hk_executor_free(pool_works(pool));
}

/* test_crash_during_func_exec_on_worker */
static void a_crash_in_the_function(void **state)
{
    hk_executor *pool = pool_with(1);
    int status;

    (void)state;
    assert_int_equal(die_signal_of(die_by_on(pool, SIGSEGV), &status), SIGSEGV);
    hk_executor_free(pool_works(pool));
}

/* test_exit_during_func_exec_on_worker */
static void an_exit_in_the_function(void **state)
{
    hk_executor *pool = pool_with(1);
    int status;

    (void)state;
    assert_int_equal(die_signal_of(exit_with_on(pool, 9), &status), 0);
    assert_int_equal(status, 9);
    hk_executor_free(pool_works(pool));
}

/* test_error_during_func_exec_on_worker */
static void an_error_of_the_function(void **state)
{
    hk_executor *pool = pool_with(1);

    (void)state;
    assert_int_equal(await_and_free(fail_with_on(pool, -ENOTTY)), -ENOTTY);
    hk_executor_free(pool_works(pool));
}

/* test_crash_during_result_pickle_on_worker */
static void a_crash_while_the_result_is_packed(void **state)
{
    hk_executor *pool = pool_with(1);

    (void)state;
    assert_int_equal(await_and_free(return_wild_pointer_on(pool)), -EOWNERDEAD);
    hk_executor_free(pool_works(pool));
}

/* test_exit_during_result_pickle_on_worker */
static void an_exit_before_the_result_is_sent(void **state)
{
    hk_executor *pool = pool_with(1);
    int status;

    (void)state;
    assert_int_equal(die_signal_of(exit_after_return_on(pool), &status), 0);
    assert_int_equal(status, 5);
    hk_executor_free(pool_works(pool));
}

/* test_error_during_result_pickle_on_worker */
static void an_error_while_the_result_is_packed(void **state)
{
    hk_executor *pool = pool_with(1);

    (void)state;
    assert_int_equal(await_and_free(return_too_much_on(pool)), -ENOMEM);
    hk_executor_free(pool_works(pool));
}

/* test_error_during_result_unpickle_in_result_handler: here it can only be that there
 * is no memory for it. */
static void an_error_while_the_result_is_unpacked(void **state)
{
    hk_executor *pool = pool_works(pool_with(1));
    int rc, failed = 0;

    (void)state;
    for (uint64_t nth = 1; nth < 10; nth++) {
        hk_future *future;

        hk_fault_arm(HK_FAULT_ALLOC, nth, -ENOMEM);
        future = return_bytes_on(pool, 200);
        rc = await_and_free(future);
        hk_fault_arm(HK_FAULT_ALLOC, 0, 0);
        assert_true(rc == 0 || rc == -ENOMEM);
        failed += rc < 0;
    }
    assert_true(failed > 0);
    hk_executor_free(pool_works(pool));
}

/* test_exit_during_result_unpickle_in_result_handler: the worker is gone while its
 * result is used. (That it may be gone before that is read, shows test_keeper.) */
static void a_death_after_the_result_was_sent(void **state)
{
    hk_executor *pool = pool_with(1);
    hk_shared told;

    (void)state;
    assert_int_equal(hk_shared_alloc(sizeof(int), &told), 0);
    for (int i = 0; i < 5; i++) {
        hk_future *future;
        int got = 0;

        __atomic_store_n((int *)hk_shared_data(told), 0, __ATOMIC_RELEASE);
        future = return_and_die_on(pool, told);
        assert_int_equal(return_and_die_await(future, &got), 0);
        __atomic_store_n((int *)hk_shared_data(told), 1, __ATOMIC_RELEASE);
        assert_int_equal(got, 6);
        hk_future_free(future);
        while (stats_of(pool).workers > 0) /* this one, and no job with it */
            assert_int_equal(hk_sleep(HK_MILLISECOND), 0);
    }
    assert_int_equal(stats_of(pool).lost, 0);
    hk_executor_free(pool_works(pool));
    hk_shared_free(told);
}

/* test_shutdown_deadlock */
static void a_crash_during_the_shutdown(void **state)
{
    hk_executor *pool = pool_with(2);
    hk_future *crash, *next;

    (void)state;
    crash = die_by_on(pool_works(pool), SIGKILL);
    next = add_on(pool, 1, 2);
    hk_executor_close(pool);
    assert_int_equal(hk_executor_join(pool), 0);
    assert_int_equal(await_and_free(crash), -EOWNERDEAD);
    assert_int_equal(await_and_free(next), 0);
    hk_executor_free(pool);
}

/* test_shutdown_deadlock_pickle */
static void a_shutdown_after_arguments_that_could_not_be_packed(void **state)
{
    hk_executor *pool = pool_works(pool_with(2));
    hk_future *future = count_bytes_on(pool, (hk_bytes){"", SIZE_MAX - 100});

    (void)state;
    hk_executor_close(pool);
    hk_executor_free(pool);
    assert_int_equal(await_and_free(future), -ENOMEM);
}

/* test_crash_big_data */
static void crashes_with_large_arguments(void **state)
{
    hk_executor *pool = pool_with(2);
    char *block = calloc(1, LARGE);
    hk_future *futures[20];

    (void)state;
    for (int i = 0; i < 20; i++)
        futures[i] = i % 2 ? count_bytes_on(pool, (hk_bytes){block, LARGE})
                           : crash_with_on(pool, (hk_bytes){block, LARGE});
    for (int i = 0; i < 20; i++)
        assert_int_equal(await_and_free(futures[i]), i % 2 ? 0 : -EOWNERDEAD);
    free(block);
    hk_executor_free(pool_works(pool));
}

/* test_gh105829_should_not_deadlock_if_wakeup_pipe_full: there is no pipe here, and so
 * nothing that a burst of submits could fill. */
static void a_burst_of_submits(void **state)
{
    enum { JOBS = 30000 };
    hk_executor *pool = pool_with(2);
    hk_future **futures = calloc(JOBS, sizeof(*futures));

    (void)state;
    for (int i = 0; i < JOBS; i++)
        futures[i] = add_on(pool, i, 1);
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(await_and_free(futures[i]), 0);
    free(futures);
    hk_executor_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* first: what forks must not have threads */
        forked_unit_test(arguments_that_cannot_be_packed),
        forked_unit_test(an_error_while_arguments_are_unpacked),
        forked_unit_test(an_exit_while_arguments_are_unpacked),
        forked_unit_test(a_crash_while_arguments_are_unpacked),
        forked_unit_test(a_crash_in_the_function),
        forked_unit_test(an_exit_in_the_function),
        forked_unit_test(an_error_of_the_function),
        forked_unit_test(a_crash_while_the_result_is_packed),
        forked_unit_test(an_exit_before_the_result_is_sent),
        forked_unit_test(an_error_while_the_result_is_packed),
        forked_unit_test(an_error_while_the_result_is_unpacked),
        forked_unit_test(a_death_after_the_result_was_sent),
        forked_unit_test(a_crash_during_the_shutdown),
        forked_unit_test(a_shutdown_after_arguments_that_could_not_be_packed),
        forked_unit_test(crashes_with_large_arguments),
        forked_unit_test(a_burst_of_submits),
        cmocka_unit_test(arguments_that_cannot_be_packed),
        cmocka_unit_test(an_error_while_arguments_are_unpacked),
        cmocka_unit_test(an_exit_while_arguments_are_unpacked),
        cmocka_unit_test(a_crash_while_arguments_are_unpacked),
        cmocka_unit_test(a_crash_in_the_function),
        cmocka_unit_test(an_exit_in_the_function),
        cmocka_unit_test(an_error_of_the_function),
        cmocka_unit_test(a_crash_while_the_result_is_packed),
        cmocka_unit_test(an_exit_before_the_result_is_sent),
        cmocka_unit_test(an_error_while_the_result_is_packed),
        cmocka_unit_test(an_error_while_the_result_is_unpacked),
        cmocka_unit_test(a_death_after_the_result_was_sent),
        cmocka_unit_test(a_crash_during_the_shutdown),
        cmocka_unit_test(a_shutdown_after_arguments_that_could_not_be_packed),
        cmocka_unit_test(crashes_with_large_arguments),
        cmocka_unit_test(a_burst_of_submits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
