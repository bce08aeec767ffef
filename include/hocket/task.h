/* SPDX-License-Identifier: MIT */
/*
 * Tasks: functions that run concurrently inside a scope.
 *
 * A task is a stackful coroutine: any function that it calls may wait. Between two
 * waiting calls nothing else on its worker runs. It stays on the worker where it first
 * ran. It costs 96 bytes until it first runs, then one stack, of which only the
 * touched pages take memory.
 */
#ifndef HOCKET_TASK_H
#define HOCKET_TASK_H

#include <hocket/base.h>
#include <hocket/scope.h>

HK_BEGIN_DECLS

/* Names one task for ever: when it has ended, the id is stale, never another's. */
typedef struct hk_task_id {
    uint64_t value; /* 0: none */
} hk_task_id;

/*
 * Starts `fn(arg)` as a child of `scope`; it runs after the caller waits or yields.
 * A spawned task always runs, also when cancelled before its start (its first waiting
 * call then returns -ECANCELED), so that it can release `arg`, which is borrowed.
 *
 * Blocks:  never.
 * Returns: 0, or -ENOMEM. A failed spawn also fails the scope with that error, so the
 *          result may be ignored.
 * Threads: only code inside the scope, its body or any descendant, else panic. From a
 *          plain thread's scope the task runs on the background runtime.
 */
HK_API int hk_spawn(hk_scope *scope, hk_task_fn *fn, void *arg);

/*
 * The same with a name for dumps (borrowed until the task ends; may be NULL). `out_id`
 * may be NULL.
 */
HK_API int hk_spawn_named(hk_scope *scope, const char *name, hk_task_fn *fn, void *arg,
                          hk_task_id *out_id);

/*
 * Lets every other ready task of this worker run first.
 * Returns: 0 or -ECANCELED. On a plain thread it yields the processor.
 */
HK_API int hk_yield(void);

/*
 * Waits for `duration_ns` (<= 0: only a yield), never less.
 * Cancel:  -ECANCELED, before the time is over.
 */
HK_API int hk_sleep(int64_t duration_ns);
/* The same until hk_now() >= time_ns. */
HK_API int hk_sleep_until(int64_t time_ns);

/* The calling task's id; value 0 on a plain thread. */
HK_API hk_task_id hk_task_self(void);

/*
 * Cancels one task: as if a scope around its whole body were cancelled. A task that
 * has ended is left alone. Never blocks.
 * Returns: 0; -ESRCH (ended, or its runtime is gone).
 * Threads: any task or thread, at any time.
 */
HK_API int hk_task_cancel(hk_task_id id);

/* The caller's name: of the task (else that of its function, where it has a symbol), or
 * of the plain thread. Never NULL. */
HK_API const char *hk_task_name(void);
/* Renames the calling task. Borrowed until the task ends. */
HK_API void hk_task_rename(const char *name);

/*
 * A task-local value: one static hk_local names it everywhere. On a plain thread it is
 * thread-local. `destroy` (may be NULL) is called with a value that is not NULL when
 * its task ends, on that task; a thread's values are destroyed when the thread ends.
 *
 *     static hk_local request_id = HK_LOCAL_INIT(free);
 */
typedef struct hk_local {
    void (*destroy)(void *value);
    uint32_t hki_key; /* assigned at first use; atomic */
} hk_local;

#define HK_LOCAL_INIT(destroy_fn)                                                      \
    {                                                                                  \
        (destroy_fn), 0                                                                \
    }

/* The caller's value, NULL when never set. Never blocks. */
HK_API void *hk_local_get(hk_local *local);
/* Sets it (the old one is not destroyed). Returns 0 or -ENOMEM. */
HK_API int hk_local_set(hk_local *local, void *value);

HK_END_DECLS

#endif
