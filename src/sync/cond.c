/* SPDX-License-Identifier: MIT */
/*
 * A condition. Its queue holds who has not been signalled. Signalling takes one out and
 * gives it its turn at its mutex:
 *
 *     a task of the signaller's worker   is woken: it runs when the signaller waits,
 *                                        and then, as a rule, the mutex is free
 *     any other, and by a broadcast      goes into the queue of the mutex (hki_mutex_
 *                                        requeue), and wakes when that comes free: so
 *                                        nobody wakes only to find it held, and a
 *                                        broadcast starts no herd
 *
 * The last of these neighbours is remembered as the heir until it runs: if its
 * signaller waits for the same condition before that, as two do that take turns, it
 * gets the mutex without an unlock and a lock.
 *
 * No signal is lost: a waiter is in the queue before it releases the mutex, so whoever
 * locks the mutex after that finds it. And no signal goes to who does not take it: once
 * out of the queue (`moved`, under the lock) a wait can no longer be undone, and
 * returns 0 although its caller may have been cancelled meanwhile. It only has to get
 * the mutex, which it would have to get for -ECANCELED, too.
 *
 * The condition may be freed by the last who waited for it: signalling does not touch
 * it after the waiters are out of the queue and the lock is released, which is before
 * any of them can return.
 */
#include <hocket/cond.h>

#include "base/list.h"
#include "sync/bias.h"
#include "sync/mutex.h"
#include "sync/queue.h"

#include <hocket/task.h>

#include <stdio.h>

/* On the stack of who waits. The waiter's object is this record and not the condition,
 * since what is waited for changes with the signal. */
struct wait {
    struct hki_mutex_place place;
    hk_cond *cond;
    uint32_t moved; /* atomic; set under the condition's lock: it was signalled */
};

static const char *name_of(const hk_cond *cond)
{
    return cond->name ? cond->name : "unnamed";
}

static bool is_moved(const struct wait *wait)
{
    return __atomic_load_n(&wait->moved, __ATOMIC_RELAXED);
}

static void describe(const void *object, char *text, size_t size)
{
    const struct wait *wait = object;

    /* A signalled one may outlive its condition. */
    if (is_moved(wait))
        (void)snprintf(text, size, "signalled, waits for mutex '%s'",
                       hki_mutex_name(wait->place.mutex));
    else
        (void)snprintf(text, size, "'%s', with mutex '%s'", name_of(wait->cond),
                       hki_mutex_name(wait->place.mutex));
}

static size_t holders(const void *object, hk_holder *out, size_t max)
{
    const struct wait *wait = object;

    /* Before the signal nobody knows from whom it will come. */
    return is_moved(wait) ? hki_mutex_holders(wait->place.mutex, out, max) : 0;
}

static const hk_wait_kind wait_kind = {
    .name = "condition", .describe = describe, .holders = holders};

static _Noreturn __attribute__((cold, noinline)) void panic_not_held(
    const hk_cond *cond, const hk_mutex *mutex, int64_t depth)
{
    if (depth > 0)
        hki_panic(
            "hk_cond_wait: '%s' waits for condition '%s' (%p) with mutex '%s' (%p) "
            "locked %lld times: nobody else could lock it",
            hk_task_name(), name_of(cond), (const void *)cond, hki_mutex_name(mutex),
            (const void *)mutex, (long long)depth + 1);
    hki_panic(
        "hk_cond_wait: '%s' waits for condition '%s' (%p) with mutex '%s' (%p) that "
        "it does not hold",
        hk_task_name(), name_of(cond), (const void *)cond, hki_mutex_name(mutex),
        (const void *)mutex);
}

/* ---- exclusion: by a bias while one worker alone uses it, else by the lock ---- */

_Static_assert(sizeof(((hk_cond *)NULL)->hki_bias) == sizeof(struct hki_bias),
               "the condition has room for its bias");

static struct hki_bias *bias_of(hk_cond *cond)
{
    return (struct hki_bias *)(void *)cond->hki_bias;
}

static __attribute__((noinline)) void hold_by_lock(hk_cond *cond,
                                                   const struct hki_worker *worker)
{
    struct hki_bias *bias = bias_of(cond);

    hki_lock_acquire(&cond->hki_lock.hki_word);
    if (__atomic_load_n(&bias->owner, __ATOMIC_RELAXED) == 0) /* all of it is zero */
        __atomic_store_n(&bias->owner, HKI_BIAS_OPEN, __ATOMIC_RELAXED);
    hki_bias_visit(bias, worker);
    hki_bias_lock_taken(bias);
}

/* True: by the bias. */
static inline bool hold(hk_cond *cond, const struct hki_worker *worker)
{
    if (HKI_LIKELY(worker && hki_bias_enter(bias_of(cond), worker)))
        return true;
    hold_by_lock(cond, worker);
    return false;
}

static inline void drop(hk_cond *cond, bool by_bias)
{
    if (HKI_LIKELY(by_bias)) {
        hki_bias_leave(bias_of(cond));
        return;
    }
    hki_bias_lock_leaves(bias_of(cond));
    hki_lock_release(&cond->hki_lock.hki_word);
}

static const struct hki_worker *worker_of_caller(void)
{
    return hki_self_current ? hki_self_current->worker : NULL;
}

/* ---- waiting ---- */

static void set_waiting(hk_cond *cond, uint32_t count)
{
    __atomic_store_n(&cond->hki_waiting, count, __ATOMIC_RELAXED);
}

static struct wait *heir_of(const hk_cond *cond)
{
    return __atomic_load_n(&cond->hki_heir, __ATOMIC_RELAXED);
}

static void set_heir(hk_cond *cond, struct wait *heir)
{
    __atomic_store_n(&cond->hki_heir, heir, __ATOMIC_RELAXED);
}

static bool is_neighbour(const struct hki_self *waits, const struct hki_worker *worker)
{
    return worker && waits->kind == HKI_SELF_TASK && waits->worker == worker;
}

/* Returns the heir if it is there for the caller, who waits with the same mutex. */
static struct wait *enqueue(hk_cond *cond, struct wait *wait)
{
    const struct hki_worker *worker = wait->place.self->worker;
    bool by_bias = hold(cond, worker);
    struct wait *heir = heir_of(cond);

    hki_queue_push(&cond->hki_waiters, &wait->place.waiter);
    set_waiting(cond, cond->hki_waiting + 1);
    cond->hki_waits++;
    if (heir && heir->place.mutex == wait->place.mutex &&
        is_neighbour(heir->place.self, worker))
        set_heir(cond, NULL);
    else
        heir = NULL;
    drop(cond, by_bias);
    return heir;
}

/* The heir is ready and has not run: what its wake said may still be changed. */
static void release_mutex(hk_mutex *mutex, struct wait *heir)
{
    if (heir && !hki_is_checking() && hki_mutex_try_pass(mutex, heir->place.self)) {
        heir->place.waiter.result = HKI_MUTEX_HANDED;
        HKI_HB_RELEASE(&heir->place.waiter);
    } else {
        hk_mutex_unlock(mutex);
    }
}

/* Of who was woken as a neighbour, and runs now. */
static void end_heirdom(struct wait *wait)
{
    bool by_bias;

    if (heir_of(wait->cond) != wait)
        return;
    by_bias = hold(wait->cond, wait->place.self->worker);
    if (heir_of(wait->cond) == wait)
        set_heir(wait->cond, NULL);
    drop(wait->cond, by_bias);
}

static hk_verdict wait_abort(hk_waiter *w)
{
    struct wait *wait = (struct wait *)w->object;
    hk_cond *cond = wait->cond;
    bool removed, by_bias;

    if (is_moved(wait))
        return HK_PENDING;
    by_bias = hold(cond, wait->place.self->worker);
    removed = !is_moved(wait) && hki_queue_remove(&cond->hki_waiters, w);
    if (removed)
        set_waiting(cond, cond->hki_waiting - 1);
    drop(cond, by_bias);
    return removed ? HK_ABORTED : HK_PENDING;
}

static int wait_for_signal(hk_cond *cond, hk_mutex *mutex, struct hki_self *self)
{
    struct wait wait;
    int rc;

    wait.place.self = self;
    wait.place.mutex = mutex;
    wait.cond = cond;
    wait.moved = 0;
    hki_waiter_arm(&wait.place.waiter, self, &wait_kind, &wait);
    wait.place.waiter.data = &wait.place;
    release_mutex(mutex, enqueue(cond, &wait));
    rc = hk_park(&wait.place.waiter, wait_abort);
    if (HKI_LIKELY(rc == HKI_MUTEX_HANDED && !hki_is_checking()))
        return 0;
    if (rc < 0) {
        hk_mutex_lock_shielded(mutex);
        return rc;
    }
    if (rc == HKI_MUTEX_AGAIN)
        end_heirdom(&wait);
    hki_mutex_resume(&wait.place, rc);
    return 0;
}

int hk_cond_wait(hk_cond *cond, hk_mutex *mutex)
{
    struct hki_self *self = hki_self();
    int64_t depth = hki_mutex_depth(mutex, self);
    const hk_scope *scope;
    int rc;

    if (HKI_UNLIKELY(depth != 0))
        panic_not_held(cond, mutex, depth);
    rc = hki_enter(self);
    if (HKI_UNLIKELY(rc < 0))
        return rc;
    if (!hki_is_checking())
        return wait_for_signal(cond, mutex, self);
    scope = hki_check_scope(self, mutex);
    rc = wait_for_signal(cond, mutex, self);
    hki_check_set_scope(self, mutex, scope);
    return rc;
}

/* ---- signalling ---- */

static void move(struct wait *wait)
{
    __atomic_store_n(&wait->moved, 1, __ATOMIC_RELAXED);
}

static struct wait *wait_of(hk_waiter *w)
{
    return hki_container_of(w, struct wait, place.waiter);
}

void hk_cond_signal(hk_cond *cond)
{
    const struct hki_worker *worker = worker_of_caller();
    struct wait *wait = NULL;
    bool by_bias, near = false;
    hk_waiter *w;

    if (__atomic_load_n(&cond->hki_waiting, __ATOMIC_RELAXED) == 0)
        return;
    by_bias = hold(cond, worker);
    w = hki_queue_pop(&cond->hki_waiters);
    if (w) {
        wait = wait_of(w);
        move(wait);
        near = is_neighbour(wait->place.self, worker) &&
               !hki_mutex_is_in_order(wait->place.mutex);
        if (near)
            set_heir(cond, wait);
        set_waiting(cond, cond->hki_waiting - 1);
    }
    drop(cond, by_bias);
    if (!wait)
        return;
    if (near)
        hk_wake(w, HKI_MUTEX_AGAIN);
    else
        hki_mutex_requeue(&wait->place);
}

void hk_cond_broadcast(hk_cond *cond)
{
    hk_waiter *first;
    bool by_bias;

    if (__atomic_load_n(&cond->hki_waiting, __ATOMIC_RELAXED) == 0)
        return;
    by_bias = hold(cond, worker_of_caller());
    first = cond->hki_waiters.head;
    cond->hki_waiters = (hk_waiter_queue){NULL, NULL};
    set_waiting(cond, 0);
    for (hk_waiter *w = first; w; w = w->next)
        move(wait_of(w));
    drop(cond, by_bias);
    while (first) {
        hk_waiter *w = first;

        first = w->next;
        hki_mutex_requeue(&wait_of(w)->place);
    }
}

/* ---- statistics, and the end ---- */

void hk_cond_stats(const hk_cond *cond, hk_sync_stats *out_stats)
{
    hk_cond *held = (hk_cond *)cond;
    bool by_bias = hold(held, worker_of_caller());

    *out_stats = (hk_sync_stats){
        .waiters = cond->hki_waiting,
        .contended = cond->hki_waits,
    };
    drop(held, by_bias);
}

void hk_cond_fini(hk_cond *cond)
{
    hk_sync_stats stats;

    if (!cond)
        return;
    hk_cond_stats(cond, &stats);
    if (stats.waiters)
        hki_panic("hk_cond_fini: '%s' ends condition '%s' (%p) that %u wait for",
                  hk_task_name(), name_of(cond), (const void *)cond, stats.waiters);
}
