/* SPDX-License-Identifier: MIT */
#include "hocket.h"

struct pair {
    hk_task_fn *first;
    void *arg;
    int started; /* atomic */
};

static int run_first(void *arg)
{
    struct pair *pair = arg;

    bench_pin((int)hk_worker_index());
    __atomic_store_n(&pair->started, 1, __ATOMIC_RELEASE);
    return pair->first(pair->arg);
}

void on_two_workers(hk_task_fn *first, hk_task_fn *second, void *arg)
{
    struct pair pair = {.first = first, .arg = arg};
    hk_scope s;

    hk_scope_open_with(&s, HK_SCOPE_PARALLEL, "two workers");
    hk_spawn(&s, run_first, &pair);
    /* Not waiting in hocket's sense: so the other worker takes it. */
    while (!__atomic_load_n(&pair.started, __ATOMIC_ACQUIRE))
        sched_yield();
    bench_pin((int)hk_worker_index());
    must(second(arg), "second");
    must(hk_scope_join(&s), "join");
}
