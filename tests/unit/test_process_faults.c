/* SPDX-License-Identifier: MIT */
/*
 * Shows that a crash costs one job: whatever a job does to its worker, it alone fails,
 * with the way its worker died; all other jobs have one outcome each, and the pool goes
 * on. That a job can be killed, by hand and by its scope's deadline; that it can be
 * started anew when it may be; and that nothing is left behind. How: jobs that kill,
 * stop and break the process that they are in.
 */
#include "unit/process_test.h"

#include <hocket/shared.h>

#include <pthread.h>

/* ---- what runs in workers ---- */

/* Dies unless `path` exists, and makes it: so it succeeds the second time. */
HK_FN(int, die_once, (hk_str, path))
{
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);

    if (fd >= 0)
        (void)raise(SIGKILL);
    return 7;
}

HK_FN(int, close_everything)
{
    for (int fd = 0; fd < 100; fd++)
        (void)close(fd);
    return 1;
}

/* Fills what it shares with the program with junk: its channel, and nobody else's. */
HK_FN(int, write_junk, (int, byte))
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    int found = 0;

    while (fgets(line, sizeof(line), maps)) {
        unsigned long first, end;

        if (!strstr(line, "hocket-channel") ||
            sscanf(line, "%lx-%lx", &first, &end) != 2)
            continue;
        memset((void *)first, byte, 64 << 10);
        found++;
    }
    (void)fclose(maps);
    return found;
}

static int init_fails(hk_bytes input, hk_result *result)
{
    (void)input;
    (void)result;
    return -EPERM;
}

static int init_dies(hk_bytes input, hk_result *result)
{
    (void)input;
    (void)result;
    _exit(3);
}

/* ---- tests ---- */

static void a_death_fails_its_job_and_says_how(void **state)
{
    static const int signals[] = {SIGKILL, SIGSEGV, SIGABRT, SIGTERM};
    hk_executor *pool = pool_with(1);
    hk_job_error error;
    hk_future *future;

    (void)state;
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        future = die_by_on(pool, signals[i]);
        assert_int_equal(hk_future_await(future, NULL), -EOWNERDEAD);
        assert_int_equal(hk_future_error(future, &error), 0);
        assert_int_equal(error.signal, signals[i]);
        hk_future_free(future);
        expect_add(pool, 1, 2);
    }
    future = exit_with_on(pool, 5);
    assert_int_equal(hk_future_await(future, NULL), -EOWNERDEAD);
    assert_int_equal(hk_future_error(future, &error), 0);
    assert_int_equal(error.signal, 0);
    assert_int_equal(error.exit_status, 5);
    hk_future_free(future);
    expect_add(pool, 1, 2);
    assert_int_equal(stats_of(pool).lost, 5);
    hk_executor_free(pool);
}

/* Every hundredth job kills its worker. */
static void a_hundredth_of_jobs_that_kill_their_worker_costs_a_hundredth(void **state)
{
    enum { EVERY = 100 };
    const long jobs = getenv("HOCKET_LONG") ? 100000 : 5000;
    hk_executor *pool = pool_with(2);
    hk_future **futures = calloc((size_t)jobs, sizeof(*futures));
    int dead = 0;

    (void)state;
    for (long i = 0; i < jobs; i++)
        futures[i] = i % EVERY == 50 ? die_by_on(pool, SIGKILL) : add_on(pool, i, 1);
    for (long i = 0; i < jobs; i++) {
        int rc = hk_future_await(futures[i], NULL);

        assert_int_equal(rc, i % EVERY == 50 ? -EOWNERDEAD : 0);
        dead += rc < 0;
        hk_future_free(futures[i]);
    }
    assert_int_equal(dead, jobs / EVERY);
    free(futures);
    hk_executor_free(pool);
}

struct submitter {
    hk_executor *pool;
    hk_future *futures[2000];
};

static void *submit_many(void *arg)
{
    struct submitter *submitter = arg;

    for (int i = 0; i < 2000; i++)
        submitter->futures[i] = add_on(submitter->pool, i, 1);
    return NULL;
}

static void each_job_has_one_outcome_when_a_close_races_its_submit(void **state)
{
    for (int round = 0; round < 5; round++) {
        struct submitter submitter = {.pool = pool_with(2)};
        pthread_t thread;
        int ran = 0, refused = 0;

        assert_int_equal(pthread_create(&thread, NULL, submit_many, &submitter), 0);
        if (round > 0)
            expect_add(submitter.pool, round, 1); /* later each time */
        hk_executor_close(submitter.pool);
        assert_int_equal(pthread_join(thread, NULL), 0);
        for (int i = 0; i < 2000; i++) {
            int rc = await_and_free(submitter.futures[i]);

            ran += rc == 0;
            refused += rc == -EPIPE;
        }
        assert_int_equal(ran + refused, 2000);
        hk_executor_free(submitter.pool);
    }
    (void)state;
}

static void *submit_large(void *arg)
{
    enum { BYTES = 64 << 20 }; /* are copied for some milliseconds */
    hk_executor_view view;
    char *bytes = calloc(1, BYTES);
    hk_future *future =
        hk_submit(hk_with(&view, arg, &(hk_job_options){.attempts_max = 2}), init_fails,
                  bytes, BYTES);

    free(bytes);
    return future;
}

/* It has seen that the pool is open, and finds the queue full and the pool closed. */
static void a_submit_does_not_wait_for_room_in_a_closed_pool(void **state)
{
    hk_executor *pool =
        pool_of(&(hk_process_options){.workers_max = 1, .queue_max = 1});
    hk_future *busy = run_for_ever_on(pool), *queued;
    hk_executor_stats stats;
    pthread_t thread;
    void *future;

    (void)state;
    (void)await_worker(busy);
    queued = add_on(pool, 1, 2);
    assert_int_equal(pthread_create(&thread, NULL, submit_large, pool), 0);
    do
        hk_executor_stats_read(pool, &stats);
    while (stats.submitted < 3);
    (void)usleep(1000);
    hk_executor_close(pool);
    assert_int_equal(pthread_join(thread, &future), 0);
    assert_int_equal(await_and_free(future), -EPIPE);
    assert_int_equal(hk_future_cancel(busy, HK_KILL), 0);
    assert_int_equal(await_and_free(busy), -EIDRM);
    assert_int_equal(await_and_free(queued), 0);
    hk_executor_free(pool);
}

static void *await_it(void *future)
{
    (void)hk_future_await(future, NULL);
    return NULL;
}

/* The thread may still be looking for the result when the last job is done. */
static void a_pool_may_be_freed_while_a_thread_awaits_its_last_job(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        hk_executor *pool = pool_with(1);
        hk_future *future;
        pthread_t thread;

        for (int i = 0; i < 10; i++) /* short jobs */
            expect_add(pool, i, 1);
        future = add_on(pool, 1, 2);
        assert_int_equal(pthread_create(&thread, NULL, await_it, future), 0);
        hk_executor_free(pool);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(await_and_free(future), 0);
    }
}

static void an_idempotent_job_is_started_anew(void **state)
{
    char path[] = "/tmp/hocket-once-XXXXXX";
    hk_executor *pool = pool_with(1);
    hk_job_error error;
    hk_executor_view view;
    hk_executor *again = hk_with(&view, pool, &(hk_job_options){.attempts_max = 3});
    hk_future *future;
    int got;

    (void)state;
    (void)close(mkstemp(path));
    (void)unlink(path);
    future = die_once_on(again, path);
    assert_int_equal(die_once_await(future, &got), 0);
    assert_int_equal(got, 7);
    assert_int_equal(hk_future_error(future, &error), 0);
    assert_int_equal(error.attempts, 2);
    assert_int_equal(error.signal, 0); /* it has succeeded after all */
    assert_int_equal(error.exit_status, -1);
    hk_future_free(future);
    (void)unlink(path);
    hk_executor_free(pool);
}

static void a_poisoned_job_is_tried_three_times(void **state)
{
    hk_executor *pool = pool_with(1);
    hk_executor_view view;
    hk_future *future =
        die_by_on(hk_with(&view, pool, &(hk_job_options){.attempts_max = 3}), SIGKILL);
    hk_job_error error;

    (void)state;
    assert_int_equal(hk_future_await(future, NULL), -EOWNERDEAD);
    assert_int_equal(hk_future_error(future, &error), 0);
    assert_int_equal(error.attempts, 3);
    hk_future_free(future);
    expect_add(pool, 1, 2);
    assert_int_equal(stats_of(pool).retried, 2);
    hk_executor_free(pool);
}

static void a_running_job_can_be_killed(void **state)
{
    hk_executor *pool = pool_with(1);
    hk_future *future = run_for_ever_on(pool);
    hk_future *next = add_on(pool, 1, 2);

    (void)state;
    (void)await_worker(future);
    assert_int_equal(hk_future_cancel(future, HK_KILL), 0);
    assert_int_equal(await_and_free(future), -EIDRM);
    assert_int_equal(await_and_free(next), 0);
    assert_int_equal(stats_of(pool).lost, 0);
    hk_executor_free(pool);
}

HK_FN(hk_rc, sleep_for_ever)
{
    return hk_sleep(INT64_MAX / 2);
}

static void a_cancelled_job_is_asked_before_it_is_killed(void **state)
{
    hk_executor *pool = pool_of(
        &(hk_process_options){.workers_max = 1, .cancel_grace_ns = 60 * HK_SECOND});
    hk_future *future = sleep_for_ever_on(pool);
    pid_t pid = await_worker(future);

    (void)state;
    assert_int_equal(hk_future_cancel(future, HK_CANCEL), 0);
    assert_int_equal(await_and_free(future), -EIDRM);
    future = run_for_ever_on(pool);
    assert_int_equal(await_worker(future), pid);              /* it has survived */
    assert_int_equal(hk_future_cancel(future, HK_CANCEL), 0); /* looks at nothing */
    assert_int_equal(hk_future_try(future, NULL), -EAGAIN);
    assert_int_equal(hk_future_cancel(future, HK_KILL), 0);
    assert_int_equal(await_and_free(future), -EIDRM);
    hk_executor_free(pool);
}

static void a_job_that_does_not_end_when_asked_is_killed(void **state)
{
    hk_executor *pool = pool_of(&(hk_process_options){
        .workers_max = 1, .cancel_grace_ns = 20 * HK_MILLISECOND});
    hk_future *future = run_for_ever_on(pool);
    const int64_t begin_ns = hk_now();

    (void)state;
    (void)await_worker(future);
    assert_int_equal(hk_future_cancel(future, HK_CANCEL), 0);
    assert_int_equal(await_and_free(future), -EIDRM);
    assert_true(hk_now() - begin_ns >= 20 * HK_MILLISECOND);
    expect_add(pool, 1, 2);
    assert_int_equal(stats_of(pool).lost, 0);
    hk_executor_free(pool);
}

static void a_queued_job_that_is_cancelled_never_runs(void **state)
{
    hk_executor *pool = pool_with(1);
    hk_future *busy = run_for_ever_on(pool), *queued;

    (void)state;
    (void)await_worker(busy);
    queued = run_for_ever_on(pool);
    assert_int_equal(hk_future_cancel(queued, HK_CANCEL_QUEUED), 0);
    assert_int_equal(await_and_free(queued), -EIDRM);
    assert_int_equal(hk_future_cancel(busy, HK_CANCEL_QUEUED), 0);
    assert_int_equal(hk_future_try(busy, NULL), -EAGAIN);
    assert_int_equal(hk_future_cancel(busy, HK_CANCEL), 0);
    assert_int_equal(await_and_free(busy), -EIDRM);
    hk_executor_free(pool);
}

static void a_deadline_of_the_scope_ends_a_running_job(void **state)
{
    hk_executor *pool = pool_with(1);
    hk_future *future;
    hk_scope s;
    int rc;

    (void)state;
    expect_add(pool, 1, 2);
    hk_scope_open(&s);
    future = run_for_ever_on(pool);
    hk_scope_deadline(&s, hk_now() + 20 * HK_MILLISECOND);
    rc = hk_future_await(future, NULL);
    assert_true(rc == -ECANCELED || rc == -EIDRM); /* the job may be the faster one */
    assert_int_equal(hk_scope_join(&s), rc == -ECANCELED ? -ETIMEDOUT : 0);
    assert_int_equal(await_and_free(future), -EIDRM);
    expect_add(pool, 1, 2);
    hk_executor_free(pool);
}

static void a_stopped_worker_is_noticed(void **state)
{
    hk_executor *pool = pool_with(1);
    hk_future *future;
    hk_job_error error;

    (void)state;
    expect_add(pool, 1, 2); /* so that the submitter hands the next one over himself */
    future = die_by_on(pool, SIGSTOP);
    assert_int_equal(hk_future_await(future, NULL), -EOWNERDEAD);
    assert_int_equal(hk_future_error(future, &error), 0);
    assert_int_equal(error.signal, SIGSTOP);
    hk_future_free(future);
    expect_add(pool, 1, 2);
    assert_int_equal(stats_of(pool).stopped, 1);
    hk_executor_free(pool);
}

static void a_worker_may_close_all_its_descriptors(void **state)
{
    hk_executor *pool = pool_with(1);

    (void)state;
    assert_int_equal(await_and_free(close_everything_on(pool)), 0);
    expect_add(pool, 1, 2);
    assert_int_equal(await_and_free(die_by_on(pool, SIGKILL)), -EOWNERDEAD);
    expect_add(pool, 1, 2);
    hk_executor_free(pool);
}

static void a_crash_does_not_touch_jobs_behind_it(void **state)
{
    enum { JOBS = 200 };
    hk_executor *pool = pool_with(1);
    hk_future *futures[JOBS], *crash;

    (void)state;
    for (int i = 0; i < 1000; i++) /* short jobs: several are sent at a time */
        expect_add(pool, i, 1);
    crash = die_by_on(pool, SIGKILL);
    for (int i = 0; i < JOBS; i++)
        futures[i] = add_on(pool, i, 1);
    assert_int_equal(await_and_free(crash), -EOWNERDEAD);
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(await_and_free(futures[i]), 0);
    hk_executor_free(pool);
}

static void junk_from_a_worker_fails_its_job(void **state)
{
    static const int bytes[] = {0xff, 0x7f, 0x03, 0x00};
    hk_executor *pool = pool_with(1);

    (void)state;
    for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
        hk_future *future = write_junk_on(pool, bytes[i]);
        int rc;

        /* With a state that means something the worker may even get its result across,
         * or wait for ever for a job that it has been sent. */
        while (hk_future_try(future, NULL) == -EAGAIN && hk_future_worker(future) == 0)
            assert_int_equal(hk_sleep(HK_MILLISECOND), 0);
        (void)hk_future_cancel(future, HK_KILL);
        rc = await_and_free(future);
        assert_true(rc == 0 || rc == -EIDRM || rc == -EOWNERDEAD || rc == -EBADMSG);
        expect_add(pool, 1, 2);
    }
    hk_executor_free(pool);
}

static void an_initializer_that_fails_fails_the_jobs(void **state)
{
    hk_executor *pool =
        pool_of(&(hk_process_options){.workers_max = 2, .init = init_fails});

    (void)state;
    assert_int_equal(await_and_free(add_on(pool, 1, 2)), -EPERM);
    assert_int_equal(stats_of(pool).degraded, -EPERM);
    assert_string_equal(stats_of(pool).step, "its initializer");
    hk_executor_free(pool);
    pool = pool_of(&(hk_process_options){.workers_max = 2, .init = init_dies});
    assert_int_equal(await_and_free(add_on(pool, 1, 2)), -EOWNERDEAD);
    hk_executor_free(pool);
}

static int init_as_told(hk_bytes input, hk_result *result)
{
    hk_shared told;

    (void)result;
    memcpy(&told, input.data, sizeof(told));
    return __atomic_load_n((int *)hk_shared_data(told), __ATOMIC_ACQUIRE);
}

static uint32_t lines[2]; /* atomic: of the log, that say so: degraded; well again */

static void on_log(hk_log_level level, const char *line, void *ctx)
{
    (void)level;
    (void)ctx;
    if (strstr(line, "'feeble' is degraded") && strstr(line, "its initializer"))
        __atomic_add_fetch(&lines[0], 1, __ATOMIC_RELAXED);
    if (strstr(line, "'feeble' has workers again"))
        __atomic_add_fetch(&lines[1], 1, __ATOMIC_RELAXED);
}

/* Starts are tried less and less often; then jobs fail at once, and the log says so,
 * once; when starts succeed again all is well, and it says that. */
static void a_degraded_pool_says_so_and_recovers(void **state)
{
    const int64_t begin_ns = hk_now();
    hk_executor *pool;
    hk_shared told;
    int rc;

    (void)state;
    assert_int_equal(hk_shared_alloc(sizeof(int), &told), 0);
    *(int *)hk_shared_data(told) = -ENXIO;
    hk_log_to(on_log, NULL);
    pool = pool_of(&(hk_process_options){.name = "feeble",
                                         .workers_max = 1,
                                         .init = init_as_told,
                                         .init_input = {&told, sizeof(told)}});
    assert_int_equal(await_and_free(add_on(pool, 1, 2)), -ENXIO);
    assert_true(hk_now() - begin_ns >= (10 + 20 + 40 + 80 + 160) * HK_MILLISECOND);
    assert_int_equal(stats_of(pool).degraded, -ENXIO);
    assert_int_equal(stats_of(pool).starts_failed, 6);
    assert_int_equal(await_and_free(add_on(pool, 1, 2)), -ENXIO);
    __atomic_store_n((int *)hk_shared_data(told), 0, __ATOMIC_RELEASE);
    while ((rc = await_and_free(add_on(pool, 1, 2))) == -ENXIO)
        assert_int_equal(hk_sleep(HK_MILLISECOND), 0);
    assert_int_equal(rc, 0);
    assert_int_equal(stats_of(pool).degraded, 0);
    hk_executor_free(pool);
    hk_log_to(NULL, NULL);
    assert_int_equal(__atomic_load_n(&lines[0], __ATOMIC_RELAXED), 1);
    assert_int_equal(__atomic_load_n(&lines[1], __ATOMIC_RELAXED), 1);
    hk_shared_free(told);
}

/* ---- in processes of their own ---- */

/* Of what is mapped for worker processes: what has a name, which would outlive them. */
static pid_t count_files(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    pid_t count = 0;

    while (maps && fgets(line, sizeof(line), maps)) {
        const char *name = strrchr(line, '/'); /* folders do not matter */

        if (name && strstr(name, "hocket-"))
            count += !strstr(name, "/memfd:hocket-") || !strstr(name, "(deleted)");
    }
    if (maps)
        (void)fclose(maps);
    return count;
}

static int runs_without_environment(void)
{
    hk_executor *pool = pool_with(1);

    (void)clearenv();
    expect_add(pool, 1, 2);
    hk_executor_free(pool);
    return 0;
}

static void a_program_may_have_no_environment(void **state)
{
    struct child child;

    (void)state;
    child = run_child(runs_without_environment);
    expect_exit(&child, 0);
}

/* The kernel reaps its workers then, and nobody learns how they ended. */
static int ignores_its_children(void)
{
    hk_executor *pool;
    hk_future *future;
    hk_job_error error;

    (void)signal(SIGCHLD, SIG_IGN);
    pool = pool_with(1);
    future = die_by_on(pool, SIGKILL);
    if (hk_future_await(future, NULL) != -EOWNERDEAD ||
        hk_future_error(future, &error) < 0 || error.signal != 0 ||
        error.exit_status != -1)
        return 1;
    hk_future_free(future);
    expect_add(pool, 1, 2);
    hk_executor_free(pool);
    return 0;
}

static void a_death_that_nobody_saw_has_no_exit_status(void **state)
{
    struct child child;

    (void)state;
    child = run_child(ignores_its_children);
    expect_exit(&child, 0);
}

/* As one that is setuid: the rights that its workers would have are its file's, and who
 * starts such a program, with memory of his own as its channel, must not have them. */
static int has_rights_of_another(void)
{
    hk_executor *pool;

    if (setresuid(65534, 0, 0) < 0)
        return errno == EPERM ? 2 : 1;
    pool = pool_with(1);
    if (await_and_free(add_on(pool, 1, 2)) != -EPERM ||
        strcmp(stats_of(pool).step, "checking its rights") != 0)
        return 1;
    hk_executor_free(pool);
    return 0;
}

static void a_program_with_the_rights_of_its_file_is_no_worker(void **state)
{
    struct child child;

    (void)state;
    child = run_child(has_rights_of_another);
    if (WIFEXITED(child.status) && WEXITSTATUS(child.status) == 2)
        skip(); /* only root can show it */
    expect_exit(&child, 0);
}

static int dies_with_work(void)
{
    hk_executor *pool = pool_with(2);
    hk_future *futures[2] = {run_for_ever_on(pool), run_for_ever_on(pool)};
    const pid_t files = count_files();

    (void)!write(STDERR_FILENO, &files, sizeof(files));
    for (int i = 0; i < 2; i++) {
        pid_t pid = await_worker(futures[i]);

        (void)!write(STDERR_FILENO, &pid, sizeof(pid));
    }
    return raise(SIGKILL);
}

static void nothing_is_left_when_the_program_is_killed(void **state)
{
    struct child child;
    pid_t files, pids[2];

    (void)state;
    child = run_child(dies_with_work);
    assert_true(WIFSIGNALED(child.status));
    memcpy(&files, child.text, sizeof(files));
    assert_int_equal(files, 0);
    memcpy(pids, child.text + sizeof(files), sizeof(pids));
    for (int i = 0; i < 2; i++) {
        assert_true(pids[i] > 0);
        while (kill(pids[i], 0) == 0) /* a zombie, until init has looked at it */
            (void)usleep(1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* first: what forks must not have threads */
        forked_unit_test(a_death_fails_its_job_and_says_how),
        forked_unit_test(a_hundredth_of_jobs_that_kill_their_worker_costs_a_hundredth),
        forked_unit_test(an_idempotent_job_is_started_anew),
        forked_unit_test(a_poisoned_job_is_tried_three_times),
        forked_unit_test(a_running_job_can_be_killed),
        forked_unit_test(a_cancelled_job_is_asked_before_it_is_killed),
        forked_unit_test(a_job_that_does_not_end_when_asked_is_killed),
        forked_unit_test(a_queued_job_that_is_cancelled_never_runs),
        forked_unit_test(a_deadline_of_the_scope_ends_a_running_job),
        forked_unit_test(a_stopped_worker_is_noticed),
        forked_unit_test(a_worker_may_close_all_its_descriptors),
        forked_unit_test(a_crash_does_not_touch_jobs_behind_it),
        forked_unit_test(junk_from_a_worker_fails_its_job),
        cmocka_unit_test(nothing_is_left_when_the_program_is_killed),
        cmocka_unit_test(a_program_may_have_no_environment),
        cmocka_unit_test(a_death_that_nobody_saw_has_no_exit_status),
        cmocka_unit_test(a_program_with_the_rights_of_its_file_is_no_worker),
        cmocka_unit_test(a_death_fails_its_job_and_says_how),
        cmocka_unit_test(a_hundredth_of_jobs_that_kill_their_worker_costs_a_hundredth),
        cmocka_unit_test(each_job_has_one_outcome_when_a_close_races_its_submit),
        cmocka_unit_test(a_submit_does_not_wait_for_room_in_a_closed_pool),
        cmocka_unit_test(a_pool_may_be_freed_while_a_thread_awaits_its_last_job),
        cmocka_unit_test(an_idempotent_job_is_started_anew),
        cmocka_unit_test(a_poisoned_job_is_tried_three_times),
        cmocka_unit_test(a_running_job_can_be_killed),
        cmocka_unit_test(a_cancelled_job_is_asked_before_it_is_killed),
        cmocka_unit_test(a_job_that_does_not_end_when_asked_is_killed),
        cmocka_unit_test(a_queued_job_that_is_cancelled_never_runs),
        cmocka_unit_test(a_deadline_of_the_scope_ends_a_running_job),
        cmocka_unit_test(a_stopped_worker_is_noticed),
        cmocka_unit_test(a_worker_may_close_all_its_descriptors),
        cmocka_unit_test(a_crash_does_not_touch_jobs_behind_it),
        cmocka_unit_test(junk_from_a_worker_fails_its_job),
        cmocka_unit_test(an_initializer_that_fails_fails_the_jobs),
        cmocka_unit_test(a_degraded_pool_says_so_and_recovers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
