/* SPDX-License-Identifier: MIT */
/*
 * A many-producer, one-consumer inbox: producers push onto a lock-free stack, the
 * consumer takes the whole stack and turns it round, so that messages of one producer
 * arrive in order. A push is one compare-and-swap; it never fails and needs no memory.
 */
#ifndef HKI_BASE_MPSC_H
#define HKI_BASE_MPSC_H

#include <stdbool.h>
#include <stddef.h>

struct hki_mpsc_node {
    struct hki_mpsc_node *next;
};

struct hki_mpsc {
    struct hki_mpsc_node *top; /* atomic */
};

/* True when the inbox was empty: the consumer may have to be woken. */
static inline bool hki_mpsc_push(struct hki_mpsc *inbox, struct hki_mpsc_node *node)
{
    struct hki_mpsc_node *top = __atomic_load_n(&inbox->top, __ATOMIC_RELAXED);

    do
        node->next = top;
    while (!__atomic_compare_exchange_n(&inbox->top, &top, node, true, __ATOMIC_SEQ_CST,
                                        __ATOMIC_RELAXED));
    return !top;
}

static inline bool hki_mpsc_is_empty(const struct hki_mpsc *inbox)
{
    return !__atomic_load_n(&inbox->top, __ATOMIC_SEQ_CST);
}

/* Everything that was pushed, oldest first; NULL when empty. Consumer only. */
static inline struct hki_mpsc_node *hki_mpsc_take_all(struct hki_mpsc *inbox)
{
    struct hki_mpsc_node *node, *next, *oldest = NULL;

    if (!__atomic_load_n(&inbox->top, __ATOMIC_RELAXED))
        return NULL;
    node = __atomic_exchange_n(&inbox->top, NULL, __ATOMIC_ACQUIRE);
    for (; node; node = next) {
        next = node->next;
        node->next = oldest;
        oldest = node;
    }
    return oldest;
}

#endif
