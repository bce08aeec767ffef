/* SPDX-License-Identifier: MIT */
/*
 * Shows that under stress nothing is lost in sync/: every grant is taken by somebody
 * and ends one wait, however many waits are cut off by deadlines meanwhile; and what is
 * held by one is held by nobody else, and free in the end. Over every row of the
 * contract suite that can be stressed so, in every placing. A lost wake-up hangs.
 */
#include "sync_primitives.h"

enum { GRANTS = 400, CROWD = 6, TURNS = 60 };

struct crowd {
    const struct primitive *p;
    struct object o;
    uint64_t seed;   /* atomic */
    uint32_t inside; /* atomic */
};

/* Waits with ever new patience until it has got it. */
static void wait_impatiently(struct crowd *c, uint64_t *chance)
{
    for (;;) {
        uint64_t draw = dice(chance);
        hk_scope s;
        int rc, joined;

        /* With a deadline in any case: who locks in a scope without one, and goes on
         * after it, is stopped by the checks (<hocket/check.h>). */
        hk_scope_open(&s);
        hk_scope_deadline(&s, hk_now() + (draw % 2 ? (int64_t)(draw >> 48) % 30000
                                                   : 3600 * HK_SECOND));
        rc = c->p->wait(&c->o);
        joined = hk_scope_join(&s);
        if (rc == 0)
            return;
        CHECK_EQ(rc, -ECANCELED);
        CHECK_EQ(joined, -ETIMEDOUT);
        relax();
    }
}

static uint64_t next_seed(struct crowd *c)
{
    return __atomic_add_fetch(&c->seed, 1, __ATOMIC_RELAXED);
}

/* ---- what is granted one by one ---- */

static int grant_all(void *arg)
{
    struct crowd *c = arg;
    uint64_t chance = next_seed(c);

    for (int i = 0; i < GRANTS; i++) {
        c->p->grant(&c->o);
        if (dice(&chance) % 4 == 0)
            relax();
    }
    return 0;
}

static int wait_for_all(void *arg)
{
    struct crowd *c = arg;
    uint64_t chance = next_seed(c);

    for (int i = 0; i < GRANTS; i++)
        wait_impatiently(c, &chance);
    return 0;
}

/* Rows that need no block, so that a grant needs no waiter. */
static bool is_granted_one_by_one(const struct primitive *p)
{
    return !has_trait(p, FOR_ALL) && p->block == nothing;
}

static void grants_are_taken_as_often_as_they_are_given(void **state)
{
    uint64_t seed = kit_seed();

    (void)state;
    for (size_t i = 0; i < PRIMITIVES; i++)
        for (enum placing placing = 0; placing < PLACINGS; placing++) {
            struct crowd c = {.p = &primitives[i], .seed = seed++};

            if (!is_granted_one_by_one(c.p))
                continue;
            check_doing = c.p->name;
            object_init(&c.o, c.p);
            run_pair(placing, grant_all, wait_for_all, &c);
            object_fini(&c.o);
        }
    check_doing = "";
}

/* ---- what is held by one at a time ---- */

static int hold_it_now_and_then(void *arg)
{
    struct crowd *c = arg;
    uint64_t chance = next_seed(c);

    for (int i = 0; i < TURNS; i++) {
        wait_impatiently(c, &chance);
        CHECK_EQ(__atomic_add_fetch(&c->inside, 1, __ATOMIC_RELAXED), 1);
        if (dice(&chance) % 4 == 0)
            relax();
        CHECK_EQ(__atomic_sub_fetch(&c->inside, 1, __ATOMIC_RELAXED), 0);
        c->p->give_back(&c->o);
    }
    return 0;
}

static void what_is_held_by_one_is_held_by_nobody_else(void **state)
{
    uint64_t seed = kit_seed();

    (void)state;
    for (size_t i = 0; i < PRIMITIVES; i++)
        for (enum placing placing = 0; placing < PLACINGS; placing++) {
            struct crowd c = {.p = &primitives[i], .seed = seed++};
            struct ensemble e = {.placing = placing};

            if (!has_trait(c.p, IS_HELD) || has_trait(c.p, IS_SHARED))
                continue;
            check_doing = c.p->name;
            object_init(&c.o, c.p);
            for (int k = 0; k < CROWD; k++)
                add_party(&e, hold_it_now_and_then, &c);
            run_ensemble(&e, NULL);
            object_fini(&c.o);
        }
    check_doing = "";
}

/* ---- one grant for all ---- */

static int wait_when_blocked(void *arg)
{
    struct crowd *c = arg;
    uint64_t chance = next_seed(c);

    await_stage(&c->inside, 1);
    count_up(&c->inside);
    wait_impatiently(c, &chance);
    c->p->give_back(&c->o);
    return 0;
}

/* The grant comes while some wait, some are on their way, and some give up. */
static int grant_in_between(void *arg)
{
    struct crowd *c = arg;

    c->p->block(&c->o);
    reach(&c->inside, 1);
    while (__atomic_load_n(&c->inside, __ATOMIC_ACQUIRE) < CROWD)
        relax();
    c->p->grant(&c->o);
    return 0;
}

static void one_grant_reaches_all_who_wait(void **state)
{
    uint64_t seed = kit_seed();

    (void)state;
    for (int round = 0; round < 20; round++)
        for (size_t i = 0; i < PRIMITIVES; i++)
            for (enum placing placing = 0; placing < PLACINGS; placing++) {
                struct crowd c = {.p = &primitives[i], .seed = seed++};
                struct ensemble e = {.placing = placing};

                if (!has_trait(c.p, FOR_ALL))
                    continue;
                check_doing = c.p->name;
                object_init(&c.o, c.p);
                add_party(&e, grant_in_between, &c);
                for (int k = 0; k < CROWD; k++)
                    add_party(&e, wait_when_blocked, &c);
                run_ensemble(&e, NULL);
                object_fini(&c.o);
            }
    check_doing = "";
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grants_are_taken_as_often_as_they_are_given),
        cmocka_unit_test(what_is_held_by_one_is_held_by_nobody_else),
        cmocka_unit_test(one_grant_reaches_all_who_wait),
    };

    return cmocka_run_group_tests_name("sync crowd", tests, NULL, NULL);
}
