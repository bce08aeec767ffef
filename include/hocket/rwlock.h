/* SPDX-License-Identifier: MIT */
/*
 * Many readers or one writer, for tasks of any worker and plain threads alike.
 *
 * Neither side starves: a writer that waits stops new readers, and then waits for
 * those inside only; a writer that leaves wakes the readers that waited, and one that
 * was woken in vain, since another writer was faster, is let in when that one leaves.
 * Among writers it is as with the mutex: barging with a bound.
 *
 * The lock knows its readers: each task and thread keeps a record of what it holds for
 * reading. So reading again what one reads already is always possible, also while a
 * writer waits; and asking to write what one reads is refused with -EDEADLK, since it
 * would wait for itself (to upgrade: hk_rwlock_try_upgrade).
 *
 * Readers on different cores touch different cache lines: that makes reading scale, and
 * the lock large. When writes are more than a few percent, a mutex is faster.
 */
#ifndef HOCKET_RWLOCK_H
#define HOCKET_RWLOCK_H

#include <hocket/mutex.h>

HK_BEGIN_DECLS

enum { HKI_RWLOCK_SLOTS = 4 };

/* Readers of one core or of a few; a cache line each. */
typedef struct hki_rwlock_slot {
    uint32_t hki_readers; /* atomic; bits in sync/rwlock.h */
    uint32_t hki_unused[15];
} hki_rwlock_slot;

/* Valid when zeroed: free. Must not move while in use. 384 bytes. */
typedef struct hk_rwlock {
    hki_rwlock_slot hki_slots[HKI_RWLOCK_SLOTS];
    hk_mutex hki_writers; /* held by the writer, or by who is about to become it */
    hk_waiter_queue hki_readers;
    hk_waiter *hki_drain; /* the writer, parked until the last reader leaves */
    const char *name;     /* for dumps; may be NULL */
    uint64_t hki_contended;
    uint32_t hki_lock;
    int32_t hki_leaving; /* atomic; bits in sync/rwlock.h */
    uint32_t hki_used;   /* atomic: slots, by number */
    uint32_t hki_waiting;
    uint32_t hki_check; /* its number in the checks */
    uint32_t hki_reserved[1];
} hk_rwlock;

#define HK_RWLOCK_INIT HK_ZERO_INIT

/* Initialises one at run time. Never blocks. */
HK_API void hk_rwlock_init(hk_rwlock *lock);

/*
 * Ends the use of a lock; panics, saying who, when it is held or waited for. Who frees
 * the memory because it was the last *reader* must call this first: it waits for the
 * last instructions of an unlock that is about to return. (The last writer need not.)
 */
HK_API void hk_rwlock_fini(hk_rwlock *lock);

/*
 * Locks for reading, once more if the caller does so already.
 * Cancel:  atomic: -ECANCELED means not locked.
 * Returns: 0, -ECANCELED, -EDEADLK (the caller holds it for writing; or nothing can
 *          ever unlock it), -ENOMEM (the caller reads more than 4 locks at once, and
 *          there is no memory for a longer record).
 */
HK_API HK_WARN_UNUSED int hk_rwlock_read_lock(hk_rwlock *lock);

/*
 * Locks for writing.
 * Cancel:  atomic: -ECANCELED means not locked.
 * Returns: 0, -ECANCELED, -EDEADLK (the caller holds it already, for reading or for
 *          writing; or nothing can ever unlock it).
 */
HK_API HK_WARN_UNUSED int hk_rwlock_write_lock(hk_rwlock *lock);

/* The same for clean-up: they wait even when cancelled, and hold it on return. They
 * panic where the others return -EDEADLK or -ENOMEM. */
HK_API void hk_rwlock_read_lock_shielded(hk_rwlock *lock);
HK_API void hk_rwlock_write_lock_shielded(hk_rwlock *lock);

/* 0, -EAGAIN when it would have to wait, or -EDEADLK, -ENOMEM as above. Never block,
 * are no cancel points. */
HK_API HK_WARN_UNUSED int hk_rwlock_try_read_lock(hk_rwlock *lock);
HK_API HK_WARN_UNUSED int hk_rwlock_try_write_lock(hk_rwlock *lock);

/*
 * From reading to writing, with nobody in between. Never blocks, not a cancel point.
 * Returns: 0 (now held for writing, no longer for reading), -EAGAIN (others read it, or
 *          a writer waits; still held for reading: unlock, then lock for writing, and
 *          look again at what was read).
 * Panics when the caller does not hold it for reading exactly once.
 */
HK_API HK_WARN_UNUSED int hk_rwlock_try_upgrade(hk_rwlock *lock);

/* Unlock; panic when the caller does not hold it so. Never block, are no cancel
 * points. */
HK_API void hk_rwlock_read_unlock(hk_rwlock *lock);
HK_API void hk_rwlock_write_unlock(hk_rwlock *lock);

/* Either of them, by what the caller holds. */
HK_API void hk_rwlock_unlock(hk_rwlock *lock);

/* True when the caller holds it for reading; for writing. */
HK_API bool hk_rwlock_is_read(const hk_rwlock *lock);
HK_API bool hk_rwlock_is_written(const hk_rwlock *lock);

/* holders: the readers (one that reads twice counts once), or 1 writer. */
HK_API void hk_rwlock_stats(const hk_rwlock *lock, hk_sync_stats *out_stats);

HK_END_DECLS

#endif
