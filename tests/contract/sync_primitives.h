/* SPDX-License-Identifier: MIT */
/*
 * All that one can wait for in sync/, as rows of functions with one shape: so that
 * every promise is tested over every row.
 */
#ifndef TESTS_CONTRACT_SYNC_PRIMITIVES_H
#define TESTS_CONTRACT_SYNC_PRIMITIVES_H

#include "sync_rows_chan.h"
#include "sync_rows_locks.h"
#include "sync_rows_signals.h"

enum {
    A_LOCK = FOR_ALL | IS_HELD | BY_BLOCKER,
    A_RUN = FOR_ALL | BY_BLOCKER | HAS_HOPE,
};

static const struct primitive primitives[] = {
    {"mutex", A_LOCK, 0, 0, mutex_block, mutex_wait, mutex_unlock, mutex_unlock,
     mutex_stats},
    {"mutex_recursive", A_LOCK, HK_MUTEX_RECURSIVE, 0, mutex_block, mutex_wait,
     mutex_unlock, mutex_unlock, mutex_stats},
    {"mutex_error_checking", A_LOCK, HK_MUTEX_ERROR_CHECKING, 0, mutex_block,
     mutex_wait, mutex_unlock, mutex_unlock, mutex_stats},
    {"mutex_in_order", A_LOCK, HK_MUTEX_IN_ORDER, 0, mutex_block, mutex_wait,
     mutex_unlock, mutex_unlock, mutex_stats},
    {"lock_many", A_LOCK, 0, 0, many_block, many_wait, many_give_back, many_grant,
     many_stats},
    {"rwlock_read", A_LOCK | IS_SHARED, 0, 0, read_block, read_wait, read_unlock,
     write_unlock, rwlock_stats},
    {"rwlock_write", A_LOCK, 0, 0, write_block, write_wait, write_unlock, read_unlock,
     rwlock_stats},
    {"limiter", FOR_ALL | IS_HELD, 0, 0, limiter_block, limiter_wait, limiter_give_back,
     limiter_grant, limiter_stats},
    {"condition", 0, 0, 0, nothing, cond_wait, nothing, cond_grant, cond_stats},
    {"event", FOR_ALL, 0, 0, event_block, event_wait, nothing, event_grant,
     event_stats},
    {"event_in_select", FOR_ALL, 0, 0, event_block, event_select, nothing, event_grant,
     event_stats},
    {"semaphore", 0, 0, 0, nothing, sem_wait_one, nothing, sem_grant, sem_stats},
    {"semaphore_in_select", HAS_HOPE, 0, 0, nothing, sem_select, nothing, sem_grant,
     sem_stats},
    {"barrier", IS_MEETING | FOR_ONE, 0, 0, nothing, barrier_wait, nothing,
     barrier_grant, barrier_stats},
    {"wait_group", FOR_ALL, 0, 0, group_block, group_wait, nothing, group_grant,
     group_stats},
    {"once", A_RUN, 0, 0, once_block, once_wait, nothing, once_succeed, once_stats},
    {"once_after_a_failure", A_RUN, 0, 0, once_block, once_wait, nothing, once_fail,
     once_stats},
    {"receive_unbuffered", IS_MEETING, 0, 0, nothing, recv_wait, nothing, recv_grant,
     chan_stats},
    {"receive_buffered", 0, 0, 3, nothing, recv_wait, nothing, recv_grant, chan_stats},
    {"receive_in_select", 0, 0, 1, nothing, recv_select, nothing, recv_grant,
     chan_stats},
    {"meet_in_select", IS_MEETING, 0, 0, nothing, recv_select, nothing, recv_grant,
     chan_stats},
    {"send_unbuffered", IS_MEETING, 0, 0, nothing, send_wait, nothing, send_grant,
     chan_stats},
    {"send_full", 0, 0, 1, full_block, send_wait, full_give_back, send_grant,
     chan_stats},
    {"send_in_select", IS_MEETING, 0, 0, nothing, send_select, nothing, send_grant,
     chan_stats},
};

enum { PRIMITIVES = sizeof(primitives) / sizeof(*primitives) };

static inline bool has_trait(const struct primitive *p, unsigned trait)
{
    return p->traits & trait;
}

static inline void object_init(struct object *o, const struct primitive *p)
{
    memset(o, 0, sizeof(*o));
    o->is_numbered = true;
    hk_mutex_init(&o->mutex, p->flags);
    hk_limiter_init(&o->limiter, 1);
    hk_barrier_init(&o->barrier, 2);
    CHECK_EQ(hk_chan_new(sizeof(uint64_t), p->capacity, &o->chan), 0);
}

/* Panics when something is held, or somebody left waiting. */
static inline void object_fini(struct object *o)
{
    hk_mutex_fini(&o->mutex);
    hk_mutex_fini(&o->other_mutex);
    hk_rwlock_fini(&o->rwlock);
    hk_cond_fini(&o->cond);
    CHECK_EQ(o->ready, 0);
    hk_event_fini(&o->event);
    hk_event_fini(&o->never);
    hk_sem_fini(&o->sem);
    CHECK_EQ(hk_sem_available(&o->sem), 0);
    hk_limiter_fini(&o->limiter);
    hk_barrier_fini(&o->barrier);
    hk_wait_group_fini(&o->group);
    hk_once_fini(&o->once);
    hk_chan_free(o->chan);
}

#endif
