/* SPDX-License-Identifier: MIT */
/*
 * Workers that see what the program has loaded: a table of the primes below 16 million
 * is made once, and workers, forked from the program, count in it. Nothing is sent to
 * them but where to begin and end. When one spoils the table that is its own.
 *
 * Wrong: all
 * Prints:
 *   1031130 primes
 *   still 1031130 primes
 */
#include <hocket.h>

#include <stdio.h>
#include <string.h>

enum { NUMBERS = 16000000, PARTS = 16 };

static bool is_composite[NUMBERS];

static void make_table(void)
{
    for (long n = 2; n * n < NUMBERS; n++)
        for (long at = n * n; at < NUMBERS && !is_composite[n]; at += n)
            is_composite[at] = true;
}

HK_FN(long, count_primes, (long, begin), (long, end))
{
    long count = 0;

    for (long n = begin < 2 ? 2 : begin; n < end; n++)
        count += !is_composite[n];
    return count;
}

HK_FN(void, spoil)
{
    memset(is_composite, 0, sizeof(is_composite));
}

static long count_all(hk_executor *on)
{
    struct count_primes_args args[PARTS];
    long results[PARTS], sum = 0;

    for (long i = 0; i < PARTS; i++)
        args[i] =
            (struct count_primes_args){NUMBERS / PARTS * i, NUMBERS / PARTS * (i + 1)};
    if (count_primes_map(on, args, PARTS, results, NULL) < 0)
        return -1;
    for (int i = 0; i < PARTS; i++)
        sum += results[i];
    return sum;
}

int main(int argc, char **argv)
{
    const hk_process_options options = {
        .workers_max = 2,
        .start = HK_START_FORK,
        .jobs_per_worker = 1, /* each job finds the table as it was */
    };
    hk_executor *pool;
    hk_future *spoiled;

    (void)argv;
    if (argc > 1) {
        fprintf(stderr, "usage: forked_table (no arguments)\n");
        return 2;
    }
    make_table();
    if (hk_process_pool_new(&options, &pool) < 0) /* before there is any other thread */
        return 1;
    printf("%ld primes\n", count_all(pool));
    spoiled = spoil_on(pool);
    (void)hk_future_await(spoiled, NULL);
    hk_future_free(spoiled);
    printf("still %ld primes\n", count_all(pool));
    hk_executor_free(pool);
    return 0;
}
