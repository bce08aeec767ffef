/* SPDX-License-Identifier: MIT */
/*
 * Channels: queues of items of one size between tasks of any worker and plain threads.
 * Many senders, many receivers, in order of arrival. Capacity 0 is a rendezvous: a
 * send returns when a receiver has the item.
 *
 *     hk_chan *c;
 *     int rc = hk_chan_new(sizeof(int), 16, &c);
 *     hk_chan_send(c, &item);      (one side)
 *     hk_chan_recv(c, &item);      (the other)
 *     hk_chan_close(c);            (receivers drain, then get -EPIPE)
 *     hk_chan_free(c);
 */
#ifndef HOCKET_CHAN_H
#define HOCKET_CHAN_H

#include <hocket/waiter.h>

HK_BEGIN_DECLS

typedef struct hk_chan hk_chan;

/*
 * A channel of `capacity` items of `item_size_bytes` (0: only signals; at most 1 MiB).
 * Returns: 0, -EINVAL, -ENOMEM. Owns: the caller frees it with hk_chan_free.
 */
HK_API int hk_chan_new(size_t item_size_bytes, size_t capacity, hk_chan **out);

/* Frees it with the items left in it. NULL is fine. Someone waiting on it: panic. */
HK_API void hk_chan_free(hk_chan *chan);

/* A name for dumps, borrowed. */
HK_API void hk_chan_set_name(hk_chan *chan, const char *name);

/*
 * Sends a copy of `*item`; waits while the channel is full.
 * Cancel:  atomic: -ECANCELED means not sent, and no receiver has it.
 * Returns: 0, -ECANCELED, -EPIPE (closed), -EDEADLK.
 */
HK_API HK_WARN_UNUSED int hk_chan_send(hk_chan *chan, const void *item);

/*
 * Receives into `*item`; waits while the channel is empty.
 * Cancel:  atomic: -ECANCELED means that no item was taken.
 * Returns: 0, -ECANCELED, -EPIPE (closed, and all items drained), -EDEADLK.
 */
HK_API HK_WARN_UNUSED int hk_chan_recv(hk_chan *chan, void *item);

/* The same without waiting: -EAGAIN when full or empty. Not cancel points. */
HK_API HK_WARN_UNUSED int hk_chan_try_send(hk_chan *chan, const void *item);
HK_API HK_WARN_UNUSED int hk_chan_try_recv(hk_chan *chan, void *item);

/*
 * No more sends: waiting and later senders get -EPIPE, receivers the items that are
 * left and then -EPIPE. Never blocks. Closing twice panics.
 */
HK_API void hk_chan_close(hk_chan *chan);

/* Items in it now, its capacity, and whether it was closed. */
HK_API size_t hk_chan_count(const hk_chan *chan);
HK_API size_t hk_chan_capacity(const hk_chan *chan);
HK_API bool hk_chan_is_closed(const hk_chan *chan);

/* What a channel can tell about itself; a snapshot. */
typedef struct hk_chan_status {
    size_t items;       /* in it now */
    size_t capacity;    /* of them */
    uint32_t senders;   /* that wait now, cases of a select among them */
    uint32_t receivers; /* that wait now */
    uint64_t
        contended; /* times that a sender or receiver had to wait since it was made */
    bool is_closed;
    uint64_t reserved[2];
} hk_chan_status;

/*
 * Takes the channel's short lock: never blocks for long, any task or thread. But a
 * channel that one worker alone has used takes no lock at all, and who asks from
 * elsewhere puts an end to that.
 */
HK_API void hk_chan_stats(const hk_chan *chan, hk_chan_status *out_status);

HK_END_DECLS

#endif
