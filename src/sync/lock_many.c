/* SPDX-License-Identifier: MIT */
/*
 * Several mutexes in one global order. The next one is searched for, not sorted: two or
 * three locks are the rule, the search needs no memory that could be lacking, and those
 * given twice, or NULL, are skipped by themselves.
 */
#include <hocket/lock_many.h>

/* The lowest address above `floor`; NULL: there is none. */
static hk_mutex *next_above(hk_mutex *const locks[], size_t count,
                            const hk_mutex *floor)
{
    hk_mutex *best = NULL;

    for (size_t i = 0; i < count; i++)
        if ((uintptr_t)locks[i] > (uintptr_t)floor &&
            (!best || (uintptr_t)locks[i] < (uintptr_t)best))
            best = locks[i];
    return best;
}

/* The highest address below `ceiling`; NULL: there is none. */
static hk_mutex *next_below(hk_mutex *const locks[], size_t count, uintptr_t ceiling)
{
    hk_mutex *best = NULL;

    for (size_t i = 0; i < count; i++)
        if ((uintptr_t)locks[i] < ceiling && (uintptr_t)locks[i] > (uintptr_t)best)
            best = locks[i];
    return best;
}

static void unlock_below(hk_mutex *const locks[], size_t count, uintptr_t ceiling)
{
    hk_mutex *mutex;

    while ((mutex = next_below(locks, count, ceiling))) {
        ceiling = (uintptr_t)mutex;
        hk_mutex_unlock(mutex);
    }
}

int hk_lock_many(hk_mutex *const locks[], size_t count)
{
    hk_mutex *mutex = NULL;

    while ((mutex = next_above(locks, count, mutex))) {
        int rc = hk_mutex_lock(mutex);

        if (rc < 0) {
            unlock_below(locks, count, (uintptr_t)mutex);
            return rc;
        }
    }
    return 0;
}

void hk_unlock_many(hk_mutex *const locks[], size_t count)
{
    unlock_below(locks, count, UINTPTR_MAX);
}
