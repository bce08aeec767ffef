/* SPDX-License-Identifier: MIT */
/* hk_yield between two tasks: from one call site, from two, and below calls. */
#include "hocket.h"

#define SWITCHES 25000000L /* of each of the two tasks */

static int one_site(void *arg)
{
    (void)arg;
    for (long i = 0; i < SWITCHES; i++)
        hk_yield();
    return 0;
}

static int other_site(void *arg)
{
    (void)arg;
    for (long i = 0; i < SWITCHES; i++) {
        hk_yield();
        __asm__ volatile("nop"); /* or the compiler folds it into one_site */
    }
    return 0;
}

static __attribute__((noinline)) void inner_a(void)
{
    hk_yield();
    __asm__ volatile("");
}

static __attribute__((noinline)) void outer_a(void)
{
    inner_a();
    __asm__ volatile(""); /* no tail call */
}

static __attribute__((noinline)) void inner_b(void)
{
    hk_yield();
    __asm__ volatile("nop");
}

static int nested_a(void *arg)
{
    (void)arg;
    for (long i = 0; i < SWITCHES; i++)
        outer_a();
    return 0;
}

static int nested_b(void *arg)
{
    (void)arg;
    for (long i = 0; i < SWITCHES; i++)
        inner_b();
    return 0;
}

static int two_tasks(void *arg)
{
    hk_task_fn **fns = arg;
    double start;
    hk_scope s;

    hk_scope_open(&s);
    hk_spawn(&s, fns[0], NULL);
    hk_spawn(&s, fns[1], NULL);
    start = bench_cpu_now_ns();
    must(hk_scope_join(&s), "join");
    bench_report_cpu(start, 2.0 * SWITCHES);
    return 0;
}

void hocket_switch(int argc, char **args)
{
    hk_task_fn *fns[] = {one_site, one_site};

    (void)argc;
    (void)args;
    must(hk_run(two_tasks, fns, NULL), "hk_run");
}

void hocket_switch2(int argc, char **args)
{
    bool nested = argc > 0 && !strcmp(args[0], "nested");
    hk_task_fn *fns[] = {nested ? nested_a : one_site, nested ? nested_b : other_site};

    must(hk_run(two_tasks, fns, NULL), "hk_run");
}
