/* SPDX-License-Identifier: MIT */
/* Fork and join: Fibonacci numbers, with and without a cut-off. */
#include "hocket.h"

#include "../peers/parallel.h"

struct fib {
    long n, cutoff, value;
};

static int fork_fib(void *arg)
{
    struct fib *f = arg;
    struct fib first = {f->n - 1, f->cutoff, 0}, second = {f->n - 2, f->cutoff, 0};
    hk_forked forked;
    int rc;

    if (f->n < 2 || f->n < f->cutoff) {
        f->value = f->n < 2 ? f->n : bench_fib(f->n);
        return 0;
    }
    hk_fork(&forked, fork_fib, &first);
    (void)fork_fib(&second);
    rc = hk_join(&forked);
    f->value = first.value + second.value;
    return rc;
}

static void fib_round(void *arg)
{
    struct fib f = *(const struct fib *)arg;

    must(hk_parallel_run(fork_fib, &f), "fib");
    bench_expect(f.value, ((const struct fib *)arg)->value);
}

void hocket_forkjoin(int argc, char **args)
{
    struct fib f = {FORKJOIN_N, 0, bench_fib(FORKJOIN_N)};

    (void)argc;
    (void)args;
    bench_rounds(fib_round, &f, bench_fib_tasks(FORKJOIN_N));
}

void hocket_fib(int argc, char **args)
{
    struct fib f = {FIB_N, FIB_CUTOFF, bench_fib(FIB_N)};

    (void)argc;
    (void)args;
    bench_rounds(fib_round, &f, 1);
}
