/* SPDX-License-Identifier: MIT */
/*
 * What every bench executable shares: the contract, in one place.
 *
 * An executable is called as `<exe> <bench> [args]`, runs that bench once (0.3 to 2
 * seconds), prints one line with one decimal number in the bench's unit, and exits 0.
 * A bench that it does not implement ends it with status 77. A peer is a table of
 * struct bench and a main that calls bench_main. Also compiles as C++17.
 */
#ifndef HOCKET_BENCH_H
#define HOCKET_BENCH_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define BENCH_MISSING 77

/* The shape of the benches, the same for every subject. */
#define FILES_COUNT 10000
#define FILES_AT_ONCE 50
#define FILE_BYTES 16384
#define CHAN_CAPACITY 1024
#define TIMERS_LIVE 1000000
#define BENCH_SEED 88172645463325252u
#define TASKS_MANY 1000000
#define RWLOCK_WRITES 20 /* one turn in so many */
#define MUTEX1K_TASKS 1000
#define MUTEX1K_LOCKS 1000 /* of each task */

struct bench {
    const char *name;
    /* args: what stood after the name on the command line; prints the value. */
    void (*run)(int argc, char **args);
};

static inline void bench_die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static inline double bench_clock_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/*
 * Two clocks. A bench that runs on one core and never waits is measured in the CPU time
 * of its process (all its threads): on a quiet machine that is the wall-clock time, and
 * on a shared one it leaves out what the neighbours and the hypervisor took. A bench
 * that crosses cores (xchan, wake) is about waiting, and needs the wall clock.
 */
static inline double bench_cpu_now_ns(void)
{
    return bench_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

static inline double bench_wall_now_ns(void)
{
    return bench_clock_ns(CLOCK_MONOTONIC);
}

static inline void bench_report_cpu(double start_ns, double operations)
{
    printf("%.2f\n", (bench_cpu_now_ns() - start_ns) / operations);
}

static inline void bench_report_wall(double start_ns, double operations)
{
    printf("%.2f\n", (bench_wall_now_ns() - start_ns) / operations);
}

/* The same xorshift in every language, so that timers draw the same durations. */
static inline uint64_t bench_random(uint64_t *state)
{
    uint64_t x = *state;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

/* A timer's duration: 1 to 3600 seconds, in milliseconds. */
static inline uint64_t bench_timer_ms(uint64_t *state)
{
    return 1000 + bench_random(state) % 3600000;
}

/* A "Vm...:  N kB" line of /proc/self/status, in bytes. */
static inline double bench_status_bytes(const char *key)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    double bytes = 0;
    size_t len = strlen(key);

    if (!f)
        bench_die("/proc/self/status");
    while (fgets(line, sizeof line, f)) {
        if (!strncmp(line, key, len) && line[len] == ':')
            bytes = atof(line + len + 1) * 1024;
    }
    fclose(f);
    return bytes;
}

struct bench_memory {
    double rss;
    double page_tables;
};

static inline struct bench_memory bench_memory_now(void)
{
    struct bench_memory m;

    m.rss = bench_status_bytes("VmRSS");
    m.page_tables = bench_status_bytes("VmPTE");
    return m;
}

static inline void bench_report_memory(struct bench_memory before, double tasks)
{
    struct bench_memory now = bench_memory_now();

    printf("%.0f\t%.0f\n", (now.rss - before.rss) / tasks,
           (now.page_tables - before.page_tables) / tasks);
}

static inline long bench_count_arg(int argc, char **args, long otherwise)
{
    return argc > 0 ? atol(args[0]) : otherwise;
}

static inline void bench_pin(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set))
        bench_die("sched_setaffinity"); /* a one-core machine cannot run this bench */
}

/*
 * Two pinned threads that want the same lock for a fixed time: with a fixed count the
 * rest of the slower one would be uncontended. `work` is called over and over with the
 * number of the turn; one operation for each call.
 */
#define BENCH_CONTEND_NS 3e8
#define BENCH_TURNS 64 /* between two looks at the end */

struct bench_side {
    void (*work)(uint64_t turn);
    const int *ended; /* atomic */
    int cpu;
    uint64_t turns;
};

static inline void *bench_contend_side(void *arg)
{
    struct bench_side *side = (struct bench_side *)arg;
    void (*work)(uint64_t) = side->work;

    bench_pin(side->cpu);
    while (!__atomic_load_n(side->ended, __ATOMIC_RELAXED)) {
        for (int i = 0; i < BENCH_TURNS; i++)
            work(side->turns++);
    }
    return NULL;
}

static inline void bench_contend(void (*work)(uint64_t turn))
{
    int ended = 0;
    struct bench_side sides[2] = {{work, &ended, 0, 0}, {work, &ended, 1, 0}};
    pthread_t threads[2];

    for (int i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, bench_contend_side, &sides[i]))
            bench_die("pthread_create");
    double start = bench_wall_now_ns();
    while (bench_wall_now_ns() - start < BENCH_CONTEND_NS)
        usleep(10000);
    __atomic_store_n(&ended, 1, __ATOMIC_RELAXED);
    double wall_ns = bench_wall_now_ns() - start;
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    printf("%.2f\n", wall_ns / (double)(sides[0].turns + sides[1].turns));
}

/* The paths of the files bench, made before the clock starts. */
static inline char **bench_file_paths(int argc, char **args)
{
    char **paths = (char **)malloc(FILES_COUNT * sizeof *paths);

    if (argc < 1 || !paths) {
        fprintf(stderr, "files needs a directory\n");
        exit(2);
    }
    for (int i = 0; i < FILES_COUNT; i++) {
        size_t len = strlen(args[0]) + 16;
        paths[i] = (char *)malloc(len);
        snprintf(paths[i], len, "%s/f%05d", args[0], i);
    }
    return paths;
}

/* The two lines of an echo server. */
static inline void bench_print_port(unsigned port)
{
    printf("port %u\n", port);
    fflush(stdout);
}

static inline void bench_print_cpu(void)
{
    struct rusage r;

    getrusage(RUSAGE_SELF, &r);
    printf("cpu_ns %.0f\n",
           (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1e9 +
               (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) * 1e3);
    fflush(stdout);
}

static inline int bench_main(const struct bench *table, int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s BENCH [ARGS]; BENCH is one of:", argv[0]);
        for (const struct bench *b = table; b->name; b++)
            fprintf(stderr, " %s", b->name);
        fprintf(stderr, "\n");
        return 2;
    }
    for (const struct bench *b = table; b->name; b++) {
        if (!strcmp(b->name, argv[1])) {
            b->run(argc - 2, argv + 2);
            return 0;
        }
    }
    return BENCH_MISSING;
}

#endif
