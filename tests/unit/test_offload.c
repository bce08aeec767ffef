/* SPDX-License-Identifier: MIT */
/*
 * Shows that the blocking pool runs every job once, grows while jobs wait and no
 * further than its limit, gives queued jobs back, and can be ended. Jobs wait at gates
 * that the test opens, so that nothing depends on how fast a thread is.
 */
#include "sys/offload.h"

#include "sys/futex.h"
#include "sys/os.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define MAX HKI_OFFLOAD_FILES_MAX

struct job {
    struct hki_offload_job base;
    uint32_t is_done; /* atomic */
    uint32_t *gate;
};

static uint32_t begun; /* atomic: jobs that have reached their gate */

static void run_job(struct hki_offload_job *base)
{
    struct job *job = hki_container_of(base, struct job, base);

    __atomic_fetch_add(&begun, 1, __ATOMIC_ACQ_REL);
    while (job->gate && !__atomic_load_n(job->gate, __ATOMIC_ACQUIRE))
        hki_futex_wait(job->gate, 0, INT64_MAX);
    __atomic_fetch_add(&job->is_done, 1, __ATOMIC_RELEASE);
    hki_futex_wake(&job->is_done, 1);
}

static void submit(struct job *job, uint32_t *gate)
{
    *job = (struct job){.base.run = run_job, .gate = gate};
    assert_int_equal(hki_offload_submit(&hki_offload_files, &job->base), 0);
}

static void open_gate(uint32_t *gate)
{
    __atomic_store_n(gate, 1, __ATOMIC_RELEASE);
    hki_futex_wake(gate, UINT32_MAX >> 1);
}

static void await(struct job *job)
{
    while (!__atomic_load_n(&job->is_done, __ATOMIC_ACQUIRE))
        hki_futex_wait(&job->is_done, 0, INT64_MAX);
    assert_int_equal(job->is_done, 1);
}

static void await_begun(uint32_t count)
{
    while (__atomic_load_n(&begun, __ATOMIC_ACQUIRE) < count)
        usleep(200);
}

static int drain(void **state)
{
    (void)state;
    /* The last job is done a moment before its thread says so. */
    while (hki_offload_pending())
        usleep(100);
    hki_offload_drain(&hki_offload_files);
    assert_int_equal(hki_offload_threads(), 0);
    begun = 0;
    return 0;
}

static void every_job_runs_once(void **state)
{
    enum { COUNT = 5000 };
    static struct job jobs[COUNT];

    (void)state;
    for (int i = 0; i < COUNT; i++)
        submit(&jobs[i], NULL);
    for (int i = 0; i < COUNT; i++)
        await(&jobs[i]);
}

static void the_pool_grows_to_its_limit_and_no_further(void **state)
{
    static struct job jobs[MAX + 20];
    uint32_t gate = 0;

    (void)state;
    for (int i = 0; i < MAX + 20; i++)
        submit(&jobs[i], &gate);
    await_begun(MAX); /* all of them at once: nobody had to end for it */
    assert_int_equal(hki_offload_threads(), MAX);
    assert_int_equal(hki_offload_pending(), MAX + 20);
    usleep(5000); /* the time in which a thread too many would begin the next */
    assert_int_equal(begun, MAX);
    open_gate(&gate);
    for (int i = 0; i < MAX + 20; i++)
        await(&jobs[i]);
}

static void a_lone_job_after_another_uses_the_same_thread(void **state)
{
    struct job job;

    (void)state;
    for (int i = 0; i < 200; i++) {
        submit(&job, NULL);
        await(&job);
        while (hki_offload_pending())
            usleep(100);
    }
    assert_in_range(hki_offload_threads(), 1, 2);
}

static void a_queued_job_is_given_back(void **state)
{
    static struct job held[MAX], queued[3];
    struct job never = {.base.run = run_job};
    uint32_t gate = 0;

    (void)state;
    for (int i = 0; i < MAX; i++)
        submit(&held[i], &gate);
    await_begun(MAX);
    for (int i = 0; i < 3; i++)
        submit(&queued[i], &gate);
    assert_true(hki_offload_withdraw(&hki_offload_files, &queued[1].base));
    assert_false(hki_offload_withdraw(&hki_offload_files, &queued[1].base));
    assert_false(hki_offload_withdraw(&hki_offload_files, &held[0].base));
    assert_false(hki_offload_withdraw(&hki_offload_files, &never.base));
    open_gate(&gate);
    for (int i = 0; i < MAX; i++)
        await(&held[i]);
    await(&queued[0]);
    await(&queued[2]);
    assert_int_equal(queued[1].is_done, 0);
    assert_false(hki_offload_withdraw(&hki_offload_files, &queued[0].base));
}

static sigset_t seen_mask;
static char seen_name[16];

static void look_around(struct hki_offload_job *base)
{
    pthread_sigmask(SIG_SETMASK, NULL, &seen_mask);
    pthread_getname_np(pthread_self(), seen_name, sizeof(seen_name));
    run_job(base);
}

static void threads_are_named_and_take_no_signals(void **state)
{
    static struct job job = {.base.run = look_around};
    sigset_t before, after;

    (void)state;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    assert_int_equal(hki_offload_submit(&hki_offload_files, &job.base), 0);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    for (int signo = 1; signo < NSIG; signo++)
        assert_int_equal(sigismember(&before, signo), sigismember(&after, signo));
    await(&job);
    assert_string_equal(seen_name, "hocket-block");
    assert_true(sigismember(&seen_mask, SIGINT));
    assert_true(sigismember(&seen_mask, SIGCHLD));
    assert_true(sigismember(&seen_mask, SIGALRM));
}

static void *submit_many(void *arg)
{
    static struct job jobs[4][2000];
    struct job *mine = jobs[(intptr_t)arg];
    uint32_t taken_back = 0;

    for (int i = 0; i < 2000; i++) {
        submit(&mine[i], NULL);
        if (i % 3 == 0 && hki_offload_withdraw(&hki_offload_files, &mine[i].base))
            taken_back++;
        else
            await(&mine[i]);
    }
    return (void *)(uintptr_t)taken_back;
}

/* Four threads that submit and withdraw, and one that drains all the while. */
static void submitters_and_drains_get_along(void **state)
{
    pthread_t threads[4];
    uintptr_t taken_back = 0;

    (void)state;
    for (intptr_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, submit_many, (void *)i), 0);
    for (int i = 0; i < 100; i++) {
        hki_offload_drain(&hki_offload_files);
        usleep(100); /* the pace: now and then in the middle of their work */
    }
    for (int i = 0; i < 4; i++) {
        void *result;

        pthread_join(threads[i], &result);
        taken_back += (uintptr_t)result;
    }
    assert_int_equal(begun + taken_back, 8000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(every_job_runs_once, drain),
        cmocka_unit_test_teardown(the_pool_grows_to_its_limit_and_no_further, drain),
        cmocka_unit_test_teardown(a_lone_job_after_another_uses_the_same_thread, drain),
        cmocka_unit_test_teardown(a_queued_job_is_given_back, drain),
        cmocka_unit_test_teardown(threads_are_named_and_take_no_signals, drain),
        cmocka_unit_test_teardown(submitters_and_drains_get_along, drain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
