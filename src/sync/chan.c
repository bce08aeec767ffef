/* SPDX-License-Identifier: MIT */
/* The calls of <hocket/chan.h>; how a channel is built is in chan.h. */
#include "sync/chan.h"

#include "base/alloc.h"

#include <hocket/task.h>

#include <stdio.h>

enum { ITEM_MAX = 1 << 20 };

/* ---- holding the whole channel ---- */

bool hki_chan_lock_rest(hk_chan *chan, const struct hki_self *self)
{
    bool has_sides = chan->capacity > 0;

    hki_bias_lock_taken(&chan->bias);
    if (hki_bias_is_owner(&chan->bias, self->worker))
        return false;
    if (has_sides) {
        hki_spin_acquire(&chan->recv_lock);
        hki_spin_acquire(&chan->send_lock);
    }
    hki_bias_visit(&chan->bias, self->worker);
    return has_sides;
}

enum hki_hold hki_chan_lock_whole(hk_chan *chan, const struct hki_self *self)
{
    hki_lock_acquire(&chan->gate.hki_word);
    return hki_chan_lock_rest(chan, self) ? HKI_BY_GATE_AND_SIDES : HKI_BY_GATE;
}

/* ---- the ring from one side ---- */

/* A reading of the other side's counter may be older than what was done since with the
 * whole channel held; it is never newer, so it errs towards full and towards empty. */
static inline bool has_room(hk_chan *chan, size_t put)
{
    if (put - chan->taken_seen >= chan->capacity)
        chan->taken_seen = hki_chan_theirs(&chan->taken);
    return put - chan->taken_seen < chan->capacity;
}

static inline bool has_items(hk_chan *chan, size_t taken)
{
    if ((ptrdiff_t)(chan->put_seen - taken) <= 0)
        chan->put_seen = hki_chan_theirs(&chan->put);
    return (ptrdiff_t)(chan->put_seen - taken) > 0;
}

/* With the senders' side held. True: done. False: it takes the whole channel. */
static inline bool put_aside(hk_chan *chan, const void *item, size_t size_bytes)
{
    size_t put = hki_chan_mine(&chan->put);

    if (chan->receivers.head || chan->closed || !has_room(chan, put))
        return false;
    hki_ring_put(chan, put, item, size_bytes);
    return true;
}

/* With the receivers' side held. */
static inline bool take_aside(hk_chan *chan, void *item, size_t size_bytes)
{
    size_t taken = hki_chan_mine(&chan->taken);

    if (chan->senders.head || !has_items(chan, taken))
        return false;
    hki_ring_take(chan, taken, item, size_bytes);
    return true;
}

/* Once the bias is over a ring is used from each side under its own lock. */
static inline bool has_sides(const hk_chan *chan)
{
    return chan->capacity > 0 && hki_bias_is_over(&chan->bias);
}

static inline bool put_locked(hk_chan *chan, const void *item)
{
    bool done;

    hki_spin_acquire(&chan->send_lock);
    done = put_aside(chan, item, chan->item_size);
    hki_spin_release(&chan->send_lock);
    return done;
}

static inline bool take_locked(hk_chan *chan, void *item)
{
    bool done;

    hki_spin_acquire(&chan->recv_lock);
    done = take_aside(chan, item, chan->item_size);
    hki_spin_release(&chan->recv_lock);
    return done;
}

/* ---- waiting ---- */

static void describe(const void *object, char *text, size_t size)
{
    const hk_chan *chan = object;

    const char *quote = chan->name ? "'" : "";

    (void)snprintf(text, size, "%s%s%s%scapacity %zu, %zu items", quote,
                   chan->name ? chan->name : "", quote, chan->name ? ", " : "",
                   chan->capacity, hki_chan_items(chan));
}

static size_t the_one(const hk_holder *who, hk_holder *out, size_t max)
{
    hk_holder one = __atomic_load_n(who, __ATOMIC_RELAXED);

    if (one && max > 0)
        out[0] = one;
    return one ? 1 : 0;
}

static size_t last_sender(const void *object, hk_holder *out, size_t max)
{
    return the_one(&((const hk_chan *)object)->sender, out, max);
}

static size_t last_receiver(const void *object, hk_holder *out, size_t max)
{
    return the_one(&((const hk_chan *)object)->receiver, out, max);
}

const hk_wait_kind hki_chan_send_kind = {
    .name = "channel send",
    .describe = describe,
    .holders = last_receiver,
    .holders_are_guessed = true,
};

const hk_wait_kind hki_chan_recv_kind = {
    .name = "channel receive",
    .describe = describe,
    .holders = last_sender,
    .holders_are_guessed = true,
};

static hk_waiter_queue *queue_of(hk_chan *chan, const hk_wait_kind *kind)
{
    return kind == &hki_chan_send_kind ? &chan->senders : &chan->receivers;
}

static hk_verdict wait_abort(hk_waiter *w)
{
    hk_chan *chan = (hk_chan *)w->object;
    enum hki_hold hold = hki_chan_hold(chan, hki_self());
    bool removed = hki_queue_remove(queue_of(chan, w->kind), w);

    hki_chan_drop(chan, hold);
    return removed ? HK_ABORTED : HK_PENDING;
}

/*
 * Queues and parks; drops the channel, which must be held whole, in between. Senders
 * and receivers share this frame, and their calls end with a jump to it: a processor
 * predicts a return by the last call, which after a switch was another task's.
 */
static __attribute__((noinline)) int wait_for_other(hk_chan *chan, enum hki_hold hold,
                                                    const hk_wait_kind *kind,
                                                    void *item)
{
    hk_waiter w;

    hki_waiter_arm(&w, hki_self(), kind, chan);
    w.data = item;
    hki_chan_queue(chan, queue_of(chan, kind), &w);
    hki_chan_drop(chan, hold);
    return hk_park(&w, wait_abort);
}

/* ---- send and receive: the common case first, each rarer one behind a jump ---- */

static __attribute__((noinline, cold)) int yield_by_budget(struct hki_self *self)
{
    hki_self_exhausted(self);
    return 0;
}

static inline int done_at_once(struct hki_self *self)
{
    return HKI_LIKELY(--self->budget) ? 0 : yield_by_budget(self);
}

static inline bool has_attention(const struct hki_self *self)
{
    return __atomic_load_n(&self->attention, __ATOMIC_RELAXED);
}

static inline int finish(hk_chan *chan, enum hki_hold hold, struct hki_self *self,
                         hk_waiter *woken, int rc)
{
    hki_chan_drop(chan, hold);
    if (woken)
        hk_wake(woken, 0);
    hki_spend(self);
    return rc;
}

static __attribute__((noinline)) int send_whole(hk_chan *chan, const void *item,
                                                struct hki_self *self,
                                                enum hki_hold hold)
{
    hk_waiter *woken = NULL;
    int rc = hki_chan_put(chan, item, &woken);

    __atomic_store_n(&chan->sender, self, __ATOMIC_RELAXED);
    if (rc == -EAGAIN)
        return wait_for_other(chan, hold, &hki_chan_send_kind, (void *)item);
    return finish(chan, hold, self, woken, rc);
}

static __attribute__((noinline)) int send_shared(hk_chan *chan, const void *item,
                                                 struct hki_self *self)
{
    if (has_sides(chan) && put_locked(chan, item))
        return done_at_once(self);
    return send_whole(chan, item, self, hki_chan_lock_whole(chan, self));
}

static __attribute__((noinline)) int send_attentive(hk_chan *chan, const void *item)
{
    struct hki_self *self = hki_self();
    int rc = hki_enter(self);

    if (rc < 0)
        return rc;
    return send_whole(chan, item, self, hki_chan_hold(chan, self));
}

int hk_chan_send(hk_chan *chan, const void *item)
{
    struct hki_self *self = hki_self_current;

    if (HKI_UNLIKELY(!self || has_attention(self)))
        return send_attentive(chan, item);
    if (!hki_bias_enter(&chan->bias, self->worker))
        return send_shared(chan, item, self);
    if (chan->item_size != 8 || !put_aside(chan, item, 8))
        return send_whole(chan, item, self, HKI_BY_BIAS);
    hki_bias_leave(&chan->bias);
    return done_at_once(self);
}

static __attribute__((noinline)) int recv_whole(hk_chan *chan, void *item,
                                                struct hki_self *self,
                                                enum hki_hold hold)
{
    hk_waiter *woken = NULL;
    int rc = hki_chan_take(chan, item, &woken);

    __atomic_store_n(&chan->receiver, self, __ATOMIC_RELAXED);
    if (rc == -EAGAIN)
        return wait_for_other(chan, hold, &hki_chan_recv_kind, item);
    return finish(chan, hold, self, woken, rc);
}

static __attribute__((noinline)) int recv_shared(hk_chan *chan, void *item,
                                                 struct hki_self *self)
{
    if (has_sides(chan) && take_locked(chan, item))
        return done_at_once(self);
    return recv_whole(chan, item, self, hki_chan_lock_whole(chan, self));
}

static __attribute__((noinline)) int recv_attentive(hk_chan *chan, void *item)
{
    struct hki_self *self = hki_self();
    int rc = hki_enter(self);

    if (rc < 0)
        return rc;
    return recv_whole(chan, item, self, hki_chan_hold(chan, self));
}

int hk_chan_recv(hk_chan *chan, void *item)
{
    struct hki_self *self = hki_self_current;

    if (HKI_UNLIKELY(!self || has_attention(self)))
        return recv_attentive(chan, item);
    if (!hki_bias_enter(&chan->bias, self->worker))
        return recv_shared(chan, item, self);
    if (chan->item_size != 8 || !take_aside(chan, item, 8))
        return recv_whole(chan, item, self, HKI_BY_BIAS);
    hki_bias_leave(&chan->bias);
    return done_at_once(self);
}

int hk_chan_try_send(hk_chan *chan, const void *item)
{
    hk_waiter *woken = NULL;
    enum hki_hold hold;
    int rc;

    if (has_sides(chan) && put_locked(chan, item))
        return 0;
    hold = hki_chan_hold(chan, hki_self());
    rc = hki_chan_put(chan, item, &woken);
    hki_chan_drop(chan, hold);
    if (woken)
        hk_wake(woken, 0);
    return rc;
}

int hk_chan_try_recv(hk_chan *chan, void *item)
{
    hk_waiter *woken = NULL;
    enum hki_hold hold;
    int rc;

    if (has_sides(chan) && take_locked(chan, item))
        return 0;
    hold = hki_chan_hold(chan, hki_self());
    rc = hki_chan_take(chan, item, &woken);
    hki_chan_drop(chan, hold);
    if (woken)
        hk_wake(woken, 0);
    return rc;
}

/* ---- life ---- */

int hk_chan_new(size_t item_size_bytes, size_t capacity, hk_chan **out)
{
    size_t slots_size;
    hk_chan *chan;
    char *block;

    if (item_size_bytes > ITEM_MAX)
        return -EINVAL;
    if (__builtin_mul_overflow(item_size_bytes, capacity, &slots_size) ||
        slots_size > PTRDIFF_MAX - sizeof(*chan) - HKI_CACHE_LINE ||
        capacity > PTRDIFF_MAX)
        return -ENOMEM;
    block = hki_alloc(sizeof(*chan) + HKI_CACHE_LINE + slots_size);
    if (!block)
        return -ENOMEM;
    chan = (hk_chan *)(void *)(block + (-(uintptr_t)block & (HKI_CACHE_LINE - 1)));
    chan->capacity = capacity;
    chan->item_size = item_size_bytes;
    chan->slots = chan->put_at = chan->take_at = (unsigned char *)(chan + 1);
    chan->slots_end = chan->slots + slots_size;
    chan->block = block;
    hki_bias_init(&chan->bias);
    *out = chan;
    return 0;
}

static const char *name_of(const hk_chan *chan)
{
    return chan->name ? chan->name : "unnamed";
}

static _Noreturn __attribute__((cold, noinline)) void panic_free(
    const hk_chan *chan, const hk_wait_kind *kind, const hk_waiter *waiter)
{
    if (waiter->leader)
        waiter = waiter->leader;
    hki_panic("hk_chan_free: '%s' frees channel '%s' (%p) while '%s' waits in a %s",
              hk_task_name(), name_of(chan), (const void *)chan,
              waiter->hki_callback ? "a callback" : hki_self_name(waiter->hki_target),
              kind->name);
}

void hk_chan_free(hk_chan *chan)
{
    if (!chan)
        return;
    /* Held, and never dropped: whoever was on the way out has left. */
    (void)hki_chan_hold(chan, hki_self());
    if (chan->receivers.head)
        panic_free(chan, &hki_chan_recv_kind, chan->receivers.head);
    if (chan->senders.head)
        panic_free(chan, &hki_chan_send_kind, chan->senders.head);
    hki_free(chan->block);
}

void hk_chan_set_name(hk_chan *chan, const char *name)
{
    chan->name = name;
}

void hk_chan_close(hk_chan *chan)
{
    enum hki_hold hold = hki_chan_hold(chan, hki_self());
    hk_waiter *receivers, *senders;

    if (chan->closed)
        hki_panic("hk_chan_close: '%s' closes channel '%s' (%p), which is closed",
                  hk_task_name(), name_of(chan), (void *)chan);
    __atomic_store_n(&chan->closed, true, __ATOMIC_RELEASE);
    receivers = hki_queue_take_all(&chan->receivers);
    senders = hki_queue_take_all(&chan->senders);
    hki_chan_drop(chan, hold);
    hki_queue_wake_all(receivers, -EPIPE);
    hki_queue_wake_all(senders, -EPIPE);
}

size_t hk_chan_count(const hk_chan *chan)
{
    return hki_chan_items(chan);
}

size_t hk_chan_capacity(const hk_chan *chan)
{
    return chan->capacity;
}

bool hk_chan_is_closed(const hk_chan *chan)
{
    return __atomic_load_n(&chan->closed, __ATOMIC_ACQUIRE);
}

void hk_chan_stats(const hk_chan *chan, hk_chan_status *out_status)
{
    enum hki_hold hold = hki_chan_hold((hk_chan *)chan, hki_self());

    *out_status = (hk_chan_status){.items = hki_chan_items(chan),
                                   .capacity = chan->capacity,
                                   .senders = hki_queue_length(&chan->senders),
                                   .receivers = hki_queue_length(&chan->receivers),
                                   .contended = chan->contended,
                                   .is_closed = chan->closed};
    hki_chan_drop((hk_chan *)chan, hold);
}
