/* SPDX-License-Identifier: MIT */
/*
 * The inside of scopes. Who may touch what:
 *
 * A scope has a *home*: its owner's worker, or the owning plain thread. Its flags, its
 * place in the owner's chain of scopes and its local children are touched at home only
 * (a thread's: by anyone with the lock of its chain). Children that run elsewhere, or
 * may be taken elsewhere, are *remote*, and so is every thread: list and count are
 * guarded by hki_lock. A cancel from elsewhere comes home as a message and is counted
 * like a remote child, so that the join outlasts it.
 *
 * EFFECTIVE is the one bit that calls look at (through self->attention, a copy of the
 * innermost scope's): own cancel, or, unless shielded, the effective bit of what lies
 * around. hki_cancel_spread keeps it true from the outside to the inside.
 */
#ifndef HKI_CORE_SCOPE_H
#define HKI_CORE_SCOPE_H

#include "core/self_inline.h"

struct hki_task;
struct hki_thread;

enum hki_scope_flags {
    HKI_SCOPE_POLICY = HK_SCOPE_WAIT_ALL | HK_SCOPE_FIRST_SUCCESS, /* public bits 0-3 */
    HKI_SCOPE_PARALLEL = HK_SCOPE_PARALLEL,
    HKI_SCOPE_SHIELDED = HK_SCOPE_SHIELDED,
    HKI_SCOPE_CANCELLED = 1 << 5, /* by itself; why is in the next bits */
    HKI_SCOPE_EFFECTIVE = 1 << 6,
    HKI_SCOPE_WHY_SHIFT = 8, /* an hk_scope_why of the own cancel, 3 bits */
    /* The upper half of an open scope's flags; tells it from memory that never was
     * one. */
    HKI_SCOPE_MAGIC = 0x5c0e << 16,
    HKI_SCOPE_MAGIC_MASK = (int)0xffff0000u,
};

static inline bool hki_scope_is_open(const hk_scope *scope)
{
    uint32_t flags = __atomic_load_n(&scope->hki_flags, __ATOMIC_RELAXED);

    return (flags & (uint32_t)HKI_SCOPE_MAGIC_MASK) == HKI_SCOPE_MAGIC;
}

/* The name of the scope that `self` left open, for the sentence that says so: as a rule
 * its storage went with the function that opened it. */
static inline const char *hki_scope_left_name(const struct hki_self *self)
{
    const hk_scope *scope = self->scope;
    bool is_there = hki_scope_is_open(scope) && scope->hki_owner == self;

    return is_there && scope->hki_name ? scope->hki_name : "unnamed";
}

/* hki_delivered: who noticed. Set by any worker, with atomic or. */
enum hki_scope_delivered {
    HKI_DELIVERED_OWN = 1 << 0,   /* a call inside returned -ECANCELED: own cancel */
    HKI_DELIVERED_OUTER = 1 << 1, /* ... because of a scope around */
};

static inline uint32_t hki_scope_flags_of(const hk_scope *scope)
{
    return __atomic_load_n(&scope->hki_flags, __ATOMIC_RELAXED);
}

/* ---- cancel.c ---- */

/* True when what lies around `scope` (next scope out, or the task, or its parent) is
 * effectively cancelled, shields of `scope` not considered. */
bool hki_scope_outside_is_cancelled(const hk_scope *scope);

/* The attention bits that `self` must have now. At home. */
uint8_t hki_self_attention(const struct hki_self *self);

/* Cancels for reason `why`, from anywhere. */
void hki_scope_cancel_why(hk_scope *scope, hk_scope_why why);

/* The same, at home. */
void hki_scope_cancel_here(hk_scope *scope, hk_scope_why why);

/* Recomputes the effective bits from `scope` inward, and wakes who is parked. At home,
 * no lock held. A change of a shield may also take the bit away. */
void hki_cancel_spread(hk_scope *scope);

/* The same for a started task whose own cancel flag or parent changed. Its worker. */
void hki_cancel_spread_task(struct hki_task *task);

/* And for a thread, from anywhere. */
void hki_cancel_spread_thread(struct hki_thread *thread);

/* Marks who noticed that the caller's call returns -ECANCELED. */
void hki_cancel_delivered(struct hki_self *self);

/* ---- scope.c ---- */

/* Of a join; the object is the scope. */
extern const hk_wait_kind hki_join_kind;

/* A child has ended with `result`. The last access to its scope. */
void hki_scope_child_done(hk_scope *scope, struct hki_self *child, int result);

/* Links a new task; true when it is remote. */
bool hki_scope_add_task(hk_scope *scope, struct hki_self *spawner,
                        struct hki_self *child);

/* Links a child that is remote in any case: a thread. And takes a remote one out again
 * without a result: likewise the last access to its scope. */
void hki_scope_add_remote(hk_scope *scope, struct hki_self *child);
void hki_scope_drop_remote(hk_scope *scope, struct hki_self *child);

/* One remote child more, which is in no list. */
void hki_scope_add_remote_count(hk_scope *scope);
/* Gives one remote count back (a message has been dealt with). */
void hki_scope_release_remote(hk_scope *scope);

/* Panics unless `self` is inside `scope`. */
void hki_scope_check_inside(const hk_scope *scope, const struct hki_self *self);

#endif
