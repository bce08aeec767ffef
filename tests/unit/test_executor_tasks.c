/* SPDX-License-Identifier: MIT */
/*
 * Jobs on hk_tasks(): that they belong to a scope (join, cancel, deadline), what their
 * futures say, cancelling one. From several workers and from outside of a runtime they
 * are in test_executor_background.c, continuations in test_then.c, maps in test_map.c.
 */
#include "support/job_test.h"

#include "core/self_inline.h"
#include "exec/task_job.h"

/* ---- jobs ---- */

static int starts;

HK_FN(hk_rc, counts)
{
    __atomic_add_fetch(&starts, 1, __ATOMIC_RELAXED);
    return 0;
}

static int echo(hk_bytes input, hk_result *result)
{
    return hk_result_set(result, input.data, input.size);
}

static int echo_twice(hk_bytes input, hk_result *result)
{
    char large[100] = "";

    CHECK_EQ(hk_result_set(result, large, sizeof(large)), 0);
    return hk_result_set(result, input.data, input.size);
}

TASK_TEST(an_untyped_job_gets_a_copy_of_its_bytes)
{
    char text[] = "abc";
    hk_future *f = hk_submit(hk_tasks(), echo, text, 4);
    hk_future *g = hk_submit(hk_tasks(), echo_twice, text, 4);
    hk_bytes out;

    text[0] = 'x';
    CHECK_EQ(hk_future_await(f, &out), 0);
    CHECK(out.size == 4 && strcmp(out.data, "abc") == 0);
    CHECK_EQ(hk_future_await(g, &out), 0);
    CHECK(out.size == 4 && strcmp(out.data, "abc") == 0);
    hk_future_free(f);
    hk_future_free(g);
    return 0;
}

/* ---- scopes ---- */

TASK_TEST(a_scope_joins_its_jobs)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_future *f;

    hk_scope_open(&s);
    f = sleeps_on(hk_tasks(), HK_SECOND);
    CHECK(!hk_future_is_done(f));
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(hk_future_try(f, NULL), 0);
    hk_future_free(f);
    return 0;
}

TASK_TEST(a_job_without_a_look_at_its_future_is_joined_too)
{
    hk_scope s = HK_SCOPE_INIT;
    int before = starts;

    hk_scope_open(&s);
    for (int i = 0; i < 10; i++)
        hk_future_free(counts_on(hk_tasks()));
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(starts, before + 10);
    return 0;
}

TASK_TEST(an_error_of_a_job_does_not_fail_its_scope)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_future *f, *other;

    hk_scope_open(&s);
    f = gives_on(hk_tasks(), -EIO);
    other = sleeps_on(hk_tasks(), 1);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(hk_future_try(f, NULL), -EIO);
    CHECK_EQ(hk_future_try(other, NULL), 0);
    hk_future_free(f);
    hk_future_free(other);
    return 0;
}

static int sleeps_and_fails(void *arg)
{
    (void)arg;
    CHECK_EQ(hk_sleep(HK_SECOND), 0);
    return -EILSEQ;
}

TASK_TEST(a_job_is_no_success_of_a_first_success_scope)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open_with(&s, HK_SCOPE_FIRST_SUCCESS, NULL);
    hk_spawn(&s, sleeps_and_fails, NULL);
    hk_future_free(gives_on(hk_tasks(), 0));
    CHECK_EQ(hk_scope_join(&s), -EILSEQ);
    return 0;
}

TASK_TEST(a_cancelled_scope_cancels_its_running_jobs)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_future *f;

    hk_scope_open(&s);
    f = sleeps_on(hk_tasks(), HK_NEVER);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(hk_future_try(f, NULL), -EIDRM);
    hk_future_free(f);
    return 0;
}

/* Rule 11. */
TASK_TEST(queued_jobs_of_a_cancelled_scope_never_run)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_future *f;
    int before = starts;

    hk_scope_open(&s);
    f = counts_on(hk_tasks());
    hk_scope_cancel(&s);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(hk_future_try(f, NULL), -EIDRM);
    CHECK_EQ(starts, before);
    hk_future_free(f);
    return 0;
}

TASK_TEST(nothing_is_started_in_a_cancelled_scope)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_future *f;
    int before = starts;

    hk_scope_open(&s);
    hk_scope_cancel(&s);
    f = counts_on(hk_tasks());
    CHECK(hk_future_is_done(f));
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(hk_future_await(f, NULL), -EIDRM);
    CHECK_EQ(starts, before);
    hk_future_free(f);
    return 0;
}

TASK_TEST(a_deadline_reaches_the_jobs_and_the_join_says_so)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_future *f;

    hk_scope_open(&s);
    hk_scope_deadline(&s, hk_now() + HK_SECOND);
    f = sleeps_on(hk_tasks(), HK_NEVER);
    CHECK_EQ(hk_scope_join(&s), -ETIMEDOUT);
    CHECK_EQ(hk_future_try(f, NULL), -EIDRM);
    hk_future_free(f);
    return 0;
}

/* Of a task that has opened none, jobs belong to the scope that it belongs to itself.
 * */
static hk_future *of_a_child;

static int child_starts_a_job(void *unused)
{
    (void)unused;
    of_a_child = sleeps_on(hk_tasks(), HK_SECOND);
    return 0;
}

TASK_TEST(a_job_of_a_child_belongs_to_the_scope_around)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    hk_spawn(&s, child_starts_a_job, NULL);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(hk_future_try(of_a_child, NULL), 0);
    hk_future_free(of_a_child);
    return 0;
}

static hk_future *of_main;

static int main_without_a_scope(void *unused)
{
    hk_scope s = HK_SCOPE_INIT;

    (void)unused;
    of_main = sleeps_on(hk_tasks(), 10 * HK_MILLISECOND);
    hk_scope_open(&s); /* may be opened and joined as if nothing were around it */
    CHECK_EQ(hk_yield(), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK(!hk_future_is_done(of_main));
    return 7;
}

static void a_job_of_main_is_joined_when_main_returns(void **state)
{
    (void)state;
    assert_int_equal(hk_run(main_without_a_scope, NULL, NULL), 7);
    assert_int_equal(hk_future_try(of_main, NULL), 0);
    hk_future_free(of_main);
}

/* ---- cancelling one job ---- */

TASK_TEST(a_queued_job_is_cancelled_and_never_runs)
{
    hk_future *f = counts_on(hk_tasks());
    int before = starts;

    CHECK_EQ(hk_future_cancel(f, HK_CANCEL_QUEUED), 0);
    CHECK_EQ(hk_future_await(f, NULL), -EIDRM);
    CHECK_EQ(hk_future_cancel(f, HK_CANCEL_QUEUED), -EALREADY);
    CHECK_EQ(starts, before);
    hk_future_free(f);
    return 0;
}

TASK_TEST(a_running_job_is_cancelled_as_a_task_is)
{
    hk_future *f = sleeps_on(hk_tasks(), HK_NEVER);

    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(hk_future_cancel(f, HK_CANCEL), 0);
    CHECK_EQ(hk_future_await(f, NULL), -EIDRM);
    hk_future_free(f);
    return 0;
}

TASK_TEST(a_cancel_of_queued_ones_leaves_a_running_job_alone)
{
    hk_future *f = sleeps_on(hk_tasks(), HK_SECOND);

    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(hk_future_cancel(f, HK_CANCEL_QUEUED), 0);
    CHECK_EQ(hk_future_await(f, NULL), 0);
    hk_future_free(f);
    return 0;
}

HK_FN(hk_rc, swallows)
{
    CHECK_EQ(hk_sleep(HK_NEVER), -ECANCELED);
    return 5;
}

TASK_TEST(a_job_that_finishes_all_the_same_has_its_result)
{
    hk_future *f = swallows_on(hk_tasks());

    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(hk_future_cancel(f, HK_KILL), 0);
    CHECK_EQ(swallows_await(f), 5);
    hk_future_free(f);
    return 0;
}

/* ---- views and numbers ---- */

TASK_TEST(a_view_gives_options_to_typed_starters)
{
    hk_job_options options = {.priority = 3, .name = "named", .key = "order-1"};
    hk_executor_view one, two;
    hk_executor *on = hk_with(&two, hk_with(&one, hk_tasks(), &options), &options);
    hk_future *f = gives_on(on, -EIO);
    hk_job_error error;

    CHECK_EQ(gives_await(f), -EIO);
    CHECK_EQ(hk_future_error(f, &error), 0);
    CHECK(strcmp(error.job, "named") == 0);
    CHECK(error.error == -EIO && error.attempts == 1 && error.exit_status == -1);
    hk_future_free(f);
    return 0;
}

TASK_TEST(the_numbers_of_an_executor)
{
    hk_executor_stats before, now;
    hk_future *done = gives_on(hk_tasks(), 0), *failed = gives_on(hk_tasks(), -EIO);
    hk_future *queued, *running = sleeps_on(hk_tasks(), HK_NEVER);

    hk_executor_stats_read(hk_tasks(), &before);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    queued = counts_on(hk_tasks());
    hk_executor_stats_read(hk_tasks(), &now);
    CHECK(strcmp(now.kind, "tasks") == 0);
    CHECK_EQ(now.submitted, before.submitted + 1);
    CHECK_EQ(now.done, before.done + 1);
    CHECK_EQ(now.failed, before.failed + 1);
    CHECK_EQ(now.running, 1);
    CHECK_EQ(now.queued, 1);
    CHECK_EQ(hk_future_cancel(running, HK_CANCEL), 0);
    CHECK_EQ(hk_future_cancel(queued, HK_CANCEL), 0);
    CHECK_EQ(hk_future_await(running, NULL), -EIDRM);
    CHECK_EQ(hk_future_await(queued, NULL), -EIDRM);
    hk_executor_stats_read(hk_tasks(), &now);
    CHECK_EQ(now.running + now.queued, 0);
    CHECK_EQ(now.cancelled, before.cancelled + 2);
    hk_future_free(done);
    hk_future_free(failed);
    hk_future_free(queued);
    hk_future_free(running);
    return 0;
}

TASK_TEST(jobs_that_have_not_ended_are_bounded)
{
    enum { MAX = 100, MORE = 3 };
    uint64_t max = hki_tasks_max;
    int refused = 0;
    hk_scope s;

    hki_tasks_max = MAX;
    hk_scope_open(&s);
    for (int i = 0; i < MAX + MORE; i++) {
        hk_future *f = sleeps_on(hk_tasks(), 1);

        refused += hk_future_is_done(f) && hk_future_try(f, NULL) == -EAGAIN;
        hk_future_free(f);
    }
    CHECK_EQ(hk_scope_join(&s), 0);
    hki_tasks_max = max;
    CHECK_EQ(refused, MORE);
    return 0;
}

/* What a deadlock's cycle is made of: who could end the wait for a job is who runs it.
 * A gather of several may fail by another. */
HK_FN(hk_rc, names_itself)
{
    hk_task_rename("the one that runs it");
    return hk_sleep(HK_SECOND);
}

TASK_TEST(who_runs_a_job_could_end_the_wait_for_it)
{
    const hk_wait_kind *kind = hk_future_waiting.kind;
    hk_future *f = names_itself_on(hk_tasks()), *all[2] = {f, f};
    hk_future *one = hk_gather(all, 1), *both = hk_gather(all, 2);
    hk_holder holders[3];

    CHECK_EQ(kind->holders(f, holders, 3), 0);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(kind->holders(f, holders, 3), 1);
    CHECK(strcmp(hki_self_name(holders[0]), "the one that runs it") == 0);
    CHECK_EQ(kind->holders(f, NULL, 0), 1);
    CHECK_EQ(kind->holders(one, holders, 3), 1);
    CHECK_EQ(kind->holders(both, holders, 3), 0);
    CHECK_EQ(names_itself_await(f), 0);
    CHECK_EQ(kind->holders(f, holders, 3), 0);
    hk_future_free(f);
    hk_future_free(one);
    hk_future_free(both);
    return 0;
}

PANIC_TEST(the_executor_that_is_always_there_cannot_be_closed, "always there")
{
    hk_executor_close(hk_tasks());
    return 0;
}

PANIC_TEST(more_attempts_than_three_panic, "at most 3")
{
    hk_job_options options = {.attempts_max = 4};
    hk_executor_view view;

    counts_on(hk_with(&view, hk_tasks(), &options));
    return 0;
}

/* What runs on the background runtime comes last: it frees its jobs when it likes. */
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_executor_that_is_always_there_cannot_be_closed),
        cmocka_unit_test(more_attempts_than_three_panic),
        cmocka_unit_test(an_untyped_job_gets_a_copy_of_its_bytes),
        cmocka_unit_test(a_scope_joins_its_jobs),
        cmocka_unit_test(a_job_without_a_look_at_its_future_is_joined_too),
        cmocka_unit_test(an_error_of_a_job_does_not_fail_its_scope),
        cmocka_unit_test(a_job_is_no_success_of_a_first_success_scope),
        cmocka_unit_test(a_cancelled_scope_cancels_its_running_jobs),
        cmocka_unit_test(queued_jobs_of_a_cancelled_scope_never_run),
        cmocka_unit_test(nothing_is_started_in_a_cancelled_scope),
        cmocka_unit_test(a_deadline_reaches_the_jobs_and_the_join_says_so),
        cmocka_unit_test(a_job_of_a_child_belongs_to_the_scope_around),
        cmocka_unit_test(a_job_of_main_is_joined_when_main_returns),
        cmocka_unit_test(a_queued_job_is_cancelled_and_never_runs),
        cmocka_unit_test(a_running_job_is_cancelled_as_a_task_is),
        cmocka_unit_test(a_cancel_of_queued_ones_leaves_a_running_job_alone),
        cmocka_unit_test(a_job_that_finishes_all_the_same_has_its_result),
        cmocka_unit_test(a_view_gives_options_to_typed_starters),
        cmocka_unit_test(the_numbers_of_an_executor),
        cmocka_unit_test(jobs_that_have_not_ended_are_bounded),
        cmocka_unit_test(who_runs_a_job_could_end_the_wait_for_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
