/* SPDX-License-Identifier: MIT */
/*
 * What a row of sync_primitives.h is: something that one can wait for, as functions of
 * one shape. One party, the waiter, waits for it and gives it back; another one, the
 * granter, blocks it at first, so that a wait has to wait, and grants it later.
 */
#ifndef TESTS_CONTRACT_SYNC_ROWS_H
#define TESTS_CONTRACT_SYNC_ROWS_H

#include "sync_kit.h"

/* Whatever a row may need. */
struct object {
    hk_mutex mutex, other_mutex;
    hk_rwlock rwlock;
    hk_cond cond;
    int ready; /* guarded by mutex; what the cond tells of */
    hk_event event;
    hk_event never;
    hk_sem sem;
    hk_limiter limiter;
    hk_barrier barrier; /* for two */
    hk_wait_group group;
    hk_chan *chan;
    /* Numbers of the last items; of a send only one party at a time may wait for. */
    uint64_t sent, received; /* atomic */
    bool is_numbered;

    /* The once, and who runs it between block and grant: a task of the granter's
     * worker, or a thread when the granter is one. */
    hk_once once;
    hk_scope runners;
    pthread_t runner;
    hk_event finish;
    uint32_t runs; /* atomic: that have begun */
    int run_result;
};

enum {
    IS_MEETING = 1 << 0, /* of two parties that must be there at the same time */
    FOR_ALL = 1 << 1,    /* one grant is enough for all who wait */
    IS_HELD = 1 << 2,    /* until it is given back; */
    IS_SHARED = 1 << 3,  /* by several at a time */
    BY_BLOCKER = 1 << 4, /* only who has blocked it can grant it */
    FOR_ONE = 1 << 5,    /* several waiters would grant it to one another */
    HAS_HOPE = 1 << 6,   /* a wait for it is never without hope */
};

struct primitive {
    const char *name;
    unsigned traits;
    uint32_t flags;                      /* of its mutex */
    uint32_t capacity;                   /* of its channel */
    void (*block)(struct object *o);     /* by the granter: from now on wait waits */
    int (*wait)(struct object *o);       /* what is tested; 0: got it */
    void (*give_back)(struct object *o); /* by the waiter, who got it */
    void (*grant)(struct object *o);     /* by the granter: one wait succeeds */
    void (*stats)(struct object *o, hk_sync_stats *out_stats);
};

static inline void nothing(struct object *o)
{
    (void)o;
}

static inline size_t waiters_of(const struct primitive *p, struct object *o)
{
    hk_sync_stats stats;

    p->stats(o, &stats);
    return stats.waiters;
}

#endif
