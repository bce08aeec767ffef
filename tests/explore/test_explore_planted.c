/* SPDX-License-Identifier: MIT */
/*
 * Shows that the explorer finds what it is for: small wrong primitives, each with one
 * mistake that real ones have had, are caught within a bounded number of seeds; the
 * same primitive without the mistake passes every seed.
 *
 * Run: once
 */
#include "explore_kit.h"

enum { SEEDS_TO_FIND = 2000, SEEDS_TO_PASS = 5000 };

static bool wrong; /* the mistake is in */

static bool remove_from(hk_waiter_queue *queue, hk_lock *lock, hk_waiter *w)
{
    bool removed;

    hk_lock_acquire(lock);
    removed = hk_waiter_remove(queue, w);
    hk_lock_release(lock);
    return removed;
}

/* ---- a mailbox for one item (asyncio's queue had this one) ---- */

struct mailbox {
    hk_lock lock; /* guards the rest */
    hk_waiter_queue receivers;
    bool full;
};

static const hk_wait_kind mailbox_kind = {.name = "mailbox"};

static hk_verdict take_abort(hk_waiter *w)
{
    struct mailbox *box = (struct mailbox *)w->object;

    return remove_from(&box->receivers, &box->lock, w) ? HK_ABORTED : HK_PENDING;
}

static int take(struct mailbox *box)
{
    hk_waiter w;
    int rc = hk_cancelled();

    TRY(rc);
    hk_lock_acquire(&box->lock);
    if (box->full) {
        box->full = false;
        hk_lock_release(&box->lock);
        return 0;
    }
    hk_waiter_init(&w, &mailbox_kind, box);
    hk_waiter_push(&box->receivers, &w);
    hk_lock_release(&box->lock);
    rc = hk_park(&w, take_abort);
    /* The mistake: the item is the caller's already, and is dropped. */
    return wrong && rc == 0 && hk_cancelled() < 0 ? -ECANCELED : rc;
}

static void put(struct mailbox *box)
{
    hk_waiter *w;

    hk_lock_acquire(&box->lock);
    w = hk_waiter_pop(&box->receivers);
    box->full = !w;
    hk_lock_release(&box->lock);
    if (w)
        hk_wake(w, 0);
}

struct delivery {
    struct mailbox box;
    int taken;
};

static int take_one(void *arg)
{
    struct delivery *delivery = arg;

    TRY(take(&delivery->box));
    add_to(&delivery->taken, 1);
    return 0;
}

static int put_one(void *arg)
{
    put(arg);
    return 0;
}

static int item_is_taken_or_still_there(void *arg)
{
    struct delivery delivery = {.taken = 0};
    hk_task_id receiver;
    hk_scope s;

    (void)arg;
    hk_scope_open(&s);
    hk_spawn_named(&s, "receiver", take_one, &delivery, &receiver);
    hk_spawn(&s, put_one, &delivery.box);
    TRY(dawdle());
    (void)hk_task_cancel(receiver);
    TRY(hk_scope_join(&s));
    return delivery.taken + delivery.box.full == 1 ? 0 : -EPROTO;
}

/* ---- a lock that is handed over ---- */

struct baton {
    hk_lock lock; /* guards the rest */
    hk_waiter_queue waiters;
    bool held;
};

static void pass_baton(struct baton *baton)
{
    hk_waiter *w;

    hk_lock_acquire(&baton->lock);
    w = hk_waiter_pop(&baton->waiters);
    baton->held = w;
    hk_lock_release(&baton->lock);
    if (w)
        hk_wake(w, 0);
}

static hk_verdict baton_abort(hk_waiter *w)
{
    struct baton *baton = (struct baton *)w->object;

    return remove_from(&baton->waiters, &baton->lock, w) ? HK_ABORTED : HK_PENDING;
}

static int get_baton(struct baton *baton)
{
    hk_waiter w;
    int rc = hk_cancelled();

    TRY(rc);
    hk_lock_acquire(&baton->lock);
    if (!baton->held) {
        baton->held = true;
        hk_lock_release(&baton->lock);
        return 0;
    }
    hk_waiter_init(&w, &mailbox_kind, baton);
    hk_waiter_push(&baton->waiters, &w);
    hk_lock_release(&baton->lock);
    rc = hk_park(&w, baton_abort);
    if (rc == 0 && hk_cancelled() < 0) {
        /* Not to hold it after a cancel is fine, if somebody else gets it. */
        if (!wrong)
            pass_baton(baton);
        rc = -ECANCELED;
    }
    return rc;
}

static int run_with_baton(void *arg)
{
    TRY(get_baton(arg));
    int rc = dawdle();
    pass_baton(arg);
    return rc;
}

static int baton_is_passed_on(void *arg)
{
    struct baton baton = {.held = false};
    hk_scope s;

    (void)arg;
    hk_scope_open(&s);
    for (int i = 0; i < 4; i++)
        hk_spawn(&s, run_with_baton, &baton);
    return hk_scope_join(&s);
}

/* ---- a condition that forgets a signal ---- */

struct cond {
    hk_mutex mutex;
    hk_lock lock; /* guards waiters */
    hk_waiter_queue waiters;
    int ready; /* guarded by mutex */
};

static hk_verdict cond_abort(hk_waiter *w)
{
    struct cond *cond = (struct cond *)w->object;

    return remove_from(&cond->waiters, &cond->lock, w) ? HK_ABORTED : HK_PENDING;
}

static int cond_wait(struct cond *cond)
{
    hk_waiter w;
    int rc;

    if (wrong) { /* unlocked before it is in the queue */
        hk_mutex_unlock(&cond->mutex);
        hk_explore_point(); /* another worker comes in */
    }
    hk_waiter_init(&w, &mailbox_kind, cond);
    hk_lock_acquire(&cond->lock);
    hk_waiter_push(&cond->waiters, &w);
    hk_lock_release(&cond->lock);
    if (!wrong)
        hk_mutex_unlock(&cond->mutex);
    rc = hk_park(&w, cond_abort);
    hk_mutex_lock_shielded(&cond->mutex);
    return rc;
}

static void cond_signal(struct cond *cond)
{
    hk_waiter *w;

    hk_lock_acquire(&cond->lock);
    w = hk_waiter_pop(&cond->waiters);
    hk_lock_release(&cond->lock);
    if (w)
        hk_wake(w, 0);
}

static int consume(void *arg)
{
    struct cond *cond = arg;
    int rc = 0;

    TRY(hk_mutex_lock(&cond->mutex));
    while (rc == 0 && !cond->ready)
        rc = cond_wait(cond);
    if (rc == 0)
        cond->ready--;
    hk_mutex_unlock(&cond->mutex);
    return rc;
}

static int produce(void *arg)
{
    struct cond *cond = arg;

    TRY(hk_mutex_lock(&cond->mutex));
    cond->ready++;
    hk_mutex_unlock(&cond->mutex);
    cond_signal(cond);
    return 0;
}

static int signal_is_not_lost(void *arg)
{
    struct cond cond = {.ready = 0};
    hk_scope s;

    (void)arg;
    hk_scope_open(&s);
    hk_spawn(&s, consume, &cond);
    hk_spawn(&s, produce, &cond);
    return hk_scope_join(&s);
}

/* ---- looking, then acting ---- */

struct shelf {
    hk_mutex mutex;
    int left; /* atomic */
};

static int buy(void *arg)
{
    struct shelf *shelf = arg;

    if (!wrong)
        TRY(hk_mutex_lock(&shelf->mutex));
    if (peek(&shelf->left) > 0) {
        TRY(hk_yield());
        add_to(&shelf->left, -1);
    }
    if (!wrong)
        hk_mutex_unlock(&shelf->mutex);
    return 0;
}

static int nothing_is_sold_twice(void *arg)
{
    struct shelf shelf = {.left = 1};
    hk_scope s;

    (void)arg;
    hk_scope_open(&s);
    hk_spawn(&s, buy, &shelf);
    hk_spawn(&s, buy, &shelf);
    TRY(hk_scope_join(&s));
    return shelf.left == 0 ? 0 : -EPROTO;
}

/* ---- two locks ---- */

static int lock_two(hk_mutex *first, hk_mutex *second)
{
    TRY(hk_mutex_lock(first));
    int rc = hk_mutex_lock(second);
    if (rc == 0)
        hk_mutex_unlock(second);
    hk_mutex_unlock(first);
    return rc;
}

static int lock_a_b(void *arg)
{
    hk_mutex *pair = arg;

    return lock_two(&pair[0], &pair[1]);
}

static int lock_b_a(void *arg)
{
    hk_mutex *pair = arg;

    return wrong ? lock_two(&pair[1], &pair[0]) : lock_two(&pair[0], &pair[1]);
}

static int locks_are_taken_in_one_order(void *arg)
{
    hk_mutex pair[2] = {HK_MUTEX_INIT, HK_MUTEX_INIT};
    hk_scope s;

    (void)arg;
    hk_scope_open(&s);
    hk_spawn(&s, lock_a_b, pair);
    hk_spawn(&s, lock_b_a, pair);
    return hk_scope_join(&s);
}

/* ---- what is not given back ---- */

static hk_chan *forgotten[16]; /* to be free of leaks in the end */

static int borrow(void *arg)
{
    hk_chan *chan;
    int rc, i = 0;

    (void)arg;
    TRY(hk_chan_new(1, 1, &chan));
    rc = dawdle();
    if (rc == 0 || !wrong) {
        hk_chan_free(chan);
    } else {
        while (forgotten[i])
            i++;
        forgotten[i] = chan;
    }
    return rc;
}

static int all_is_given_back(void *arg)
{
    hk_scope s;

    (void)arg;
    hk_scope_open(&s);
    hk_spawn(&s, borrow, NULL);
    hk_spawn(&s, cancel_later, &s);
    return hk_scope_join(&s);
}

/* ---- timers of one moment ---- */

static int write_at_one(void *arg)
{
    TRY(hk_sleep(1));
    poke(arg, 1);
    return 0;
}

static int read_at_one(void *arg)
{
    TRY(hk_sleep(wrong ? 1 : 2));
    return peek(arg) ? 0 : -EPROTO;
}

static int what_is_due_is_there(void *arg)
{
    int value = 0;
    hk_scope s;

    (void)arg;
    hk_scope_open(&s);
    hk_spawn(&s, write_at_one, &value);
    hk_spawn(&s, read_at_one, &value);
    return hk_scope_join(&s);
}

/* ---- both forms of each ---- */

struct planted {
    const char *name;
    hk_task_fn *run;
    int failure;
    uint32_t cancels;
    bool clock_waits;
};

static void found_and_not_found(void **state)
{
    const struct planted *planted = *state;
    hk_explore_options options = {
        .name = planted->name,
        .seeds = SEEDS_TO_FIND,
        .cancels = planted->cancels,
        .clock_waits = planted->clock_waits,
    };
    hk_explore_result found, again;

    wrong = true;
    assert_int_equal(hk_explore(planted->run, NULL, &options, &found),
                     planted->failure);
    printf("# %s: found by seed %llu\n", planted->name, (unsigned long long)found.seed);
    options.first_seed = found.seed;
    options.seeds = 1;
    assert_int_equal(hk_explore(planted->run, NULL, &options, &again),
                     planted->failure);
    assert_int_equal(again.trace, found.trace);

    wrong = false;
    options.first_seed = 1;
    options.seeds = SEEDS_TO_PASS;
    assert_int_equal(hk_explore(planted->run, NULL, &options, NULL), 0);
}

#define PLANTED(fn, failure, cancels, clock_waits)                                     \
    {                                                                                  \
#fn, fn, failure, cancels, clock_waits                                         \
    }

static const struct planted all[] = {
    PLANTED(item_is_taken_or_still_there, -EPROTO, 0, false),
    PLANTED(baton_is_passed_on, -EDEADLK, 2, false),
    PLANTED(signal_is_not_lost, -EDEADLK, 0, false),
    PLANTED(nothing_is_sold_twice, -EPROTO, 0, false),
    PLANTED(locks_are_taken_in_one_order, -EDEADLK, 0, false),
    PLANTED(all_is_given_back, -ENOTRECOVERABLE, 0, false),
    PLANTED(what_is_due_is_there, -EPROTO, 0, true),
};

static void no_log(hk_log_level level, const char *line, void *ctx)
{
    (void)level;
    (void)line;
    (void)ctx;
}

int main(void)
{
    struct CMUnitTest tests[sizeof(all) / sizeof(all[0])];
    int failures;

    hk_log_to(no_log, NULL); /* the failures are wanted */
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        tests[i] = (struct CMUnitTest){
            .name = all[i].name,
            .test_func = found_and_not_found,
            .initial_state = (void *)(uintptr_t)&all[i],
        };
    failures = cmocka_run_group_tests(tests, NULL, NULL);
    for (int i = 0; i < 16; i++)
        hk_chan_free(forgotten[i]);
    return failures;
}
