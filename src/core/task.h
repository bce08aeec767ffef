/* SPDX-License-Identifier: MIT */
/*
 * What a task is. Its record is 96 bytes and all it has until it first runs; then the
 * rest of its state lies in the head of its stack (struct hki_stack_top), on the page
 * that is touched anyway. So a parked task costs one page and 96 bytes.
 *
 * Records come from the runtime's slabs, which are never unmapped while it lives: a
 * stale pointer reads a generation, never a fault.
 *
 * The life of a task, in self.flags:
 *
 *     0        spawned: in a run queue, or in a shared queue of a parallel scope
 *     STARTED  has a stack; runs, is ready, or is parked (self.waiter)
 *     ZOMBIE   has ended, but a cancel message to it is still on its way
 */
#ifndef HKI_CORE_TASK_H
#define HKI_CORE_TASK_H

#include "core/self_inline.h"
#include "sys/stack.h"

#include <hocket/task.h>

enum hki_task_flags {
    HKI_TASK_STARTED = 1 << 0,
    HKI_TASK_REMOTE = 1 << 1,    /* counted in its scope's remote part */
    HKI_TASK_CANCELLED = 1 << 2, /* by hk_task_cancel */
    HKI_TASK_ZOMBIE = 1 << 3,
    HKI_TASK_LIVE = 1 << 4,  /* the record is in use: for walkers of the slabs */
    HKI_TASK_LENDS = 1 << 5, /* waits in a join while a child runs on its stack */
    HKI_TASK_JOB = 1 << 6,   /* its result is nothing to its scope */
    /* Made of found work: no child of its scope, but in its worker's list. */
    HKI_TASK_FOUND = 1 << 8,
    HKI_TASK_COUNTED = 1 << 9, /* such a one whose end is told */
};

struct hki_task {
    struct hki_self self;
    struct hki_task *next; /* in a run queue, or in a free list */
    union {
        hk_task_fn *fn;              /* until started */
        struct hki_stack_top *stack; /* then */
    };
    union {
        void *arg; /* until started */
        void *sp;  /* then, while it does not run */
    };
    const char *name;
    uint32_t slot;       /* index of this record in the runtime's slabs */
    uint32_t generation; /* counts the record's users */
};

_Static_assert(sizeof(struct hki_task) == 96, "a task that never ran costs 96 bytes");

/* The part of a started task that lies at the top of its stack. */
struct hki_stack_top {
    struct hki_reads reads; /* the locks that it holds for reading; comes first */
    struct hki_task *task;
    hk_task_fn *fn;
    void *arg;
    void *exceptions[2];       /* C++'s globals while it is off the processor */
    struct hki_locals *locals; /* task-local values */
    struct hki_holds *holds;   /* what it holds, for the checks; NULL: not yet known */
    const char *low;           /* of the stack, above its guard */
    hk_inbox_node cancel_node; /* brings a cancel from another worker */
    uint32_t cancel_posted;    /* guarded by the parent scope's lock */
    uint32_t unused;
};

_Static_assert(sizeof(struct hki_stack_top) <= HKI_STACK_HEAD_WORDS * 8,
               "the stack's head has room for it");

static inline struct hki_stack *hki_stack_of(struct hki_stack_top *top)
{
    return (struct hki_stack *)(void *)top;
}

static inline struct hki_task *hki_task_of(struct hki_self *self)
{
    return (struct hki_task *)(void *)self;
}

static inline bool hki_task_is_started(const struct hki_task *task)
{
    return __atomic_load_n(&task->self.flags, __ATOMIC_RELAXED) & HKI_TASK_STARTED;
}

struct hki_worker;
struct hki_runtime;

/* Gives its record back. What makes one is in core/record.h. */
void hki_task_free(struct hki_worker *worker, struct hki_task *task);

/* Begins `task` on `worker`: it gets a stack. 0, -ENOMEM, or -EAGAIN (stacks_max). */
int hki_task_start(struct hki_worker *worker, struct hki_task *task);

hk_task_id hki_task_id_of(const struct hki_runtime *runtime,
                          const struct hki_task *task);

/*
 * Runs the children of `scope` that are next in the ready queue and have not started,
 * right here, on the stack of the task that joins the scope: it has to wait for them
 * anyway, so its stack is free for them. Saves a stack and two switches for each.
 */
void hki_task_run_children(hk_scope *scope, struct hki_task *joiner);

/*
 * True when `joiner`, parked in the join of a scope of its own, has room on its stack:
 * once it is woken with a child of that scope next in the ready queue, it runs it.
 */
bool hki_task_can_lend(const struct hki_task *joiner);

/* A task, with a stack, of the next piece of work; NULL: there is none, or no room for
 * it. On a worker of a runtime with a source. */
struct hki_task *hki_task_find(struct hki_worker *worker);

/* hk_task_cancel, on the task's worker. */
void hki_task_cancel_here(struct hki_task *task);

/* Its name, else that of its function. The second is for signal handlers. */
const char *hki_task_display_name(const struct hki_task *task);
const char *hki_task_name_in_handler(const struct hki_task *task);

/* Task-local values (core/local.c). */
void hki_locals_destroy(struct hki_locals **locals);

#endif
