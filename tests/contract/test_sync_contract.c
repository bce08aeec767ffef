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
#include "sync_primitives.h"

#include "support/emulator.h"

/* ---- a stage for two ---- */

struct stage_for_two {
    const struct primitive *p;
    struct object *o;
    uint32_t stage;  /* atomic */
    hk_scope *scope; /* the waiter's; published by a stage */
};

static void await_waiter(struct stage_for_two *s)
{
    while (s->p->waiters(s->o) == 0)
        relax();
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
    if (!s->p->is_meeting)
        s->p->grant(s->o);
    reach(&s->stage, 1);
    if (s->p->is_meeting)
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
        CHECK_EQ(s->p->wait(s->o), -ECANCELED);
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
    CHECK_EQ(s->p->waiters(s->o), 0);
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
    CHECK_EQ(s->p->waiters(s->o), 0);
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
    CHECK_EQ(s->p->wait(s->o), -ECANCELED);
    CHECK_EQ(hk_scope_join(&outer), 0);
    return 0;
}

/* ---- C1, C2: granted, then cancelled: the waiter has it; the other way round it is
 * still there, or was taken when the cancel had not arrived ---- */

enum { ROUNDS = 40 };

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
        CHECK_EQ(s->p->wait(s->o), -ECANCELED);
        CHECK_EQ(hk_scope_join(&outer), 0);
        reach(&s->stage, 4 * round + 3);
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
    {"c1_c2_granted_then_cancelled_is_kept", grant_and_cancel, wait_while_both_come},
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

        kit_doing = placing_name[placing];
        object_init(&o, trial->primitive);
        run_pair(placing, trial->promise->granter, trial->promise->waiter, &s);
        object_fini(&o);
    }
    kit_doing = "";
}

/* ---- C2: when a queued waiter is cancelled, the grant goes to the next ---- */

struct stage_for_three {
    struct stage_for_two two;
    uint32_t queued; /* atomic: how many have been seen in the queue */
};

static int first_is_cancelled(void *arg)
{
    struct stage_for_three *s = arg;
    hk_scope scope = HK_SCOPE_INIT;

    hk_scope_open(&scope);
    s->two.scope = &scope;
    await_stage(&s->two.stage, 1);
    CHECK_EQ(s->two.p->wait(s->two.o), -ECANCELED);
    await_stage(&s->two.stage, 3);
    CHECK_EQ(hk_scope_join(&scope), 0);
    return 0;
}

static int second_is_served(void *arg)
{
    struct stage_for_three *s = arg;

    await_stage(&s->two.stage, 2);
    CHECK_EQ(s->two.p->wait(s->two.o), 0);
    s->two.p->give_back(s->two.o);
    return 0;
}

static int cancel_first_then_grant(void *arg)
{
    struct stage_for_three *s = arg;

    s->two.p->block(s->two.o);
    reach(&s->two.stage, 1);
    while (s->two.p->waiters(s->two.o) < 1)
        relax();
    reach(&s->two.stage, 2);
    while (s->two.p->waiters(s->two.o) < 2)
        relax();
    hk_scope_cancel(s->two.scope);
    while (s->two.p->waiters(s->two.o) > 1)
        relax();
    s->two.p->grant(s->two.o);
    reach(&s->two.stage, 3);
    return 0;
}

static void c2_a_cancelled_waiter_leaves_the_grant_to_the_next(void **state)
{
    (void)state;
    for (size_t i = 0; i < PRIMITIVES; i++)
        for (enum placing placing = 0; placing < PLACINGS; placing++) {
            struct object o;
            struct stage_for_three s = {.two = {.p = &primitives[i], .o = &o}};
            struct ensemble e = {.placing = placing};

            kit_doing = primitives[i].name;
            object_init(&o, &primitives[i]);
            add_party(&e, cancel_first_then_grant, &s);
            add_party(&e, first_is_cancelled, &s);
            add_party(&e, second_is_served, &s);
            run_ensemble(&e, NULL);
            object_fini(&o);
        }
    kit_doing = "";
}

/* ---- C3: grant and deadline in the same tick: one of them, not both, not none ---- */

enum { TICK_NS = 1000000 };

static int grant_at_the_tick(void *arg)
{
    struct stage_for_two *s = arg;

    CHECK_EQ(hk_sleep_until(s->scope->hki_deadline.hki_deadline_ns), 0);
    s->p->grant(s->o);
    return 0;
}

static int block_for_the_tick(void *arg)
{
    struct stage_for_two *s = arg;
    hk_scope scope = HK_SCOPE_INIT, granter = HK_SCOPE_INIT;
    int64_t at_ns = hk_now() + TICK_NS;
    bool deadline_is_set_first = s->stage == 1;
    int rc, joined;

    hk_scope_open(&granter);
    s->scope = &(hk_scope){.hki_deadline.hki_deadline_ns = at_ns};
    if (!deadline_is_set_first) {
        CHECK_EQ(hk_spawn(&granter, grant_at_the_tick, s), 0);
        CHECK_EQ(hk_test_wait_all_blocked(), 0);
    }
    hk_scope_open(&scope);
    hk_scope_deadline(&scope, at_ns);
    if (deadline_is_set_first)
        CHECK_EQ(hk_spawn(&granter, grant_at_the_tick, s), 0);
    rc = s->p->wait(s->o);
    CHECK_EQ(hk_now(), at_ns);
    joined = hk_scope_join(&scope);
    if (rc == 0) {
        CHECK_EQ(joined, 0);
    } else {
        CHECK_EQ(rc, -ECANCELED);
        CHECK_EQ(joined, -ETIMEDOUT);
        CHECK_EQ(s->p->wait(s->o), 0); /* the grant is still there */
    }
    s->p->give_back(s->o);
    CHECK_EQ(hk_scope_join(&granter), 0);
    return 0;
}

/* The mutex is left out: who grants it must hold it, and here would wait for itself. */
static void c3_grant_and_deadline_in_one_tick_are_one_of_the_two(void **state)
{
    hk_options options = {.virtual_clock = true, .check_ledger = true};

    (void)state;
    for (size_t i = 1; i < PRIMITIVES; i++)
        for (uint32_t order = 0; order < 2; order++) {
            struct object o;
            struct stage_for_two s = {.p = &primitives[i], .o = &o, .stage = order};

            kit_doing = primitives[i].name;
            object_init(&o, &primitives[i]);
            primitives[i].block(&o);
            CHECK_EQ(hk_run(block_for_the_tick, &s, &options), 0);
            object_fini(&o);
        }
    kit_doing = "";
}

/* Who unlocks or sets once has granted to all; others grant once for each. */
static bool grants_to_all(const struct primitive *p)
{
    return p->grant == mutex_unlock || p->grant == event_grant;
}

static void check_nothing_lost(struct stage_for_two *s, uint32_t grants)
{
    if (!grants_to_all(s->p))
        CHECK_EQ(s->stage, grants);
    CHECK_EQ(hk_sem_available(&s->o->sem), 0);
    CHECK_EQ(hk_mutex_try_lock(&s->o->mutex), 0);
    hk_mutex_unlock(&s->o->mutex);
}

/* ---- when nothing can ever end a wait it fails, and nothing was taken ---- */

static int wait_without_hope(void *arg)
{
    struct stage_for_two *s = arg;

    CHECK_EQ(s->p->wait(s->o), -EDEADLK);
    CHECK_EQ(s->p->waiters(s->o), 0);
    return 0;
}

static int be_the_only_one(void *arg)
{
    struct stage_for_two *s = arg;
    hk_scope child = HK_SCOPE_INIT;

    object_init(s->o, s->p);
    s->p->block(s->o);
    hk_scope_open(&child);
    CHECK_EQ(hk_spawn(&child, wait_without_hope, s), 0);
    CHECK_EQ(hk_scope_join(&child), 0);
    if (s->p->give_back == mutex_unlock)
        hk_mutex_unlock(&s->o->mutex);
    check_nothing_lost(s, 0);
    object_fini(s->o);
    return 0;
}

static void ignore_line(hk_log_level level, const char *line, void *ctx)
{
    (void)level;
    (void)line;
    (void)ctx;
}

/* A select with a deadline is never without hope, so that row is left out. */
static void a_wait_that_nothing_can_end_fails_with_edeadlk(void **state)
{
    hk_options options = {.check_ledger = true};

    (void)state;
    skip_if_emulated("has threads of its own, which might wake somebody");
    hk_log_to(ignore_line, NULL); /* it is reported */
    for (size_t i = 0; i < PRIMITIVES; i++) {
        struct object o;
        struct stage_for_two s = {.p = &primitives[i], .o = &o};

        kit_doing = primitives[i].name;
        if (primitives[i].wait != sem_select)
            CHECK_EQ(hk_run(be_the_only_one, &s, &options), 0);
    }
    hk_log_to(NULL, NULL);
    kit_doing = "";
}

/* ---- cancelled at every suspension point: nothing lost, nobody left waiting ---- */

enum { VICTIMS = 3 };

static int be_a_victim(void *arg)
{
    struct stage_for_two *s = arg;
    hk_scope shield = HK_SCOPE_INIT;
    int rc = s->p->wait(s->o);

    if (rc < 0) {
        CHECK_EQ(rc, -ECANCELED);
        return rc;
    }
    if (s->p->wait == mutex_wait) {
        hk_scope_open_with(&shield, HK_SCOPE_SHIELDED, NULL);
        CHECK_EQ(hk_yield(), 0); /* the others must queue again */
        hk_mutex_unlock(&s->o->mutex);
        CHECK_EQ(hk_scope_join(&shield), 0);
    }
    count_up(&s->stage);
    return 0;
}

static int scenario_with_victims(void *arg)
{
    struct stage_for_two *s = arg;
    hk_scope victims = HK_SCOPE_INIT, shield = HK_SCOPE_INIT;
    uint32_t grants = 0;
    int rc;

    object_init(s->o, s->p);
    s->o->is_numbered = false;
    s->stage = 0;
    hk_scope_open_with(&victims, HK_SCOPE_WAIT_ALL, "victims");
    hk_scope_open_with(&shield, HK_SCOPE_SHIELDED, NULL);
    s->p->block(s->o);
    for (int i = 0; i < VICTIMS; i++)
        CHECK_EQ(hk_spawn(&victims, be_a_victim, s), 0);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(hk_yield(), 0);
    if (grants_to_all(s->p))
        s->p->grant(s->o);
    else
        for (; s->p->waiters(s->o) > 0; grants++)
            s->p->grant(s->o);
    CHECK_EQ(hk_scope_join(&shield), 0);
    rc = hk_scope_join(&victims);
    CHECK(rc == 0 || rc == -ECANCELED);
    check_nothing_lost(s, grants);
    object_fini(s->o);
    return rc;
}

static void cancelled_at_every_point_nothing_is_lost(void **state)
{
    hk_options options = {.check_ledger = true};

    (void)state;
    for (size_t i = 0; i < PRIMITIVES; i++) {
        struct object o;
        struct stage_for_two s = {.p = &primitives[i], .o = &o};
        int point = -1;
        int runs = hk_cancel_torture(scenario_with_victims, &s, &options, &point);

        kit_doing = primitives[i].name;
        if (runs < 0)
            printf("# %s: at point %d\n", primitives[i].name, point);
        CHECK(runs > VICTIMS);
    }
    kit_doing = "";
}

int main(void)
{
    static struct trial trials[PRIMITIVES * PROMISES];
    static struct CMUnitTest tests[PRIMITIVES * PROMISES + 4];
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
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(
        c2_a_cancelled_waiter_leaves_the_grant_to_the_next);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(
        c3_grant_and_deadline_in_one_tick_are_one_of_the_two);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(
        a_wait_that_nothing_can_end_fails_with_edeadlk);
    tests[n++] =
        (struct CMUnitTest)cmocka_unit_test(cancelled_at_every_point_nothing_is_lost);
    return cmocka_run_group_tests_name("sync contract", tests, NULL, NULL);
}
