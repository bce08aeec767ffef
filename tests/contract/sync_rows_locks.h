/* SPDX-License-Identifier: MIT */
/* What one party at a time has, as rows of sync_primitives.h. */
#ifndef TESTS_CONTRACT_SYNC_ROWS_LOCKS_H
#define TESTS_CONTRACT_SYNC_ROWS_LOCKS_H

#include "sync_rows.h"

/* ---- mutex ---- */

static void mutex_block(struct object *o)
{
    CHECK_EQ(hk_mutex_lock(&o->mutex), 0);
}

static int mutex_wait(struct object *o)
{
    return hk_mutex_lock(&o->mutex);
}

static void mutex_unlock(struct object *o)
{
    CHECK(hk_mutex_is_held(&o->mutex));
    hk_mutex_unlock(&o->mutex);
}

static void mutex_stats(struct object *o, hk_sync_stats *out_stats)
{
    hk_mutex_stats(&o->mutex, out_stats);
}

/* ---- two mutexes at once; the granter holds the second one ---- */

static void many_block(struct object *o)
{
    CHECK_EQ(hk_mutex_lock(&o->other_mutex), 0);
}

static int many_wait(struct object *o)
{
    hk_mutex *both[] = {&o->other_mutex, &o->mutex};
    int rc = hk_lock_many(both, 2);

    CHECK_EQ(hk_mutex_is_held(&o->mutex), rc == 0);
    CHECK_EQ(hk_mutex_is_held(&o->other_mutex), rc == 0);
    return rc;
}

static void many_give_back(struct object *o)
{
    hk_mutex *both[] = {&o->mutex, &o->other_mutex};

    hk_unlock_many(both, 2);
}

static void many_grant(struct object *o)
{
    hk_mutex_unlock(&o->other_mutex);
}

static void many_stats(struct object *o, hk_sync_stats *out_stats)
{
    hk_sync_stats first, second;

    hk_mutex_stats(&o->mutex, &first);
    hk_mutex_stats(&o->other_mutex, &second);
    *out_stats = (hk_sync_stats){.holders = first.holders + second.holders,
                                 .waiters = first.waiters + second.waiters,
                                 .contended = first.contended + second.contended};
}

/* ---- rwlock: a reader waits for a writer, and the other way round ---- */

static void read_block(struct object *o)
{
    CHECK_EQ(hk_rwlock_write_lock(&o->rwlock), 0);
}

static int read_wait(struct object *o)
{
    return hk_rwlock_read_lock(&o->rwlock);
}

static void read_unlock(struct object *o)
{
    CHECK(hk_rwlock_is_read(&o->rwlock));
    hk_rwlock_read_unlock(&o->rwlock);
}

static void write_block(struct object *o)
{
    CHECK_EQ(hk_rwlock_read_lock(&o->rwlock), 0);
}

static int write_wait(struct object *o)
{
    return hk_rwlock_write_lock(&o->rwlock);
}

static void write_unlock(struct object *o)
{
    CHECK(hk_rwlock_is_written(&o->rwlock));
    hk_rwlock_write_unlock(&o->rwlock);
}

static void rwlock_stats(struct object *o, hk_sync_stats *out_stats)
{
    hk_rwlock_stats(&o->rwlock, out_stats);
}

/* ---- limiter, of one token; the granter borrows it for the object ---- */

static void limiter_block(struct object *o)
{
    CHECK_EQ(hk_limiter_acquire_for(&o->limiter, o), 0);
}

static int limiter_wait(struct object *o)
{
    return hk_limiter_acquire(&o->limiter);
}

static void limiter_give_back(struct object *o)
{
    hk_limiter_release(&o->limiter);
}

static void limiter_grant(struct object *o)
{
    hk_limiter_release_for(&o->limiter, o);
}

static void limiter_stats(struct object *o, hk_sync_stats *out_stats)
{
    hk_limiter_stats(&o->limiter, out_stats);
}

#endif
