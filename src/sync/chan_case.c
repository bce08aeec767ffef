/* SPDX-License-Identifier: MIT */
/*
 * Channels as cases of a select. Its hooks are called with the gate held, which stands
 * for the whole channel as far as other selects go; each takes the rest.
 */
#include "sync/chan.h"

#include <hocket/select.h>

static hk_lock *case_lock(void *object)
{
    return &((hk_chan *)object)->gate;
}

static int case_attempt_send(void *object, void *item)
{
    hk_chan *chan = object;
    bool has_sides = hki_chan_lock_rest(chan, hki_self());
    hk_waiter *woken = NULL;
    int rc = hki_chan_put(chan, item, &woken);

    hki_chan_unlock_rest(chan, has_sides);
    if (woken)
        hk_wake(woken, 0);
    return rc;
}

static int case_attempt_recv(void *object, void *item)
{
    hk_chan *chan = object;
    bool has_sides = hki_chan_lock_rest(chan, hki_self());
    hk_waiter *woken = NULL;
    int rc = hki_chan_take(chan, item, &woken);

    hki_chan_unlock_rest(chan, has_sides);
    if (woken)
        hk_wake(woken, 0);
    return rc;
}

/*
 * Senders and receivers on their sides need no gate, so room or an item may have come
 * since the attempt found none. Then the wait is over before it began: this side does
 * what the other party would have done.
 */
static void case_enqueue_send(void *object, hk_waiter *w)
{
    hk_chan *chan = object;
    bool has_sides = hki_chan_lock_rest(chan, hki_self());

    if (hki_chan_items(chan) == chan->capacity) {
        hki_chan_queue(chan, &chan->senders, w);
    } else if (hk_waiter_claim(w)) {
        hki_ring_put(chan, hki_chan_mine(&chan->put), w->data, chan->item_size);
        hk_wake(w, 0);
    }
    hki_chan_unlock_rest(chan, has_sides);
}

static void case_enqueue_recv(void *object, hk_waiter *w)
{
    hk_chan *chan = object;
    bool has_sides = hki_chan_lock_rest(chan, hki_self());

    if (hki_chan_items(chan) == 0) {
        hki_chan_queue(chan, &chan->receivers, w);
    } else if (hk_waiter_claim(w)) {
        hki_ring_take(chan, hki_chan_mine(&chan->taken), w->data, chan->item_size);
        hk_wake(w, 0);
    }
    hki_chan_unlock_rest(chan, has_sides);
}

static void case_dequeue_send(void *object, hk_waiter *w)
{
    hk_chan *chan = object;
    bool has_sides = hki_chan_lock_rest(chan, hki_self());

    (void)hki_queue_remove(&chan->senders, w);
    hki_chan_unlock_rest(chan, has_sides);
}

static void case_dequeue_recv(void *object, hk_waiter *w)
{
    hk_chan *chan = object;
    bool has_sides = hki_chan_lock_rest(chan, hki_self());

    (void)hki_queue_remove(&chan->receivers, w);
    hki_chan_unlock_rest(chan, has_sides);
}

const hk_waitable hk_chan_sending = {
    .kind = &hki_chan_send_kind,
    .lock = case_lock,
    .attempt = case_attempt_send,
    .enqueue = case_enqueue_send,
    .dequeue = case_dequeue_send,
};

const hk_waitable hk_chan_receiving = {
    .kind = &hki_chan_recv_kind,
    .lock = case_lock,
    .attempt = case_attempt_recv,
    .enqueue = case_enqueue_recv,
    .dequeue = case_dequeue_recv,
};
