/* SPDX-License-Identifier: MIT */
/* The beginning and the end of a mutex, and what it tells about itself in between. */
#include "sync/mutex.h"

#include <hocket/task.h>

#include <stdio.h>

/* ---- in words ---- */

const char *hki_mutex_name(const hk_mutex *mutex)
{
    return mutex->name ? mutex->name : "unnamed";
}

size_t hki_mutex_holders(const hk_mutex *mutex, hk_holder *out, size_t max)
{
    const struct hki_self *holder =
        __atomic_load_n(&mutex->hki_holder, __ATOMIC_RELAXED);

    if (!holder || max == 0)
        return 0;
    out[0] = holder;
    return 1;
}

static void describe(const void *object, char *text, size_t size)
{
    const hk_mutex *mutex = object;

    (void)snprintf(text, size, "'%s', %s", hki_mutex_name(mutex),
                   __atomic_load_n(&mutex->hki_state, __ATOMIC_RELAXED) & HKI_MUTEX_HELD
                       ? "held"
                       : "free");
}

static size_t holders(const void *object, hk_holder *out, size_t max)
{
    return hki_mutex_holders(object, out, max);
}

const hk_wait_kind hki_mutex_kind = {
    .name = "mutex",
    .describe = describe,
    .holders = holders,
    .name_offset = offsetof(hk_mutex, name),
    .check_offset = offsetof(hk_mutex, hki_check),
};

void hki_mutex_panic_relock(const hk_mutex *mutex)
{
    /* The second: its record was that of one that ended with the lock. */
    hki_panic(
        "hk_mutex_lock: '%s' locks mutex '%s' (%p) that it already holds, or that "
        "one which has ended left locked",
        hk_task_name(), hki_mutex_name(mutex), (const void *)mutex);
}

void hki_mutex_panic_too_deep(const hk_mutex *mutex)
{
    hki_panic("hk_mutex_lock: '%s' locks mutex '%s' (%p) more than 65,536 times",
              hk_task_name(), hki_mutex_name(mutex), (const void *)mutex);
}

void hki_mutex_panic_unlock(const hk_mutex *mutex)
{
    const struct hki_self *holder =
        __atomic_load_n(&mutex->hki_holder, __ATOMIC_RELAXED);

    if (!holder)
        hki_panic("hk_mutex_unlock: '%s' unlocks mutex '%s' (%p) that nobody holds",
                  hk_task_name(), hki_mutex_name(mutex), (const void *)mutex);
    hki_panic("hk_mutex_unlock: '%s' unlocks mutex '%s' (%p) that '%s' holds",
              hk_task_name(), hki_mutex_name(mutex), (const void *)mutex,
              hki_self_name(holder));
}

/* ---- beginning and end ---- */

void hk_mutex_init(hk_mutex *mutex, uint32_t flags)
{
    const uint32_t either = HK_MUTEX_RECURSIVE | HK_MUTEX_ERROR_CHECKING;
    const uint32_t known = either | HK_MUTEX_IN_ORDER;

    if ((flags & ~known) || (flags & either) == either)
        hki_panic("hk_mutex_init: flags %#x: unknown ones, or recursive and "
                  "error-checking at once",
                  flags);
    *mutex = (hk_mutex)HK_MUTEX_INIT_WITH(flags);
    if (hki_is_checking())
        hki_check_forget(mutex);
}

void hk_mutex_stats(const hk_mutex *mutex, hk_sync_stats *out_stats)
{
    uint32_t *lock = &((hk_mutex *)mutex)->hki_lock;

    hki_lock_acquire(lock);
    *out_stats = (hk_sync_stats){
        .holders = __atomic_load_n(&mutex->hki_state, __ATOMIC_ACQUIRE) & HKI_MUTEX_HELD
                       ? 1
                       : 0,
        .waiters = mutex->hki_waiting,
        .contended = mutex->hki_contended,
    };
    hki_lock_release(lock);
}

void hk_mutex_fini(hk_mutex *mutex)
{
    const struct hki_self *holder;
    hk_sync_stats stats;

    if (!mutex)
        return;
    hk_mutex_stats(mutex, &stats);
    holder = __atomic_load_n(&mutex->hki_holder, __ATOMIC_RELAXED);
    if (stats.holders)
        hki_panic("hk_mutex_fini: '%s' ends mutex '%s' (%p) that '%s' holds and %u "
                  "wait for",
                  hk_task_name(), hki_mutex_name(mutex), (const void *)mutex,
                  holder ? hki_self_name(holder) : "somebody", stats.waiters);
    if (stats.waiters)
        hki_panic("hk_mutex_fini: '%s' ends mutex '%s' (%p) that %u wait for",
                  hk_task_name(), hki_mutex_name(mutex), (const void *)mutex,
                  stats.waiters);
    if (hki_is_checking())
        hki_check_forget(mutex);
}
