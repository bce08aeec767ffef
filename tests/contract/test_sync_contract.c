/* SPDX-License-Identifier: MIT */
/*
 * Shows that all that one can wait for in sync/ keeps the same promises, whoever waits
 * and whoever grants: a task, a thread, a task of another worker. Each primitive is a
 * row of functions (wait, grant, ...), each promise one scenario for a waiter and a
 * granter, and every scenario runs over every row in every placing.
 *
 * That nothing is lost or taken twice is seen by what the next wait finds, and for
 * channels by the numbers on the items.
 */
#include "sync_stage.h"

/* In a cancelled scope. A once that is done is no cancel point any more. */
static void check_is_cancelled(struct stage_for_two *s)
{
    bool is_done = hk_once_is_done(&s->o->once);

    CHECK_EQ(s->p->wait(s->o), is_done ? 0 : -ECANCELED);
}

/* ---- a grant ends the wait ---- */

static int grant_to_a_waiter(void *arg)
{
    struct stage_for_two *s = arg;

    s->p->block(s->o);
    reach(&s->stage, 1);
    await_waiter(s);
    s->p->grant(s->o);
    return 0;
}

static int wait_for_a_grant(void *arg)
{
    struct stage_for_two *s = arg;

    await_stage(&s->stage, 1);
    CHECK_EQ(s->p->wait(s->o), 0);
    s->p->give_back(s->o);
    return 0;
}

/* ---- what was granted before is taken at once ---- */

static int grant_before(void *arg)
{
    struct stage_for_two *s = arg;

    s->p->block(s->o);
    if (!has_trait(s->p, IS_MEETING))
        s->p->grant(s->o);
    reach(&s->stage, 1);
    if (has_trait(s->p, IS_MEETING))
        s->p->grant(s->o); /* it waits for the waiter */
    return 0;
}

/* ---- inside a cancelled scope nothing is taken ---- */

static int wait_when_cancelled_before(void *arg)
{
    struct stage_for_two *s = arg;
    hk_scope scope = HK_SCOPE_INIT;

    await_stage(&s->stage, 1);
    hk_scope_open(&scope);
    hk_scope_cancel(&scope);
    for (int i = 0; i < 3; i++)
        check_is_cancelled(s);
    CHECK_EQ(hk_scope_join(&scope), 0);
    CHECK_EQ(s->p->wait(s->o), 0);
    s->p->give_back(s->o);
    return 0;
}

/* ---- a cancel ends the wait, and nothing was taken ---- */

static int cancel_a_waiter(void *arg)
{
    struct stage_for_two *s = arg;

    s->p->block(s->o);
    reach(&s->stage, 1);
    await_waiter(s);
    hk_scope_cancel(s->scope);
    reach(&s->stage, 2);
    await_stage(&s->stage, 3);
    s->p->grant(s->o);
    return 0;
}

static int wait_until_cancelled(void *arg)
{
    struct stage_for_two *s = arg;
    hk_scope scope = HK_SCOPE_INIT;

    hk_scope_open(&scope);
    s->scope = &scope;
    await_stage(&s->stage, 1);
    CHECK_EQ(s->p->wait(s->o), -ECANCELED);
    CHECK_EQ(waiters_of(s->p, s->o), 0);
    CHECK_EQ(s->p->wait(s->o), -ECANCELED); /* and so does every later call */
    await_stage(&s->stage, 2);
    CHECK_EQ(hk_scope_join(&scope), 0);
    reach(&s->stage, 3);
    CHECK_EQ(s->p->wait(s->o), 0);
    s->p->give_back(s->o);
    return 0;
}

/* ---- a deadline does the same, and the join tells which it was ---- */

static int grant_late(void *arg)
{
    struct stage_for_two *s = arg;

    s->p->block(s->o);
    reach(&s->stage, 1);
    await_stage(&s->stage, 2);
    s->p->grant(s->o);
    return 0;
}

static int wait_until_a_deadline(void *arg)
{
    struct stage_for_two *s = arg;
    hk_scope scope = HK_SCOPE_INIT;
    int64_t deadline_ns;

    await_stage(&s->stage, 1);
    hk_scope_open(&scope);
    deadline_ns = hk_now() + HK_MILLISECOND;
    hk_scope_deadline(&scope, deadline_ns);
    CHECK_EQ(s->p->wait(s->o), -ECANCELED);
    CHECK(hk_now() >= deadline_ns);
    CHECK_EQ(waiters_of(s->p, s->o), 0);
    CHECK_EQ(hk_scope_join(&scope), -ETIMEDOUT);
    reach(&s->stage, 2);
    CHECK_EQ(s->p->wait(s->o), 0);
    s->p->give_back(s->o);
    return 0;
}

/* ---- inside a shield the wait goes on ---- */

static int wait_in_a_shield(void *arg)
{
    struct stage_for_two *s = arg;
    hk_scope outer = HK_SCOPE_INIT, inner = HK_SCOPE_INIT;

    hk_scope_open(&outer);
    hk_scope_cancel(&outer);
    hk_scope_open_with(&inner, HK_SCOPE_SHIELDED, NULL);
    await_stage(&s->stage, 1);
    CHECK_EQ(s->p->wait(s->o), 0);
    s->p->give_back(s->o);
    CHECK_EQ(hk_scope_join(&inner), 0);
    check_is_cancelled(s);
    CHECK_EQ(hk_scope_join(&outer), 0);
    return 0;
}

/* ---- C4: a cancel from further out ends it, too; a shield's own deadline does ---- */

static int wait_far_inside(void *arg)
{
    struct stage_for_two *s = arg;
    hk_scope outer = HK_SCOPE_INIT, middle = HK_SCOPE_INIT, inner = HK_SCOPE_INIT;

    hk_scope_open(&outer);
    s->scope = &outer;
    hk_scope_open(&middle);
    hk_scope_open(&inner);
    await_stage(&s->stage, 1);
    CHECK_EQ(s->p->wait(s->o), -ECANCELED);
    CHECK_EQ(hk_scope_join(&inner), -ECANCELED);
    CHECK_EQ(hk_scope_join(&middle), -ECANCELED);
    await_stage(&s->stage, 2);
    hk_scope_cancel(&outer); /* twice is as once */
    CHECK_EQ(hk_scope_join(&outer), 0);
    reach(&s->stage, 3);
    CHECK_EQ(s->p->wait(s->o), 0);
    s->p->give_back(s->o);
    return 0;
}

static int wait_in_a_shield_with_a_deadline(void *arg)
{
    struct stage_for_two *s = arg;
    hk_scope outer = HK_SCOPE_INIT, inner = HK_SCOPE_INIT;

    hk_scope_open(&outer);
    hk_scope_cancel(&outer);
    hk_scope_open_with(&inner, HK_SCOPE_SHIELDED, NULL);
    await_stage(&s->stage, 1);
    hk_scope_deadline(&inner, hk_now() + HK_MILLISECOND);
    CHECK_EQ(s->p->wait(s->o), -ECANCELED);
    CHECK_EQ(hk_scope_join(&inner), -ETIMEDOUT);
    CHECK_EQ(hk_scope_join(&outer), 0);
    reach(&s->stage, 2);
    CHECK_EQ(s->p->wait(s->o), 0);
    s->p->give_back(s->o);
    return 0;
}

/* ---- C1, C2: granted, then cancelled: the waiter has it; the other way round it is
 * still there, or was taken when the cancel had not arrived ---- */

enum { ROUNDS = 8 };

static bool grant_comes_first(uint32_t round)
{
    return round % 2;
}

static int grant_and_cancel(void *arg)
{
    struct stage_for_two *s = arg;

    for (uint32_t round = 0; round < ROUNDS; round++) {
        s->p->block(s->o);
        reach(&s->stage, 4 * round + 1);
        await_waiter(s);
        if (grant_comes_first(round))
            s->p->grant(s->o);
        hk_scope_cancel(s->scope);
        if (!grant_comes_first(round))
            s->p->grant(s->o);
        reach(&s->stage, 4 * round + 2);
        await_stage(&s->stage, 4 * round + 3);
    }
    return 0;
}

static int wait_while_both_come(void *arg)
{
    struct stage_for_two *s = arg;

    for (uint32_t round = 0; round < ROUNDS; round++) {
        hk_scope outer = HK_SCOPE_INIT, shield = HK_SCOPE_INIT;
        int rc;

        hk_scope_open(&outer);
        s->scope = &outer;
        await_stage(&s->stage, 4 * round + 1);
        rc = s->p->wait(s->o);
        hk_scope_open_with(&shield, HK_SCOPE_SHIELDED, NULL);
        if (rc == -ECANCELED) {
            CHECK(!grant_comes_first(round));
            rc = s->p->wait(s->o);
        }
        CHECK_EQ(rc, 0);
        s->p->give_back(s->o);
        await_stage(&s->stage, 4 * round + 2);
        CHECK_EQ(hk_scope_join(&shield), 0);
        while (hk_cancelled() == 0) /* from another worker it takes its time */
            relax();
        check_is_cancelled(s);
        CHECK_EQ(hk_scope_join(&outer), 0);
        reach(&s->stage, 4 * round + 3);
    }
    return 0;
}

/* ---- statistics: who waits now, and how often somebody had to ---- */

static int grant_and_count(void *arg)
{
    struct stage_for_two *s = arg;
    hk_sync_stats before, stats;

    for (uint32_t round = 0; round < 3; round++) {
        s->p->block(s->o);
        s->p->stats(s->o, &before);
        CHECK_EQ(before.waiters, 0);
        reach(&s->stage, 2 * round + 1);
        await_waiter(s);
        s->p->stats(s->o, &stats);
        CHECK_EQ(stats.waiters, 1);
        CHECK_EQ(stats.contended, before.contended + 1);
        s->p->grant(s->o);
        await_stage(&s->stage, 2 * round + 2);
        s->p->stats(s->o, &stats);
        CHECK_EQ(stats.waiters, 0);
        CHECK_EQ(stats.holders, 0);
        CHECK_EQ(stats.contended, before.contended + 1);
    }
    return 0;
}

static int wait_and_be_counted(void *arg)
{
    struct stage_for_two *s = arg;
    hk_sync_stats stats;

    for (uint32_t round = 0; round < 3; round++) {
        await_stage(&s->stage, 2 * round + 1);
        CHECK_EQ(s->p->wait(s->o), 0);
        s->p->stats(s->o, &stats);
        CHECK_EQ(stats.holders > 0, has_trait(s->p, IS_HELD));
        s->p->give_back(s->o);
        reach(&s->stage, 2 * round + 2);
    }
    return 0;
}

/* ---- all of these, over every primitive in every placing ---- */

struct promise {
    const char *name;
    hk_task_fn *granter, *waiter;
};

static const struct promise promises[] = {
    {"a_grant_ends_the_wait", grant_to_a_waiter, wait_for_a_grant},
    {"what_was_granted_before_is_taken_at_once", grant_before, wait_for_a_grant},
    {"a_cancelled_caller_takes_nothing", grant_before, wait_when_cancelled_before},
    {"a_cancel_ends_the_wait_and_takes_nothing", cancel_a_waiter, wait_until_cancelled},
    {"a_deadline_ends_the_wait_and_takes_nothing", grant_late, wait_until_a_deadline},
    {"a_shielded_wait_goes_on", grant_to_a_waiter, wait_in_a_shield},
    {"c4_a_cancel_from_further_out_ends_the_wait", cancel_a_waiter, wait_far_inside},
    {"c4_a_shield_has_its_own_deadline", grant_late, wait_in_a_shield_with_a_deadline},
    {"c1_c2_granted_then_cancelled_is_kept", grant_and_cancel, wait_while_both_come},
    {"statistics_tell_who_waits_and_how_often", grant_and_count, wait_and_be_counted},
};

enum { PROMISES = sizeof(promises) / sizeof(*promises) };

struct trial {
    const struct primitive *primitive;
    const struct promise *promise;
    char name[120];
};

static void run_trial(void **state)
{
    const struct trial *trial = *state;

    for (enum placing placing = 0; placing < PLACINGS; placing++) {
        struct object o;
        struct stage_for_two s = {.p = trial->primitive, .o = &o};

        check_doing = placing_name[placing];
        object_init(&o, trial->primitive);
        run_pair(placing, trial->promise->granter, trial->promise->waiter, &s);
        object_fini(&o);
    }
    check_doing = "";
}

int main(void)
{
    static struct trial trials[PRIMITIVES * PROMISES];
    static struct CMUnitTest tests[PRIMITIVES * PROMISES];
    size_t n = 0;

    for (size_t i = 0; i < PRIMITIVES; i++)
        for (size_t j = 0; j < PROMISES; j++, n++) {
            trials[n].primitive = &primitives[i];
            trials[n].promise = &promises[j];
            snprintf(trials[n].name, sizeof(trials[n].name), "%s_%s",
                     primitives[i].name, promises[j].name);
            tests[n] =
                (struct CMUnitTest){trials[n].name, run_trial, NULL, NULL, &trials[n]};
        }
    return cmocka_run_group_tests_name("sync contract", tests, NULL, NULL);
}
