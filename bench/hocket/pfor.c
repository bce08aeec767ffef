/* SPDX-License-Identifier: MIT */
/* Parallel loops: how much faster they are, and what the least of them costs. */
#include "hocket.h"

#include "../peers/parallel.h"

struct sum {
    hk_mutex mutex;
    double value; /* guarded by mutex */
};

static int add_roots(int64_t begin, int64_t end, void *ctx)
{
    struct sum *sum = ctx;
    double part = bench_sum_roots(begin, end);

    hk_mutex_lock_shielded(&sum->mutex);
    sum->value += part;
    hk_mutex_unlock(&sum->mutex);
    return 0;
}

static double sum_roots(void *schedule)
{
    const hk_parallel_options options = {
        .schedule = *(const hk_schedule *)schedule,
        .threads_max = PARALLEL_THREADS,
    };
    struct sum sum = {.mutex = HK_MUTEX_INIT};

    must(hk_parallel_for_with(0, PFOR_ELEMENTS, &options, add_roots, &sum), "loop");
    return sum.value;
}

/* pfor [static] */
void hocket_pfor(int argc, char **args)
{
    hk_schedule schedule = argc > 0 && !strcmp(args[0], "static") ? HK_SCHEDULE_STATIC
                                                                  : HK_SCHEDULE_DYNAMIC;

    bench_speed_up(sum_roots, &schedule);
}

static int do_nothing(int64_t begin, int64_t end, void *ctx)
{
    for (int64_t i = begin; i < end; i++)
        bench_empty_job(ctx);
    return 0;
}

static void empty_round(void *arg)
{
    const hk_parallel_options options = {
        .schedule = HK_SCHEDULE_STATIC,
        .threads_max = PARALLEL_THREADS,
    };

    must(hk_parallel_for_with(0, PARALLEL_THREADS, &options, do_nothing, arg), "loop");
}

static void iterations_round(void *arg)
{
    must(hk_parallel_for(0, REGION_ITERATIONS, 1, do_nothing, arg), "loop");
}

/* region [iteration] */
void hocket_region(int argc, char **args)
{
    if (argc > 0 && !strcmp(args[0], "iteration"))
        bench_rounds(iterations_round, NULL, (double)REGION_ITERATIONS);
    else
        bench_rounds(empty_round, NULL, 1);
}
