/* SPDX-License-Identifier: MIT */
/*
 * A mutex that barges, with a bound.
 *
 * hki_state, all of it changed by compare-and-swap or under hki_lock by the holder:
 *
 *     HELD     Set by who takes the mutex, cleared by its holder. Only the holder may
 *              clear it; handing over leaves it set.
 *     WAITERS  The queue is not empty. Set and cleared under hki_lock, and kept equal
 *              to the queue's state whenever hki_lock is free. Not seeing it is
 *              harmless for who locks, never for who unlocks.
 *     WAKING   One waiter was popped and woken to try its luck, and has not tried yet:
 *              its try looks after the queue, so unlocking need not wake another one.
 *              Set by unlock, cleared by that waiter, whether it gets the mutex or
 *              goes back to the head of the queue.
 *     OVERDUE  The head of the queue has waited longer than the bound: the next unlock
 *              must hand over to it. Set by a waiter that was woken in vain and is old;
 *              cleared by the hand-over, or when the queue runs empty. Never together
 *              with WAKING.
 *
 * No wake-up is lost: a queued waiter implies WAITERS, and then at every moment either
 * HELD (its unlock will look at the queue) or WAKING (that waiter will) is set.
 *
 * The mutex may be freed by the next holder as soon as it is released: clearing HELD,
 * or the wake of who was handed it, is unlock's last access.
 */
#include <hocket/mutex.h>

#include "core/self_inline.h"
#include "sync/queue.h"

#include <hocket/task.h>

#include <stdio.h>

enum {
    HELD = 1 << 0,
    WAITERS = 1 << 1,
    WAKING = 1 << 2,
    OVERDUE = 1 << 3,
};

enum {
    BOUND_NS = 500 * 1000, /* a waiter older than this gets the mutex handed */
    PASSED_MAX = 64,       /* and so does one that was woken in vain this often: the
                            * bound of a virtual clock, which stands still */
    SPINS = 60,            /* of a plain thread before it sleeps: about 1 us */
};

/* Results of a waiter's wake. */
enum { RETRY = 0, HANDED = 1 };

/* A caller on its way through the queue; waiter.data points to it. */
struct place {
    hk_waiter waiter;
    struct hki_self *self;
    int64_t since_ns; /* when it first queued; kept when it goes back to the head */
    uint32_t passed;  /* how often it was woken and another was faster */
};

static inline struct hki_self *holder_of(const hk_mutex *mutex)
{
    return __atomic_load_n(&mutex->hki_holder, __ATOMIC_RELAXED);
}

static inline void set_holder(hk_mutex *mutex, struct hki_self *self)
{
    __atomic_store_n(&mutex->hki_holder, self, __ATOMIC_RELAXED);
}

static inline uint32_t state_of(const hk_mutex *mutex)
{
    return __atomic_load_n(&mutex->hki_state, __ATOMIC_RELAXED);
}

static inline bool change_state(hk_mutex *mutex, uint32_t *state, uint32_t wanted,
                                int order)
{
    return __atomic_compare_exchange_n(&mutex->hki_state, state, wanted, false, order,
                                       __ATOMIC_RELAXED);
}

static const char *name_of(const hk_mutex *mutex)
{
    return mutex->name ? mutex->name : "(unnamed)";
}

static void describe(const void *object, char *text, size_t size)
{
    const hk_mutex *mutex = object;

    (void)snprintf(text, size, "%s, %s", name_of(mutex),
                   state_of(mutex) & HELD ? "held" : "free");
}

static const hk_wait_kind lock_kind = {.name = "mutex", .describe = describe};

/* ---- misuse ---- */

static _Noreturn __attribute__((cold, noinline)) void panic_relock(
    const hk_mutex *mutex)
{
    hki_panic("hk_mutex_lock: \"%s\" locks mutex %s (%p) that it already holds",
              hk_task_name(), name_of(mutex), (const void *)mutex);
}

static _Noreturn __attribute__((cold, noinline)) void panic_unlock(
    const hk_mutex *mutex)
{
    const struct hki_self *holder = holder_of(mutex);

    if (!holder)
        hki_panic("hk_mutex_unlock: \"%s\" unlocks mutex %s (%p) that nobody holds",
                  hk_task_name(), name_of(mutex), (const void *)mutex);
    hki_panic("hk_mutex_unlock: \"%s\" unlocks mutex %s (%p) that \"%s\" holds",
              hk_task_name(), name_of(mutex), (const void *)mutex,
              hki_self_name(holder));
}

/* ---- lock ---- */

static inline bool try_take(hk_mutex *mutex, struct hki_self *self)
{
    uint32_t state = 0;

    if (HKI_UNLIKELY(!change_state(mutex, &state, HELD, __ATOMIC_ACQUIRE)))
        return false;
    set_holder(mutex, self);
    return true;
}

/* Takes it past the queue if it is free. */
static bool try_barge(hk_mutex *mutex)
{
    uint32_t state = state_of(mutex);

    while (!(state & HELD))
        if (change_state(mutex, &state, state | HELD, __ATOMIC_ACQUIRE))
            return true;
    return false;
}

/*
 * A plain thread tries for as long as a sleep and a wake-up would cost: its holder runs
 * elsewhere. A task never spins: the holder may be a task on its own worker, and
 * others there want to run.
 */
static bool spin(hk_mutex *mutex, const struct hki_self *self)
{
    if (self->kind != HKI_SELF_THREAD)
        return false;
    for (int i = 0; i < SPINS; i++) {
        if (try_barge(mutex))
            return true;
        for (int pause = 0; pause < 32; pause++)
            __atomic_signal_fence(__ATOMIC_SEQ_CST);
    }
    return false;
}

static bool is_overdue(const struct place *place)
{
    return place->passed >= PASSED_MAX || hk_now() - place->since_ns >= BOUND_NS;
}

/* Queues, at the head if it was there before. False: it was free, and was taken. */
static bool enqueue(hk_mutex *mutex, struct place *place)
{
    uint32_t woken = place->passed ? WAKING : 0;
    uint32_t overdue = woken && is_overdue(place) ? OVERDUE : 0;
    uint32_t state, wanted;

    hk_waiter_init(&place->waiter, &lock_kind, mutex);
    place->waiter.data = place;
    hki_lock_acquire(&mutex->hki_lock);
    state = state_of(mutex);
    do {
        wanted = state & HELD ? (state | WAITERS | overdue) : (state | HELD);
        wanted &= ~woken;
    } while (!change_state(mutex, &state, wanted, __ATOMIC_ACQUIRE));
    if (state & HELD) {
        if (woken)
            hki_queue_push_front(&mutex->hki_waiters, &place->waiter);
        else
            hki_queue_push(&mutex->hki_waiters, &place->waiter);
    }
    hki_lock_release(&mutex->hki_lock);
    return state & HELD;
}

static hk_verdict lock_abort(hk_waiter *w)
{
    hk_mutex *mutex = (hk_mutex *)w->object;
    bool removed;

    hki_lock_acquire(&mutex->hki_lock);
    removed = hki_queue_remove(&mutex->hki_waiters, w);
    if (removed && !mutex->hki_waiters.head)
        __atomic_fetch_and(&mutex->hki_state, (uint32_t) ~(WAITERS | OVERDUE),
                           __ATOMIC_RELAXED);
    hki_lock_release(&mutex->hki_lock);
    return removed ? HK_ABORTED : HK_PENDING;
}

/* Waits for its turn. 0 when the mutex is the caller's. */
static int wait_for_turn(hk_mutex *mutex, struct hki_self *self, hk_abort_fn *abort)
{
    struct place place = {.self = self, .since_ns = hk_now()};

    while (enqueue(mutex, &place)) {
        int rc = hk_park(&place.waiter, abort);

        if (rc == HANDED)
            return 0;
        if (rc < 0)
            return rc;
        place.passed++;
    }
    set_holder(mutex, self);
    return 0;
}

static __attribute__((noinline)) int lock_slow(hk_mutex *mutex, struct hki_self *self,
                                               hk_abort_fn *abort)
{
    if (HKI_UNLIKELY(holder_of(mutex) == self))
        panic_relock(mutex);
    if (!try_barge(mutex) && !spin(mutex, self))
        return wait_for_turn(mutex, self, abort);
    set_holder(mutex, self);
    return 0;
}

/* The rest of a call that has to look up, and may have to yield. The budget is spent
 * before the try, not after it: who must yield yields without the mutex. */
static __attribute__((noinline)) int lock_attentive(hk_mutex *mutex, hk_abort_fn *abort)
{
    struct hki_self *self = hki_self();
    int rc = abort ? hki_enter(self) : 0;

    if (rc < 0 && holder_of(mutex) == self)
        panic_relock(mutex);
    if (rc < 0)
        return rc;
    hki_spend(self);
    return lock_slow(mutex, self, abort);
}

/* Small enough to need no frame: what is rare is behind a jump. */
int hk_mutex_lock(hk_mutex *mutex)
{
    struct hki_self *self = hki_self_current;

    if (HKI_UNLIKELY(!self || __atomic_load_n(&self->attention, __ATOMIC_RELAXED) ||
                     self->budget == 1))
        return lock_attentive(mutex, lock_abort);
    self->budget--;
    if (HKI_UNLIKELY(!try_take(mutex, self)))
        return lock_slow(mutex, self, lock_abort);
    return 0;
}

void hk_mutex_lock_shielded(hk_mutex *mutex)
{
    (void)lock_attentive(mutex, NULL); /* without an abort it cannot fail */
}

int hk_mutex_try_lock(hk_mutex *mutex)
{
    struct hki_self *self = hki_self();

    if (!try_barge(mutex))
        return -EAGAIN;
    set_holder(mutex, self);
    return 0;
}

/* ---- unlock ---- */

/* The next waiter, with the mutex handed to it, or with leave to try; NULL when the
 * queue has run empty meanwhile. While we hold it, hki_lock keeps the state still. */
static hk_waiter *pick_next(hk_mutex *mutex, int *out_result)
{
    hk_waiter *w;

    hki_lock_acquire(&mutex->hki_lock);
    w = hki_queue_pop(&mutex->hki_waiters);
    if (w) {
        const struct place *place = w->data;
        uint32_t state = HELD | (mutex->hki_waiters.head ? WAITERS : 0);

        if ((state_of(mutex) & OVERDUE) || is_overdue(place)) {
            set_holder(mutex, place->self);
            *out_result = HANDED;
        } else {
            state |= WAKING;
            *out_result = RETRY;
        }
        __atomic_store_n(&mutex->hki_state, state, __ATOMIC_RELAXED);
    }
    hki_lock_release(&mutex->hki_lock);
    return w;
}

static __attribute__((noinline)) void unlock_slow(hk_mutex *mutex)
{
    uint32_t state = state_of(mutex);
    hk_waiter *w;
    int result;

    for (;;) {
        if (!(state & WAITERS) || (state & WAKING)) {
            if (change_state(mutex, &state, state & ~(uint32_t)HELD, __ATOMIC_RELEASE))
                return;
            continue;
        }
        w = pick_next(mutex, &result);
        if (w)
            break;
        state = state_of(mutex);
    }
    if (result == RETRY)
        __atomic_fetch_and(&mutex->hki_state, ~(uint32_t)HELD, __ATOMIC_RELEASE);
    hk_wake(w, result);
}

void hk_mutex_unlock(hk_mutex *mutex)
{
    uint32_t state = HELD;

    if (HKI_UNLIKELY(!hki_self_current || holder_of(mutex) != hki_self_current))
        panic_unlock(mutex);
    set_holder(mutex, NULL);
    if (HKI_UNLIKELY(!change_state(mutex, &state, 0, __ATOMIC_RELEASE)))
        unlock_slow(mutex);
}

bool hk_mutex_is_held(const hk_mutex *mutex)
{
    return hki_self_current && holder_of(mutex) == hki_self_current;
}
