/* SPDX-License-Identifier: MIT */
/*
 * The shape of the benches of parallel work (pool, forkjoin, fib, pfor, region), the
 * same for every subject. All of them have two threads, the caller's included where a
 * peer lets it take part, and use the wall clock. Also compiles as C++17.
 */
#ifndef HOCKET_BENCH_PARALLEL_H
#define HOCKET_BENCH_PARALLEL_H

#include "bench.h"

#include <math.h>

#define PARALLEL_THREADS 2
#define POOL_JOBS 1000000
#define POOL_ROUND_TRIPS 20000
#define FORKJOIN_N 30
#define FIB_N 32
#define FIB_CUTOFF 12 /* fib of less is called, not forked */
#define PFOR_ELEMENTS 100000000L
#define PFOR_GRAIN 16384 /* of the dynamic loop, for who does not choose it himself */
#define REGION_ITERATIONS 1000000L

/* In a loop that waits for another core. */
static inline void bench_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* A job that does nothing, and that no compiler sees through. */
static __attribute__((noinline, unused)) void bench_empty_job(void *arg)
{
    __asm__ volatile("" : : "r"(arg) : "memory");
}

/* A call is a call: gcc would fold two of three, which no other compiler does. */
static __attribute__((noinline, unused)) long bench_fib(long n)
{
    return n < 2 ? n : bench_fib(n - 1) + bench_fib(n - 2);
}

/* How often fib(n) forks when nothing is cut off: one task each time. */
static inline double bench_fib_tasks(long n)
{
    double before = 0, now = 0;

    for (long i = 2; i <= n; i++) {
        double next = before + now + 1;

        before = now;
        now = next;
    }
    return now;
}

static inline void bench_expect(long got, long wanted)
{
    if (got != wanted) {
        fprintf(stderr, "the result is %ld, not %ld\n", got, wanted);
        exit(1);
    }
}

/* The loop of pfor: simple arithmetic, nothing to fetch from memory. */
static __attribute__((noinline, unused)) double bench_sum_roots(long begin, long end)
{
    double sum = 0;

    __asm__ volatile("" : "+r"(begin)); /* or a call may be moved past a clock */
    for (long i = begin; i < end; i++)
        sum += sqrt((double)i);
    return sum;
}

/* Does `work` once to warm up, then again and again for a while; prints ns for one. */
static inline void bench_rounds(void (*work)(void *arg), void *arg, double operations)
{
    const double least_ns = 3e8;
    double start, spent;
    long rounds = 0;

    work(arg);
    start = bench_wall_now_ns();
    do {
        work(arg);
        rounds++;
        spent = bench_wall_now_ns() - start;
    } while (spent < least_ns);
    printf("%.2f\n", spent / ((double)rounds * operations));
}

/*
 * Sums the roots by `parallel` and by one thread, in turns, and prints how much faster
 * the best of the first was than the best of the second.
 */
static inline void bench_speed_up(double (*parallel)(void *arg), void *arg)
{
    const int turns = 3;
    double one_ns = 1e18, two_ns = 1e18;

    for (int i = 0; i < turns; i++) {
        double start = bench_wall_now_ns();
        double alone = bench_sum_roots(0, PFOR_ELEMENTS);
        double middle = bench_wall_now_ns();
        double together = parallel(arg);
        double end = bench_wall_now_ns();

        if (fabs(together / alone - 1) > 1e-6) {
            fprintf(stderr, "the sum is %g, not %g\n", together, alone);
            exit(1);
        }
        one_ns = fmin(one_ns, middle - start);
        two_ns = fmin(two_ns, end - middle);
    }
    printf("%.3f\n", one_ns / two_ns);
}

#endif
