/* SPDX-License-Identifier: MIT */
/*
 * Shows that a lock may lie in what it guards the references of, and die with the last:
 * who unlocks last frees it, while the one before may still be inside its unlock.
 */
#include "contract/sync_kit.h"

struct counted {
    union {
        hk_mutex mutex;
        hk_rwlock rwlock;
    };
    uint32_t references; /* atomic: readers give theirs back side by side */
};

/* Gives one reference back, with the lock. */
typedef void drop_fn(struct counted *c);

struct lives {
    drop_fn *drop, *drop_otherwise; /* in turns, by the one of the two parties */
    struct counted *offered;        /* atomic */
};

static bool is_last(struct counted *c)
{
    return __atomic_sub_fetch(&c->references, 1, __ATOMIC_ACQ_REL) == 0;
}

/* So that who looks at it afterwards finds nonsense. */
static void end(struct counted *c)
{
    memset(c, 0xff, sizeof(*c));
    free(c);
}

static void drop_locked(struct counted *c)
{
    bool last;

    CHECK_EQ(hk_mutex_lock(&c->mutex), 0);
    last = is_last(c);
    hk_mutex_unlock(&c->mutex);
    if (last)
        end(c);
}

static void drop_writing(struct counted *c)
{
    bool last;

    CHECK_EQ(hk_rwlock_write_lock(&c->rwlock), 0);
    last = is_last(c);
    hk_rwlock_write_unlock(&c->rwlock);
    if (last)
        end(c);
}

static void drop_reading(struct counted *c)
{
    bool last;

    CHECK_EQ(hk_rwlock_read_lock(&c->rwlock), 0);
    last = is_last(c);
    hk_rwlock_read_unlock(&c->rwlock);
    if (last) {
        hk_rwlock_fini(&c->rwlock); /* the last writer need not */
        end(c);
    }
}

enum { LIVES = 500 };

static int drop_what_is_offered(void *arg)
{
    struct lives *lives = arg;

    for (int i = 0; i < LIVES; i++) {
        struct counted *c;

        while (!(c = __atomic_exchange_n(&lives->offered, NULL, __ATOMIC_ACQ_REL)))
            relax();
        lives->drop(c);
    }
    return 0;
}

static int offer_and_drop(void *arg)
{
    struct lives *lives = arg;

    for (int i = 0; i < LIVES; i++) {
        struct counted *c = calloc(1, sizeof(*c));

        CHECK(c);
        c->references = 2;
        __atomic_store_n(&lives->offered, c, __ATOMIC_RELEASE);
        if (i % 2)
            lives->drop(c);
        else
            lives->drop_otherwise(c);
        while (__atomic_load_n(&lives->offered, __ATOMIC_ACQUIRE))
            relax();
    }
    return 0;
}

static void live_and_die(drop_fn *drop, drop_fn *drop_otherwise)
{
    for (enum placing placing = 0; placing < PLACINGS; placing++) {
        struct lives lives = {drop, drop_otherwise, NULL};

        check_doing = placing_name[placing];
        run_pair(placing, drop_what_is_offered, offer_and_drop, &lives);
    }
    check_doing = "";
}

static void a_mutex_may_be_freed_by_who_locked_it_last(void **state)
{
    (void)state;
    live_and_die(drop_locked, drop_locked);
}

static void a_rwlock_may_be_freed_by_who_locked_it_last(void **state)
{
    (void)state;
    live_and_die(drop_writing, drop_reading);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mutex_may_be_freed_by_who_locked_it_last),
        cmocka_unit_test(a_rwlock_may_be_freed_by_who_locked_it_last),
    };

    return cmocka_run_group_tests_name("lock_lives", tests, NULL, NULL);
}
