/* SPDX-License-Identifier: MIT */
/*
 * What one more worker, thread of a pool or worker process takes: the growth of the
 * proportional set size (Pss) of this process and its children, page tables included,
 * when there are 16 more of them than 1, each of which has run something.
 */
#include "hocket.h"

#define MORE 16

static double pss_of(int pid)
{
    char path[64], line[256];
    double bytes = 0;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
    f = fopen(path, "r");
    if (!f)
        bench_die(path);
    while (fgets(line, sizeof(line), f))
        if (!strncmp(line, "Pss:", 4))
            bytes = atof(line + 4) * 1024;
    fclose(f);
    return bytes;
}

static double memory_here(void)
{
    return pss_of(getpid()) + bench_status_bytes("VmPTE");
}

/* ---- everybody is here at once, so that each thread has one of them ---- */

static int arrived; /* atomic */

static void arrive_and_await(int count)
{
    __atomic_add_fetch(&arrived, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&arrived, __ATOMIC_SEQ_CST) < count)
        sched_yield();
}

static double memory_with;

static int meet(void *arg)
{
    arrive_and_await(*(int *)arg);
    return 0;
}

/* ---- workers of a runtime ---- */

static int meet_on_all(void *arg)
{
    int count = *(int *)arg;
    hk_scope s;

    hk_scope_open_with(&s, HK_SCOPE_PARALLEL, "everybody");
    for (int i = 1; i < count; i++)
        hk_spawn(&s, meet, arg);
    arrive_and_await(count);
    memory_with = memory_here();
    return hk_scope_join(&s);
}

static double with_workers(int count)
{
    hk_options options = {.workers = (uint32_t)count};

    arrived = 0;
    must(hk_run(meet_on_all, &count, &options), "hk_run");
    return memory_with;
}

/* ---- threads of a pool ---- */

HK_FN(void, meet_in_pool, (int, count))
{
    arrive_and_await(count);
}

static double with_threads(int count)
{
    hk_thread_pool_options options = {.threads = (uint32_t)count};
    hk_future *futures[1 + MORE];
    hk_executor *pool;

    arrived = 0;
    must(hk_thread_pool_new(&options, &pool), "hk_thread_pool_new");
    for (int i = 0; i < count; i++)
        futures[i] = meet_in_pool_on(pool, count);
    for (int i = 0; i < count; i++) {
        must(meet_in_pool_await(futures[i]), "a job");
        hk_future_free(futures[i]);
    }
    memory_with = memory_here();
    hk_executor_free(pool);
    return memory_with;
}

/* ---- worker processes ---- */

HK_FN(int, stay_a_while)
{
    usleep(200000); /* until the others have a job, too */
    return getpid();
}

static double with_processes(int count)
{
    hk_process_options options = {.workers_max = (uint32_t)count};
    hk_future *futures[1 + MORE];
    double memory;
    hk_executor *pool;
    int pid;

    must(hk_process_pool_new(&options, &pool), "hk_process_pool_new");
    for (int i = 0; i < count; i++)
        futures[i] = stay_a_while_on(pool);
    memory = 0;
    for (int i = 0; i < count; i++) {
        must(stay_a_while_await(futures[i], &pid), "a job");
        memory += pss_of(pid);
        hk_future_free(futures[i]);
    }
    memory += memory_here();
    hk_executor_free(pool);
    return memory;
}

void hocket_footprint(int argc, char **args)
{
    double (*with)(int) = with_workers;

    if (argc > 0 && !strcmp(args[0], "thread"))
        with = with_threads;
    else if (argc > 0 && !strcmp(args[0], "process"))
        with = with_processes;
    (void)with(1); /* what is allocated once and for all */
    double before = with(1);
    printf("%.0f\n", (with(1 + MORE) - before) / MORE);
}
