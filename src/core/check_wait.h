/* SPDX-License-Identifier: MIT */
/*
 * Who waits for whom: the waits for locks and joins, and the search for a cycle among
 * them. There are two such graphs: the one in which everybody registers who parks while
 * the checks are on (check_park.c), and the one that the census makes of all waits when
 * it has proven that nobody can go on (deadlock.c).
 */
#ifndef HKI_CORE_CHECK_WAIT_H
#define HKI_CORE_CHECK_WAIT_H

#include "core/check.h"

enum { HKI_WAIT_BUCKETS = 1024 };

/* A task or thread that waits, and does nothing else until it is out of the graph. */
struct hki_wait {
    struct hki_self *self;
    const hk_waiter *waiter; /* NULL: a joiner whose stack is lent to a child */
    const hk_scope *joins;   /* NULL: it waits for something else */
    const hk_scope *parent;  /* the scope that must wait for it; NULL: none */
    uint64_t age;            /* the greater, the younger */
    bool can_undo;
    bool is_ending;                  /* it was told to; it is in no cycle any more */
    bool is_named;                   /* in a report */
    const struct hki_frames *frames; /* NULL: read its stack, which is parked */
    /* of the graph */
    struct hki_wait *next_self, **link_self;
    struct hki_wait *next_sibling, **link_sibling;
    /* of a search */
    uint64_t search;
    struct hki_wait *queued; /* the next to be looked at */
    struct hki_wait *by;     /* it was found as one whom this one waits for */
};

/* Valid when zeroed. Guarded by its owner. */
struct hki_wait_graph {
    struct hki_wait *by_self[HKI_WAIT_BUCKETS];
    struct hki_wait *by_parent[HKI_WAIT_BUCKETS];
    uint64_t search; /* the number of the last one */
    uint64_t steps;  /* of all searches: what they cost */
};

/* Fills in what `self` and the waiter tell; the rest is zero. */
void hki_wait_fill(struct hki_wait *wait, struct hki_self *self, const hk_waiter *w);

void hki_wait_add(struct hki_wait_graph *graph, struct hki_wait *wait);
void hki_wait_remove(struct hki_wait *wait);
struct hki_wait *hki_wait_find(const struct hki_wait_graph *graph, hk_holder self);

/*
 * True when `start` waits, by way of others, for itself. Then the cycle is along `by`,
 * backwards: start->by waits for start. `all`: also by ways that only may hold, since
 * another holder of a permit could end the wait.
 */
bool hki_wait_closes_cycle(struct hki_wait_graph *graph, struct hki_wait *start,
                           bool all);

/* The youngest of the cycle of `start` that can be undone; NULL: none. */
struct hki_wait *hki_wait_victim(struct hki_wait *start);

/* Writes the cycle of `start`, in the order in which they wait, with stacks. */
void hki_wait_add_cycle(struct hki_report *report, struct hki_wait *start);

/* "deadlock: -EDEADLK goes to task 'x', which waits for ..." */
void hki_wait_add_victim(struct hki_report *report, const struct hki_self *victim,
                         const hk_waiter *waiter);

#endif
