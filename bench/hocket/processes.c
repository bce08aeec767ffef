/* SPDX-License-Identifier: MIT */
/* The process pool, used from a plain thread. */
#include "hocket.h"

#define JOBS 100000
#define ROUND_TRIPS 20000
#define PIECE_BYTES ((size_t)1 << 20)
#define PIECES 4096
#define IN_FLIGHT 4
#define STARTS 100
#define SPIN_NS (100 * HK_MICROSECOND)

HK_FN(long, next_number, (long, number))
{
    return number + 1;
}

static int send_back(hk_bytes bytes, hk_result *result)
{
    return hk_result_set(result, bytes.data, bytes.size);
}

/* What is shared is not copied: the name goes there and back. */
HK_FN(size_t, look_at, (hk_shared, piece))
{
    return hk_shared_data(piece) ? piece.size : 0;
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

static hk_future *send_copied(hk_executor *pool, const void *piece)
{
    return hk_submit(pool, send_back, piece, PIECE_BYTES);
}

static hk_future *send_shared(hk_executor *pool, const void *piece)
{
    return look_at_on(pool, *(const hk_shared *)piece);
}

static void receive(hk_future *future)
{
    hk_bytes back;

    if (future)
        must(hk_future_await(future, &back), "a piece");
    hk_future_free(future);
}

static void send_pieces(hk_executor *pool, const void *piece,
                        hk_future *(*send)(hk_executor *, const void *))
{
    hk_future *flying[IN_FLIGHT] = {NULL};
    double start = bench_wall_now_ns();

    for (int i = 0; i < PIECES; i++) {
        receive(flying[i % IN_FLIGHT]);
        flying[i % IN_FLIGHT] = send(pool, piece);
    }
    for (int i = 0; i < IN_FLIGHT; i++)
        receive(flying[i]);
    printf("%.2f\n", (double)(PIECES * PIECE_BYTES) / (1 << 30) * 1e9 /
                         (bench_wall_now_ns() - start));
}

/*
 * procbig: to the worker and back in pieces of 1 MiB, some in flight; in GiB/s. The
 * piece is copied into the job, by the job into its result, and read there.
 * procbig shared: only the name of the memory goes there.
 */
void hocket_procbig(int argc, char **args)
{
    hk_executor *pool = pool_with(1, 0);
    hk_shared shared;

    must(hk_shared_alloc(PIECE_BYTES, &shared), "hk_shared_alloc");
    memset(hk_shared_data(shared), 1, PIECE_BYTES);
    warm_up(pool);
    if (argc > 0 && !strcmp(args[0], "shared"))
        send_pieces(pool, &shared, send_shared);
    else
        send_pieces(pool, hk_shared_data(shared), send_copied);
    hk_shared_free(shared);
    hk_executor_free(pool);
}

/* Pools that fork can be made only as long as there is one thread: all of them first. */
static void start_by_fork(void)
{
    const hk_process_options options = {.workers_max = 1, .start = HK_START_FORK};
    hk_executor *pools[STARTS];

    for (int i = 0; i < STARTS; i++)
        must(hk_process_pool_new(&options, &pools[i]), "hk_process_pool_new");
    for (int i = 0; i < STARTS; i++) {
        ask(pools[i], i);
        hk_executor_free(pools[i]);
    }
}

static void start_by_spawn(void)
{
    for (int i = 0; i < STARTS; i++) {
        hk_executor *pool = pool_with(1, 0);

        ask(pool, i);
        hk_executor_free(pool);
    }
}

/* procstart [fork]: from a new pool to the first result, and the end of its worker. */
void hocket_procstart(int argc, char **args)
{
    double start = bench_wall_now_ns();

    if (argc > 0 && !strcmp(args[0], "fork"))
        start_by_fork();
    else
        start_by_spawn();
    bench_report_wall(start, STARTS);
}
