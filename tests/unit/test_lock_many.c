/* SPDX-License-Identifier: MIT */
/*
 * Shows that several mutexes taken at once never deadlock, in whatever order they are
 * given, by transfers between accounts whose sum must stay; and that a cancel leaves
 * none of them locked.
 */
#include "contract/sync_kit.h"

enum { ACCOUNTS = 6, TRANSFERS = 500, PARTIES = 4, MANY = 200 };

struct account {
    hk_mutex lock;
    int64_t balance; /* guarded by lock */
};

static struct account accounts[ACCOUNTS];
static uint64_t seed;

static int transfer_often(void *arg)
{
    uint64_t chance = seed + (uintptr_t)arg;

    for (int i = 0; i < TRANSFERS; i++) {
        struct account *from = &accounts[dice(&chance) % ACCOUNTS];
        struct account *to = &accounts[dice(&chance) % ACCOUNTS]; /* perhaps the same */
        hk_mutex *both[] = {&from->lock, &to->lock};

        CHECK_EQ(hk_lock_many(both, 2), 0);
        from->balance -= 5;
        if (dice(&chance) % 16 == 0)
            relax();
        to->balance += 5;
        hk_unlock_many(both, 2);
    }
    return 0;
}

static void transfers_in_all_directions_neither_deadlock_nor_lose(void **state)
{
    (void)state;
    seed = kit_seed();
    for (enum placing placing = 0; placing < PLACINGS; placing++) {
        struct ensemble e = {.placing = placing};
        int64_t sum = 0;

        memset(accounts, 0, sizeof(accounts));
        for (uintptr_t i = 0; i < PARTIES; i++)
            add_party(&e, transfer_often, (void *)i);
        check_doing = placing_name[placing];
        run_ensemble(&e, NULL);
        for (int i = 0; i < ACCOUNTS; i++) {
            sum += accounts[i].balance;
            hk_mutex_fini(&accounts[i].lock);
        }
        assert_int_equal(sum, 0);
    }
}

static hk_mutex many[MANY];

static void any_number_given_in_any_order_is_taken(void **state)
{
    hk_mutex *locks[MANY + 2];
    uint64_t chance = kit_seed();

    (void)state;
    for (size_t i = 0; i < MANY; i++)
        locks[i] = &many[i];
    for (size_t i = MANY; i-- > 1;) {
        size_t other = dice(&chance) % (i + 1);
        hk_mutex *swapped = locks[i];

        locks[i] = locks[other];
        locks[other] = swapped;
    }
    locks[MANY] = NULL;         /* skipped */
    locks[MANY + 1] = &many[7]; /* the second time */
    assert_int_equal(hk_lock_many(locks, MANY + 2), 0);
    for (size_t i = 0; i < MANY; i++)
        assert_true(hk_mutex_is_held(&many[i]));
    hk_unlock_many(locks, MANY + 2);
    for (size_t i = 0; i < MANY; i++)
        assert_false(hk_mutex_is_held(&many[i]));
    assert_int_equal(hk_lock_many(NULL, 0), 0);
    hk_unlock_many(NULL, 0);
}

/* ---- cancel ---- */

enum { THREE = 3 };

struct cancelled {
    hk_mutex locks[THREE];
    hk_scope *scope; /* atomic */
    uint32_t stage;
    int held; /* which of them another holds */
};

static int hold_one_and_cancel(void *arg)
{
    struct cancelled *c = arg;
    hk_mutex *mutex = &c->locks[c->held];
    hk_scope *scope;

    CHECK_EQ(hk_mutex_lock(mutex), 0);
    reach(&c->stage, 1);
    while (mutex_waiters(mutex) == 0)
        relax();
    scope = __atomic_load_n(&c->scope, __ATOMIC_ACQUIRE);
    hk_scope_cancel(scope);
    await_stage(&c->stage, 2);
    hk_mutex_unlock(mutex);
    return 0;
}

static int want_all(void *arg)
{
    struct cancelled *c = arg;
    hk_mutex *all[] = {&c->locks[2], &c->locks[0], &c->locks[1]};
    hk_scope s = HK_SCOPE_INIT;

    await_stage(&c->stage, 1);
    hk_scope_open(&s);
    __atomic_store_n(&c->scope, &s, __ATOMIC_RELEASE);
    CHECK_EQ(hk_lock_many(all, THREE), -ECANCELED);
    for (int i = 0; i < THREE; i++)
        CHECK(!hk_mutex_is_held(&c->locks[i]));
    CHECK_EQ(hk_lock_many(all, THREE), -ECANCELED); /* at entry */
    reach(&c->stage, 2);
    return hk_scope_join(&s);
}

static void a_cancel_leaves_none_of_them_locked(void **state)
{
    (void)state;
    for (enum placing placing = 0; placing < PLACINGS; placing++) {
        for (int held = 0; held < THREE; held++) {
            struct cancelled c = {.held = held};

            check_doing = placing_name[placing];
            run_pair(placing, hold_one_and_cancel, want_all, &c);
            for (int i = 0; i < THREE; i++)
                hk_mutex_fini(&c.locks[i]);
        }
    }
}

static void refused_by_one_it_holds_none_of_the_others(void **state)
{
    hk_mutex three[THREE] = {HK_MUTEX_INIT, HK_MUTEX_INIT_WITH(HK_MUTEX_ERROR_CHECKING),
                             HK_MUTEX_INIT};
    hk_mutex *all[] = {&three[0], &three[1], &three[2]};

    (void)state;
    assert_int_equal(hk_mutex_lock(&three[1]), 0);
    assert_int_equal(hk_lock_many(all, THREE), -EDEADLK);
    assert_false(hk_mutex_is_held(&three[0]));
    assert_true(hk_mutex_is_held(&three[1])); /* as before */
    assert_false(hk_mutex_is_held(&three[2]));
    hk_mutex_unlock(&three[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transfers_in_all_directions_neither_deadlock_nor_lose),
        cmocka_unit_test(any_number_given_in_any_order_is_taken),
        cmocka_unit_test(a_cancel_leaves_none_of_them_locked),
        cmocka_unit_test(refused_by_one_it_holds_none_of_the_others),
    };

    return cmocka_run_group_tests_name("many at once", tests, NULL, NULL);
}
