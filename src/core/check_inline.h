/* SPDX-License-Identifier: MIT */
/*
 * What a lock tells the checks (HOCKET_CHECK=locks): who is about to take it, who has
 * it, who gave it back. From that come the lock-order graph, the cycle of a deadlock,
 * and the complaints about locks that are held too long or at the wrong time.
 *
 *     if (hki_is_checking())
 *         hki_check_order(self, lock, &kind, HKI_HELD_ALONE); (not before a try)
 *     ... take it ...
 *     if (hki_is_checking())
 *         hki_check_took(self, lock, &kind, HKI_HELD_ALONE);
 *
 * Off, which is the default, they cost a lock one predictable branch. They may be
 * switched on while locks are held: an unlock of what the checks never saw taken is no
 * mistake to them (the lock itself knows its holder).
 */
#ifndef HKI_CORE_CHECK_INLINE_H
#define HKI_CORE_CHECK_INLINE_H

#include "base/assert.h"

#include <hocket/scope.h>
#include <hocket/waiter.h>

enum hki_checks {
    HKI_CHECK_LOCKS = 1 << 0,
};

enum hki_holding {
    HKI_HELD_ALONE,
    HKI_HELD_SHARED, /* as the readers of a rwlock: several at a time, in no order */
};

extern uint32_t hki_checks __attribute__((visibility("hidden"))); /* atomic */

static inline bool hki_is_checking(void)
{
    return HKI_UNLIKELY(__atomic_load_n(&hki_checks, __ATOMIC_RELAXED));
}

/* `self` is about to take `lock`, and may wait for it. Reports, once, an order of locks
 * that could deadlock. Never blocks. */
void hki_check_order(struct hki_self *self, const void *lock, const hk_wait_kind *kind,
                     enum hki_holding hold);

/* `self` has `lock` now. Each level of a recursive lock is told once. */
void hki_check_took(struct hki_self *self, const void *lock, const hk_wait_kind *kind,
                    enum hki_holding hold);

/* `self` is about to give it back. To be called while it still has it. */
void hki_check_gave(struct hki_self *self, const void *lock);

/* The scope in which `self` took `lock`; and setting it, for who has given it back only
 * for a while (the wait for a condition) and has it again. */
const hk_scope *hki_check_scope(const struct hki_self *self, const void *lock);
void hki_check_set_scope(struct hki_self *self, const void *lock,
                         const hk_scope *scope);

/* `lock` is about to be destroyed, or initialised anew: its place in the order graph
 * is forgotten. */
void hki_check_forget(const void *lock);

/* For the `holders` of a kind whose lock keeps no list of its own: those that the
 * checks have seen. */
size_t hki_check_holders(const void *lock, hk_holder *out, size_t max);

#endif
