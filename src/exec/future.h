/* SPDX-License-Identifier: MIT */
/*
 * The inside of a future. The state word is atomic, and says:
 *
 *     SETTING  somebody has won the right to set it; only he writes rc and the result
 *     DONE     rc and result are there, for ever (release; pairs with the acquire of
 *              whoever reads them)
 *     WATCHED  somebody waits: whoever sets DONE holds the lock and tells them. Set
 *              with the lock held, before the waiter is queued; never cleared
 *
 * and, in the bits above, how many have waited so far, for statistics.
 *
 * Without WATCHED, DONE is set by compare-and-swap, which is then the last access; with
 * it, with the lock held. Who sets WATCHED holds the lock and, when he finds DONE, does
 * not queue. So nobody is forgotten, and a future that nobody waits for is set without
 * a lock. Who sets a future needs no reference of it: the last one, which may be given
 * back as soon as DONE is seen, waits for the lock.
 */
#ifndef HKI_EXEC_FUTURE_H
#define HKI_EXEC_FUTURE_H

#include <hocket/future.h>

enum hki_future_state {
    HKI_FUTURE_SETTING = 1 << 0,
    HKI_FUTURE_DONE = 1 << 1,
    HKI_FUTURE_WATCHED = 1 << 2,
    HKI_FUTURE_ONE_WAIT = 1 << 3, /* added for each */
};

enum { HKI_FUTURE_INLINE = 32 }; /* bytes of a result that need no own memory */

/*
 * Told when a future is done: `done` is called by who sets it, with the future's lock
 * held: must not wait, nor touch that future. For who waits for several.
 */
struct hki_observer {
    struct hki_observer *next, **link; /* link is NULL while it is not queued */
    void (*done)(struct hki_observer *observer, hk_future *future);
};

struct hki_future_kind {
    const char *name; /* for dumps: "waits for future (...)" */
    /* Who could set it, as hk_wait_kind.holders; NULL: not known. */
    size_t (*holders)(const hk_future *future, hk_holder *out, size_t max);
    /* Passes a cancel on; NULL: the future itself is cancelled. */
    int (*cancel)(hk_future *future, hk_cancel_how how);
    /* The last reference has gone: frees what the record owns, and the record. */
    void (*free)(hk_future *future);
    size_t
        small; /* offset of HKI_FUTURE_INLINE bytes for a result; 0: there are none */
};

struct hk_future {
    uint32_t state; /* atomic */
    uint32_t refs;  /* atomic; 0: a static one, never freed */
    hk_lock lock;   /* guards the next two */
    int32_t rc;     /* valid once DONE, as the next ones */
    hk_waiter_queue waiters;
    struct hki_observer *observers;
    const struct hki_future_kind *kind; /* immutable */
    void *data;                         /* the result; these are set before DONE */
    size_t size;
    void (*release)(void *data, size_t size, void *ctx); /* NULL: nothing to do */
    void *release_ctx;
};

static inline void hki_future_no_result(hk_future *future)
{
    future->data = NULL;
    future->size = 0;
    future->release = NULL;
    future->release_ctx = NULL;
}

/* All but the result. */
static inline void hki_future_begin(hk_future *future, uint32_t state, uint32_t refs,
                                    const struct hki_future_kind *kind)
{
    future->state = state;
    future->refs = refs;
    future->lock = (hk_lock){0};
    future->rc = 0;
    future->waiters = (hk_waiter_queue){NULL, NULL};
    future->observers = NULL;
    future->kind = kind;
}

static inline void hki_future_init(hk_future *future,
                                   const struct hki_future_kind *kind, uint32_t refs)
{
    hki_future_begin(future, 0, refs, kind);
    hki_future_no_result(future);
}

/* Frees the result. The record may be freed then. */
void hki_future_fini(hk_future *future);

/* A `release` for memory of hki_alloc. */
void hki_release_heap(void *data, size_t size, void *ctx);

/* Who could set it; 0 when it is done. */
size_t hki_future_holders(const hk_future *future, hk_holder *out, size_t max);

/* True: the caller alone sets it now, and calls hki_future_finish. */
bool hki_future_claim(hk_future *future);
/* A copy of the result. 0 or -ENOMEM. */
int hki_future_store(hk_future *future, const void *data, size_t size);
/* Done, from now on; tells who waits. The future may be gone afterwards. */
void hki_future_finish(hk_future *future, int rc);

static inline bool hki_future_is_done(const hk_future *future)
{
    return __atomic_load_n(&future->state, __ATOMIC_ACQUIRE) & HKI_FUTURE_DONE;
}

/* False: it is done, and `done` will not be called. */
bool hki_future_observe(hk_future *future, struct hki_observer *observer);
/* `done` has been called, or never will be; true: never will be. */
bool hki_future_unobserve(hk_future *future, struct hki_observer *observer);

/* The one that it is done as, if it stands on others: the shielded one, the one that
 * made a gather fail; else itself. It is done, and stays as long as this one. */
const hk_future *hki_future_origin(const hk_future *future);

/* The future that stands for "no memory": done, and never freed. */
hk_future *hki_future_no_memory(void);

#endif
