/* SPDX-License-Identifier: MIT */
/* Futures and promises; the state word is explained in exec/future.h. */
#include "exec/future.h"

#include "exec/executor.h"

#include "base/alloc.h"
#include "base/annotate.h"
#include "base/assert.h"
#include "base/lock.h"

#include <hocket/scope.h>

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* ---- the state ---- */

void hki_future_fini(hk_future *future)
{
    if (future->release)
        future->release(future->data, future->size, future->release_ctx);
}

bool hki_future_claim(hk_future *future)
{
    return !(__atomic_fetch_or(&future->state, HKI_FUTURE_SETTING, __ATOMIC_ACQ_REL) &
             HKI_FUTURE_SETTING);
}

void hki_release_heap(void *data, size_t size, void *ctx)
{
    (void)size;
    (void)ctx;
    hki_free(data);
}

int hki_future_store(hk_future *future, const void *data, size_t size)
{
    void *place = (char *)future + future->kind->small;

    if (size > HKI_FUTURE_INLINE || !future->kind->small) {
        place = hki_alloc(size);
        if (!place)
            return -ENOMEM;
        future->release = hki_release_heap;
    }
    if (size)
        memcpy(place, data, size);
    future->data = place;
    future->size = size;
    return 0;
}

/* With the lock and DONE: who queues from now on finds that. */
static void tell_all(hk_future *future)
{
    struct hki_observer *observer;
    hk_waiter *w;

    while ((observer = future->observers)) {
        future->observers = observer->next;
        observer->link = NULL;
        observer->done(observer, future);
    }
    while ((w = hk_waiter_pop(&future->waiters)))
        if (hk_waiter_claim(w))
            hk_wake(w, future->rc);
}

/* False: it is watched. */
static bool finish_unwatched(hk_future *future)
{
    uint32_t state = __atomic_load_n(&future->state, __ATOMIC_RELAXED);

    while (!(state & HKI_FUTURE_WATCHED))
        if (__atomic_compare_exchange_n(&future->state, &state, state | HKI_FUTURE_DONE,
                                        false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            return true;
    return false;
}

void hki_future_finish(hk_future *future, int rc)
{
    future->rc = rc;
    HKI_HB_RELEASE(future); /* the result is seen by who awaits it */
    if (finish_unwatched(future))
        return;
    hk_lock_acquire(&future->lock);
    __atomic_fetch_or(&future->state, HKI_FUTURE_DONE, __ATOMIC_ACQ_REL);
    tell_all(future);
    hk_lock_release(&future->lock);
}

/* With the lock. False: it is done, nobody will tell. */
static bool watch(hk_future *future)
{
    if (__atomic_fetch_or(&future->state, HKI_FUTURE_WATCHED, __ATOMIC_ACQ_REL) &
        HKI_FUTURE_DONE)
        return false;
    __atomic_fetch_add(&future->state, HKI_FUTURE_ONE_WAIT, __ATOMIC_RELAXED);
    return true;
}

/* No call that makes a future gives NULL: it is a place that was never filled. */
static inline void check_there(const hk_future *future)
{
    if (HKI_UNLIKELY(!future))
        hki_panic("a future is NULL, where one is awaited, cancelled or stood on");
}

bool hki_future_observe(hk_future *future, struct hki_observer *observer)
{
    bool pending;

    check_there(future);
    hk_lock_acquire(&future->lock);
    observer->link = NULL;
    pending = watch(future);
    if (pending) {
        observer->next = future->observers;
        observer->link = &future->observers;
        if (observer->next)
            observer->next->link = &observer->next;
        future->observers = observer;
    }
    hk_lock_release(&future->lock);
    return pending;
}

bool hki_future_unobserve(hk_future *future, struct hki_observer *observer)
{
    bool queued;

    hk_lock_acquire(&future->lock);
    queued = observer->link;
    if (queued) {
        *observer->link = observer->next;
        if (observer->next)
            observer->next->link = observer->link;
        observer->link = NULL;
    }
    hk_lock_release(&future->lock);
    return queued;
}

/* ---- waiting ---- */

static void describe(const void *object, char *text, size_t size)
{
    const hk_future *future = object;

    (void)snprintf(text, size, "%s", future->kind->name);
}

/* Looks whether it is done after it has looked by whom: whoever that was may have ended
 * meanwhile, and another task have its record. */
size_t hki_future_holders(const hk_future *future, hk_holder *out, size_t max)
{
    size_t count = future->kind->holders ? future->kind->holders(future, out, max) : 0;

    return hki_future_is_done(future) ? 0 : count;
}

static size_t holders(const void *object, hk_holder *out, size_t max)
{
    return hki_future_holders(object, out, max);
}

static const hk_wait_kind await_kind = {
    .name = "future",
    .describe = describe,
    .holders = holders,
};

static hk_verdict await_abort(hk_waiter *w)
{
    hk_future *future = (hk_future *)w->object;
    bool removed;

    hk_lock_acquire(&future->lock);
    removed = hk_waiter_remove(&future->waiters, w);
    hk_lock_release(&future->lock);
    return removed ? HK_ABORTED : HK_PENDING;
}

int hk_future_try(hk_future *future, hk_bytes *out)
{
    if (!hki_future_is_done(future))
        return -EAGAIN;
    HKI_HB_ACQUIRE(future);
    if (out && future->rc >= 0)
        *out = (hk_bytes){future->data, future->size};
    return future->rc;
}

static int park(hk_future *future)
{
    hk_waiter w;

    hk_lock_acquire(&future->lock);
    if (!watch(future)) {
        hk_lock_release(&future->lock);
        return 0;
    }
    hk_waiter_init(&w, &await_kind, future);
    hk_waiter_push(&future->waiters, &w);
    hk_lock_release(&future->lock);
    return hk_park(&w, await_abort);
}

/* The caller is the job that sets it. */
static bool is_own(const hk_future *future)
{
    hk_holder runner;

    return hki_future_holders(future, &runner, 1) == 1 && runner == hki_holder_here();
}

int hk_future_await(hk_future *future, hk_bytes *out)
{
    int rc;

    check_there(future);
    rc = hk_cancelled();
    if (rc < 0)
        return rc;
    if (!hki_future_is_done(future))
        hki_job_help(future);
    if (hki_future_is_done(future)) {
        (void)hk_budget();
    } else {
        rc = is_own(future) ? -EDEADLK : park(future);
        if (!hki_future_is_done(future))
            return rc; /* cancelled, or nothing can ever set it */
    }
    return hk_future_try(future, out);
}

/* With the lock. */
static uint32_t count_waiters(const hk_future *future)
{
    uint32_t count = 0;

    for (const hk_waiter *w = future->waiters.head; w; w = w->next)
        count++;
    for (const struct hki_observer *o = future->observers; o; o = o->next)
        count++;
    return count;
}

void hk_future_stats(const hk_future *future, hk_sync_stats *out_stats)
{
    hk_lock *lock = (hk_lock *)(uintptr_t)&future->lock;
    hk_holder runner;

    check_there(future);
    hk_lock_acquire(lock);
    *out_stats = (hk_sync_stats){
        .holders = hki_future_holders(future, &runner, 1) > 0,
        .waiters = count_waiters(future),
        .contended =
            __atomic_load_n(&future->state, __ATOMIC_RELAXED) / HKI_FUTURE_ONE_WAIT,
    };
    hk_lock_release(lock);
}

bool hk_future_is_done(const hk_future *future)
{
    return hki_future_is_done(future);
}

/* ---- as a case of a select ---- */

static hk_lock *case_lock(void *object)
{
    return &((hk_future *)object)->lock;
}

static int case_attempt(void *object, void *data)
{
    (void)data;
    return hk_future_try(object, NULL);
}

/* It may have been set since the attempt: that needs no lock. Then the wait is over
 * before it began. */
static void case_enqueue(void *object, hk_waiter *w)
{
    hk_future *future = object;

    if (watch(future))
        hk_waiter_push(&future->waiters, w);
    else if (hk_waiter_claim(w))
        hk_wake(w, future->rc);
}

static void case_dequeue(void *object, hk_waiter *w)
{
    (void)hk_waiter_remove(&((hk_future *)object)->waiters, w);
}

const hk_waitable hk_future_waiting = {
    .kind = &await_kind,
    .lock = case_lock,
    .attempt = case_attempt,
    .enqueue = case_enqueue,
    .dequeue = case_dequeue,
};

/* ---- references ---- */

hk_future *hk_future_ref(hk_future *future)
{
    check_there(future);
    if (__atomic_load_n(&future->refs, __ATOMIC_RELAXED))
        __atomic_add_fetch(&future->refs, 1, __ATOMIC_RELAXED);
    return future;
}

void hk_future_free(hk_future *future)
{
    if (!future || !__atomic_load_n(&future->refs, __ATOMIC_RELAXED))
        return;
    HKI_HB_RELEASE(&future->refs);
    /* The last one need not say so. */
    if (__atomic_load_n(&future->refs, __ATOMIC_ACQUIRE) != 1 &&
        __atomic_sub_fetch(&future->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    HKI_HB_ACQUIRE(&future->refs);
    hki_lock_outlast(
        &future->lock.hki_word); /* whoever sets it, and has no reference */
    future->kind->free(future);
}

/* ---- promises ---- */

struct promise {
    hk_future future; /* first */
    _Alignas(16) unsigned char small[HKI_FUTURE_INLINE];
};

static void promise_free(hk_future *future)
{
    hki_future_fini(future);
    hki_free(future);
}

static const struct hki_future_kind promise_kind = {
    .name = "a promise",
    .free = promise_free,
    .small = offsetof(struct promise, small),
};

static const struct hki_future_kind static_kind = {.name = "no memory"};

hk_future *hki_future_no_memory(void)
{
    static hk_future none = {
        .state = HKI_FUTURE_SETTING | HKI_FUTURE_DONE,
        .rc = -ENOMEM,
        .kind = &static_kind,
    };

    return &none;
}

hk_future *hk_future_new(void)
{
    struct promise *promise = hki_alloc(sizeof(*promise));

    if (!promise)
        return hki_future_no_memory();
    hki_future_init(&promise->future, &promise_kind, 1);
    return &promise->future;
}

static void check_promise(const hk_future *future, const char *call)
{
    if (HKI_UNLIKELY(future->kind != &promise_kind && future->kind != &static_kind))
        hki_panic("%s of a future that hk_future_new did not make", call);
}

int hk_future_set(hk_future *future, int rc, const void *data, size_t size)
{
    int stored;

    check_promise(future, "hk_future_set");
    if (HKI_UNLIKELY(rc < 0))
        hki_panic("hk_future_set with %d: an error is set by hk_future_fail", rc);
    if (!hki_future_claim(future))
        return -EALREADY;
    stored = hki_future_store(future, data, size);
    hki_future_finish(future, stored < 0 ? stored : rc);
    return stored;
}

int hk_future_fail(hk_future *future, int error)
{
    check_promise(future, "hk_future_fail");
    if (HKI_UNLIKELY(error >= 0))
        hki_panic("hk_future_fail with %d: not an error", error);
    if (!hki_future_claim(future))
        return -EALREADY;
    hki_future_finish(future, error == -ECANCELED ? -EIDRM : error);
    return 0;
}

int hk_future_cancel(hk_future *future, hk_cancel_how how)
{
    check_there(future);
    if (hki_future_is_done(future))
        return -EALREADY;
    if (future->kind->cancel)
        return future->kind->cancel(future, how);
    if (!hki_future_claim(future))
        return -EALREADY;
    hki_future_finish(future, -EIDRM);
    return 0;
}
