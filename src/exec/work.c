/* SPDX-License-Identifier: MIT */
/* A stand-in: each push to a deque also spawns a task that steals from it. */
#include "exec/work.h"

#include "base/deque.h"
#include "sys/os_thread.h"

#include <stdlib.h>

struct hki_work_pool {
    struct hki_runtime *runtime;
};

struct seat {
    struct hki_deque deque;
    struct seat *next;
};

static struct hki_work_pool shared;
static hk_lock lock;
static struct seat *spare;
static __thread struct seat *seat;
static __thread bool participates;

int hki_work_pool_default(struct hki_work_pool **out)
{
    int rc = 0;

    hk_lock_acquire(&lock);
    if (!shared.runtime)
        rc = hki_workers_start(hki_os_cpu_count(), &shared.runtime);
    hk_lock_release(&lock);
    if (rc == 0)
        *out = &shared;
    return rc;
}

uint32_t hki_work_threads(struct hki_work_pool *pool)
{
    (void)pool;
    return hki_os_cpu_count();
}

static void sit_down(void)
{
    hk_lock_acquire(&lock);
    if ((seat = spare)) {
        spare = seat->next;
    } else {
        seat = aligned_alloc(64, sizeof(*seat));
        hki_deque_init(&seat->deque, 256);
    }
    hk_lock_release(&lock);
}

static int steal(void *arg)
{
    struct seat *from = arg;
    void *item;
    enum hki_steal how;

    do
        how = hki_deque_steal(&from->deque, &item);
    while (how == HKI_STEAL_LOST);
    if (how == HKI_STOLEN)
        ((struct hki_work *)item)->run(item);
    return 0;
}

static int run_it(void *arg)
{
    struct hki_work *work = arg;

    work->run(work);
    return 0;
}

int hki_work_push(struct hki_work_pool *pool, struct hki_work *work)
{
    if (!hki_work_here())
        return hki_spawn_in(pool->runtime, work->scope, work->name, run_it, work);
    if (!seat)
        sit_down();
    hki_deque_push(&seat->deque, work);
    hki_spawn_in(shared.runtime, work->scope, work->name, steal, seat);
    return 0;
}

struct hki_work *hki_work_take(void)
{
    return seat ? hki_deque_take(&seat->deque) : NULL;
}

struct hki_work_pool *hki_work_here(void)
{
    return participates || (shared.runtime && hki_workers_are_here(shared.runtime))
               ? &shared
               : NULL;
}

int hki_work_participate(struct hki_work_pool *pool)
{
    (void)pool;
    participates = true;
    return 0;
}

void hki_work_leave(void)
{
    participates = false;
    if (!seat)
        return;
    hk_lock_acquire(&lock);
    seat->next = spare;
    spare = seat;
    hk_lock_release(&lock);
    seat = NULL;
}
