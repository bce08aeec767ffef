/* SPDX-License-Identifier: MIT */
/* For the tests of the rwlock: one of them, and whether it is as new. */
#ifndef TESTS_UNIT_RWLOCK_TEST_H
#define TESTS_UNIT_RWLOCK_TEST_H

#include "contract/sync_kit.h"

static hk_rwlock lock;

static inline hk_sync_stats stats_now(void)
{
    hk_sync_stats stats;

    hk_rwlock_stats(&lock, &stats);
    return stats;
}

static inline void check_is_as_new(void)
{
    hk_sync_stats stats = stats_now();

    CHECK_EQ(stats.holders, 0);
    CHECK_EQ(stats.waiters, 0);
    CHECK_EQ(lock.hki_leaving, 0);
    CHECK_EQ(hk_rwlock_try_write_lock(&lock), 0);
    hk_rwlock_write_unlock(&lock);
    hk_rwlock_fini(&lock);
}

#endif
