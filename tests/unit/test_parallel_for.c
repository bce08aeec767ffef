/* SPDX-License-Identifier: MIT */
/*
 * Parallel loops: each element is dealt with exactly once, whatever the size, the
 * grain, the schedule and the caller; errors and cancels end them; who waits for one
 * holds nobody up.
 */
#include "support/parallel_test.h"

#include <sched.h>

/* ---- each element once ---- */

struct marks {
    uint8_t *times; /* atomic; how often each element was dealt with */
    int64_t begin, count, grain_max;
};

static int mark(int64_t begin, int64_t end, void *ctx)
{
    struct marks *marks = ctx;

    CHECK(begin < end && end - begin <= marks->grain_max);
    for (int64_t i = begin; i < end; i++)
        __atomic_add_fetch(&marks->times[i - marks->begin], 1, __ATOMIC_RELAXED);
    return 0;
}

static void check_marks(struct marks *marks)
{
    for (int64_t i = 0; i < marks->count; i++)
        CHECK_EQ(marks->times[i], 1);
    memset(marks->times, 0, (size_t)marks->count);
}

static hk_parallel_options some_options(uint64_t *chance, int64_t count)
{
    hk_parallel_options options = {
        .schedule = (hk_schedule)below(chance, 3),
        .threads_max = (uint32_t)below(chance, 5),
        .grain = (int64_t)below(chance, 2) * (int64_t)below(chance, 40),
        .name = "marks",
    };

    if (below(chance, 10) == 0)
        options.grain = count + (int64_t)below(chance, 3);
    return options;
}

static int mark_at_random(void *arg)
{
    uint64_t chance = *(uint64_t *)arg + (uint64_t)hk_now();
    struct marks marks = {.times = calloc(3000, 1)};

    CHECK(marks.times);
    for (int round = 0; round < scaled(200, 20); round++) {
        hk_parallel_options options;

        marks.count = (int64_t)below(&chance, below(&chance, 2) ? 3000 : 20);
        marks.begin = (int64_t)below(&chance, 5000) - 2500;
        options = some_options(&chance, marks.count);
        /* Guided ranges have several grains, automatic ones any size. */
        marks.grain_max = options.grain && options.schedule != HK_SCHEDULE_GUIDED
                              ? options.grain
                              : marks.count;
        CHECK_EQ(hk_parallel_for_with(marks.begin, marks.begin + marks.count, &options,
                                      mark, &marks),
                 0);
        check_marks(&marks);
    }
    free(marks.times);
    return 0;
}

static void each_element_is_dealt_with_once(void **state)
{
    uint64_t seed = seed_of_run(20261120);

    (void)state;
    everywhere(mark_at_random, &seed);
    at_once(mark_at_random, &seed);
}

static int count_elements(int64_t begin, int64_t end, void *ctx)
{
    __atomic_add_fetch((uint64_t *)ctx, (uint64_t)end - (uint64_t)begin,
                       __ATOMIC_RELAXED);
    return 0;
}

static int loop_over_everything(void *unused)
{
    uint64_t count = 0;

    (void)unused;
    CHECK_EQ(hk_parallel_for(INT64_MIN, INT64_MAX, 0, count_elements, &count), 0);
    CHECK(count == UINT64_MAX);
    count = 0;
    CHECK_EQ(
        hk_parallel_for(INT64_MIN, INT64_MAX, INT64_MAX / 2, count_elements, &count),
        0);
    CHECK(count == UINT64_MAX);
    count = 0;
    CHECK_EQ(hk_parallel_for(INT64_MAX - 1, INT64_MAX, 1, count_elements, &count), 0);
    CHECK_EQ(count, 1);
    CHECK_EQ(hk_parallel_for(5, 5, 0, count_elements, &count), 0);
    CHECK_EQ(hk_parallel_for(5, -5, 0, count_elements, &count), 0);
    CHECK_EQ(count, 1);
    return 0;
}

static void ranges_may_be_as_large_as_numbers_go(void **state)
{
    (void)state;
    everywhere(loop_over_everything, NULL);
}

static void options_are_checked(void **state)
{
    const hk_parallel_options unknown = {.schedule = (hk_schedule)17};
    uint64_t count = 0;

    (void)state;
    assert_int_equal(hk_parallel_for(0, 9, -1, count_elements, &count), -EINVAL);
    assert_int_equal(hk_parallel_for_with(0, 9, &unknown, count_elements, &count),
                     -EINVAL);
    assert_int_equal(hk_parallel_for_with(0, 9, NULL, count_elements, &count), 0);
    assert_int_equal(count, 9);
}

/* ---- who computes ---- */

static int thread_count; /* atomic: threads inside of a body, and the most of them */
static int thread_most;  /* atomic */

static void enter_body(void)
{
    int now = __atomic_add_fetch(&thread_count, 1, __ATOMIC_SEQ_CST);
    int most = __atomic_load_n(&thread_most, __ATOMIC_RELAXED);

    while (now > most &&
           !__atomic_compare_exchange_n(&thread_most, &most, now, false,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

static void leave_body(void)
{
    __atomic_sub_fetch(&thread_count, 1, __ATOMIC_SEQ_CST);
}

static int inner(int64_t begin, int64_t end, void *ctx)
{
    enter_body();
    for (int64_t i = begin; i < end; i++)
        sched_yield();
    leave_body();
    return count_elements(begin, end, ctx);
}

static int outer(int64_t begin, int64_t end, void *ctx)
{
    for (int64_t i = begin; i < end; i++)
        CHECK_EQ(hk_parallel_for(0, 20, 1, inner, ctx), 0);
    return 0;
}

static int loop_in_loops(void *unused)
{
    uint64_t count = 0;

    (void)unused;
    CHECK_EQ(hk_parallel_for(0, 30, 1, outer, &count), 0);
    CHECK_EQ(count, 600);
    return 0;
}

static int loop_in_loops_alone(void *unused)
{
    poke(&thread_most, 0);
    CHECK_EQ(loop_in_loops(unused), 0);
    CHECK(peek(&thread_most) <= 2 * (int)hk_parallel_threads());
    return 0;
}

/* The bodies that compute at once are about as many as the pool has threads, where a
 * thread for each part of each loop would be 600: who comes back from a wait goes on at
 * once, though another has got its place, and so there may be a few more. */
static void nested_loops_are_no_more_threads(void **state)
{
    (void)state;
    everywhere(loop_in_loops_alone, NULL);
    poke(&thread_most, 0);
    at_once(loop_in_loops, NULL);
    assert_true(peek(&thread_most) <= AT_ONCE + 2 * (int)hk_parallel_threads());
}

static int see_how_many(void *unused)
{
    const hk_parallel_options alone = {.threads_max = 1, .grain = 1};
    uint64_t count = 0;

    (void)unused;
    poke(&thread_most, 0);
    CHECK_EQ(hk_parallel_for_with(0, 100, &alone, inner, &count), 0);
    CHECK_EQ(peek(&thread_most), 1);
    CHECK_EQ(count, 100);
    return 0;
}

static void no_more_than_allowed_take_part(void **state)
{
    (void)state;
    everywhere(see_how_many, NULL);
}

static int meet(int64_t begin, int64_t end, void *barrier)
{
    (void)begin;
    (void)end;
    return hk_barrier_wait(barrier) < 0 ? -EIO : 0;
}

/* As many bodies as may run at once, all of which wait for the others. */
static int meet_in_a_loop(void *unused)
{
    uint32_t threads = hk_parallel_threads();
    hk_barrier barrier = HK_BARRIER_INIT(threads);
    const hk_parallel_options fixed = {.schedule = HK_SCHEDULE_STATIC};

    (void)unused;
    CHECK_EQ(hk_parallel_for(0, threads, 1, meet, &barrier), 0);
    CHECK_EQ(hk_parallel_for_with(0, threads, &fixed, meet, &barrier), 0);
    return 0;
}

static void bodies_may_wait_for_one_another(void **state)
{
    (void)state;
    for (int i = 0; i < scaled(100, 10); i++)
        everywhere(meet_in_a_loop, NULL);
}

/* ---- the caller's worker stays responsive ---- */

struct beat {
    int beats;   /* atomic */
    int is_over; /* atomic */
};

static int heart(void *arg)
{
    struct beat *beat = arg;

    while (!peek(&beat->is_over)) {
        __atomic_add_fetch(&beat->beats, 1, __ATOMIC_RELAXED);
        hk_yield();
    }
    return 0;
}

/* Goes on until the heart has beaten thrice more: which it could not, if this very
 * thread were its worker's. */
static int wait_for_beats(int64_t begin, int64_t end, void *ctx)
{
    struct beat *beat = ctx;
    int enough = peek(&beat->beats) + 3;

    (void)begin;
    (void)end;
    while (peek(&beat->beats) < enough)
        sched_yield();
    return 0;
}

static int loop_beside_a_heart(void *unused)
{
    struct beat beat = {0, 0};
    hk_scope s;

    (void)unused;
    hk_scope_open(&s);
    hk_spawn(&s, heart, &beat);
    CHECK_EQ(hk_parallel_for(0, 20, 1, wait_for_beats, &beat), 0);
    poke(&beat.is_over, 1);
    return hk_scope_join(&s);
}

static void a_loop_of_a_task_lets_its_worker_go_on(void **state)
{
    (void)state;
    assert_int_equal(run_workers(1, loop_beside_a_heart, NULL), 0);
}

/* ---- errors and cancel ---- */

static int fail_at(int64_t begin, int64_t end, void *ctx)
{
    int64_t at = *(int64_t *)ctx;

    return begin <= at && at < end ? -EDOM : 0;
}

static int fail_somewhere(void *unused)
{
    uint64_t chance = (uint64_t)hk_now() | 1;

    (void)unused;
    for (int round = 0; round < scaled(100, 10); round++) {
        hk_parallel_options options = some_options(&chance, 1000);
        int64_t at = (int64_t)below(&chance, 1000);

        CHECK_EQ(hk_parallel_for_with(0, 1000, &options, fail_at, &at), -EDOM);
    }
    return 0;
}

static void an_error_is_returned(void **state)
{
    (void)state;
    everywhere(fail_somewhere, NULL);
    at_once(fail_somewhere, NULL);
}

struct stop {
    uint64_t after_error; /* atomic: bodies begun after the error was returned */
    int has_failed;       /* atomic */
};

static int fail_first(int64_t begin, int64_t end, void *ctx)
{
    struct stop *stop = ctx;

    (void)end;
    if (peek(&stop->has_failed))
        __atomic_add_fetch(&stop->after_error, 1, __ATOMIC_RELAXED);
    if (begin > 0)
        return 0;
    poke(&stop->has_failed, 1);
    return -EDOM;
}

static int stop_early(void *unused)
{
    struct stop stop = {0, 0};
    const hk_parallel_options alone = {.threads_max = 1, .grain = 1};

    (void)unused;
    CHECK_EQ(hk_parallel_for_with(0, 1000000, &alone, fail_first, &stop), -EDOM);
    CHECK_EQ(stop.after_error, 0);
    return 0;
}

static void after_an_error_no_body_is_begun(void **state)
{
    (void)state;
    everywhere(stop_early, NULL);
}

/* The first to come waits for a cancel; the other fails: which is what cancels. */
static int wait_or_fail(int64_t begin, int64_t end, void *ctx)
{
    hk_event *waits = ctx;

    (void)end;
    if (begin == 0) {
        hk_event_set(waits);
        return hk_sleep(HK_NEVER);
    }
    CHECK_EQ(hk_event_wait(waits), 0);
    return -EDOM;
}

static int cancel_siblings(void *unused)
{
    hk_event waits = HK_EVENT_INIT;

    (void)unused;
    if (hk_parallel_threads() > 1)
        CHECK_EQ(hk_parallel_for(0, 2, 1, wait_or_fail, &waits), -EDOM);
    return 0;
}

static void an_error_cancels_bodies_that_wait(void **state)
{
    (void)state;
    for (int i = 0; i < scaled(50, 5); i++)
        everywhere(cancel_siblings, NULL);
}

static int never_begun(int64_t begin, int64_t end, void *ctx)
{
    (void)begin;
    (void)end;
    (void)ctx;
    CHECK(false);
    return 0;
}

static int cancel_at_once(int64_t begin, int64_t end, void *ctx)
{
    (void)begin;
    (void)end;
    hk_scope_cancel(ctx);
    return 0;
}

static int cancel_endless(void *unused)
{
    hk_scope s;

    (void)unused;
    hk_scope_open(&s);
    CHECK_EQ(hk_parallel_for(0, INT64_MAX, INT64_C(1) << 32, cancel_at_once, &s),
             -ECANCELED);
    CHECK_EQ(hk_parallel_for(0, 100, 1, never_begun, NULL), -ECANCELED);
    CHECK_EQ(hk_parallel_for(0, 0, 1, never_begun, NULL), -ECANCELED);
    return hk_scope_join(&s);
}

static void a_cancelled_loop_ends(void **state)
{
    (void)state;
    everywhere(cancel_endless, NULL);
}

static int doze(int64_t begin, int64_t end, void *ctx)
{
    (void)begin;
    (void)end;
    (void)ctx;
    return hk_sleep(HK_NEVER);
}

static int spin(int64_t begin, int64_t end, void *ctx)
{
    (void)begin;
    (void)end;
    (void)ctx;
    sched_yield();
    return 0;
}

static int loop_until_a_deadline(void *body)
{
    hk_range_fn *const *fn = body;
    hk_scope s;

    hk_scope_open(&s);
    hk_scope_deadline(&s, hk_now() + 5 * HK_MILLISECOND);
    CHECK_EQ(hk_parallel_for(0, INT64_MAX, INT64_C(1) << 32, *fn, NULL), -ECANCELED);
    CHECK_EQ(hk_scope_join(&s), -ETIMEDOUT);
    return 0;
}

static void a_deadline_ends_a_loop(void **state)
{
    hk_range_fn *waits = doze, *computes = spin;

    (void)state;
    everywhere(loop_until_a_deadline, &waits);
    everywhere(loop_until_a_deadline, &computes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_element_is_dealt_with_once),
        cmocka_unit_test(ranges_may_be_as_large_as_numbers_go),
        cmocka_unit_test(options_are_checked),
        cmocka_unit_test(nested_loops_are_no_more_threads),
        cmocka_unit_test(no_more_than_allowed_take_part),
        cmocka_unit_test(bodies_may_wait_for_one_another),
        cmocka_unit_test(a_loop_of_a_task_lets_its_worker_go_on),
        cmocka_unit_test(an_error_is_returned),
        cmocka_unit_test(after_an_error_no_body_is_begun),
        cmocka_unit_test(an_error_cancels_bodies_that_wait),
        cmocka_unit_test(a_cancelled_loop_ends),
        cmocka_unit_test(a_deadline_ends_a_loop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
