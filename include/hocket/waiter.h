/* SPDX-License-Identifier: MIT */
/*
 * One way to wait: the waiter, park and wake. Everything in hocket that waits, and
 * every primitive that you write yourself, stands on this page.
 *
 * A primitive keeps a queue of waiters under its own lock:
 *
 *     int gate_wait(struct gate *g)
 *     {
 *         int rc = hk_cancelled();            (1 cancel)
 *         if (rc < 0)
 *             return rc;
 *         hk_waiter w;
 *         hk_lock_acquire(&g->lock);
 *         if (g->open) {                      (2 try)
 *             hk_lock_release(&g->lock);
 *             return hk_budget();             (3 budget)
 *         }
 *         hk_waiter_init(&w, &gate_kind, g);  (4 park)
 *         hk_waiter_push(&g->queue, &w);
 *         hk_lock_release(&g->lock);
 *         return hk_park(&w, gate_abort);
 *     }
 *
 *     hk_verdict gate_abort(hk_waiter *w)     (called when the caller is cancelled)
 *     {
 *         struct gate *g = (struct gate *)w->object;
 *         hk_lock_acquire(&g->lock);
 *         bool removed = hk_waiter_remove(&g->queue, w);
 *         hk_lock_release(&g->lock);
 *         return removed ? HK_ABORTED : HK_PENDING;
 *     }
 *
 * and whoever opens the gate pops waiters under the lock and calls hk_wake on each.
 *
 * The contract. After hk_waiter_init a waiter is *armed*. It is ended by exactly one
 * hk_wake, or by an abort that answers HK_ABORTED; never by both. An abort that finds
 * the waiter no longer in the queue answers HK_PENDING: its wake is on the way, and
 * the park goes on until it has come. So completion beats cancel, and nothing that was
 * handed over is ever lost.
 *
 * A waiter resumes a task, releases a plain thread (hk_waiter_init, by who calls), or
 * calls back (hk_waiter_init_callback). It lives in the caller's storage, as a rule
 * on the stack of who waits.
 */
#ifndef HOCKET_WAITER_H
#define HOCKET_WAITER_H

#include <hocket/base.h>

HK_BEGIN_DECLS

typedef struct hk_waiter hk_waiter;
struct hki_self;
struct hki_worker;

/* A task or plain thread, as nothing but an identity: who holds a lock. Valid as long
 * as it holds something. */
typedef const struct hki_self *hk_holder;

/* A message to a worker's loop; private. */
typedef struct hk_inbox_node {
    struct hk_inbox_node *hki_next;
    void (*hki_run)(struct hk_inbox_node *node, struct hki_worker *worker);
} hk_inbox_node;

/* What is waited for, in words: one static object for each kind of wait. */
typedef struct hk_wait_kind {
    const char *name; /* "channel receive": completes the sentence "waits for ..." */
    /* Writes details of `object` ("capacity 8, full") for a dump; may be NULL. Must
     * neither wait nor lock. */
    void (*describe)(const void *object, char *text, size_t size);
    /* True when something outside of tasks can end this wait (a device, another
     * process). Such a wait never counts as a deadlock. */
    bool external;
    /*
     * Writes up to `max` of the tasks and threads that this wait must wait for (who
     * holds the lock) to `out`, and returns how many there are; 0: nobody knows. By it
     * a deadlock is named as a cycle, and ended: list one only if the wait surely
     * cannot end before it lets go; one that was granted already must list nobody, or
     * the waiting one itself. May be NULL. Reads atomics only: must neither wait nor
     * lock.
     */
    size_t (*holders)(const void *object, hk_holder *out, size_t max);
    /* The wait ends when any one of the holders lets go (a permit); else only when all
     * of them have. */
    bool one_is_enough;
    /* The holders are only who is likely to end the wait (who used the channel last).
     * They are named when all are stuck, and never make a deadlock. */
    bool holders_are_guessed;
    /* Where in the object lies its `const char *name` (offsetof); 0: it has none. For
     * the reports of the checks. */
    uint16_t name_offset;
    /* Where in the object lies a uint32_t, 0 in a new object and otherwise the checks'
     * own, by which they tell a lock from one that was at the same address before; 0:
     * they know it by its address. */
    uint16_t check_offset;
} hk_wait_kind;

typedef enum hk_verdict {
    HK_ABORTED, /* the wait is undone: no wake comes; park returns -ECANCELED */
    HK_PENDING, /* a wake comes (or has come): park returns its result */
} hk_verdict;

/*
 * Undoes a wait. Called on the waiting task's worker, or on the waiting thread, at
 * most once for each park; must not wait.
 */
typedef hk_verdict hk_abort_fn(hk_waiter *waiter);

struct hk_waiter {
    hk_inbox_node hki_node;
    /* Links of the primitive's queue: free for the primitive while armed. */
    hk_waiter *next, *prev;
    const hk_wait_kind *kind;
    const void *object; /* what is waited for: the primitive */
    void *data;         /* free for the primitive: the item to send, the count */
    uint32_t *claim;    /* shared by the cases of one select; else NULL */
    hk_waiter *leader;  /* of a select: who is really parked; else NULL */
    void *hki_target;   /* the task or thread (hki_self), or the worker of a callback */
    void (*hki_callback)(hk_waiter *);
    hk_abort_fn *hki_abort;
    int64_t hki_since_ns; /* when it parked, for dumps */
    int32_t result;       /* valid after the wake */
    uint32_t hki_state;   /* atomic for threads; bits in core/wait.c */
};

/* A first-in first-out queue of waiters. Valid when zeroed; guarded by its owner. */
typedef struct hk_waiter_queue {
    hk_waiter *head, *tail;
} hk_waiter_queue;

/* Arms `w` for the calling task or thread. Never blocks, never fails. */
HK_API void hk_waiter_init(hk_waiter *w, const hk_wait_kind *kind, const void *object);

/*
 * Arms `w` so that hk_wake calls `fn(w)` on the loop of the caller's worker (on a
 * plain thread: of the background runtime), never inside hk_wake. `fn` must not wait.
 * Returns 0, or -ENOMEM / -EAGAIN when the background runtime could not be started.
 */
HK_API int hk_waiter_init_callback(hk_waiter *w, const hk_wait_kind *kind,
                                   const void *object, void (*fn)(hk_waiter *w));

HK_API void hk_waiter_push(hk_waiter_queue *queue, hk_waiter *w);
/* The oldest, taken out; NULL when empty. */
HK_API hk_waiter *hk_waiter_pop(hk_waiter_queue *queue);
/* Takes `w` out; false when it is not in the queue. */
HK_API bool hk_waiter_remove(hk_waiter_queue *queue, hk_waiter *w);

/*
 * Before a primitive commits to a popped waiter (hands it the item, the lock) it must
 * claim it. False: another case of its select was faster; drop it and pop the next.
 * Always true for waiters that belong to no select.
 */
static inline bool hk_waiter_claim(hk_waiter *w)
{
    uint32_t open = 0;

    return !w->claim || __atomic_compare_exchange_n(w->claim, &open, 1, false,
                                                    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/*
 * Waits until `w` is woken, and returns the wake's result; a wake that came before the
 * park is not lost. When the caller is cancelled, `abort` is asked once (NULL: the
 * wait is uninterruptible): HK_ABORTED ends the park with -ECANCELED, HK_PENDING waits
 * on. Also -EDEADLK, when nothing can ever wake it and `abort` undid the wait.
 * Threads: the task or thread that armed `w`.
 */
HK_API int hk_park(hk_waiter *w, hk_abort_fn *abort);

/*
 * Ends the wait of `w` with `result`. The caller must have taken `w` out of its queue
 * (and claimed it) before; afterwards `w` may be gone. Never blocks, runs nothing.
 * What the caller did before is seen by who wakes. Any task or thread.
 */
HK_API void hk_wake(hk_waiter *w, int result);

/*
 * For a waiting call that could finish at once: takes one from the caller's budget of
 * 128 and yields when it is used up, so that no task starves others. Returns 0 always
 * (a cancel that came meanwhile is for the next call). On a plain thread does nothing.
 */
HK_API int hk_budget(void);

/*
 * A short lock for the few words of a primitive: a futex, 4 bytes, valid when zeroed.
 * Never hold it across a waiting call. Any task or thread.
 */
typedef struct hk_lock {
    uint32_t hki_word;
} hk_lock;

HK_API void hk_lock_acquire(hk_lock *lock);
HK_API void hk_lock_release(hk_lock *lock);

/*
 * Anything that hk_select can wait for is four functions over one object, and a fifth
 * where a wait leaves something behind. All but the last are called with the object's
 * lock held and must not wait.
 */
typedef struct hk_waitable {
    const hk_wait_kind *kind;
    hk_lock *(*lock)(void *object);
    /* Commits now if it can: >= 0 or an error (both end the select); -EAGAIN: not
     * yet. */
    int (*attempt)(void *object, void *data);
    void (*enqueue)(void *object, hk_waiter *w); /* w->data is the case's data */
    void (*dequeue)(void *object, hk_waiter *w); /* also when it is not queued */
    /* After the dequeue of all cases, by who waited: may wait, but not be cancelled,
     * until nothing of the wait is left elsewhere. May be NULL. */
    void (*settle)(void *object, hk_waiter *w);
} hk_waitable;

HK_END_DECLS

#endif
