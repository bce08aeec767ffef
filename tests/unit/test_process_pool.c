/* SPDX-License-Identifier: MIT */
/*
 * Shows that a process pool is an executor as any other: jobs with arguments and
 * results of all sizes, from tasks and threads, bounded, limited, replaced, sandboxed,
 * and ended.
 */
#include "unit/process_test.h"

#include <hocket/shared.h>

#include <dlfcn.h>
#include <fenv.h>
#include <linux/sockios.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

/* ---- what runs in workers ---- */

HK_FN(hk_bytes, echo, (hk_bytes, bytes))
{
    void *copy = malloc(bytes.size + 1);

    if (bytes.size)
        memcpy(copy, bytes.data, bytes.size);
    return (hk_bytes){copy, bytes.size};
}

HK_FN(int, worker_pid)
{
    return (int)getpid();
}

/* A child in namespaces of its own. */
static bool can_leave_namespaces(void)
{
    pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD | CLONE_NEWUSER, NULL, NULL, NULL, 0);

    if (pid == 0)
        _exit(0);
    if (pid > 0)
        (void)waitpid(pid, NULL, 0);
    return pid > 0;
}

static bool may_be_told_of_news(int fd, pid_t who)
{
    return fcntl(fd, F_SETOWN, who) == 0 || ioctl(fd, FIOSETOWN, &who) == 0;
}

/* Which of the things that a sandbox forbids can be done: bits. `path` is not there,
 * `file` is. */
HK_FN(unsigned, try_forbidden, (hk_str, path), (hk_str, file))
{
    const struct rlimit little = {.rlim_cur = 1000, .rlim_max = 1000};
    char key = '\n';
    int pair[2];
    const bool can[] = {
        socket(AF_INET, SOCK_STREAM, 0) >= 0,
        open(path, O_CREAT | O_WRONLY, 0600) >= 0,
        unlink(path) == 0,
        kill(getppid(), 0) == 0,
        syscall(SYS_io_uring_setup, 1, NULL) >= 0 || errno != ENOSYS,
        execl("/bin/true", "true", NULL) != -1 || errno != EPERM,
        socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0,
        truncate(file, 1) == 0,
        open(file, O_RDONLY | O_TRUNC) >= 0,
        chmod(file, 0777) == 0,
        fchmod(open(file, O_RDONLY), 0777) == 0,
        utimensat(AT_FDCWD, file, NULL, 0) == 0,
        setxattr(file, "user.a", "b", 1, 0) == 0,
        rename(file, path) == 0,
        may_be_told_of_news(STDIN_FILENO, getppid()),
        prlimit(getppid(), RLIMIT_CPU, &little, NULL) == 0,
        ioctl(STDIN_FILENO, TIOCSTI, &key) == 0 || errno != EPERM,
        can_leave_namespaces(),
        syscall(1000) >= 0 || errno != ENOSYS, /* what is newer than the sandbox */
    };
    unsigned bits = 0;

    for (unsigned i = 0; i < sizeof(can) / sizeof(can[0]); i++)
        bits |= (unsigned)can[i] << i;
    return bits;
}

/* The kinds of executors that a worker has. */
HK_FN(hk_rc, add_elsewhere, (int, kind))
{
    hk_executor *const on[] = {hk_tasks(), hk_threads(), hk_processes()};
    hk_future *future = add_on(on[kind], 40, 2);
    long sum = 0;
    int rc = add_await(future, &sum);

    hk_future_free(future);
    return rc < 0 ? rc : (int)sum;
}

HK_FN(int, read_some, (hk_str, path))
{
    char byte;
    int fd = open(path, O_RDONLY);

    return (int)read(fd, &byte, 1);
}

static int state_of_worker;

HK_FN(int, get_state)
{
    return state_of_worker;
}

HK_FN(hk_rc, fail_with, (int, error))
{
    return error;
}

HK_FN(hk_rc, allocate, (size_t, size))
{
    void *volatile block = malloc(size); /* or clang would do without it */
    int rc = block ? 0 : -ENOMEM;

    free(block);
    return rc;
}

static int double_it(hk_bytes input, hk_result *result)
{
    int number;

    memcpy(&number, input.data, sizeof(number));
    number *= 2;
    return hk_result_set(result, &number, sizeof(number));
}

static int init_state(hk_bytes input, hk_result *result)
{
    (void)result;
    memcpy(&state_of_worker, input.data, sizeof(state_of_worker));
    return 0;
}

/* Counts its calls in shared memory. */
HK_FN(int, take_number, (hk_shared, counter))
{
    return ++*(int *)hk_shared_data(counter);
}

/* ---- tests ---- */

static void a_job_runs_in_another_process(void **state)
{
    hk_executor *pool = pool_with(1);
    hk_future *future = worker_pid_on(pool);
    int pid;

    (void)state;
    assert_int_equal(worker_pid_await(future, &pid), 0);
    assert_true(pid > 0 && pid != getpid());
    hk_future_free(future);
    expect_add(pool, 40, 2);
    hk_executor_free(pool);
    assert_int_equal(kill(pid, 0), -1);
}

static void untyped_jobs_and_errors_cross(void **state)
{
    hk_executor *pool = pool_with(1);
    int number = 21;
    hk_future *future = hk_submit(pool, double_it, &number, sizeof(number));
    hk_bytes out;

    (void)state;
    assert_int_equal(hk_future_await(future, &out), 0);
    assert_int_equal(out.size, sizeof(number));
    memcpy(&number, out.data, sizeof(number));
    assert_int_equal(number, 42);
    hk_future_free(future);
    assert_int_equal(await_and_free(fail_with_on(pool, -ENOTTY)), -ENOTTY);
    hk_executor_free(pool);
}

static void bytes_of_every_size_come_back(void **state)
{
    static const size_t sizes[] = {0, 1, 31, 100, 300, 5000, 1 << 20, 32 << 20};
    hk_executor *pool = pool_with(1);
    unsigned char *block = malloc(32 << 20);

    (void)state;
    for (size_t i = 0; i < 32 << 20; i++)
        block[i] = (unsigned char)(i * 7);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        hk_future *future = echo_on(pool, (hk_bytes){block, sizes[i]});
        hk_bytes back;

        assert_int_equal(echo_await(future, &back), 0);
        assert_int_equal(back.size, sizes[i]);
        if (sizes[i])
            assert_int_equal(memcmp(back.data, block, sizes[i]), 0);
        hk_future_free(future);
    }
    free(block);
    hk_executor_free(pool);
}

static void a_result_outlives_its_worker_and_its_pool(void **state)
{
    hk_executor *pool = pool_with(1);
    char text[100000];
    hk_future *future;
    hk_bytes back;

    (void)state;
    memset(text, 'x', sizeof(text));
    future = echo_on(pool, (hk_bytes){text, sizeof(text)});
    assert_int_equal(echo_await(future, &back), 0);
    hk_executor_free(pool);
    assert_int_equal(memcmp(back.data, text, sizeof(text)), 0);
    hk_future_free(future);
}

static void many_jobs_each_have_their_own_result(void **state)
{
    enum { JOBS = 5000 };
    hk_executor *pool = pool_with(2);
    hk_future **futures = calloc(JOBS, sizeof(*futures));

    (void)state;
    for (long i = 0; i < JOBS; i++)
        futures[i] = add_on(pool, i, 1);
    for (long i = 0; i < JOBS; i++) {
        long sum;

        assert_int_equal(add_await(futures[i], &sum), 0);
        assert_int_equal(sum, i + 1);
        hk_future_free(futures[i]);
    }
    free(futures);
    hk_executor_free(pool);
}

static void an_initializer_makes_the_state_of_each_worker(void **state)
{
    int seed = 99, got;
    hk_executor *pool = pool_of(&(hk_process_options){
        .workers_max = 1,
        .init = init_state,
        .init_input = {&seed, sizeof(seed)},
    });

    (void)state;
    for (int i = 0; i < 2; i++) {
        hk_future *future = get_state_on(pool);

        assert_int_equal(get_state_await(future, &got), 0);
        assert_int_equal(got, 99);
        hk_future_free(future);
        assert_int_equal(await_and_free(exit_with_on(pool, 0)), -EOWNERDEAD);
    }
    hk_executor_free(pool);
}

/* Returns 0, whatever it is called with; in a library that was loaded by the path. */
static hk_job_fn *function_of_copy(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    hk_job_fn *fn;

    assert_non_null(library);
    *(void **)&fn = dlsym(library, "fegetround");
    assert_non_null(fn);
    return fn;
}

static void copy_file(const char *from, const char *to)
{
    int in = open(from, O_RDONLY), out = open(to, O_CREAT | O_WRONLY | O_TRUNC, 0700);
    char bytes[65536];
    ssize_t got;

    while ((got = read(in, bytes, sizeof(bytes))) > 0)
        assert_int_equal(write(out, bytes, (size_t)got), got);
    (void)close(in);
    (void)close(out);
}

/* More than there are slots in a channel, all of which come before the function that
 * needs the last one: a job, and an initializer. */
static void functions_of_many_libraries_run_in_workers(void **state)
{
    enum { LIBRARIES = 100 };
    char dir[] = "/tmp/hocket-libraries-XXXXXX", path[sizeof(dir) + 16];
    hk_executor *pool = pool_with(1);
    hk_job_fn *last = NULL;
    Dl_info info;

    (void)state;
    assert_true(dladdr((void *)(uintptr_t)fegetround, &info));
    assert_non_null(mkdtemp(dir));
    for (int i = 0; i < LIBRARIES; i++) {
        (void)snprintf(path, sizeof(path), "%s/%d.so", dir, i);
        copy_file(info.dli_fname, path);
        last = function_of_copy(path);
        assert_int_equal(await_and_free(hk_submit(pool, last, NULL, 0)), 0);
    }
    hk_executor_free(pool);
    pool = pool_of(&(hk_process_options){.workers_max = 1, .init = last});
    expect_add(pool, 1, 2);
    hk_executor_free(pool);
    pool = pool_with(1);
    assert_int_equal(await_and_free(hk_submit(pool, last, NULL, 0)), 0);
    hk_executor_free(pool);
    for (int i = 0; i < LIBRARIES; i++) {
        (void)snprintf(path, sizeof(path), "%s/%d.so", dir, i);
        (void)unlink(path);
    }
    (void)rmdir(dir);
}

static void a_worker_is_replaced_after_its_jobs(void **state)
{
    hk_executor *pool =
        pool_of(&(hk_process_options){.workers_max = 1, .jobs_per_worker = 10});
    int pids[30], different = 0;

    (void)state;
    for (int i = 0; i < 30; i++) {
        hk_future *future = worker_pid_on(pool);

        assert_int_equal(worker_pid_await(future, &pids[i]), 0);
        hk_future_free(future);
        different += i == 0 || pids[i] != pids[i - 1];
    }
    assert_int_equal(different, 3);
    hk_executor_free(pool);
}

static void a_worker_has_the_limits_that_were_asked_for(void **state)
{
    hk_executor *pool = pool_of(&(hk_process_options){
        .workers_max = 1, .memory_max_bytes = (uint64_t)256 << 20});

    (void)state;
#ifndef HKI_ASAN
#ifndef HKI_TSAN
    assert_int_equal(await_and_free(allocate_on(pool, (size_t)1 << 20)), 0);
    assert_int_equal(await_and_free(allocate_on(pool, (size_t)1 << 30)), -ENOMEM);
#endif
#endif
    hk_executor_free(pool);
}

static void a_sandboxed_worker_can_compute_and_read(void **state)
{
    hk_executor *pool =
        pool_of(&(hk_process_options){.workers_max = 1, .sandbox = true});
    char file[] = "/tmp/hocket-victim-XXXXXX";
    int fd = mkstemp(file), rc, got;
    hk_future *future;
    struct stat st;
    unsigned bits;

    (void)state;
    assert_int_equal(write(fd, "text", 4), 4);
    future = try_forbidden_on(pool, "/tmp/hocket-forbidden", file);
    rc = try_forbidden_await(future, &bits);
    hk_future_free(future);
    assert_int_equal(fstat(fd, &st), 0);
    (void)close(fd);
    (void)unlink(file);
    if (rc == -ENOSYS) {
        hk_executor_free(pool);
        skip(); /* this kernel has no Landlock */
    }
    assert_int_equal(rc, 0);
    assert_int_equal(bits, 0);
    assert_int_equal(st.st_size, 4);
    future = read_some_on(pool, "/proc/self/status");
    assert_int_equal(read_some_await(future, &got), 0);
    assert_int_equal(got, 1);
    hk_future_free(future);
    expect_add(pool, 1, 2);
    assert_int_equal(await_and_free(die_by_on(pool, SIGSEGV)), -EOWNERDEAD);
    expect_add(pool, 1, 2);
    hk_executor_free(pool);
}

/* Without a ring, also where the environment asks for one. */
static void a_sandboxed_worker_has_every_executor(void **state)
{
    hk_executor *pool =
        pool_of(&(hk_process_options){.workers_max = 2, .sandbox = true});

    (void)state;
    if (await_and_free(add_on(pool, 1, 2)) == -ENOSYS) {
        hk_executor_free(pool);
        skip(); /* this kernel has no Landlock */
    }
    for (int kind = 0; kind < 3; kind++)
        assert_int_equal(await_and_free(add_elsewhere_on(pool, kind)), 42);
    hk_executor_free(pool);
}

static void jobs_of_a_higher_priority_start_first(void **state)
{
    static const int priorities[] = {0, 5, -3, 5, 0};
    static const int order[] = {3, 1, 5, 2, 4};
    enum { JOBS = sizeof(order) / sizeof(order[0]) };
    hk_executor *pool = pool_with(1);
    hk_future *busy = run_for_ever_on(pool), *futures[JOBS];
    hk_shared counter;

    (void)state;
    assert_int_equal(hk_shared_alloc(sizeof(int), &counter), 0);
    *(int *)hk_shared_data(counter) = 0;
    (void)await_worker(busy);
    for (int i = 0; i < JOBS; i++) {
        hk_executor_view view;
        const hk_job_options options = {.priority = priorities[i]};

        futures[i] = take_number_on(hk_with(&view, pool, &options), counter);
    }
    assert_int_equal(hk_future_cancel(busy, HK_KILL), 0);
    for (int i = 0; i < JOBS; i++) {
        int number;

        assert_int_equal(take_number_await(futures[i], &number), 0);
        assert_int_equal(number, order[i]);
        hk_future_free(futures[i]);
    }
    assert_int_equal(await_and_free(busy), -EIDRM);
    hk_shared_free(counter);
    hk_executor_free(pool);
}

static void a_full_queue_refuses_or_holds_back(void **state)
{
    hk_executor *pool =
        pool_of(&(hk_process_options){.workers_max = 1, .queue_max = 4});
    hk_executor_view view;
    hk_executor *now = hk_with(&view, pool, &(hk_job_options){.nowait = true});
    hk_future *busy = run_for_ever_on(pool), *futures[4];

    (void)state;
    (void)await_worker(busy);
    for (int i = 0; i < 4; i++)
        futures[i] = add_on(now, i, 1);
    assert_int_equal(await_and_free(add_on(now, 1, 1)), -EAGAIN);
    assert_int_equal(hk_future_cancel(busy, HK_KILL), 0);
    assert_int_equal(await_and_free(add_on(pool, 1, 1)), 0); /* waits for room */
    for (int i = 0; i < 4; i++)
        assert_int_equal(await_and_free(futures[i]), 0);
    assert_int_equal(await_and_free(busy), -EIDRM);
    hk_executor_free(pool);
}

static void terminate_ends_what_runs_and_what_waits(void **state)
{
    enum { JOBS = 100 };
    hk_executor *pool = pool_with(2);
    hk_future *futures[JOBS];

    (void)state;
    for (int i = 0; i < JOBS; i++)
        futures[i] = run_for_ever_on(pool);
    (void)await_worker(futures[0]);
    hk_executor_terminate(pool);
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(await_and_free(futures[i]), -EIDRM);
    assert_int_equal(await_and_free(add_on(pool, 1, 2)), -EPIPE);
    hk_executor_free(pool);
}

static int use_as_task(void *arg)
{
    hk_executor *pool = arg;

    for (int i = 0; i < 100; i++)
        expect_add(pool, i, 1);
    return 0;
}

static void tasks_use_it_as_threads_do(void **state)
{
    hk_executor *pool = pool_with(2);

    (void)state;
    assert_int_equal(hk_run(use_as_task, pool, NULL), 0);
    assert_int_equal(hk_run(use_as_task, pool, NULL), 0);
    hk_executor_free(pool);
}

static void the_pool_that_is_always_there_works(void **state)
{
    (void)state;
    expect_add(hk_processes(), 1, 2);
}

/* ---- in processes of their own ---- */

static int returns_from_main(void)
{
    expect_add(hk_processes(), 1, 2);
    (void)worker_pid_on(hk_processes());
    return 0;
}

static void a_program_may_end_with_its_pool_open(void **state)
{
    struct child child;

    (void)state;
    child = run_child(returns_from_main);
    expect_exit(&child, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* first: what forks must not have threads */
        forked_unit_test(a_job_runs_in_another_process),
        forked_unit_test(untyped_jobs_and_errors_cross),
        forked_unit_test(bytes_of_every_size_come_back),
        forked_unit_test(a_result_outlives_its_worker_and_its_pool),
        forked_unit_test(many_jobs_each_have_their_own_result),
        forked_unit_test(an_initializer_makes_the_state_of_each_worker),
        forked_unit_test(a_worker_is_replaced_after_its_jobs),
        forked_unit_test(a_worker_has_the_limits_that_were_asked_for),
        forked_unit_test(a_sandboxed_worker_can_compute_and_read),
        forked_unit_test(a_sandboxed_worker_has_every_executor),
        forked_unit_test(jobs_of_a_higher_priority_start_first),
        forked_unit_test(a_full_queue_refuses_or_holds_back),
        forked_unit_test(terminate_ends_what_runs_and_what_waits),
        forked_unit_test(tasks_use_it_as_threads_do),
        cmocka_unit_test(a_program_may_end_with_its_pool_open),
        cmocka_unit_test(a_job_runs_in_another_process),
        cmocka_unit_test(untyped_jobs_and_errors_cross),
        cmocka_unit_test(bytes_of_every_size_come_back),
        cmocka_unit_test(a_result_outlives_its_worker_and_its_pool),
        cmocka_unit_test(many_jobs_each_have_their_own_result),
        cmocka_unit_test(an_initializer_makes_the_state_of_each_worker),
        cmocka_unit_test(functions_of_many_libraries_run_in_workers),
        cmocka_unit_test(a_worker_is_replaced_after_its_jobs),
        cmocka_unit_test(a_worker_has_the_limits_that_were_asked_for),
        cmocka_unit_test(a_sandboxed_worker_can_compute_and_read),
        cmocka_unit_test(a_sandboxed_worker_has_every_executor),
        cmocka_unit_test(jobs_of_a_higher_priority_start_first),
        cmocka_unit_test(a_full_queue_refuses_or_holds_back),
        cmocka_unit_test(terminate_ends_what_runs_and_what_waits),
        cmocka_unit_test(tasks_use_it_as_threads_do),
        cmocka_unit_test(the_pool_that_is_always_there_works),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
