/* SPDX-License-Identifier: MIT */
/* Pools of threads that find work: see exec/work.h for how they sleep and wake. */
#include "exec/work.h"

#include "base/alloc.h"
#include "base/fence.h"
#include "base/lock.h"
#include "base/list.h"
#include "exec/work_queue.h"

#include <errno.h>

enum {
    THREADS_MAX = 256, /* as many workers as a runtime can have */
    GUESTS_MAX = 64,   /* plain threads that take part at once */
    SEATS_MAX = THREADS_MAX + GUESTS_MAX,
    DEQUE_SIZE = 256,       /* at first */
    GRAB_MAX = 32,          /* pieces from the queue at once */
    QUEUE_FIRST_EVERY = 61, /* finds, so that what comes from outside comes in */
};

struct hki_work_pool {
    struct hki_work_demand demand; /* first */
    _Alignas(64) struct hki_source source;
    struct hki_work_options options; /* immutable */
    struct hki_runtime *runtime;     /* immutable */
    uint32_t launched;    /* atomic; written by who holds the search: threads ever */
    uint32_t alive;       /* atomic: less those that have left */
    uint32_t guests_lock; /* guards the making of seats for guests */
    uint32_t guest_seats; /* atomic: guests that there ever were at once */
    /* Atomic; the threads', then the guests'. Made at need, they stay. */
    struct hki_work_seat *seats[SEATS_MAX];
    _Alignas(64) struct hki_work_queue queue;
    /* Counted work: what came through the queue, guarded by its lock; and what came from
     * the pool's own threads less what has ended, atomic. */
    uint64_t outside;
    hk_waiter_queue joiners; /* wait for the sum to be 0; likewise guarded */
    uint32_t is_closed;      /* atomic; written with that lock */
    _Alignas(64) uint64_t inside;
};

__thread struct hki_work_seat *hki_work_seat_here
    __attribute__((tls_model("initial-exec")));

struct hki_runtime *hki_work_runtime(struct hki_work_pool *pool)
{
    return pool->runtime;
}

uint32_t hki_work_threads(const struct hki_work_pool *pool)
{
    return pool->options.threads;
}

static struct hki_work_pool *pool_of(const struct hki_source *source)
{
    return hki_container_of((struct hki_source *)(uintptr_t)source,
                            struct hki_work_pool, source);
}

/* ---- seats ---- */

static struct hki_work_seat *seat_at(const struct hki_work_pool *pool, uint32_t index)
{
    return __atomic_load_n(&pool->seats[index], __ATOMIC_ACQUIRE);
}

/* One thread at a time makes the one of an index. */
static int make_seat(struct hki_work_pool *pool, uint32_t index)
{
    struct hki_work_seat *seat;

    if (seat_at(pool, index))
        return 0;
    seat = hki_alloc_kept(sizeof(*seat));
    if (!seat)
        return -ENOMEM;
    if (hki_deque_init(&seat->deque, DEQUE_SIZE) < 0) {
        hki_free_kept(seat);
        return -ENOMEM;
    }
    seat->pool = pool;
    seat->executor = pool->options.executor;
    seat->random = index;
    __atomic_store_n(&pool->seats[index], seat, __ATOMIC_RELEASE);
    return 0;
}

static void free_seats(struct hki_work_pool *pool)
{
    for (uint32_t i = 0; i < SEATS_MAX; i++) {
        struct hki_work_seat *seat = pool->seats[i];

        if (!seat)
            continue;
        hki_deque_fini(&seat->deque);
        hki_free_kept(seat);
    }
}

/* That of the calling thread of the pool. */
static struct hki_work_seat *own_seat(struct hki_work_pool *pool)
{
    if (HKI_UNLIKELY(!hki_work_seat_here))
        hki_work_seat_here = seat_at(pool, hki_workers_index());
    return hki_work_seat_here;
}

static uint32_t launched_of(const struct hki_work_pool *pool)
{
    return __atomic_load_n(&pool->launched, __ATOMIC_ACQUIRE);
}

/* Seats of threads and of guests, counted through. */
static uint32_t seat_count(const struct hki_work_pool *pool)
{
    return launched_of(pool) + __atomic_load_n(&pool->guest_seats, __ATOMIC_ACQUIRE);
}

static struct hki_work_seat *nth_seat(const struct hki_work_pool *pool, uint32_t n)
{
    uint32_t launched = launched_of(pool);

    return seat_at(pool, n < launched ? n : n - launched + THREADS_MAX);
}

/* ---- is there work ---- */

static bool has_work(const struct hki_source *source)
{
    const struct hki_work_pool *pool = pool_of(source);

    if (hki_work_queue_count(&pool->queue))
        return true;
    for (uint32_t n = seat_count(pool); n-- > 0;) {
        const struct hki_work_seat *seat = nth_seat(pool, n);

        if (seat && hki_deque_count(&seat->deque))
            return true;
    }
    return false;
}

/* ---- waking ---- */

static bool wake_sleeper(struct hki_work_pool *pool)
{
    uint32_t launched = launched_of(pool);

    for (uint32_t i = 0; i < launched; i++) { /* the last ones may leave */
        uint32_t asleep = 1;

        if (__atomic_load_n(&seat_at(pool, i)->asleep, __ATOMIC_RELAXED) &&
            __atomic_compare_exchange_n(&seat_at(pool, i)->asleep, &asleep, 0, false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
            hki_workers_notify(pool->runtime, i);
            return true;
        }
    }
    return false;
}

/* As the one searcher, whose role the new thread gets. */
static bool launch(struct hki_work_pool *pool)
{
    uint32_t index = launched_of(pool);

    if (index == pool->options.threads_max || make_seat(pool, index) < 0)
        return false;
    seat_at(pool, index)->searches = true;
    __atomic_store_n(&pool->launched, index + 1, __ATOMIC_SEQ_CST);
    if (hki_workers_launch(pool->runtime, index) == 0) {
        __atomic_add_fetch(&pool->alive, 1, __ATOMIC_SEQ_CST);
        return true;
    }
    __atomic_store_n(&pool->launched, index, __ATOMIC_SEQ_CST);
    return false;
}

static bool begin_search(struct hki_work_pool *pool)
{
    uint32_t none = 0;

    return __atomic_load_n(&pool->demand.searchers, __ATOMIC_SEQ_CST) == 0 &&
           __atomic_compare_exchange_n(&pool->demand.searchers, &none, 1, false,
                                       __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

static void end_search(struct hki_work_pool *pool)
{
    __atomic_sub_fetch(&pool->demand.searchers, 1, __ATOMIC_SEQ_CST);
}

void hki_work_wake(struct hki_work_pool *pool)
{
    if (!begin_search(pool))
        return;
    if (__atomic_fetch_sub(&pool->demand.room, 1, __ATOMIC_SEQ_CST) > 0 &&
        (wake_sleeper(pool) || launch(pool)))
        return;
    __atomic_add_fetch(&pool->demand.room, 1, __ATOMIC_SEQ_CST);
    end_search(pool);
}

/* ---- finding ---- */

/* Those who wait for room are woken when a half of it is free, so that they do not come
 * and go for each piece. */
static void make_room(struct hki_work_pool *pool)
{
    struct hki_work_queue *queue = &pool->queue;
    size_t half = pool->options.queue_max / 2;
    hk_waiter *w;

    for (size_t i = 0; i <= half; i++) {
        hki_spin_acquire(&queue->lock);
        w = queue->count <= half ? hk_waiter_pop(&queue->waiters) : NULL;
        hki_spin_release(&queue->lock);
        if (!w)
            return;
        hk_wake(w, 0);
    }
}

static struct hki_work *grab(struct hki_work_pool *pool, struct hki_work_seat *seat)
{
    struct hki_work *taken[GRAB_MAX];
    size_t n, share;
    bool has_waiters;

    if (!hki_work_queue_count(&pool->queue))
        return NULL;
    hki_spin_acquire(&pool->queue.lock);
    share = pool->queue.count / (4 * pool->options.threads) + 1;
    n = hki_work_queue_take(&pool->queue, taken,
                            pool->queue.above  ? 1
                            : share < GRAB_MAX ? share
                                               : GRAB_MAX);
    has_waiters = pool->queue.waiters.head;
    hki_spin_release(&pool->queue.lock);
    if (HKI_UNLIKELY(has_waiters))
        make_room(pool);
    for (size_t i = n; i-- > 1;) {
        /* Without memory for a larger deque it goes back, behind the others. */
        if (HKI_UNLIKELY(hki_deque_push(&seat->deque, taken[i]) < 0))
            (void)hki_work_push_far(pool, taken[i]);
    }
    return n ? taken[0] : NULL;
}

static struct hki_work *steal_from(struct hki_work_seat *victim)
{
    enum hki_steal got;
    void *item = NULL;

    do
        got = hki_deque_steal(&victim->deque, &item);
    while (got == HKI_STEAL_LOST);
    return got == HKI_STOLEN ? item : NULL;
}

static struct hki_work *steal(struct hki_work_pool *pool, struct hki_work_seat *thief)
{
    uint32_t count = seat_count(pool), first;

    thief->random = thief->random * UINT64_C(6364136223846793005) + 1442695040888963407;
    first = (uint32_t)(thief->random >> 33) % count;
    for (uint32_t i = 0; i < count; i++) {
        struct hki_work_seat *victim = nth_seat(pool, (first + i) % count);
        struct hki_work *work = victim && victim != thief ? steal_from(victim) : NULL;

        if (work)
            return work;
    }
    return NULL;
}

/* Asks for the memory of a piece that is found soon: it was written on another processor,
 * and a job lies on both sides of its work. */
static inline void ask_for(const char *work)
{
    enum { LINE = 64 };

    __builtin_prefetch(work - LINE, 1);
    __builtin_prefetch(work, 1);
    __builtin_prefetch(work + LINE, 1);
}

static struct hki_work *take(struct hki_deque *deque)
{
    enum { AHEAD = 3 };
    int64_t next = __atomic_load_n(&deque->bottom, __ATOMIC_RELAXED) - 1 - AHEAD;

    if (next >= __atomic_load_n(&deque->top, __ATOMIC_RELAXED))
        ask_for(__atomic_load_n(hki_deque_slot(hki_deque_ring_of(deque), next),
                                __ATOMIC_RELAXED));
    return hki_deque_take(deque);
}

static struct hki_work *find_work(struct hki_work_pool *pool,
                                  struct hki_work_seat *seat)
{
    bool queue_first = ++seat->finds % QUEUE_FIRST_EVERY == 0 ||
                       __atomic_load_n(&pool->queue.above, __ATOMIC_RELAXED);
    struct hki_work *work = queue_first ? grab(pool, seat) : NULL;

    if (!work)
        work = take(&seat->deque);
    if (!work)
        work = grab(pool, seat);
    return work ? work : steal(pool, seat);
}

/* Whoever has pushed meanwhile has relied on our search. */
static void stop_searching(struct hki_work_pool *pool, struct hki_work_seat *seat)
{
    seat->searches = false;
    end_search(pool);
    if (has_work(&pool->source))
        hki_work_wake(pool);
}

/* ---- the ends of tasks ---- */

/* Counted work that has not ended. With the queue's lock, closed. */
static bool is_empty(const struct hki_work_pool *pool)
{
    return pool->outside + __atomic_load_n(&pool->inside, __ATOMIC_SEQ_CST) == 0;
}

static void wake_joiners(struct hki_work_pool *pool)
{
    hk_waiter *w;

    do {
        hki_spin_acquire(&pool->queue.lock);
        w = is_empty(pool) ? hk_waiter_pop(&pool->joiners) : NULL;
        hki_spin_release(&pool->queue.lock);
        if (w)
            hk_wake(w, 0);
    } while (w);
}

enum { ENDED_MAX = 64 }; /* told at once */

/* Whoever waits for the last of them may free the pool, but not before this thread has
 * ended, and for the scope after its count is 0. */
static void tell_ended(struct hki_work_pool *pool, struct hki_work_seat *seat)
{
    uint64_t ended = seat->ended;

    if (!ended)
        return;
    seat->ended = 0;
    if (seat->ended_scope)
        hki_crew_leave(seat->ended_scope, pool->runtime, ended);
    __atomic_sub_fetch(&pool->inside, ended, __ATOMIC_SEQ_CST);
    if (HKI_UNLIKELY(__atomic_load_n(&pool->is_closed, __ATOMIC_SEQ_CST)))
        wake_joiners(pool);
}

static void ended(struct hki_source *source, hk_scope *scope)
{
    struct hki_work_pool *pool = pool_of(source);
    struct hki_work_seat *seat = own_seat(pool);

    if (HKI_UNLIKELY(scope != seat->ended_scope)) {
        tell_ended(pool, seat);
        seat->ended_scope = scope;
    }
    if (HKI_UNLIKELY(++seat->ended == ENDED_MAX))
        tell_ended(pool, seat);
}

/* ---- finding, continued ---- */

static int run_work(void *arg)
{
    struct hki_work *work = arg;

    HKI_HB_ACQUIRE(work);
    work->run(work);
    return 0;
}

/*
 * From now until its join a cancel of the scope reaches what we run for it. Here, and
 * not where it is pushed: most forks are joined where they were made, and need none of
 * it.
 * Without memory it runs to its end, whatever happens to its scope. The fence: either
 * who cancels finds us, or the task that is made now finds the scope cancelled; pairs
 * with visit_remote in core/cancel.c.
 */
static void belong_to(struct hki_work_pool *pool, hk_scope *scope)
{
    (void)hki_crew_attach(scope, pool->runtime);
    (void)__atomic_fetch_add(&pool->demand.room, 0, __ATOMIC_SEQ_CST);
}

static bool find(struct hki_source *source, struct hki_found *out)
{
    struct hki_work_pool *pool = pool_of(source);
    struct hki_work_seat *seat = own_seat(pool);
    struct hki_work *work;

    if (HKI_UNLIKELY(seat->blocking ||
                     __atomic_load_n(&pool->demand.room, __ATOMIC_RELAXED) < 0)) {
        tell_ended(pool, seat);
        return false;
    }
    work = find_work(pool, seat);
    /* What comes next may take long: only who waits for it as well can wait to be told. */
    if (!work || HKI_UNLIKELY(work->scope != seat->ended_scope))
        tell_ended(pool, seat);
    if (!work)
        return false;
    if (work->scope && !work->is_counted)
        belong_to(pool, work->scope);
    *out =
        (struct hki_found){run_work, work, work->name, work->scope, work->is_counted};
    if (HKI_UNLIKELY(seat->searches))
        stop_searching(pool, seat);
    return true;
}

static void turns_away(struct hki_source *source)
{
    struct hki_work_pool *pool = pool_of(source);
    struct hki_work_seat *seat = own_seat(pool);

    tell_ended(pool, seat);
    if (seat->searches)
        stop_searching(pool, seat);
}

/* ---- sleeping ---- */

static int32_t give_room(struct hki_work_pool *pool)
{
    return __atomic_fetch_add(&pool->demand.room, 1, __ATOMIC_SEQ_CST);
}

static void take_room(struct hki_work_pool *pool)
{
    __atomic_sub_fetch(&pool->demand.room, 1, __ATOMIC_SEQ_CST);
}

static bool searches(struct hki_source *source)
{
    struct hki_work_pool *pool = pool_of(source);
    struct hki_work_seat *seat = own_seat(pool);

    if (seat->blocking || __atomic_load_n(&pool->demand.room, __ATOMIC_RELAXED) < 0)
        return false;
    if (!seat->searches)
        seat->searches = begin_search(pool);
    return seat->searches;
}

/* One whose task has parked between hk_blocking_begin and its end has given its place
 * back already, and is not to be woken for work. */
static bool sleeps(struct hki_source *source)
{
    struct hki_work_pool *pool = pool_of(source);
    struct hki_work_seat *seat = own_seat(pool);

    seat->dozes = seat->blocking;
    if (seat->dozes)
        return true;
    if (seat->searches) {
        seat->searches = false;
        end_search(pool);
    }
    __atomic_store_n(&seat->asleep, 1, __ATOMIC_SEQ_CST);
    if (give_room(pool) < 0)
        return true; /* enough others compute, and will find what there is */
    if (pool->demand.has_fence)
        hki_fence_everywhere();
    return !has_work(source);
}

/* Who has woken us took the room for us, and gave us the search. */
static void wakes(struct hki_source *source)
{
    struct hki_work_pool *pool = pool_of(source);
    struct hki_work_seat *seat = own_seat(pool);

    if (seat->dozes)
        seat->dozes = false;
    else if (__atomic_exchange_n(&seat->asleep, 0, __ATOMIC_SEQ_CST))
        take_room(pool);
    else
        seat->searches = true;
}

/* ---- fewer threads ---- */

static uint32_t alive_of(const struct hki_work_pool *pool)
{
    return __atomic_load_n(&pool->alive, __ATOMIC_RELAXED);
}

static int64_t sleeps_at_most(struct hki_source *source)
{
    const struct hki_work_pool *pool = pool_of(source);

    return alive_of(pool) > pool->options.threads_min ? pool->options.idle_ns
                                                      : HK_NEVER;
}

static bool may_leave(struct hki_source *source)
{
    struct hki_work_pool *pool = pool_of(source);
    uint32_t alive = alive_of(pool);

    if (own_seat(pool)->blocking)
        return false;
    do
        if (alive <= pool->options.threads_min)
            return false;
    while (!__atomic_compare_exchange_n(&pool->alive, &alive, alive - 1, false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
    return true;
}

static void returns(struct hki_source *source)
{
    __atomic_add_fetch(&pool_of(source)->alive, 1, __ATOMIC_SEQ_CST);
}

/* ---- tasks that block their thread ---- */

static struct hki_work_seat *seat_of_pool(void)
{
    struct hki_work_seat *seat = hki_work_seat_here;

    return seat && !seat->is_guest ? seat : NULL;
}

void hk_blocking_begin(void)
{
    struct hki_work_seat *seat = seat_of_pool();

    if (!seat || seat->blocking++ > 0)
        return;
    (void)give_room(seat->pool);
    tell_ended(seat->pool, seat);
    if (seat->pool->demand.has_fence)
        hki_fence_everywhere(); /* as who goes to sleep */
    if (has_work(&seat->pool->source))
        hki_work_wake(seat->pool);
}

void hk_blocking_end(void)
{
    struct hki_work_seat *seat = seat_of_pool();

    if (!seat)
        return;
    if (HKI_UNLIKELY(seat->blocking == 0))
        hki_panic("hk_blocking_end without hk_blocking_begin");
    if (--seat->blocking == 0)
        take_room(seat->pool);
}

/* ---- pushing from outside ---- */

int hki_work_push_far(struct hki_work_pool *pool, struct hki_work *work)
{
    return hki_work_submit(pool, work, 0, HKI_SUBMIT_BEYOND);
}

static hk_verdict abort_wait(hk_waiter *w)
{
    struct hki_work_pool *pool = w->data;
    bool removed;

    hki_spin_acquire(&pool->queue.lock);
    removed = hk_waiter_remove(&pool->queue.waiters, w);
    hki_spin_release(&pool->queue.lock);
    return removed ? HK_ABORTED : HK_PENDING;
}

static const hk_wait_kind room_kind = {.name = "room in the queue of a pool"};

/* 0: it may fit now. With the queue's lock, which is released. */
static int await_room(struct hki_work_pool *pool)
{
    hk_waiter w;
    int rc;

    hk_waiter_init(&w, &room_kind, pool);
    w.data = pool;
    hk_waiter_push(&pool->queue.waiters, &w);
    hki_spin_release(&pool->queue.lock);
    hki_work_pushed(pool); /* somebody shall make room, whatever went wrong before */
    rc = hk_park(&w, abort_wait);
    if (rc == 0 && (rc = hk_cancelled()) < 0)
        make_room(pool); /* for another one */
    return rc;
}

static int add(struct hki_work_pool *pool, struct hki_work *work, int32_t priority,
               enum hki_submit_how how)
{
    int rc;

    hki_spin_acquire(&pool->queue.lock);
    while (HKI_UNLIKELY(pool->queue.count >= pool->options.queue_max) &&
           how != HKI_SUBMIT_BEYOND) {
        if (how == HKI_SUBMIT_NOWAIT) {
            hki_spin_release(&pool->queue.lock);
            return -EAGAIN;
        }
        rc = await_room(pool);
        if (rc < 0)
            return rc;
        hki_spin_acquire(&pool->queue.lock);
    }
    rc = pool->is_closed && work->is_counted
             ? -EPIPE
             : hki_work_queue_add(&pool->queue, work, priority);
    if (rc == 0 && work->is_counted)
        __atomic_store_n(&pool->outside, pool->outside + 1, __ATOMIC_RELAXED);
    hki_spin_release(&pool->queue.lock);
    return rc;
}

/* On a thread of the pool: who is closed now is not empty before this task has ended. */
static int add_here(struct hki_work_pool *pool, struct hki_work *work)
{
    int rc;

    if (work->is_counted) {
        if (__atomic_load_n(&pool->is_closed, __ATOMIC_SEQ_CST))
            return -EPIPE;
        __atomic_add_fetch(&pool->inside, 1, __ATOMIC_SEQ_CST);
    }
    rc = hki_work_push(pool, work);
    if (rc == 0 && work->is_counted)
        hki_work_seat_here->counts.submitted++;
    else if (rc < 0 && work->is_counted)
        __atomic_sub_fetch(&pool->inside, 1, __ATOMIC_SEQ_CST);
    return rc;
}

int hki_work_submit(struct hki_work_pool *pool, struct hki_work *work, int32_t priority,
                    enum hki_submit_how how)
{
    int rc;

    if (hki_work_is_here(pool)) {
        if (HKI_LIKELY(priority == 0))
            return add_here(pool, work);
        how = HKI_SUBMIT_BEYOND;
    }
    HKI_HB_RELEASE(work);
    rc = add(pool, work, priority, how);
    if (rc == 0)
        hki_work_pushed(pool);
    return rc;
}

/* ---- plain threads that take part ---- */

/* Its thread computes from now on. Without a place it is one too many: one thread of
 * the pool is always left to it. */
static void take_place(struct hki_work_seat *seat)
{
    struct hki_work_pool *pool = seat->pool;
    uint32_t places = pool->options.threads - 1;
    uint32_t taken = __atomic_load_n(&pool->demand.guests, __ATOMIC_RELAXED);

    do {
        if (taken >= places)
            return;
    } while (!__atomic_compare_exchange_n(&pool->demand.guests, &taken, taken + 1, true,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    seat->has_place = true;
    take_room(pool);
}

/* Without the fence of who goes to sleep, as this happens at the end of each loop. Who
 * pushes at this very moment, and sees no room, can rely on the thread of the pool that
 * has the last place, and looks for work when it has done what it does. */
static void give_place(struct hki_work_seat *seat)
{
    struct hki_work_pool *pool = seat->pool;

    if (!seat->has_place)
        return;
    seat->has_place = false;
    __atomic_sub_fetch(&pool->demand.guests, 1, __ATOMIC_RELAXED);
    /* Who has pushed while there was room has woken somebody. */
    if (give_room(pool) <= 0 && has_work(&pool->source))
        hki_work_wake(pool);
}

static void place_is_left(struct hki_place *place, bool now)
{
    struct hki_work_seat *seat = hki_container_of(place, struct hki_work_seat, place);

    if (now)
        give_place(seat);
    else
        take_place(seat);
}

/* True: it is the caller's now. */
static bool claim_seat(struct hki_work_seat *seat)
{
    return !__atomic_load_n(&seat->is_taken, __ATOMIC_RELAXED) &&
           !__atomic_exchange_n(&seat->is_taken, 1, __ATOMIC_ACQUIRE);
}

static struct hki_work_seat *old_guest_seat(const struct hki_work_pool *pool)
{
    uint32_t count = __atomic_load_n(&pool->guest_seats, __ATOMIC_ACQUIRE);

    for (uint32_t i = 0; i < count; i++)
        if (claim_seat(seat_at(pool, THREADS_MAX + i)))
            return seat_at(pool, THREADS_MAX + i);
    return NULL;
}

static struct hki_work_seat *new_guest_seat(struct hki_work_pool *pool)
{
    struct hki_work_seat *seat = NULL;
    uint32_t count;

    hki_lock_acquire(&pool->guests_lock);
    count = pool->guest_seats;
    if (count < GUESTS_MAX && make_seat(pool, THREADS_MAX + count) == 0) {
        seat = seat_at(pool, THREADS_MAX + count);
        seat->is_guest = true;
        seat->is_taken = 1;
        seat->place.is_left = place_is_left;
        __atomic_store_n(&pool->guest_seats, count + 1, __ATOMIC_SEQ_CST);
    }
    hki_lock_release(&pool->guests_lock);
    return seat;
}

int hki_work_participate(struct hki_work_pool *pool)
{
    struct hki_work_seat *seat;

    if (hki_work_seat_here)
        return -EBUSY;
    seat = old_guest_seat(pool);
    if (!seat)
        seat = new_guest_seat(pool);
    if (!seat)
        return -ENOMEM;
    hki_work_seat_here = seat;
    hki_thread_has_place(&seat->place);
    take_place(seat);
    return 0;
}

void hki_work_leave(struct hki_work_pool *pool)
{
    struct hki_work_seat *seat = hki_work_seat_here;
    struct hki_work *work;

    hki_work_seat_here = NULL;
    hki_thread_has_place(NULL);
    while ((work = hki_deque_take(&seat->deque)))
        if (hki_work_push_far(pool, work) < 0)
            hki_panic("no memory for the work that a thread leaves behind");
    give_place(seat);
    __atomic_store_n(&seat->is_taken, 0, __ATOMIC_RELEASE);
}

/* ---- making ---- */

static void pool_free(struct hki_work_pool *pool)
{
    free_seats(pool);
    hki_work_queue_fini(&pool->queue);
    hki_free_kept(pool);
}

static int make(struct hki_work_pool *pool, const struct hki_work_options *options)
{
    int rc;

    pool->options = *options;
    pool->source = (struct hki_source){
        .find = find,
        .ended = ended,
        .turns_away = turns_away,
        .searches = searches,
        .has_work = has_work,
        .sleeps = sleeps,
        .wakes = wakes,
        .sleeps_at_most = sleeps_at_most,
        .may_leave = may_leave,
        .returns = returns,
    };
    hki_fence_prepare();
    pool->demand.has_fence = hki_fence_is_available();
    pool->demand.room = (int32_t)options->threads - 1;
    rc = hki_work_queue_init(&pool->queue);
    if (rc == 0)
        rc = make_seat(pool, 0);
    if (rc < 0)
        return rc;
    pool->launched = pool->alive = 1;
    return hki_workers_start(options->threads_max, &pool->source, &pool->runtime);
}

int hki_work_pool_new(const struct hki_work_options *options,
                      struct hki_work_pool **out)
{
    struct hki_work_pool *pool = hki_alloc_kept(sizeof(*pool));
    int rc;

    if (!pool)
        return -ENOMEM;
    rc = make(pool, options);
    if (rc < 0)
        pool_free(pool);
    else
        *out = pool;
    return rc;
}

void hki_work_pool_free(struct hki_work_pool *pool)
{
    hki_workers_stop(pool->runtime);
    pool_free(pool);
}

/* ---- numbers ---- */

static void add_counts(const struct hki_work_seat *seat, hk_executor_stats *out)
{
    const struct hki_job_counts *counts = &seat->counts;
    uint64_t done = __atomic_load_n(&counts->done, __ATOMIC_RELAXED);
    uint64_t failed = __atomic_load_n(&counts->failed, __ATOMIC_RELAXED);
    uint64_t cancelled = __atomic_load_n(&counts->cancelled, __ATOMIC_RELAXED);
    uint64_t dropped = __atomic_load_n(&counts->dropped, __ATOMIC_RELAXED);
    uint64_t started = __atomic_load_n(&counts->started, __ATOMIC_RELAXED);
    uint64_t submitted = __atomic_load_n(&counts->submitted, __ATOMIC_RELAXED);

    out->done += done;
    out->failed += failed;
    out->cancelled += cancelled;
    out->submitted += submitted;
    out->running += started + dropped - done - failed - cancelled;
    out->queued += submitted - started - dropped;
}

uint32_t hki_work_stats(const struct hki_work_pool *pool, hk_executor_stats *out)
{
    uint32_t count = seat_count(pool);
    uint64_t outside;

    for (uint32_t n = 0; n < count; n++) {
        const struct hki_work_seat *seat = nth_seat(pool, n);

        if (seat)
            add_counts(seat, out);
    }
    outside = __atomic_load_n(&pool->outside, __ATOMIC_RELAXED);
    out->submitted += outside;
    out->queued += outside;
    return alive_of(pool);
}

/* ---- the end ---- */

static const hk_wait_kind join_kind = {.name = "the jobs of a thread pool"};

static hk_verdict abort_join(hk_waiter *w)
{
    struct hki_work_pool *pool = w->data;
    bool removed;

    hki_spin_acquire(&pool->queue.lock);
    removed = hk_waiter_remove(&pool->joiners, w);
    hki_spin_release(&pool->queue.lock);
    return removed ? HK_ABORTED : HK_PENDING;
}

void hki_work_close(struct hki_work_pool *pool)
{
    hki_spin_acquire(&pool->queue.lock);
    __atomic_store_n(&pool->is_closed, 1, __ATOMIC_SEQ_CST);
    hki_spin_release(&pool->queue.lock);
}

int hki_work_join(struct hki_work_pool *pool)
{
    int rc = hk_cancelled();
    hk_waiter w;

    if (rc < 0)
        return rc;
    hki_spin_acquire(&pool->queue.lock);
    if (is_empty(pool)) {
        hki_spin_release(&pool->queue.lock);
        return hk_budget();
    }
    hk_waiter_init(&w, &join_kind, pool);
    w.data = pool;
    hk_waiter_push(&pool->joiners, &w);
    hki_spin_release(&pool->queue.lock);
    return hk_park(&w, abort_join);
}
