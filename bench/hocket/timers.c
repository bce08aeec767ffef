/* SPDX-License-Identifier: MIT */
/* Set and cancel with a million timers alive: each in its turn is cancelled, set anew. */
#include "hocket.h"

#include <hocket/lowlevel.h>

#define OPERATIONS 20000000L

static void fire(hk_timer *timer)
{
    (void)timer;
    abort(); /* the earliest is due in a second */
}

static int set_and_cancel(void *arg)
{
    hk_timer *timers = calloc(TIMERS_LIVE, sizeof(*timers));
    uint64_t seed = BENCH_SEED;
    int64_t now = hk_now();
    double start;

    (void)arg;
    if (!timers)
        bench_die("calloc");
    for (long i = 0; i < TIMERS_LIVE; i++)
        hk_timer_set(&timers[i], now + (int64_t)bench_timer_ms(&seed) * HK_MILLISECOND,
                     fire);
    start = bench_cpu_now_ns();
    for (long i = 0; i < OPERATIONS; i++) {
        hk_timer *timer = &timers[i % TIMERS_LIVE];

        hk_timer_cancel(timer);
        hk_timer_set(timer, now + (int64_t)bench_timer_ms(&seed) * HK_MILLISECOND,
                     fire);
    }
    bench_report_cpu(start, OPERATIONS);
    for (long i = 0; i < TIMERS_LIVE; i++)
        hk_timer_cancel(&timers[i]);
    free(timers);
    return 0;
}

void hocket_timers(int argc, char **args)
{
    hk_options options = {.stall_ns = -1};

    (void)argc;
    (void)args;
    must(hk_run(set_and_cancel, NULL, &options), "hk_run");
}
