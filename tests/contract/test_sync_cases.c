/* SPDX-License-Identifier: MIT */
/*
 * More of the contract of sync/, of cases that are no scenario for one waiter and one
 * granter in every placing: two waiters of which one is cancelled, a grant and a
 * deadline in the same tick of a virtual clock, a wait without hope, and cancels at
 * every suspension point. Over every row, where the row allows it.
 */
#include "sync_stage.h"

#include "support/emulator.h"

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
    while (waiters_of(s->two.p, s->two.o) < 1)
        relax();
    reach(&s->two.stage, 2);
    while (waiters_of(s->two.p, s->two.o) < 2)
        relax();
    hk_scope_cancel(s->two.scope);
    while (waiters_of(s->two.p, s->two.o) > 1)
        relax();
    s->two.p->grant(s->two.o);
    reach(&s->two.stage, 3);
    return 0;
}

static void c2_a_cancelled_waiter_leaves_the_grant_to_the_next(void **state)
{
    (void)state;
    for (size_t i = 0; i < PRIMITIVES; i++)
        for (enum placing placing = 0;
             placing < PLACINGS && !has_trait(&primitives[i], FOR_ONE); placing++) {
            struct object o;
            struct stage_for_three s = {.two = {.p = &primitives[i], .o = &o}};
            struct ensemble e = {.placing = placing};

            check_doing = primitives[i].name;
            object_init(&o, &primitives[i]);
            add_party(&e, cancel_first_then_grant, &s);
            add_party(&e, first_is_cancelled, &s);
            add_party(&e, second_is_served, &s);
            run_ensemble(&e, NULL);
            object_fini(&o);
        }
    check_doing = "";
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

/* Where only who has blocked it can grant it, it would wait for itself here. */
static void c3_grant_and_deadline_in_one_tick_are_one_of_the_two(void **state)
{
    hk_options options = {.virtual_clock = true, .check_ledger = true};

    (void)state;
    for (size_t i = 0; i < PRIMITIVES; i++)
        for (uint32_t order = 0; order < 2 && !has_trait(&primitives[i], BY_BLOCKER);
             order++) {
            struct object o;
            struct stage_for_two s = {.p = &primitives[i], .o = &o, .stage = order};

            check_doing = primitives[i].name;
            object_init(&o, &primitives[i]);
            primitives[i].block(&o);
            CHECK_EQ(hk_run(block_for_the_tick, &s, &options), 0);
            object_fini(&o);
        }
    check_doing = "";
}

/* ---- when nothing can ever end a wait it fails, and nothing was taken ---- */

static int wait_without_hope(void *arg)
{
    struct stage_for_two *s = arg;

    CHECK_EQ(s->p->wait(s->o), -EDEADLK);
    CHECK_EQ(waiters_of(s->p, s->o), 0);
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
    if (has_trait(s->p, FOR_ALL))
        s->p->grant(s->o);
    object_fini(s->o);
    return 0;
}

static void ignore_line(hk_log_level level, const char *line, void *ctx)
{
    (void)level;
    (void)line;
    (void)ctx;
}

static void a_wait_that_nothing_can_end_fails_with_edeadlk(void **state)
{
    hk_options options = {.check_ledger = true};

    (void)state;
    skip_if_emulated("has threads of its own, which might wake somebody");
    hk_log_to(ignore_line, NULL); /* it is reported */
    for (size_t i = 0; i < PRIMITIVES; i++) {
        struct object o;
        struct stage_for_two s = {.p = &primitives[i], .o = &o};

        check_doing = primitives[i].name;
        if (!has_trait(&primitives[i], HAS_HOPE))
            CHECK_EQ(hk_run(be_the_only_one, &s, &options), 0);
    }
    hk_log_to(NULL, NULL);
    check_doing = "";
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
    if (has_trait(s->p, IS_HELD)) {
        hk_scope_open_with(&shield, HK_SCOPE_SHIELDED, NULL);
        CHECK_EQ(hk_yield(), 0); /* the others must queue again */
        s->p->give_back(s->o);
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
    if (has_trait(s->p, FOR_ALL))
        s->p->grant(s->o);
    else
        for (; waiters_of(s->p, s->o) > 0; grants++)
            s->p->grant(s->o);
    CHECK_EQ(hk_scope_join(&shield), 0);
    rc = hk_scope_join(&victims);
    CHECK(rc == 0 || rc == -ECANCELED);
    if (!has_trait(s->p, FOR_ALL))
        CHECK_EQ(s->stage, grants);
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
        int point = -1, runs;

        check_doing = primitives[i].name;
        if (has_trait(s.p, FOR_ONE))
            continue;
        runs = hk_cancel_torture(scenario_with_victims, &s, &options, &point);
        if (runs < 0)
            printf("# %s: at point %d\n", primitives[i].name, point);
        CHECK(runs > VICTIMS);
    }
    check_doing = "";
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(c2_a_cancelled_waiter_leaves_the_grant_to_the_next),
        cmocka_unit_test(c3_grant_and_deadline_in_one_tick_are_one_of_the_two),
        cmocka_unit_test(a_wait_that_nothing_can_end_fails_with_edeadlk),
        cmocka_unit_test(cancelled_at_every_point_nothing_is_lost),
    };

    return cmocka_run_group_tests_name("sync cases", tests, NULL, NULL);
}
