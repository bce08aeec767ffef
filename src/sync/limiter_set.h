/* SPDX-License-Identifier: MIT */
/*
 * The borrowers of a limiter: a set of addresses, hashed with linear probing, a NULL in
 * each free slot. Up to HKI_LIMITER_FEW it lies in the limiter; then on the heap, at
 * most half full, until hki_limiter_forget_all. Everything here needs the limiter's
 * lock, but for hki_limiter_has_many.
 */
#ifndef HKI_SYNC_LIMITER_SET_H
#define HKI_SYNC_LIMITER_SET_H

#include <hocket/limiter.h>

static inline bool hki_limiter_has_many(const hk_limiter *limiter)
{
    return __atomic_load_n(&limiter->hki_many, __ATOMIC_RELAXED) != NULL;
}

/* Makes room for `count` in all. False: no memory, and nothing has changed. */
bool hki_limiter_reserve(hk_limiter *limiter, size_t count);

bool hki_limiter_has(const hk_limiter *limiter, const void *borrower);
/* False: it is in the set already. There must be room. */
bool hki_limiter_add(hk_limiter *limiter, const void *borrower);
/* False: it is not in the set. */
bool hki_limiter_remove(hk_limiter *limiter, const void *borrower);

/* Writes up to `max` of them to `out`, and returns how many there are. */
size_t hki_limiter_list(const hk_limiter *limiter, const void **out, size_t max);

/* Empties it, and frees what is on the heap. */
void hki_limiter_forget_all(hk_limiter *limiter);

#endif
