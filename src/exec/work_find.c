/* SPDX-License-Identifier: MIT */
/* Finding work on a thread of a pool, between its tasks; and telling what has ended. */
#include "exec/work_pool.h"

enum {
    GRAB_MAX = 32,          /* pieces from the queue at once */
    QUEUE_FIRST_EVERY = 61, /* finds, so that what comes from outside comes in */
    AHEAD = 3,              /* pieces whose memory is asked for before their turn */
};

/* ---- is there work ---- */

bool hki_work_exists(const struct hki_source *source)
{
    const struct hki_work_pool *pool = hki_work_pool_of(source);

    if (hki_work_queue_count(&pool->queue))
        return true;
    for (uint32_t n = hki_work_seat_count(pool); n-- > 0;) {
        const struct hki_work_seat *seat = hki_work_nth_seat(pool, n);

        if (seat && hki_deque_count(&seat->deque))
            return true;
    }
    return false;
}

/* ---- finding ---- */

/* Asks for the memory of a piece that is found soon: it was written on another
 * processor. Of a job these are the two lines that count. */
static inline void ask_for(const void *work)
{
    enum { LINE = 64 };

    __builtin_prefetch(work, 1);
    __builtin_prefetch((const char *)work + LINE, 1);
}

/* A fourth of an even share, so that a long job does not sit on many short ones; as
 * many as surely go into the deque; and one by one what comes before all else. */
static size_t grab_at_most(const struct hki_work_pool *pool,
                           const struct hki_work_seat *seat)
{
    size_t share = pool->queue.count / (4 * pool->options.threads) + 1;
    size_t room = hki_deque_room(&seat->deque) + 1;

    if (pool->queue.above)
        return 1;
    if (share > room)
        share = room;
    return share < GRAB_MAX ? share : GRAB_MAX;
}

static struct hki_work *grab(struct hki_work_pool *pool, struct hki_work_seat *seat)
{
    struct hki_work *taken[GRAB_MAX];
    bool has_waiters;
    size_t n;

    if (!hki_work_queue_count(&pool->queue))
        return NULL;
    hki_spin_acquire(&pool->queue.lock);
    n = hki_work_queue_take(&pool->queue, taken, grab_at_most(pool, seat));
    has_waiters = pool->queue.waiters.head;
    hki_spin_release(&pool->queue.lock);
    for (size_t i = 0; i < n && i <= AHEAD; i++)
        ask_for(taken[i]);
    if (HKI_UNLIKELY(has_waiters))
        hki_work_make_room(pool);
    for (size_t i = n; i-- > 1;)
        (void)hki_deque_push(&seat->deque, taken[i]); /* it has room */
    return n ? taken[0] : NULL;
}

/*
 * While somebody pushes faster than we come: each look takes the lines of the queue
 * away from him, and what he has just pushed lies in his cache, with what he does to it
 * next. So we look seldom, and come when there is a lot, or no more.
 */
static void let_it_grow(const struct hki_work_pool *pool)
{
    enum {
        LOT = 64,
        LOOKS = 6,
        PAUSES = 25, /* of 20 ns, between two looks */
    };
    size_t before = 0, now = hki_work_queue_count(&pool->queue);

    for (int look = 0; look < LOOKS && before < now && now < LOT; look++) {
        for (int k = 0; k < PAUSES; k++)
            hki_spin_pause(0);
        before = now;
        now = hki_work_queue_count(&pool->queue);
    }
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

static uint32_t next_random(struct hki_work_seat *seat)
{
    HKI_OWN_SET(seat->random,
                HKI_OWN_GET(seat->random) * UINT64_C(6364136223846793005) +
                    1442695040888963407);
    return (uint32_t)(HKI_OWN_GET(seat->random) >> 33);
}

static struct hki_work *steal(struct hki_work_pool *pool, struct hki_work_seat *thief)
{
    uint32_t count = hki_work_seat_count(pool), first;

    first = next_random(thief) % count;
    for (uint32_t i = 0; i < count; i++) {
        struct hki_work_seat *victim = hki_work_nth_seat(pool, (first + i) % count);
        struct hki_work *work = victim && victim != thief ? steal_from(victim) : NULL;

        if (work)
            return work;
    }
    return NULL;
}

static struct hki_work *take(struct hki_deque *deque)
{
    int64_t next = __atomic_load_n(&deque->bottom, __ATOMIC_RELAXED) - 1 - AHEAD;

    if (next >= __atomic_load_n(&deque->top, __ATOMIC_RELAXED))
        ask_for(__atomic_load_n(hki_deque_slot(hki_deque_ring_of(deque), next),
                                __ATOMIC_RELAXED));
    return hki_deque_take(deque);
}

static bool is_turn_of_queue(struct hki_work_seat *seat)
{
    HKI_OWN_SET(seat->finds, HKI_OWN_GET(seat->finds) + 1);
    return HKI_OWN_GET(seat->finds) % QUEUE_FIRST_EVERY == 0;
}

static struct hki_work *find_work(struct hki_work_pool *pool,
                                  struct hki_work_seat *seat)
{
    bool queue_first =
        is_turn_of_queue(seat) || __atomic_load_n(&pool->queue.above, __ATOMIC_RELAXED);
    struct hki_work *work = queue_first ? grab(pool, seat) : NULL;

    if (!work)
        work = take(&seat->deque);
    if (!work) {
        let_it_grow(pool);
        work = grab(pool, seat);
    }
    return work ? work : steal(pool, seat);
}

/* Whoever has pushed meanwhile has relied on our search. What he has pushed may not be
 * visible yet, as a push has no fence: so here is one, as before a sleep. */
static void stop_searching(struct hki_work_pool *pool, struct hki_work_seat *seat)
{
    HKI_OWN_SET(seat->searches, false);
    hki_work_end_search(pool);
    if (__atomic_load_n(&pool->demand.room, __ATOMIC_SEQ_CST) <= 0)
        return;
    hki_work_fence(pool);
    if (hki_work_exists(&pool->source))
        hki_work_wake(pool);
}

/* ---- the ends of tasks ---- */

enum { ENDED_MAX = 64 }; /* told at once */

/* Whoever waits for the last of them may free the pool, but not before this thread has
 * ended, and for the scope after its count is 0. */
void hki_work_tell_ended(struct hki_work_pool *pool, struct hki_work_seat *seat)
{
    uint64_t ended = HKI_OWN_GET(seat->ended);

    if (!ended)
        return;
    HKI_OWN_SET(seat->ended, 0);
    if (HKI_OWN_GET(seat->ended_scope))
        hki_crew_leave(HKI_OWN_GET(seat->ended_scope), pool->runtime, ended);
    __atomic_sub_fetch(&pool->inside, ended, __ATOMIC_SEQ_CST);
    if (HKI_UNLIKELY(__atomic_load_n(&pool->closed, __ATOMIC_SEQ_CST)))
        hki_work_wake_joiners(pool);
}

void hki_work_ended(struct hki_source *source, hk_scope *scope)
{
    struct hki_work_pool *pool = hki_work_pool_of(source);
    struct hki_work_seat *seat = hki_work_own_seat(pool);

    if (HKI_UNLIKELY(scope != HKI_OWN_GET(seat->ended_scope))) {
        hki_work_tell_ended(pool, seat);
        HKI_OWN_SET(seat->ended_scope, scope);
    }
    HKI_OWN_SET(seat->ended, HKI_OWN_GET(seat->ended) + 1);
    if (HKI_UNLIKELY(HKI_OWN_GET(seat->ended) == ENDED_MAX))
        hki_work_tell_ended(pool, seat);
}

/* ---- finding, continued ---- */

static int run_work(void *arg)
{
    struct hki_work *work = arg;

    work->run(work);
    return 0;
}

/*
 * From now until its join a cancel of the scope reaches what we run for it. Here, and
 * not where it is pushed: most forks are joined where they were made, and need none of
 * it. Without memory it runs to its end, whatever happens to its scope. The fence:
 * either who cancels finds us, or the task that is made now finds the scope cancelled;
 * pairs with visit_remote in core/cancel.c.
 */
static void belong_to(struct hki_work_pool *pool, hk_scope *scope)
{
    (void)hki_crew_attach(scope, pool->runtime);
    (void)__atomic_fetch_add(&pool->demand.room, 0, __ATOMIC_SEQ_CST);
}

bool hki_work_find(struct hki_source *source, struct hki_found *out)
{
    struct hki_work_pool *pool = hki_work_pool_of(source);
    struct hki_work_seat *seat = hki_work_own_seat(pool);
    struct hki_work *work;

    if (HKI_UNLIKELY(HKI_OWN_GET(seat->blocking) ||
                     __atomic_load_n(&pool->demand.room, __ATOMIC_RELAXED) < 0)) {
        hki_work_tell_ended(pool, seat);
        return false;
    }
    work = find_work(pool, seat);
    if (work)
        HKI_HB_ACQUIRE(work);
    /* What comes next may take long: what has ended is kept only from who waits for
     * that, too. */
    if (!work || HKI_UNLIKELY(work->scope != HKI_OWN_GET(seat->ended_scope)))
        hki_work_tell_ended(pool, seat);
    if (!work)
        return false;
    if (work->scope && !work->is_counted)
        belong_to(pool, work->scope);
    *out =
        (struct hki_found){run_work, work, work->name, work->scope, work->is_counted};
    if (HKI_UNLIKELY(HKI_OWN_GET(seat->searches)))
        stop_searching(pool, seat);
    return true;
}

void hki_work_turns_away(struct hki_source *source)
{
    struct hki_work_pool *pool = hki_work_pool_of(source);
    struct hki_work_seat *seat = hki_work_own_seat(pool);

    hki_work_tell_ended(pool, seat);
    if (HKI_OWN_GET(seat->searches))
        stop_searching(pool, seat);
}
