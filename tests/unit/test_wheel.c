/* SPDX-License-Identifier: MIT */
/*
 * The timer wheel alone, against a naive model (an array that is searched from end to
 * end) with a seeded random source, on an invented clock; and what it costs.
 */
#include "support/core_test.h"

#include "core/timer.h"

enum { TICK = 1 << HKI_WHEEL_TICK_SHIFT };

enum { MODEL_TIMERS = 300 };

struct model_timer {
    hk_timer timer;
    int64_t deadline_ns;
    bool set;
    int fired;
};

static struct hki_wheel wheel;
static struct model_timer model[MODEL_TIMERS];
static int64_t model_now_ns, last_fired_ns;
static uint64_t chance;
static bool callbacks_play;

static int64_t random_distance(void)
{
    switch (below(&chance, 8)) {
    case 0: return -(int64_t)below(&chance, 3 * TICK); /* overdue */
    case 1: return (int64_t)below(&chance, TICK);
    case 2: return (int64_t)below(&chance, 64 * TICK);
    case 3: /* at a border of digits, a little before or after */
        return ((INT64_C(1) << (6 * (1 + below(&chance, 5)))) << HKI_WHEEL_TICK_SHIFT) -
               (model_now_ns & ((INT64_C(1) << 44) - 1)) + (int64_t)below(&chance, 5) -
               2;
    case 4: return (int64_t)below(&chance, INT64_C(1) << 40);
    case 5: return (int64_t)below(&chance, INT64_C(1) << 55);
    default: return (int64_t)below(&chance, 5000 * TICK);
    }
}

static void model_fire(hk_timer *timer);

static void model_set(struct model_timer *t, int64_t deadline_ns)
{
    t->deadline_ns = deadline_ns < 0 ? 0 : deadline_ns;
    t->set = true;
    t->timer.hki_fire = model_fire;
    hki_wheel_set(&wheel, &t->timer, deadline_ns);
}

static void model_cancel(struct model_timer *t)
{
    assert_int_equal(hki_wheel_cancel(&wheel, &t->timer), t->set);
    t->set = false;
}

static void model_fire(hk_timer *timer)
{
    struct model_timer *t = (struct model_timer *)(void *)timer;

    assert_true(t->set);
    assert_true(t->deadline_ns <= model_now_ns); /* never early */
    if (!callbacks_play)
        assert_true(t->deadline_ns >= last_fired_ns); /* in order of time */
    last_fired_ns = t->deadline_ns;
    t->set = false;
    t->fired++;
    if (callbacks_play && below(&chance, 3) == 0)
        model_set(t, model_now_ns + random_distance());
    if (callbacks_play && below(&chance, 3) == 0) {
        struct model_timer *other = &model[below(&chance, MODEL_TIMERS)];

        model_cancel(other);
        if (below(&chance, 2))
            model_set(other, model_now_ns + random_distance());
    }
}

static int64_t model_earliest(void)
{
    int64_t best = HK_NEVER;

    for (int i = 0; i < MODEL_TIMERS; i++)
        if (model[i].set && model[i].deadline_ns < best)
            best = model[i].deadline_ns;
    return best;
}

static uint64_t model_count(void)
{
    uint64_t count = 0;

    for (int i = 0; i < MODEL_TIMERS; i++)
        count += model[i].set;
    return count;
}

static void check_next(void)
{
    int64_t earliest = model_earliest();
    int64_t next = hki_wheel_next(&wheel, false);

    assert_int_equal(wheel.count, model_count());
    assert_int_equal(hki_wheel_next(&wheel, true), earliest);
    if (earliest == HK_NEVER) {
        assert_int_equal(next, HK_NEVER);
        return;
    }
    /* The loop looks again no later than a tick after the earliest; and never without
     * end: a look in the past finds something to do. */
    assert_true(next <= (earliest > model_now_ns ? earliest : model_now_ns) + TICK);
    if (next <= model_now_ns)
        assert_true(earliest <= model_now_ns + TICK);
}

/* Lets the time pass as a loop would: to where hki_wheel_next says, or beyond. */
static void pass_time(void)
{
    int64_t next = hki_wheel_next(&wheel, false);
    int64_t by = (int64_t)below(&chance, UINT64_C(1) << below(&chance, 36));

    if (below(&chance, 3) == 0 && next != HK_NEVER && next > model_now_ns &&
        next - model_now_ns < INT64_C(1) << 50)
        model_now_ns = next;
    else
        model_now_ns += by;
    last_fired_ns = 0;
    hki_wheel_fire(&wheel, model_now_ns);
    for (int i = 0; i < MODEL_TIMERS && !callbacks_play; i++)
        if (model[i].set && model[i].deadline_ns <= model_now_ns)
            fail_msg("timer %d is overdue by %lld ns", i,
                     (long long)(model_now_ns - model[i].deadline_ns));
}

/* What callbacks have set to a time in the past comes with one of the next looks. */
static void check_nothing_is_forgotten(void)
{
    bool play = callbacks_play;

    callbacks_play = false;
    for (int look = 0; look < 3; look++) {
        model_now_ns += TICK;
        last_fired_ns = 0;
        hki_wheel_fire(&wheel, model_now_ns);
    }
    assert_true(model_earliest() > model_now_ns - TICK);
    callbacks_play = play;
}

static void run_model(uint64_t seed, int steps)
{
    chance = seed;
    memset(model, 0, sizeof(model));
    model_now_ns = (int64_t)below(&chance, INT64_C(1) << 48);
    hki_wheel_init(&wheel, model_now_ns);
    for (int step = 0; step < steps; step++) {
        struct model_timer *t = &model[below(&chance, MODEL_TIMERS)];

        switch (below(&chance, 4)) {
        case 0: model_cancel(t); break;
        case 1: pass_time(); break;
        default:
            if (t->set)
                model_cancel(t);
            model_set(t, model_now_ns + random_distance());
        }
        check_next();
        if (step % 64 == 0)
            check_nothing_is_forgotten();
    }
}

static void wheel_agrees_with_a_naive_model(void **state)
{
    uint64_t seed = seed_of_run(0x7134);
    int rounds = is_long_run() ? 2000 : 60;

    (void)state;
    callbacks_play = false;
    for (int round = 1; round <= rounds; round++)
        run_model(seed * (uint64_t)round + 1, 1500);
}

static void wheel_agrees_when_callbacks_set_and_cancel_timers(void **state)
{
    uint64_t seed = seed_of_run(0xca11);
    int rounds = is_long_run() ? 2000 : 60;

    (void)state;
    callbacks_play = true;
    for (int round = 1; round <= rounds; round++)
        run_model(seed * (uint64_t)round + 1, 1500);
    callbacks_play = false;
}

static int64_t fired_at_ns;

static void note_time(hk_timer *timer)
{
    (void)timer;
    fired_at_ns = model_now_ns;
}

/* Every border between two digits of the wheel, from both sides, to the nanosecond. */
static void wheel_is_exact_at_digit_borders(void **state)
{
    (void)state;
    for (unsigned level = 0; level < HKI_WHEEL_LEVELS - 1; level++)
        for (int offset = -1; offset <= 1; offset++) {
            int64_t border = INT64_C(1)
                             << (HKI_WHEEL_TICK_SHIFT + HKI_WHEEL_BITS * level);
            int64_t deadline = 3 * border + offset;
            hk_timer timer = {.hki_fire = note_time};

            hki_wheel_init(&wheel, border / 2);
            hki_wheel_set(&wheel, &timer, deadline);
            model_now_ns = deadline - 1;
            assert_int_equal(hki_wheel_fire(&wheel, model_now_ns), 0);
            assert_int_equal(hki_wheel_next(&wheel, true), deadline);
            model_now_ns = deadline;
            assert_int_equal(hki_wheel_fire(&wheel, model_now_ns), 1);
            assert_int_equal(fired_at_ns, deadline);
            assert_int_equal(wheel.count, 0);
            assert_int_equal(hki_wheel_next(&wheel, false), HK_NEVER);
        }
}

/* A timer centuries ahead must neither fire nor keep the loop from sleeping. */
static void wheel_sleeps_long_for_far_deadlines(void **state)
{
    const int64_t far[] = {HK_NEVER,         HK_NEVER - 1,
                           HK_NEVER / 2,     HK_NEVER / 2 + 1000000,
                           INT64_C(1) << 62, (INT64_C(1) << 62) + 1,
                           INT64_C(3) << 61, INT64_C(1) << 61};

    (void)state;
    for (size_t i = 0; i < sizeof(far) / sizeof(far[0]); i++) {
        hk_timer timer = {.hki_fire = note_time};
        int64_t now = 12345 * HK_SECOND, next;

        hki_wheel_init(&wheel, now);
        hki_wheel_set(&wheel, &timer, far[i]);
        next = hki_wheel_next(&wheel, false);
        if (next <= now + 3600 * HK_SECOND)
            printf("# deadline %lld: next look at %lld\n", (long long)far[i],
                   (long long)next);
        assert_true(next > now + 3600 * HK_SECOND);
        for (int hour = 0; hour < 50; hour++)
            assert_int_equal(hki_wheel_fire(&wheel, now += 3600 * HK_SECOND), 0);
        assert_true(hki_wheel_next(&wheel, false) > now + 3600 * HK_SECOND);
        assert_true(hki_wheel_cancel(&wheel, &timer));
        assert_int_equal(wheel.count, 0);
        for (int level = 0; level < HKI_WHEEL_LEVELS; level++)
            assert_int_equal(wheel.occupied[level], 0);
    }
}

/* A late loop: a callback sets its timer anew for a time that has passed as well. */
static struct {
    hk_timer timer;
    int fired;
} again;

static void fire_again(hk_timer *timer)
{
    if (++again.fired < 5)
        hki_wheel_set(&wheel, timer, timer->hki_deadline_ns + 10);
}

static void wheel_does_not_lose_what_a_callback_sets_in_the_past(void **state)
{
    (void)state;
    again.timer = (hk_timer){.hki_fire = fire_again};
    again.fired = 0;
    hki_wheel_init(&wheel, 0);
    hki_wheel_set(&wheel, &again.timer, 5 * TICK);
    hki_wheel_fire(&wheel, 100 * TICK); /* the loop was away for long */
    for (int look = 0; look < 5 && again.fired < 5; look++)
        hki_wheel_fire(&wheel, 100 * TICK);
    assert_int_equal(again.fired, 5);
    assert_int_equal(wheel.count, 0);
}

static void count_fire(hk_timer *timer)
{
    (void)timer;
    last_fired_ns++;
}

/*
 * A million live timers: setting and cancelling cost the same as with a thousand. The
 * bound is generous, since a machine under load is no stop-watch: a structure that
 * walked would be slower by a factor of hundreds.
 */
static double cost_of_set_and_cancel(hk_timer *timers, int live)
{
    enum { PAIRS = 200000 };
    int64_t begin;

    chance = 99;
    hki_wheel_init(&wheel, 0);
    for (int i = 0; i < live; i++) {
        timers[i] = (hk_timer){.hki_fire = count_fire};
        hki_wheel_set(&wheel, &timers[i], (int64_t)below(&chance, 100) * HK_SECOND + 1);
    }
    begin = cpu_time_ns();
    for (int i = 0; i < PAIRS; i++) {
        hk_timer *t = &timers[below(&chance, (uint64_t)live)];

        assert_true(hki_wheel_cancel(&wheel, t));
        hki_wheel_set(&wheel, t, (int64_t)below(&chance, 100) * HK_SECOND + 1);
    }
    return (double)(cpu_time_ns() - begin) / PAIRS;
}

static void wheel_set_and_cancel_cost_the_same_with_a_million_timers(void **state)
{
    enum { MANY = 1000000 };
    hk_timer *timers = calloc(MANY, sizeof(*timers));
    double few_ns = cost_of_set_and_cancel(timers, 1000);
    double many_ns = cost_of_set_and_cancel(timers, MANY);

    (void)state;
    printf("# set + cancel: %.0f ns with 1,000 live, %.0f ns with 1,000,000\n", few_ns,
           many_ns);
    assert_true(many_ns < 100 * few_ns + 2000);
    last_fired_ns = 0;
    assert_int_equal(hki_wheel_fire(&wheel, 100 * HK_SECOND), MANY);
    assert_int_equal(last_fired_ns, MANY);
    assert_int_equal(wheel.count, 0);
    free(timers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wheel_agrees_with_a_naive_model),
        cmocka_unit_test(wheel_agrees_when_callbacks_set_and_cancel_timers),
        cmocka_unit_test(wheel_is_exact_at_digit_borders),
        cmocka_unit_test(wheel_sleeps_long_for_far_deadlines),
        cmocka_unit_test(wheel_does_not_lose_what_a_callback_sets_in_the_past),
        cmocka_unit_test(wheel_set_and_cancel_cost_the_same_with_a_million_timers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
