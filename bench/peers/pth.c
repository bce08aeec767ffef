/* SPDX-License-Identifier: MIT */
/* The peer GNU Pth: switch, spawn and join: stackful threads in user space. */
#include "bench.h"
#include <pth.h>

static long done;
static long limit;

static void *yield_one_site(void *arg)
{
    while (done < limit) {
        done++;
        pth_yield(0);
    }
    return arg;
}

static void *yield_other_site(void *arg)
{
    while (done < limit) {
        done++;
        pth_yield(0);
        __asm__ volatile("nop");
    }
    return arg;
}

static __attribute__((noinline)) void inner(void)
{
    pth_yield(0);
    __asm__ volatile("");
}

static __attribute__((noinline)) void outer(void)
{
    inner();
    __asm__ volatile("");
}

static __attribute__((noinline)) void inner_far(void)
{
    pth_yield(0);
    __asm__ volatile("nop");
}

static void *yield_nested(void *arg)
{
    while (done < limit) {
        done++;
        outer();
    }
    return arg;
}

static void *yield_nested_far(void *arg)
{
    while (done < limit) {
        done++;
        inner_far();
    }
    return arg;
}

static void run_two(void *(*a)(void *), void *(*b)(void *))
{
    double start;
    pth_t first, second;

    limit = 200000;
    first = pth_spawn(PTH_ATTR_DEFAULT, a, 0);
    second = pth_spawn(PTH_ATTR_DEFAULT, b, 0);
    start = bench_cpu_now_ns();
    pth_join(first, 0);
    pth_join(second, 0);
    bench_report_cpu(start, (double)done);
}

static void bench_switch(int argc, char **args)
{
    (void)argc;
    (void)args;
    run_two(yield_one_site, yield_one_site);
}

static void switch2(int argc, char **args)
{
    if (argc > 0 && !strcmp(args[0], "nested"))
        run_two(yield_nested, yield_nested_far);
    else
        run_two(yield_one_site, yield_other_site);
}

static void *body(void *arg)
{
    ++*(long *)arg;
    return 0;
}

static void spawn(int argc, char **args)
{
    const long spawns = 100000;
    long ran = 0;
    double start = bench_cpu_now_ns();

    (void)argc;
    (void)args;
    for (long i = 0; i < spawns; i++)
        pth_join(pth_spawn(PTH_ATTR_DEFAULT, body, &ran), 0);
    if (ran != spawns)
        abort();
    bench_report_cpu(start, (double)spawns);
}

int main(int argc, char **argv)
{
    static const struct bench benches[] = {
        {"switch", bench_switch}, {"switch2", switch2}, {"spawn", spawn}, {0}};

    pth_init();
    return bench_main(benches, argc, argv);
}
