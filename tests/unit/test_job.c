/* SPDX-License-Identifier: MIT */
/*
 * The seam between the front and an executor (src/exec/executor.h), with an executor of
 * the test's: it keeps jobs in a list until the test, or a thread of it, ends them. So
 * jobs are guests of their scopes here, not tasks: that joins wait for them, cancels
 * reach them, and that all may come at once.
 */
#include "support/core_test.h"

#include "exec/executor.h"

#include <sched.h>

/* ---- an executor that keeps its jobs ---- */

struct shelf {
    hk_executor executor; /* first */
    hk_lock lock;
    struct hki_job *jobs; /* guarded by lock; linked by next */
    int full;             /* error of a submit that must not wait; 0: there is room */
    int cancels, closes, joins, terminates, finis;
    bool drops; /* a cancelled job is dropped at once */
};

static int shelf_submit(hk_executor *executor, struct hki_job *job,
                        enum hki_submit_how how)
{
    struct shelf *shelf = (struct shelf *)(void *)executor;

    if (shelf->full && how == HKI_SUBMIT_NOWAIT)
        return shelf->full;
    hk_lock_acquire(&shelf->lock);
    job->next = shelf->jobs;
    shelf->jobs = job;
    hk_lock_release(&shelf->lock);
    return 0;
}

static struct hki_job *take(struct shelf *shelf)
{
    struct hki_job *job;

    hk_lock_acquire(&shelf->lock);
    job = shelf->jobs;
    if (job)
        shelf->jobs = job->next;
    hk_lock_release(&shelf->lock);
    return job;
}

/* Called with the lock of a scope. */
static int shelf_cancel(hk_executor *executor, struct hki_job *job, hk_cancel_how how)
{
    struct shelf *shelf = (struct shelf *)(void *)executor;
    bool ours = false;

    (void)how;
    __atomic_add_fetch(&shelf->cancels, 1, __ATOMIC_RELAXED);
    if (!shelf->drops)
        return 0;
    hk_lock_acquire(&shelf->lock);
    for (struct hki_job **link = &shelf->jobs; *link && !ours; link = &(*link)->next)
        if (*link == job) {
            *link = job->next;
            ours = true;
            break;
        }
    hk_lock_release(&shelf->lock);
    return ours ? hki_job_drop_later(job) : 0;
}

static void shelf_close(hk_executor *executor)
{
    ((struct shelf *)(void *)executor)->closes++;
}

static int shelf_join(hk_executor *executor)
{
    ((struct shelf *)(void *)executor)->joins++;
    return hk_cancelled();
}

static void shelf_terminate(hk_executor *executor)
{
    ((struct shelf *)(void *)executor)->terminates++;
}

static void shelf_fini(hk_executor *executor)
{
    ((struct shelf *)(void *)executor)->finis++;
}

static const struct hki_executor_ops shelf_ops = {
    .kind = "shelf",
    .crosses = true,
    .submit = shelf_submit,
    .cancel = shelf_cancel,
    .close = shelf_close,
    .join = shelf_join,
    .terminate = shelf_terminate,
    .fini = shelf_fini,
};

static void shelf_init(struct shelf *shelf)
{
    *shelf = (struct shelf){0};
    hki_executor_init(&shelf->executor, &shelf_ops, "shelf");
}

HK_FN(int, half, (int, n))
{
    if (n % 2)
        hk_job_fail(-EDOM);
    return n / 2;
}

HK_FN_LOCAL(int, deref, (int *, p))
{
    return *p;
}

/* ---- a job on it ---- */

TASK_TEST(a_scope_waits_for_its_guests)
{
    struct shelf shelf;
    hk_scope s = HK_SCOPE_INIT;
    struct hki_job *job;
    hk_future *f;
    int out;

    shelf_init(&shelf);
    hk_scope_open(&s);
    f = half_on(&shelf.executor, 8);
    CHECK_EQ(hk_scope_children(&s), 1);
    job = take(&shelf);
    CHECK(hki_job_start(job));
    hki_job_run(job);
    CHECK_EQ(hk_scope_children(&s), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(half_await(f, &out), 0);
    CHECK_EQ(out, 4);
    hk_future_free(f);
    return 0;
}

TASK_TEST(a_job_says_who_it_is)
{
    hk_job_options options = {
        .priority = -3, .attempts_max = 2, .key = "invoice-7", .name = "named"};
    hk_executor_view view;
    struct shelf shelf;
    struct hki_job *first, *second;
    hk_future *f, *g;

    shelf_init(&shelf);
    f = half_on(hk_with(&view, &shelf.executor, &options), 8);
    first = take(&shelf);
    g = half_on(&shelf.executor, 8);
    second = take(&shelf);
    CHECK(first->id && second->id > first->id);
    CHECK(strcmp(first->key, "invoice-7") == 0 &&
          strcmp(first->work.name, "named") == 0);
    CHECK(first->priority == -3 && first->attempts_max == 2);
    CHECK(strcmp(second->key, "") == 0 && strcmp(second->work.name, "half") == 0);
    CHECK(second->priority == 0 && second->attempts_max == 1);
    hki_job_done(first, -EIO, NULL, 0);
    hki_job_done(second, -EIO, NULL, 0);
    CHECK_EQ(half_await(f, NULL), -EIO);
    hk_future_free(f);
    hk_future_free(g);
    return 0;
}

TASK_TEST(a_submit_that_fails_fails_the_future)
{
    hk_job_options options = {.nowait = true};
    hk_executor_view view;
    struct shelf shelf;
    hk_future *f;

    shelf_init(&shelf);
    shelf.full = -EAGAIN;
    f = half_on(hk_with(&view, &shelf.executor, &options), 8);
    CHECK_EQ(half_await(f, NULL), -EAGAIN);
    hk_future_free(f);
    hk_executor_close(&shelf.executor);
    f = half_on(&shelf.executor, 8);
    CHECK_EQ(half_await(f, NULL), -EPIPE);
    hk_future_free(f);
    return 0;
}

static int releases;

static void release(void *data, size_t size, void *ctx)
{
    CHECK(strcmp(data, "in place") == 0 && size == 9 && ctx == &releases);
    releases++;
}

TASK_TEST(a_result_may_stay_where_it_is)
{
    static char text[] = "in place";
    struct shelf shelf;
    struct hki_job *job;
    hk_future *f, *shield;
    hk_bytes out;

    shelf_init(&shelf);
    f = half_on(&shelf.executor, 1);
    job = take(&shelf);
    CHECK(hki_job_start(job));
    hki_job_done_in_place(job, 5, text, sizeof(text), release, &releases);
    shield = hk_shield_future(f);
    CHECK_EQ(hk_future_await(f, &out), 5);
    CHECK(out.data == text);
    hk_future_free(f);
    CHECK_EQ(hk_future_await(shield, &out), 5);
    CHECK(out.data == text);
    CHECK_EQ(releases, 0);
    hk_future_free(shield);
    CHECK_EQ(releases, 1);
    return 0;
}

TASK_TEST(how_a_worker_died_is_told)
{
    struct shelf shelf;
    struct hki_job *job;
    hk_job_error error;
    hk_future *f;

    shelf_init(&shelf);
    f = half_on(&shelf.executor, 8);
    job = take(&shelf);
    CHECK(hki_job_start(job));
    job->death = (struct hki_job_death){.died = true, .signal = SIGSEGV};
    hki_job_done(job, -EOWNERDEAD, NULL, 0);
    CHECK_EQ(half_await(f, NULL), -EOWNERDEAD);
    CHECK_EQ(hk_future_error(f, &error), 0);
    CHECK(error.signal == SIGSEGV && error.exit_status == -1 && error.attempts == 1);
    hk_future_free(f);
    return 0;
}

/* ---- cancelling ---- */

TASK_TEST(a_cancelled_scope_tells_its_guests_and_waits_for_them)
{
    struct shelf shelf;
    hk_scope s = HK_SCOPE_INIT;
    struct hki_job *job;
    hk_future *f;

    shelf_init(&shelf);
    hk_scope_open(&s);
    f = half_on(&shelf.executor, 8);
    job = take(&shelf);
    CHECK(hki_job_start(job));
    hk_scope_cancel(&s);
    CHECK_EQ(shelf.cancels, 1);
    CHECK_EQ(hk_scope_children(&s), 1);
    hki_job_done(job, -ECANCELED, NULL, 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(half_await(f, NULL), -EIDRM);
    hk_future_free(f);
    return 0;
}

TASK_TEST(a_dropped_job_does_not_start)
{
    struct shelf shelf;
    struct hki_job *job;
    hk_future *f;

    shelf_init(&shelf);
    f = half_on(&shelf.executor, 8);
    CHECK_EQ(hk_future_cancel(f, HK_CANCEL_QUEUED), 0);
    CHECK_EQ(hk_future_cancel(f, HK_CANCEL_QUEUED), 0);
    CHECK_EQ(shelf.cancels, 1); /* once for each way */
    CHECK_EQ(hk_future_cancel(f, HK_KILL), 0);
    CHECK_EQ(shelf.cancels, 2);
    job = take(&shelf);
    CHECK(!hki_job_start(job));
    hki_job_done(job, -ECANCELED, NULL, 0);
    CHECK_EQ(half_await(f, NULL), -EIDRM);
    hk_future_free(f);
    return 0;
}

TASK_TEST(a_job_is_dropped_from_within_a_cancel)
{
    struct shelf shelf;
    hk_scope s = HK_SCOPE_INIT;
    hk_future *futures[10];

    shelf_init(&shelf);
    shelf.drops = true;
    hk_scope_open(&s);
    for (int i = 0; i < 10; i++)
        futures[i] = half_on(&shelf.executor, i);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_scope_join(&s), 0);
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(half_await(futures[i], NULL), -EIDRM);
        hk_future_free(futures[i]);
    }
    return 0;
}

TASK_TEST(a_shield_keeps_a_cancel_from_guests)
{
    struct shelf shelf;
    hk_scope s = HK_SCOPE_INIT, shield = HK_SCOPE_INIT;
    hk_future *f;

    shelf_init(&shelf);
    shelf.drops = true;
    hk_scope_open(&s);
    hk_scope_open_with(&shield, HK_SCOPE_SHIELDED, NULL);
    f = half_on(&shelf.executor, 2);
    hk_scope_cancel(&s);
    CHECK_EQ(shelf.cancels, 0);
    hk_scope_shield(&shield, false);
    CHECK_EQ(shelf.cancels, 1);
    CHECK_EQ(hk_scope_join(&shield), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(hk_future_try(f, NULL), -EIDRM);
    hk_future_free(f);
    return 0;
}

/* ---- an executor's end ---- */

TASK_TEST(an_executor_is_closed_once_and_joined_shielded)
{
    struct shelf shelf;
    hk_scope s = HK_SCOPE_INIT;

    shelf_init(&shelf);
    hk_executor_terminate(&shelf.executor);
    hk_executor_close(&shelf.executor);
    CHECK(shelf.closes == 1 && shelf.terminates == 1 && shelf.joins == 0);
    hk_scope_open(&s);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_executor_join(&shelf.executor), -ECANCELED);
    hk_executor_free(&shelf.executor);
    CHECK(shelf.closes == 1 && shelf.joins == 2 && shelf.finis == 1);
    CHECK_EQ(hk_scope_join(&s), 0);
    hk_executor_free(NULL);
    return 0;
}

PANIC_IN_A_TASK(a_local_function_does_not_cross,
                "takes pointers: it cannot run on 'shelf'")
{
    hk_local_executor lie;
    struct shelf shelf;
    int value = 0;

    shelf_init(&shelf);
    lie.executor = &shelf.executor;
    deref_on(lie, &value);
    return 0;
}

PANIC_IN_A_TASK(an_executor_of_other_processes_is_not_in_this_one, "in other processes")
{
    struct shelf shelf;

    shelf_init(&shelf);
    hk_in_process(&shelf.executor);
    return 0;
}

static int continuation(hk_future *done, void *ctx, hk_result *result)
{
    (void)done;
    (void)ctx;
    (void)result;
    return 0;
}

PANIC_IN_A_TASK(a_continuation_stays_in_this_process, "hk_then on 'shelf'")
{
    struct shelf shelf;

    shelf_init(&shelf);
    hk_then(hk_future_new(), &shelf.executor, continuation, NULL);
    return 0;
}

/* ---- all at once ---- */

struct crowd {
    struct shelf shelf;
    int over;
};

/* Ends jobs, as a pool's thread would. */
static void *end_jobs(void *arg)
{
    struct crowd *crowd = arg;

    for (;;) {
        bool is_last = peek(&crowd->over); /* before the look for a job */
        struct hki_job *job = take(&crowd->shelf);

        if (!job && is_last)
            return NULL;
        if (!job)
            sched_yield();
        else if (hki_job_start(job))
            hki_job_run(job);
        else
            hki_job_done(job, -ECANCELED, NULL, 0);
    }
}

static int submit_some(void *arg)
{
    struct crowd *crowd = arg;

    for (int i = 0; i < 20; i++) {
        hk_future *f = half_on(&crowd->shelf.executor, i);

        if (i % 3 == 0)
            (void)hk_future_cancel(f, (hk_cancel_how)(i % 2));
        hk_future_free(f);
        if (i % 4 == 0)
            (void)hk_yield();
    }
    return 0;
}

/* Several tasks submit, a thread ends jobs, and the scope is cancelled meanwhile. */
static int crowd_round(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open_with(&s, HK_SCOPE_PARALLEL, NULL);
    for (int i = 0; i < 8; i++)
        hk_spawn(&s, submit_some, arg);
    (void)hk_yield();
    hk_scope_cancel(&s);
    return hk_scope_join(&s);
}

static void submits_ends_and_cancels_race(void **state)
{
    struct crowd crowd = {.over = 0};
    pthread_t threads[2];
    hk_executor_stats stats;

    (void)state;
    shelf_init(&crowd.shelf);
    crowd.shelf.drops = true;
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, end_jobs, &crowd), 0);
    for (int i = 0; i < scaled(200, 20); i++) {
        hk_options options = {.workers = 2};

        assert_int_equal(hk_run(crowd_round, &crowd, &options), 0);
        assert_int_equal(crowd_round(&crowd), 0);
    }
    poke(&crowd.over, 1);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    hk_executor_stats_read(&crowd.shelf.executor, &stats);
    assert_int_equal(stats.queued + stats.running, 0);
    assert_int_equal(stats.submitted, stats.done + stats.failed + stats.cancelled);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_local_function_does_not_cross),
        cmocka_unit_test(an_executor_of_other_processes_is_not_in_this_one),
        cmocka_unit_test(a_continuation_stays_in_this_process),
        cmocka_unit_test(a_scope_waits_for_its_guests),
        cmocka_unit_test(a_job_says_who_it_is),
        cmocka_unit_test(a_submit_that_fails_fails_the_future),
        cmocka_unit_test(a_result_may_stay_where_it_is),
        cmocka_unit_test(how_a_worker_died_is_told),
        cmocka_unit_test(a_cancelled_scope_tells_its_guests_and_waits_for_them),
        cmocka_unit_test(a_dropped_job_does_not_start),
        cmocka_unit_test(a_job_is_dropped_from_within_a_cancel),
        cmocka_unit_test(a_shield_keeps_a_cancel_from_guests),
        cmocka_unit_test(an_executor_is_closed_once_and_joined_shielded),
        cmocka_unit_test(submits_ends_and_cancels_race),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
