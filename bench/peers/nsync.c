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

/* ---- two threads that want the same lock ---- */

static nsync_mu shared_mutex = NSYNC_MU_INIT;
static volatile uint64_t shared_value;

static void lock_once(uint64_t turn)
{
    (void)turn;
    nsync_mu_lock(&shared_mutex);
    shared_value++;
    nsync_mu_unlock(&shared_mutex);
}

static void mutex2(int argc, char **args)
{
    (void)argc;
    (void)args;
    bench_contend(lock_once);
}

static void read_or_write(uint64_t turn)
{
    if (turn % RWLOCK_WRITES == 0) {
        nsync_mu_lock(&shared_mutex);
        shared_value++;
        nsync_mu_unlock(&shared_mutex);
    } else {
        nsync_mu_rlock(&shared_mutex);
        (void)shared_value;
        nsync_mu_runlock(&shared_mutex);
    }
}

static void rwlock(int argc, char **args)
{
    (void)argc;
    (void)args;
    bench_contend(read_or_write);
}

int main(int argc, char **argv)
{
    static const struct bench benches[] = {
        {"mutex", mutex}, {"mutex2", mutex2}, {"rwlock", rwlock}, {0}};

    return bench_main(benches, argc, argv);
}
