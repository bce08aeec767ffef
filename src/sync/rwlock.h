/* SPDX-License-Identifier: MIT */
/*
 * A lock for many readers or one writer, whose readers do not meet: its rules, for its
 * own files. The sides of the two are in rwlock_read.c and rwlock_write.c.
 *
 * Readers of one core count themselves in one of a few slots, a cache line each, so
 * that reading needs no line that other cores write. A slot (HKI_RW_...):
 *
 *     USED     Somebody has read by this slot: so hki_used has its bit. Set once.
 *     CLOSED   A writer is inside, or closes the door behind those who are: nobody may
 *              enter. Set and cleared by who holds hki_writers.
 *     WATCHED  Set beside CLOSED by a writer that has waited for long enough: who
 *              leaves reports it. It takes a READER off, and learns by the same
 *              instruction whether it is watched: if not, that was its last access.
 *     READER   n times: the readers inside.
 *
 * Who writes, in this order: holds hki_writers, a mutex, so that writers queue with all
 * that a mutex promises; sets WRITING in its word; closes the slots that are in use;
 * and waits until there is no READER, nor a LEAVER. Who leaves undoes that in the
 * reverse order, so a closed slot implies WRITING.
 *
 *     hki_leaving   LEAVER for each reader that was inside when its slot came to be
 *                   watched and has not reported yet: it takes one off, and touches the
 *                   lock no more, unless it was the last and the writer is PARKED: then
 *                   it wakes that writer.
 *     PARKED        The writer sleeps. Then only the last reader, or the abort of the
 *                   writer, which does nothing once the last reader has left, may end
 *                   its wait: so it is gone before the writer can be.
 *
 * A new slot: its reader sets the bit in hki_used, then looks for WRITING; a writer
 * sets WRITING, then reads hki_used. So one of them sees the other.
 *
 * Readers that come too late queue under hki_lock, with COME_LATE beside WRITING: so
 * the writer cannot leave without seeing them. It wakes them to try, since to count
 * them in would make the next writer wait for their wake-up, and two threads would go
 * in lockstep. But one that was woken in vain is counted in by the next that leaves.
 *
 * Who reads is known to itself alone (hki_reads of self_inline.h): hence a lock that it
 * reads is free for it to read again, and writing one is refused.
 */
#ifndef HKI_SYNC_RWLOCK_H
#define HKI_SYNC_RWLOCK_H

#include "sync/mutex.h"

#include <hocket/rwlock.h>

/* Of a slot. */
enum { HKI_RW_USED = 1, HKI_RW_CLOSED = 2, HKI_RW_WATCHED = 4, HKI_RW_READER = 8 };

/* Of hki_leaving. */
enum { HKI_RW_PARKED = 1, HKI_RW_LEAVER = 2 };

/* In the word of hki_writers, of the bits that a mutex leaves to who embeds it. Both
 * are set only while it is HELD, and gone before it is left. */
enum { HKI_RW_WRITING = 1 << 16, HKI_RW_COME_LATE = 1 << 17 };

enum hki_rw_mode { HKI_RW_WAITS, HKI_RW_SHIELDED, HKI_RW_TRIES };

/* A reader that waits. */
struct hki_rw_reader {
    hk_waiter waiter;
    hk_rwlock *lock;
    uint32_t slot;
    bool woken;  /* in vain, before */
    bool inside; /* atomic: counted in by the writer that woke it */
};

static inline int32_t hki_rwlock_leaving(const hk_rwlock *lock)
{
    return __atomic_load_n(&lock->hki_leaving, __ATOMIC_ACQUIRE);
}

static inline uint32_t *hki_rwlock_word(hk_rwlock *lock)
{
    return &lock->hki_writers.hki_state;
}

static inline uint32_t hki_rwlock_used(const hk_rwlock *lock)
{
    return __atomic_load_n(&lock->hki_used, __ATOMIC_SEQ_CST);
}

static inline bool hki_rwlock_is_writing(const hk_rwlock *lock)
{
    return __atomic_load_n(&lock->hki_writers.hki_state, __ATOMIC_SEQ_CST) &
           HKI_RW_WRITING;
}

static inline bool hki_rwlock_is_writer(const hk_rwlock *lock,
                                        const struct hki_self *self)
{
    return hki_mutex_depth(&lock->hki_writers, self) >= 0;
}

/* ---- what the one side needs of the other ---- */

/* Takes a reader off the caller's slot: its last access. */
void hki_rwlock_leave_reading(hk_rwlock *lock);

/* ---- in words, and in numbers (rwlock_life.c) ---- */

const char *hki_rwlock_name(const hk_rwlock *lock);
uint32_t hki_rwlock_readers(const hk_rwlock *lock);

/* For wait kinds: the object is the lock. */
void hki_rwlock_describe(const void *object, char *text, size_t size);
size_t hki_rwlock_writer_holds(const void *object, hk_holder *out, size_t max);

/* The lock itself, for the checks; nobody waits so. */
extern const hk_wait_kind hki_rwlock_kind;

/* "`call`: `the caller` `does` rwlock so and so; who writes, or how many read it". */
_Noreturn void hki_rwlock_panic(const char *call, const hk_rwlock *lock,
                                const char *does) __attribute__((cold));

#endif
