/* SPDX-License-Identifier: MIT */
/*
 * The schedule explorer itself: the same seed gives the same run, different seeds give
 * different ones, every kind of choice is made, and every kind of failure is told with
 * the seed that replays it. What it finds is in tests/explore.
 */
#include "support/core_test.h"

static int explore(hk_task_fn *scenario, void *arg, hk_explore_options options,
                   hk_explore_result *out)
{
    if (!options.name)
        options.name = "test";
    return hk_explore(scenario, arg, &options, out);
}

/* ---- a panic and abort(3) tell the seed; first, for the children of fork ---- */

static int panic_in_the_third(void *arg)
{
    hk_mutex mutex = HK_MUTEX_INIT;

    if (++*(int *)arg == 3)
        hk_mutex_unlock(&mutex);
    return 0;
}

PANIC_TEST(a_panic_tells_the_seed, "HOCKET_EXPLORE=test:12")
{
    int count = 0;

    return explore(panic_in_the_third, &count, (hk_explore_options){.first_seed = 10},
                   NULL);
}

static int wait_shielded(void *arg)
{
    hk_mutex *mutex = arg;

    hk_mutex_lock_shielded(mutex);
    return 0;
}

static int wait_for_ever_shielded(void *arg)
{
    hk_mutex mutex = HK_MUTEX_INIT;
    hk_scope s;

    (void)arg;
    CHECK_EQ(hk_mutex_lock(&mutex), 0);
    hk_scope_open(&s);
    hk_spawn(&s, wait_shielded, &mutex);
    return hk_scope_join(&s);
}

PANIC_TEST(a_deadlock_that_no_cancel_ends_panics, "do not end although")
{
    return explore(wait_for_ever_shielded, NULL, (hk_explore_options){.seeds = 1},
                   NULL);
}

static hk_timer forgotten;

static void do_nothing(hk_timer *timer)
{
    (void)timer;
}

static int forget_a_timer(void *arg)
{
    (void)arg;
    hk_timer_set(&forgotten, hk_now() + HK_SECOND, do_nothing);
    return 0;
}

PANIC_TEST(a_timer_that_outlives_its_scenario_panics, "a timer outlives")
{
    return explore(forget_a_timer, NULL,
                   (hk_explore_options){.seeds = 1, .clock_waits = true}, NULL);
}

/* ---- a busy scenario: all kinds of choices ---- */

struct busy {
    hk_chan *chan;
    hk_mutex mutex;
    char story[64]; /* who did what, in order; guarded by mutex */
    size_t length;
};

static int tell(struct busy *busy, char what)
{
    int rc = hk_mutex_lock(&busy->mutex);

    if (rc < 0)
        return rc;
    if (busy->length < sizeof(busy->story) - 1)
        busy->story[busy->length++] = what;
    hk_mutex_unlock(&busy->mutex);
    return 0;
}

static int say_and_send(void *arg)
{
    struct busy *busy = arg;
    int rc = 0;

    for (char what = 'a'; rc == 0 && what < 'd'; what++) {
        rc = hk_chan_send(busy->chan, &what);
        if (rc == 0)
            rc = tell(busy, what);
    }
    return rc;
}

static int hear_and_say(void *arg)
{
    struct busy *busy = arg;
    int rc = 0;
    char what;

    for (int i = 0; rc == 0 && i < 3; i++) {
        hk_case cases[] = {
            HK_CASE_RECV(busy->chan, &what),
            HK_CASE_DEADLINE(hk_now() + 2),
        };

        rc = hk_select(cases, 2);
        if (rc >= 0)
            rc = tell(busy, rc == 0 ? (char)(what - 'a' + 'A') : '-');
    }
    return rc;
}

static int sleep_and_say(void *arg)
{
    int rc = hk_sleep(1 + hk_explore_choice(2));

    return rc < 0 ? rc : tell(arg, 'z');
}

static char last_story[64];

static int be_busy(void *arg)
{
    struct busy busy = {.length = 0};
    hk_scope s;
    int rc = hk_chan_new(1, 6, &busy.chan);

    (void)arg;
    if (rc < 0)
        return rc;
    hk_scope_open(&s);
    hk_spawn(&s, say_and_send, &busy);
    hk_spawn(&s, hear_and_say, &busy);
    hk_spawn(&s, say_and_send, &busy);
    hk_spawn(&s, sleep_and_say, &busy);
    hk_spawn(&s, sleep_and_say, &busy);
    rc = hk_scope_join(&s);
    hk_chan_free(busy.chan);
    memcpy(last_story, busy.story, sizeof(last_story));
    return rc;
}

enum { STORIES = 60 };

static void the_same_seed_is_the_same_run(void **state)
{
    static char stories[STORIES][64];
    static uint64_t traces[STORIES];
    hk_explore_result result;

    (void)state;
    for (uint64_t seed = 1; seed < STORIES; seed++) {
        /* After a number of others in the same runtime: they must leave no mark. */
        hk_explore_options options = {
            .first_seed = seed > 7 ? seed - 7 : 1,
            .seeds = seed > 7 ? 8 : seed,
            .cancels = 2,
        };

        assert_int_equal(explore(be_busy, NULL, options, &result), 0);
        assert_int_equal(result.seed, seed);
        traces[seed] = result.trace;
        memcpy(stories[seed], last_story, 64);
    }
    for (uint64_t seed = STORIES - 1; seed > 0; seed--) {
        hk_explore_options options = {.first_seed = seed, .seeds = 1, .cancels = 2};

        assert_int_equal(explore(be_busy, NULL, options, &result), 0);
        assert_true(result.trace == traces[seed]);
        assert_string_equal(last_story, stories[seed]);
    }
}

static void different_seeds_are_different_runs(void **state)
{
    uint64_t traces[STORIES];
    int distinct = 0;

    (void)state;
    for (uint64_t seed = 1; seed < STORIES; seed++) {
        hk_explore_result result;
        bool is_new = true;

        explore(be_busy, NULL, (hk_explore_options){.first_seed = seed, .seeds = 1},
                &result);
        for (int i = 0; i < distinct; i++)
            is_new = is_new && traces[i] != result.trace;
        if (is_new)
            traces[distinct++] = result.trace;
    }
    assert_true(distinct > STORIES * 9 / 10);
}

/* ---- each kind of choice ---- */

/* Counts outcomes 0 and 1 of a scenario over some seeds: both must occur. */
static int outcomes[2];

static void expect_both_outcomes(hk_task_fn *scenario, hk_explore_options options)
{
    outcomes[0] = outcomes[1] = 0;
    options.seeds = 200;
    assert_int_equal(explore(scenario, NULL, options, NULL), 0);
    assert_true(outcomes[0] > 10 && outcomes[1] > 10);
}

static int first_to_come;

static int come(void *arg)
{
    if (peek(&first_to_come) < 0)
        poke(&first_to_come, *(int *)arg);
    return 0;
}

static int come_after_a_while(void *arg)
{
    int rc = hk_sleep(1);

    return rc < 0 ? rc : come(arg);
}

static int race(hk_task_fn *fn)
{
    static int names[] = {0, 1};
    hk_scope s;
    int rc;

    first_to_come = -1;
    hk_scope_open(&s);
    hk_spawn(&s, fn, &names[0]);
    hk_spawn(&s, fn, &names[1]);
    rc = hk_scope_join(&s);
    outcomes[first_to_come]++;
    return rc;
}

static int race_at_once(void *arg)
{
    (void)arg;
    return race(come);
}

static int race_from_timers(void *arg)
{
    (void)arg;
    return race(come_after_a_while);
}

static void any_ready_task_may_be_next(void **state)
{
    (void)state;
    expect_both_outcomes(race_at_once, (hk_explore_options){.seeds = 1});
}

static void timers_of_one_moment_fire_in_any_order(void **state)
{
    (void)state;
    expect_both_outcomes(race_from_timers, (hk_explore_options){.clock_waits = true});
}

static int note_choice(void *arg)
{
    (void)arg;
    outcomes[hk_explore_choice(2)]++;
    return 0;
}

static void a_scenario_may_choose_too(void **state)
{
    (void)state;
    expect_both_outcomes(note_choice, (hk_explore_options){.seeds = 1});
    assert_int_equal(hk_explore_choice(2), 0); /* outside of explorations */
}

static int select_one_of_two(void *arg)
{
    hk_event events[2] = {HK_EVENT_INIT, HK_EVENT_INIT};
    hk_case cases[] = {HK_CASE_EVENT(&events[0]), HK_CASE_EVENT(&events[1])};
    int i;

    (void)arg;
    hk_event_set(&events[0]);
    hk_event_set(&events[1]);
    i = hk_select(cases, 2);
    if (i >= 0)
        outcomes[i]++;
    return i;
}

static void select_takes_either_case(void **state)
{
    (void)state;
    expect_both_outcomes(select_one_of_two, (hk_explore_options){.seeds = 1});
}

/* Between the lock, which is free, and the yield of its caller another may run. */
static int lock_at_once(void *arg)
{
    hk_mutex mutex = HK_MUTEX_INIT;

    (void)arg;
    if (peek(&first_to_come) >= 0)
        return 0;
    if (hk_mutex_lock(&mutex) < 0)
        return -EPROTO;
    hk_mutex_unlock(&mutex);
    return come(arg);
}

static int race_of_locks(void *arg)
{
    (void)arg;
    return race(lock_at_once);
}

static void a_call_that_could_finish_at_once_may_yield(void **state)
{
    (void)state;
    expect_both_outcomes(race_of_locks, (hk_explore_options){.seeds = 1});
}

static int count_cancelled(void *arg)
{
    int rc = hk_sleep(1);

    (void)arg;
    outcomes[rc == -ECANCELED]++;
    return rc;
}

static int spawn_one(void *arg)
{
    hk_scope s;

    hk_scope_open(&s);
    hk_spawn(&s, count_cancelled, arg);
    return hk_scope_join(&s);
}

static void tasks_are_cancelled_if_one_wants(void **state)
{
    (void)state;
    expect_both_outcomes(spawn_one, (hk_explore_options){.cancels = 8});
    outcomes[1] = 0;
    assert_int_equal(explore(spawn_one, NULL, (hk_explore_options){.seeds = 50}, NULL),
                     0);
    assert_int_equal(outcomes[1], 0);
}

static int sleep_while_others_run(void *arg)
{
    int64_t begin = hk_now();
    int rc = 0;

    (void)arg;
    while (rc == 0 && hk_now() == begin && first_to_come-- > 0)
        rc = hk_yield();
    outcomes[hk_now() == begin]++;
    return rc;
}

static int time_may_pass(void *arg)
{
    int64_t one = 1;
    hk_scope s;

    (void)arg;
    first_to_come = 20;
    hk_scope_open(&s);
    hk_spawn(&s, sleep_for, &one);
    hk_spawn(&s, sleep_while_others_run, NULL);
    return hk_scope_join(&s);
}

static void time_passes_while_tasks_are_ready(void **state)
{
    (void)state;
    expect_both_outcomes(time_may_pass, (hk_explore_options){.seeds = 1});
    outcomes[0] = 0;
    assert_int_equal(explore(time_may_pass, NULL,
                             (hk_explore_options){.seeds = 50, .clock_waits = true},
                             NULL),
                     0);
    assert_int_equal(outcomes[0], 0);
}

/* ---- failures ---- */

static char logged[4096];

static void keep_log(hk_log_level level, const char *line, void *ctx)
{
    (void)level;
    (void)ctx;
    strncat(logged, line, sizeof(logged) - strlen(logged) - 1);
}

static void expect_failure(hk_task_fn *scenario, int rc, const char *text)
{
    hk_explore_result result;

    logged[0] = '\0';
    hk_log_to(keep_log, NULL);
    assert_int_equal(
        explore(scenario, NULL, (hk_explore_options){.first_seed = 5}, &result), rc);
    hk_log_to(NULL, NULL);
    assert_int_equal(result.seed, 5);
    assert_int_equal(result.schedules, 1);
    assert_non_null(strstr(logged, "HOCKET_EXPLORE=test:5"));
    assert_non_null(strstr(logged, text));
}

static int end_badly(void *arg)
{
    (void)arg;
    return -EILSEQ;
}

static int wait_for_nothing(void *arg)
{
    hk_event never = {.name = "never"};
    hk_scope s;

    (void)arg;
    hk_scope_open(&s);
    hk_spawn_named(&s, "waits in vain", sleep_for, &(int64_t){5}, NULL);
    return hk_scope_end(&s, hk_event_wait(&never));
}

static hk_chan *lost[2]; /* an unbalanced schedule is run twice */

static int lose_a_channel(void *arg)
{
    (void)arg;
    return hk_chan_new(1, 1, lost[0] ? &lost[1] : &lost[0]);
}

static int go_on_for_ever(void *arg)
{
    (void)arg;
    while (hk_yield() == 0)
        ;
    return 0;
}

static void a_failure_is_told_with_its_seed(void **state)
{
    (void)state;
    expect_failure(end_badly, -EILSEQ, "fails");
    expect_failure(wait_for_nothing, -EDEADLK, "event ('never')");
    expect_failure(go_on_for_ever, -ELOOP, "go on for ever");
    expect_failure(lose_a_channel, -ENOTRECOVERABLE, "ledger");
    hk_chan_free(lost[0]);
    hk_chan_free(lost[1]);
}

static void the_environment_replays_one_seed(void **state)
{
    hk_explore_result result;

    (void)state;
    setenv("HOCKET_EXPLORE", "test:77", 1);
    assert_int_equal(explore(be_busy, NULL, (hk_explore_options){.seeds = 9}, &result),
                     0);
    assert_int_equal(result.seed, 77);
    assert_int_equal(result.schedules, 1);
    assert_int_equal(
        explore(be_busy, NULL, (hk_explore_options){.name = "other"}, &result), 0);
    assert_int_equal(result.schedules, 0);
    unsetenv("HOCKET_EXPLORE");
}

static void a_wish_that_is_no_seed_is_refused(void **state)
{
    static const char *const wishes[] = {"test:", "test:abc", "test:7x", "test:0"};

    (void)state;
    for (size_t i = 0; i < sizeof(wishes) / sizeof(*wishes); i++) {
        setenv("HOCKET_EXPLORE", wishes[i], 1);
        logged[0] = '\0';
        hk_log_to(keep_log, NULL);
        assert_int_equal(explore(be_busy, NULL, (hk_explore_options){.seeds = 9}, NULL),
                         -EINVAL);
        hk_log_to(NULL, NULL);
        assert_non_null(strstr(logged, "is no seed"));
    }
    unsetenv("HOCKET_EXPLORE");
}

static void no_options_mean_the_defaults(void **state)
{
    hk_explore_result result;

    (void)state;
    assert_int_equal(hk_explore(be_busy, NULL, NULL, &result), 0);
    assert_int_equal(result.schedules, 1000);
    assert_true(result.steps > 10000);
    assert_int_equal(hk_explore(be_busy, NULL, NULL, NULL), 0);
    hk_explore_point(); /* does nothing here */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_panic_tells_the_seed),
        cmocka_unit_test(a_deadlock_that_no_cancel_ends_panics),
        cmocka_unit_test(a_timer_that_outlives_its_scenario_panics),
        cmocka_unit_test(the_same_seed_is_the_same_run),
        cmocka_unit_test(different_seeds_are_different_runs),
        cmocka_unit_test(any_ready_task_may_be_next),
        cmocka_unit_test(timers_of_one_moment_fire_in_any_order),
        cmocka_unit_test(a_scenario_may_choose_too),
        cmocka_unit_test(select_takes_either_case),
        cmocka_unit_test(a_call_that_could_finish_at_once_may_yield),
        cmocka_unit_test(tasks_are_cancelled_if_one_wants),
        cmocka_unit_test(time_passes_while_tasks_are_ready),
        cmocka_unit_test(a_failure_is_told_with_its_seed),
        cmocka_unit_test(the_environment_replays_one_seed),
        cmocka_unit_test(a_wish_that_is_no_seed_is_refused),
        cmocka_unit_test(no_options_mean_the_defaults),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
