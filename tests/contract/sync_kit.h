/* SPDX-License-Identifier: MIT */
/*
 * For the tests of sync/: parties, which are functions, run side by side in one of five
 * placings (tasks of one worker, a task and a thread, either way round, threads alone,
 * tasks of two workers), and go in step by stages, never by sleeping.
 */
#ifndef TESTS_CONTRACT_SYNC_KIT_H
#define TESTS_CONTRACT_SYNC_KIT_H

#include "base/lock.h"
#include "support/check.h"

#include <hocket.h>
#include <hocket/testing.h>

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- going in step ---- */

/* Lets others run, also when the caller is cancelled. Never waits for anything. */
static inline void relax(void)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open_with(&s, HK_SCOPE_SHIELDED, NULL);
    (void)hk_yield();
    (void)hk_scope_join(&s);
    if (hk_worker_count() != 1)
        (void)sched_yield();
}

static inline void reach(uint32_t *stage, uint32_t value)
{
    __atomic_store_n(stage, value, __ATOMIC_RELEASE);
}

static inline void await_stage(const uint32_t *stage, uint32_t value)
{
    while (__atomic_load_n(stage, __ATOMIC_ACQUIRE) < value)
        relax();
}

static inline void count_up(uint32_t *counter)
{
    __atomic_add_fetch(counter, 1, __ATOMIC_ACQ_REL);
}

/* ---- who waits ---- */

static inline size_t queue_length(hk_lock *lock, const hk_waiter_queue *queue)
{
    size_t n = 0;

    hki_lock_acquire(&lock->hki_word);
    for (const hk_waiter *w = queue->head; w; w = w->next)
        n++;
    hki_lock_release(&lock->hki_word);
    return n;
}

static inline size_t mutex_waiters(hk_mutex *mutex)
{
    return queue_length((hk_lock *)(void *)&mutex->hki_lock, &mutex->hki_waiters);
}

static inline size_t event_waiters(hk_event *event)
{
    return queue_length(&event->hki_lock, &event->hki_waiters);
}

static inline size_t sem_waiters(hk_sem *sem)
{
    return queue_length(&sem->hki_lock, &sem->hki_waiters);
}

/* ---- parties ---- */

enum placing {
    TASK_TASK,
    TASK_THREAD,
    THREAD_TASK,
    THREAD_THREAD,
    TWO_WORKERS,
    PLACINGS,
};
enum { PARTIES_MAX = 64 };

static const char *const placing_name[PLACINGS] = {
    "tasks of one worker", "a task and a thread", "a thread and a task", "threads",
    "tasks of two workers"};

struct party {
    hk_task_fn *fn;
    void *arg;
    pthread_t thread;
};

struct ensemble {
    enum placing placing;
    struct party parties[PARTIES_MAX];
    int count;
    uint32_t arrived; /* hosts that run */
};

/* Even parties are the first in the placing's name, odd ones the second. */
static inline bool is_thread(enum placing placing, int index)
{
    switch (placing) {
    case TASK_THREAD: return index % 2 == 1;
    case THREAD_TASK: return index % 2 == 0;
    case THREAD_THREAD: return true;
    default: return false;
    }
}

static inline void *party_thread(void *arg)
{
    struct party *party = arg;

    CHECK_EQ(party->fn(party->arg), 0);
    return NULL;
}

static inline void spawn_parties(struct ensemble *e, hk_scope *scope, int first,
                                 int step)
{
    for (int i = first; i < e->count; i += step)
        if (!is_thread(e->placing, i))
            CHECK_EQ(hk_spawn(scope, e->parties[i].fn, e->parties[i].arg), 0);
}

static inline int host_on_one_worker(void *arg)
{
    struct ensemble *e = arg;
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    spawn_parties(e, &s, 0, 1);
    return hk_scope_join(&s);
}

/* One of two, each of which keeps its worker until the other has one, too. */
static inline int host_on_two_workers(void *arg)
{
    struct ensemble *e = arg;
    uint32_t mine = __atomic_fetch_add(&e->arrived, 1, __ATOMIC_ACQ_REL);
    hk_scope s = HK_SCOPE_INIT;

    while (__atomic_load_n(&e->arrived, __ATOMIC_ACQUIRE) < 2)
        (void)sched_yield();
    hk_scope_open(&s);
    spawn_parties(e, &s, (int)mine, 2);
    return hk_scope_join(&s);
}

static inline int host_of_hosts(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open_with(&s, HK_SCOPE_PARALLEL, "hosts");
    CHECK_EQ(hk_spawn(&s, host_on_two_workers, arg), 0);
    CHECK_EQ(hk_spawn(&s, host_on_two_workers, arg), 0);
    return hk_scope_join(&s);
}

/* Runs all parties to their end; each must return 0. */
static inline void run_ensemble(struct ensemble *e, const hk_options *base)
{
    hk_options options = {0};

    if (base)
        options = *base;
    options.check_ledger = true;
    options.workers = e->placing == TWO_WORKERS ? 2 : 1;
    e->arrived = 0;
    for (int i = 0; i < e->count; i++)
        if (is_thread(e->placing, i))
            CHECK_EQ(pthread_create(&e->parties[i].thread, NULL, party_thread,
                                    &e->parties[i]),
                     0);
    if (e->placing != THREAD_THREAD)
        CHECK_EQ(hk_run(e->placing == TWO_WORKERS ? host_of_hosts : host_on_one_worker,
                        e, &options),
                 0);
    for (int i = 0; i < e->count; i++)
        if (is_thread(e->placing, i))
            CHECK_EQ(pthread_join(e->parties[i].thread, NULL), 0);
}

static inline void add_party(struct ensemble *e, hk_task_fn *fn, void *arg)
{
    CHECK(e->count < PARTIES_MAX);
    e->parties[e->count].fn = fn;
    e->parties[e->count++].arg = arg;
}

static inline void run_pair(enum placing placing, hk_task_fn *first, hk_task_fn *second,
                            void *arg)
{
    struct ensemble e = {.placing = placing};

    add_party(&e, first, arg);
    add_party(&e, second, arg);
    run_ensemble(&e, NULL);
}

/* ---- chance, with a seed that a failure prints ---- */

static inline uint64_t dice(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);

    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* HOCKET_SEED repeats a failed run; without it every run is another one. */
static inline uint64_t kit_seed(void)
{
    const char *given = getenv("HOCKET_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)hk_now();

    printf("# HOCKET_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

#endif
