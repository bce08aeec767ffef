/* SPDX-License-Identifier: MIT */
/*
 * Shows what is particular to the barrier, beyond the contract suite: each party gets
 * its own index in each round and nobody is a round ahead; a cancelled party leaves no
 * hole; abort and reset turn away who waits; and nobody looks at it who has passed it.
 */
#include "contract/sync_kit.h"
#include "support/torture.h"

enum { PARTIES = 4, ROUNDS = 300 };

/* ---- rounds ---- */

struct dance {
    hk_barrier barrier;
    uint32_t arrived[ROUNDS]; /* atomic */
    uint32_t indices[ROUNDS]; /* atomic; a bit for each that was given out */
};

static int dance(void *arg)
{
    struct dance *d = arg;

    for (int round = 0; round < ROUNDS; round++) {
        int index;

        count_up(&d->arrived[round]);
        index = hk_barrier_wait(&d->barrier);
        CHECK(index >= 0 && index < PARTIES);
        CHECK_EQ(__atomic_load_n(&d->arrived[round], __ATOMIC_ACQUIRE), PARTIES);
        CHECK_EQ(__atomic_fetch_or(&d->indices[round], 1u << index, __ATOMIC_ACQ_REL) >>
                         index &
                     1,
                 0);
    }
    return 0;
}

static void every_round_has_all_parties_and_each_index_once(void **state)
{
    (void)state;
    for (enum placing placing = 0; placing < PLACINGS; placing++) {
        struct dance d = {.barrier = HK_BARRIER_INIT(PARTIES)};
        struct ensemble e = {.placing = placing};
        hk_sync_stats stats;

        check_doing = placing_name[placing];
        for (int i = 0; i < PARTIES; i++)
            add_party(&e, dance, &d);
        run_ensemble(&e, NULL);
        for (int round = 0; round < ROUNDS; round++)
            assert_int_equal(d.indices[round], (1u << PARTIES) - 1);
        hk_barrier_stats(&d.barrier, &stats);
        assert_int_equal(stats.waiters, 0);
        assert_int_equal(stats.contended, (PARTIES - 1) * ROUNDS);
        hk_barrier_fini(&d.barrier);
    }
    check_doing = "";
}

static void a_barrier_for_one_never_waits(void **state)
{
    hk_barrier barrier;

    (void)state;
    hk_barrier_init(&barrier, 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(hk_barrier_wait(&barrier), 0);
}

/* ---- who leaves ---- */

struct guest {
    hk_barrier *barrier;
    int index;
};

static int arrive(void *arg)
{
    struct guest *guest = arg;

    guest->index = hk_barrier_wait(guest->barrier);
    return 0;
}

static int first_of_three_is_cancelled(void *arg)
{
    hk_barrier barrier = HK_BARRIER_INIT(3);
    struct guest guests[4];
    hk_task_id ids[4];
    hk_sync_stats stats;
    hk_scope s;

    (void)arg;
    hk_scope_open(&s);
    for (int i = 0; i < 2; i++) {
        guests[i] = (struct guest){.barrier = &barrier, .index = -1};
        CHECK_EQ(hk_spawn_named(&s, NULL, arrive, &guests[i], &ids[i]), 0);
    }
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(hk_task_cancel(ids[0]), 0);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(guests[0].index, -ECANCELED);
    hk_barrier_stats(&barrier, &stats);
    CHECK_EQ(stats.holders, 1);
    for (int i = 2; i < 4; i++) {
        guests[i] = (struct guest){.barrier = &barrier, .index = -1};
        CHECK_EQ(hk_spawn(&s, arrive, &guests[i]), 0);
    }
    CHECK_EQ(hk_scope_join(&s), 0);
    for (int i = 1; i < 4; i++)
        CHECK_EQ(guests[i].index, i - 1);
    return 0;
}

static void a_cancelled_party_leaves_no_hole(void **state)
{
    (void)state;
    assert_int_equal(hk_run(first_of_three_is_cancelled, NULL, NULL), 0);
}

static int abort_and_reset(void *arg)
{
    hk_barrier barrier = HK_BARRIER_INIT(3);
    struct guest guests[2] = {{&barrier, 0}, {&barrier, 0}}, others[3];
    hk_scope s;

    (void)arg;
    hk_scope_open(&s);
    CHECK_EQ(hk_spawn(&s, arrive, &guests[0]), 0);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    hk_barrier_abort(&barrier);
    CHECK(hk_barrier_is_broken(&barrier));
    CHECK_EQ(hk_barrier_wait(&barrier), -EPIPE);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(guests[0].index, -EPIPE);

    hk_barrier_reset(&barrier);
    CHECK(!hk_barrier_is_broken(&barrier));
    CHECK_EQ(hk_spawn(&s, arrive, &guests[1]), 0);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    hk_barrier_reset(&barrier); /* turns away who waits, and that is all */
    for (int i = 0; i < 3; i++) {
        others[i] = (struct guest){.barrier = &barrier};
        CHECK_EQ(hk_spawn(&s, arrive, &others[i]), 0);
    }
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(guests[1].index, -EPIPE);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(others[i].index, i);
    return 0;
}

static void abort_breaks_it_and_reset_mends_it(void **state)
{
    (void)state;
    assert_int_equal(hk_run(abort_and_reset, NULL, NULL), 0);
}

/* ---- a barrier that dies with its round ---- */

enum { LIVES = 1000 };

static hk_barrier *offered; /* atomic */

static int meet_what_is_offered(void *arg)
{
    (void)arg;
    for (int i = 0; i < LIVES; i++) {
        hk_barrier *barrier;

        while (!(barrier = __atomic_exchange_n(&offered, NULL, __ATOMIC_ACQ_REL)))
            relax();
        CHECK(hk_barrier_wait(barrier) >= 0);
    }
    return 0;
}

static int meet_and_free(void *arg)
{
    (void)arg;
    for (int i = 0; i < LIVES; i++) {
        hk_barrier *barrier = malloc(sizeof(*barrier));

        hk_barrier_init(barrier, 2);
        __atomic_store_n(&offered, barrier, __ATOMIC_RELEASE);
        CHECK(hk_barrier_wait(barrier) >= 0);
        /* The other one, when it came last, has woken us and looks at it no more; when
         * it came first, it does not look at it again. */
        memset(barrier, 0xff, sizeof(*barrier));
        free(barrier);
    }
    return 0;
}

static void who_has_passed_it_looks_at_it_no_more(void **state)
{
    (void)state;
    run_pair(THREAD_THREAD, meet_what_is_offered, meet_and_free, NULL);
    run_pair(TWO_WORKERS, meet_what_is_offered, meet_and_free, NULL);
    run_pair(TASK_THREAD, meet_what_is_offered, meet_and_free, NULL);
}

/* ---- cancelled at every point ---- */

/* A party that cannot come says so. */
static int come_or_call_it_off(void *arg)
{
    hk_barrier *barrier = arg;
    int rc = 0;

    for (int round = 0; round < 3 && rc >= 0; round++)
        rc = hk_barrier_wait(barrier);
    CHECK(rc >= 0 || rc == -ECANCELED || rc == -EPIPE);
    if (rc == -ECANCELED)
        hk_barrier_abort(barrier);
    return rc == -EPIPE ? 0 : rc;
}

static int scenario(void *arg)
{
    hk_barrier barrier = HK_BARRIER_INIT(3);
    hk_scope s;
    int rc;

    (void)arg;
    hk_scope_open_with(&s, HK_SCOPE_WAIT_ALL, NULL);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(hk_spawn(&s, come_or_call_it_off, &barrier), 0);
    rc = hk_scope_join(&s);
    hk_barrier_fini(&barrier);
    return rc;
}

static void cancelled_at_every_point_nobody_is_left_waiting(void **state)
{
    hk_options options = {.check_ledger = true};

    (void)state;
    cancel_at_every_point(scenario, NULL, &options, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_round_has_all_parties_and_each_index_once),
        cmocka_unit_test(a_barrier_for_one_never_waits),
        cmocka_unit_test(a_cancelled_party_leaves_no_hole),
        cmocka_unit_test(abort_breaks_it_and_reset_mends_it),
        cmocka_unit_test(who_has_passed_it_looks_at_it_no_more),
        cmocka_unit_test(cancelled_at_every_point_nobody_is_left_waiting),
    };

    return cmocka_run_group_tests_name("barrier", tests, NULL, NULL);
}
