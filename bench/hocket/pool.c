/* SPDX-License-Identifier: MIT */
/* A pool of two threads: a million empty jobs from one plain thread, waited for by the
 * join of their scope; and one job after the other, each awaited. */
#include "hocket.h"

#define JOBS 1000000L
#define ROUNDS 100000L

static int nothing(hk_bytes input, hk_result *result)
{
    (void)input;
    (void)result;
    return 0;
}

static hk_executor *two_threads(void)
{
    const hk_thread_pool_options options = {.threads = 2, .name = "bench"};
    hk_executor *pool;

    must(hk_thread_pool_new(&options, &pool), "hk_thread_pool_new");
    return pool;
}

static void submit_many(hk_executor *pool, long jobs)
{
    hk_scope s;

    hk_scope_open(&s);
    for (long i = 0; i < jobs; i++)
        hk_future_free(hk_submit(pool, nothing, NULL, 0));
    must(hk_scope_join(&s), "join");
}

void hocket_pool(int argc, char **args)
{
    long jobs = bench_count_arg(argc, args, JOBS);
    hk_executor *pool = two_threads();
    double start;

    submit_many(pool, jobs / 10); /* the threads are up, the memory is there */
    start = bench_wall_now_ns();
    submit_many(pool, jobs);
    bench_report_wall(start, (double)jobs);
    hk_executor_free(pool);
}

void hocket_poolrtt(int argc, char **args)
{
    hk_executor *pool = two_threads();
    double start;

    (void)argc;
    (void)args;
    start = bench_wall_now_ns();
    for (long i = 0; i < ROUNDS; i++) {
        hk_future *f = hk_submit(pool, nothing, NULL, 0);

        must(hk_future_await(f, NULL), "await");
        hk_future_free(f);
    }
    bench_report_wall(start, ROUNDS);
    hk_executor_free(pool);
}
