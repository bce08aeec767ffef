/* SPDX-License-Identifier: MIT */
/*
 * The bench `mutex` with the checks switched on: what HOCKET_CHECK=locks costs a lock
 * that nobody else wants. `lockcheck:off` is the same program with them off, and
 * `lockcheck:nested` locks a second mutex inside, whose order is known.
 */
#include "hocket.h"

#include <hocket/check.h>

#include <string.h>

#define LOCKS 20000000L

static void lock_alone(hk_mutex *mutex)
{
    double start = bench_cpu_now_ns();

    for (long i = 0; i < LOCKS; i++) {
        must(hk_mutex_lock(mutex), "lock");
        hk_mutex_unlock(mutex);
    }
    bench_report_cpu(start, LOCKS);
}

static void lock_nested(hk_mutex *outer, hk_mutex *inner)
{
    double start = bench_cpu_now_ns();

    for (long i = 0; i < LOCKS / 2; i++) {
        must(hk_mutex_lock(outer), "lock");
        must(hk_mutex_lock(inner), "lock");
        hk_mutex_unlock(inner);
        hk_mutex_unlock(outer);
    }
    bench_report_cpu(start, LOCKS);
}

static int run(void *arg)
{
    hk_mutex outer = HK_MUTEX_INIT, inner = HK_MUTEX_INIT;
    const char *variant = arg;

    if (strcmp(variant, "off") != 0)
        must(hk_check(HK_CHECK_LOCKS, NULL), "hk_check");
    if (strcmp(variant, "nested") == 0)
        lock_nested(&outer, &inner);
    else
        lock_alone(&outer);
    return 0;
}

void hocket_lockcheck(int argc, char **args)
{
    hk_options options = {.stall_ns = -1};

    must(hk_run(run, argc > 0 ? args[0] : "on", &options), "hk_run");
}
