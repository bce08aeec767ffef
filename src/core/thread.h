/* SPDX-License-Identifier: MIT */
/*
 * Plain threads that use hocket. A thread becomes known at its first call, and its
 * record is pooled when it exits but never freed: a waker that comes a moment late
 * touches a record, never a hole.
 */
#ifndef HKI_CORE_THREAD_H
#define HKI_CORE_THREAD_H

#include "core/self_inline.h"

struct hki_thread {
    struct hki_self self;    /* attention is written by anyone, with atomic or/and */
    struct hki_reads reads;  /* the locks that it holds for reading; follows self */
    struct hki_thread *next; /* in the registry; immutable */
    uint32_t in_use;         /* atomic */
    uint32_t sequence;       /* atomic: grows at every kick; the futex it sleeps on */
    uint32_t asleep;         /* atomic: in the futex */
    uint32_t polling;        /* atomic: in ppoll, kick it through the eventfd */
    uint32_t hopeless;       /* atomic: nothing can wake it; set by the census */
    uint32_t scopes_lock;    /* guards the chain of its scopes */
    uint32_t quiet;          /* atomic: sleeps for ever (core/deadlock.c) ... */
    uint32_t quiet_sequence; /* atomic: ... while `sequence` is this */
    uint32_t is_ours;        /* atomic: not plain now: in hk_run, or the watchman */
    int event_fd;            /* -1 until first needed */
    int thread_id;           /* atomic; 0: the record is being filled in, or unused */
    const hk_wait_kind *waits_for; /* atomic, for dumps; NULL while it runs */
    int64_t waits_since_ns;        /* atomic; valid while waits_for is set */
    struct hki_locals *locals;
    char name[16];
};

static inline struct hki_thread *hki_thread_of(struct hki_self *self)
{
    return (struct hki_thread *)(void *)self;
}

/* Makes the thread look again: something it waits for may have changed. Any thread. */
void hki_thread_kick(struct hki_thread *thread);

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
