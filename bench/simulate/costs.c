/* SPDX-License-Identifier: MIT */
/*
 * Measures what the simulation (simulate.py) takes as given: what threads cost each
 * other on this machine. Prints one line for each number of threads, in nanoseconds:
 *
 *     threads  line  add  lock  barrier  wake  woken
 *
 *     line     a cache line goes to another core
 *     add      an atomic addition to a word that all threads add to, one after another
 *     lock     the same for a short section under a lock that all want
 *     barrier  membarrier(2), the others computing
 *     wake     FUTEX_WAKE of a sleeper, for who wakes
 *     woken    from there until it runs
 *
 *     cc -O2 -o build/costs bench/simulate/costs.c -lm -pthread && build/costs
 */
#include "../peers/parallel.h"

#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/syscall.h>

#define THREADS_MAX 1024
#define RUN_NS 1e8

static _Alignas(64) atomic_long word;
static _Alignas(64) atomic_int lock;
static _Alignas(64) atomic_bool ended;
static _Alignas(64) atomic_int ready;
static long guarded;

struct thread {
    pthread_t id;
    int cpu;
    void (*turn)(void);
    long turns;
};

static struct thread threads[THREADS_MAX];

static void *work(void *arg)
{
    struct thread *me = arg;
    long turns = 0;

    bench_pin(me->cpu);
    atomic_fetch_add(&ready, 1);
    while (!atomic_load_explicit(&ended, memory_order_relaxed)) {
        me->turn();
        turns++;
    }
    me->turns = turns;
    return NULL;
}

static void start(int first, int count, void (*turn)(void))
{
    atomic_store(&ended, false);
    atomic_store(&ready, 0);
    for (int i = first; i < first + count; i++) {
        threads[i] = (struct thread){.cpu = i, .turn = turn};
        if (pthread_create(&threads[i].id, NULL, work, &threads[i]))
            bench_die("pthread_create");
    }
    while (atomic_load(&ready) < count)
        usleep(1000);
}

static long stop(int first, int count)
{
    long turns = 0;

    atomic_store(&ended, true);
    for (int i = first; i < first + count; i++) {
        pthread_join(threads[i].id, NULL);
        turns += threads[i].turns;
    }
    return turns;
}

/* ---- what all do at once ---- */

static void add_one(void)
{
    atomic_fetch_add(&word, 1);
}

static void under_lock(void)
{
    while (atomic_exchange(&lock, 1))
        while (atomic_load_explicit(&lock, memory_order_relaxed))
            bench_relax();
    guarded++;
    atomic_store(&lock, 0);
    for (int i = 0; i < 10; i++) /* something else: who has the line must not keep it */
        bench_relax();
}

static double together(int count, void (*turn)(void))
{
    double begin;

    start(0, count, turn);
    begin = bench_wall_now_ns();
    usleep((unsigned)(RUN_NS / 1e3));
    double spent = bench_wall_now_ns() - begin;
    return spent / (double)stop(0, count);
}

static void compute(void)
{
    for (int i = 0; i < 100; i++)
        bench_relax();
}

static double barrier(int count)
{
    const int rounds = 2000;
    double begin, spent;

    bench_pin(0);
    syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
    start(1, count - 1, compute);
    begin = bench_wall_now_ns();
    for (int i = 0; i < rounds; i++)
        syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
    spent = bench_wall_now_ns() - begin;
    stop(1, count - 1);
    return spent / rounds;
}

/* ---- to and fro between core 0 and the last one ---- */

static void answer(void)
{
    if (atomic_load_explicit(&word, memory_order_acquire) % 2 == 1)
        atomic_store_explicit(&word, word + 1, memory_order_release);
}

static double line_to(int cpu)
{
    const long rounds = 200000;
    double begin, spent;

    bench_pin(0);
    atomic_store(&word, 0);
    start(cpu, 1, answer);
    begin = bench_wall_now_ns();
    for (long i = 0; i < rounds; i++) {
        atomic_store_explicit(&word, 2 * i + 1, memory_order_release);
        while (atomic_load_explicit(&word, memory_order_acquire) != 2 * i + 2)
            ;
    }
    spent = bench_wall_now_ns() - begin;
    stop(cpu, 1);
    return spent / (double)(2 * rounds);
}

static atomic_int bed;
static double woken_at;

static void sleep_once(void)
{
    if (syscall(SYS_futex, &bed, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0) == 0) {
        woken_at = bench_wall_now_ns();
        atomic_store(&bed, 2);
    }
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void wake(int cpu, double *out_wake, double *out_woken)
{
    enum { ROUNDS = 501 };
    double to_wake[ROUNDS], until_run[ROUNDS];

    bench_pin(0);
    atomic_store(&bed, 0);
    start(cpu, 1, sleep_once);
    for (int i = 0; i < ROUNDS; i++) {
        usleep(200); /* it sleeps by now, and so deep that its core has halted */
        double begin = bench_wall_now_ns();
        if (syscall(SYS_futex, &bed, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) != 1) {
            i--;
            continue;
        }
        to_wake[i] = bench_wall_now_ns() - begin;
        while (atomic_load(&bed) != 2)
            bench_relax();
        until_run[i] = woken_at - begin;
        atomic_store(&bed, 0);
    }
    atomic_store(&ended, true);
    atomic_store(&bed, 1);
    syscall(SYS_futex, &bed, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    stop(cpu, 1);
    qsort(to_wake, ROUNDS, sizeof(double), by_size);
    qsort(until_run, ROUNDS, sizeof(double), by_size);
    *out_wake = to_wake[ROUNDS / 2];
    *out_woken = until_run[ROUNDS / 2];
}

int main(void)
{
    int cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);

    printf("threads\tline\tadd\tlock\tbarrier\twake\twoken\n");
    for (int count = 2; count <= cpus && count <= THREADS_MAX; count *= 2) {
        double to_wake, until_run;

        wake(count - 1, &to_wake, &until_run);
        printf("%d\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\n", count, line_to(count - 1),
               together(count, add_one), together(count, under_lock), barrier(count),
               to_wake, until_run);
        fflush(stdout);
    }
    return 0;
}
