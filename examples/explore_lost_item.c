/* SPDX-License-Identifier: MIT */
/*
 * Finding a bug that needs bad luck. The mailbox below has the mistake that queues of
 * several event loops have had: an item is handed to a receiver that is cancelled at
 * the same moment; the receiver sees the cancel, and drops the item. In the order in
 * which tasks usually run it never happens. The explorer tries one order after the
 * other, and tells the seed of the one that loses the item: with it the same run comes
 * again, as often as one needs to look at it.
 *
 * Prints:
 *   in the usual order: the item arrives
 *   explored: the item is lost, by seed ...
 *   the same seed again: lost again, by the same steps
 *   with the mistake put right: 10000 schedules, no loss
 */
#include <hocket.h>
#include <hocket/testing.h>

#include <stdio.h>
#include <stdlib.h>

/* A mailbox for one item. Valid when zeroed. */
struct mailbox {
    hk_lock lock; /* guards the rest */
    hk_waiter_queue receivers;
    bool full;
};

static bool corrected;

static const hk_wait_kind mailbox_kind = {.name = "mailbox"};

static hk_verdict receive_abort(hk_waiter *w)
{
    struct mailbox *box = (struct mailbox *)w->object;
    bool removed;

    hk_lock_acquire(&box->lock);
    removed = hk_waiter_remove(&box->receivers, w);
    hk_lock_release(&box->lock);
    return removed ? HK_ABORTED : HK_PENDING;
}

static int receive(struct mailbox *box)
{
    int rc = hk_cancelled();
    hk_waiter w;

    if (rc < 0)
        return rc;
    hk_lock_acquire(&box->lock);
    if (box->full) {
        box->full = false;
        hk_lock_release(&box->lock);
        return hk_budget();
    }
    hk_waiter_init(&w, &mailbox_kind, box);
    hk_waiter_push(&box->receivers, &w);
    hk_lock_release(&box->lock);
    rc = hk_park(&w, receive_abort);
    if (!corrected && rc == 0)
        rc = hk_cancelled(); /* the mistake: the item is here, and would be lost */
    return rc;
}

static void send(struct mailbox *box)
{
    hk_waiter *w;

    hk_lock_acquire(&box->lock);
    w = hk_waiter_pop(&box->receivers);
    box->full = !w;
    hk_lock_release(&box->lock);
    if (w)
        hk_wake(w, 0);
}

/* ---- the scenario: one receives, one sends, one cancels the receiver ---- */

struct world {
    struct mailbox box;
    hk_task_id receiver;
    int received;
};

static int receiver(void *arg)
{
    struct world *world = arg;
    int rc = receive(&world->box);

    if (rc == 0)
        world->received++;
    return rc;
}

static int sender(void *arg)
{
    struct world *world = arg;

    send(&world->box);
    return 0;
}

static int canceller(void *arg)
{
    struct world *world = arg;
    int rc = hk_yield();

    if (rc == 0)
        (void)hk_task_cancel(world->receiver); /* it may have ended: all the same */
    return rc;
}

/* The item must be with the receiver or still in the box. */
static int item_is_somewhere(void *arg)
{
    struct world world = {.received = 0};
    hk_scope s;
    int rc;

    (void)arg;
    hk_scope_open(&s);
    hk_spawn_named(&s, "receiver", receiver, &world, &world.receiver);
    hk_spawn_named(&s, "sender", sender, &world, NULL);
    hk_spawn_named(&s, "canceller", canceller, &world, NULL);
    rc = hk_scope_join(&s);
    if (rc < 0)
        return rc;
    return world.received + world.box.full == 1 ? 0 : -EPROTO;
}

static void no_log(hk_log_level level, const char *line, void *ctx)
{
    (void)level;
    (void)line;
    (void)ctx;
}

int main(void)
{
    hk_explore_options options = {.name = "lost_item", .seeds = 10000};
    hk_explore_result found, again;
    int rc = hk_run(item_is_somewhere, NULL, NULL);

    printf("in the usual order: the item %s\n", rc == 0 ? "arrives" : "is lost");

    hk_log_to(no_log, NULL); /* it would say how to replay the seed */
    rc = hk_explore(item_is_somewhere, NULL, &options, &found);
    if (rc == 0)
        return EXIT_FAILURE;
    printf("explored: the item is lost, by seed %llu\n",
           (unsigned long long)found.seed);

    options.first_seed = found.seed;
    options.seeds = 1;
    rc = hk_explore(item_is_somewhere, NULL, &options, &again);
    printf("the same seed again: %s, by %s steps\n", rc < 0 ? "lost again" : "arrives",
           again.trace == found.trace ? "the same" : "other");

    corrected = true;
    options.first_seed = 1;
    options.seeds = 10000;
    rc = hk_explore(item_is_somewhere, NULL, &options, &again);
    printf("with the mistake put right: %llu schedules, %s\n",
           (unsigned long long)again.schedules, rc == 0 ? "no loss" : "a loss");
    return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
