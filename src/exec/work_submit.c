/* SPDX-License-Identifier: MIT */
/*
 * Work from outside of a pool: its way through the queue, the bound of that, and the
 * count of what has not ended, by which a closed pool is joined.
 */
#include "exec/work_pool.h"

#include <errno.h>

/* ---- room in the queue ---- */

/* Those who wait for room are woken when a half of it is free, so that they do not come
 * and go for each piece. */
void hki_work_make_room(struct hki_work_pool *pool)
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

/* ---- pushing from outside ---- */

/* Why no counted work is taken; 0: it is. */
static inline int refusal(const struct hki_work_pool *pool)
{
    uint32_t closed = __atomic_load_n(&pool->closed, __ATOMIC_SEQ_CST);

    if (HKI_LIKELY(closed == HKI_WORK_OPEN))
        return 0;
    return closed == HKI_WORK_OVER ? -EBADF : -EPIPE;
}

int hki_work_push_far(struct hki_work_pool *pool, struct hki_work *work)
{
    return hki_work_submit(pool, work, 0, HKI_SUBMIT_BEYOND);
}

int hki_work_put_back(struct hki_work_pool *pool, struct hki_work *work)
{
    int rc;

    HKI_HB_RELEASE(work);
    hki_spin_acquire(&pool->queue.lock);
    rc = hki_work_queue_add(&pool->queue, work, 0);
    hki_spin_release(&pool->queue.lock);
    hki_work_pushed(pool);
    return rc;
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
        hki_work_make_room(pool); /* for another one */
    return rc;
}

static int add(struct hki_work_pool *pool, struct hki_work *work, int32_t priority,
               enum hki_submit_how how)
{
    int rc;

    hki_spin_acquire(&pool->queue.lock);
    while (HKI_UNLIKELY(pool->queue.count >= pool->options.queue_max) &&
           how != HKI_SUBMIT_BEYOND && !pool->closed) {
        if (how == HKI_SUBMIT_NOWAIT) {
            hki_spin_release(&pool->queue.lock);
            return -EAGAIN;
        }
        rc = await_room(pool);
        if (rc < 0)
            return rc;
        hki_spin_acquire(&pool->queue.lock);
    }
    rc = work->is_counted ? refusal(pool) : 0;
    if (rc == 0)
        rc = hki_work_queue_add(&pool->queue, work, priority);
    if (rc == 0 && work->is_counted)
        __atomic_store_n(&pool->outside, pool->outside + 1, __ATOMIC_RELAXED);
    hki_spin_release(&pool->queue.lock);
    if (HKI_UNLIKELY(rc == -ENOMEM))
        hki_work_make_room(pool); /* for who waits; this one had been woken for it */
    return rc;
}

/* On a thread of the pool: a pool that is closed now is not empty while this task is
 * there. */
static int add_here(struct hki_work_pool *pool, struct hki_work *work)
{
    struct hki_job_counts *counts = &hki_work_seat_here->counts;
    int rc;

    if (work->is_counted) {
        rc = refusal(pool);
        if (HKI_UNLIKELY(rc < 0))
            return rc;
        __atomic_add_fetch(&pool->inside, 1, __ATOMIC_SEQ_CST);
    }
    rc = hki_work_push(pool, work);
    if (rc == 0 && work->is_counted)
        HKI_OWN_SET(counts->submitted, HKI_OWN_GET(counts->submitted) + 1);
    else if (rc < 0 && work->is_counted)
        __atomic_sub_fetch(&pool->inside, 1, __ATOMIC_SEQ_CST);
    return rc;
}

uint32_t hki_work_own_max = UINT32_C(1) << 20;

/* Who might wait for room would keep its stack meanwhile, of which there could be none
 * for those that would make room. */
static inline bool is_too_much(enum hki_submit_how how)
{
    return hki_deque_count(&hki_work_seat_here->deque) >= hki_work_own_max &&
           how != HKI_SUBMIT_BEYOND;
}

int hki_work_submit(struct hki_work_pool *pool, struct hki_work *work, int32_t priority,
                    enum hki_submit_how how)
{
    int rc;

    if (hki_work_is_here(pool)) {
        if (HKI_UNLIKELY(is_too_much(how)))
            return -EAGAIN;
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

/* ---- the end ---- */

/* Counted work that has not ended. With the queue's lock, closed. */
static bool is_empty(const struct hki_work_pool *pool)
{
    return pool->outside + __atomic_load_n(&pool->inside, __ATOMIC_SEQ_CST) == 0;
}

void hki_work_wake_joiners(struct hki_work_pool *pool)
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

/* Who waits for room has come too late. */
static void close_as(struct hki_work_pool *pool, enum hki_work_closed how)
{
    hk_waiter *w;

    do {
        hki_spin_acquire(&pool->queue.lock);
        if (pool->closed < how)
            __atomic_store_n(&pool->closed, how, __ATOMIC_SEQ_CST);
        w = hk_waiter_pop(&pool->queue.waiters);
        hki_spin_release(&pool->queue.lock);
        if (w)
            hk_wake(w, 0);
    } while (w);
}

void hki_work_close(struct hki_work_pool *pool)
{
    close_as(pool, HKI_WORK_CLOSED);
}

void hki_work_is_over(struct hki_source *source)
{
    close_as(hki_work_pool_of(source), HKI_WORK_OVER);
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
    if (HKI_UNLIKELY(pool->closed == HKI_WORK_OVER)) {
        hki_spin_release(&pool->queue.lock);
        return -EBADF;
    }
    hk_waiter_init(&w, &join_kind, pool);
    w.data = pool;
    hk_waiter_push(&pool->joiners, &w);
    hki_spin_release(&pool->queue.lock);
    return hk_park(&w, abort_join);
}
