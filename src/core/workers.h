/* SPDX-License-Identifier: MIT */
/*
 * What executors may know of the core: where the caller stands, how a job that is no
 * task belongs to a scope, and how a task is spawned from elsewhere.
 */
#ifndef HKI_CORE_WORKERS_H
#define HKI_CORE_WORKERS_H

#include <hocket/scope.h>
#include <hocket/task.h>

struct hki_worker;
struct hki_runtime;

/*
 * A guest of a scope: something outside of the tasks (a job in a queue, in a worker
 * process) that belongs to it. The join waits for it, and a cancel reaches it.
 */
struct hki_guest {
    struct hki_guest *next, **link; /* guarded by the scope's lock */
    hk_scope *scope;                /* NULL: no guest */
    const char *name;               /* for dumps */
    /* The scope is cancelled now, shields considered; may come more than once. Called
     * with the scope's lock: must not wait, nor touch any scope or guest. */
    void (*cancel)(struct hki_guest *guest);
};

/*
 * Makes `guest`, whose name and cancel are filled in, one of `scope`, which the caller
 * is inside of or has another guest in. False: the scope is cancelled, and `guest` is
 * none.
 */
bool hki_guest_enter(struct hki_guest *guest, hk_scope *scope);
/* It has ended: its last access to the scope. Nothing for who is no guest. */
void hki_guest_leave(struct hki_guest *guest);
/* With the scope's lock. */
void hki_guests_cancel(hk_scope *scope);

/* Who runs this line, as hk_wait_kind.holders names it. */
hk_holder hki_holder_here(void);

/*
 * The scope that what the caller starts now belongs to: the innermost one around it. A
 * first task without a scope gets one here, which is joined when it returns. NULL: on a
 * plain thread without an open scope, in a task of the background that has none, and
 * in a callback of the loop.
 */
hk_scope *hki_scope_around(void);

/* The caller's worker; on a plain thread that of the background runtime, started at
 * need. 0, or why that could not be started. */
int hki_worker_here(struct hki_worker **out);
/* The background runtime's. */
int hki_background_worker(struct hki_worker **out);

/* Calls node->hki_run(node, worker) on the worker's loop, soon. Any thread. */
void hki_worker_post(struct hki_worker *worker, hk_inbox_node *node);

/* From here to there something outside of all tasks and threads (a worker process) may
 * wake somebody: no wait is a deadlock. They nest. Any thread. */
void hki_outside_begins(void);
void hki_outside_ends(void);

/*
 * As hk_spawn_named for a job: neither a failure here nor its result fails the scope,
 * and nobody looks whether
 * the caller is inside: a guest of the scope keeps it open meanwhile. Also on a
 * worker's loop; on that of the background `scope` may be NULL: a task of its own.
 */
int hki_spawn(hk_scope *scope, const char *name, hk_task_fn *fn, void *arg);

/*
 * A runtime of `workers` workers for jobs alone: no first task, no reports of tasks
 * that compute long. It ends with the process, or by hki_workers_stop. 0, or why it
 * could not be started.
 */
int hki_workers_start(uint32_t workers, struct hki_runtime **out);
/* Once none of its tasks is alive, or about to be. Blocks until its threads have ended;
 * not on one of them. */
void hki_workers_stop(struct hki_runtime *runtime);
/* As hk_task_cancel, of every task of it. Any task or thread. */
void hki_workers_cancel(struct hki_runtime *runtime);
/* True when the caller runs on one of its workers. */
bool hki_workers_are_here(const struct hki_runtime *runtime);

/* For a task that computes for long: its worker's loop takes a turn, with what has come
 * for other tasks of it, cancels and deadlines. On a plain thread nothing. */
void hki_workers_breathe(void);

/* As hki_spawn, into that runtime, for any worker of it to take; `scope` may be NULL.
 * Any task or thread. */
int hki_spawn_in(struct hki_runtime *runtime, hk_scope *scope, const char *name,
                 hk_task_fn *fn, void *arg);

#endif
