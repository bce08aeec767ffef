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
 *     WAKING   A waiter was popped and woken to try its luck, others are queued, and it
 *              has not tried yet: its try looks after the queue, so unlocking need not
 *              wake another one. Set by unlock, cleared by a waiter that was woken,
 *              whether it gets the mutex or goes back to the head of the queue, so
 *              always with HELD. When it was the last in the queue there is nothing to
 *              look after, and who uses the mutex until it comes finds it as if unused.
 *     OVERDUE  The head of the queue has waited longer than the bound: the next unlock
 *              must hand over to it. Set by a waiter that was woken in vain and is old;
 *              cleared by the hand-over, or when the queue runs empty. Never together
 *              with WAKING.
 *     flags    HK_MUTEX_RECURSIVE and its like, immutable. With one the word of a free
 *              mutex is not 0, so that all their work is on the slow paths.
 *     guests   HKI_MUTEX_GUESTS: of who embeds the mutex (the rwlock). Kept.
 *
 * In order (HK_MUTEX_IN_ORDER) every unlock with waiters hands over, and WAKING is
 * never set: so a mutex that is not HELD has no waiters, and who takes it passes nobody
 * by.
 *
 * No wake-up is lost: a queued waiter implies WAITERS, and then at every moment either
 * HELD (its unlock will look at the queue) or WAKING (that waiter will) is set.
 *
 * The mutex may be freed by the next holder as soon as it is released: clearing HELD,
 * or the wake of who was handed it, is unlock's last access.
 */
#include "sync/mutex.h"

#include "sync/queue.h"

enum {
    HELD = HKI_MUTEX_HELD,
    WAITERS = 1 << 1,
    WAKING = 1 << 2,
    OVERDUE = 1 << 3,
};

enum {
    BOUND_NS = 500 * 1000, /* a waiter older than this gets the mutex handed */
    PASSED_MAX = 64,       /* and so does one that was woken in vain this often: the
                            * bound of a virtual clock, which stands still */
    HANDED_SHIFT = 16,     /* unit of hki_handed_at */
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

/* ---- lock ---- */

static inline bool try_take(hk_mutex *mutex, struct hki_self *self)
{
    uint32_t state = 0;

    if (HKI_UNLIKELY(!change_state(mutex, &state, HELD, __ATOMIC_ACQUIRE)))
        return false;
    set_holder(mutex, self);
    return true;
}

/* Takes it past the queue if it is free. `woken`: WAKING, of who was woken to try. */
static bool try_barge(hk_mutex *mutex, uint32_t woken)
{
    uint32_t state = state_of(mutex);

    while (!(state & HELD))
        if (change_state(mutex, &state, (state | HELD) & ~woken, __ATOMIC_ACQUIRE))
            return true;
    return false;
}

/*
 * Looks again for as long as a sleep and a wake-up would cost: the holder, if it runs
 * on another processor, is done soon.
 */
static bool spin(hk_mutex *mutex, const struct hki_self *self, uint32_t woken)
{
    bool is_thread = self->kind == HKI_SELF_THREAD, taken = false;

    if (hki_mutex_is_in_order(mutex))
        return false;
    for (int look = 0; !taken && hki_mutex_spin(mutex, is_thread, look); look++)
        taken = try_barge(mutex, woken);
    hki_mutex_has_spun(mutex, taken);
    return taken;
}

static uint32_t coarse(int64_t time_ns)
{
    return (uint32_t)(time_ns >> HANDED_SHIFT);
}

/*
 * Under hki_lock: whether `place` must get the mutex handed. One at a time: when many
 * wait, all are old, and handing it from one to the next would make every lock as slow
 * as a wake-up.
 */
static bool is_overdue(const hk_mutex *mutex, const struct hki_mutex_place *place)
{
    int64_t now_ns;

    if (place->passed >= PASSED_MAX)
        return true;
    now_ns = hk_now();
    return now_ns - place->since_ns >= BOUND_NS &&
           coarse(now_ns) - mutex->hki_handed_at >= coarse(BOUND_NS);
}

/* Under hki_lock, as what follows: the queue, and its length. */
static void push(hk_mutex *mutex, struct hki_mutex_place *place)
{
    if (place->passed) {
        hki_queue_push_front(&mutex->hki_waiters, &place->waiter);
    } else {
        hki_queue_push(&mutex->hki_waiters, &place->waiter);
        mutex->hki_contended++;
    }
    mutex->hki_waiting++;
}

static struct hki_mutex_place *pop(hk_mutex *mutex)
{
    hk_waiter *w = hki_queue_pop(&mutex->hki_waiters);

    if (!w)
        return NULL;
    mutex->hki_waiting--;
    return w->data;
}

/* Queues, at the head if it was there before. False: it was free, and was taken. */
static bool enqueue(hk_mutex *mutex, struct hki_mutex_place *place)
{
    uint32_t woken = place->passed ? WAKING : 0;
    uint32_t state, wanted, overdue;

    hki_waiter_arm(&place->waiter, place->self, place->kind, place->object);
    place->waiter.data = place;
    hki_lock_acquire(&mutex->hki_lock);
    overdue = woken && is_overdue(mutex, place) ? OVERDUE : 0;
    state = state_of(mutex);
    do {
        wanted = state & HELD ? (state | WAITERS | overdue) : (state | HELD);
        wanted &= ~woken;
    } while (!change_state(mutex, &state, wanted, __ATOMIC_ACQUIRE));
    if (state & HELD)
        push(mutex, place);
    hki_lock_release(&mutex->hki_lock);
    return state & HELD;
}

static hk_verdict lock_abort(hk_waiter *w)
{
    const struct hki_mutex_place *place = w->data;
    hk_mutex *mutex = place->mutex;
    bool removed;

    hki_lock_acquire(&mutex->hki_lock);
    removed = hki_queue_remove(&mutex->hki_waiters, w);
    if (removed)
        mutex->hki_waiting--;
    if (removed && !mutex->hki_waiters.head)
        __atomic_fetch_and(&mutex->hki_state, (uint32_t) ~(WAITERS | OVERDUE),
                           __ATOMIC_RELAXED);
    hki_lock_release(&mutex->hki_lock);
    return removed ? HK_ABORTED : HK_PENDING;
}

/* Waits for its turn. 0 when the mutex is the caller's. */
static int wait_for_turn(struct hki_mutex_place *place, hk_abort_fn *abort)
{
    hk_mutex *mutex = place->mutex;

    while (enqueue(mutex, place)) {
        int rc = hk_park(&place->waiter, abort);

        if (rc == HKI_MUTEX_HANDED)
            return 0;
        if (rc < 0)
            return rc;
        place->passed++;
        if (try_barge(mutex, WAKING) || spin(mutex, place->self, WAKING))
            break;
    }
    set_holder(mutex, place->self);
    return 0;
}

int hki_mutex_enter(hk_mutex *mutex, struct hki_self *self, const hk_wait_kind *kind,
                    const void *object, bool shielded)
{
    struct hki_mutex_place place;

    if (try_barge(mutex, 0) || spin(mutex, self, 0)) {
        set_holder(mutex, self);
        return 0;
    }
    place.self = self;
    place.mutex = mutex;
    place.kind = kind;
    place.object = object;
    place.since_ns = hk_now();
    place.passed = 0;
    return wait_for_turn(&place, shielded ? NULL : lock_abort);
}

bool hki_mutex_try_enter(hk_mutex *mutex, struct hki_self *self)
{
    if (!try_barge(mutex, 0))
        return false;
    set_holder(mutex, self);
    return true;
}

/* The holder comes again. */
static int relock(hk_mutex *mutex)
{
    uint32_t state = state_of(mutex);

    if (state & HK_MUTEX_ERROR_CHECKING)
        return -EDEADLK;
    if (!(state & HK_MUTEX_RECURSIVE))
        hki_mutex_panic_relock(mutex);
    if (++mutex->hki_depth == 0)
        hki_mutex_panic_too_deep(mutex);
    return 0;
}

static __attribute__((noinline)) int lock_slow(hk_mutex *mutex, struct hki_self *self,
                                               bool shielded)
{
    if (HKI_UNLIKELY(holder_of(mutex) == self))
        return relock(mutex);
    return hki_mutex_enter(mutex, self, &hki_mutex_kind, mutex, shielded);
}

/* The rest of a call that has to look up, and may have to yield. The budget is spent
 * before the try, not after it: who must yield yields without the mutex. */
static __attribute__((noinline)) int lock_attentive(hk_mutex *mutex, bool shielded)
{
    struct hki_self *self = hki_self();
    bool again = holder_of(mutex) == self;
    int rc;

    if (again && !(state_of(mutex) & HK_MUTEX_RECURSIVE))
        return relock(mutex); /* misuse comes before a cancel */
    rc = shielded ? 0 : hki_enter(self);
    if (rc < 0)
        return rc;
    hki_spend(self);
    if (!again && hki_is_checking())
        hki_check_order(self, mutex, &hki_mutex_kind, HKI_HELD_ALONE);
    rc = lock_slow(mutex, self, shielded);
    if (rc == 0 && hki_is_checking())
        hki_check_took(self, mutex, &hki_mutex_kind, HKI_HELD_ALONE);
    return rc;
}

/* Small enough to need no frame: what is rare is behind a jump. */
int hk_mutex_lock(hk_mutex *mutex)
{
    struct hki_self *self = hki_self_current;
    uint16_t budget;

    if (HKI_UNLIKELY(!self || __atomic_load_n(&self->attention, __ATOMIC_RELAXED) ||
                     (budget = self->budget) == 1 || hki_is_checking()))
        return lock_attentive(mutex, false);
    if (HKI_UNLIKELY(!try_take(mutex, self))) {
        self->budget = (uint16_t)(budget - 1);
        return lock_slow(mutex, self, false);
    }
    self->budget = (uint16_t)(budget - 1); /* before the atomic operation: +0.3 ns */
    return 0;
}

void hk_mutex_lock_shielded(hk_mutex *mutex)
{
    /* One that is error-checking fails, and has no other way to say so. */
    if (lock_attentive(mutex, true) < 0)
        hki_mutex_panic_relock(mutex);
}

int hk_mutex_try_lock(hk_mutex *mutex)
{
    struct hki_self *self = hki_self();

    if (!hki_mutex_try_enter(mutex, self)) {
        const uint32_t answers = HK_MUTEX_RECURSIVE | HK_MUTEX_ERROR_CHECKING;
        int rc = -EAGAIN;

        if (holder_of(mutex) == self && (state_of(mutex) & answers))
            rc = relock(mutex);
        if (rc < 0)
            return rc;
    }
    if (hki_is_checking())
        hki_check_took(self, mutex, &hki_mutex_kind, HKI_HELD_ALONE);
    return 0;
}

/* ---- unlock ---- */

/* The next waiter, with the mutex handed to it, or with leave to try; NULL when the
 * queue has run empty meanwhile. While we hold it, hki_lock keeps the state still. */
static struct hki_mutex_place *pick_next(hk_mutex *mutex, int *out_wake)
{
    struct hki_mutex_place *place;

    hki_lock_acquire(&mutex->hki_lock);
    place = pop(mutex);
    if (place) {
        uint32_t before = state_of(mutex);
        uint32_t state = before & ~(uint32_t)(WAITERS | OVERDUE);

        if (mutex->hki_waiters.head)
            state |= WAITERS;
        if ((before & (OVERDUE | HK_MUTEX_IN_ORDER)) || is_overdue(mutex, place)) {
            set_holder(mutex, place->self);
            mutex->hki_handed_at = coarse(hk_now());
            *out_wake = HKI_MUTEX_HANDED;
        } else {
            state |= state & WAITERS ? WAKING : 0;
            *out_wake = HKI_MUTEX_TRY;
        }
        __atomic_store_n(&mutex->hki_state, state, __ATOMIC_RELAXED);
    }
    hki_lock_release(&mutex->hki_lock);
    return place;
}

static void wake_next(hk_mutex *mutex, struct hki_mutex_place *place, int wake)
{
    if (wake == HKI_MUTEX_TRY)
        __atomic_fetch_and(&mutex->hki_state, ~(uint32_t)HELD, __ATOMIC_RELEASE);
    hk_wake(&place->waiter, wake);
}

static __attribute__((noinline)) void unlock_slow(hk_mutex *mutex,
                                                  struct hki_self *self)
{
    uint32_t state = state_of(mutex);

    if (mutex->hki_depth > 0) {
        mutex->hki_depth--;
        set_holder(mutex, self);
        return;
    }
    for (;;) {
        int wake;
        struct hki_mutex_place *place;

        if (!(state & WAITERS) || (state & WAKING)) {
            if (change_state(mutex, &state, state & ~(uint32_t)HELD, __ATOMIC_RELEASE))
                return;
            continue;
        }
        place = pick_next(mutex, &wake);
        if (place) {
            wake_next(mutex, place, wake);
            return;
        }
        state = state_of(mutex);
    }
}

static inline void leave(hk_mutex *mutex, struct hki_self *self)
{
    uint32_t state = HELD;

    set_holder(mutex, NULL);
    if (HKI_UNLIKELY(!change_state(mutex, &state, 0, __ATOMIC_RELEASE)))
        unlock_slow(mutex, self);
}

void hki_mutex_leave(hk_mutex *mutex, struct hki_self *self)
{
    leave(mutex, self);
}

static __attribute__((noinline)) void unlock_checked(hk_mutex *mutex)
{
    struct hki_self *self = hki_self_current;

    if (!self || holder_of(mutex) != self)
        hki_mutex_panic_unlock(mutex);
    hki_check_gave(self, mutex);
    leave(mutex, self);
}

void hk_mutex_unlock(hk_mutex *mutex)
{
    struct hki_self *self = hki_self_current;

    if (HKI_UNLIKELY(hki_is_checking() || !self || holder_of(mutex) != self))
        unlock_checked(mutex);
    else
        leave(mutex, self);
}

bool hk_mutex_is_held(const hk_mutex *mutex)
{
    return hki_self_current && holder_of(mutex) == hki_self_current;
}

/* ---- for the condition ---- */

/*
 * A free mutex is offered, not given, unless in order: while the waiter is on its way
 * others may use it. One that is on its way already will look after the queue.
 */
void hki_mutex_requeue(struct hki_mutex_place *place)
{
    hk_mutex *mutex = place->mutex;
    uint32_t state, wanted;

    place->since_ns = hk_now();
    place->passed = 0;
    hki_lock_acquire(&mutex->hki_lock);
    state = state_of(mutex);
    do {
        if (state & (HELD | WAKING))
            wanted = state | WAITERS;
        else
            wanted = state | (state & HK_MUTEX_IN_ORDER ? HELD : WAKING);
    } while (!change_state(mutex, &state, wanted, __ATOMIC_ACQUIRE));
    if (state & (HELD | WAKING)) {
        push(mutex, place);
        place = NULL;
    } else if (wanted & HELD) {
        set_holder(mutex, place->self);
    }
    hki_lock_release(&mutex->hki_lock);
    if (place)
        hk_wake(&place->waiter, wanted & HELD ? HKI_MUTEX_HANDED : HKI_MUTEX_TRY);
}

/* Without an abort none of it can fail. */
void hki_mutex_resume(struct hki_mutex_place *place, int wake)
{
    struct hki_self *self = place->self;
    hk_mutex *mutex = place->mutex;

    if (hki_is_checking())
        hki_check_order(self, mutex, &hki_mutex_kind, HKI_HELD_ALONE);
    if (wake == HKI_MUTEX_AGAIN && !try_take(mutex, self)) {
        (void)hki_mutex_enter(mutex, self, &hki_mutex_kind, mutex, true);
    } else if (wake == HKI_MUTEX_TRY) {
        place->kind = &hki_mutex_kind; /* now it waits for the mutex and nothing else */
        place->object = mutex;
        place->passed++;
        (void)wait_for_turn(place, NULL);
    }
    if (hki_is_checking())
        hki_check_took(self, mutex, &hki_mutex_kind, HKI_HELD_ALONE);
}
