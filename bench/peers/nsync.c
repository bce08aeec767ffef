/* SPDX-License-Identifier: MIT */
/* The peer nsync: its mutex. */
#include "bench.h"
#include <nsync.h>
#include <pthread.h>

static void *bystander(void *arg)
{
    (void)arg;
    for (;;)
        pause();
    return 0;
}

static void mutex(int argc, char **args)
{
    const long locks = 40000000;
    nsync_mu m = NSYNC_MU_INIT;
    pthread_t thread;

    (void)argc;
    (void)args;
    if (pthread_create(&thread, 0, bystander, 0))
        bench_die("pthread_create");
    double start = bench_cpu_now_ns();
    for (long i = 0; i < locks; i++) {
        nsync_mu_lock(&m);
        nsync_mu_unlock(&m);
    }
    bench_report_cpu(start, (double)locks);
}

int main(int argc, char **argv)
{
    static const struct bench benches[] = {{"mutex", mutex}, {0}};

    return bench_main(benches, argc, argv);
}
