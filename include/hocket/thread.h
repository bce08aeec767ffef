/* SPDX-License-Identifier: MIT */
/*
 * Threads with structure: a plain thread that belongs to a scope as a task does, and
 * blocking calls that a task sends away to one.
 *
 *     hk_scope_open(&s);
 *     hk_spawn_thread(&s, compress, &block);      a thread of its own, not a task
 *     hk_spawn(&s, serve, &server);
 *     rc = hk_scope_join(&s);                     waits for both
 *
 *     rc = hk_to_thread(resolve, "example.org");  this task waits, its worker goes on
 *
 * Code on a thread that hocket started is inside its scope: it may spawn into it, a
 * cancel or deadline of the scope, or of anything around it, reaches its next waiting
 * call and ends the one that it waits in, and its first error cancels its siblings. A
 * thread that hocket did not start belongs to nobody and nothing cancels it but scopes
 * of its own; the tasks of an hk_run on a thread are a world of their own likewise. A
 * virtual clock does not know of threads.
 */
#ifndef HOCKET_THREAD_H
#define HOCKET_THREAD_H

#include <hocket/base.h>
#include <hocket/scope.h>

HK_BEGIN_DECLS

struct hki_thread;

/* Names one thread for ever: when it has ended, the name is stale, never another's.
 * 16 bytes, to be copied; zeroed: none. */
typedef struct hk_thread {
    struct hki_thread *hki_record;
    uint64_t hki_generation;
} hk_thread;

/* Valid when zeroed: every zero means the default. */
typedef struct hk_thread_options {
    /* For dumps and debuggers; copied, of which 15 bytes are kept. NULL: "unnamed". */
    const char *name;
    /* Bytes; default: the system's, as a rule 8 MiB of which only touched pages cost
     * memory. */
    size_t stack_size_bytes;
    /* The processors that it may run on, by number; borrowed for the call. Default: as
     * its starter. */
    const uint32_t *cpus;
    uint32_t cpu_count;
    /* It belongs to the process and not to a scope: nobody waits for its end, exit()
     * ends it wherever it is, nothing cancels it but hk_thread_cancel. */
    bool daemon;
    uint64_t reserved[4];
} hk_thread_options;

/*
 * Starts a thread that runs `fn(arg)` as a child of `scope`; its result counts as a
 * task's does. The join returns when the thread is through with all that the program
 * runs on it, destructors of its thread-local values included.
 *
 * Blocks:  never.
 * Returns: 0; -EAGAIN or -ENOMEM (no thread could be started); -EBADF (exit handlers
 *          are running). A failure also fails the scope with that error, so the result
 *          may be ignored.
 * Threads: only code inside the scope, else panic.
 * Misuse:  returning from `fn` with a scope open panics, and so does pthread_exit.
 */
HK_API int hk_spawn_thread(hk_scope *scope, hk_task_fn *fn, void *arg);

/*
 * The same with options (may be NULL); also -EINVAL (a stack that is too small, a
 * processor that is not there). A daemon takes no scope: `scope` must be NULL, and must
 * not be NULL for any other. `*out` (may be NULL) names the thread; it is set when this
 * returns 0, by when the thread may have begun, and even ended.
 */
HK_API int hk_spawn_thread_with(hk_scope *scope, const hk_thread_options *options,
                                hk_task_fn *fn, void *arg, hk_thread *out);

/*
 * Waits until the thread has ended; what it did is seen afterwards. To wait for some
 * time only, open a scope with a deadline around it. Its result is its scope's
 * business; it may have been joined by others, or long ago.
 *
 * Blocks:  until then. A task parks, a plain thread blocks.
 * Cancel:  atomic; the thread goes on.
 * Returns: 0; -ECANCELED; -EDEADLK (the caller is that thread, or nothing could ever
 *          end the wait); -ESRCH (`thread` is zeroed).
 * Threads: any task or thread, at any time.
 */
HK_API HK_WARN_UNUSED int hk_thread_join(hk_thread thread);

/* False when it has ended, or is zeroed. Never blocks. Any task or thread. */
HK_API bool hk_thread_is_alive(hk_thread thread);

/*
 * Cancels one thread: as if a scope around its whole body were cancelled. One that has
 * ended is left alone. Never blocks.
 * Returns: 0; -ESRCH (ended, or zeroed).
 * Threads: any task or thread, at any time.
 */
HK_API int hk_thread_cancel(hk_thread thread);

/* ---- blocking calls ---- */

/*
 * Runs `fn(arg)` on a thread of a pool and waits for its result, while the caller's
 * worker goes on with other tasks: for calls that block and know nothing of hocket.
 * `fn` is inside no scope: nothing cancels the hocket calls that it makes.
 *
 * Blocks:  until the call has returned. Also on a plain thread.
 * Cancel:  abandoned. -ECANCELED comes at once; a call that has not begun never will,
 *          one that runs goes on unseen, so `arg` must outlive it (or see below). It
 *          shows in dumps, hk_stats and the ledger until it returns. Neither hk_run nor
 *          the process waits for it.
 * Returns: what `fn` returned; -ECANCELED; -EAGAIN or -ENOMEM (no thread could be
 *          started, or no memory: the call was not made).
 * Threads: any task or thread.
 * Misuse:  returning from `fn` with a scope open panics, and so does pthread_exit.
 */
HK_API HK_WARN_UNUSED int hk_to_thread(hk_task_fn *fn, void *arg);

/*
 * The same for an argument that the caller owns and an abandoned call inherits: runs
 * fn(*arg). When it is abandoned while it runs, `*arg` becomes NULL, and destroy(arg)
 * is called on the pool's thread after `fn` has returned (unless the process ends
 * before). In every other case `*arg` stays as it is and the caller's.
 *
 *     struct lookup *l = lookup_new("example.org");
 *     int rc = hk_to_thread_owned(resolve, (void **)&l, lookup_free);
 *     if (rc >= 0)
 *         use(l->address);
 *     lookup_free(l);                             (which does nothing with NULL)
 */
HK_API HK_WARN_UNUSED int hk_to_thread_owned(hk_task_fn *fn, void **arg,
                                             void (*destroy)(void *arg));

/*
 * Sets how many calls may run at once, in the whole process; more wait in order of
 * arrival. 0 only asks. Default: processors + 4, at most 32. Abandoned calls count; a
 * call that makes another and waits for it needs room for both.
 * Returns what it was. Never blocks. Any task or thread.
 */
HK_API uint32_t hk_to_thread_limit(uint32_t calls_max);

/* ---- into a worker's loop ---- */

/* Names one worker of one runtime for ever. Zeroed: none. */
typedef struct hk_worker {
    uint64_t value;
} hk_worker;

/* The caller's worker; on a plain thread none. */
HK_API hk_worker hk_worker_self(void);
/* The worker with that index of the caller's runtime; none if there is no such. */
HK_API hk_worker hk_worker_at(uint32_t index);

/*
 * Runs `fn(arg)` on that worker's loop soon, between two tasks, never inside this call;
 * calls by one caller in their order. `fn` must not wait, which panics: it sets an
 * event, sends by a try_ call, cancels a scope. `arg` is borrowed until it ran.
 *
 * Blocks:  never.
 * Returns: 0: it will run; -EBADF: the worker's runtime has ended, or there is none;
 *          -ENOMEM.
 * Threads: any task or thread, at any time.
 */
HK_API int hk_call_soon(hk_worker worker, void (*fn)(void *arg), void *arg);

HK_END_DECLS

#endif
