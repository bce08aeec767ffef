/* SPDX-License-Identifier: MIT */
/*
 * A capacity limiter: who has a token is in a set (limiter_set.h), who waits for one in
 * a queue, strictly in order of arrival.
 *
 * Invariants, under the lock: hki_borrowed is the size of the set; somebody is queued
 * only while no token is free; the set has room for everybody who is queued, so that a
 * token can always be handed over. Only who comes may find no memory, and is told. A
 * limiter that nobody uses owns no memory: who leaves last frees the set's.
 */
#include <hocket/limiter.h>

#include "core/self_inline.h"
#include "sync/limiter_set.h"
#include "sync/queue.h"

#include <hocket/task.h>

#include <stdio.h>

static inline uint32_t read_count(const uint32_t *count)
{
    return __atomic_load_n(count, __ATOMIC_RELAXED);
}

static inline void write_count(uint32_t *count, uint32_t value)
{
    __atomic_store_n(count, value, __ATOMIC_RELAXED);
}

static const char *name_of(const hk_limiter *limiter)
{
    return limiter->name ? limiter->name : "unnamed";
}

static void describe(const void *object, char *text, size_t size)
{
    const hk_limiter *limiter = object;

    (void)snprintf(text, size, "'%s', %u of %u are borrowed", name_of(limiter),
                   read_count(&limiter->hki_borrowed), read_count(&limiter->hki_total));
}

/*
 * Known while the borrowers are few, and all of them tasks and threads. They change
 * while we look: one of two tokens may go to somebody whose slot we have passed, or the
 * slots be emptied for larger ones. Then it is not known, since who is said to be the
 * only holder is one for whom a deadlock may be declared.
 */
static size_t holders(const void *object, hk_holder *out, size_t max)
{
    const hk_limiter *limiter = object;
    uint32_t borrowed;
    size_t n = 0;

    for (size_t i = 0; i < HKI_LIMITER_FEW; i++) {
        hk_holder holder = __atomic_load_n(&limiter->hki_few[i], __ATOMIC_ACQUIRE);

        if (!holder)
            continue;
        if (n < max)
            out[n] = holder;
        n++;
    }
    borrowed = read_count(&limiter->hki_borrowed);
    if (n != borrowed || borrowed < read_count(&limiter->hki_total))
        return 0;
    return read_count(&limiter->hki_has_names) || hki_limiter_has_many(limiter) ? 0 : n;
}

static const hk_wait_kind acquire_kind = {
    .name = "limiter",
    .describe = describe,
    .holders = holders,
    .one_is_enough = true,
};

void hk_limiter_init(hk_limiter *limiter, uint32_t total)
{
    *limiter = (hk_limiter)HK_LIMITER_INIT(total);
}

/* ---- under the lock ---- */

static bool has_free_token(const hk_limiter *limiter)
{
    return limiter->hki_borrowed < limiter->hki_total;
}

/* False: it has one. There must be room in the set. */
static bool lend(hk_limiter *limiter, const void *borrower)
{
    if (!hki_limiter_add(limiter, borrower))
        return false;
    write_count(&limiter->hki_borrowed, limiter->hki_borrowed + 1);
    return true;
}

/* 0, -EALREADY, -ENOMEM, or -EAGAIN: none is free, and there is room for a waiter. */
static int try_lend(hk_limiter *limiter, const void *borrower)
{
    size_t needed = (size_t)limiter->hki_borrowed + limiter->hki_waiting + 1;

    if (hki_limiter_has(limiter, borrower))
        return -EALREADY;
    if (!hki_limiter_reserve(limiter, needed))
        return -ENOMEM;
    if (!has_free_token(limiter))
        return -EAGAIN;
    (void)lend(limiter, borrower);
    return 0;
}

/* To be called by who leaves. */
static void tidy_up(hk_limiter *limiter)
{
    if (limiter->hki_borrowed + limiter->hki_waiting == 0)
        hki_limiter_forget_all(limiter);
}

/* Hands free tokens to waiters, and returns these, with their results. One whose
 * borrower has got a token meanwhile, through another caller, gets none. */
static hk_waiter *hand_out(hk_limiter *limiter)
{
    hk_waiter *first = NULL, **end = &first, *w;

    while (has_free_token(limiter) && (w = hki_queue_pop(&limiter->hki_waiters))) {
        limiter->hki_waiting--;
        w->result = lend(limiter, w->data) ? 0 : -EALREADY;
        *end = w;
        end = &w->next;
    }
    *end = NULL;
    return first;
}

/* As hki_queue_wake_all, each with its own result. */
static void wake_handed(hk_waiter *first)
{
    while (first) {
        hk_waiter *w = first;

        first = w->next;
        hk_wake(w, w->result);
    }
}

/* ---- acquire ---- */

/* Who borrows. The set knows for good that names are about before it has the first. */
static const void *borrower_of(hk_limiter *limiter, const struct hki_self *self,
                               const void *name)
{
    if (!name)
        return self;
    if (!read_count(&limiter->hki_has_names))
        write_count(&limiter->hki_has_names, 1);
    return name;
}

static hk_verdict acquire_abort(hk_waiter *w)
{
    hk_limiter *limiter = (hk_limiter *)w->object;
    bool removed;

    hki_lock_acquire(&limiter->hki_lock.hki_word);
    removed = hki_queue_remove(&limiter->hki_waiters, w);
    if (removed) {
        limiter->hki_waiting--;
        tidy_up(limiter);
    }
    hki_lock_release(&limiter->hki_lock.hki_word);
    return removed ? HK_ABORTED : HK_PENDING;
}

int hk_limiter_acquire_for(hk_limiter *limiter, const void *borrower)
{
    struct hki_self *self = hki_self();
    int rc = hki_enter(self);
    hk_waiter w;

    if (HKI_UNLIKELY(rc < 0))
        return rc;
    borrower = borrower_of(limiter, self, borrower);
    hki_lock_acquire(&limiter->hki_lock.hki_word);
    rc = try_lend(limiter, borrower);
    if (rc == -EAGAIN) {
        limiter->hki_contended++;
        limiter->hki_waiting++;
        hki_waiter_arm(&w, self, &acquire_kind, limiter);
        w.data = (void *)borrower;
        hki_queue_push(&limiter->hki_waiters, &w);
        hki_lock_release(&limiter->hki_lock.hki_word);
        return hk_park(&w, acquire_abort);
    }
    hki_lock_release(&limiter->hki_lock.hki_word);
    hki_spend(self);
    return rc;
}

int hk_limiter_acquire(hk_limiter *limiter)
{
    return hk_limiter_acquire_for(limiter, NULL);
}

int hk_limiter_try_acquire_for(hk_limiter *limiter, const void *borrower)
{
    int rc;

    borrower = borrower_of(limiter, hki_self(), borrower);
    hki_lock_acquire(&limiter->hki_lock.hki_word);
    rc = try_lend(limiter, borrower);
    hki_lock_release(&limiter->hki_lock.hki_word);
    return rc;
}

int hk_limiter_try_acquire(hk_limiter *limiter)
{
    return hk_limiter_try_acquire_for(limiter, NULL);
}

/* ---- release ---- */

static _Noreturn __attribute__((cold, noinline)) void panic_release(
    const hk_limiter *limiter, const void *borrower)
{
    if (borrower)
        hki_panic("hk_limiter_release_for: '%s' gives back a token of the limiter '%s' "
                  "(%p) for %p, which has borrowed none",
                  hk_task_name(), name_of(limiter), (const void *)limiter, borrower);
    hki_panic("hk_limiter_release: '%s' gives back a token of the limiter '%s' (%p), "
              "but has borrowed none",
              hk_task_name(), name_of(limiter), (const void *)limiter);
}

void hk_limiter_release_for(hk_limiter *limiter, const void *borrower)
{
    const void *who = borrower ? borrower : hki_self();
    hk_waiter *woken;

    hki_lock_acquire(&limiter->hki_lock.hki_word);
    if (HKI_UNLIKELY(!hki_limiter_remove(limiter, who)))
        panic_release(limiter, borrower);
    write_count(&limiter->hki_borrowed, limiter->hki_borrowed - 1);
    woken = hand_out(limiter);
    tidy_up(limiter);
    hki_lock_release(&limiter->hki_lock.hki_word);
    wake_handed(woken);
}

void hk_limiter_release(hk_limiter *limiter)
{
    hk_limiter_release_for(limiter, NULL);
}

void hk_limiter_set_total(hk_limiter *limiter, uint32_t total)
{
    hk_waiter *woken;

    hki_lock_acquire(&limiter->hki_lock.hki_word);
    write_count(&limiter->hki_total, total);
    woken = hand_out(limiter);
    hki_lock_release(&limiter->hki_lock.hki_word);
    wake_handed(woken);
}

/* ---- looking at it ---- */

uint32_t hk_limiter_total(const hk_limiter *limiter)
{
    return read_count(&limiter->hki_total);
}

uint32_t hk_limiter_available(const hk_limiter *limiter)
{
    uint32_t total = read_count(&limiter->hki_total);
    uint32_t borrowed = read_count(&limiter->hki_borrowed);

    return total > borrowed ? total - borrowed : 0;
}

void hk_limiter_stats(const hk_limiter *limiter, hk_sync_stats *out_stats)
{
    uint32_t *lock = (uint32_t *)&limiter->hki_lock.hki_word;

    hki_lock_acquire(lock);
    *out_stats = (hk_sync_stats){.holders = limiter->hki_borrowed,
                                 .waiters = limiter->hki_waiting,
                                 .contended = limiter->hki_contended};
    hki_lock_release(lock);
}

size_t hk_limiter_borrowers(const hk_limiter *limiter, const void **out, size_t max)
{
    uint32_t *lock = (uint32_t *)&limiter->hki_lock.hki_word;
    size_t n;

    hki_lock_acquire(lock);
    n = hki_limiter_list(limiter, out, max);
    hki_lock_release(lock);
    return n;
}

void hk_limiter_fini(hk_limiter *limiter)
{
    hk_sync_stats stats;

    if (!limiter)
        return;
    hk_limiter_stats(limiter, &stats);
    if (stats.holders + stats.waiters > 0)
        hki_panic("hk_limiter_fini: '%s' ends the limiter '%s' (%p) of which %u tokens "
                  "are borrowed, and %u wait",
                  hk_task_name(), name_of(limiter), (void *)limiter, stats.holders,
                  stats.waiters);
}
