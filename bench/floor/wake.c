/* SPDX-License-Identifier: MIT */
/* The floor of waking across cores: two pinned threads take turns on two futexes. */
#include "../peers/bench.h"
#include "floor.h"
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#define ROUND_TRIPS 30000

static struct {
    _Alignas(128) atomic_uint turn;
} side[2];

static void hand_over(int to, unsigned turn)
{
    atomic_store(&side[to].turn, turn);
    syscall(SYS_futex, &side[to].turn, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
}

static void await(int me, unsigned turn)
{
    unsigned seen;

    while ((seen = atomic_load(&side[me].turn)) < turn)
        syscall(SYS_futex, &side[me].turn, FUTEX_WAIT_PRIVATE, seen, 0, 0, 0);
}

static void *answer(void *arg)
{
    (void)arg;
    bench_pin(1);
    for (unsigned i = 1; i <= ROUND_TRIPS; i++) {
        await(1, i);
        hand_over(0, i);
    }
    return 0;
}

static void play(double operations_per_trip)
{
    pthread_t thread;

    bench_pin(0);
    if (pthread_create(&thread, 0, answer, 0))
        bench_die("pthread_create");
    double start = bench_wall_now_ns();
    for (unsigned i = 1; i <= ROUND_TRIPS; i++) {
        hand_over(1, i);
        await(0, i);
    }
    bench_report_wall(start, ROUND_TRIPS * operations_per_trip);
    pthread_join(thread, 0);
}

void floor_wake(int argc, char **args)
{
    (void)argc;
    (void)args;
    play(1);
}

/* What a condition costs at least, when it hands over from thread to thread. */
void floor_cond(int argc, char **args)
{
    if (argc < 1 || strcmp(args[0], "threads"))
        exit(BENCH_MISSING);
    play(2);
}
