/* SPDX-License-Identifier: MIT */
/*
 * Shows what is particular to the semaphore, beyond the contract suite: permits go out
 * strictly in order of arrival, nobody passes by who waits, and the count is right
 * after any mix of takers, givers and cancels.
 */
#include "contract/sync_kit.h"

#include <hocket/select.h>

enum { WAITERS = 10 };

struct queue {
    hk_sem sem;
    int served[WAITERS];
    uint32_t count; /* atomic */
};

static struct queue queue;

static int take_one(void *arg)
{
    int number = (int)(intptr_t)arg;

    CHECK_EQ(hk_sem_acquire(&queue.sem), 0);
    queue.served[__atomic_fetch_add(&queue.count, 1, __ATOMIC_RELAXED)] = number;
    return 0;
}

static int serve_in_order(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    memset(&queue, 0, sizeof(queue));
    hk_scope_open(&s);
    for (int i = 0; i < WAITERS; i++)
        CHECK_EQ(hk_spawn(&s, take_one, (void *)(intptr_t)i), 0);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(sem_waiters(&queue.sem), WAITERS);
    hk_sem_release(&queue.sem, 3);
    CHECK_EQ(hk_sem_available(&queue.sem), 0);
    CHECK_EQ(hk_sem_try_acquire(&queue.sem), -EAGAIN); /* they are spoken for */
    CHECK_EQ(sem_waiters(&queue.sem), WAITERS - 3);
    hk_sem_release(&queue.sem, WAITERS); /* 3 more than are waited for */
    CHECK_EQ(hk_sem_available(&queue.sem), 3);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(queue.count, WAITERS);
    for (int i = 0; i < WAITERS; i++)
        CHECK_EQ(queue.served[i], i);
    return 0;
}

static void permits_are_handed_out_in_order_of_arrival(void **state)
{
    (void)state;
    assert_int_equal(hk_run(serve_in_order, NULL, NULL), 0);
}

static void permits_are_counted(void **state)
{
    hk_sem sem = HK_SEM_INIT(2), other;

    (void)state;
    hk_sem_init(&other, 5);
    assert_int_equal(hk_sem_available(&other), 5);
    assert_int_equal(hk_sem_acquire(&sem), 0);
    assert_int_equal(hk_sem_try_acquire(&sem), 0);
    assert_int_equal(hk_sem_try_acquire(&sem), -EAGAIN);
    hk_sem_release(&sem, 0);
    assert_int_equal(hk_sem_available(&sem), 0);
    hk_sem_release(&sem, UINT32_MAX);
    hk_sem_release(&sem, UINT32_MAX);
    assert_int_equal(hk_sem_available(&sem), UINT32_MAX);
}

/* ---- never more inside than permits, and all are back in the end ---- */

enum { PERMITS = 3, TAKERS = 12, TURNS = 300 };

struct room {
    hk_sem sem;
    int32_t inside; /* atomic */
    uint64_t seed;
};

static int enter(struct room *room, uint64_t chance)
{
    hk_case cases[] = {HK_CASE_SEM(&room->sem), HK_CASE_DEADLINE(hk_now() + 20000)};
    int rc;

    switch (chance % 3) {
    case 0: return hk_sem_acquire(&room->sem);
    case 1: return hk_sem_try_acquire(&room->sem);
    default: rc = hk_select(cases, 2); return rc == 1 ? -EAGAIN : rc;
    }
}

static int go_in_and_out(void *arg)
{
    struct room *room = arg;
    uint64_t chance = __atomic_add_fetch(&room->seed, 1, __ATOMIC_RELAXED);

    for (int i = 0; i < TURNS; i++) {
        hk_scope s = HK_SCOPE_INIT;
        uint64_t draw = dice(&chance);
        int rc;

        hk_scope_open(&s);
        hk_scope_deadline(&s, hk_now() + (int64_t)(draw >> 40) % 100000);
        rc = enter(room, draw);
        if (rc == 0) {
            CHECK(__atomic_add_fetch(&room->inside, 1, __ATOMIC_RELAXED) <= PERMITS);
            relax();
            __atomic_sub_fetch(&room->inside, 1, __ATOMIC_RELAXED);
            hk_sem_release(&room->sem, 1);
        } else {
            CHECK(rc == -ECANCELED || rc == -EAGAIN);
        }
        rc = hk_scope_join(&s);
        CHECK(rc == 0 || rc == -ETIMEDOUT);
    }
    return 0;
}

static void no_permit_is_lost_or_made_by_cancels(void **state)
{
    struct room room = {.sem = HK_SEM_INIT(PERMITS), .seed = kit_seed()};

    (void)state;
    for (enum placing placing = 0; placing < PLACINGS; placing++) {
        struct ensemble e = {.placing = placing};

        for (int i = 0; i < TAKERS; i++)
            add_party(&e, go_in_and_out, &room);
        check_doing = placing_name[placing];
        run_ensemble(&e, NULL);
        assert_int_equal(hk_sem_available(&room.sem), PERMITS);
        assert_int_equal(sem_waiters(&room.sem), 0);
    }
}

/* ---- a permit that comes while a select is about to queue ---- */

enum { RALLIES = 4000 };

struct rally {
    hk_sem left, right;
};

static int hit(hk_sem *mine, hk_sem *theirs)
{
    hk_event never = HK_EVENT_INIT;

    for (int i = 0; i < RALLIES; i++) {
        hk_case cases[] = {HK_CASE_EVENT(&never), HK_CASE_SEM(mine)};

        hk_sem_release(theirs, 1);
        CHECK_EQ(hk_select(cases, 2), 1);
    }
    return 0;
}

static int hit_left(void *arg)
{
    struct rally *rally = arg;

    return hit(&rally->left, &rally->right);
}

static int hit_right(void *arg)
{
    struct rally *rally = arg;

    return hit(&rally->right, &rally->left);
}

static void no_permit_passes_a_select_by(void **state)
{
    (void)state;
    for (enum placing placing = 0; placing < PLACINGS; placing++) {
        struct rally rally = {.left = HK_SEM_INIT(0), .right = HK_SEM_INIT(0)};

        check_doing = placing_name[placing];
        run_pair(placing, hit_left, hit_right, &rally);
        assert_int_equal(hk_sem_available(&rally.left), 0);
        assert_int_equal(hk_sem_available(&rally.right), 0);
    }
}

/* ---- a semaphore that dies with its last permit ---- */

enum { LIVES = 1000 };

static hk_sem *offered; /* atomic */

static int give_what_is_offered(void *arg)
{
    (void)arg;
    for (int i = 0; i < LIVES; i++) {
        hk_sem *sem;

        while (!(sem = __atomic_exchange_n(&offered, NULL, __ATOMIC_ACQ_REL)))
            relax();
        hk_sem_release(sem, 1);
    }
    return 0;
}

static int free_what_was_given(void *arg)
{
    (void)arg;
    for (int i = 0; i < LIVES; i++) {
        hk_sem *sem = malloc(sizeof(*sem));

        hk_sem_init(sem, 0);
        __atomic_store_n(&offered, sem, __ATOMIC_RELEASE);
        if (i % 2)
            for (int spin = 0; hk_sem_available(sem) == 0; spin++)
                if (spin > 100)
                    (void)sched_yield();
        CHECK_EQ(hk_sem_acquire(sem), 0);
        memset(sem, 0xff, sizeof(*sem));
        free(sem);
    }
    return 0;
}

static void a_semaphore_may_be_freed_by_who_took_its_last_permit(void **state)
{
    (void)state;
    run_pair(THREAD_THREAD, give_what_is_offered, free_what_was_given, NULL);
    run_pair(TWO_WORKERS, give_what_is_offered, free_what_was_given, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(permits_are_handed_out_in_order_of_arrival),
        cmocka_unit_test(permits_are_counted),
        cmocka_unit_test(no_permit_is_lost_or_made_by_cancels),
        cmocka_unit_test(no_permit_passes_a_select_by),
        cmocka_unit_test(a_semaphore_may_be_freed_by_who_took_its_last_permit),
    };

    return cmocka_run_group_tests_name("sem", tests, NULL, NULL);
}
