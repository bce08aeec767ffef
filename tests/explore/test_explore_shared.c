/* SPDX-License-Identifier: MIT */
/*
 * rwlock, condition, many mutexes at once and the recursive mutex under the schedule
 * explorer.
 *
 * Run: once
 */
#include "explore_kit.h"

enum { ROUNDS = 2 };

/* ---- rwlock ---- */

struct library {
    hk_rwlock lock;
    int readers, writers; /* inside; atomic */
    int version, copy;    /* guarded by lock: always equal */
};

static int read_there(void *arg)
{
    struct library *l = arg;

    for (int i = 0; i < ROUNDS; i++) {
        TRY(hk_rwlock_read_lock(&l->lock));
        add_to(&l->readers, 1);
        EXPECT(peek(&l->writers) == 0 && l->version == l->copy);
        int rc = dawdle();
        EXPECT(peek(&l->writers) == 0 && l->version == l->copy);
        add_to(&l->readers, -1);
        hk_rwlock_read_unlock(&l->lock);
        hk_explore_point();
        TRY(rc);
    }
    return 0;
}

static int write_inside(struct library *l)
{
    int rc;

    EXPECT(add_to(&l->writers, 1) == 1 && peek(&l->readers) == 0);
    l->version++;
    rc = dawdle();
    l->copy++;
    EXPECT(add_to(&l->writers, -1) == 0 && peek(&l->readers) == 0);
    return rc;
}

static int write_there(void *arg)
{
    struct library *l = arg;

    for (int i = 0; i < ROUNDS; i++) {
        TRY(hk_rwlock_write_lock(&l->lock));
        int rc = write_inside(l);
        hk_rwlock_write_unlock(&l->lock);
        hk_explore_point();
        TRY(rc);
    }
    return 0;
}

static int upgrade_there(void *arg)
{
    struct library *l = arg;
    int rc;

    TRY(hk_rwlock_read_lock(&l->lock));
    EXPECT(hk_rwlock_write_lock(&l->lock) == -EDEADLK || hk_cancelled() < 0);
    rc = hk_rwlock_try_upgrade(&l->lock);
    EXPECT(rc == 0 || rc == -EAGAIN);
    if (rc == 0)
        rc = write_inside(l);
    hk_rwlock_unlock(&l->lock);
    return rc == -EAGAIN ? 0 : rc;
}

static int read_twice(void *arg)
{
    struct library *l = arg;
    int rc;

    TRY(hk_rwlock_read_lock(&l->lock));
    rc = dawdle(); /* a writer may have come to wait: no hindrance */
    if (rc == 0)
        rc = hk_rwlock_read_lock(&l->lock);
    if (rc == 0)
        hk_rwlock_read_unlock(&l->lock);
    hk_rwlock_read_unlock(&l->lock);
    return rc;
}

static int read_for_a_moment(void *arg)
{
    hk_scope s;
    int rc;

    hk_scope_open(&s);
    hk_scope_deadline(&s, hk_now() + 1);
    rc = hk_scope_end(&s, read_there(arg));
    return rc == -ETIMEDOUT ? 0 : rc;
}

static int use_library(hk_task_fn *first, hk_task_fn *others)
{
    struct library library = {.readers = 0};

    EXPECT(join_many(first, others, &library) == 0);
    EXPECT(library.version == library.copy);
    EXPECT(hk_rwlock_try_write_lock(&library.lock) == 0);
    hk_rwlock_write_unlock(&library.lock);
    hk_rwlock_fini(&library.lock);
    return 0;
}

static int rwlock_keeps_writers_alone(void *arg)
{
    (void)arg;
    return use_library(read_there, write_there);
}

static int rwlock_lets_one_writer_in_among_readers(void *arg)
{
    (void)arg;
    return use_library(write_there, read_there);
}

static int rwlock_upgrades_or_refuses(void *arg)
{
    (void)arg;
    return use_library(write_there, upgrade_there);
}

static int rwlock_reads_twice(void *arg)
{
    (void)arg;
    return use_library(write_there, read_twice);
}

static int rwlock_waits_up_to_a_deadline(void *arg)
{
    (void)arg;
    return use_library(write_there, read_for_a_moment);
}

/* ---- condition ---- */

struct store {
    hk_mutex mutex;
    hk_cond not_empty, not_full;
    int goods; /* guarded by mutex; 0 to 1 */
    int made, used;
    bool closed;
};

static int make_goods(void *arg)
{
    struct store *s = arg;
    int rc = 0;

    for (int i = 0; i < ROUNDS && rc == 0; i++) {
        TRY(hk_mutex_lock(&s->mutex));
        while (rc == 0 && s->goods == 1)
            rc = hk_cond_wait(&s->not_full, &s->mutex);
        EXPECT(hk_mutex_is_held(&s->mutex));
        if (rc == 0) {
            EXPECT(++s->goods == 1);
            s->made++;
            hk_cond_signal(&s->not_empty);
        }
        hk_mutex_unlock(&s->mutex);
        hk_explore_point();
    }
    return rc;
}

static int use_goods(void *arg)
{
    struct store *s = arg;
    int rc = 0;

    for (;;) {
        bool closed;

        TRY(hk_mutex_lock(&s->mutex));
        while (rc == 0 && s->goods == 0 && !s->closed)
            rc = hk_cond_wait(&s->not_empty, &s->mutex);
        closed = s->goods == 0;
        if (rc == 0 && s->goods) {
            EXPECT(--s->goods == 0);
            s->used++;
            hk_cond_signal(&s->not_full);
        }
        hk_mutex_unlock(&s->mutex);
        hk_explore_point();
        if (rc < 0 || closed)
            return rc;
    }
}

/* A consumer that was cancelled is replaced, so that producers end. */
static int use_goods_while_somebody_must(void *arg)
{
    int rc = use_goods(arg), again;
    hk_scope s;

    hk_scope_open_with(&s, HK_SCOPE_SHIELDED, NULL);
    again = rc == -ECANCELED ? use_goods(arg) : 0;
    EXPECT(hk_scope_join(&s) == 0);
    return again < 0 ? again : rc;
}

static int run_store(hk_task_fn *consumer)
{
    struct store store = {.goods = 0};
    hk_scope all, makers;

    hk_scope_open(&all);
    hk_spawn(&all, consumer, &store);
    hk_spawn(&all, consumer, &store);
    hk_scope_open(&makers);
    hk_spawn(&makers, make_goods, &store);
    hk_spawn(&makers, make_goods, &store);
    EXPECT(hk_scope_join(&makers) == 0);
    hk_mutex_lock_shielded(&store.mutex);
    store.closed = true;
    hk_cond_broadcast(&store.not_empty);
    hk_mutex_unlock(&store.mutex);
    EXPECT(hk_scope_join(&all) == 0);
    EXPECT(store.made == store.used && store.goods == 0);
    hk_cond_fini(&store.not_empty);
    hk_cond_fini(&store.not_full);
    hk_mutex_fini(&store.mutex);
    return 0;
}

static int cond_loses_no_signal(void *arg)
{
    (void)arg;
    return run_store(use_goods);
}

static int cond_passes_the_signal_of_the_cancelled_on(void *arg)
{
    (void)arg;
    return run_store(use_goods_while_somebody_must);
}

static int wait_for_closing(void *arg)
{
    struct store *s = arg;
    int rc = 0;

    TRY(hk_mutex_lock(&s->mutex));
    while (rc == 0 && !s->closed)
        rc = hk_cond_wait(&s->not_empty, &s->mutex);
    s->used++;
    hk_mutex_unlock(&s->mutex);
    return rc;
}

static int close_store(void *arg)
{
    struct store *s = arg;
    int rc = dawdle();

    hk_mutex_lock_shielded(&s->mutex);
    s->closed = true;
    hk_mutex_unlock(&s->mutex);
    hk_explore_point();
    hk_cond_broadcast(&s->not_empty);
    return rc;
}

static int cond_broadcast_reaches_all(void *arg)
{
    struct store store = {.goods = 0};

    (void)arg;
    EXPECT(join_many(close_store, wait_for_closing, &store) == 0);
    EXPECT(store.used <= MANY - 1);
    hk_cond_fini(&store.not_empty);
    return 0;
}

/* Often enough for the condition to become one worker's own. */
enum { TURNS = 40 };

static int take_turns(struct store *s, int mine)
{
    int rc;

    TRY(hk_mutex_lock(&s->mutex));
    for (int i = 0; i < TURNS; i++) {
        while (s->goods != mine) {
            rc = hk_cond_wait(&s->not_empty, &s->mutex);
            EXPECT(rc == 0 && hk_mutex_is_held(&s->mutex));
        }
        s->goods = 1 - mine;
        s->made++;
        hk_cond_signal(&s->not_empty);
    }
    hk_mutex_unlock(&s->mutex);
    return 0;
}

static int take_even_turns(void *arg)
{
    return take_turns(arg, 0);
}

static int take_odd_turns(void *arg)
{
    return take_turns(arg, 1);
}

static int cond_passes_turns_to_and_fro(void *arg)
{
    struct store store = {.goods = 0};
    hk_scope s;

    (void)arg;
    hk_scope_open(&s);
    hk_spawn(&s, take_even_turns, &store);
    hk_spawn(&s, take_odd_turns, &store);
    EXPECT(hk_scope_join(&s) == 0);
    EXPECT(store.made == 2 * TURNS);
    hk_cond_fini(&store.not_empty);
    return 0;
}

/* ---- many mutexes at once; a recursive one ---- */

struct bank {
    hk_mutex locks[3];
    int money[3]; /* each guarded by its lock */
};

static int transfer(void *arg)
{
    struct bank *bank = arg;

    for (int i = 0; i < ROUNDS; i++) {
        uint32_t from = hk_explore_choice(3), to = hk_explore_choice(3);
        hk_mutex *both[] = {&bank->locks[from], &bank->locks[to]};

        TRY(hk_lock_many(both, 2));
        bank->money[from]--;
        int rc = dawdle();
        bank->money[to]++;
        hk_unlock_many(both, 2);
        hk_explore_point();
        TRY(rc);
    }
    return 0;
}

static int audit(void *arg)
{
    struct bank *bank = arg;
    hk_mutex *all[] = {&bank->locks[2], &bank->locks[0], &bank->locks[1]};

    TRY(hk_lock_many(all, 3));
    EXPECT(bank->money[0] + bank->money[1] + bank->money[2] == 300);
    hk_unlock_many(all, 3);
    return 0;
}

static int lock_many_never_deadlocks(void *arg)
{
    struct bank bank = {.money = {100, 100, 100}};

    (void)arg;
    EXPECT(join_many(audit, transfer, &bank) == 0);
    return audit(&bank);
}

struct nested {
    hk_mutex mutex;
    int depth;
};

static int lock_again(void *arg)
{
    struct nested *n = arg;
    int rc;

    TRY(hk_mutex_lock(&n->mutex));
    EXPECT(++n->depth == 1);
    rc = hk_mutex_lock(&n->mutex);
    if (rc == 0) {
        EXPECT(++n->depth == 2);
        rc = dawdle();
        EXPECT(--n->depth == 1);
        hk_mutex_unlock(&n->mutex);
    }
    EXPECT(--n->depth == 0);
    hk_mutex_unlock(&n->mutex);
    return rc;
}

static int recursive_mutex_excludes_others(void *arg)
{
    struct nested nested = {.depth = 0};

    (void)arg;
    hk_mutex_init(&nested.mutex, HK_MUTEX_RECURSIVE);
    EXPECT(join_many(lock_again, lock_again, &nested) == 0);
    hk_mutex_fini(&nested.mutex);
    return 0;
}

static const struct scenario scenarios[] = {
    {"rwlock_keeps_writers_alone", rwlock_keeps_writers_alone, 2, false},
    {"rwlock_lets_one_writer_in_among_readers", rwlock_lets_one_writer_in_among_readers,
     2, false},
    {"rwlock_upgrades_or_refuses", rwlock_upgrades_or_refuses, 1, false},
    {"rwlock_reads_twice", rwlock_reads_twice, 1, false},
    {"rwlock_waits_up_to_a_deadline", rwlock_waits_up_to_a_deadline, 1, false},
    {"cond_loses_no_signal", cond_loses_no_signal, 0, false},
    {"cond_passes_the_signal_of_the_cancelled_on",
     cond_passes_the_signal_of_the_cancelled_on, 2, false},
    {"cond_broadcast_reaches_all", cond_broadcast_reaches_all, 2, false},
    {"cond_passes_turns_to_and_fro", cond_passes_turns_to_and_fro, 0, false},
    {"lock_many_never_deadlocks", lock_many_never_deadlocks, 2, false},
    {"recursive_mutex_excludes_others", recursive_mutex_excludes_others, 2, false},
};

int main(void)
{
    return explore_all(scenarios, sizeof(scenarios) / sizeof(scenarios[0]));
}
