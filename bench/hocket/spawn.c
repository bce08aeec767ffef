/* SPDX-License-Identifier: MIT */
/* A task's life, one by one and a million at once; and what a parked task weighs. */
#include "hocket.h"

#define SPAWNS 20000000L

static int body(void *arg)
{
    ++*(long *)arg;
    return 0;
}

static int one_by_one(void *arg)
{
    double start = bench_cpu_now_ns();
    long ran = 0;

    (void)arg;
    for (long i = 0; i < SPAWNS; i++) {
        hk_scope s;

        hk_scope_open(&s);
        hk_spawn(&s, body, &ran);
        must(hk_scope_join(&s), "join");
    }
    if (ran != SPAWNS)
        abort();
    bench_report_cpu(start, SPAWNS);
    return 0;
}

static int many(void *arg)
{
    double start = bench_cpu_now_ns();
    long ran = 0;
    hk_scope s;

    (void)arg;
    hk_scope_open(&s);
    for (long i = 0; i < TASKS_MANY; i++)
        hk_spawn(&s, body, &ran);
    must(hk_scope_join(&s), "join");
    if (ran != TASKS_MANY)
        abort();
    bench_report_cpu(start, TASKS_MANY);
    return 0;
}

static int parked(void *arg)
{
    hk_event *never = arg;

    return hk_event_wait(never);
}

static int park_many(void *arg)
{
    long count = *(long *)arg;
    struct bench_memory before;
    hk_event never = HK_EVENT_INIT;
    hk_scope s;

    hk_scope_open(&s);
    before = bench_memory_now();
    for (long i = 0; i < count; i++)
        hk_spawn(&s, parked, &never);
    for (;;) {
        hk_stats stats;

        hk_yield(); /* until each has run and parked */
        hk_stats_read(&stats);
        if (stats.stacks_in_use > (uint64_t)count)
            break;
    }
    hk_yield();
    bench_report_memory(before, (double)count);
    fflush(stdout);
    _exit(0); /* waking them is another bench */
}

void hocket_spawn(int argc, char **args)
{
    (void)argc;
    (void)args;
    must(hk_run(one_by_one, NULL, NULL), "hk_run");
}

void hocket_spawn1m(int argc, char **args)
{
    (void)argc;
    (void)args;
    must(hk_run(many, NULL, NULL), "hk_run");
}

void hocket_park(int argc, char **args)
{
    long count = bench_count_arg(argc, args, 100000);

    must(hk_run(park_many, &count, NULL), "hk_run");
}
