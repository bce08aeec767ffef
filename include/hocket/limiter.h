/* SPDX-License-Identifier: MIT */
/*
 * A capacity limiter: at most so many at a time, and it knows who. Trio's
 * CapacityLimiter: a semaphore whose tokens are lent by name, so that nobody can give
 * back what he has not borrowed, and whose total may change at run time.
 *
 *     hk_limiter queries = HK_LIMITER_INIT(40);
 *     int rc = hk_limiter_acquire(&queries);
 *     ...
 *     hk_limiter_release(&queries);
 *
 * The borrower is the calling task or thread, or, with the calls that end in _for, any
 * pointer: a connection, a user. One borrower has at most one token.
 */
#ifndef HOCKET_LIMITER_H
#define HOCKET_LIMITER_H

#include <hocket/sync_stats.h>
#include <hocket/waiter.h>

HK_BEGIN_DECLS

#define HKI_LIMITER_FEW 8

/* HK_LIMITER_INIT(n) or hk_limiter_init; zeroed: no tokens. Must not move while in use.
 * 160 bytes; more than 8 borrowers and waiters at a time need memory, until they go. */
typedef struct hk_limiter {
    hk_lock hki_lock;      /* guards the rest; what dumps read is also atomic */
    uint32_t hki_total;    /* tokens */
    uint32_t hki_borrowed; /* of them; more than total after it was lowered */
    uint32_t hki_waiting;  /* length of the queue */
    hk_waiter_queue hki_waiters;
    const char *name; /* for dumps; may be NULL */
    uint64_t hki_contended;
    const void **hki_many;   /* the borrowers, hashed; NULL: hki_few */
    uint32_t hki_many_slots; /* a power of two */
    uint32_t hki_has_names;  /* some borrower was not a task or thread; stays set */
    const void *hki_few[HKI_LIMITER_FEW];
    uint64_t hki_reserved[4];
} hk_limiter;

#define HK_LIMITER_INIT(total)                                                         \
    {                                                                                  \
        {0}, (total), 0, 0, {NULL, NULL}, NULL, 0, NULL, 0, 0, {NULL},                 \
        {                                                                              \
            0                                                                          \
        }                                                                              \
    }

HK_API void hk_limiter_init(hk_limiter *limiter, uint32_t total);

/* Ends its life; NULL is fine. A borrowed token, or someone waiting: panic. Not needed
 * before its storage goes: who gave back the last token may free it. */
HK_API void hk_limiter_fini(hk_limiter *limiter);

/*
 * Borrows a token, in order of arrival. A borrower gives its token back before it ends.
 * Cancel:  atomic: -ECANCELED means that nothing was borrowed.
 * Returns: 0; -EALREADY (this borrower has one); -ENOMEM; -ECANCELED; -EDEADLK.
 */
HK_API HK_WARN_UNUSED int hk_limiter_acquire(hk_limiter *limiter);
/* `borrower` is a name, never looked into; NULL: the calling task or thread. */
HK_API HK_WARN_UNUSED int hk_limiter_acquire_for(hk_limiter *limiter,
                                                 const void *borrower);

/* The same without waiting: -EAGAIN when none is free. Never blocks, not a cancel
 * point. */
HK_API HK_WARN_UNUSED int hk_limiter_try_acquire(hk_limiter *limiter);
HK_API HK_WARN_UNUSED int hk_limiter_try_acquire_for(hk_limiter *limiter,
                                                     const void *borrower);

/* Gives the token back; panics when the borrower has none. Never blocks. By any task or
 * thread: the borrower counts, not the caller. */
HK_API void hk_limiter_release(hk_limiter *limiter);
HK_API void hk_limiter_release_for(hk_limiter *limiter, const void *borrower);

/*
 * Changes the number of tokens. More: waiters get them at once. Less: nobody is robbed;
 * tokens that are given back vanish until no more than `total` are out. Never blocks.
 */
HK_API void hk_limiter_set_total(hk_limiter *limiter, uint32_t total);

HK_API uint32_t hk_limiter_total(const hk_limiter *limiter);
/* Free tokens now; 0 when there are waiters. */
HK_API uint32_t hk_limiter_available(const hk_limiter *limiter);

/* holders: borrowers. */
HK_API void hk_limiter_stats(const hk_limiter *limiter, hk_sync_stats *out_stats);

/* Writes up to `max` borrowers to `out`, in no order, and returns how many there are. A
 * task or thread is an address that means nothing but itself. */
HK_API size_t hk_limiter_borrowers(const hk_limiter *limiter, const void **out,
                                   size_t max);

HK_END_DECLS

#endif
