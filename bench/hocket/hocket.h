/* SPDX-License-Identifier: MIT */
/* hocket's own subjects, one function per bench; main.c has the table. */
#ifndef HOCKET_BENCH_HOCKET_H
#define HOCKET_BENCH_HOCKET_H

#include "../peers/bench.h"

#include <hocket.h>

void hocket_switch(int argc, char **args);
void hocket_switch2(int argc, char **args);
void hocket_spawn(int argc, char **args);
void hocket_spawn1m(int argc, char **args);
void hocket_park(int argc, char **args);
void hocket_chan0(int argc, char **args);
void hocket_chan1024(int argc, char **args);
void hocket_xchan(int argc, char **args);
void hocket_mutex(int argc, char **args);
void hocket_lockcheck(int argc, char **args);
void hocket_mutex2(int argc, char **args);
void hocket_mutex1k(int argc, char **args);
void hocket_rwlock(int argc, char **args);
void hocket_cond(int argc, char **args);
void hocket_prims(int argc, char **args);
void hocket_timers(int argc, char **args);
void hocket_files(int argc, char **args);
void hocket_wake(int argc, char **args);
void hocket_proc(int argc, char **args);
void hocket_procrtt(int argc, char **args);
void hocket_pool(int argc, char **args);
void hocket_poolrtt(int argc, char **args);
void hocket_procbig(int argc, char **args);
void hocket_procstart(int argc, char **args);
void hocket_forkjoin(int argc, char **args);
void hocket_fib(int argc, char **args);
void hocket_pfor(int argc, char **args);
void hocket_region(int argc, char **args);
void hocket_footprint(int argc, char **args);
void hocket_forkjoin(int argc, char **args);
void hocket_fib(int argc, char **args);
void hocket_pfor(int argc, char **args);
void hocket_region(int argc, char **args);
void hocket_echo_server(int argc, char **args);

/* Ends the program when a call failed: a bench has nothing to go on with. */
static inline void must(int rc, const char *what)
{
    if (rc < 0) {
        fprintf(stderr, "%s: %s\n", what, hk_error_text(rc));
        exit(1);
    }
}

/*
 * Runs `first` and `second` at the same time on the two workers of the caller's runtime,
 * pinned to the cores 0 and 1, and returns when both have ended.
 */
void on_two_workers(hk_task_fn *first, hk_task_fn *second, void *arg);

#endif
