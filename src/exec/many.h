/* SPDX-License-Identifier: MIT */
/*
 * Waiting for several futures. Each is observed in a slot; who sets one appends its
 * slot to the list of those that are done, and wakes the one who waits, when that is
 * enough for him. So a wait for many costs its futures once, however often it is asked.
 */
#ifndef HKI_EXEC_MANY_H
#define HKI_EXEC_MANY_H

#include "exec/future.h"

struct hki_slot {
    struct hki_observer observer;
    struct hki_watch_many *many;
    hk_future *future;     /* NULL: the slot is free; owner only */
    struct hki_slot *next; /* in the list of those that are done */
};

struct hki_watch_many {
    hk_lock lock;          /* guards the next ones; taken after a future's lock */
    uint64_t done, failed; /* how many, ever */
    struct hki_slot *oldest, *newest; /* done, in order, and not yet taken */
    hk_waiter *waiter;
    /* Written by who waits, while nobody does: when he is woken. */
    uint64_t done_wanted, failed_wanted;
    uint64_t taken; /* owner only */
    uint32_t slot_count;
    struct hki_slot slots[];
};

/* NULL: no memory. */
struct hki_watch_many *hki_many_new(size_t slot_count);
/* `future` must stay until it is taken, or until the free. */
void hki_many_watch(struct hki_watch_many *many, size_t slot, hk_future *future);
/* Waits until so many are done or have failed; 0, -ECANCELED, -EDEADLK. */
int hki_many_wait(struct hki_watch_many *many, uint64_t done, uint64_t failed);
/* Waits for one more, and takes it: the index of its slot, free again; or as above. */
long hki_many_take(struct hki_watch_many *many);
void hki_many_free(struct hki_watch_many *many);

#endif
