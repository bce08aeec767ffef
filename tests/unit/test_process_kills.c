/* SPDX-License-Identifier: MIT */
/*
 * Shows what workers that are killed from outside cost, at any moment: each job has one
 * outcome, none runs twice unless it may, the pool is soon as large as before, and
 * nothing is left over. And that a program that runs out of memory, descriptors or
 * processes gets errors, not a hang. How: every job counts its runs in shared memory,
 * from which a thread learns when and whom to kill.
 *
 * Run: limit=300
 */
#include "unit/process_test.h"

#include <hocket/shared.h>
#include <hocket/testing.h>

#include <pthread.h>

static bool is_long(void)
{
    return getenv("HOCKET_LONG") != NULL;
}

/* ---- what runs in workers ---- */

/* What all jobs of a test see. */
struct board {
    uint32_t started; /* atomic */
    pid_t pid;        /* atomic: of the worker that has started a job last */
    uint32_t runs[];  /* atomic: of each job */
};

/* Takes long enough for most kills to find a job. */
HK_FN(void, count_run, (hk_shared, shared), (uint32_t, job))
{
    struct board *board = hk_shared_data(shared);

    __atomic_store_n(&board->pid, getpid(), __ATOMIC_RELAXED);
    __atomic_add_fetch(&board->runs[job], 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&board->started, 1, __ATOMIC_RELEASE);
    for (volatile int i = 0; i < 30000; i++)
        ;
}

/* Forks until that fails, or often enough; how many there are then. */
HK_FN(int, fork_many, (int, most))
{
    int count = 0;

    if (geteuid() == 0 && setuid(65534) < 0) /* root has no limit */
        return -errno;
    for (; count < most; count++) {
        pid_t pid = fork();

        if (pid < 0)
            break;
        if (pid == 0)
            for (;;)
                (void)pause();
    }
    return count;
}

HK_FN(size_t, count_ones, (hk_bytes, bytes))
{
    const unsigned char *at = bytes.data;
    size_t ones = 0;

    for (size_t i = 0; i < bytes.size; i += 4096)
        ones += at[i];
    return ones;
}

static int send_back(hk_bytes bytes, hk_result *result)
{
    return hk_result_set(result, bytes.data, bytes.size);
}

/* ---- kills ---- */

enum { STARTS_PER_KILL = 90 };

struct killer {
    struct board *board;
    uint32_t kills_max, kills;
    bool is_over; /* atomic */
};

/* True: it is time for the next kill, of a worker that was not killed yet. */
static bool await_victim(const struct killer *killer, pid_t *victim)
{
    struct board *board = killer->board;
    const pid_t last = *victim;

    while (*victim == last || __atomic_load_n(&board->started, __ATOMIC_ACQUIRE) <
                                  (killer->kills + 1) * STARTS_PER_KILL) {
        if (__atomic_load_n(&killer->is_over, __ATOMIC_RELAXED))
            return false;
        *victim = __atomic_load_n(&board->pid, __ATOMIC_RELAXED);
        (void)sched_yield();
    }
    return true;
}

static void *kill_workers(void *arg)
{
    struct killer *killer = arg;
    pid_t victim = 0;

    while (killer->kills < killer->kills_max && await_victim(killer, &victim)) {
        (void)kill(victim, SIGKILL);
        killer->kills++;
    }
    return NULL;
}

/* It has one outcome; and failed only after as many attempts as it has. */
static bool has_failed(hk_future *future, uint32_t attempts, const uint32_t *runs)
{
    int rc = hk_future_await(future, NULL);
    uint32_t count = __atomic_load_n(runs, __ATOMIC_RELAXED);
    hk_job_error error;

    assert_true(rc == 0 || rc == -EOWNERDEAD);
    assert_int_equal(hk_future_error(future, &error), 0);
    assert_true(rc == 0 || error.attempts == attempts);
    assert_true(count <= error.attempts && (count > 0 || rc < 0));
    hk_future_free(future);
    return rc < 0;
}

/* A hundredth as many kills as jobs, each of which may be started `attempts` times;
 * fewer when the killer comes too late. Returns how many. */
static uint32_t run_among_kills(hk_executor *pool, uint32_t jobs, uint32_t attempts,
                                uint32_t *out_failed)
{
    hk_future **futures = calloc(jobs, sizeof(*futures));
    hk_executor_view view;
    hk_executor *on = hk_with(&view, pool, &(hk_job_options){.attempts_max = attempts});
    struct killer killer = {.kills_max = jobs / 100};
    hk_shared shared;
    pthread_t thread;

    *out_failed = 0;
    assert_int_equal(
        hk_shared_alloc(sizeof(struct board) + jobs * sizeof(uint32_t), &shared), 0);
    killer.board = hk_shared_data(shared);
    memset(killer.board, 0, shared.size);
    assert_int_equal(pthread_create(&thread, NULL, kill_workers, &killer), 0);
    for (uint32_t i = 0; i < jobs; i++)
        futures[i] = count_run_on(on, shared, i);
    for (uint32_t i = 0; i < jobs; i++)
        *out_failed += has_failed(futures[i], attempts, &killer.board->runs[i]);
    __atomic_store_n(&killer.is_over, true, __ATOMIC_RELAXED);
    assert_int_equal(pthread_join(thread, NULL), 0);
    printf("# %u kills in %u jobs: %u have failed\n", killer.kills, jobs, *out_failed);
    hk_shared_free(shared);
    free(futures);
    return killer.kills;
}

static void a_kill_costs_at_most_one_job_and_none_runs_twice(void **state)
{
    const uint32_t jobs = is_long() ? 100000 : 5000;
    hk_executor *pool = pool_with(2);
    uint32_t kills = 0, more, failed;

    (void)state;
    for (int tries = 0; kills < jobs / 100 && tries < 10; tries++) {
        more = run_among_kills(pool, jobs, 1, &failed);
        assert_true(failed <= more);
        kills += more;
    }
    assert_true(kills >= jobs / 100);
    assert_int_equal(stats_of(pool).retried, 0);
    expect_add(pool, 1, 2);
    hk_executor_free(pool);
}

/* Three kills of the same job are needed, and may happen. */
static void jobs_that_may_be_started_anew_survive_two_kills(void **state)
{
    hk_executor *pool = pool_with(2);
    uint32_t failed;
    uint32_t kills = run_among_kills(pool, is_long() ? 100000 : 2000, 3, &failed);

    (void)state;
    assert_true(3 * failed <= kills);
    hk_executor_free(pool);
}

static int compare_times(const void *a, const void *b)
{
    int64_t first = *(const int64_t *)a, second = *(const int64_t *)b;

    return (first > second) - (first < second);
}

/* The sanitizers make a start ten times as long. */
#if defined(HKI_ASAN) || defined(HKI_TSAN)
enum { WORKERS = 2, DEATHS = 20, LIMIT_MS = 2000 };
#else
enum { WORKERS = 2, DEATHS = 100, LIMIT_MS = 100 };
#endif

/* From the submit of a job that kills its worker until all of them work again; the
 * worst but one of 100. */
static int64_t time_to_full_capacity(hk_executor *pool)
{
    int64_t took_ns[DEATHS];

    for (int i = 0; i < DEATHS; i++) {
        hk_future *futures[WORKERS];

        took_ns[i] = hk_now();
        assert_int_equal(await_and_free(die_by_on(pool, SIGKILL)), -EOWNERDEAD);
        for (int at = 0; at < WORKERS; at++)
            futures[at] = run_for_ever_on(pool);
        for (int at = 0; at < WORKERS; at++)
            while (hk_future_worker(futures[at]) == 0)
                (void)sched_yield();
        took_ns[i] = hk_now() - took_ns[i];
        for (int at = 0; at < WORKERS; at++)
            (void)hk_future_cancel(futures[at], HK_KILL);
        for (int at = 0; at < WORKERS; at++)
            assert_int_equal(await_and_free(futures[at]), -EIDRM);
    }
    qsort(took_ns, DEATHS, sizeof(took_ns[0]), compare_times);
    printf("# full capacity after %lld us (median), %lld us (p99)\n",
           (long long)took_ns[DEATHS / 2] / 1000,
           (long long)took_ns[DEATHS - 2] / 1000);
    return took_ns[DEATHS - 2];
}

/* Other programs may have the processors for a while. */
static void capacity_is_back_in_a_tenth_of_a_second(void **state)
{
    hk_executor *pool = pool_with(WORKERS);
    int tries = 0;

    (void)state;
    while (time_to_full_capacity(pool) >= LIMIT_MS * HK_MILLISECOND)
        assert_true(++tries < 5);
    hk_executor_free(pool);
}

/* ---- limits ---- */

static bool is_gone(pid_t group)
{
    return kill(-group, 0) < 0 && errno == ESRCH;
}

static void a_worker_that_forks_meets_its_limit_and_leaves_nothing(void **state)
{
    hk_executor *pool =
        pool_of(&(hk_process_options){.workers_max = 1, .processes_max = 40});
    hk_future *forks, *busy;
    int count = 0;
    pid_t pid;

    (void)state;
    forks = fork_many_on(pool, 1000);
    assert_int_equal(fork_many_await(forks, &count), 0);
    hk_future_free(forks);
    assert_in_range(count, 0, 40);
    busy = run_for_ever_on(pool);
    pid = await_worker(busy);
    assert_int_equal(hk_future_cancel(busy, HK_KILL), 0);
    assert_int_equal(await_and_free(busy), -EIDRM);
    while (!is_gone(pid)) /* init has to look at them */
        (void)usleep(1000);
    expect_add(pool, 1, 2);
    hk_executor_free(pool);
}

static void jobs_beyond_the_queue_are_refused_whatever_their_number(void **state)
{
    const long jobs = is_long() ? 10000000 : 300000;
    hk_executor *pool = pool_with(1);
    hk_executor_view view;
    hk_executor *now = hk_with(&view, pool, &(hk_job_options){.nowait = true});
    hk_future *busy = run_for_ever_on(pool);
    long refused = 0;
    hk_ledger ledger;

    (void)state;
    (void)await_worker(busy);
    for (long i = 0; i < jobs; i++) {
        hk_future *future = add_on(now, i, 1);

        refused += hk_future_try(future, NULL) == -EAGAIN && hk_future_is_done(future);
        hk_future_free(future);
    }
    assert_true(refused >= jobs - 65536 - 64);
    hk_ledger_read(&ledger);
    assert_true(ledger.bytes < (uint64_t)100 << 20);
    hk_executor_terminate(pool);
    assert_int_equal(await_and_free(busy), -EIDRM);
    hk_executor_free(pool);
}

static size_t memory_available(void)
{
    FILE *file = fopen("/proc/meminfo", "r");
    char line[128];
    size_t kib = 0;

    while (file && fgets(line, sizeof(line), file))
        if (sscanf(line, "MemAvailable: %zu kB", &kib) == 1)
            break;
    if (file)
        (void)fclose(file);
    return kib << 10;
}

static void a_gibibyte_crosses_and_comes_back(void **state)
{
    const size_t size = (size_t)1 << 30;
    hk_executor *pool;
    unsigned char *block;
    hk_future *future;
    hk_bytes back;
    size_t ones;

    (void)state;
#if defined(HKI_ASAN) || defined(HKI_TSAN)
    printf("# skipped: the sanitizer's memory comes on top\n");
    skip();
#endif
    if (memory_available() < 4 * size) {
        printf("# skipped: less than 4 GiB of memory are available\n");
        skip();
    }
    pool = pool_with(1);
    block = calloc(1, size); /* most of it is one page of zeroes */
    assert_non_null(block);
    block[0] = block[size / 2] = block[size - 4096] = 1;
    future = count_ones_on(pool, (hk_bytes){block, size});
    assert_int_equal(count_ones_await(future, &ones), 0);
    assert_int_equal(ones, 3);
    hk_future_free(future);
    future = hk_submit(pool, send_back, block, size);
    assert_int_equal(hk_future_await(future, &back), 0);
    assert_int_equal(back.size, size);
    assert_int_equal(((const char *)back.data)[size / 2], 1);
    hk_future_free(future);
    free(block);
    hk_executor_free(pool);
}

/* ---- memory and descriptors ---- */

static int use_pool(size_t size)
{
    hk_executor *pool;
    hk_future *future;
    char *bytes;
    int rc = hk_process_pool_new(&(hk_process_options){.workers_max = 1}, &pool);

    if (rc < 0)
        return rc;
    bytes = calloc(1, size);
    future = hk_submit(pool, send_back, bytes, size);
    rc = await_and_free(future);
    free(bytes);
    hk_executor_free(pool);
    return rc;
}

static void any_allocation_may_fail(void **state)
{
    static const size_t sizes[] = {8, 100, 5000};
    int failed = 0;

    (void)state;
    assert_int_equal(use_pool(8), 0); /* what is made once is there */
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        for (uint64_t nth = 1;; nth++) {
            uint64_t calls;
            int rc;

            hk_fault_arm(HK_FAULT_ALLOC, nth, -ENOMEM);
            rc = use_pool(sizes[i]);
            calls = hk_fault_count(HK_FAULT_ALLOC);
            hk_fault_arm(HK_FAULT_ALLOC, 0, 0);
            assert_true(rc == 0 || rc == -ENOMEM);
            failed += rc < 0;
            if (calls < nth)
                break;
        }
    assert_true(failed > 0);
}

static rlim_t open_descriptors(void)
{
    rlim_t count = 0;

    for (int fd = 0; fd < 64; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* In a process of its own. From too few descriptors on to as many as it needs. */
static int runs_out_of_descriptors(void)
{
    const struct rlimit all = {.rlim_cur = 1024, .rlim_max = 1024};
    int rc = -1, first = -1;

    if (use_pool(8) < 0) /* what is made once is there */
        return 1;
    for (rlim_t limit = open_descriptors(); limit < 64 && rc != 0; limit++) {
        const struct rlimit few = {.rlim_cur = limit, .rlim_max = 1024};

        (void)setrlimit(RLIMIT_NOFILE, &few);
        rc = use_pool(8);
        (void)setrlimit(RLIMIT_NOFILE, &all);
        first = first == -1 ? rc : first;
        if (rc != 0 && rc != -EMFILE && rc != -EOWNERDEAD)
            return 2;
    }
    return rc == 0 && first == -EMFILE ? 0 : 3;
}

static void any_descriptor_may_be_missing(void **state)
{
    struct child child;

    (void)state;
    child = run_child(runs_out_of_descriptors);
    expect_exit(&child, 0);
}

/* In a process of its own: shared memory counts as a file, and who makes one that is
 * too large gets a signal. */
static int has_a_limit_on_files(void)
{
    const struct rlimit few = {.rlim_cur = 1 << 20, .rlim_max = RLIM_INFINITY};
    const struct rlimit enough = {.rlim_cur = 100 << 20, .rlim_max = RLIM_INFINITY};

    (void)setrlimit(RLIMIT_FSIZE, &few);
    if (use_pool(8) != -ENOMEM)
        return 1;
    (void)setrlimit(RLIMIT_FSIZE, &enough);
    return use_pool(5000) == 0 ? 0 : 2;
}

static void a_limit_on_files_is_no_death(void **state)
{
    struct child child;

    (void)state;
    child = run_child(has_a_limit_on_files);
    expect_exit(&child, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* first: what forks must not have threads */
        forked_unit_test(a_kill_costs_at_most_one_job_and_none_runs_twice),
        forked_unit_test(jobs_that_may_be_started_anew_survive_two_kills),
        forked_unit_test(capacity_is_back_in_a_tenth_of_a_second),
        forked_unit_test(a_worker_that_forks_meets_its_limit_and_leaves_nothing),
        cmocka_unit_test(any_descriptor_may_be_missing),
        cmocka_unit_test(a_limit_on_files_is_no_death),
        cmocka_unit_test(a_kill_costs_at_most_one_job_and_none_runs_twice),
        cmocka_unit_test(jobs_that_may_be_started_anew_survive_two_kills),
        cmocka_unit_test(capacity_is_back_in_a_tenth_of_a_second),
        cmocka_unit_test(a_worker_that_forks_meets_its_limit_and_leaves_nothing),
        cmocka_unit_test(jobs_beyond_the_queue_are_refused_whatever_their_number),
        cmocka_unit_test(a_gibibyte_crosses_and_comes_back),
        cmocka_unit_test(any_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
