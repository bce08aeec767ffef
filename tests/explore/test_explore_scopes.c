/* SPDX-License-Identifier: MIT */
/*
 * Scopes under the schedule explorer: joins, the three policies, cancels, shields,
 * deadlines, task ids, locals and timers, each over thousands of schedules.
 *
 * Run: once
 */
#include "explore_kit.h"

/* ---- joins ---- */

static int begin_and_end(void *arg)
{
    int *counts = arg;

    add_to(&counts[0], 1);
    int rc = dawdle();
    add_to(&counts[1], 1);
    return rc;
}

static int spawn_many(unsigned flags)
{
    int counts[2] = {0};
    hk_scope s;

    hk_scope_open_with(&s, flags, NULL);
    for (int i = 0; i < MANY; i++)
        hk_spawn(&s, begin_and_end, counts);
    EXPECT(hk_scope_join(&s) == 0);
    EXPECT(counts[0] == MANY && counts[1] == MANY);
    return 0;
}

static int join_waits_for_every_child(void *arg)
{
    (void)arg;
    return spawn_many(0);
}

static int join_waits_in_a_parallel_scope(void *arg)
{
    (void)arg;
    return spawn_many(HK_SCOPE_PARALLEL);
}

static int run_though_cancelled(void *arg)
{
    int *ran = arg;

    add_to(ran, 1);
    return hk_yield();
}

static int a_cancelled_child_runs_all_the_same(void *arg)
{
    int ran = 0;
    hk_scope s;

    (void)arg;
    hk_scope_open(&s);
    hk_spawn(&s, cancel_later, &s);
    for (int i = 0; i < MANY; i++)
        hk_spawn(&s, run_though_cancelled, &ran);
    EXPECT(hk_scope_join(&s) == 0);
    EXPECT(ran == MANY);
    return 0;
}

struct forest {
    hk_scope *root;
    int alive;
};

static int grow(void *arg)
{
    struct forest *forest = arg;
    uint32_t children = hk_explore_choice(3);

    if (add_to(&forest->alive, 1) < 12)
        while (children-- > 0)
            hk_spawn(forest->root, grow, forest);
    TRY(dawdle());
    return 0;
}

static int descendants_spawn_into_the_root(void *arg)
{
    struct forest forest = {0};
    hk_scope s;

    (void)arg;
    forest.root = &s;
    hk_scope_open(&s);
    hk_spawn(&s, grow, &forest);
    hk_spawn(&s, grow, &forest);
    EXPECT(hk_scope_join(&s) == 0);
    EXPECT(forest.alive >= 2);
    return 0;
}

/* ---- policies ---- */

static int fail_later(void *arg)
{
    TRY(dawdle());
    return *(int *)arg;
}

static int the_first_error_cancels_the_others(void *arg)
{
    int error = -EIO;
    hk_scope s;

    (void)arg;
    hk_scope_open(&s);
    hk_spawn(&s, sleep_for_ever, NULL);
    hk_spawn(&s, fail_later, &error);
    hk_spawn(&s, sleep_for_ever, NULL);
    EXPECT(hk_scope_join(&s) == -EIO);
    EXPECT(hk_scope_reason(&s) == HK_BY_FAILURE);
    return 0;
}

static int one_of_two_errors_is_returned(void *arg)
{
    int errors[2] = {-EIO, -ENOENT}, rc;
    hk_scope s;

    (void)arg;
    hk_scope_open(&s);
    hk_spawn(&s, fail_later, &errors[0]);
    hk_spawn(&s, fail_later, &errors[1]);
    hk_spawn(&s, sleep_for_ever, NULL);
    rc = hk_scope_join(&s);
    EXPECT(rc == -EIO || rc == -ENOENT);
    return 0;
}

static int the_body_fails_its_scope(void *arg)
{
    hk_scope s;

    (void)arg;
    hk_scope_open(&s);
    hk_spawn(&s, sleep_for_ever, NULL);
    TRY(dawdle());
    EXPECT(hk_scope_end(&s, -EILSEQ) == -EILSEQ);
    return 0;
}

static int wait_all_cancels_nothing(void *arg)
{
    int error = -EIO, counts[2] = {0};
    hk_scope s;

    (void)arg;
    hk_scope_open_with(&s, HK_SCOPE_WAIT_ALL, NULL);
    hk_spawn(&s, begin_and_end, counts);
    hk_spawn(&s, fail_later, &error);
    hk_spawn(&s, begin_and_end, counts);
    EXPECT(hk_scope_join(&s) == -EIO);
    EXPECT(counts[1] == 2);
    return 0;
}

static int the_first_success_ends_the_race(void *arg)
{
    int error = -EIO, fine = 0;
    hk_scope s;

    (void)arg;
    hk_scope_open_with(&s, HK_SCOPE_FIRST_SUCCESS, NULL);
    hk_spawn(&s, fail_later, &error);
    hk_spawn(&s, sleep_for_ever, NULL);
    hk_spawn(&s, fail_later, &fine);
    hk_spawn(&s, fail_later, &fine);
    EXPECT(hk_scope_join(&s) == 0);
    return 0;
}

/* ---- cancels and shields ---- */

static int clean_up_behind_a_shield(void *arg)
{
    int *cleaned = arg, rc = hk_sleep(HK_NEVER);
    hk_scope shield;

    hk_scope_open_with(&shield, HK_SCOPE_SHIELDED, NULL);
    EXPECT(dawdle() == 0);
    EXPECT(hk_sleep(HK_MILLISECOND) == 0);
    EXPECT(hk_scope_join(&shield) == 0);
    add_to(cleaned, 1);
    EXPECT(rc == -ECANCELED && hk_yield() == -ECANCELED);
    return rc;
}

static int a_shield_lets_clean_up_wait(void *arg)
{
    int cleaned = 0;
    hk_scope s;

    (void)arg;
    hk_scope_open(&s);
    for (int i = 0; i < 3; i++)
        hk_spawn(&s, clean_up_behind_a_shield, &cleaned);
    hk_spawn(&s, cancel_later, &s);
    EXPECT(hk_scope_join(&s) == 0);
    EXPECT(cleaned == 3);
    return 0;
}

static int toggle_a_shield(void *arg)
{
    hk_scope s;
    int rc;

    (void)arg;
    hk_scope_open(&s);
    hk_scope_shield(&s, true);
    rc = dawdle();
    EXPECT(rc == 0);
    hk_scope_shield(&s, false);
    rc = dawdle();
    hk_scope_shield(&s, true);
    EXPECT(hk_yield() == 0);
    return hk_scope_end(&s, rc);
}

static int a_shield_goes_up_and_down(void *arg)
{
    hk_scope s;

    (void)arg;
    hk_scope_open(&s);
    hk_spawn(&s, toggle_a_shield, NULL);
    hk_spawn(&s, toggle_a_shield, NULL);
    hk_spawn(&s, cancel_later, &s);
    EXPECT(hk_scope_join(&s) == 0);
    return 0;
}

static int cancel_an_inner_scope(void *arg)
{
    int *ended = arg;
    hk_scope s;

    hk_scope_open(&s);
    hk_spawn(&s, sleep_and_swallow, NULL);
    hk_spawn(&s, cancel_later, &s);
    TRY(hk_scope_join(&s));
    TRY(dawdle()); /* outside again: not cancelled, unless by others */
    add_to(ended, 1);
    return 0;
}

static int an_inner_cancel_stays_inside(void *arg)
{
    int ended = 0;
    hk_scope s;

    (void)arg;
    hk_scope_open(&s);
    for (int i = 0; i < 3; i++)
        hk_spawn(&s, cancel_an_inner_scope, &ended);
    EXPECT(hk_scope_join(&s) == 0);
    EXPECT(ended == 3);
    return 0;
}

static int nest(void *arg)
{
    int depth = *(int *)arg - 1;
    hk_scope s;

    hk_scope_open(&s);
    if (depth > 0) {
        hk_spawn(&s, nest, &depth);
        hk_spawn(&s, nest, &depth);
    } else {
        hk_spawn(&s, sleep_for_ever, NULL);
    }
    return hk_scope_join(&s);
}

static int a_cancel_reaches_every_depth(void *arg)
{
    int depth = 3;
    hk_scope s;

    (void)arg;
    hk_scope_open(&s);
    hk_spawn(&s, nest, &depth);
    hk_spawn(&s, cancel_later, &s);
    EXPECT(hk_scope_join(&s) == 0);
    return 0;
}

/* ---- one task by its id ---- */

struct named {
    hk_task_id ids[MANY];
    int alive, cancelled;
};

static int wait_by_name(void *arg)
{
    struct named *named = arg;
    int rc = hk_sleep(HK_MILLISECOND);

    if (rc < 0)
        add_to(&named->cancelled, 1);
    add_to(&named->alive, -1);
    return rc;
}

static int cancel_by_name(void *arg)
{
    struct named *named = arg;

    for (int i = 0; i < 3; i++) {
        int rc = hk_task_cancel(named->ids[hk_explore_choice(MANY)]);

        EXPECT(rc == 0 || rc == -ESRCH);
        TRY(dawdle());
    }
    return 0;
}

static int a_task_is_cancelled_by_its_id(void *arg)
{
    struct named named = {.alive = MANY};
    hk_scope s;

    (void)arg;
    hk_scope_open(&s);
    for (int i = 0; i < MANY; i++)
        hk_spawn_named(&s, "named", wait_by_name, &named, &named.ids[i]);
    hk_spawn(&s, cancel_by_name, &named);
    EXPECT(hk_scope_join(&s) == 0);
    EXPECT(named.alive == 0 && named.cancelled <= 3);
    for (int i = 0; i < MANY; i++)
        EXPECT(hk_task_cancel(named.ids[i]) == -ESRCH);
    return 0;
}

/* ---- deadlines, sleeps, timers ---- */

static int doze(void *arg)
{
    int64_t due = hk_now() + *(int64_t *)arg;

    TRY(hk_sleep_until(due));
    EXPECT(hk_now() >= due);
    return 0;
}

static int a_deadline_is_told_when_it_was_met(void *arg)
{
    int64_t time = 5;
    int rc, body;
    hk_scope s;

    (void)arg;
    hk_scope_open(&s);
    hk_scope_deadline(&s, hk_now() + 5);
    hk_spawn(&s, doze, &time);
    body = hk_sleep(4 + hk_explore_choice(3));
    rc = hk_scope_join(&s);
    EXPECT(rc == 0 || rc == -ETIMEDOUT);
    EXPECT(body == 0 || (body == -ECANCELED && rc == -ETIMEDOUT));
    return 0;
}

static int nested_deadlines_each_end_their_own(void *arg)
{
    hk_scope outer, inner;
    int rc;

    (void)arg;
    hk_scope_open(&outer);
    hk_scope_deadline(&outer, hk_now() + 5 + hk_explore_choice(3));
    hk_scope_open(&inner);
    hk_scope_deadline(&inner, hk_now() + 6);
    hk_spawn(&inner, sleep_for_ever, NULL);
    rc = hk_scope_join(&inner);
    EXPECT(rc == -ETIMEDOUT || rc == -ECANCELED);
    EXPECT(rc == -ECANCELED || hk_scope_reason(&inner) == HK_BY_DEADLINE);
    rc = hk_scope_end(&outer, hk_sleep(100));
    EXPECT(rc == -ETIMEDOUT);
    return 0;
}

static int sleepers_never_wake_early(void *arg)
{
    int64_t times[MANY];
    hk_scope s;

    (void)arg;
    hk_scope_open(&s);
    for (int i = 0; i < MANY; i++) {
        times[i] = hk_explore_choice(3) * HK_MILLISECOND;
        hk_spawn(&s, doze, &times[i]);
    }
    EXPECT(hk_scope_join(&s) == 0);
    return 0;
}

struct alarm {
    hk_timer timer;
    int fired;
};

static void ring(hk_timer *timer)
{
    poke(&((struct alarm *)(void *)timer)->fired, 1);
}

static int a_timer_fires_or_is_taken_back(void *arg)
{
    struct alarm alarms[3] = {0};

    (void)arg;
    for (int i = 0; i < 3; i++)
        hk_timer_set(&alarms[i].timer, hk_now() + 1 + hk_explore_choice(2), ring);
    EXPECT(hk_sleep(1) == 0);
    for (int i = 0; i < 3; i++)
        EXPECT(hk_timer_cancel(&alarms[i].timer) == !peek(&alarms[i].fired));
    return 0;
}

/* ---- locals, the kit ---- */

static int locals_alive;

static void count_down(void *value)
{
    (void)value;
    add_to(&locals_alive, -1);
}

static int keep_a_local(void *arg)
{
    static hk_local local = HK_LOCAL_INIT(count_down);
    int mine = 0;

    (void)arg;
    EXPECT(!hk_local_get(&local));
    EXPECT(hk_local_set(&local, &mine) == 0);
    add_to(&locals_alive, 1);
    TRY(dawdle());
    EXPECT(hk_local_get(&local) == &mine);
    return 0;
}

static int every_task_has_its_own_local(void *arg)
{
    hk_scope s;

    (void)arg;
    hk_scope_open(&s);
    for (int i = 0; i < MANY; i++)
        hk_spawn(&s, keep_a_local, NULL);
    EXPECT(hk_scope_join(&s) == 0);
    EXPECT(locals_alive == 0);
    return 0;
}

struct steps {
    hk_sequencer sequencer;
    int next;
};

/* What lies between two steps of one task is alone. */
static int act_between(struct steps *steps, uint32_t step)
{
    TRY(hk_sequence(&steps->sequencer, step));
    EXPECT(steps->next++ == (int)step / 2);
    TRY(dawdle());
    return hk_sequence(&steps->sequencer, step + 1);
}

static int act_first_and_third(void *arg)
{
    TRY(act_between(arg, 0));
    return act_between(arg, 4);
}

static int act_second(void *arg)
{
    return act_between(arg, 2);
}

static int a_sequence_keeps_its_order(void *arg)
{
    struct steps steps = {0};
    hk_scope s;

    (void)arg;
    hk_scope_open(&s);
    hk_spawn(&s, act_second, &steps);
    hk_spawn(&s, act_first_and_third, &steps);
    EXPECT(hk_scope_join(&s) == 0);
    return 0;
}

static int blocked_means_that_all_have_parked(void *arg)
{
    int counts[2] = {0};
    hk_scope s;

    (void)arg;
    hk_scope_open(&s);
    hk_spawn(&s, begin_and_end, counts);
    hk_spawn(&s, sleep_for_ever, NULL);
    hk_spawn(&s, begin_and_end, counts);
    EXPECT(hk_test_wait_all_blocked() == 0);
    EXPECT(counts[1] == 2);
    hk_scope_cancel(&s);
    EXPECT(hk_scope_join(&s) == 0);
    return 0;
}

static const struct scenario scenarios[] = {
    {"join_waits_for_every_child", join_waits_for_every_child, 2, false},
    {"join_waits_in_a_parallel_scope", join_waits_in_a_parallel_scope, 2, false},
    {"a_cancelled_child_runs_all_the_same", a_cancelled_child_runs_all_the_same, 2,
     false},
    {"descendants_spawn_into_the_root", descendants_spawn_into_the_root, 2, false},
    {"the_first_error_cancels_the_others", the_first_error_cancels_the_others, 0,
     false},
    {"one_of_two_errors_is_returned", one_of_two_errors_is_returned, 0, false},
    {"the_body_fails_its_scope", the_body_fails_its_scope, 0, false},
    {"wait_all_cancels_nothing", wait_all_cancels_nothing, 0, false},
    {"the_first_success_ends_the_race", the_first_success_ends_the_race, 0, false},
    {"a_shield_lets_clean_up_wait", a_shield_lets_clean_up_wait, 2, false},
    {"a_shield_goes_up_and_down", a_shield_goes_up_and_down, 2, false},
    {"an_inner_cancel_stays_inside", an_inner_cancel_stays_inside, 0, false},
    {"a_cancel_reaches_every_depth", a_cancel_reaches_every_depth, 2, false},
    {"a_task_is_cancelled_by_its_id", a_task_is_cancelled_by_its_id, 0, false},
    {"a_deadline_is_told_when_it_was_met", a_deadline_is_told_when_it_was_met, 1,
     false},
    {"nested_deadlines_each_end_their_own", nested_deadlines_each_end_their_own, 0,
     false},
    {"sleepers_never_wake_early", sleepers_never_wake_early, 2, false},
    {"a_timer_fires_or_is_taken_back", a_timer_fires_or_is_taken_back, 0, false},
    {"every_task_has_its_own_local", every_task_has_its_own_local, 2, false},
    {"a_sequence_keeps_its_order", a_sequence_keeps_its_order, 0, false},
    {"blocked_means_that_all_have_parked", blocked_means_that_all_have_parked, 0, true},
};

int main(void)
{
    return explore_all(scenarios, sizeof(scenarios) / sizeof(scenarios[0]));
}
