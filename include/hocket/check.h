/* SPDX-License-Identifier: MIT */
/*
 * Being told when locks are used wrongly. Two parts:
 *
 * The checks (hk_check, or HOCKET_CHECK=locks in the environment) watch every lock of
 * the process, hocket's own and yours, and report through the log hook
 *
 *   - an order of locks that could deadlock, even when it did not this time;
 *   - a deadlock, at once and as a cycle, although other tasks go on; and end it;
 *   - a lock that is held across a long wait;
 *
 * and end the process with a sentence when a task returns, or leaves a scope, with a
 * lock that it took inside. Switched off they cost a lock one predictable branch.
 *
 * Owners (hk_owner) are assertions, in every build: a structure declares whose it is,
 * and panics when another touches it.
 *
 * docs/checks.md shows what each report looks like and what to do about it.
 */
#ifndef HOCKET_CHECK_H
#define HOCKET_CHECK_H

#include <hocket/mutex.h>
#include <hocket/waiter.h>

HK_BEGIN_DECLS

/* ---- switching on ---- */

enum {
    HK_CHECK_LOCKS = 1 << 0,
};

/* What to do about a deadlock that is proven. */
typedef enum hk_on_deadlock {
    HK_DEADLOCK_FAIL,   /* report it; the youngest wait in it that can be undone returns
                         * -EDEADLK */
    HK_DEADLOCK_REPORT, /* report it, and leave it: for a debugger */
} hk_on_deadlock;

/* Valid when zeroed: every zero means the default. 64 bytes. */
typedef struct hk_check_options {
    hk_on_deadlock on_deadlock; /* default: fail */
    uint32_t reserved_bits;
    /* A lock that is held across a wait that lasts longer is reported, once for each
     * lock and place. Default 100 ms; negative: never. */
    int64_t hold_limit_ns;
    uint64_t reserved[6];
} hk_check_options;

/*
 * Switches the checks in `what` on (HK_CHECK_...) and all others off. At any time, also
 * while locks are held: what happened before is not known to them. `options` may be
 * NULL.
 *
 * The environment does the same when the program starts: HOCKET_CHECK=locks, and
 * after it, with commas, "report" (HK_DEADLOCK_REPORT) and "hold=250" (the limit in
 * milliseconds; "hold=never").
 *
 * The log hook is called from inside the lock or wait that is reported: it may take
 * locks of its own, and none of those that are checked here.
 *
 * Blocks:  never.
 * Returns: 0, -EINVAL (unknown bits or a bad option), -ENOMEM.
 * Threads: any task or thread.
 */
HK_API int hk_check(uint32_t what, const hk_check_options *options);

/* What is switched on: HK_CHECK_... bits. Never blocks. Any task or thread. */
HK_API uint32_t hk_checks(void);

/* ---- whose is this? ---- */

/* True when the caller holds `lock`. */
typedef bool hk_is_held_fn(const void *lock);

/*
 * Whose a structure is. A field of it, or a variable beside it:
 *
 *     struct account { hk_owner owner; hk_mutex mutex; long cents; };
 *
 *     account->owner.name = "account";
 *     hk_owned_by_mutex(&account->owner, &account->mutex);
 *     ...
 *     hk_assert_owned(&account->owner);     (in each function that touches it)
 *     account->cents += cents;
 *
 * Valid when zeroed: nobody's yet, and anybody may touch it. Only its owner may declare
 * it to be another's. 80 bytes.
 */
typedef struct hk_owner {
    const char *name; /* of the structure, for the sentence; may be NULL */
    const void *hki_who;
    hk_is_held_fn *hki_is_held;
    uint32_t hki_kind;
    uint32_t hki_generation;
    char hki_owner_name[32];
    uint64_t hki_reserved[2];
} hk_owner;

#define HK_OWNER_INIT HK_ZERO_INIT

/* From now on `owner` is the calling task's or thread's; that of whichever tasks run on
 * the caller's worker (a plain thread: of that thread); of whoever holds a mutex; of
 * whoever holds another lock; or nobody's. All panic when it is another's now. Never
 * block. Any task or thread; two must not declare at once. */
HK_API void hk_owned_by_me(hk_owner *owner);
HK_API void hk_owned_by_worker(hk_owner *owner);
HK_API void hk_owned_by_mutex(hk_owner *owner, const hk_mutex *mutex);
HK_API void hk_owned_by_lock(hk_owner *owner, const void *lock, hk_is_held_fn *is_held);
HK_API void hk_owned_by_nobody(hk_owner *owner);

/* True when the caller may touch it. Never blocks. Any task or thread. */
HK_API bool hk_is_owned(const hk_owner *owner);

/* Panics unless the caller may touch it, naming the structure, its owner and who came
 * instead. A few nanoseconds: meant to stay in what you ship. */
HK_API void hk_assert_owned(const hk_owner *owner);

/* ---- for locks of your own ---- */

/*
 * A lock that calls these is checked as hocket's are:
 *
 *     hk_check_order(spot, &spot_kind, false);     (before it may wait)
 *     ... take it ...
 *     hk_check_took(spot, &spot_kind, false);      (also after a successful try)
 *     ...
 *     hk_check_gave(spot);                         (while the caller still has it)
 *
 * `kind` is the kind of the wait for it; a kind that says by whom the lock is held
 * (hk_wait_kind.holders) takes part in the search for deadlocks. `shared`: several may
 * have it at a time, as the readers of a rwlock. Each level of a recursive lock is told
 * once. hk_check_forget tells that a lock is no more, so that another at its address is
 * not taken for it; a kind with a check_offset needs no such call.
 *
 * All do nothing, and cost a call and a branch, while the checks are off. None blocks.
 * Any task or thread.
 */
HK_API void hk_check_order(const void *lock, const hk_wait_kind *kind, bool shared);
HK_API void hk_check_took(const void *lock, const hk_wait_kind *kind, bool shared);
HK_API void hk_check_gave(const void *lock);
HK_API void hk_check_forget(const void *lock);

/* For the `holders` of a kind whose lock keeps no list: those that took it and have not
 * given it back, as far as the checks have seen. */
HK_API size_t hk_check_holders(const void *lock, hk_holder *out, size_t max);

/* The caller, as `holders` names it. */
HK_API hk_holder hk_check_me(void);

HK_END_DECLS

#endif
