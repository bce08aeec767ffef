/* SPDX-License-Identifier: MIT */
/* The process pool, used from a plain thread. */
#include "hocket.h"

#define JOBS 100000
#define ROUND_TRIPS 20000
#define PIECE_BYTES ((size_t)1 << 20)
#define PIECES 1024
#define IN_FLIGHT 4
#define STARTS 100
#define SPIN_NS (100 * HK_MICROSECOND)

HK_FN(long, next_number, (long, number))
{
    return number + 1;
}

HK_FN(hk_bytes, send_back, (hk_bytes, bytes))
{
    void *copy = malloc(bytes.size);

    if (copy)
        memcpy(copy, bytes.data, bytes.size);
    return (hk_bytes){copy, copy ? bytes.size : 0};
}

static hk_executor *pool_with(uint32_t workers, int64_t spin_ns)
{
    hk_process_options options = {.workers_max = workers, .spin_ns = spin_ns};
    hk_executor *pool;

    must(hk_process_pool_new(&options, &pool), "hk_process_pool_new");
    return pool;
}

static void ask(hk_executor *pool, long number)
{
    hk_future *future = next_number_on(pool, number);
    long next;

    must(next_number_await(future, &next), "a job");
    hk_future_free(future);
}

/* Until every worker has started, and its jobs are known to be short. */
static void warm_up(hk_executor *pool)
{
    for (long i = 0; i < 1000; i++)
        ask(pool, i);
}

/* proc [WORKERS]: many small jobs with futures, all started, then all awaited. */
void hocket_proc(int argc, char **args)
{
    hk_executor *pool = pool_with(argc > 0 ? (uint32_t)atoi(args[0]) : 1, 0);
    hk_future **futures = calloc(JOBS, sizeof(*futures));
    double start;
    long next;

    if (!futures)
        bench_die("calloc");
    warm_up(pool);
    start = bench_wall_now_ns();
    for (long i = 0; i < JOBS; i++)
        futures[i] = next_number_on(pool, i);
    for (long i = 0; i < JOBS; i++) {
        must(next_number_await(futures[i], &next), "a job");
        hk_future_free(futures[i]);
    }
    bench_report_wall(start, JOBS);
    free(futures);
    hk_executor_free(pool);
}

/* procrtt [spin]: one job at a time. */
void hocket_procrtt(int argc, char **args)
{
    hk_executor *pool =
        pool_with(1, argc > 0 && !strcmp(args[0], "spin") ? SPIN_NS : 0);
    double start;

    warm_up(pool);
    start = bench_wall_now_ns();
    for (long i = 0; i < ROUND_TRIPS; i++)
        ask(pool, i);
    bench_report_wall(start, ROUND_TRIPS);
    hk_executor_free(pool);
}

static void receive(hk_future *future)
{
    hk_bytes back;

    if (!future)
        return;
    must(send_back_await(future, &back), "a piece");
    if (back.size != PIECE_BYTES)
        abort();
    hk_future_free(future);
}

/* procbig: 1 GiB to the worker and back, in pieces, some in flight; in GiB/s. */
void hocket_procbig(int argc, char **args)
{
    hk_executor *pool = pool_with(1, 0);
    hk_future *flying[IN_FLIGHT] = {NULL};
    char *piece = malloc(PIECE_BYTES);
    double start;

    (void)argc;
    (void)args;
    if (!piece)
        bench_die("malloc");
    memset(piece, 1, PIECE_BYTES);
    warm_up(pool);
    start = bench_wall_now_ns();
    for (int i = 0; i < PIECES; i++) {
        receive(flying[i % IN_FLIGHT]);
        flying[i % IN_FLIGHT] = send_back_on(pool, (hk_bytes){piece, PIECE_BYTES});
    }
    for (int i = 0; i < IN_FLIGHT; i++)
        receive(flying[i]);
    printf("%.2f\n", 1e9 / (bench_wall_now_ns() - start));
    free(piece);
    hk_executor_free(pool);
}

/* procstart: from a new pool to the first result, and the end of its worker. */
void hocket_procstart(int argc, char **args)
{
    double start = bench_wall_now_ns();

    (void)argc;
    (void)args;
    for (int i = 0; i < STARTS; i++) {
        hk_executor *pool = pool_with(1, 0);

        ask(pool, i);
        hk_executor_free(pool);
    }
    bench_report_wall(start, STARTS);
}
