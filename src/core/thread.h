/* SPDX-License-Identifier: MIT */
/*
 * Plain threads that use hocket. One that the program made becomes known at its first
 * call; one that hocket starts (core/spawn_thread.c) has its record from before. The
 * record is pooled when the thread exits but never freed: a waker that comes a moment
 * late touches a record, never a hole.
 */
#ifndef HKI_CORE_THREAD_H
#define HKI_CORE_THREAD_H

#include "core/self_inline.h"

/* What a thread that hocket started runs, and who waits for its end. */
struct hki_spawned {
    hk_task_fn *fn; /* NULL: the program made this thread */
    void *arg;
    int result;
    bool has_returned; /* from fn; what is left are the destructors of its values */
    uint8_t rounds;    /* of these that have begun */
};

struct hki_thread {
    struct hki_self self;    /* attention is written by anyone with scopes_lock */
    struct hki_reads reads;  /* the locks that it holds for reading; follows self */
    struct hki_thread *next; /* in the registry; immutable */
    uint32_t in_use;         /* atomic */
    uint32_t sequence;       /* atomic: grows at every kick; the futex it sleeps on */
    uint32_t asleep;         /* atomic: in the futex */
    uint32_t polling;        /* atomic: in ppoll, kick it through the eventfd */
    uint32_t hopeless;      /* atomic: nothing can wake it; set by hki_thread_give_up */
    uint32_t scopes_lock;   /* guards the chain of its scopes, and self.parent */
    uint32_t cancel_posted; /* atomic: lies in the list of who cancels ... */
    struct hki_thread *cancel_next; /* ... which goes on here */
    uint32_t quiet;                 /* atomic: sleeps for ever (core/deadlock.c) ... */
    uint32_t quiet_sequence;        /* atomic: ... while `sequence` is this */
    uint32_t is_ours; /* atomic: not plain now: in hk_run, or the watchman */
    int event_fd;     /* -1 until first needed */
    int thread_id;    /* atomic; 0: the record is being filled in, or unused */
    const hk_wait_kind *waits_for; /* atomic, for dumps; NULL while it runs */
    int64_t waits_since_ns;        /* atomic; valid while waits_for is set */
    struct hki_locals *locals;
    struct hki_holds *holds; /* what it holds, for the checks; NULL: not yet known */
    struct hki_place *place; /* that it computes in; NULL: none */
    struct hki_spawned spawned;
    uint32_t ends_lock;   /* guards the next two */
    uint64_t generation;  /* atomic: counts the record's users; who has it is one */
    hk_waiter_queue ends; /* who waits for this user's end */
    bool is_daemon;
    char name[16];
};

static inline struct hki_thread *hki_thread_of(struct hki_self *self)
{
    return (struct hki_thread *)(void *)self;
}

/* The chain of a plain thread's scopes is walked by whoever cancels one of them, that
 * of a task on its worker alone. Nothing but the walk happens under it: no abort. */
static inline void hki_chain_lock(struct hki_self *self)
{
    if (self->kind == HKI_SELF_THREAD)
        hki_lock_acquire(&hki_thread_of(self)->scopes_lock);
}

static inline void hki_chain_unlock(struct hki_self *self)
{
    if (self->kind == HKI_SELF_THREAD)
        hki_lock_release(&hki_thread_of(self)->scopes_lock);
}

/* A record, kept until its thread exits; NULL: no memory. */
struct hki_thread *hki_thread_record(void);
/* Gives back one whose thread was never started. */
void hki_thread_record_unused(struct hki_thread *thread);
/* The calling thread is `thread` from now on, until it exits. */
void hki_thread_becomes(struct hki_thread *thread);

/* The calling thread, which hocket started, exits. True: not yet, other destructors of
 * its values shall run before. */
bool hki_spawned_lingers(struct hki_thread *thread);
/* It leaves its scope, and wakes who waits for its end. */
void hki_spawned_leaves(struct hki_thread *thread);
/* Until all threads that have left are gone from the system, too. */
void hki_spawned_reap(void);
/* The same when exit handlers run: nobody joins who leaves from now on. */
void hki_spawned_end(void);
/* Threads that hocket has started and that have not ended, daemons included. */
uint64_t hki_spawned_count(void);

/* Makes the thread look again: something it waits for may have changed. Any thread. */
void hki_thread_kick(struct hki_thread *thread);

/* Makes the thread's wait, if it can be undone, fail with -EDEADLK. The thread waits,
 * and does so until the caller is done. */
void hki_thread_give_up(struct hki_thread *thread);

/* Parks the calling thread. As hk_park. */
int hki_thread_park(struct hki_thread *thread, hk_waiter *waiter, hk_abort_fn *abort);

/* Sleeps until `time_ns`, or -ECANCELED. */
int hki_thread_sleep_until(struct hki_thread *thread, int64_t time_ns);

/* Looks at the clock for the thread's scopes, then 0 or -ECANCELED. */
int hki_thread_checkpoint(struct hki_thread *thread);

/* The earliest deadline of its open scopes, also of those behind a shield: their
 * children must be cancelled in time. */
int64_t hki_thread_deadline(const struct hki_thread *thread);

/*
 * Waits until `fd` has one of `events`: returns them, or -ECANCELED (with
 * `cancellable`), or 0 after a kick, also one that came since `sequence` was read.
 */
int hki_thread_poll(struct hki_thread *thread, uint32_t sequence, int fd, short events,
                    bool cancellable);

void hki_threads_visit(void (*visit)(struct hki_thread *thread, void *ctx), void *ctx);

#endif
