/* SPDX-License-Identifier: MIT */
/*
 * The floors of fork-join. `forkjoin`: a bare Chase-Lev deque and one thread: each fork
 * is pushed, taken back and called; there is no thief, so there is no fence either.
 * `fib`, `pfor`, `region`: the work cut by hand for two threads that are there already,
 * and spin.
 */
#include "../peers/parallel.h"
#include "floor.h"

#include <stdatomic.h>
#include <stdbool.h>

#define DEQUE 256 /* deeper than fib goes */

struct fork {
    long (*run)(long);
    long n;
};

static struct fork *_Atomic deque[DEQUE];
static atomic_long top;
static atomic_long bottom;

static void push(struct fork *fork)
{
    long b = atomic_load_explicit(&bottom, memory_order_relaxed);

    atomic_store_explicit(&deque[b % DEQUE], fork, memory_order_relaxed);
    atomic_store_explicit(&bottom, b + 1, memory_order_release);
}

static struct fork *take(void)
{
    long b = atomic_load_explicit(&bottom, memory_order_relaxed) - 1;

    atomic_store_explicit(&bottom, b, memory_order_relaxed);
    if (b <= atomic_load_explicit(&top, memory_order_relaxed))
        abort(); /* the last one could be stolen: there is always one more */
    return atomic_load_explicit(&deque[b % DEQUE], memory_order_relaxed);
}

static long fork_fib(long n)
{
    struct fork fork = {fork_fib, n - 1};

    if (n < 2)
        return n;
    push(&fork);
    long second = fork_fib(n - 2);
    struct fork *mine = take();
    return mine->run(mine->n) + second;
}

static void forkjoin_round(void *wanted)
{
    bench_expect(fork_fib(FORKJOIN_N), *(long *)wanted);
}

void floor_forkjoin(int argc, char **args)
{
    long wanted = bench_fib(FORKJOIN_N);

    (void)argc;
    (void)args;
    push(NULL);
    push(NULL);
    bench_rounds(forkjoin_round, &wanted, bench_fib_tasks(FORKJOIN_N));
}

/* ---- a second thread that waits for a function to run ---- */

static struct {
    _Alignas(64) atomic_long asked; /* one cache line goes there, */
    void (*run)(void);
    _Alignas(64) atomic_long answered; /* and one comes back */
} other;
static long turns;

static void *wait_for_work(void *arg)
{
    bench_pin(1);
    for (long turn = 1;; turn++) {
        while (atomic_load_explicit(&other.asked, memory_order_acquire) < turn)
            bench_relax();
        other.run();
        atomic_store_explicit(&other.answered, turn, memory_order_release);
    }
    return arg;
}

static void start_other(void)
{
    pthread_t thread;

    bench_pin(0);
    if (pthread_create(&thread, NULL, wait_for_work, NULL))
        bench_die("pthread_create");
}

static void ask_other(void (*run)(void))
{
    other.run = run;
    atomic_store_explicit(&other.asked, ++turns, memory_order_release);
}

static void await_other(void)
{
    while (atomic_load_explicit(&other.answered, memory_order_acquire) < turns)
        bench_relax();
}

/*
 * fib(32) is fib(31) + fib(30), and when fib(31) is taken apart further,
 * [fib(30) + fib(27) + fib(25)] + [fib(30) + fib(27) + fib(24)]: 50.7 % and 49.3 %.
 */
static long other_sum;

static void fib_other_half(void)
{
    other_sum = bench_fib(FIB_N - 2) + bench_fib(FIB_N - 5) + bench_fib(FIB_N - 8);
}

static void fib_round(void *wanted)
{
    ask_other(fib_other_half);
    long sum = bench_fib(FIB_N - 2) + bench_fib(FIB_N - 5) + bench_fib(FIB_N - 7);
    await_other();
    bench_expect(sum + other_sum, *(long *)wanted);
}

void floor_fib(int argc, char **args)
{
    long wanted = bench_fib(FIB_N);

    (void)argc;
    (void)args;
    start_other();
    bench_rounds(fib_round, &wanted, 1);
}

static double other_roots;

static void sum_other_half(void)
{
    other_roots = bench_sum_roots(PFOR_ELEMENTS / 2, PFOR_ELEMENTS);
}

static double sum_in_halves(void *arg)
{
    (void)arg;
    ask_other(sum_other_half);
    double sum = bench_sum_roots(0, PFOR_ELEMENTS / 2);
    await_other();
    return sum + other_roots;
}

void floor_pfor(int argc, char **args)
{
    if (argc > 0 && strcmp(args[0], "static"))
        exit(BENCH_MISSING);
    start_other();
    bench_speed_up(sum_in_halves, NULL);
}

static void nothing(void)
{
}

static void region_round(void *arg)
{
    (void)arg;
    ask_other(nothing);
    await_other();
}

/* Two cache lines that go to the other core and come back. */
void floor_region(int argc, char **args)
{
    (void)args;
    if (argc > 0)
        exit(BENCH_MISSING);
    start_other();
    bench_rounds(region_round, NULL, 1);
}
