/* SPDX-License-Identifier: MIT */
/*
 * Writing your own primitive: a turnstile that lets a fixed number through at each
 * turn. It is written on <hocket/lowlevel.h> alone, in the four steps that every
 * waiting call makes (cancel, try, budget, park), and so it works for tasks and plain
 * threads, honours deadlines, shows up in dumps, and loses nobody when a waiter is
 * cancelled: hocket's own locks are made of the same.
 *
 * Prints:
 *   through on turn 1: walker 0
 *   through on turn 1: walker 1
 *   walker 2 gave up: cancelled
 *   through on turn 2: walker 3
 *   through on turn 2: walker 4
 */
#include <hocket.h>
#include <hocket/lowlevel.h>

#include <stdio.h>

/* Valid when zeroed. */
struct turnstile {
    hk_lock lock; /* guards the rest */
    int free;     /* passages left on this turn */
    int turn;
    hk_waiter_queue waiters;
};

static void turnstile_describe(const void *object, char *text, size_t size)
{
    const struct turnstile *t = object;

    snprintf(text, size, "turn %d", t->turn);
}

static const hk_wait_kind turnstile_kind = {.name = "turnstile",
                                            .describe = turnstile_describe};

/* Asked when a waiter is cancelled. No longer in the queue means: it is already
 * through, and its wake is on the way. */
static hk_verdict turnstile_abort(hk_waiter *w)
{
    struct turnstile *t = (struct turnstile *)w->object;
    bool removed;

    hk_lock_acquire(&t->lock);
    removed = hk_waiter_remove(&t->waiters, w);
    hk_lock_release(&t->lock);
    return removed ? HK_ABORTED : HK_PENDING;
}

/* Waits for a passage; returns the turn, or -ECANCELED: then none was used up. */
static int turnstile_pass(struct turnstile *t)
{
    int rc = hk_cancelled();
    hk_waiter w;

    if (rc < 0)
        return rc;
    hk_lock_acquire(&t->lock);
    if (t->free > 0) {
        t->free--;
        rc = t->turn;
        hk_lock_release(&t->lock);
        hk_budget();
        return rc;
    }
    hk_waiter_init(&w, &turnstile_kind, t);
    hk_waiter_push(&t->waiters, &w);
    hk_lock_release(&t->lock);
    return hk_park(&w, turnstile_abort);
}

static void turnstile_turn(struct turnstile *t, int passages)
{
    hk_waiter *w;

    hk_lock_acquire(&t->lock);
    t->turn++;
    t->free = passages;
    while (t->free > 0 && (w = hk_waiter_pop(&t->waiters))) {
        t->free--;
        hk_wake(w, t->turn);
    }
    hk_lock_release(&t->lock);
}

static struct turnstile turnstile;

static int walker(void *arg)
{
    int id = (int)(intptr_t)arg;
    hk_scope patience;
    int turn;

    hk_scope_open(&patience);
    if (id == 2)
        hk_scope_deadline(&patience, hk_now() + 100 * HK_MILLISECOND);
    turn = turnstile_pass(&turnstile);
    if (turn < 0)
        printf("walker %d gave up: %s\n", id, hk_error_text(turn));
    else
        printf("through on turn %d: walker %d\n", turn, id);
    (void)hk_scope_join(&patience); /* -ETIMEDOUT is walker 2's own affair */
    return 0;
}

static int app(void *arg)
{
    hk_scope scope;

    (void)arg;
    hk_scope_open(&scope);
    for (int i = 0; i < 5; i++)
        hk_spawn(&scope, walker, (void *)(intptr_t)i);
    hk_yield(); /* now all five wait */
    turnstile_turn(&turnstile, 2);
    (void)hk_sleep(300 * HK_MILLISECOND);
    turnstile_turn(&turnstile, 2);
    return hk_scope_join(&scope);
}

int main(void)
{
    return hk_run(app, NULL, NULL) < 0;
}
