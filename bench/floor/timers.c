/* SPDX-License-Identifier: MIT */
/*
 * The floor of set + cancel: a hashed wheel of doubly linked lists, a million live,
 * each of them cancelled and set anew in its turn.
 *
 * 64 slots, as a level of a hierarchical wheel has: few enough that the timers that
 * neighbour one in its list were set shortly before and after it, and so lie close to
 * it in memory too. Measured in one run: 16 slots 4.0 ns (too few for a wheel), 64
 * slots 8.6, 1,024 slots 10.8.
 */
#include "../peers/bench.h"
#include "floor.h"

#define OPERATIONS 50000000L
#define SLOTS 64

struct timer {
    struct timer *next, *prev;
    uint64_t deadline_ms;
    void (*fire)(struct timer *);
};

static struct timer wheel[SLOTS];

static __attribute__((noinline)) void set(struct timer *t, uint64_t deadline_ms)
{
    struct timer *head = &wheel[deadline_ms % SLOTS];

    t->deadline_ms = deadline_ms;
    t->next = head->next;
    t->prev = head;
    head->next->prev = t;
    head->next = t;
}

static __attribute__((noinline)) void cancel(struct timer *t)
{
    t->next->prev = t->prev;
    t->prev->next = t->next;
    t->next = 0;
}

void floor_timers(int argc, char **args)
{
    struct timer *live = calloc(TIMERS_LIVE, sizeof *live);
    uint64_t seed = BENCH_SEED;

    (void)argc;
    (void)args;
    if (!live)
        bench_die("calloc");
    for (int i = 0; i < SLOTS; i++)
        wheel[i].next = wheel[i].prev = &wheel[i];
    for (int i = 0; i < TIMERS_LIVE; i++)
        set(&live[i], bench_timer_ms(&seed));
    double start = bench_cpu_now_ns();
    for (long i = 0; i < OPERATIONS; i++) {
        struct timer *t = &live[i % TIMERS_LIVE];

        cancel(t);
        set(t, bench_timer_ms(&seed));
    }
    bench_report_cpu(start, OPERATIONS);
    free(live);
}
