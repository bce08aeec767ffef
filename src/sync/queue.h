/* SPDX-License-Identifier: MIT */
/*
 * The waiter queue of <hocket/waiter.h>, inline, for the primitives in this folder: the
 * same lists (linear, doubly linked, ends are NULL), so both kinds of calls may be
 * mixed. A waiter that is in no queue has NULL links and is nobody's head.
 */
#ifndef HKI_SYNC_QUEUE_H
#define HKI_SYNC_QUEUE_H

#include <hocket/waiter.h>

static inline void hki_queue_push(hk_waiter_queue *queue, hk_waiter *w)
{
    w->next = NULL;
    w->prev = queue->tail;
    if (queue->tail)
        queue->tail->next = w;
    else
        queue->head = w;
    queue->tail = w;
}

/* For who was woken in vain and must not lose its place. */
static inline void hki_queue_push_front(hk_waiter_queue *queue, hk_waiter *w)
{
    w->prev = NULL;
    w->next = queue->head;
    if (queue->head)
        queue->head->prev = w;
    else
        queue->tail = w;
    queue->head = w;
}

static inline void hki_queue_unlink(hk_waiter_queue *queue, hk_waiter *w)
{
    if (w->prev)
        w->prev->next = w->next;
    else
        queue->head = w->next;
    if (w->next)
        w->next->prev = w->prev;
    else
        queue->tail = w->prev;
    w->next = w->prev = NULL;
}

static inline bool hki_queue_remove(hk_waiter_queue *queue, hk_waiter *w)
{
    if (!w->prev && queue->head != w)
        return false;
    hki_queue_unlink(queue, w);
    return true;
}

static inline hk_waiter *hki_queue_pop(hk_waiter_queue *queue)
{
    hk_waiter *w = queue->head;

    if (!w)
        return NULL;
    queue->head = w->next;
    if (w->next)
        w->next->prev = NULL;
    else
        queue->tail = NULL;
    w->next = NULL; /* and prev is, since it was the head */
    return w;
}

/*
 * The oldest that is still to be had. Waiters of a select that another case has ended
 * are dropped on the way: their owner finds them gone and does not mind.
 */
static inline hk_waiter *hki_queue_pop_claimed(hk_waiter_queue *queue)
{
    hk_waiter *w = hki_queue_pop(queue);

    while (w && !hk_waiter_claim(w))
        w = hki_queue_pop(queue);
    return w;
}

/* Takes out everybody who is still to be had, linked by `next`, in order. */
static inline hk_waiter *hki_queue_take_all(hk_waiter_queue *queue)
{
    hk_waiter *first = NULL, **end = &first;

    for (hk_waiter *w; (w = hki_queue_pop_claimed(queue)); end = &w->next)
        *end = w;
    *end = NULL;
    return first;
}

/* For statistics. */
static inline uint32_t hki_queue_length(const hk_waiter_queue *queue)
{
    uint32_t n = 0;

    for (const hk_waiter *w = queue->head; w; w = w->next)
        n++;
    return n;
}

/*
 * Wakes a list of popped waiters, linked by `next`, in order. Each may be gone as soon
 * as it is woken, and with it the primitive: so this is the caller's last act.
 */
static inline void hki_queue_wake_all(hk_waiter *first, int result)
{
    while (first) {
        hk_waiter *w = first;

        first = w->next;
        hk_wake(w, result);
    }
}

#endif
