/* SPDX-License-Identifier: MIT */
/*
 * Channels. Three ways into one, from the cheapest to the one that can do everything:
 *
 *     bias     Only one worker has used the channel so far: no lock at all (bias.h).
 *     a side   Senders share one lock, receivers another, and a ring between them whose
 *              two counters are atomic: on two workers neither side waits for the
 *              other, and each reads the other's counter only when its last reading is
 *              used up. Enough while nobody waits and the channel is open.
 *     whole    The gate, then both sides: hand-over, parking, close. The gate is what a
 *              select holds of all its channels at once.
 *
 * What is written with the whole channel held (the queues, `closed`) may be read with
 * either side's lock: so a sender that sees no receiver queued cannot miss one.
 *
 * Invariants, with the whole channel held: a queued receiver (one that can still be
 * had) means an empty ring; a queued sender means a full ring; once closed, both queues
 * are empty. Capacity 0 has no ring, and the gate alone is the whole.
 *
 * Who received the last item may free the channel while its sender is still leaving:
 * hk_chan_free takes the whole channel, and leaving ends with the release of a lock.
 */
#ifndef HKI_SYNC_CHAN_H
#define HKI_SYNC_CHAN_H

#include "core/self_inline.h"
#include "sync/bias.h"
#include "sync/queue.h"
#include "base/spin.h"

#include <hocket/chan.h>

#include <string.h>

enum { HKI_CACHE_LINE = 64 };

struct hk_chan {
    /* immutable; but for name: by who owns the channel */
    size_t capacity;
    size_t item_size;
    unsigned char *slots, *slots_end;
    void *block; /* what was allocated: the channel is aligned inside */
    const char *name;
    struct hki_bias bias;

    /* written with the whole channel held, read with a side's lock */
    _Alignas(HKI_CACHE_LINE) hk_lock gate;
    bool closed; /* atomic for hk_chan_is_closed */
    /* Who sent and who received last with the whole channel, as far as anybody would
     * have to wait for them: for the report of a deadlock. Atomic; may be gone. */
    hk_holder sender, receiver;
    hk_waiter_queue receivers;
    hk_waiter_queue senders;
    uint64_t contended; /* how many were ever queued */

    /* the receivers' side, guarded by recv_lock */
    _Alignas(HKI_CACHE_LINE) struct hki_spin recv_lock;
    size_t taken;           /* items ever taken from the ring; atomic, for senders */
    size_t put_seen;        /* `put` when last read */
    unsigned char *take_at; /* slot of the next */

    /* the senders' side, guarded by send_lock */
    _Alignas(HKI_CACHE_LINE) struct hki_spin send_lock;
    size_t put; /* items ever put into the ring; atomic, for receivers */
    size_t taken_seen;
    unsigned char *put_at;
};

/* ---- items ---- */

/* `size_bytes` is the channel's; a constant where the caller has looked. */
static inline void hki_chan_copy(void *to, const void *from, size_t size_bytes)
{
    if (size_bytes == 8)
        memcpy(to, from, 8);
    else if (size_bytes)
        memcpy(to, from, size_bytes);
}

static inline size_t hki_chan_mine(const size_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* The other side's: pairs with hki_chan_publish, so the slots that it left are ours. */
static inline size_t hki_chan_theirs(const size_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_ACQUIRE);
}

static inline void hki_chan_publish(size_t *counter, size_t value)
{
    __atomic_store_n(counter, value, __ATOMIC_RELEASE);
}

static inline unsigned char *hki_ring_next(const hk_chan *chan, unsigned char *at,
                                           size_t size_bytes)
{
    at += size_bytes;
    return at == chan->slots_end ? chan->slots : at;
}

/* Into the ring. The senders' side must be held, and there must be room. */
static inline void hki_ring_put(hk_chan *chan, size_t put, const void *item,
                                size_t size_bytes)
{
    unsigned char *at = chan->put_at;

    hki_chan_copy(at, item, size_bytes);
    chan->put_at = hki_ring_next(chan, at, size_bytes);
    hki_chan_publish(&chan->put, put + 1);
}

/* Out of it. The receivers' side must be held, and there must be an item. */
static inline void hki_ring_take(hk_chan *chan, size_t taken, void *item,
                                 size_t size_bytes)
{
    unsigned char *at = chan->take_at;

    hki_chan_copy(item, at, size_bytes);
    chan->take_at = hki_ring_next(chan, at, size_bytes);
    hki_chan_publish(&chan->taken, taken + 1);
}

static inline size_t hki_chan_items(const hk_chan *chan)
{
    size_t taken = hki_chan_theirs(&chan->taken);
    size_t items = hki_chan_theirs(&chan->put) - taken;

    /* More were taken and put between the two readings. */
    return items < chan->capacity ? items : chan->capacity;
}

/* ---- with the whole channel held ---- */

/* 0, -EPIPE, or -EAGAIN: full. `*out_woken`: a receiver that has the item now, to be
 * woken when the channel is released. */
static inline int hki_chan_put(hk_chan *chan, const void *item, hk_waiter **out_woken)
{
    size_t put = hki_chan_mine(&chan->put);

    if (HKI_UNLIKELY(chan->closed))
        return -EPIPE;
    if (chan->receivers.head) {
        hk_waiter *w = hki_queue_pop_claimed(&chan->receivers);

        if (w) {
            hki_chan_copy(w->data, item, chan->item_size);
            *out_woken = w;
            return 0;
        }
    }
    if (put - hki_chan_mine(&chan->taken) == chan->capacity)
        return -EAGAIN;
    hki_ring_put(chan, put, item, chan->item_size);
    return 0;
}

/* 0, -EPIPE (closed and drained), or -EAGAIN: empty. `*out_woken`: a sender whose item
 * is in the ring now, or was taken. */
static inline int hki_chan_take(hk_chan *chan, void *item, hk_waiter **out_woken)
{
    size_t taken = hki_chan_mine(&chan->taken);
    size_t put = hki_chan_mine(&chan->put);
    hk_waiter *w;

    if (put != taken) {
        hki_ring_take(chan, taken, item, chan->item_size);
        if (chan->senders.head && (w = hki_queue_pop_claimed(&chan->senders))) {
            hki_ring_put(chan, put, w->data, chan->item_size);
            *out_woken = w;
        }
        return 0;
    }
    if (chan->senders.head && (w = hki_queue_pop_claimed(&chan->senders))) {
        hki_chan_copy(item, w->data, chan->item_size);
        *out_woken = w;
        return 0;
    }
    return chan->closed ? -EPIPE : -EAGAIN;
}

static inline void hki_chan_queue(hk_chan *chan, hk_waiter_queue *queue, hk_waiter *w)
{
    chan->contended++;
    hki_queue_push(queue, w);
}

/* ---- holding the whole channel ---- */

/* The rest, when the gate is held. True: the sides were locked, for unlock_rest. */
bool hki_chan_lock_rest(hk_chan *chan, const struct hki_self *self);

static inline void hki_chan_unlock_rest(hk_chan *chan, bool has_sides)
{
    hki_bias_lock_leaves(&chan->bias);
    if (!has_sides)
        return;
    hki_spin_release(&chan->send_lock);
    hki_spin_release(&chan->recv_lock);
}

/* How the whole channel is held, for hki_chan_drop. */
enum hki_hold { HKI_BY_BIAS, HKI_BY_GATE, HKI_BY_GATE_AND_SIDES };

enum hki_hold hki_chan_lock_whole(hk_chan *chan, const struct hki_self *self);

static inline enum hki_hold hki_chan_hold(hk_chan *chan, const struct hki_self *self)
{
    if (hki_bias_enter(&chan->bias, self->worker))
        return HKI_BY_BIAS;
    return hki_chan_lock_whole(chan, self);
}

static inline void hki_chan_drop(hk_chan *chan, enum hki_hold hold)
{
    if (hold == HKI_BY_BIAS) {
        hki_bias_leave(&chan->bias);
        return;
    }
    hki_chan_unlock_rest(chan, hold == HKI_BY_GATE_AND_SIDES);
    hki_lock_release(&chan->gate.hki_word);
}

extern const hk_wait_kind hki_chan_send_kind, hki_chan_recv_kind;

#endif
