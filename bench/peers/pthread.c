/* SPDX-License-Identifier: MIT */
/* The peer pthread: glibc's mutex, and a condition variable as the way to wake. */
#include "bench.h"
#include <pthread.h>
#include <semaphore.h>

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
    pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
    pthread_t thread;

    (void)argc;
    (void)args;
    /* glibc takes the lock without an atomic in a process with one thread */
    if (pthread_create(&thread, 0, bystander, 0))
        bench_die("pthread_create");
    double start = bench_cpu_now_ns();
    for (long i = 0; i < locks; i++) {
        pthread_mutex_lock(&m);
        pthread_mutex_unlock(&m);
    }
    bench_report_cpu(start, (double)locks);
}

static const long round_trips = 30000;

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    long turn;
} side[2] = {
    {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0},
    {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0},
};

static void hand_over(int to)
{
    pthread_mutex_lock(&side[to].lock);
    side[to].turn++;
    pthread_mutex_unlock(&side[to].lock);
    pthread_cond_signal(&side[to].changed);
}

static void await(int me, long turn)
{
    pthread_mutex_lock(&side[me].lock);
    while (side[me].turn < turn)
        pthread_cond_wait(&side[me].changed, &side[me].lock);
    pthread_mutex_unlock(&side[me].lock);
}

static void *answer(void *arg)
{
    (void)arg;
    bench_pin(1);
    for (long i = 1; i <= round_trips; i++) {
        await(1, i);
        hand_over(0);
    }
    return 0;
}

static void wake(int argc, char **args)
{
    pthread_t thread;

    (void)argc;
    (void)args;
    bench_pin(0);
    if (pthread_create(&thread, 0, answer, 0))
        bench_die("pthread_create");
    double start = bench_wall_now_ns();
    for (long i = 1; i <= round_trips; i++) {
        hand_over(1);
        await(0, i);
    }
    bench_report_wall(start, (double)round_trips);
    pthread_join(thread, 0);
}

/* ---- two threads that want the same lock ---- */

static pthread_mutex_t shared_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t shared_rwlock = PTHREAD_RWLOCK_INITIALIZER;
static volatile uint64_t shared_value;

static void lock_once(uint64_t turn)
{
    (void)turn;
    pthread_mutex_lock(&shared_mutex);
    shared_value++;
    pthread_mutex_unlock(&shared_mutex);
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
        pthread_rwlock_wrlock(&shared_rwlock);
        shared_value++;
    } else {
        pthread_rwlock_rdlock(&shared_rwlock);
        (void)shared_value;
    }
    pthread_rwlock_unlock(&shared_rwlock);
}

static void rwlock(int argc, char **args)
{
    (void)argc;
    (void)args;
    bench_contend(read_or_write);
}

/* ---- turns, with one condition ---- */

static const long cond_rounds = 10000;
static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;
static int whose_turn;

static void take_turns(int mine)
{
    pthread_mutex_lock(&shared_mutex);
    for (long i = 0; i < cond_rounds; i++) {
        while (whose_turn != mine)
            pthread_cond_wait(&turned, &shared_mutex);
        whose_turn = !mine;
        pthread_cond_signal(&turned);
    }
    pthread_mutex_unlock(&shared_mutex);
}

static void *take_odd_turns(void *arg)
{
    (void)arg;
    bench_pin(1);
    take_turns(1);
    return 0;
}

static void cond(int argc, char **args)
{
    pthread_t thread;

    if (argc < 1 || strcmp(args[0], "threads"))
        exit(BENCH_MISSING);
    bench_pin(0);
    if (pthread_create(&thread, 0, take_odd_turns, 0))
        bench_die("pthread_create");
    double start = bench_wall_now_ns();
    take_turns(0);
    pthread_join(thread, 0);
    bench_report_wall(start, 2 * (double)cond_rounds);
}

/* ---- the smaller ones ---- */

static void prim_semaphore(void)
{
    const long acquires = 40000000;
    sem_t sem;

    if (sem_init(&sem, 0, 1))
        bench_die("sem_init");
    double start = bench_cpu_now_ns();
    for (long i = 0; i < acquires; i++) {
        sem_wait(&sem);
        sem_post(&sem);
    }
    bench_report_cpu(start, (double)acquires);
}

/* Set, wait, clear: a flag, with the mutex and the condition that it needs. */
static void prim_event(void)
{
    const long sets = 10000000;
    int is_set = 0;

    double start = bench_cpu_now_ns();
    for (long i = 0; i < sets; i++) {
        pthread_mutex_lock(&shared_mutex);
        is_set = 1;
        pthread_cond_broadcast(&turned);
        pthread_mutex_unlock(&shared_mutex);
        pthread_mutex_lock(&shared_mutex);
        while (!is_set)
            pthread_cond_wait(&turned, &shared_mutex);
        pthread_mutex_unlock(&shared_mutex);
        pthread_mutex_lock(&shared_mutex);
        is_set = 0;
        pthread_mutex_unlock(&shared_mutex);
    }
    bench_report_cpu(start, (double)sets);
}

static const long meetings = 200000;

static void *meet(void *arg)
{
    for (long i = 0; i < meetings; i++)
        pthread_barrier_wait(arg);
    return 0;
}

static void prim_barrier(void)
{
    pthread_barrier_t barrier;
    pthread_t thread;

    if (pthread_barrier_init(&barrier, 0, 2))
        bench_die("pthread_barrier_init");
    double start = bench_cpu_now_ns();
    if (pthread_create(&thread, 0, meet, &barrier))
        bench_die("pthread_create");
    meet(&barrier);
    pthread_join(thread, 0);
    bench_report_cpu(start, (double)meetings);
}

static void do_nothing(void)
{
}

static void prim_once(void)
{
    const long runs = 200000000;
    pthread_once_t once = PTHREAD_ONCE_INIT;

    double start = bench_cpu_now_ns();
    for (long i = 0; i < runs; i++)
        pthread_once(&once, do_nothing);
    bench_report_cpu(start, (double)runs);
}

static void prims(int argc, char **args)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } variants[] = {{"semaphore", prim_semaphore},
                    {"event", prim_event},
                    {"barrier", prim_barrier},
                    {"once", prim_once}};
    pthread_t thread;

    if (pthread_create(&thread, 0, bystander, 0)) /* as in mutex() */
        bench_die("pthread_create");
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++)
        if (argc > 0 && !strcmp(args[0], variants[i].name)) {
            variants[i].run();
            return;
        }
    exit(BENCH_MISSING);
}

int main(int argc, char **argv)
{
    static const struct bench benches[] = {{"mutex", mutex},
                                           {"mutex2", mutex2},
                                           {"rwlock", rwlock},
                                           {"cond", cond},
                                           {"prims", prims},
                                           {"wake", wake},
                                           {0}};

    return bench_main(benches, argc, argv);
}
