/* SPDX-License-Identifier: MIT */
/*
 * hk_imap and the maps over arrays: order, the bound on what is under way, errors,
 * cancel at every point, and every allocation failing.
 */
#include "exec/chunk.h"
#include "exec/executor.h"
#include "exec/many.h"
#include "support/job_test.h"
#include "support/torture.h"

struct numbers {
    int next, count;
    int under_way, most; /* of jobs started and not yet given out */
};

static hk_future *next_sleep(void *ctx)
{
    struct numbers *n = ctx;

    if (n->next == n->count)
        return NULL;
    if (++n->under_way > n->most)
        n->most = n->under_way;
    /* The later ones sleep less: they are done before. */
    return sleeps_on(hk_tasks(), (n->count - n->next++) * HK_MILLISECOND);
}

static void run_imap(hk_imap_order order, size_t *indices, struct numbers *n)
{
    hk_imap it;
    hk_future *f;
    int given = 0, rc;

    CHECK_EQ(hk_imap_begin(&it, next_sleep, n, 3, order), 0);
    while ((rc = hk_imap_next(&it, &f, &indices[given])) > 0) {
        n->under_way--;
        given++;
        CHECK_EQ(hk_future_try(f, NULL), 0);
        hk_future_free(f);
    }
    CHECK_EQ(rc, 0);
    CHECK_EQ(hk_imap_next(&it, &f, NULL), 0);
    hk_imap_end(&it);
    CHECK_EQ(given, n->count);
}

TASK_TEST(imap_in_order_looks_ahead_within_its_bound)
{
    struct numbers n = {.count = 10};
    size_t indices[11];

    run_imap(HK_ORDERED, indices, &n);
    for (size_t i = 0; i < 10; i++)
        CHECK_EQ(indices[i], i);
    CHECK_EQ(n.most, 3);
    return 0;
}

TASK_TEST(imap_unordered_gives_what_is_done_first)
{
    struct numbers n = {.count = 10};
    size_t indices[11];
    bool seen[10] = {false};

    run_imap(HK_UNORDERED, indices, &n);
    CHECK_EQ(indices[0], 2); /* of 0, 1, 2 it sleeps least */
    for (int i = 0; i < 10; i++)
        seen[indices[i]] = true;
    for (int i = 0; i < 10; i++)
        CHECK(seen[i]);
    CHECK_EQ(n.most, 3);
    return 0;
}

TASK_TEST(a_cancel_of_an_imap_loses_none)
{
    struct numbers n = {.count = 4};
    hk_scope s = HK_SCOPE_INIT;
    hk_imap it;
    hk_future *f;

    CHECK_EQ(hk_imap_begin(&it, next_sleep, &n, 2, HK_ORDERED), 0);
    CHECK_EQ(hk_imap_next(&it, &f, NULL), 1);
    hk_future_free(f);
    hk_scope_open(&s);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_imap_next(&it, &f, NULL), -ECANCELED);
    CHECK_EQ(hk_scope_join(&s), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(hk_imap_next(&it, &f, NULL), 1);
        CHECK_EQ(hk_future_try(f, NULL), 0);
        hk_future_free(f);
    }
    CHECK_EQ(hk_imap_next(&it, &f, NULL), 0);
    hk_imap_end(&it);
    return 0;
}

struct cut_short {
    hk_scope *scope;
    int started;
};

/* Is cancelled while it starts the second one, as if it had waited for room. */
static hk_future *next_until_cancelled(void *ctx)
{
    struct cut_short *cut = ctx;

    if (++cut->started == 2)
        hk_scope_cancel(cut->scope);
    return gives_on(hk_tasks(), 0);
}

static void cut_imap_short(hk_imap_order order)
{
    hk_scope s = HK_SCOPE_INIT;
    struct cut_short cut = {.scope = &s};
    hk_imap it;
    hk_future *f;

    hk_scope_open(&s);
    CHECK_EQ(hk_imap_begin(&it, next_until_cancelled, &cut, 10, order), 0);
    CHECK_EQ(hk_imap_next(&it, &f, NULL), -ECANCELED);
    CHECK_EQ(cut.started, 2);
    hk_imap_end(&it);
    CHECK_EQ(hk_scope_join(&s), 0);
}

TASK_TEST(an_imap_starts_nothing_more_once_it_is_cancelled)
{
    cut_imap_short(HK_ORDERED);
    cut_imap_short(HK_UNORDERED);
    return 0;
}

static int set_it(void *arg)
{
    return hk_future_set(arg, 0, NULL, 0);
}

/* A server's imap never ends. */
TASK_TEST(an_unordered_imap_gives_more_than_four_billion)
{
    struct hki_watch_many *many = hki_many_new(1);
    hk_future *f = hk_future_new();
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    many->done = many->taken = UINT32_MAX;
    hki_many_watch(many, 0, f);
    hk_spawn(&s, set_it, f);
    CHECK_EQ(hki_many_take(many), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    hki_many_free(many);
    hk_future_free(f);
    return 0;
}

TASK_TEST(the_end_of_an_imap_cancels_what_it_did_not_give)
{
    struct numbers n = {.count = 1000000};
    hk_scope s = HK_SCOPE_INIT;
    int64_t begun = hk_now();
    hk_imap it;
    hk_future *f;

    CHECK_EQ(hk_imap_begin(&it, next_sleep, &n, 0, HK_ORDERED), -EINVAL);
    hk_scope_open(&s);
    CHECK_EQ(hk_imap_begin(&it, next_sleep, &n, 50, HK_UNORDERED), 0);
    CHECK_EQ(hk_imap_next(&it, &f, NULL), 1);
    begun = hk_now();
    hk_future_free(f);
    hk_imap_end(&it);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(hk_now(), begun);
    return 0;
}

HK_FN(hk_str, shout, (hk_str, text), (int, times))
{
    size_t length = strlen(text);
    char *loud = malloc(length * (size_t)times + 1);

    CHECK(loud);
    for (int i = 0; i < times; i++)
        memcpy(loud + (size_t)i * length, text, length);
    loud[length * (size_t)times] = '\0';
    return loud;
}

static void count_progress(void *ctx, uint64_t done, uint64_t total)
{
    uint64_t *last = ctx;

    CHECK(done > *last && done <= total);
    *last = done;
}

TASK_TEST(a_map_puts_several_calls_into_one_job)
{
    struct square_args args[100];
    int results[100];
    uint64_t progress = 0;
    hk_map_options options = {
        .chunk = 7, .ahead = 2, .progress = count_progress, .progress_ctx = &progress};
    hk_executor_stats before, now;

    for (int i = 0; i < 100; i++)
        args[i].n = i;
    hk_executor_stats_read(hk_tasks(), &before);
    CHECK_EQ(square_map(hk_tasks(), args, 100, results, &options), 0);
    hk_executor_stats_read(hk_tasks(), &now);
    CHECK_EQ(now.submitted - before.submitted, 15);
    CHECK_EQ(progress, 100);
    for (int i = 0; i < 100; i++)
        CHECK_EQ(results[i], i * i);
    CHECK_EQ(square_map(hk_tasks(), args, 0, results, NULL), 0);
    CHECK_EQ(square_map(hk_tasks(), args, 100, NULL, NULL), 0);
    return 0;
}

TASK_TEST(a_map_over_strings)
{
    struct shout_args args[] = {{"a", 3}, {"hello ", 1}, {"", 5}, {"xyz", 20}};
    hk_map_options options = {.chunk = 3};
    hk_str results[4];

    CHECK_EQ(shout_map(hk_tasks(), args, 4, results, &options), 0);
    CHECK(strcmp(results[0], "aaa") == 0);
    CHECK(strcmp(results[1], "hello ") == 0);
    CHECK(strcmp(results[2], "") == 0);
    CHECK_EQ(strlen(results[3]), 60);
    for (int i = 0; i < 4; i++)
        free((void *)(uintptr_t)results[i]);
    return 0;
}

HK_FN(size_t, size_of, (hk_bytes, a), (hk_bytes, b))
{
    return a.size + b.size;
}

TASK_TEST(a_map_over_more_than_there_can_be_fails)
{
    struct size_of_args huge = {{"", SIZE_MAX - 8}, {"", 0}};
    struct size_of_args two[2] = {{{"", SIZE_MAX / 2}, {"", 0}},
                                  {{"", SIZE_MAX / 2}, {"", 0}}};

    CHECK_EQ(size_of_map(hk_tasks(), &huge, 1, NULL, NULL), -ENOMEM);
    CHECK_EQ(size_of_map(hk_tasks(), two, 2, NULL, &(hk_map_options){.chunk = 2}),
             -ENOMEM);
    return 0;
}

TASK_TEST(a_map_stops_at_the_first_error)
{
    struct gives_args args[20] = {{0}};
    hk_map_options options = {.chunk = 2, .ahead = 2};
    hk_executor_stats before, now;

    args[5].rc = -ENOENT;
    hk_executor_stats_read(hk_tasks(), &before);
    CHECK_EQ(gives_map(hk_tasks(), args, 20, &options), -ENOENT);
    hk_executor_stats_read(hk_tasks(), &now);
    CHECK(now.submitted - before.submitted < 10);
    CHECK_EQ(now.running + now.queued, 0);
    return 0;
}

static int map_for_ever(void *unused)
{
    struct sleeps_args args[4] = {{HK_NEVER}, {HK_NEVER}, {HK_NEVER}, {HK_NEVER}};

    (void)unused;
    CHECK_EQ(sleeps_map(hk_tasks(), args, 4, NULL), -ECANCELED);
    return 0;
}

TASK_TEST(a_cancelled_map_ends_its_jobs)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    hk_scope_deadline(&s, hk_now() + HK_SECOND);
    hk_spawn(&s, map_for_ever, NULL);
    CHECK_EQ(hk_scope_join(&s), -ETIMEDOUT);
    return 0;
}

static int cancel_it(void *arg)
{
    hk_scope_cancel(arg);
    return 0;
}

HK_FN_LOCAL(hk_rc, ends_cancelled, (hk_scope *, s))
{
    hk_spawn(s, cancel_it, s);
    return -ECANCELED;
}

/* The job has ended, and then the map is cancelled, before it has looked. */
TASK_TEST(a_map_says_that_it_is_cancelled_and_not_that_a_job_was)
{
    hk_scope s = HK_SCOPE_INIT;
    struct ends_cancelled_args args = {&s};

    hk_scope_open(&s);
    CHECK_EQ(ends_cancelled_map(hk_in_process(hk_tasks()), &args, 1, NULL), -ECANCELED);
    (void)hk_scope_join(&s);
    return 0;
}

/* ---- results that are none: a worker process may write anything ---- */

struct liar {
    hk_executor executor;
    hk_bytes answer;
};

static int lie(hk_executor *executor, struct hki_job *job, enum hki_submit_how how)
{
    const struct liar *liar = (const struct liar *)(const void *)executor;

    (void)how;
    CHECK(hki_job_start(job));
    hki_job_done(job, 0, liar->answer.data, liar->answer.size);
    return 0;
}

static const struct hki_executor_ops lying_ops = {.kind = "liar", .submit = lie};

static int map_squares(hk_bytes answer)
{
    struct square_args args[2] = {{1}, {2}};
    int results[2];
    struct liar liar = {.answer = answer};

    hki_executor_init(&liar.executor, &lying_ops, "liar");
    return square_map(&liar.executor, args, 2, results, &(hk_map_options){.chunk = 2});
}

TASK_TEST(a_map_refuses_results_that_are_none)
{
    struct {
        struct hki_chunk_result head;
        _Alignas(16) int value;
    } answers[3] = {{{0, sizeof(int)}, 1}, {{0, sizeof(int)}, 4}, {{0, 20}, 0}};

    CHECK_EQ(map_squares((hk_bytes){answers, 2 * sizeof(answers[0])}), 0);
    CHECK_EQ(map_squares((hk_bytes){NULL, 0}), -EBADMSG);
    CHECK_EQ(map_squares((hk_bytes){answers, sizeof(answers[0])}), -EBADMSG);
    CHECK_EQ(map_squares((hk_bytes){answers, sizeof(answers[0]) - 10}), -EBADMSG);
    CHECK_EQ(map_squares((hk_bytes){answers, sizeof(answers)}), 0); /* of 2 */
    CHECK_EQ(map_squares((hk_bytes){answers + 1, 2 * sizeof(answers[0])}), -EBADMSG);
    return 0;
}

TASK_TEST(an_await_refuses_a_result_that_is_none)
{
    struct liar liar = {.answer = {"abc", 3}};
    hk_future *f, *g;
    hk_str text = NULL;
    int value = 1;

    hki_executor_init(&liar.executor, &lying_ops, "liar");
    f = square_on(&liar.executor, 2);
    CHECK_EQ(square_await(f, &value), -EBADMSG);
    g = shout_on(&liar.executor, "a", 1);
    CHECK_EQ(shout_await(g, &text), -EBADMSG);
    CHECK(value == 1 && !text);
    hk_future_free(f);
    hk_future_free(g);
    return 0;
}

static int show_progress(void *unused)
{
    hk_progress_line line = {.label = "pages"}, unlabelled = {.label = NULL};

    (void)unused;
    for (uint64_t i = 1; i <= 10; i++)
        hk_progress_show(&line, i, 10);
    hk_progress_show(&unlabelled, 7, 0);
    return 0;
}

static void the_progress_line_ends_with_all(void **state)
{
    char text[1000];

    (void)state;
    assert_int_equal(run_in_child(show_progress, text, sizeof(text)), 0);
    assert_non_null(strstr(text, "pages 1/10   10 %"));
    assert_non_null(strstr(text, "pages 10/10  100 %"));
    assert_null(strstr(text, "pages 2/10")); /* too soon after the first */
    assert_non_null(strstr(text, "done 7"));
}

static int map_on_a_thread(void)
{
    struct square_args args[10];
    int results[10];

    for (int i = 0; i < 10; i++)
        args[i].n = i;
    assert_int_equal(square_map(hk_tasks(), args, 10, results, NULL), 0);
    return results[9];
}

static void a_plain_thread_maps(void **state)
{
    (void)state;
    assert_int_equal(map_on_a_thread(), 81);
}

static int run_with_faults(void *unused)
{
    struct shout_args args[] = {{"a", 3}, {"b", 100}};
    hk_map_options options = {.chunk = 1};

    (void)unused;
    for (uint64_t nth = 1; nth < 200; nth++) {
        hk_str results[2] = {NULL, NULL};
        int rc;

        hk_fault_arm(HK_FAULT_ALLOC, nth, -ENOMEM);
        rc = shout_map(hk_tasks(), args, 2, results, &options);
        hk_fault_arm(HK_FAULT_ALLOC, 0, 0);
        free((void *)(uintptr_t)results[0]);
        free((void *)(uintptr_t)results[1]);
        if (rc == 0)
            return 0;
        CHECK_EQ(rc, -ENOMEM);
    }
    return -EILSEQ;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    assert_int_equal(run_virtual(run_with_faults, NULL), 0);
}

static int scenario(void *unused)
{
    struct sleeps_args args[6] = {{1}, {2}, {3}, {4}, {5}, {6}};
    hk_map_options options = {.chunk = 2, .ahead = 2};
    int rc = sleeps_map(hk_tasks(), args, 6, &options);

    (void)unused;
    return rc == -EIDRM ? -ECANCELED : rc; /* one of the jobs was cancelled */
}

static void maps_are_cancelled_at_every_point(void **state)
{
    hk_options options = {.virtual_clock = true};

    (void)state;
    cancel_at_every_point(scenario, NULL, &options, 6);
}

/* What runs on the background runtime comes last: it frees its jobs when it likes. */
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_progress_line_ends_with_all),
        cmocka_unit_test(imap_in_order_looks_ahead_within_its_bound),
        cmocka_unit_test(imap_unordered_gives_what_is_done_first),
        cmocka_unit_test(a_cancel_of_an_imap_loses_none),
        cmocka_unit_test(an_imap_starts_nothing_more_once_it_is_cancelled),
        cmocka_unit_test(an_unordered_imap_gives_more_than_four_billion),
        cmocka_unit_test(the_end_of_an_imap_cancels_what_it_did_not_give),
        cmocka_unit_test(a_map_puts_several_calls_into_one_job),
        cmocka_unit_test(a_map_over_strings),
        cmocka_unit_test(a_map_over_more_than_there_can_be_fails),
        cmocka_unit_test(a_map_stops_at_the_first_error),
        cmocka_unit_test(a_cancelled_map_ends_its_jobs),
        cmocka_unit_test(a_map_says_that_it_is_cancelled_and_not_that_a_job_was),
        cmocka_unit_test(a_map_refuses_results_that_are_none),
        cmocka_unit_test(an_await_refuses_a_result_that_is_none),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(maps_are_cancelled_at_every_point),
        cmocka_unit_test(a_plain_thread_maps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
