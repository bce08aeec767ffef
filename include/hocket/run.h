/* SPDX-License-Identifier: MIT */
/*
 * Starting a runtime.
 *
 *     static int app(void *arg) { ...; return 0; }
 *     int main(void) { return hk_run(app, NULL, NULL) < 0; }
 *
 * A runtime is one or more workers. A worker is one thread with one event loop; the
 * calling thread becomes worker 0 and runs `main` as the first task.
 *
 * Deadlocks. When every task and thread of the process waits in hocket, and nothing
 * from outside can end a wait, the log tells who waits for what, and the youngest wait
 * that can be undone returns -EDEADLK; if none can, the process ends with a sentence. A
 * thread that is blocked elsewhere (pthread_join, read(2), a library) might still wake
 * somebody: then it is only told, once, at level info. <hocket/check.h> finds deadlocks
 * of some at once, whatever the others do.
 */
#ifndef HOCKET_RUN_H
#define HOCKET_RUN_H

#include <hocket/base.h>

HK_BEGIN_DECLS

typedef enum hk_poller_choice {
    HK_POLLER_AUTO,  /* io_uring where the kernel allows it, else epoll */
    HK_POLLER_URING, /* io_uring, or hk_run fails with -ENOSYS */
    HK_POLLER_EPOLL,
} hk_poller_choice;

/* Valid when zeroed: every zero means the default. */
typedef struct hk_options {
    /* Worker threads; default 1. At most 256. */
    uint32_t workers;
    /* Default AUTO. The environment's HOCKET_POLLER=uring|epoll overrides AUTO. */
    hk_poller_choice poller;
    /* Address space of one task's stack, bytes: a power of two, 128 KiB to 64 MiB;
     * default 256 KiB. Only touched pages cost memory. */
    size_t stack_size_bytes;
    /* Most stacks of a worker in use at once; a task beyond that starts when one is
     * free. Where all are held by parents that wait in joins, these run such children
     * on their own stacks; where no parent has room left there, a child fails with
     * -ENOMEM instead of being started (in sanitizer builds none has).
     * Default: unlimited where guards are cheap (Linux 6.13), 30,000 elsewhere. */
    uint32_t stacks_max;
    /* Run a virtual clock, see <hocket/testing.h>. With one worker only. */
    bool virtual_clock;
    /* Check the ledger at the end: a leaked descriptor, operation or task panics. */
    bool check_ledger;
    /* A task that runs longer than this without waiting is reported with its
     * backtrace through the log. Default 100 ms; negative: never. */
    int64_t stall_ns;
    /* Seed of every random choice (select). Default: from the system. */
    uint64_t seed;
    uint64_t reserved[8];
} hk_options;

/*
 * Runs `main(arg)` as the first task of a new runtime and returns when it and every
 * task have ended: main's result. The calling thread becomes worker 0.
 *
 * Blocks:  until main and every task have ended.
 * Returns: main's result; or before main ran -EINVAL (an option is out of range),
 *          -ENOSYS (io_uring was demanded and is not allowed), -ENOMEM, -EMFILE,
 *          -EAGAIN (no thread could be started), -EBADF (exit handlers are running).
 * Threads: a plain thread. On a thread that already runs a runtime it panics. Several
 *          threads may each run one; objects may be shared among them.
 * Process: SIGPIPE is ignored meanwhile if its disposition was the default, and is
 *          restored at the end. SIGQUIT dumps the tasks if its disposition was the
 *          default. `options` may be NULL.
 */
HK_API int hk_run(hk_task_fn *main, void *arg, const hk_options *options);

/* A snapshot of a runtime's counters; every number since its start unless said. */
typedef struct hk_stats {
    uint32_t workers;
    const char *poller;   /* "io_uring" or "epoll" */
    uint64_t tasks_alive; /* now, the first task included */
    uint64_t tasks_spawned;
    uint64_t switches;      /* times a task was given the processor */
    uint64_t stacks_in_use; /* now */
    uint64_t stacks_mapped; /* now, free ones included */
    uint64_t timers_fired;
    uint64_t ops_started;       /* I/O operations given to the poller */
    uint64_t ops_in_flight;     /* now */
    uint64_t polls;             /* times the kernel was asked for completions */
    uint64_t stalls;            /* reports of a task that held its worker */
    uint64_t errors_unreported; /* child errors after a scope's first */
    /* Of the whole process, now: threads that hk_spawn_thread started, daemons
     * included; calls of hk_to_thread that have not returned; those that were
     * abandoned. */
    uint64_t threads_alive;
    uint64_t calls_alive;
    uint64_t calls_abandoned;
    uint64_t reserved[5];
} hk_stats;

/*
 * Fills `*out` for the caller's runtime; on a plain thread for the background
 * runtime, zero when that never started. Numbers of other workers may lag by one
 * turn of their loop. Never blocks. Any task or thread.
 */
HK_API void hk_stats_read(hk_stats *out);

/* How many workers the caller's runtime has (0 on a plain thread), and which it is
 * on. */
HK_API uint32_t hk_worker_count(void);
HK_API uint32_t hk_worker_index(void);

HK_END_DECLS

#endif
