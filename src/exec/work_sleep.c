/* SPDX-License-Identifier: MIT */
/* When the threads of a pool search, sleep, end, and block: see exec/work.h. */
#include "exec/work_pool.h"

/* ---- sleeping ---- */

bool hki_work_searches(struct hki_source *source)
{
    struct hki_work_pool *pool = hki_work_pool_of(source);
    struct hki_work_seat *seat = hki_work_own_seat(pool);

    if (HKI_OWN_GET(seat->blocking) ||
        __atomic_load_n(&pool->demand.room, __ATOMIC_RELAXED) < 0)
        return false;
    if (!HKI_OWN_GET(seat->searches))
        HKI_OWN_SET(seat->searches, hki_work_begin_search(pool));
    return HKI_OWN_GET(seat->searches);
}

/* One whose task has parked between hk_blocking_begin and its end has given its place
 * back already, and is not to be woken for work. */
bool hki_work_sleeps(struct hki_source *source)
{
    struct hki_work_pool *pool = hki_work_pool_of(source);
    struct hki_work_seat *seat = hki_work_own_seat(pool);

    HKI_OWN_SET(seat->dozes, HKI_OWN_GET(seat->blocking));
    if (HKI_OWN_GET(seat->dozes))
        return true;
    if (HKI_OWN_GET(seat->searches)) {
        HKI_OWN_SET(seat->searches, false);
        hki_work_end_search(pool);
    }
    __atomic_store_n(&seat->asleep, 1, __ATOMIC_SEQ_CST);
    if (hki_work_give_room(pool) < 0)
        return true; /* enough others compute, and will find what there is */
    hki_work_fence(pool);
    return !hki_work_exists(source);
}

/* Who has woken us took the room for us, and gave us the search. */
void hki_work_wakes(struct hki_source *source)
{
    struct hki_work_pool *pool = hki_work_pool_of(source);
    struct hki_work_seat *seat = hki_work_own_seat(pool);

    if (HKI_OWN_GET(seat->dozes))
        HKI_OWN_SET(seat->dozes, false);
    else if (__atomic_exchange_n(&seat->asleep, 0, __ATOMIC_SEQ_CST))
        hki_work_take_room(pool);
    else
        HKI_OWN_SET(seat->searches, true);
}

/* ---- fewer threads ---- */

int64_t hki_work_sleeps_at_most(struct hki_source *source)
{
    const struct hki_work_pool *pool = hki_work_pool_of(source);

    return hki_work_alive(pool) > pool->options.threads_min ? pool->options.idle_ns
                                                            : HK_NEVER;
}

bool hki_work_may_leave(struct hki_source *source)
{
    struct hki_work_pool *pool = hki_work_pool_of(source);
    uint32_t alive = hki_work_alive(pool);

    if (hki_work_own_seat(pool)->blocking)
        return false;
    do
        if (alive <= pool->options.threads_min)
            return false;
    while (!__atomic_compare_exchange_n(&pool->alive, &alive, alive - 1, false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
    return true;
}

void hki_work_returns(struct hki_source *source)
{
    __atomic_add_fetch(&hki_work_pool_of(source)->alive, 1, __ATOMIC_SEQ_CST);
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

    if (!seat)
        return;
    HKI_OWN_SET(seat->blocking, HKI_OWN_GET(seat->blocking) + 1);
    if (HKI_OWN_GET(seat->blocking) > 1)
        return;
    (void)hki_work_give_room(seat->pool);
    hki_work_tell_ended(seat->pool, seat);
    hki_work_fence(seat->pool); /* as who goes to sleep */
    if (hki_work_exists(&seat->pool->source))
        hki_work_wake(seat->pool);
}

void hk_blocking_end(void)
{
    struct hki_work_seat *seat = seat_of_pool();

    if (!seat)
        return;
    if (HKI_UNLIKELY(HKI_OWN_GET(seat->blocking) == 0))
        hki_panic("hk_blocking_end without hk_blocking_begin");
    HKI_OWN_SET(seat->blocking, HKI_OWN_GET(seat->blocking) - 1);
    if (HKI_OWN_GET(seat->blocking) == 0)
        hki_work_take_room(seat->pool);
}
