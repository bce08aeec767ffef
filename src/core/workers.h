/* SPDX-License-Identifier: MIT */
/*
 * What executors may know of the core: where the caller stands, how a job that is no
 * task belongs to a scope, and how a task is spawned from elsewhere.
 */
#ifndef HKI_CORE_WORKERS_H
#define HKI_CORE_WORKERS_H

#include <hocket/scope.h>
#include <hocket/task.h>

struct hki_self;
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
/* Into the list of guest->scope, without counting it. With the scope's lock. */
void hki_guest_link(struct hki_guest *guest);

/*
 * The jobs of a scope in a runtime for jobs (core/crew.c). The scope's join outlasts
 * them, and its cancel makes the workers look which of their tasks it means. By who is
 * inside of the scope or has a guest in it: 0 or -ENOMEM. The first does not count.
 */
int hki_crew_attach(hk_scope *scope, struct hki_runtime *runtime);
int hki_crew_enter(hk_scope *scope, struct hki_runtime *runtime);
/* So many have ended: their last access to the scope. */
void hki_crew_leave(hk_scope *scope, struct hki_runtime *runtime, uint64_t jobs);

/* Who runs this line, as hk_wait_kind.holders names it. */
hk_holder hki_holder_here(void);

/* What the caller is, for who asks which job that makes it. */
enum hki_caller {
    HKI_CALLER_THREAD, /* what its thread does: a plain one, or the first task of an
                        * hk_run there, which is a call like others */
    HKI_CALLER_JOB,    /* a task for a job (hki_spawn, counted work) in its function */
    HKI_CALLER_OTHER,  /* another task, a callback; or such a one after its function */
};

/* *out_arg, of HKI_CALLER_JOB only: what the task was given. */
enum hki_caller hki_caller(void **out_arg);

/*
 * The scope that what the caller starts now belongs to: the innermost one around it. A
 * first task without a scope gets one here, which is joined when it returns. NULL: on a
 * plain thread without an open scope, in a task of the background that has none, and
 * in a callback of the loop.
 */
hk_scope *hki_scope_around(void);
/* The same, unless the caller is cancelled: 0 or -ECANCELED. */
int hki_scope_for_job(hk_scope **out);

/* True: the caller, or a task that it is inside of, runs `fn` with an argument that
 * `is_it` accepts. */
bool hki_is_inside(hk_task_fn *fn, bool (*is_it)(const void *arg, const void *ctx),
                   const void *ctx);

/* The caller's worker, while its hk_run lasts; on a plain thread, and in a pool, which
 * may be freed at any time, that of the background runtime, started at need. 0, or why
 * that could not be started. */
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
 * Where the workers of a runtime for jobs find work that is no task yet: whenever none
 * of their own tasks is ready. A piece of work becomes a task of who found it, which
 * takes no lock, and as a rule no switch: it starts on the stack of the task before.
 * All but has_work and is_over are called on a worker of the runtime, between its
 * tasks.
 */
struct hki_found {
    hk_task_fn *fn;
    void *arg;
    const char *name; /* for dumps; may be NULL */
    hk_scope *scope;  /* the task is inside of it; may be NULL */
    bool is_counted;  /* its end shall be told */
};

struct hki_source {
    /* The next piece, if there is one. */
    bool (*find)(struct hki_source *source, struct hki_found *out);
    /* A task of counted work has ended; the next call is `ended`, `find` or
     * `turns_away`. */
    void (*ended)(struct hki_source *source, hk_scope *scope);
    /* The worker goes on with something else. */
    void (*turns_away)(struct hki_source *source);
    /* True: the worker may look around a while for work before it sleeps. */
    bool (*searches)(struct hki_source *source);
    bool (*has_work)(const struct hki_source *source);
    /* The worker is about to sleep, and says so to who may wake it. False: rather not,
     * there is work. In any case `wakes` follows. */
    bool (*sleeps)(struct hki_source *source);
    void (*wakes)(struct hki_source *source);
    /* How long a sleep for nothing in particular may be; then `may_leave` is asked
     * whether the thread may end. It is as if the worker slept on: who wakes it starts
     * a thread anew, where `returns` is called, and then `wakes`. */
    int64_t (*sleeps_at_most)(struct hki_source *source);
    bool (*may_leave)(struct hki_source *source);
    void (*returns)(struct hki_source *source);
    /* The process exits: nothing is found from now on. On the thread that exits. */
    void (*is_over)(struct hki_source *source);
};

/*
 * A plain thread that computes in place of a worker gives the place back while it
 * waits: `is_left` is called on it when it begins to (true), and when it goes on.
 */
struct hki_place {
    void (*is_left)(struct hki_place *place, bool now);
};

/* The calling plain thread has `place` from now on; NULL: no more. */
void hki_thread_has_place(struct hki_place *place);

/*
 * A runtime for jobs alone: no first task, no reports of tasks that compute long. It
 * has room for `workers_max` workers, of which one runs at first. It ends with the
 * process, or by hki_workers_stop. 0, or why it could not be started.
 */
int hki_workers_start(uint32_t workers_max, struct hki_source *source,
                      struct hki_runtime **out);
/* Starts the worker `index`, which is that of no other; one after the other, upwards.
 * 0, or -EAGAIN: no thread. Any thread, one call at a time. */
int hki_workers_launch(struct hki_runtime *runtime, uint32_t index);
/* Wakes that worker if it sleeps. Any thread. */
void hki_workers_notify(struct hki_runtime *runtime, uint32_t index);
/* The index of the caller's worker, which is one of the runtime. */
uint32_t hki_workers_index(void);
/* Each worker looks soon which of the tasks that it found are cancelled by their scope.
 * Any thread, also with a scope's lock. */
void hki_workers_recheck(struct hki_runtime *runtime);
/* Once none of its tasks is alive, or about to be. Blocks until its threads have ended;
 * not on one of them. False: the process exits, and threads may still be there. */
bool hki_workers_stop(struct hki_runtime *runtime);
/* True in a child of fork, which has none of the threads. */
bool hki_process_is_forked(void);
/* As hk_task_cancel of every task that was or will be found. Any task or thread. */
void hki_workers_cancel(struct hki_runtime *runtime);
/* True: that was called. */
bool hki_workers_are_cancelled(const struct hki_runtime *runtime);

/* Dumps tell from now on how many jobs there are of no scope: `*count`, atomic, which
 * stays. Once in a process. */
void hki_dump_shows_jobs(const uint64_t *count);

/*
 * For tasks that compute for long, and have pushed work that they will take back: their
 * worker looks for none meanwhile, or it would find just that. The first lets other
 * tasks of the worker go on if there are any, and messages come (cancels); the second
 * lets the loop have a turn in any case (deadlines). `self` is the caller; a plain
 * thread has none of this.
 */
void hki_workers_share(struct hki_self *self);
void hki_workers_breathe(struct hki_self *self);

/* hk_task_cancel with memory of the caller, for who must not fail. */
struct hki_task_cancel {
    hk_inbox_node node;
    hk_task_id id;
    struct hki_task *task;
    /* It is not needed any more. Set by the caller; called once, by him or later. */
    void (*dealt_with)(struct hki_task_cancel *request);
};

void hki_task_cancel_by(hk_task_id id, struct hki_task_cancel *request);

/* In a child of fork that goes on as a process of its own, from a parent with one
 * thread and no runtime: the caller is a new thread, and knows no other. */
void hki_threads_forget(void);

#endif
