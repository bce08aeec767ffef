/* SPDX-License-Identifier: MIT */
/* Waiting for several futures; see exec/many.h. */
#include "exec/many.h"

#include "base/alloc.h"

#include <hocket/scope.h>

#include <inttypes.h>
#include <stdio.h>

static void describe(const void *object, char *text, size_t size)
{
    const struct hki_watch_many *many = object;

    (void)snprintf(text, size, "%" PRIu64 " of %u are done", many->done,
                   many->slot_count);
}

static const hk_wait_kind many_kind = {.name = "futures", .describe = describe};

/* With the lock. */
static bool is_enough(const struct hki_watch_many *many)
{
    return many->done >= many->done_wanted || many->failed >= many->failed_wanted;
}

/* With the lock: who waits, if that was enough. */
static hk_waiter *take_waiter(struct hki_watch_many *many)
{
    hk_waiter *w = many->waiter;

    if (!w || !is_enough(many))
        return NULL;
    many->waiter = NULL;
    return w;
}

static void append(struct hki_slot *slot, int rc)
{
    struct hki_watch_many *many = slot->many;
    hk_waiter *w;

    hk_lock_acquire(&many->lock);
    slot->next = NULL;
    if (many->oldest)
        many->newest->next = slot;
    else
        many->oldest = slot;
    many->newest = slot;
    many->done++;
    many->failed += rc < 0;
    w = take_waiter(many);
    hk_lock_release(&many->lock);
    if (w)
        hk_wake(w, 0);
}

static void slot_is_done(struct hki_observer *observer, hk_future *future)
{
    append((struct hki_slot *)(void *)observer, future->rc);
}

struct hki_watch_many *hki_many_new(size_t slot_count)
{
    struct hki_watch_many *many;

    if (slot_count > INT32_MAX)
        return NULL;
    many = hki_alloc(sizeof(*many) + slot_count * sizeof(struct hki_slot));
    if (many)
        many->slot_count = (uint32_t)slot_count;
    return many;
}

void hki_many_watch(struct hki_watch_many *many, size_t slot, hk_future *future)
{
    struct hki_slot *one = &many->slots[slot];

    one->many = many;
    one->future = future;
    one->observer.done = slot_is_done;
    if (!hki_future_observe(future, &one->observer))
        append(one, future->rc);
}

void hki_many_free(struct hki_watch_many *many)
{
    for (uint32_t i = 0; i < many->slot_count; i++)
        if (many->slots[i].future)
            (void)hki_future_unobserve(many->slots[i].future, &many->slots[i].observer);
    hki_free(many);
}

static hk_verdict many_abort(hk_waiter *w)
{
    struct hki_watch_many *many = (struct hki_watch_many *)w->object;
    bool waited;

    hk_lock_acquire(&many->lock);
    waited = many->waiter == w;
    many->waiter = NULL;
    hk_lock_release(&many->lock);
    return waited ? HK_ABORTED : HK_PENDING;
}

int hki_many_wait(struct hki_watch_many *many, uint64_t done, uint64_t failed)
{
    hk_waiter w;

    hk_lock_acquire(&many->lock);
    many->done_wanted = done;
    many->failed_wanted = failed;
    if (is_enough(many)) {
        hk_lock_release(&many->lock);
        return hk_budget();
    }
    hk_waiter_init(&w, &many_kind, many);
    many->waiter = &w;
    hk_lock_release(&many->lock);
    return hk_park(&w, many_abort);
}

long hki_many_take(struct hki_watch_many *many)
{
    struct hki_slot *slot;
    int rc = hki_many_wait(many, many->taken + 1, UINT64_MAX);

    if (rc < 0)
        return rc;
    many->taken++;
    hk_lock_acquire(&many->lock);
    slot = many->oldest;
    many->oldest = slot->next;
    hk_lock_release(&many->lock);
    slot->future = NULL;
    return slot - many->slots;
}

/* ---- hk_wait ---- */

static struct hki_watch_many *watch_all(hk_future *const *futures, size_t count)
{
    struct hki_watch_many *many = hki_many_new(count);

    for (size_t i = 0; many && i < count; i++)
        hki_many_watch(many, i, futures[i]);
    return many;
}

int hk_wait(hk_future *const *futures, size_t count, hk_wait_until until)
{
    struct hki_watch_many *many;
    int rc = hk_cancelled();

    if (rc < 0)
        return rc;
    many = watch_all(futures, count);
    if (!many)
        return -ENOMEM;
    rc = hki_many_wait(many, until == HK_UNTIL_FIRST && count ? 1 : many->slot_count,
                       until == HK_UNTIL_FAILED ? 1 : UINT64_MAX);
    if (rc == 0) {
        hk_lock_acquire(&many->lock);
        rc = (int)many->done;
        hk_lock_release(&many->lock);
    }
    hki_many_free(many);
    return rc;
}

/* ---- hk_as_completed ---- */

int hk_as_completed(hk_completed *it, hk_future *const *futures, size_t count)
{
    *it = (hk_completed){.hki_many = watch_all(futures, count)};
    if (!it->hki_many)
        it->hki_error = -ENOMEM;
    return it->hki_error;
}

long hk_completed_next(hk_completed *it)
{
    int rc = hk_cancelled();

    if (rc < 0)
        return rc;
    if (!it->hki_many)
        return it->hki_error;
    if (it->hki_many->taken == it->hki_many->slot_count)
        return -ENOENT;
    return hki_many_take(it->hki_many);
}

void hk_completed_end(hk_completed *it)
{
    if (it->hki_many)
        hki_many_free(it->hki_many);
    *it = (hk_completed){.hki_error = -ENOENT};
}
