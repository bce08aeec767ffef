/* SPDX-License-Identifier: MIT */
/*
 * A wait group: a count of things under way, and who waits for the last of them. For
 * what has no scope that could be joined: requests in flight, users of a resource.
 *
 *     hk_wait_group_add(&group, 1);     (before each thing is started)
 *     hk_wait_group_done(&group);       (when it has ended)
 *     int rc = hk_wait_group_wait(&group);
 */
#ifndef HOCKET_WAIT_GROUP_H
#define HOCKET_WAIT_GROUP_H

#include <hocket/sync_stats.h>
#include <hocket/waiter.h>

HK_BEGIN_DECLS

/* Valid when zeroed: nothing under way. Must not move while in use. 64 bytes. */
typedef struct hk_wait_group {
    uint64_t hki_state; /* atomic; the count and a bit, see sync/wait_group.c */
    hk_lock hki_lock;
    uint32_t hki_unused;
    hk_waiter_queue hki_waiters;
    const char *name; /* for dumps; may be NULL */
    uint64_t hki_contended;
    uint64_t hki_reserved[2];
} hk_wait_group;

#define HK_WAIT_GROUP_INIT HK_ZERO_INIT

/* Ends its life; NULL is fine. Something under way, or someone waiting: panic. Not
 * needed before its storage goes: who waited may free it, if nobody else waits. */
HK_API void hk_wait_group_fini(hk_wait_group *group);

/*
 * `count` more are under way. Never blocks, not a cancel point. Any task or thread;
 * before the wait that is to see it, so before the thing is started, not inside it.
 */
HK_API void hk_wait_group_add(hk_wait_group *group, uint32_t count);

/*
 * One has ended; the last one lets those go who wait, and all that every one did
 * before it is visible to them. More of these than were added: panic. Never blocks,
 * not a cancel point. Any task or thread.
 */
HK_API void hk_wait_group_done(hk_wait_group *group);

/*
 * Waits until the count is 0. Who began to wait before it became 0 is let go, whatever
 * is added afterwards.
 * Cancel:  atomic: -ECANCELED changes nothing.
 * Returns: 0, -ECANCELED, -EDEADLK.
 */
HK_API HK_WARN_UNUSED int hk_wait_group_wait(hk_wait_group *group);

/* How many are under way now. */
HK_API uint64_t hk_wait_group_count(const hk_wait_group *group);

/* holders: how many are under way, at most UINT32_MAX. */
HK_API void hk_wait_group_stats(const hk_wait_group *group, hk_sync_stats *out_stats);

HK_END_DECLS

#endif
