/* SPDX-License-Identifier: MIT */
/*
 * A bounded stream of jobs. Each one that is under way has a slot: in order they are a
 * ring; by completion, they are the slots of an hki_watch_many.
 */
#include <hocket/map.h>

#include "base/alloc.h"
#include "exec/future.h"
#include "exec/many.h"

#include <hocket/scope.h>

enum { AHEAD_MAX = 1000000 };

struct slot {
    hk_future *future; /* NULL: free */
    size_t index;      /* which one of the source it is */
};

struct hki_imap {
    hk_source_fn *source;
    void *ctx;
    struct hki_watch_many *many; /* NULL: in order */
    size_t ahead;
    size_t started, given;
    size_t free_slot; /* by completion: the next one, while all others are used */
    bool is_drained;  /* the source has no more */
    struct slot slots[];
};

int hk_imap_begin(hk_imap *it, hk_source_fn *source, void *ctx, size_t ahead,
                  hk_imap_order order)
{
    struct hki_imap *imap;

    *it = (hk_imap){0};
    if (ahead == 0 || ahead > AHEAD_MAX)
        return -EINVAL;
    imap = hki_alloc(sizeof(*imap) + ahead * sizeof(struct slot));
    if (!imap)
        return -ENOMEM;
    if (order == HK_UNORDERED) {
        imap->many = hki_many_new(ahead);
        if (!imap->many) {
            hki_free(imap);
            return -ENOMEM;
        }
    }
    imap->source = source;
    imap->ctx = ctx;
    imap->ahead = ahead;
    it->hki_imap = imap;
    return 0;
}

/* Until all slots have been used once they are used in turn; then the one that became
 * free, for one is given out before another is started. */
static size_t next_slot(const struct hki_imap *imap)
{
    if (imap->many && imap->started >= imap->ahead)
        return imap->free_slot;
    return imap->started % imap->ahead;
}

static void start(struct hki_imap *imap)
{
    size_t at = next_slot(imap);
    hk_future *future = imap->source(imap->ctx);

    imap->is_drained = !future;
    if (!future)
        return;
    imap->slots[at] = (struct slot){future, imap->started++};
    if (imap->many)
        hki_many_watch(imap->many, at, future);
}

/* Until the source was cancelled: what it would start from then on would be lost. */
static int fill(struct hki_imap *imap)
{
    int rc = hk_cancelled();

    while (rc == 0 && !imap->is_drained && imap->started - imap->given < imap->ahead) {
        start(imap);
        rc = hk_cancelled();
    }
    return rc;
}

/* The slot of the next one that is done; or why there is none. */
static long wait_for_one(struct hki_imap *imap)
{
    size_t at = imap->given % imap->ahead;
    int rc;

    if (imap->many)
        return hki_many_take(imap->many);
    rc = hk_future_await(imap->slots[at].future, NULL);
    return hki_future_is_done(imap->slots[at].future) ? (long)at : rc;
}

int hk_imap_next(hk_imap *it, hk_future **out, size_t *out_index)
{
    struct hki_imap *imap = it->hki_imap;
    int rc;
    long at;

    if (!imap)
        return -ENOMEM;
    rc = fill(imap);
    if (rc < 0)
        return rc;
    if (imap->given == imap->started)
        return 0;
    at = wait_for_one(imap);
    if (at < 0)
        return (int)at;
    *out = imap->slots[at].future;
    if (out_index)
        *out_index = imap->slots[at].index;
    imap->slots[at].future = NULL;
    imap->free_slot = (size_t)at;
    imap->given++;
    return 1;
}

void hk_imap_end(hk_imap *it)
{
    struct hki_imap *imap = it->hki_imap;

    if (!imap)
        return;
    it->hki_imap = NULL;
    if (imap->many)
        hki_many_free(imap->many);
    for (size_t i = 0; i < imap->ahead; i++)
        if (imap->slots[i].future) {
            (void)hk_future_cancel(imap->slots[i].future, HK_CANCEL);
            hk_future_free(imap->slots[i].future);
        }
    hki_free(imap);
}
