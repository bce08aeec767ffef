/* SPDX-License-Identifier: MIT */
/*
 * A runtime: its workers, the slabs of task records, and what they share. Runtimes are
 * listed in a registry, so that ids, dumps and the deadlock census find them.
 */
#ifndef HKI_CORE_RUNTIME_H
#define HKI_CORE_RUNTIME_H

#include "core/log.h"
#include "core/worker.h"

#include <hocket/run.h>

enum {
    HKI_WORKERS_MAX = 256,
    HKI_TASK_SLAB = 1024,       /* records in a slab: 96 KiB, and a word for each */
    HKI_TASK_SLABS_MAX = 16384, /* 16 million tasks */
};

struct hki_runtime {
    struct hki_runtime *next;        /* in the registry */
    struct hki_runtime *pinned_next; /* of who looks at all of them: core/halt.h */
    uint32_t pins;                   /* atomic; futex: it is not freed while > 0 */
    uint64_t number;                 /* of all runtimes there were; 1 is the first */
    uint32_t serial;                 /* tells an ended runtime's task ids; never 0 */
    uint32_t first_generation; /* of its records: serials come again, ids do not */
    uint32_t return_lock;      /* guards the start of threads, but for the first ones */
    uint32_t worker_count;     /* atomic: grows in a runtime with a source */
    struct hki_worker *workers;
    struct hki_source *source; /* immutable; NULL: its workers know but tasks */
    hk_options options;        /* with the defaults filled in */
    bool background;           /* serves plain threads or a pool; has no first task */
    struct hki_runtime *serving_next; /* of those; guarded in serving.c */

    hk_scope root; /* of jobs that main starts without a scope: opened then */

    int result;         /* main's */
    uint32_t finished;  /* atomic: main has ended, or the background was told to stop */
    uint32_t abandoned; /* atomic: a background that ends with the process */
    uint32_t cancelled; /* atomic: every task that is found is, too */
    uint32_t idle;      /* atomic: workers asleep, a hint for whom to wake */

    int64_t virtual_now_ns; /* worker 0 only; valid with options.virtual_clock */

    uint32_t slabs_lock;           /* guards the growth of slabs, and the next */
    struct hki_task *free_records; /* given back by remote tasks */
    uint32_t slab_count;           /* atomic */
    struct hki_task *slabs[HKI_TASK_SLABS_MAX];
};

/* Workers that there are or were. */
static inline uint32_t hki_worker_count(const struct hki_runtime *runtime)
{
    return __atomic_load_n(&runtime->worker_count, __ATOMIC_ACQUIRE);
}

/* The caller's runtime: its worker's, else the background one if it runs, else NULL. */
struct hki_runtime *hki_runtime_current(void);

/* One that is registered and runs nothing yet, with room for `workers_max` workers, of
 * which options.workers are there. 0, -EINVAL or -ENOMEM. */
int hki_runtime_new(const hk_options *options, uint32_t workers_max,
                    struct hki_source *source, struct hki_runtime **out);
/* Once its threads have ended. */
void hki_runtime_free(struct hki_runtime *runtime);

/* Calls `visit` for each runtime with the registry locked. */
void hki_runtimes_visit(void (*visit)(struct hki_runtime *runtime, void *ctx),
                        void *ctx);

/* The worker was AWAY: gives it a thread again. Any thread. */
void hki_runtime_bring_back(struct hki_worker *worker);

/* The record in slot `slot`, or NULL. Any thread while the runtime is registered. */
struct hki_task *hki_runtime_task(struct hki_runtime *runtime, uint32_t slot);
/* The word beside that record, for hk_task_cancel: atomic. */
uint32_t *hki_runtime_wanted(struct hki_runtime *runtime, uint32_t slot);
/* A list of free records, all that were given back or a fresh slab; NULL: no memory. */
struct hki_task *hki_runtime_records(struct hki_runtime *runtime);
/* One of them, and giving one back. Any thread. */
struct hki_task *hki_runtime_take_record(struct hki_runtime *runtime);
void hki_runtime_return_record(struct hki_runtime *runtime, struct hki_task *task);

/* True while any runtime is registered. */
bool hki_runtime_any(void);

/* What comes before anything is started: panics in a child of fork; -EBADF in exit
 * handlers; and makes sure that ours run there. */
int hki_process_check(void);

/* Panics in a child of fork. */
void hki_fork_guard(void);

/* From now on pthread_exit on this thread panics, and goes on with `why`; NULL: no
 * longer. Returns what it was. */
const char *hki_thread_stays(const char *why);

/* The time as this worker's tasks see it. */
int64_t hki_worker_now(const struct hki_worker *worker);

#endif
