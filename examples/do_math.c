/* SPDX-License-Identifier: MIT */
/*
 * The same compute four ways: here, on threads, in processes, as a parallel loop. The
 * function is written once; where it runs is an argument. Another number of steps than
 * 30 million may be given.
 *
 * Wrong:
 *   0
 *   1e6
 *   100000001
 *   2 3
 * Prints:
 *   30000000 steps, ... processors
 *                      seconds   speed-up
 *   here  ...   1.00
 *   hk_threads()  ...
 *   hk_processes()  ...
 *   a parallel loop ...
 */
#include <hocket.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { STEPS = 30 * 1000 * 1000, STEPS_MAX = 100 * 1000 * 1000, PARTS = 64 };

/* Whole numbers, and few enough of them: the sum is the same in whatever order. */
HK_FN(double, do_math, (long, begin), (long, end))
{
    double sum = 0;

    for (long k = begin; k < end; k++) {
        double distance = (double)(k - 1000);

        sum += sqrt(distance * distance);
    }
    return sum;
}

static double here(long steps)
{
    return do_math(0, steps);
}

/* An array of arguments, an array of results. */
static double in_parts(hk_executor *on, long steps)
{
    struct do_math_args args[PARTS];
    double results[PARTS], sum = 0;

    for (long i = 0; i < PARTS; i++)
        args[i] = (struct do_math_args){steps * i / PARTS, steps * (i + 1) / PARTS};
    if (do_math_map(on, args, PARTS, results, NULL) < 0)
        return -1;
    for (int i = 0; i < PARTS; i++)
        sum += results[i];
    return sum;
}

static double on_threads(long steps)
{
    return in_parts(hk_threads(), steps);
}

static double in_processes(long steps)
{
    return in_parts(hk_processes(), steps);
}

static int add_steps(int64_t begin, int64_t end, void *partial, void *ctx)
{
    (void)ctx;
    *(double *)partial += do_math(begin, end);
    return 0;
}

static double as_a_loop(long steps)
{
    double sum = 0;
    int rc = hk_parallel_reduce(0, steps, 0, add_steps, hk_combine_sum, NULL, &sum,
                                sizeof(sum));

    return rc < 0 ? -1 : sum;
}

static const struct way {
    const char *name;
    double (*run)(long steps);
} ways[] = {
    {"here", here},
    {"hk_threads()", on_threads},
    {"hk_processes()", in_processes},
    {"a parallel loop", as_a_loop},
};

static int compare(long steps)
{
    double first_sum = 0, first_seconds = 0;

    printf("%ld steps, %ld processors\n", steps, sysconf(_SC_NPROCESSORS_ONLN));
    printf("%-16s %9s %10s\n", "", "seconds", "speed-up");
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        int64_t start = hk_now();
        double sum = ways[i].run(steps);
        double seconds = (double)(hk_now() - start) / HK_SECOND;

        if (i == 0) {
            first_sum = sum;
            first_seconds = seconds;
        }
        if (sum != first_sum) {
            fprintf(stderr, "%s: the sum is another\n", ways[i].name);
            return 1;
        }
        printf("%-16s %9.3f %10.2f\n", ways[i].name, seconds, first_seconds / seconds);
    }
    return 0;
}

int main(int argc, char **argv)
{
    char *end = "";
    long steps = argc > 1 ? strtol(argv[1], &end, 10) : STEPS;

    if (argc > 2 || *end || steps < 1 || steps > STEPS_MAX) {
        fprintf(stderr, "usage: do_math [STEPS], 1 to %d\n", STEPS_MAX);
        return 2;
    }
    return compare(steps);
}
