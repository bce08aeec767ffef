/* SPDX-License-Identifier: MIT */
/*
 * Shows that each option of a pool that bounds or places its workers does what its
 * header says: memory after which one is replaced, a processor for each, limits of
 * memory, files, time and descriptors, core files, and staying awake. How: jobs that
 * tell what they find in their worker, and jobs that exceed it.
 */
#include "unit/process_test.h"

#include "sys/os_worker.h"

#include <hocket/shared.h>

#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum { MIB = 1 << 20 };

/* ---- what runs in workers ---- */

/* Bytes of the worker that are in memory. */
HK_FN(uint64_t, resident)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long pages = 0;

    if (!file || fscanf(file, "%*u %lu", &pages) != 1)
        hk_job_fail(-EIO);
    if (file)
        (void)fclose(file);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Keeps so many bytes more; returns whose they are. */
HK_FN(int, grow, (size_t, bytes))
{
    char *more = mmap(NULL, bytes + 1, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (more == MAP_FAILED)
        hk_job_fail(-ENOMEM);
    else
        memset(more, 1, bytes);
    return (int)getpid();
}

/* Returns when both workers are in it: the processors that this one may use, bits. */
HK_FN(uint64_t, processors_of_two, (hk_shared, count))
{
    uint32_t *arrived = hk_shared_data(count);
    cpu_set_t set;
    uint64_t bits = 0;

    __atomic_add_fetch(arrived, 1, __ATOMIC_RELEASE);
    while (__atomic_load_n(arrived, __ATOMIC_ACQUIRE) < 2)
        (void)usleep(100);
    if (sched_getaffinity(0, sizeof(set), &set) < 0)
        hk_job_fail(-errno);
    for (int i = 0; i < 64; i++)
        bits |= (uint64_t)(CPU_ISSET((size_t)i, &set) != 0) << i;
    return bits;
}

struct limits {
    uint64_t memory, file, cpu, fds, core;
};

static uint64_t limit_of(__rlimit_resource_t resource)
{
    struct rlimit limit = {0, 0};

    return getrlimit(resource, &limit) < 0 ? 0 : limit.rlim_cur;
}

HK_FN(struct limits, own_limits)
{
    return (struct limits){limit_of(RLIMIT_DATA), limit_of(RLIMIT_FSIZE),
                           limit_of(RLIMIT_CPU), limit_of(RLIMIT_NOFILE),
                           limit_of(RLIMIT_CORE)};
}

HK_FN(hk_rc, write_file, (size_t, bytes))
{
    static const char page[4096];
    int fd = memfd_create("hocket-test", MFD_CLOEXEC);

    for (size_t i = 0; fd >= 0 && i < bytes; i += sizeof(page))
        if (write(fd, page, sizeof(page)) < 0)
            return -errno;
    return fd < 0 ? -errno : close(fd);
}

HK_FN(hk_rc, open_many, (int, most))
{
    int rc = 0;

    for (int i = 0; i < most && rc >= 0; i++)
        rc = dup(STDIN_FILENO) < 0 ? -errno : 0;
    return rc;
}

HK_FN(void, compute_for_ever)
{
    for (volatile uint64_t i = 0;; i++)
        ;
}

/* ---- tests ---- */

static struct limits limits_in(hk_executor *pool)
{
    hk_future *future = own_limits_on(pool);
    struct limits limits;

    assert_int_equal(own_limits_await(future, &limits), 0);
    hk_future_free(future);
    return limits;
}

static uint64_t resident_in_a_worker(void)
{
    hk_executor *pool = pool_with(1);
    hk_future *future = resident_on(pool);
    uint64_t bytes;

    assert_int_equal(resident_await(future, &bytes), 0);
    hk_future_free(future);
    hk_executor_free(pool);
    return bytes;
}

static int worker_that_grew(hk_executor *pool, size_t bytes)
{
    hk_future *future = grow_on(pool, bytes);
    int pid;

    assert_int_equal(grow_await(future, &pid), 0);
    hk_future_free(future);
    return pid;
}

static void a_worker_is_replaced_when_it_has_grown(void **state)
{
    hk_executor *pool = pool_of(&(hk_process_options){
        .workers_max = 1, .recycle_above_bytes = resident_in_a_worker() + 64 * MIB});
    int first = worker_that_grew(pool, 0);

    (void)state;
    assert_int_equal(worker_that_grew(pool, 8 * MIB), first);
    assert_int_equal(worker_that_grew(pool, 128 * MIB), first);
    assert_int_not_equal(worker_that_grew(pool, 0), first);
    assert_int_equal(stats_of(pool).recycled, 1);
    assert_int_equal(stats_of(pool).lost, 0);
    hk_executor_free(pool);
}

static void each_worker_has_a_processor_of_its_own(void **state)
{
    hk_executor *pool =
        pool_of(&(hk_process_options){.workers_max = 2, .bind_processors = true});
    hk_future *futures[2];
    uint64_t bits[2];
    hk_shared count;
    cpu_set_t set;

    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
    assert_int_equal(hk_shared_alloc(sizeof(uint32_t), &count), 0);
    *(uint32_t *)hk_shared_data(count) = 0;
    for (int i = 0; i < 2; i++)
        futures[i] = processors_of_two_on(pool, count);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(processors_of_two_await(futures[i], &bits[i]), 0);
        assert_int_equal(__builtin_popcountll(bits[i]), 1);
        hk_future_free(futures[i]);
    }
    assert_true(CPU_COUNT(&set) == 1 || bits[0] != bits[1]);
    hk_shared_free(count);
    hk_executor_free(pool);
}

static void limits_are_those_of_the_program_unless_said(void **state)
{
    hk_executor *pool = pool_with(1);
    struct limits limits = limits_in(pool);

    (void)state;
    assert_int_equal(limits.memory, limit_of(RLIMIT_DATA));
    assert_int_equal(limits.file, limit_of(RLIMIT_FSIZE));
    assert_int_equal(limits.cpu, limit_of(RLIMIT_CPU));
    assert_int_equal(limits.fds, limit_of(RLIMIT_NOFILE));
    assert_int_equal(limits.core, 0);
    hk_executor_free(pool);
    pool = pool_of(&(hk_process_options){.workers_max = 1, .core_dumps = true});
    assert_int_equal(limits_in(pool).core, limit_of(RLIMIT_CORE));
    hk_executor_free(pool);
}

static void what_exceeds_a_limit_fails_in_the_worker(void **state)
{
    hk_executor *pool = pool_of(
        &(hk_process_options){.workers_max = 1, .file_max_bytes = MIB, .fds_max = 20});
    struct limits limits = limits_in(pool);
    hk_job_error error;
    hk_future *future;

    (void)state;
    assert_int_equal(limits.file, MIB);
    assert_int_equal(limits.fds, 20);
    assert_int_equal(await_and_free(write_file_on(pool, MIB)), 0);
    future = write_file_on(pool, 2 * MIB);
    assert_int_equal(hk_future_await(future, NULL), -EOWNERDEAD);
    assert_int_equal(hk_future_error(future, &error), 0);
    assert_int_equal(error.signal, SIGXFSZ);
    hk_future_free(future);
    assert_int_equal(limits_in(pool).file, MIB); /* of the next one, too */
    assert_int_equal(await_and_free(open_many_on(pool, 30)), -EMFILE);
    hk_executor_free(pool);
}

/* Takes the second that is the least there is. */
static void a_job_that_computes_too_long_is_ended(void **state)
{
    hk_executor *pool =
        pool_of(&(hk_process_options){.workers_max = 1, .cpu_max_seconds = 1});
    hk_future *future = compute_for_ever_on(pool);
    hk_job_error error;

    (void)state;
    assert_int_equal(hk_future_await(future, NULL), -EOWNERDEAD);
    assert_int_equal(hk_future_error(future, &error), 0);
    assert_true(error.signal == SIGXCPU || error.signal == SIGKILL);
    hk_future_free(future);
    expect_add(pool, 1, 2);
    hk_executor_free(pool);
}

/* Jobs that find the worker awake, and jobs that come when it has gone to sleep. */
static void a_worker_that_stays_awake_works_as_others_do(void **state)
{
    enum { SPIN_NS = 200000 };
    hk_executor *pool =
        pool_of(&(hk_process_options){.workers_max = 1, .spin_ns = SPIN_NS});

    (void)state;
    for (int i = 0; i < 200; i++) {
        expect_add(pool, i, 1);
        if (i % 20 == 0)
            assert_int_equal(hk_sleep(2 * SPIN_NS), 0);
    }
    assert_int_equal(await_and_free(die_by_on(pool, SIGKILL)), -EOWNERDEAD);
    expect_add(pool, 1, 2);
    hk_executor_free(pool);
}

static void options_out_of_range_are_refused(void **state)
{
    static const hk_process_options wrong[] = {
        {.workers_max = 1025},
        {.spin_ns = -1},
        {.cancel_grace_ns = -1},
        {.init_input = {"", 209}},
    };
    hk_executor *pool = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(hk_process_pool_new(&wrong[i], &pool), -EINVAL);
    assert_null(pool);
}

/* What the kernel says, in a file of ours. */
static void say_kills(const char *path, int kills)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fprintf(file, "pgfault 1\noom_kill %d\n", kills) > 0);
    assert_int_equal(fclose(file), 0);
}

static bool was_out_of_memory(hk_executor *pool, int signo)
{
    hk_future *future = die_by_on(pool, signo);
    hk_job_error error;

    assert_int_equal(hk_future_await(future, NULL), -EOWNERDEAD);
    assert_int_equal(hk_future_error(future, &error), 0);
    assert_int_equal(error.signal, signo);
    hk_future_free(future);
    return error.out_of_memory;
}

static void a_kill_for_want_of_memory_is_told(void **state)
{
    const char *vmstat = hki_os_vmstat;
    char path[] = "/tmp/hocket-vmstat-XXXXXX";
    int fd = mkstemp(path);
    hk_executor *pool;

    (void)state;
    say_kills(path, 3);
    hki_os_vmstat = path;
    pool = pool_with(1);
    assert_false(was_out_of_memory(pool, SIGKILL));
    say_kills(path, 4);
    assert_false(was_out_of_memory(pool, SIGSEGV));
    assert_true(was_out_of_memory(pool, SIGKILL));
    assert_false(was_out_of_memory(pool, SIGKILL));
    hk_executor_free(pool);
    hki_os_vmstat = vmstat;
    (void)close(fd);
    (void)unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* first: what forks must not have threads */
        forked_unit_test(each_worker_has_a_processor_of_its_own),
        forked_unit_test(what_exceeds_a_limit_fails_in_the_worker),
        forked_unit_test(a_worker_that_stays_awake_works_as_others_do),
        cmocka_unit_test(a_worker_is_replaced_when_it_has_grown),
        cmocka_unit_test(each_worker_has_a_processor_of_its_own),
        cmocka_unit_test(limits_are_those_of_the_program_unless_said),
        cmocka_unit_test(what_exceeds_a_limit_fails_in_the_worker),
        cmocka_unit_test(a_job_that_computes_too_long_is_ended),
        cmocka_unit_test(a_worker_that_stays_awake_works_as_others_do),
        cmocka_unit_test(options_out_of_range_are_refused),
        cmocka_unit_test(a_kill_for_want_of_memory_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
