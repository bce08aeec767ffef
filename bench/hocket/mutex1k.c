/* SPDX-License-Identifier: MIT */
/* 1,000 tasks on two workers take one mutex in turn, 1,000 times each. */
#include "hocket.h"

static hk_mutex mutex;
static uint64_t value; /* guarded by mutex */

static int lock_often(void *arg)
{
    (void)arg;
    for (int i = 0; i < MUTEX1K_LOCKS; i++) {
        must(hk_mutex_lock(&mutex), "lock");
        value++;
        hk_mutex_unlock(&mutex);
    }
    return 0;
}

static int half_of_the_tasks(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open(&s);
    for (int i = 0; i < MUTEX1K_TASKS / 2; i++)
        must(hk_spawn(&s, lock_often, NULL), "spawn");
    return hk_scope_join(&s);
}

static int play(void *arg)
{
    double start = bench_wall_now_ns();

    on_two_workers(half_of_the_tasks, half_of_the_tasks, arg);
    bench_report_wall(start, (double)MUTEX1K_TASKS * MUTEX1K_LOCKS);
    return value == (uint64_t)MUTEX1K_TASKS * MUTEX1K_LOCKS ? 0 : -EINVAL;
}

void hocket_mutex1k(int argc, char **args)
{
    hk_options options = {.workers = 2, .stall_ns = -1};

    (void)argc;
    (void)args;
    must(hk_run(play, NULL, &options), "hk_run");
}
