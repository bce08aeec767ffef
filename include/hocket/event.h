/* SPDX-License-Identifier: MIT */
/* An event: a flag that tasks and plain threads wait for. */
#ifndef HOCKET_EVENT_H
#define HOCKET_EVENT_H

#include <hocket/sync_stats.h>
#include <hocket/waiter.h>

HK_BEGIN_DECLS

/* Valid when zeroed: not set. 48 bytes. */
typedef struct hk_event {
    uint32_t hki_set; /* atomic */
    hk_lock hki_lock;
    hk_waiter_queue hki_waiters;
    const char *name; /* for dumps; may be NULL */
    uint64_t hki_contended;
    uint64_t hki_reserved[1];
} hk_event;

#define HK_EVENT_INIT HK_ZERO_INIT

/* Ends its life; NULL is fine. Someone waiting: panic. Not needed before its storage
 * goes: who has waited may free it, if nobody else waits. */
HK_API void hk_event_fini(hk_event *event);

/* Waits until the event is set. Cancel: atomic. Returns 0, -ECANCELED, -EDEADLK. */
HK_API int hk_event_wait(hk_event *event);

/* Sets it and wakes everyone. Any task or thread; never blocks. */
HK_API void hk_event_set(hk_event *event);

/* Clears it; who was woken by an earlier set stays woken. Who clears it and then looks
 * for what was done before a set finds that, or the event set. Never blocks. */
HK_API void hk_event_clear(hk_event *event);

HK_API bool hk_event_is_set(const hk_event *event);

/* holders: always 0. */
HK_API void hk_event_stats(const hk_event *event, hk_sync_stats *out_stats);

HK_END_DECLS

#endif
