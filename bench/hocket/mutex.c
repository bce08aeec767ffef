/* SPDX-License-Identifier: MIT */
/* An uncontended lock and unlock by a task, in a process with a second thread. */
#include "hocket.h"

#include <pthread.h>

#define LOCKS 50000000L

static void *bystander(void *arg)
{
    (void)arg;
    for (;;)
        pause();
    return NULL;
}

static int lock_and_unlock(void *arg)
{
    hk_mutex mutex = HK_MUTEX_INIT;
    double start = bench_cpu_now_ns();

    (void)arg;
    for (long i = 0; i < LOCKS; i++) {
        must(hk_mutex_lock(&mutex), "lock");
        hk_mutex_unlock(&mutex);
    }
    bench_report_cpu(start, LOCKS);
    return 0;
}

void hocket_mutex(int argc, char **args)
{
    hk_options options = {.stall_ns = -1};
    pthread_t thread;

    (void)argc;
    (void)args;
    if (pthread_create(&thread, NULL, bystander, NULL))
        bench_die("pthread_create");
    must(hk_run(lock_and_unlock, NULL, &options), "hk_run");
}
