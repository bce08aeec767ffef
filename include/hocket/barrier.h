/* SPDX-License-Identifier: MIT */
/*
 * A barrier: tasks and plain threads that wait for one another, round after round.
 *
 *     hk_barrier all_there = HK_BARRIER_INIT(3);
 *     int index = hk_barrier_wait(&all_there);     (each of the three, 0 to 2)
 *     if (index == 2)
 *         ...                                      (one of them: the last to arrive)
 *
 * A party that is cancelled while it waits leaves, as if it had never arrived; the
 * others go on waiting, and the barrier is as good as before. (As in asyncio; a
 * barrier of Python's threads breaks instead.) In a scope that fails fast all of them
 * are cancelled anyway. Where they are not, hk_barrier_abort tells the others not to
 * wait for who will never come.
 */
#ifndef HOCKET_BARRIER_H
#define HOCKET_BARRIER_H

#include <hocket/sync_stats.h>
#include <hocket/waiter.h>

HK_BEGIN_DECLS

/* HK_BARRIER_INIT(n) or hk_barrier_init; zeroed: of no parties, not to be waited at.
 * Must not move while in use. 64 bytes. */
typedef struct hk_barrier {
    uint32_t hki_parties; /* immutable */
    hk_lock hki_lock;     /* guards the rest */
    hk_waiter_queue hki_waiters;
    uint32_t hki_arrived;   /* in this round; atomic for dumps */
    uint32_t hki_is_broken; /* atomic for who only asks */
    const char *name;       /* for dumps; may be NULL */
    uint64_t hki_contended;
    uint64_t hki_reserved[2];
} hk_barrier;

#define HK_BARRIER_INIT(parties)                                                       \
    {                                                                                  \
        (parties), {0}, {NULL, NULL}, 0, 0, NULL, 0,                                   \
        {                                                                              \
            0, 0                                                                       \
        }                                                                              \
    }

HK_API void hk_barrier_init(hk_barrier *barrier, uint32_t parties);

/*
 * Ends its life; NULL is fine. Someone waiting at it: panic. Not needed before its
 * storage goes; that must not be before every party's wait has returned.
 */
HK_API void hk_barrier_fini(hk_barrier *barrier);

/*
 * Waits until all parties of this round have arrived. The last one releases the others
 * and opens the next round. A barrier of no parties panics.
 * Cancel:  atomic: -ECANCELED means not arrived; the round waits for another one.
 * Returns: the order of arrival, 0 to parties - 1, each once in a round; -ECANCELED;
 *          -EPIPE (aborted, or reset while it waited); -EDEADLK.
 */
HK_API HK_WARN_UNUSED int hk_barrier_wait(hk_barrier *barrier);

/* Breaks it: who waits gets -EPIPE, and so does who comes, until a reset. Never
 * blocks, not a cancel point. Any task or thread. */
HK_API void hk_barrier_abort(hk_barrier *barrier);

/* As new: who waits gets -EPIPE; who comes begins a round. Never blocks. */
HK_API void hk_barrier_reset(hk_barrier *barrier);

HK_API bool hk_barrier_is_broken(const hk_barrier *barrier);

/* holders: parties that have arrived in this round, which are its waiters. */
HK_API void hk_barrier_stats(const hk_barrier *barrier, hk_sync_stats *out_stats);

HK_END_DECLS

#endif
