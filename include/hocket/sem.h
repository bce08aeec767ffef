/* SPDX-License-Identifier: MIT */
/* A counting semaphore for tasks and plain threads alike. */
#ifndef HOCKET_SEM_H
#define HOCKET_SEM_H

#include <hocket/sync_stats.h>
#include <hocket/waiter.h>

HK_BEGIN_DECLS

/* HK_SEM_INIT(n) or hk_sem_init; zeroed: no permits. 56 bytes. */
typedef struct hk_sem {
    int64_t hki_permits; /* atomic; free ones, or minus the number of waiters */
    hk_lock hki_lock;
    uint32_t hki_unused;
    hk_waiter_queue hki_waiters;
    const char *name; /* for dumps; may be NULL */
    uint64_t hki_contended;
    uint64_t hki_reserved[1];
} hk_sem;

#define HK_SEM_INIT(permits)                                                           \
    {                                                                                  \
        (permits), {0}, 0, {NULL, NULL}, NULL, 0,                                      \
        {                                                                              \
            0                                                                          \
        }                                                                              \
    }

HK_API void hk_sem_init(hk_sem *sem, uint32_t permits);

/* Ends its life; NULL is fine. Someone waiting: panic. Not needed before its storage
 * goes: who took the last permit may free it. */
HK_API void hk_sem_fini(hk_sem *sem);

/*
 * Takes one permit, in order of arrival.
 * Cancel:  atomic: -ECANCELED means no permit was taken.
 * Returns: 0, -ECANCELED, -EDEADLK.
 */
HK_API HK_WARN_UNUSED int hk_sem_acquire(hk_sem *sem);

/* 0, or -EAGAIN when there is none free (or others wait). Never blocks. */
HK_API HK_WARN_UNUSED int hk_sem_try_acquire(hk_sem *sem);

/* Gives `count` permits back. Never blocks. Any task or thread. */
HK_API void hk_sem_release(hk_sem *sem, uint32_t count);

/* Free permits now; 0 when there are waiters. */
HK_API uint32_t hk_sem_available(const hk_sem *sem);

/* holders: always 0, since permits carry no names; a limiter's do. */
HK_API void hk_sem_stats(const hk_sem *sem, hk_sync_stats *out_stats);

HK_END_DECLS

#endif
