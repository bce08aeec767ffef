/* SPDX-License-Identifier: MIT */
/*
 * Shows that readers of a rwlock find what a writer has left, under random deadlines,
 * by two numbers that a writer changes one after the other and readers must find equal;
 * and that neither side starves the other.
 */
#include "rwlock_test.h"

/* ---- readers find what a writer left ---- */

enum { PARTIES = 5, VISITS = 500 };

static uint64_t left_hand, right_hand; /* guarded by the lock */
static uint64_t seed;

static int visit_to_read(int64_t patience_ns, bool stay)
{
    hk_scope s = HK_SCOPE_INIT;
    int rc;

    hk_scope_open(&s);
    hk_scope_deadline(&s, hk_now() + patience_ns);
    rc = hk_rwlock_read_lock(&lock);
    CHECK(rc == 0 || rc == -ECANCELED);
    if (rc == 0) {
        uint64_t left = left_hand;

        if (stay)
            relax();
        CHECK_EQ(right_hand, left);
        if (stay && hk_rwlock_try_upgrade(&lock) == 0) {
            left_hand++;
            right_hand++;
        }
        hk_rwlock_unlock(&lock);
    }
    return hk_scope_join(&s);
}

static int visit_to_write(int64_t patience_ns, bool stay)
{
    hk_scope s = HK_SCOPE_INIT;
    int rc;

    hk_scope_open(&s);
    hk_scope_deadline(&s, hk_now() + patience_ns);
    rc = hk_rwlock_write_lock(&lock);
    CHECK(rc == 0 || rc == -ECANCELED);
    if (rc == 0) {
        CHECK_EQ(left_hand++, right_hand);
        if (stay)
            relax();
        CHECK_EQ(++right_hand, left_hand);
        hk_rwlock_write_unlock(&lock);
    }
    return hk_scope_join(&s);
}

static int visit_often(void *arg)
{
    uint64_t chance = seed + (uintptr_t)arg;

    for (int i = 0; i < VISITS; i++) {
        int64_t patience_ns = (int64_t)(dice(&chance) % 40000);
        bool stay = dice(&chance) % 8 == 0;
        int rc = dice(&chance) % 4 == 0 ? visit_to_write(patience_ns, stay)
                                        : visit_to_read(patience_ns, stay);

        CHECK(rc == 0 || rc == -ETIMEDOUT);
    }
    return 0;
}

static void it_excludes_whoever_comes_and_goes(void **state)
{
    (void)state;
    seed = kit_seed();
    for (enum placing placing = 0; placing < PLACINGS; placing++) {
        struct ensemble e = {.placing = placing};

        hk_rwlock_init(&lock);
        left_hand = right_hand = 0;
        for (uintptr_t i = 0; i < PARTIES; i++)
            add_party(&e, visit_often, (void *)i);
        check_doing = placing_name[placing];
        run_ensemble(&e, NULL);
        CHECK_EQ(left_hand, right_hand);
        CHECK(left_hand > 0);
        check_is_as_new();
    }
}

/* ---- neither side starves ---- */

enum { TURNS = 50 };

static uint32_t turns_left; /* atomic */

static int read_until_the_writer_is_done(void *arg)
{
    (void)arg;
    while (__atomic_load_n(&turns_left, __ATOMIC_ACQUIRE) > 0) {
        CHECK_EQ(hk_rwlock_read_lock(&lock), 0);
        relax(); /* so that with two of us there is always one inside */
        hk_rwlock_read_unlock(&lock);
    }
    return 0;
}

static int write_some_turns(void *arg)
{
    (void)arg;
    while (__atomic_load_n(&turns_left, __ATOMIC_ACQUIRE) > 0) {
        CHECK_EQ(hk_rwlock_write_lock(&lock), 0);
        __atomic_fetch_sub(&turns_left, 1, __ATOMIC_ACQ_REL);
        hk_rwlock_write_unlock(&lock);
    }
    return 0;
}

static int write_until_the_reader_is_done(void *arg)
{
    (void)arg;
    while (__atomic_load_n(&turns_left, __ATOMIC_ACQUIRE) > 0) {
        CHECK_EQ(hk_rwlock_write_lock(&lock), 0);
        relax();
        hk_rwlock_write_unlock(&lock);
    }
    return 0;
}

static int read_some_turns(void *arg)
{
    (void)arg;
    while (__atomic_load_n(&turns_left, __ATOMIC_ACQUIRE) > 0) {
        CHECK_EQ(hk_rwlock_read_lock(&lock), 0);
        __atomic_fetch_sub(&turns_left, 1, __ATOMIC_ACQ_REL);
        hk_rwlock_read_unlock(&lock);
    }
    return 0;
}

static void run_greedy(hk_task_fn *greedy, hk_task_fn *modest)
{
    for (enum placing placing = 0; placing < PLACINGS; placing++) {
        struct ensemble e = {.placing = placing};

        hk_rwlock_init(&lock);
        turns_left = TURNS;
        for (int i = 0; i < 4; i++)
            add_party(&e, greedy, NULL);
        add_party(&e, modest, NULL);
        check_doing = placing_name[placing];
        run_ensemble(&e, NULL);
        check_is_as_new();
    }
}

static void neither_side_starves_the_other(void **state)
{
    (void)state;
    run_greedy(read_until_the_writer_is_done, write_some_turns);
    run_greedy(write_until_the_reader_is_done, read_some_turns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_excludes_whoever_comes_and_goes),
        cmocka_unit_test(neither_side_starves_the_other),
    };

    return cmocka_run_group_tests_name("rwlock_crowd", tests, NULL, NULL);
}
