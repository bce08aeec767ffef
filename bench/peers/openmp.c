/* SPDX-License-Identifier: MIT */
/* The peers libgomp (by gcc) and libomp (by clang): the same OpenMP program. */
#include "parallel.h"

#include <omp.h>
#include <stdbool.h>

static void pool_round(void *arg)
{
    (void)arg;
#pragma omp parallel num_threads(PARALLEL_THREADS)
#pragma omp single
    for (long i = 0; i < POOL_JOBS; i++) {
#pragma omp task
        bench_empty_job(NULL);
    }
}

static void pool(int argc, char **args)
{
    (void)argc;
    (void)args;
    bench_rounds(pool_round, NULL, POOL_JOBS);
}

static long fork_fib(long n, long cutoff)
{
    long first, second;

    if (n < 2)
        return n;
    if (n < cutoff)
        return bench_fib(n);
#pragma omp task shared(first)
    first = fork_fib(n - 1, cutoff);
    second = fork_fib(n - 2, cutoff);
#pragma omp taskwait
    return first + second;
}

struct fib_case {
    long n, cutoff, wanted;
};

static void fib_round(void *arg)
{
    const struct fib_case *c = arg;
    long result = 0;

#pragma omp parallel num_threads(PARALLEL_THREADS)
#pragma omp single
    result = fork_fib(c->n, c->cutoff);
    bench_expect(result, c->wanted);
}

static void forkjoin(int argc, char **args)
{
    struct fib_case c = {FORKJOIN_N, 0, bench_fib(FORKJOIN_N)};

    (void)argc;
    (void)args;
    bench_rounds(fib_round, &c, bench_fib_tasks(FORKJOIN_N));
}

static void fib(int argc, char **args)
{
    struct fib_case c = {FIB_N, FIB_CUTOFF, bench_fib(FIB_N)};

    (void)argc;
    (void)args;
    bench_rounds(fib_round, &c, 1);
}

static double sum_static(void *arg)
{
    double sum = 0;

    (void)arg;
#pragma omp parallel for num_threads(PARALLEL_THREADS) schedule(static)                \
    reduction(+ : sum)
    for (long i = 0; i < PFOR_ELEMENTS; i++)
        sum += sqrt((double)i);
    return sum;
}

static double sum_dynamic(void *arg)
{
    double sum = 0;

    (void)arg;
#pragma omp parallel for num_threads(PARALLEL_THREADS) schedule(dynamic, PFOR_GRAIN)      \
    reduction(+ : sum)
    for (long i = 0; i < PFOR_ELEMENTS; i++)
        sum += sqrt((double)i);
    return sum;
}

static void pfor(int argc, char **args)
{
    bool is_static = argc > 0 && !strcmp(args[0], "static");

    bench_speed_up(is_static ? sum_static : sum_dynamic, NULL);
}

static void empty_round(void *arg)
{
#pragma omp parallel num_threads(PARALLEL_THREADS)
    bench_empty_job(arg);
}

static void iterations_round(void *arg)
{
#pragma omp parallel for num_threads(PARALLEL_THREADS) schedule(dynamic, 1)
    for (long i = 0; i < REGION_ITERATIONS; i++)
        bench_empty_job(arg);
}

static void region(int argc, char **args)
{
    if (argc > 0 && !strcmp(args[0], "iteration"))
        bench_rounds(iterations_round, NULL, (double)REGION_ITERATIONS);
    else
        bench_rounds(empty_round, NULL, 1);
}

/*
 * Whether waiting threads spin ("active") or sleep is read before main, so the program
 * starts itself anew with what is faster for this bench: libomp spins but when one
 * thread makes all tasks, libgomp, where spinning threads fight for the lock of the
 * tasks, only where regions follow each other.
 */
static void start_with_best_settings(int argc, char **argv)
{
    const char *bench = argc > 1 ? argv[1] : "";
#ifdef __clang__
    bool spins = strcmp(bench, "pool") != 0;
#else
    bool spins = !strcmp(bench, "region") || !strcmp(bench, "pfor");
#endif

    if (getenv("OMP_WAIT_POLICY"))
        return;
    setenv("OMP_WAIT_POLICY", spins ? "active" : "passive", 1);
    setenv("OMP_PROC_BIND", spins ? "true" : "false", 1);
    execv("/proc/self/exe", argv);
    bench_die("execv");
}

int main(int argc, char **argv)
{
    static const struct bench benches[] = {{"pool", pool},     {"forkjoin", forkjoin},
                                           {"fib", fib},       {"pfor", pfor},
                                           {"region", region}, {0}};

    start_with_best_settings(argc, argv);
    return bench_main(benches, argc, argv);
}
