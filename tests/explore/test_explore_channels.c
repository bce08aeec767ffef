/* SPDX-License-Identifier: MIT */
/*
 * Channels under the schedule explorer: no item is lost or doubled, each sender's come
 * in order, every waiter ends.
 *
 * Run: once
 */
#include "traffic.h"

static int items_pass_hand_to_hand(void *arg)
{
    (void)arg;
    return run_traffic(0, send_items, receive_items, 2);
}

static int items_pass_through_a_ring_of_one(void *arg)
{
    (void)arg;
    return run_traffic(1, send_items, receive_items, 2);
}

static int items_pass_through_a_ring(void *arg)
{
    (void)arg;
    return run_traffic(3, send_items, receive_items, 1);
}

/* Receivers may all be cancelled: senders then would wait for ever. */
static int receive_items_while_somebody_must(void *arg)
{
    struct traffic *t = arg;
    int rc = receive_items(arg);
    hk_scope s;

    hk_scope_open_with(&s, HK_SCOPE_SHIELDED, NULL);
    int again = rc == -ECANCELED ? receive_items(t) : 0;
    EXPECT(hk_scope_join(&s) == 0);
    return again < 0 ? again : rc;
}

static int a_cancelled_receiver_loses_nothing(void *arg)
{
    (void)arg;
    return run_traffic(hk_explore_choice(3), send_items,
                       receive_items_while_somebody_must, 2);
}

static int send_by_trying(void *arg)
{
    struct traffic *t = arg;
    int first = (add_to(&t->senders, 1) - 1) * ITEMS;

    for (int item = first; item < first + ITEMS;) {
        if (hk_chan_try_send(t->chan, &item) == 0)
            add_to(&t->sent[item++], 1);
        TRY(hk_yield());
    }
    return 0;
}

static int receive_by_trying(void *arg)
{
    struct traffic *t = arg;
    int item, rc;

    while ((rc = hk_chan_try_recv(t->chan, &item)) != -EPIPE) {
        if (rc == 0)
            TRY(note_item(t, item));
        TRY(hk_yield());
    }
    return 0;
}

static int trying_meets_waiting(void *arg)
{
    (void)arg;
    return run_traffic(hk_explore_choice(2), send_by_trying, receive_items, 2);
}

static int waiting_meets_trying(void *arg)
{
    (void)arg;
    return run_traffic(hk_explore_choice(2), send_items, receive_by_trying, 2);
}

static int close_later(void *arg)
{
    struct traffic *t = arg;
    int rc = dawdle();

    hk_chan_close(t->chan);
    return rc;
}

static int a_close_parts_sent_from_refused(void *arg)
{
    struct traffic t = {.senders = 0};
    hk_scope s;

    (void)arg;
    TRY(hk_chan_new(sizeof(int), hk_explore_choice(3), &t.chan));
    hk_scope_open(&s);
    hk_spawn(&s, send_items, &t);
    hk_spawn(&s, send_items, &t);
    hk_spawn(&s, receive_items, &t);
    hk_spawn(&s, receive_items, &t);
    hk_spawn(&s, close_later, &t);
    EXPECT(hk_scope_join(&s) == 0);
    return judge(&t);
}

static int pass_on(void *arg)
{
    struct traffic *t = arg;
    int item;

    while (hk_chan_recv(t->chan, &item) == 0)
        TRY(hk_chan_send(t->second, &item));
    hk_chan_close(t->second);
    return 0;
}

static int receive_second(void *arg)
{
    struct traffic *t = arg;
    int item;

    while (hk_chan_recv(t->second, &item) == 0)
        TRY(note_item(t, item));
    return 0;
}

static int a_pipeline_drains(void *arg)
{
    struct traffic t = {.senders = 0};
    hk_scope all, senders;

    (void)arg;
    TRY(hk_chan_new(sizeof(int), hk_explore_choice(2), &t.chan));
    TRY(hk_chan_new(sizeof(int), hk_explore_choice(2), &t.second));
    hk_scope_open(&all);
    hk_spawn(&all, pass_on, &t);
    hk_spawn(&all, receive_second, &t);
    hk_scope_open(&senders);
    hk_spawn(&senders, send_items, &t);
    hk_spawn(&senders, send_items, &t);
    EXPECT(hk_scope_join(&senders) == 0);
    hk_chan_close(t.chan);
    EXPECT(hk_scope_join(&all) == 0);
    hk_chan_free(t.second);
    return judge(&t);
}

/* Long enough for the channel to become one worker's own. */
static int send_numbers(void *arg)
{
    for (int i = 0; i < 50; i++)
        TRY(hk_chan_send(arg, &i));
    return 0;
}

static int receive_numbers(void *arg)
{
    int got;

    for (int i = 0; i < 50; i++) {
        TRY(hk_chan_recv(arg, &got));
        EXPECT(got == i);
    }
    return 0;
}

static int a_channel_of_one_worker_keeps_order(void *arg)
{
    hk_chan *chan;
    hk_scope s;

    (void)arg;
    TRY(hk_chan_new(sizeof(int), hk_explore_choice(3), &chan));
    hk_scope_open(&s);
    hk_spawn(&s, send_numbers, chan);
    hk_spawn(&s, receive_numbers, chan);
    EXPECT(hk_scope_join(&s) == 0);
    hk_chan_free(chan);
    return 0;
}

static const struct scenario scenarios[] = {
    {"items_pass_hand_to_hand", items_pass_hand_to_hand, 0, false},
    {"items_pass_through_a_ring_of_one", items_pass_through_a_ring_of_one, 0, false},
    {"items_pass_through_a_ring", items_pass_through_a_ring, 0, false},
    {"a_cancelled_receiver_loses_nothing", a_cancelled_receiver_loses_nothing, 3,
     false},
    {"trying_meets_waiting", trying_meets_waiting, 0, false},
    {"waiting_meets_trying", waiting_meets_trying, 0, false},
    {"a_close_parts_sent_from_refused", a_close_parts_sent_from_refused, 0, false},
    {"a_pipeline_drains", a_pipeline_drains, 0, false},
    {"a_channel_of_one_worker_keeps_order", a_channel_of_one_worker_keeps_order, 0,
     false},
};

int main(void)
{
    return explore_all(scenarios, sizeof(scenarios) / sizeof(scenarios[0]));
}
