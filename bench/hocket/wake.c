/* SPDX-License-Identifier: MIT */
/* A task on one worker wakes a task on the other and is woken by it: one round trip. */
#include "hocket.h"

#define ROUNDS 100000L

struct court {
    hk_sem there, back;
};

static int ping(void *arg)
{
    struct court *court = arg;

    for (long i = 0; i < ROUNDS; i++) {
        hk_sem_release(&court->there, 1);
        must(hk_sem_acquire(&court->back), "acquire");
    }
    return 0;
}

static int pong(void *arg)
{
    struct court *court = arg;

    for (long i = 0; i < ROUNDS; i++) {
        must(hk_sem_acquire(&court->there), "acquire");
        hk_sem_release(&court->back, 1);
    }
    return 0;
}

static int play(void *arg)
{
    double start = bench_wall_now_ns();

    on_two_workers(ping, pong, arg);
    bench_report_wall(start, ROUNDS);
    return 0;
}

void hocket_wake(int argc, char **args)
{
    struct court court = {.there = HK_SEM_INIT(0), .back = HK_SEM_INIT(0)};
    hk_options options = {.workers = 2, .stall_ns = -1};

    (void)argc;
    (void)args;
    must(hk_run(play, &court, &options), "hk_run");
}
