/* SPDX-License-Identifier: MIT */
/*
 * A wait group.
 *
 * hki_state: the count, shifted by one, and
 *
 *     WAITERS   The queue is not empty. Set and cleared under the lock, and kept equal
 *               to the queue's state whenever the lock is free. Set implies that the
 *               count is above 0: the step to 0 is made under the lock then, together
 *               with the emptying of the queue, so nobody is left behind and nobody is
 *               let go who came after it.
 *
 * A wait group is often on the stack of who waits for it. The last done's last access
 * is its step to 0 when nobody is queued, else the release of the lock: parked waiters
 * are woken after it, and one that sees 0 without parking waits for the lock.
 */
#include <hocket/wait_group.h>

#include "core/self_inline.h"
#include "sync/queue.h"

#include <hocket/task.h>

#include <inttypes.h>
#include <stdio.h>

enum { WAITERS = 1, ONE = 2 };

static uint64_t state_of(const hk_wait_group *group)
{
    return __atomic_load_n(&group->hki_state, __ATOMIC_ACQUIRE);
}

/* Both ways: what every one did before its done is visible to who sees 0, through all
 * the others' steps. */
static bool change_state(hk_wait_group *group, uint64_t *state, uint64_t wanted)
{
    return __atomic_compare_exchange_n(&group->hki_state, state, wanted, true,
                                       __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static const char *name_of(const hk_wait_group *group)
{
    return group->name ? group->name : "unnamed";
}

static void describe(const void *object, char *text, size_t size)
{
    const hk_wait_group *group = object;

    (void)snprintf(text, size, "'%s', %" PRIu64 " under way", name_of(group),
                   hk_wait_group_count(group));
}

static const hk_wait_kind wait_kind = {.name = "wait group", .describe = describe};

uint64_t hk_wait_group_count(const hk_wait_group *group)
{
    return state_of(group) / ONE;
}

void hk_wait_group_add(hk_wait_group *group, uint32_t count)
{
    __atomic_fetch_add(&group->hki_state, (uint64_t)count * ONE, __ATOMIC_RELAXED);
}

/* ---- done ---- */

static _Noreturn __attribute__((cold, noinline)) void panic_below_zero(
    const hk_wait_group *group)
{
    hki_panic("hk_wait_group_done: '%s' is done with more than was added to the wait "
              "group '%s' (%p)",
              hk_task_name(), name_of(group), (const void *)group);
}

/* The step that may be the last one, while somebody is queued. */
static __attribute__((noinline)) void done_with_waiters(hk_wait_group *group)
{
    hk_waiter *woken = NULL;
    uint64_t state, wanted;

    hki_lock_acquire(&group->hki_lock.hki_word);
    state = state_of(group);
    do {
        if (state < ONE)
            panic_below_zero(group);
        wanted = state / ONE == 1 ? 0 : state - ONE;
    } while (!change_state(group, &state, wanted));
    if (wanted == 0)
        woken = hki_queue_take_all(&group->hki_waiters);
    hki_lock_release(&group->hki_lock.hki_word);
    hki_queue_wake_all(woken, 0);
}

void hk_wait_group_done(hk_wait_group *group)
{
    uint64_t state = state_of(group);

    do {
        if (HKI_UNLIKELY(state < ONE))
            panic_below_zero(group);
        if (state == (ONE | WAITERS)) {
            done_with_waiters(group);
            return;
        }
    } while (!change_state(group, &state, state - ONE));
}

/* ---- wait ---- */

static hk_verdict wait_abort(hk_waiter *w)
{
    hk_wait_group *group = (hk_wait_group *)w->object;
    bool removed;

    hki_lock_acquire(&group->hki_lock.hki_word);
    removed = hki_queue_remove(&group->hki_waiters, w);
    if (removed && !group->hki_waiters.head)
        __atomic_fetch_and(&group->hki_state, ~(uint64_t)WAITERS, __ATOMIC_RELAXED);
    hki_lock_release(&group->hki_lock.hki_word);
    return removed ? HK_ABORTED : HK_PENDING;
}

/* Under the lock: says that somebody queues. False: the count is 0. */
static bool announce(hk_wait_group *group)
{
    uint64_t state = state_of(group);

    while (state >= ONE)
        if (change_state(group, &state, state | WAITERS))
            return true;
    return false;
}

int hk_wait_group_wait(hk_wait_group *group)
{
    struct hki_self *self = hki_self();
    int rc = hki_enter(self);
    hk_waiter w;
    bool queued;

    if (HKI_UNLIKELY(rc < 0))
        return rc;
    if (state_of(group) == 0) {
        hki_lock_outlast(&group->hki_lock.hki_word);
        hki_spend(self);
        return 0;
    }
    hki_waiter_arm(&w, self, &wait_kind, group);
    hki_lock_acquire(&group->hki_lock.hki_word);
    queued = announce(group);
    if (queued) {
        group->hki_contended++;
        hki_queue_push(&group->hki_waiters, &w);
    }
    hki_lock_release(&group->hki_lock.hki_word);
    if (queued)
        return hk_park(&w, wait_abort);
    hki_spend(self);
    return 0;
}

/* ---- looking at it ---- */

void hk_wait_group_stats(const hk_wait_group *group, hk_sync_stats *out_stats)
{
    uint32_t *lock = (uint32_t *)&group->hki_lock.hki_word;
    uint64_t count;

    hki_lock_acquire(lock);
    count = hk_wait_group_count(group);
    *out_stats =
        (hk_sync_stats){.holders = count < UINT32_MAX ? (uint32_t)count : UINT32_MAX,
                        .waiters = hki_queue_length(&group->hki_waiters),
                        .contended = group->hki_contended};
    hki_lock_release(lock);
}

void hk_wait_group_fini(hk_wait_group *group)
{
    hk_sync_stats stats;

    if (!group)
        return;
    hk_wait_group_stats(group, &stats);
    if (stats.holders > 0)
        hki_panic("hk_wait_group_fini: '%s' ends the wait group '%s' (%p) with %u "
                  "under way, and %u wait for it",
                  hk_task_name(), name_of(group), (void *)group, stats.holders,
                  stats.waiters);
}
