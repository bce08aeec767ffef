/* SPDX-License-Identifier: MIT */
/*
 * The floors of the process pool. A worker is a fork that shares one piece of memory
 * with its parent: a ring of slots, one cache line each, in which a number goes down
 * and comes back in the same slot. The parent has core 0, workers 1 and 0 in turn.
 */
#include "../peers/bench.h"
#include "floor.h"
#include <linux/futex.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define JOBS 1000000L
#define ROUND_TRIPS 20000
#define SLOTS 64
#define SPINS 1000 /* then the other one may have the core */
#define PIECE_BYTES ((size_t)1 << 20)
#define PIECES 4096
#define IN_FLIGHT 4
#define STARTS 100

extern char **environ;

enum { FREE, READY, DONE };

struct slot {
    _Alignas(64) atomic_uint state;
    long number;
};

static void *shared_memory(size_t size)
{
    void *memory =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        bench_die("mmap");
    return memory;
}

static void await_state(struct slot *slot, unsigned state)
{
    for (int spins = 0; atomic_load(&slot->state) != state; spins++)
        if (spins % SPINS == SPINS - 1)
            sched_yield();
}

static void end_child(pid_t pid)
{
    if (waitpid(pid, NULL, 0) != pid)
        bench_die("waitpid");
}

/* ---- proc: many small jobs ---- */

static void serve(struct slot *ring, long jobs, int cpu)
{
    bench_pin(cpu);
    for (long i = 0; i < jobs; i++) {
        struct slot *slot = &ring[i % SLOTS];

        await_state(slot, READY);
        slot->number++;
        atomic_store_explicit(&slot->state, DONE, memory_order_release);
    }
    _exit(0);
}

static void receive(struct slot *slot)
{
    if (atomic_load(&slot->state) == FREE)
        return;
    await_state(slot, DONE);
    atomic_store_explicit(&slot->state, FREE, memory_order_relaxed);
}

void floor_proc(int argc, char **args)
{
    long workers = bench_count_arg(argc, args, 1);
    struct slot *rings = shared_memory((size_t)workers * SLOTS * sizeof(*rings));
    pid_t *pids = calloc((size_t)workers, sizeof(*pids));
    double start;

    for (long w = 0; w < workers; w++)
        if ((pids[w] = fork()) == 0)
            serve(&rings[w * SLOTS], JOBS / workers, (int)(w + 1) % 2);
    bench_pin(0);
    start = bench_wall_now_ns();
    for (long i = 0; i < JOBS / workers; i++) {
        for (long w = 0; w < workers; w++) {
            struct slot *slot = &rings[w * SLOTS + i % SLOTS];

            receive(slot);
            slot->number = i;
            atomic_store_explicit(&slot->state, READY, memory_order_release);
        }
    }
    for (long at = 0; at < workers * SLOTS; at++)
        receive(&rings[at]);
    bench_report_wall(start, (double)JOBS);
    for (long w = 0; w < workers; w++)
        end_child(pids[w]);
    free(pids);
}

/* ---- procrtt: one job at a time ---- */

struct court {
    struct {
        _Alignas(128) atomic_uint turn;
    } side[2];
    int spins;
};

static void hand_over(struct court *court, int to, unsigned turn)
{
    atomic_store(&court->side[to].turn, turn);
    if (!court->spins)
        syscall(SYS_futex, &court->side[to].turn, FUTEX_WAKE, 1, 0, 0, 0);
}

static void await_turn(struct court *court, int me, unsigned turn)
{
    unsigned seen;

    for (int i = 0; (seen = atomic_load(&court->side[me].turn)) < turn; i++) {
        if (!court->spins)
            syscall(SYS_futex, &court->side[me].turn, FUTEX_WAIT, seen, 0, 0, 0);
        else if (i % SPINS == SPINS - 1)
            sched_yield();
    }
}

static void answer(struct court *court)
{
    bench_pin(1);
    for (unsigned i = 1; i <= ROUND_TRIPS; i++) {
        await_turn(court, 1, i);
        hand_over(court, 0, i);
    }
    _exit(0);
}

void floor_procrtt(int argc, char **args)
{
    struct court *court = shared_memory(sizeof(*court));
    double start;
    pid_t pid;

    court->spins = argc > 0 && !strcmp(args[0], "spin");
    if ((pid = fork()) == 0)
        answer(court);
    bench_pin(0);
    start = bench_wall_now_ns();
    for (unsigned i = 1; i <= ROUND_TRIPS; i++) {
        hand_over(court, 1, i);
        await_turn(court, 0, i);
    }
    bench_report_wall(start, ROUND_TRIPS);
    end_child(pid);
}

/* ---- procbig: copied into memory that the worker sees, and by it once more ---- */

struct pieces {
    struct slot slots[IN_FLIGHT];
    unsigned char there[IN_FLIGHT][PIECE_BYTES];
    unsigned char back[IN_FLIGHT][PIECE_BYTES];
};

static void copy_pieces(struct pieces *pieces)
{
    bench_pin(1);
    for (int i = 0; i < PIECES; i++) {
        int at = i % IN_FLIGHT;

        await_state(&pieces->slots[at], READY);
        memcpy(pieces->back[at], pieces->there[at], PIECE_BYTES);
        atomic_store(&pieces->slots[at].state, DONE);
    }
    _exit(0);
}

void floor_procbig(int argc, char **args)
{
    struct pieces *pieces = shared_memory(sizeof(*pieces));
    unsigned char *piece = malloc(PIECE_BYTES);
    double start;
    pid_t pid;

    (void)argc;
    (void)args;
    memset(piece, 1, PIECE_BYTES);
    memset(pieces->there, 2, sizeof(pieces->there)); /* the pages are there */
    memset(pieces->back, 2, sizeof(pieces->back));
    if ((pid = fork()) == 0)
        copy_pieces(pieces);
    bench_pin(0);
    start = bench_wall_now_ns();
    for (int i = 0; i < PIECES; i++) {
        int at = i % IN_FLIGHT;

        receive(&pieces->slots[at]);
        memcpy(pieces->there[at], piece, PIECE_BYTES);
        atomic_store(&pieces->slots[at].state, READY);
    }
    for (int at = 0; at < IN_FLIGHT; at++)
        receive(&pieces->slots[at]);
    printf("%.2f\n", (double)(PIECES * PIECE_BYTES) / (1 << 30) * 1e9 /
                         (bench_wall_now_ns() - start));
    end_child(pid);
    free(piece);
}

/* ---- procstart: this program anew or its fork, a byte from it, its end ---- */

static pid_t fork_one(const int *fds)
{
    pid_t pid = fork();

    if (pid < 0)
        bench_die("fork");
    if (pid == 0)
        _exit(write(fds[1], "", 1) != 1);
    return pid;
}

static pid_t spawn_one(const int *fds)
{
    char *args[] = {"/proc/self/exe", "procstart", "child", NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, fds[0]);
    if (posix_spawn(&pid, args[0], &actions, NULL, args, environ) != 0)
        bench_die("posix_spawn");
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

static void start_one(bool by_fork)
{
    int fds[2];
    pid_t pid;
    char byte;

    if (pipe(fds) < 0)
        bench_die("pipe");
    pid = by_fork ? fork_one(fds) : spawn_one(fds);
    if (read(fds[0], &byte, 1) != 1)
        bench_die("read");
    end_child(pid);
    close(fds[0]);
    close(fds[1]);
}

void floor_procstart(int argc, char **args)
{
    double start = bench_wall_now_ns();

    if (argc > 0 && !strcmp(args[0], "child"))
        exit(write(STDOUT_FILENO, "", 1) != 1);
    for (int i = 0; i < STARTS; i++)
        start_one(argc > 0 && !strcmp(args[0], "fork"));
    bench_report_wall(start, STARTS);
}
