/* SPDX-License-Identifier: MIT */
/*
 * Process pools: executors whose jobs run in worker processes, so that a crash costs
 * one job and not the program.
 *
 *     hk_future *f = do_math_on(hk_processes(), 0, 100);
 *
 * A worker is this program, executed anew, with all its constructors, but not its main
 * (or forked: hk_process_start): what comes before and after the submit in main needs
 * no guard. Workers share nothing
 * with the program but what is passed: static variables are each worker's own. They
 * have the program's standard output and error, an empty standard input, and no other
 * descriptor. A worker never has two jobs at a time, and never outlives the program,
 * however that ends.
 *
 * When a worker dies (by a signal, by exit, because it was stopped), the job that it
 * had fails with -EOWNERDEAD, and hk_future_error says how it died; or it is started
 * anew in another worker, when it may be (attempts_max). All other jobs are not
 * concerned, and the worker is replaced.
 *
 * A job that is cancelled while it runs loses its worker: the process is killed
 * (cancel_grace_ns: unless it returns soon). So a scope's deadline ends also what never
 * looks at anything.
 *
 * Large arguments are copied once, into memory that all workers see (twice when the
 * job may be started anew). A large result is copied once, by the worker:
 * hk_result_set puts it where the future's bytes are then read (an hk_str twice). What
 * should not be copied in either direction lies in <hocket/shared.h>.
 *
 * A job may submit jobs: to hk_processes(), which in a worker is the pool that it
 * belongs to, and to hk_threads() and hk_tasks() of its own process. While jobs of the
 * first kind are on their way the worker counts as waiting and gets no other job, and
 * the pool starts one more, up to workers_max; when none is left that could run them,
 * the submit fails with -EDEADLK at once. They go ahead of what waits in the queue, and
 * are cancelled when the worker that asked for them dies. Functions of libraries that a
 * worker has loaded by itself are -ENOENT there. Pools cannot be made in a worker.
 */
#ifndef HOCKET_PROCESSES_H
#define HOCKET_PROCESSES_H

#include <hocket/executor.h>

HK_BEGIN_DECLS

/*
 * How the workers of a pool are started.
 *
 *     int main(void)
 *     {
 *         const hk_process_options options = {.start = HK_START_FORK};
 *         hk_executor *pool;
 *
 *         load_table();
 *         rc = hk_process_pool_new(&options, &pool); // before anything starts a thread
 *
 * Forked workers have all memory of the program as it was when the pool was made, and
 * share it until either side writes: tables and models need no other way to them. They
 * come from a template, a process that is forked from the program by
 * hk_process_pool_new. That must be while the program has one thread, outside of
 * hk_run; each pool has its template. When it is killed, its workers die, and jobs fail
 * with -EOWNERDEAD. hk_worker_main is of no use to such pools.
 *
 * Besides memory they have what other workers have: no descriptor of the program, so a
 * FILE that it has open is of no use there; signals that it catches have their default
 * action; its output is written, and its exit handlers run, by the program alone. Locks
 * that it holds stay locked. What it has seeded is seeded alike in all workers: `init`
 * can seed it anew. pthread_atfork handlers run once for the template and for each
 * worker. memory_max_bytes and recycle_above_bytes count what is shared as well.
 */
typedef enum hk_process_start {
    HK_START_SPAWN, /* the program is executed anew. Not one that has more rights than
                     * who has started it (setuid): then jobs fail with -EPERM */
    HK_START_FORK,  /* from the program as it was when the pool was made */
} hk_process_start;

/* Valid when zeroed: every zero means the default. */
typedef struct hk_process_options {
    const char *name; /* for dumps and the log; lives as long as the pool */
    /* Most workers; default: the processors that this process may use. At most 1,024.
     * Each is started when there is work for it. */
    uint32_t workers_max;
    /* Jobs that wait for a worker; default 65,536. More make a submit wait. */
    uint32_t queue_max;
    /* Jobs after which a worker is replaced; 0: never. For code that leaks. */
    uint64_t jobs_per_worker;
    /* A worker whose resident memory is larger after a job is replaced; 0: never. */
    uint64_t recycle_above_bytes;
    /* Called first in each worker with a copy of these bytes, for state of its own.
     * When it fails, or the worker dies in it, that is a failed start. A function of
     * the program, as with hk_submit. Jobs that it submits to the pool are refused with
     * -EDEADLK. */
    hk_job_fn *init;
    hk_bytes init_input; /* at most 208 bytes; copied */
    /* How long a worker that has nothing to do stays awake, nanoseconds; default: not
     * at all. It costs a processor and saves the time of a wake-up. */
    int64_t spin_ns;
    /* Limits of each worker; 0: as they are. What exceeds them fails in the worker, as
     * setrlimit(2) says. */
    uint64_t memory_max_bytes; /* heap, stacks and private maps together */
    uint64_t file_max_bytes;
    uint64_t cpu_max_seconds;
    uint64_t fds_max;
    uint64_t processes_max; /* of the user on this machine, not of the worker */
    bool core_dumps;        /* a crash may leave a core file; default: none */
    /* Workers that can compute and read files, and no more: they gain no privileges,
     * execute nothing, have no sockets and no io_uring, signal, limit and trace nobody
     * else, and write, make, remove and change no file by its path (no_new_privs,
     * seccomp, Landlock). What they can still do: use up processor time and, without
     * memory_max_bytes, memory; write to the program's standard output and error, and
     * into all shared memory; read every file that the program could. Where the kernel
     * cannot do that, no worker starts: jobs fail with -ENOSYS. */
    bool sandbox;
    /* Each worker is bound to one of the processors, in turn. */
    bool bind_processors;
    hk_process_start start; /* default: HK_START_SPAWN */
    /* A running job that is cancelled is asked first: it runs in a scope, which is
     * cancelled, so that its waiting calls and hk_cancelled return -ECANCELED. When it
     * has not returned after this time, nanoseconds, its worker is killed. Default:
     * killed at once. HK_KILL never asks. */
    int64_t cancel_grace_ns;
    uint64_t reserved[7];
} hk_process_options;

/* The pool that is always there, with default options. Its first job starts it. */
HK_API hk_executor *hk_processes(void);

/*
 * A pool of one's own; it is ended by hk_executor_free, which leaves no process.
 * `options` may be NULL; all it has is copied but the name.
 *
 * Blocks:  never; workers start with the first jobs. With HK_START_FORK it forks, 25 ms
 *          for each GiB of memory, and writes out what streams have buffered.
 * Returns: 0; -EINVAL (an option is out of range), -ENOENT (`init` is in no file that a
 *          worker could load), -ENOSYS (workers of this program would run its main: see
 *          hk_worker_main), -EDEADLK (this is a worker; with HK_START_FORK also: there
 *          is another thread, or the caller is inside of hk_run, as the log says:
 *          threads may hold locks, which in a fork nobody would give back), -ENOMEM,
 *          -EMFILE, -EAGAIN.
 */
HK_API int hk_process_pool_new(const hk_process_options *options, hk_executor **out);

/* True in a worker process. */
HK_API bool hk_is_worker(void);

/*
 * In a worker process: takes over and never returns. Elsewhere does nothing. Programs
 * that are linked with libc.so need not call it, it happens in place of main; wholly
 * static programs call it first in main.
 */
HK_API void hk_worker_main(void);

/*
 * The process id of the worker that runs the job of `future`, for tests and for those
 * who look from outside; 0: it does not run. It may be gone when this returns.
 */
HK_API pid_t hk_future_worker(const hk_future *future);

/* Of a process pool, besides hk_executor_stats. A snapshot; since its start unless
 * said. */
typedef struct hk_process_stats {
    uint32_t workers;       /* that take jobs, now */
    uint32_t workers_max;   /* */
    uint64_t started;       /* workers, that came to take jobs */
    uint64_t starts_failed; /* */
    uint64_t lost;          /* workers that died with a job */
    uint64_t recycled;      /* workers that were replaced by jobs_per_worker ... */
    uint64_t stopped;       /* workers that were stopped (SIGSTOP), and killed for it */
    uint64_t retried;       /* jobs started anew */
    /* No worker can be started any more: what was tried last fails with this error (in
     * words: step), and so do jobs, until a later try succeeds. 0: all is well. */
    int degraded;
    char step[32];
    uint64_t reserved[8];
} hk_process_stats;

/* Panics when `pool` is another kind of executor. */
HK_API void hk_process_stats_read(hk_executor *pool, hk_process_stats *out);

HK_END_DECLS

#endif
