/* SPDX-License-Identifier: MIT */
/* Numbered items on their way through channels: each is received as often as sent. */
#ifndef TESTS_EXPLORE_TRAFFIC_H
#define TESTS_EXPLORE_TRAFFIC_H

#include "explore_kit.h"

enum { SENDERS = 2, ITEMS = 4, TOTAL = SENDERS * ITEMS };

struct traffic {
    hk_chan *chan, *second;
    int sent[TOTAL], got[TOTAL]; /* how often, by item; atomic */
    int senders;                 /* next number of a sender */
    int ended;
};

static inline int send_items(void *arg)
{
    struct traffic *t = arg;
    int first = (add_to(&t->senders, 1) - 1) * ITEMS;

    for (int item = first; item < first + ITEMS; item++) {
        int rc = hk_chan_send(t->chan, &item);

        if (rc == -EPIPE)
            break;
        TRY(rc);
        add_to(&t->sent[item], 1);
        hk_explore_point();
    }
    return 0;
}

static inline int note_item(struct traffic *t, int item)
{
    EXPECT(item >= 0 && item < TOTAL);
    EXPECT(add_to(&t->got[item], 1) == 1);
    return 0;
}

static inline int receive_items(void *arg)
{
    struct traffic *t = arg;
    int item, rc, last[SENDERS] = {-1, -1};

    while ((rc = hk_chan_recv(t->chan, &item)) == 0) {
        TRY(note_item(t, item));
        EXPECT(item > last[item / ITEMS]); /* in the order they were sent */
        last[item / ITEMS] = item;
        TRY(dawdle());
    }
    return rc == -EPIPE ? 0 : rc;
}

/* What is left in the channel counts as received. */
static inline int judge(struct traffic *t)
{
    int item;

    while (hk_chan_try_recv(t->chan, &item) == 0)
        TRY(note_item(t, item));
    hk_chan_free(t->chan);
    for (item = 0; item < TOTAL; item++)
        EXPECT(t->sent[item] == t->got[item]);
    return 0;
}

/* Senders first; when they have ended the channel is closed. */
static inline int run_traffic(size_t capacity, hk_task_fn *sender, hk_task_fn *receiver,
                              int receivers)
{
    struct traffic t = {.senders = 0};
    hk_scope all, senders;

    TRY(hk_chan_new(sizeof(int), capacity, &t.chan));
    hk_scope_open(&all);
    hk_scope_open(&senders);
    for (int i = 0; i < SENDERS; i++)
        hk_spawn(&senders, sender, &t);
    for (int i = 0; i < receivers; i++)
        hk_spawn(&all, receiver, &t);
    EXPECT(hk_scope_join(&senders) == 0);
    hk_chan_close(t.chan);
    EXPECT(hk_scope_join(&all) == 0);
    return judge(&t);
}

#endif
