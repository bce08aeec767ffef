/* SPDX-License-Identifier: MIT */
/* The peer libev: timers. Its 4-heap caches each deadline beside the pointer. */
#include "bench.h"
#include <ev.h>

static void never(struct ev_loop *loop, ev_timer *t, int events)
{
    (void)loop;
    (void)t;
    (void)events;
}

static void timers(int argc, char **args)
{
    const long operations = 20000000;
    struct ev_loop *loop = ev_default_loop(0);
    ev_timer *live = calloc(TIMERS_LIVE, sizeof *live);
    uint64_t seed = BENCH_SEED;

    (void)argc;
    (void)args;
    for (int i = 0; i < TIMERS_LIVE; i++) {
        ev_timer_init(&live[i], never, (double)bench_timer_ms(&seed) * 1e-3, 0);
        ev_timer_start(loop, &live[i]);
    }
    double start = bench_cpu_now_ns();
    for (long i = 0; i < operations; i++) {
        ev_timer *t = &live[i % TIMERS_LIVE];

        ev_timer_stop(loop, t);
        ev_timer_set(t, (double)bench_timer_ms(&seed) * 1e-3, 0);
        ev_timer_start(loop, t);
    }
    bench_report_cpu(start, (double)operations);
}

int main(int argc, char **argv)
{
    static const struct bench benches[] = {{"timers", timers}, {0}};

    return bench_main(benches, argc, argv);
}
