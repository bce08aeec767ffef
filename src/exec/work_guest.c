/* SPDX-License-Identifier: MIT */
/*
 * Plain threads that take part in a pool: they have a seat, a deque that others steal
 * from, and compute in place of one of the pool's threads. At the beginning and end of
 * every parallel loop of a plain thread, so no lock is taken once there are seats.
 */
#include "exec/work_pool.h"

#include "base/lock.h"

#include <errno.h>

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
    hki_work_take_room(pool);
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
    if (hki_work_give_room(pool) <= 0 && hki_work_exists(&pool->source))
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
        if (claim_seat(hki_work_seat_at(pool, HKI_WORK_THREADS_MAX + i)))
            return hki_work_seat_at(pool, HKI_WORK_THREADS_MAX + i);
    return NULL;
}

static struct hki_work_seat *new_guest_seat(struct hki_work_pool *pool)
{
    struct hki_work_seat *seat = NULL;
    uint32_t count;

    hki_lock_acquire(&pool->guests_lock);
    count = pool->guest_seats;
    if (count < GUESTS_MAX &&
        hki_work_make_seat(pool, HKI_WORK_THREADS_MAX + count) == 0) {
        seat = hki_work_seat_at(pool, HKI_WORK_THREADS_MAX + count);
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
        if (hki_work_put_back(pool, work) < 0)
            hki_panic("no memory for the work that a thread leaves behind");
    give_place(seat);
    __atomic_store_n(&seat->is_taken, 0, __ATOMIC_RELEASE);
}
