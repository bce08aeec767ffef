/* SPDX-License-Identifier: MIT */
/* The smaller primitives: uncontended by a task, and a barrier of two tasks. */
#include "hocket.h"

#define ACQUIRES 50000000L
#define SETS 20000000L
#define MEETINGS 10000000L
#define RUNS 400000000L

static int acquire_and_release(void *arg)
{
    hk_sem sem = HK_SEM_INIT(1);
    double start = bench_cpu_now_ns();

    (void)arg;
    for (long i = 0; i < ACQUIRES; i++) {
        must(hk_sem_acquire(&sem), "acquire");
        hk_sem_release(&sem, 1);
    }
    bench_report_cpu(start, ACQUIRES);
    return 0;
}

static int set_and_wait(void *arg)
{
    hk_event event = HK_EVENT_INIT;
    double start = bench_cpu_now_ns();

    (void)arg;
    for (long i = 0; i < SETS; i++) {
        hk_event_set(&event);
        must(hk_event_wait(&event), "wait");
        hk_event_clear(&event);
    }
    bench_report_cpu(start, SETS);
    return 0;
}

static int meet(void *arg)
{
    for (long i = 0; i < MEETINGS; i++)
        must(hk_barrier_wait(arg), "wait");
    return 0;
}

static int two_meet(void *arg)
{
    hk_barrier barrier = HK_BARRIER_INIT(2);
    double start = bench_cpu_now_ns();
    hk_scope s;

    (void)arg;
    hk_scope_open(&s);
    hk_spawn(&s, meet, &barrier);
    hk_spawn(&s, meet, &barrier);
    must(hk_scope_join(&s), "join");
    bench_report_cpu(start, MEETINGS);
    return 0;
}

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int run_again_and_again(void *arg)
{
    static hk_once once = HK_ONCE_INIT;
    double start = bench_cpu_now_ns();

    (void)arg;
    for (long i = 0; i < RUNS; i++)
        must(hk_once_run(&once, do_nothing, NULL), "run");
    bench_report_cpu(start, RUNS);
    return 0;
}

void hocket_prims(int argc, char **args)
{
    static const struct {
        const char *name;
        hk_task_fn *run;
    } prims[] = {{"semaphore", acquire_and_release},
                 {"event", set_and_wait},
                 {"barrier", two_meet},
                 {"once", run_again_and_again}};
    hk_options options = {.stall_ns = -1};

    for (size_t i = 0; i < sizeof(prims) / sizeof(*prims); i++)
        if (argc > 0 && !strcmp(args[0], prims[i].name)) {
            must(hk_run(prims[i].run, NULL, &options), "hk_run");
            return;
        }
    exit(BENCH_MISSING);
}
