/* SPDX-License-Identifier: MIT */
/*
 * The floor of an uncontended lock: one CAS in, one CAS out, each behind a call, as a
 * C library's must be. (parking_lot and Go are inlined, and may be below it.)
 */
#include "../peers/bench.h"
#include "floor.h"
#include <pthread.h>
#include <stdatomic.h>

#define LOCKS 50000000L

static atomic_uint word;

static __attribute__((noinline)) int lock(atomic_uint *m)
{
    unsigned expected = 0;

    if (!atomic_compare_exchange_strong_explicit(m, &expected, 1, memory_order_acquire,
                                                 memory_order_relaxed))
        abort();
    return 0;
}

static __attribute__((noinline)) int unlock(atomic_uint *m)
{
    unsigned expected = 1;

    if (!atomic_compare_exchange_strong_explicit(m, &expected, 0, memory_order_release,
                                                 memory_order_relaxed))
        abort();
    return 0;
}

/* A second thread, asleep: without one, glibc and others take short cuts. */
static void *bystander(void *arg)
{
    (void)arg;
    for (;;)
        pause();
    return 0;
}

void floor_mutex(int argc, char **args)
{
    pthread_t thread;

    (void)argc;
    (void)args;
    if (pthread_create(&thread, 0, bystander, 0))
        bench_die("pthread_create");
    double start = bench_cpu_now_ns();
    for (long i = 0; i < LOCKS; i++) {
        lock(&word);
        unlock(&word);
    }
    bench_report_cpu(start, LOCKS);
}
