/* SPDX-License-Identifier: MIT */
/*
 * All processors for one computation. From a number go on to its half if it is even, to
 * three times it plus one if it is odd, until you come to 1: how many steps is that?
 * For the first million numbers; some take five hundred times as long as others.
 *
 * Prints:
 *   131434424 steps in all
 *   837799 takes the most: 524
 *   2 of them take more than 507
 *   the longest: 837799 626331 939497 704623 910107
 */
#include <hocket.h>

#include <stdio.h>
#include <stdlib.h>

#define NUMBERS 1000000

static int steps[NUMBERS + 1];   /* of each number, from 1 on */
static int longest[NUMBERS + 1]; /* numbers */

static int count_steps(int64_t begin, int64_t end, void *unused)
{
    (void)unused;
    for (int64_t i = begin; i < end; i++) {
        uint64_t n = (uint64_t)i;

        for (steps[i] = 0; n != 1; steps[i]++)
            n = n % 2 ? 3 * n + 1 : n / 2;
    }
    return 0;
}

/* ---- one result from all ---- */

static int add_steps(int64_t begin, int64_t end, void *partial, void *unused)
{
    int64_t sum = *(int64_t *)partial;

    (void)unused;
    for (int64_t i = begin; i < end; i++)
        sum += steps[i];
    *(int64_t *)partial = sum;
    return 0;
}

struct most {
    int64_t number;
    int steps;
};

static int find_most(int64_t begin, int64_t end, void *partial, void *unused)
{
    struct most *most = (struct most *)partial;

    (void)unused;
    for (int64_t i = begin; i < end; i++)
        if (steps[i] > most->steps)
            *most = (struct most){i, steps[i]};
    return 0;
}

/* Of two equal ones the first stays: `next` is of higher numbers. */
static void take_more(void *into, const void *next, void *unused)
{
    (void)unused;
    if (((const struct most *)next)->steps > ((struct most *)into)->steps)
        *(struct most *)into = *(const struct most *)next;
}

/* ---- a place for each ---- */

/* Numbers that take more steps than `*limit`, one behind the other: each needs to know
 * how many there are before it. */
static int collect(int64_t begin, int64_t end, void *partial, bool is_final,
                   void *limit)
{
    int64_t found = *(int64_t *)partial;

    for (int64_t i = begin; i < end; i++) {
        if (steps[i] <= *(const int *)limit)
            continue;
        if (is_final)
            longest[found] = (int)i;
        found++;
    }
    *(int64_t *)partial = found;
    return 0;
}

/* ---- in order ---- */

static int by_steps(const void *a, const void *b, void *unused)
{
    (void)unused;
    return steps[*(const int *)b] - steps[*(const int *)a];
}

static int compute(void *unused)
{
    int64_t sum = 0, found = 0;
    struct most most = {0, 0};
    int limit = 507, rc;

    (void)unused;
    rc = hk_parallel_for(1, NUMBERS + 1, 0, count_steps, NULL);
    if (rc >= 0)
        rc = hk_parallel_reduce(1, NUMBERS + 1, 0, add_steps, hk_combine_sum_int64,
                                NULL, &sum, sizeof(sum));
    if (rc >= 0)
        rc = hk_parallel_reduce(1, NUMBERS + 1, 0, find_most, take_more, NULL, &most,
                                sizeof(most));
    if (rc >= 0)
        rc = hk_parallel_scan(1, NUMBERS + 1, 0, collect, hk_combine_sum_int64, &limit,
                              &found, sizeof(found));
    if (rc < 0)
        return rc;
    printf("%lld steps in all\n", (long long)sum);
    printf("%lld takes the most: %d\n", (long long)most.number, most.steps);
    printf("%lld of them take more than %d\n", (long long)found, limit);
    for (int i = 0; i < NUMBERS; i++)
        longest[i] = i + 1;
    rc = hk_parallel_sort(longest, NUMBERS, sizeof(int), by_steps, NULL);
    if (rc < 0)
        return rc;
    printf("the longest:");
    for (int i = 0; i < 5; i++)
        printf(" %d", longest[i]);
    printf("\n");
    return 0;
}

/* From a plain main, which computes as well; hk_run(compute, NULL, NULL) would leave
 * its thread free for other tasks meanwhile. */
int main(void)
{
    int rc = compute(NULL);

    if (rc < 0)
        fprintf(stderr, "%s\n", hk_error_text(rc));
    return rc < 0;
}
