/* SPDX-License-Identifier: MIT */
/*
 * Shows what is particular to the wait group, beyond the contract suite: who waits sees
 * all that was done, also by those that were not the last; who waited before the count
 * became 0 is let go whatever comes after; cancels leave the count alone; and a group
 * on the stack of who waits may be gone as soon as the wait has returned.
 */
#include "contract/sync_kit.h"
#include "support/torture.h"

enum { WORKERS = 8, ROUNDS = 200 };

/* ---- what was done before is seen after the wait ---- */

struct shift {
    hk_wait_group group;
    uint32_t started;          /* atomic */
    int work[WORKERS][ROUNDS]; /* ordered by the group alone */
    hk_barrier next_round;
};

static int do_some_work(void *arg)
{
    struct shift *shift = arg;
    uint32_t me = __atomic_fetch_add(&shift->started, 1, __ATOMIC_RELAXED);

    for (int round = 0; round < ROUNDS; round++) {
        shift->work[me][round] = round + 1;
        if (me % 2)
            relax();
        hk_wait_group_done(&shift->group);
        CHECK(hk_barrier_wait(&shift->next_round) >= 0);
    }
    return 0;
}

static int see_all_work(void *arg)
{
    struct shift *shift = arg;

    for (int round = 0; round < ROUNDS; round++) {
        CHECK_EQ(hk_wait_group_wait(&shift->group), 0);
        for (int i = 0; i < WORKERS; i++)
            CHECK_EQ(shift->work[i][round], round + 1);
        hk_wait_group_add(&shift->group, WORKERS);
        CHECK(hk_barrier_wait(&shift->next_round) >= 0);
    }
    return 0;
}

static void who_waits_sees_what_everyone_did(void **state)
{
    (void)state;
    for (enum placing placing = 0; placing < PLACINGS; placing++) {
        struct shift *shift = calloc(1, sizeof(*shift));
        struct ensemble e = {.placing = placing};

        check_doing = placing_name[placing];
        hk_barrier_init(&shift->next_round, WORKERS + 1);
        hk_wait_group_add(&shift->group, WORKERS);
        add_party(&e, see_all_work, shift);
        for (int i = 0; i < WORKERS; i++)
            add_party(&e, do_some_work, shift);
        run_ensemble(&e, NULL);
        assert_int_equal(hk_wait_group_count(&shift->group), WORKERS);
        free(shift);
    }
    check_doing = "";
}

static void an_empty_group_is_not_waited_for(void **state)
{
    hk_wait_group group = HK_WAIT_GROUP_INIT;

    (void)state;
    assert_int_equal(hk_wait_group_wait(&group), 0);
    hk_wait_group_add(&group, 0);
    assert_int_equal(hk_wait_group_wait(&group), 0);
    hk_wait_group_add(&group, 3);
    assert_int_equal(hk_wait_group_count(&group), 3);
    for (int i = 0; i < 3; i++)
        hk_wait_group_done(&group);
    assert_int_equal(hk_wait_group_wait(&group), 0);
    hk_wait_group_fini(&group);
}

/* ---- who is let go, and who is not ---- */

static int wait_for_group(void *arg)
{
    return hk_wait_group_wait(arg);
}

static int add_right_after_the_last(void *arg)
{
    hk_wait_group group = HK_WAIT_GROUP_INIT;
    hk_scope first, second;
    hk_sync_stats stats;

    (void)arg;
    hk_wait_group_add(&group, 1);
    hk_scope_open(&second);
    hk_scope_open(&first);
    CHECK_EQ(hk_spawn(&first, wait_for_group, &group), 0);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    hk_wait_group_done(&group);
    hk_wait_group_add(&group, 1);
    CHECK_EQ(hk_scope_join(&first), 0);
    CHECK_EQ(hk_spawn(&second, wait_for_group, &group), 0);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    hk_wait_group_stats(&group, &stats);
    CHECK_EQ(stats.waiters, 1);
    CHECK_EQ(stats.holders, 1);
    CHECK_EQ(stats.contended, 2);
    hk_wait_group_done(&group);
    return hk_scope_join(&second);
}

static void who_waited_before_the_last_is_let_go_whatever_is_added(void **state)
{
    (void)state;
    assert_int_equal(hk_run(add_right_after_the_last, NULL, NULL), 0);
}

static int cancel_the_only_waiter(void *arg)
{
    hk_wait_group group = HK_WAIT_GROUP_INIT;
    hk_task_id id;
    hk_scope s;

    (void)arg;
    hk_wait_group_add(&group, 2);
    hk_scope_open_with(&s, HK_SCOPE_WAIT_ALL, NULL);
    CHECK_EQ(hk_spawn_named(&s, NULL, wait_for_group, &group, &id), 0);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(hk_task_cancel(id), 0);
    (void)hk_scope_join(&s);
    CHECK_EQ(hk_wait_group_count(&group), 2);
    hk_wait_group_done(&group);
    hk_wait_group_done(&group);
    hk_wait_group_fini(&group);
    return 0;
}

static void a_cancelled_waiter_leaves_the_count_as_it_is(void **state)
{
    (void)state;
    assert_int_equal(hk_run(cancel_the_only_waiter, NULL, NULL), 0);
}

/* ---- a group that dies with its wait ---- */

enum { LIVES = 1000 };

static hk_wait_group *offered; /* atomic */

static int finish_what_is_offered(void *arg)
{
    (void)arg;
    for (int i = 0; i < LIVES; i++) {
        hk_wait_group *group;

        while (!(group = __atomic_exchange_n(&offered, NULL, __ATOMIC_ACQ_REL)))
            relax();
        hk_wait_group_done(group);
        hk_wait_group_done(group);
    }
    return 0;
}

static int wait_and_free(void *arg)
{
    (void)arg;
    for (int i = 0; i < LIVES; i++) {
        hk_wait_group *group = malloc(sizeof(*group));

        *group = (hk_wait_group)HK_WAIT_GROUP_INIT;
        hk_wait_group_add(group, 2);
        __atomic_store_n(&offered, group, __ATOMIC_RELEASE);
        if (i % 2)
            for (int spin = 0; hk_wait_group_count(group) > 0; spin++)
                if (spin > 100)
                    (void)sched_yield();
        CHECK_EQ(hk_wait_group_wait(group), 0);
        memset(group, 0xff, sizeof(*group));
        free(group);
    }
    return 0;
}

static void a_group_may_be_freed_by_who_waited_for_it(void **state)
{
    (void)state;
    run_pair(THREAD_THREAD, finish_what_is_offered, wait_and_free, NULL);
    run_pair(TWO_WORKERS, finish_what_is_offered, wait_and_free, NULL);
    run_pair(TASK_THREAD, finish_what_is_offered, wait_and_free, NULL);
}

/* The same, made certain: the last one stands still between its step to 0 and its
 * release of the lock, and the wait must outlast it. */
static void *wait_in_a_thread(void *arg)
{
    hk_wait_group *group = arg;

    CHECK_EQ(hk_wait_group_wait(group), 0);
    __atomic_store_n(&group->name, "waited", __ATOMIC_RELEASE);
    return NULL;
}

static void a_wait_outlasts_the_last_one(void **state)
{
    hk_wait_group group = HK_WAIT_GROUP_INIT;
    uint32_t *word = &group.hki_lock.hki_word;
    pthread_t thread;

    (void)state;
    hki_lock_acquire(word);
    assert_int_equal(pthread_create(&thread, NULL, wait_in_a_thread, &group), 0);
    while (__atomic_load_n(word, __ATOMIC_RELAXED) != 2) { /* it sleeps on the lock */
        assert_null(__atomic_load_n(&group.name, __ATOMIC_ACQUIRE));
        (void)sched_yield();
    }
    hki_lock_release(word);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_non_null(group.name);
}

/* ---- waiters that give up, while others count down ---- */

static int wait_impatiently(void *arg)
{
    struct shift *shift = arg;
    uint64_t chance = __atomic_add_fetch(&shift->started, 1, __ATOMIC_RELAXED);

    for (int i = 0; i < ROUNDS; i++) {
        hk_scope s;
        int rc;

        hk_scope_open(&s);
        hk_scope_deadline(&s, hk_now() + (int64_t)(dice(&chance) % 50000));
        rc = hk_wait_group_wait(&shift->group);
        CHECK(rc == 0 || rc == -ECANCELED);
        rc = hk_scope_join(&s);
        CHECK(rc == 0 || rc == -ETIMEDOUT);
    }
    return 0;
}

static int count_up_and_down(void *arg)
{
    struct shift *shift = arg;

    for (int i = 0; i < ROUNDS; i++) {
        hk_wait_group_add(&shift->group, 2);
        relax();
        hk_wait_group_done(&shift->group);
        relax();
        hk_wait_group_done(&shift->group);
    }
    return 0;
}

static void nobody_is_forgotten_among_those_who_give_up(void **state)
{
    struct shift *shift = calloc(1, sizeof(*shift));

    (void)state;
    shift->started = (uint32_t)kit_seed();
    for (enum placing placing = 0; placing < PLACINGS; placing++) {
        struct ensemble e = {.placing = placing};

        check_doing = placing_name[placing];
        for (int i = 0; i < 8; i++)
            add_party(&e, i / 2 % 2 ? wait_impatiently : count_up_and_down, shift);
        run_ensemble(&e, NULL);
        assert_int_equal(shift->group.hki_state, 0); /* nor a bit left over */
        hk_wait_group_fini(&shift->group);
    }
    check_doing = "";
    free(shift);
}

/* ---- cancelled at every point ---- */

static int work_a_little(void *arg)
{
    int rc = hk_yield();

    hk_wait_group_done(arg);
    return rc;
}

static int scenario(void *arg)
{
    hk_wait_group group = HK_WAIT_GROUP_INIT;
    hk_scope s;
    int rc;

    (void)arg;
    hk_scope_open_with(&s, HK_SCOPE_WAIT_ALL, NULL);
    hk_wait_group_add(&group, 3);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(hk_spawn(&s, work_a_little, &group), 0);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(hk_spawn(&s, wait_for_group, &group), 0);
    rc = hk_wait_group_wait(&group);
    CHECK(rc == 0 || rc == -ECANCELED);
    rc = hk_scope_join(&s);
    hk_wait_group_fini(&group);
    return rc;
}

static void cancelled_at_every_point_the_count_comes_to_zero(void **state)
{
    hk_options options = {.check_ledger = true};

    (void)state;
    cancel_at_every_point(scenario, NULL, &options, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_waits_sees_what_everyone_did),
        cmocka_unit_test(an_empty_group_is_not_waited_for),
        cmocka_unit_test(who_waited_before_the_last_is_let_go_whatever_is_added),
        cmocka_unit_test(a_cancelled_waiter_leaves_the_count_as_it_is),
        cmocka_unit_test(a_group_may_be_freed_by_who_waited_for_it),
        cmocka_unit_test(a_wait_outlasts_the_last_one),
        cmocka_unit_test(nobody_is_forgotten_among_those_who_give_up),
        cmocka_unit_test(cancelled_at_every_point_the_count_comes_to_zero),
    };

    return cmocka_run_group_tests_name("wait group", tests, NULL, NULL);
}
