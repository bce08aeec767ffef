/* SPDX-License-Identifier: MIT */
/*
 * The floor of a thread pool: a bounded ring for many producers and consumers
 * (Vyukov's), empty jobs in it, and two threads. One puts them in, and runs one itself
 * whenever the ring is full; the other one takes them out. Nobody sleeps, but who found
 * nothing looks away for a while, or both would pull at one cache line for each job.
 */
#include "../peers/parallel.h"
#include "floor.h"

#include <stdatomic.h>
#include <stdbool.h>

#define RING 4096 /* a power of two */
#define LOOK_AWAY 400

struct cell {
    _Alignas(64) atomic_ulong turn; /* whose the cell is: that of this ticket */
    void (*run)(void *);
    void *arg;
};

static struct cell ring[RING];
static _Alignas(64) atomic_ulong tail;
static _Alignas(64) atomic_ulong head;
static _Alignas(64) atomic_bool ended;

static bool put(void (*run)(void *), void *arg)
{
    unsigned long ticket = atomic_load_explicit(&tail, memory_order_relaxed);
    struct cell *cell;

    for (;;) {
        cell = &ring[ticket % RING];
        unsigned long turn = atomic_load_explicit(&cell->turn, memory_order_acquire);

        if ((long)(turn - ticket) < 0)
            return false;
        if (turn != ticket)
            ticket = atomic_load_explicit(&tail, memory_order_relaxed);
        else if (atomic_compare_exchange_weak_explicit(&tail, &ticket, ticket + 1,
                                                       memory_order_relaxed,
                                                       memory_order_relaxed))
            break;
    }
    cell->run = run;
    cell->arg = arg;
    atomic_store_explicit(&cell->turn, ticket + 1, memory_order_release);
    return true;
}

static bool run_one(void)
{
    unsigned long ticket = atomic_load_explicit(&head, memory_order_relaxed);
    struct cell *cell, job;

    for (;;) {
        cell = &ring[ticket % RING];
        unsigned long turn = atomic_load_explicit(&cell->turn, memory_order_acquire);

        if ((long)(turn - (ticket + 1)) < 0)
            return false;
        if (turn != ticket + 1)
            ticket = atomic_load_explicit(&head, memory_order_relaxed);
        else if (atomic_compare_exchange_weak_explicit(&head, &ticket, ticket + 1,
                                                       memory_order_relaxed,
                                                       memory_order_relaxed))
            break;
    }
    job.run = cell->run;
    job.arg = cell->arg;
    atomic_store_explicit(&cell->turn, ticket + RING, memory_order_release);
    job.run(job.arg);
    return true;
}

static void *work(void *done)
{
    long count = 0;

    bench_pin(1);
    while (!atomic_load_explicit(&ended, memory_order_relaxed)) {
        while (run_one())
            count++;
        atomic_store_explicit((atomic_long *)done, count, memory_order_release);
        for (int i = 0; i < LOOK_AWAY; i++)
            bench_relax();
    }
    return NULL;
}

static _Alignas(64) atomic_long done_there;
static long done_here, put_in;

static void submit_all(void *arg)
{
    for (long i = 0; i < POOL_JOBS; i++) {
        while (!put(bench_empty_job, arg))
            done_here += run_one();
    }
    put_in += POOL_JOBS;
    while (done_here + atomic_load_explicit(&done_there, memory_order_acquire) < put_in)
        done_here += run_one();
}

void floor_pool(int argc, char **args)
{
    pthread_t thread;

    (void)argc;
    (void)args;
    for (unsigned long i = 0; i < RING; i++)
        atomic_init(&ring[i].turn, i);
    bench_pin(0);
    if (pthread_create(&thread, NULL, work, &done_there))
        bench_die("pthread_create");
    bench_rounds(submit_all, NULL, POOL_JOBS);
    atomic_store(&ended, true);
    pthread_join(thread, NULL);
}
