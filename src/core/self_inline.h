/* SPDX-License-Identifier: MIT */
/*
 * "Who runs this line?": the calling task's or plain thread's own record, and the two
 * checks that every waiting call makes, inline because an out-of-line check costs a
 * lock 12 %.
 *
 *     struct hki_self *self = hki_self();
 *     int rc = hki_enter(self);           cancel: 0 or -ECANCELED
 *     ... try; on success: ...
 *     hki_spend(self);                    budget: yields after 128 such calls
 *
 * The record of a task is the head of struct hki_task, that of a thread the head of
 * struct hki_thread; its address identifies the holder of a lock.
 */
#ifndef HKI_CORE_SELF_INLINE_H
#define HKI_CORE_SELF_INLINE_H

#include "base/annotate.h"
#include "base/assert.h"
#include "base/lock.h"
#include "core/check_inline.h"

#include <hocket/scope.h>
#include <hocket/waiter.h>

#include <string.h>

enum {
    HKI_BUDGET = 128, /* waiting calls that may finish at once before a yield */
};

enum hki_attention {
    HKI_CANCELLED = 1 << 0,  /* inside a cancelled scope, shields considered */
    HKI_CLOCK = 1 << 1,      /* a plain thread with a deadline: look at the clock */
    HKI_NO_WAITING = 1 << 2, /* a callback on the loop: every waiting call panics */
};

enum hki_self_kind { HKI_SELF_THREAD, HKI_SELF_TASK, HKI_SELF_LOOP };

struct hki_self {
    uint8_t attention; /* atomic: hki_attention bits; written by the owner's worker, on
                        * a plain thread by whoever cancels its scope */
    uint8_t kind;      /* immutable */
    uint16_t budget;   /* owner only */
    uint16_t flags;    /* core only */
    uint16_t forks;    /* not joined (exec/fork.c); owner only */
    hk_scope *scope;   /* innermost open scope; owner only */
    hk_waiter *waiter; /* what it is parked on; NULL while it runs; owner's worker */
    struct hki_worker *worker; /* NULL: a plain thread, or a task not started */
    hk_scope *parent; /* the scope it was spawned into; NULL: a first task, or a thread
                       * that hocket did not start */
    struct hki_self *sibling_next, **sibling_link; /* in parent's list of children */
};

extern __thread struct hki_self *hki_self_current
    __attribute__((tls_model("initial-exec"), visibility("hidden")));

struct hki_self *hki_self_attach(void);    /* makes a plain thread known; never fails */
_Noreturn void hki_panic_no_waiting(void); /* the caller is no task and no thread */
int hki_self_checkpoint(struct hki_self *self); /* attention: 0 or -ECANCELED */
void hki_self_exhausted(struct hki_self *self); /* budget is 0: yields, refills */
uint64_t hki_random(void);                      /* of the worker's seeded source */

/* For messages: the name of a task or thread, never NULL. */
const char *hki_self_name(const struct hki_self *self);

static inline struct hki_self *hki_self(void)
{
    struct hki_self *self = hki_self_current;

    return HKI_LIKELY(self) ? self : hki_self_attach();
}

static inline int hki_enter(struct hki_self *self)
{
    if (HKI_UNLIKELY(__atomic_load_n(&self->attention, __ATOMIC_RELAXED)))
        return hki_self_checkpoint(self);
    return 0;
}

static inline void hki_spend(struct hki_self *self)
{
    if (HKI_UNLIKELY(--self->budget == 0))
        hki_self_exhausted(self);
}

/*
 * What a task or thread holds for reading (core/reads.c): a lock that many hold at once
 * cannot list them, so each lists its locks. Its owner only. The first few need no
 * memory, so that a fifth is the first that can fail.
 */
enum { HKI_READS_OWN = 4 };

struct hki_read {
    const void *lock;
    uint64_t depth; /* how often */
};

struct hki_reads {
    uint32_t count;
    uint32_t more_room;
    struct hki_read *more; /* heap: those beyond the first few; NULL: there are none */
    struct hki_read own[HKI_READS_OWN];
};

/* The record of a thread follows its `self`; that of a task begins the head of its
 * stack, whose address is HKI_SELF_TO_STACK behind its `self`: asserted in reads.c. */
enum { HKI_SELF_TO_STACK = 64 };

_Noreturn void hki_reads_refuse(void); /* `self` is a callback of the loop */

static inline struct hki_reads *hki_reads_of(struct hki_self *self)
{
    void *record = self + 1;

    if (HKI_LIKELY(self->kind == HKI_SELF_TASK))
        memcpy(&record, (char *)self + HKI_SELF_TO_STACK, sizeof(record));
    else if (HKI_UNLIKELY(self->kind != HKI_SELF_THREAD))
        hki_reads_refuse();
    return record;
}

/* The three that follow, when it is not as simple as nearly always. */
uint64_t hki_reads_depth_slow(struct hki_reads *reads, const void *lock);
uint64_t hki_reads_add_slow(struct hki_reads *reads, const void *lock);
uint64_t hki_reads_remove_slow(struct hki_reads *reads, const void *lock);

/* How often `self` holds `lock` for reading. */
static inline uint64_t hki_reads_depth(struct hki_self *self, const void *lock)
{
    struct hki_reads *reads = hki_reads_of(self);

    return HKI_LIKELY(reads->count == 0) ? 0 : hki_reads_depth_slow(reads, lock);
}

/* Once more: returns how often now; 0: no memory. */
static inline uint64_t hki_reads_add(struct hki_self *self, const void *lock)
{
    struct hki_reads *reads = hki_reads_of(self);

    if (HKI_UNLIKELY(reads->count != 0))
        return hki_reads_add_slow(reads, lock);
    reads->count = 1;
    reads->own[0].lock = lock;
    reads->own[0].depth = 1;
    return 1;
}

/* Once less: returns how often before; 0: not at all, which is misuse. */
static inline uint64_t hki_reads_remove(struct hki_self *self, const void *lock)
{
    struct hki_reads *reads = hki_reads_of(self);

    if (HKI_UNLIKELY(reads->count != 1 || reads->own[0].lock != lock ||
                     reads->own[0].depth != 1))
        return hki_reads_remove_slow(reads, lock);
    reads->count = 0;
    return 1;
}

/* The low bits of a waiter's state: whom it wakes, immutable once armed. */
enum hki_waiter_kind {
    HKI_WAIT_TASK = 1 << 0,
    HKI_WAIT_THREAD = 1 << 1,
    HKI_WAIT_CALLBACK = 1 << 2,
};

/* What a task's waiter does when it arrives at the task's worker. */
void hki_waiter_deliver(hk_inbox_node *node, struct hki_worker *worker);

/* hk_waiter_init, for who knows `self`. */
static inline void hki_waiter_arm(hk_waiter *w, struct hki_self *self,
                                  const hk_wait_kind *kind, const void *object)
{
    w->hki_node.hki_run = hki_waiter_deliver;
    w->next = w->prev = NULL;
    w->kind = kind;
    w->object = object;
    w->claim = NULL;
    w->leader = NULL;
    w->hki_target = self;
    w->hki_callback = NULL;
    w->hki_abort = NULL;
    w->result = 0;
    w->hki_state = self->kind == HKI_SELF_THREAD ? HKI_WAIT_THREAD : HKI_WAIT_TASK;
}

#endif
