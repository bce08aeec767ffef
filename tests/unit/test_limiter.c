/* SPDX-License-Identifier: MIT */
/*
 * Shows what is particular to the limiter, beyond the contract suite: tokens go out in
 * order of arrival and never more than there are; the borrower counts, not the caller;
 * the total may change at any time; and the set of borrowers, which moves to the heap
 * when they are many, always knows exactly who they are.
 */
#include "contract/sync_kit.h"
#include "support/torture.h"

#include "sync/limiter_set.h"

/* ---- order, and the total ---- */

enum { WAITERS = 6 };

struct queue {
    hk_limiter limiter;
    int served[WAITERS];
    uint32_t count; /* atomic */
};

static struct queue queue;

static int borrow_and_leave_it_so(void *arg)
{
    int number = (int)(intptr_t)arg;

    CHECK_EQ(hk_limiter_acquire_for(&queue.limiter, &queue.served[number]), 0);
    queue.served[__atomic_fetch_add(&queue.count, 1, __ATOMIC_RELAXED)] = number;
    return 0;
}

static uint32_t waiters(void)
{
    hk_sync_stats stats;

    hk_limiter_stats(&queue.limiter, &stats);
    return stats.waiters;
}

static int raise_and_lower(void *arg)
{
    hk_limiter *limiter = &queue.limiter;
    hk_scope s;

    (void)arg;
    hk_scope_open(&s);
    for (int i = 0; i < WAITERS; i++)
        CHECK_EQ(hk_spawn(&s, borrow_and_leave_it_so, (void *)(intptr_t)i), 0);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(waiters(), WAITERS);
    hk_limiter_set_total(limiter, 4);
    CHECK_EQ(waiters(), WAITERS - 4);
    CHECK_EQ(hk_limiter_available(limiter), 0);
    CHECK_EQ(hk_limiter_try_acquire(limiter), -EAGAIN);

    hk_limiter_set_total(limiter, 2); /* nobody is robbed */
    CHECK_EQ(hk_limiter_total(limiter), 2);
    CHECK_EQ(hk_limiter_borrowers(limiter, NULL, 0), 4);
    hk_limiter_release_for(limiter, &queue.served[0]);
    hk_limiter_release_for(limiter, &queue.served[2]);
    CHECK_EQ(waiters(), WAITERS - 4); /* two that came back have vanished */
    hk_limiter_release_for(limiter, &queue.served[1]);
    CHECK_EQ(waiters(), WAITERS - 5);
    hk_limiter_release_for(limiter, &queue.served[3]);
    CHECK_EQ(waiters(), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    for (int i = 0; i < WAITERS; i++)
        CHECK_EQ(queue.served[i], i);
    hk_limiter_release_for(limiter, &queue.served[4]);
    hk_limiter_release_for(limiter, &queue.served[5]);
    CHECK_EQ(hk_limiter_available(limiter), 2);
    hk_limiter_fini(limiter);
    return 0;
}

static void tokens_go_out_in_order_and_the_total_may_change(void **state)
{
    (void)state;
    assert_int_equal(hk_run(raise_and_lower, NULL, NULL), 0);
}

/* ---- the borrower counts ---- */

static void a_borrower_has_at_most_one_token(void **state)
{
    hk_limiter limiter = HK_LIMITER_INIT(5);
    const void *borrower;
    char name;

    (void)state;
    assert_int_equal(hk_limiter_acquire(&limiter), 0);
    assert_int_equal(hk_limiter_acquire(&limiter), -EALREADY);
    assert_int_equal(hk_limiter_try_acquire(&limiter), -EALREADY);
    assert_int_equal(hk_limiter_borrowers(&limiter, &borrower, 1), 1);
    assert_int_equal(hk_limiter_acquire_for(&limiter, borrower), -EALREADY);
    assert_int_equal(hk_limiter_acquire_for(&limiter, &name), 0);
    assert_int_equal(hk_limiter_acquire_for(&limiter, &name), -EALREADY);
    assert_int_equal(hk_limiter_available(&limiter), 3);
    hk_limiter_release(&limiter);
    hk_limiter_release_for(&limiter, &name);
    assert_int_equal(hk_limiter_available(&limiter), 5);
    hk_limiter_fini(&limiter);
}

struct namesake {
    hk_limiter *limiter;
    const char *name;
    int rc;
};

static int borrow_for(void *arg)
{
    struct namesake *n = arg;

    n->rc = hk_limiter_acquire_for(n->limiter, n->name);
    return 0;
}

/* Two callers wait for the same borrower: one gets it a token, the other one is told,
 * and the third, another borrower, is not held up by it. */
static int wait_for_one_borrower_twice(void *arg)
{
    hk_limiter limiter = HK_LIMITER_INIT(0);
    struct namesake callers[] = {
        {&limiter, "ann", 1}, {&limiter, "ann", 1}, {&limiter, "bob", 1}};
    hk_scope s;

    (void)arg;
    callers[1].name = callers[0].name; /* the pointer is the name */
    hk_scope_open(&s);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(hk_spawn(&s, borrow_for, &callers[i]), 0);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    hk_limiter_set_total(&limiter, 2);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(callers[0].rc, 0);
    CHECK_EQ(callers[1].rc, -EALREADY);
    CHECK_EQ(callers[2].rc, 0);
    hk_limiter_release_for(&limiter, callers[0].name);
    hk_limiter_release_for(&limiter, callers[2].name);
    hk_limiter_fini(&limiter);
    return 0;
}

static void two_callers_for_one_borrower_get_one_token(void **state)
{
    (void)state;
    assert_int_equal(hk_run(wait_for_one_borrower_twice, NULL, NULL), 0);
}

/* ---- who holds, for the deadlock detection ---- */

struct pool {
    hk_limiter limiter;
    int32_t inside; /* atomic */
    uint64_t seed;  /* atomic */
};

static int borrow_and_return(void *arg)
{
    hk_limiter *limiter = arg;
    int rc = hk_limiter_acquire(limiter);

    if (rc == 0)
        hk_limiter_release(limiter);
    return rc;
}

static int ask_for_holders(void *arg)
{
    hk_limiter limiter = HK_LIMITER_INIT(1);
    hk_holder holder = NULL;
    const void *borrower;
    const hk_wait_kind *kind;
    char name;
    hk_scope s;

    (void)arg;
    CHECK_EQ(hk_limiter_acquire(&limiter), 0);
    CHECK_EQ(hk_limiter_borrowers(&limiter, &borrower, 1), 1);
    hk_scope_open(&s);
    CHECK_EQ(hk_spawn(&s, borrow_and_return, &limiter), 0);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    kind = limiter.hki_waiters.head->kind;
    CHECK_EQ(kind->holders(&limiter, &holder, 1), 1);
    CHECK((const void *)holder == borrower);
    limiter.hki_borrowed = 2; /* as if another task were changing them */
    CHECK_EQ(kind->holders(&limiter, &holder, 1), 0);
    limiter.hki_borrowed = 1;
    limiter.hki_total = 2;
    CHECK_EQ(kind->holders(&limiter, &holder, 1), 0);
    limiter.hki_total = 1;
    CHECK_EQ(hk_limiter_try_acquire_for(&limiter, &name), -EAGAIN);
    CHECK_EQ(kind->holders(&limiter, &holder, 1), 0); /* a name is nobody */
    hk_limiter_release(&limiter);
    CHECK_EQ(hk_scope_join(&s), 0);
    hk_limiter_fini(&limiter);
    return 0;
}

static void its_holders_are_known_while_they_are_tasks_and_stay(void **state)
{
    (void)state;
    assert_int_equal(hk_run(ask_for_holders, NULL, NULL), 0);
}

/* ---- never more than there are, and all are back in the end ---- */

enum { TOKENS = 3, TAKERS = 12, TURNS = 200 };

static int go_in_and_out(void *arg)
{
    struct pool *pool = arg;
    uint64_t chance = __atomic_add_fetch(&pool->seed, 1, __ATOMIC_RELAXED);

    for (int i = 0; i < TURNS; i++) {
        uint64_t draw = dice(&chance);
        hk_scope s;
        int rc;

        hk_scope_open(&s);
        hk_scope_deadline(&s, hk_now() + (int64_t)(draw >> 40) % 100000);
        rc = draw % 4 ? hk_limiter_acquire(&pool->limiter)
                      : hk_limiter_try_acquire(&pool->limiter);
        if (rc == 0) {
            CHECK(__atomic_add_fetch(&pool->inside, 1, __ATOMIC_RELAXED) <= TOKENS);
            relax();
            __atomic_sub_fetch(&pool->inside, 1, __ATOMIC_RELAXED);
            hk_limiter_release(&pool->limiter);
        } else {
            CHECK(rc == -ECANCELED || rc == -EAGAIN);
        }
        rc = hk_scope_join(&s);
        CHECK(rc == 0 || rc == -ETIMEDOUT);
    }
    return 0;
}

static void no_token_is_lost_or_made_by_cancels(void **state)
{
    struct pool pool = {.limiter = HK_LIMITER_INIT(TOKENS), .seed = kit_seed()};
    hk_sync_stats stats;

    (void)state;
    for (enum placing placing = 0; placing < PLACINGS; placing++) {
        struct ensemble e = {.placing = placing};
        /* Threads that outlast the runtime may not hold memory when its ledger is
         * checked. */
        bool is_mixed = placing == TASK_THREAD || placing == THREAD_TASK;

        for (int i = 0; i < (is_mixed ? HKI_LIMITER_FEW : TAKERS); i++)
            add_party(&e, go_in_and_out, &pool);
        check_doing = placing_name[placing];
        run_ensemble(&e, NULL);
        hk_limiter_stats(&pool.limiter, &stats);
        assert_int_equal(stats.holders, 0);
        assert_int_equal(stats.waiters, 0);
        assert_int_equal(hk_limiter_available(&pool.limiter), TOKENS);
    }
    check_doing = "";
    hk_limiter_fini(&pool.limiter);
}

/* ---- the set ---- */

enum { NAMES = 300, STEPS = 20000 };

static void the_set_knows_exactly_who_is_in_it(void **state)
{
    static char names[NAMES];
    static const void *listed[NAMES];
    hk_limiter limiter = HK_LIMITER_INIT(NAMES);
    bool is_in[NAMES] = {false};
    uint64_t chance = kit_seed();
    size_t in = 0;

    (void)state;
    for (int step = 0; step < STEPS; step++) {
        /* First among few, which fill the limiter's own slots, then among all. */
        size_t i = dice(&chance) % (step < STEPS / 2 ? HKI_LIMITER_FEW : NAMES);

        if (is_in[i]) {
            assert_int_equal(hk_limiter_try_acquire_for(&limiter, &names[i]),
                             -EALREADY);
            hk_limiter_release_for(&limiter, &names[i]);
            in--;
        } else {
            assert_int_equal(hk_limiter_acquire_for(&limiter, &names[i]), 0);
            in++;
        }
        is_in[i] = !is_in[i];
        assert_int_equal(hk_limiter_available(&limiter), NAMES - in);
        assert_true(step >= STEPS / 2 || !hki_limiter_has_many(&limiter));
    }
    assert_true(hki_limiter_has_many(&limiter));
    assert_int_equal(hk_limiter_borrowers(&limiter, listed, NAMES), in);
    for (size_t k = 0; k < in; k++)
        assert_true(is_in[(const char *)listed[k] - names]);
    for (size_t i = 0; i < NAMES; i++)
        if (is_in[i])
            hk_limiter_release_for(&limiter, &names[i]);
    hk_limiter_fini(&limiter);
}

static void without_memory_nothing_is_borrowed(void **state)
{
    static char names[HKI_LIMITER_FEW + 2];
    hk_limiter limiter = HK_LIMITER_INIT(100);

    (void)state;
    for (int i = 0; i < HKI_LIMITER_FEW; i++)
        assert_int_equal(hk_limiter_acquire_for(&limiter, &names[i]), 0);
    hk_fault_arm(HK_FAULT_ALLOC, 1, -ENOMEM);
    assert_int_equal(hk_limiter_acquire_for(&limiter, &names[HKI_LIMITER_FEW]),
                     -ENOMEM);
    hk_fault_arm(HK_FAULT_ALLOC, 0, 0);
    assert_int_equal(hk_limiter_available(&limiter), 100 - HKI_LIMITER_FEW);
    assert_int_equal(hk_limiter_acquire_for(&limiter, &names[HKI_LIMITER_FEW]), 0);
    for (int i = 0; i <= HKI_LIMITER_FEW; i++)
        hk_limiter_release_for(&limiter, &names[i]);
    hk_limiter_fini(&limiter);
}

/* ---- cancelled at every point ---- */

static int borrow_work_return(void *arg)
{
    hk_limiter *limiter = arg;
    int rc = hk_limiter_acquire(limiter);

    if (rc < 0)
        return rc;
    rc = hk_yield();
    hk_limiter_release(limiter);
    return rc;
}

static int scenario(void *arg)
{
    hk_limiter limiter = HK_LIMITER_INIT(2);
    hk_scope s;
    int rc;

    (void)arg;
    hk_scope_open_with(&s, HK_SCOPE_WAIT_ALL, NULL);
    for (int i = 0; i < 2 * HKI_LIMITER_FEW; i++) /* so that the set has to grow */
        CHECK_EQ(hk_spawn(&s, borrow_work_return, &limiter), 0);
    rc = hk_scope_join(&s);
    CHECK_EQ(hk_limiter_available(&limiter), 2);
    hk_limiter_fini(&limiter);
    return rc;
}

static void cancelled_at_every_point_all_tokens_come_back(void **state)
{
    hk_options options = {.check_ledger = true};

    (void)state;
    cancel_at_every_point(scenario, NULL, &options, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_go_out_in_order_and_the_total_may_change),
        cmocka_unit_test(a_borrower_has_at_most_one_token),
        cmocka_unit_test(two_callers_for_one_borrower_get_one_token),
        cmocka_unit_test(its_holders_are_known_while_they_are_tasks_and_stay),
        cmocka_unit_test(no_token_is_lost_or_made_by_cancels),
        cmocka_unit_test(the_set_knows_exactly_who_is_in_it),
        cmocka_unit_test(without_memory_nothing_is_borrowed),
        cmocka_unit_test(cancelled_at_every_point_all_tokens_come_back),
    };

    return cmocka_run_group_tests_name("limiter", tests, NULL, NULL);
}
