/* SPDX-License-Identifier: MIT */
/* What every primitive can tell about itself: hk_mutex_stats and its like. */
#ifndef HOCKET_SYNC_STATS_H
#define HOCKET_SYNC_STATS_H

#include <hocket/base.h>

HK_BEGIN_DECLS

/*
 * A snapshot; while others run it may be old when it is read. Reading it takes the
 * primitive's short lock: never blocks for long, any task or thread.
 */
typedef struct hk_sync_stats {
    uint32_t holders;   /* now: who holds it, shares it, has borrowed from it, or has
                         * arrived; each primitive's header says which */
    uint32_t waiters;   /* now */
    uint64_t contended; /* times that a caller had to wait, since it was initialised;
                         * a caller that is woken in vain and waits on counts once */
    uint64_t reserved[2];
} hk_sync_stats;

HK_END_DECLS

#endif
