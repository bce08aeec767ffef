/* SPDX-License-Identifier: MIT */
/*
 * Scopes: structured concurrency, cancellation and deadlines in one object.
 *
 * A scope is a block of code with the tasks that were spawned into it (Trio's nursery
 * and cancel scope in one). It lives in the caller's storage, is opened and joined on
 * one task or thread strictly last-in first-out, and its join waits for every child.
 *
 *     hk_scope s = HK_SCOPE_INIT;
 *     hk_scope_open(&s);
 *     hk_scope_deadline(&s, hk_now() + 5 * HK_SECOND);
 *     for (int i = 0; i < 3; i++)
 *         hk_spawn(&s, fetch, &urls[i]);
 *     int rc = hk_scope_join(&s);   (0, first error, -ECANCELED, -ETIMEDOUT)
 *
 * Cancellation is level-triggered: inside a cancelled scope *every* waiting call
 * returns -ECANCELED, also the ones after the first, until the scope has been joined.
 * Inside, a passed deadline looks the same; -ETIMEDOUT comes from the join alone.
 * A shield hides what comes from outside.
 *
 * States: closed -> open (hk_scope_open) -> closed (hk_scope_join).
 * The ideas are those of Nathaniel J. Smith's Trio and Martin Sustrik's libdill.
 */
#ifndef HOCKET_SCOPE_H
#define HOCKET_SCOPE_H

#include <hocket/base.h>
#include <hocket/timer.h>
#include <hocket/waiter.h>

HK_BEGIN_DECLS

enum {
    /* What happens when a child fails. Default (none of these): fail-fast, the first
     * error cancels the siblings and the body, and is the join's result. */
    HK_SCOPE_WAIT_ALL = 1 << 0,      /* cancels nothing; join gives the first error */
    HK_SCOPE_FIRST_SUCCESS = 1 << 1, /* the first result >= 0 cancels the rest */
    /* Children that have not started may be taken by idle workers. */
    HK_SCOPE_PARALLEL = 1 << 2,
    /* Open shielded, see hk_scope_shield. */
    HK_SCOPE_SHIELDED = 1 << 3,
};

struct hki_self;
struct hki_guest;
struct hki_crew;

/* All fields are private; hk_scope_open sets them all. 176 bytes. */
typedef struct hk_scope {
    /* What others look at often lies in the middle, a cache line from what is around
     * it on the stack, which its owner changes all the time. */
    const char *hki_name;
    hk_timer hki_deadline;
    hk_inbox_node hki_message; /* brings a cancel to the owner's worker */
    struct hk_scope *hki_walk; /* link of a cancel's work list */
    uint64_t hki_reserved;
    uint32_t hki_flags;     /* bits in core/scope.h; written on the owner's worker */
    uint32_t hki_delivered; /* atomic; likewise */
    int32_t hki_error;      /* the first one; atomic */
    uint32_t hki_success;   /* a child returned >= 0; atomic */
    struct hki_crew *hki_crews; /* atomic; changed with hki_lock */
    struct hki_self *hki_owner; /* NULL while not open */
    struct hk_scope *hki_outer; /* next scope out on the same owner */
    struct hk_scope *hki_inner; /* next scope in on the same owner */
    hk_waiter *hki_joiner;      /* waits for the local children */
    struct hki_self *hki_local; /* children on the owner's worker: that worker only */
    uint32_t hki_local_count;
    uint32_t hki_lock;            /* guards the rest */
    struct hki_self *hki_remote;  /* other children */
    struct hki_guest *hki_guests; /* jobs elsewhere */
    hk_waiter *hki_remote_joiner; /* waits for the remote children, after the local */
    uint32_t hki_remote_count;    /* and messages on their way */
    uint32_t hki_remote_used;
} hk_scope;

/* For a scope that may be looked at before it is opened; else not needed. */
#define HK_SCOPE_INIT HK_ZERO_INIT

/*
 * Opens `scope` on the calling task or thread: what follows, until the join, is its
 * body. Never blocks, never fails. Opening an open scope panics, and so does returning
 * from a task with one open.
 */
HK_API void hk_scope_open(hk_scope *scope);

/* The same with HK_SCOPE_ flags and a name for dumps (borrowed; may be NULL). */
HK_API void hk_scope_open_with(hk_scope *scope, unsigned flags, const char *name);

/*
 * Waits for every child, then closes the scope. It must be the innermost open one of
 * the caller, else panic.
 *
 * Blocks:  until the last child has ended. Cancellation reaches the children but never
 *          shortens the wait.
 * Returns: the first of these that holds:
 *          the first error of a child, or of hk_scope_fail (with FIRST_SUCCESS: 0 if
 *          any child succeeded, also after a cancel or the deadline);
 *          -ECANCELED: some call inside returned -ECANCELED because an outer scope was
 *          cancelled (the caller should return soon, too);
 *          -ETIMEDOUT: some call inside returned -ECANCELED because of this scope's
 *          own deadline;
 *          0, also after hk_scope_cancel of this scope.
 */
HK_API int hk_scope_join(hk_scope *scope);

/*
 * Joins, with the body's own result `rc`: the last line of a function that opened a
 * scope around its calls. A negative rc is recorded as by hk_scope_fail, unless it is
 * the -ECANCELED of this scope's being cancelled. Returns the join's error if there is
 * one; else rc if rc >= 0; else 0.
 *
 *     hk_scope_open(&s);
 *     hk_scope_deadline(&s, hk_now() + HK_SECOND);
 *     return hk_scope_end(&s, ask(server));
 */
HK_API int hk_scope_end(hk_scope *scope, int rc);

/*
 * Cancels the scope: every waiting call inside returns -ECANCELED from now on. Twice
 * is the same as once. Never blocks. Any task or thread, as long as the scope is open.
 */
HK_API void hk_scope_cancel(hk_scope *scope);

/*
 * Records the body's own error `rc` (< 0, else panic) as if a child had returned it,
 * and cancels; -ECANCELED under a cancel is an echo of it, and no error. Only code
 * inside the scope.
 */
HK_API void hk_scope_fail(hk_scope *scope, int rc);

/*
 * Cancels the scope when hk_now() reaches `deadline_ns`; replaces an earlier deadline;
 * HK_NEVER takes it away. A deadline in the past takes effect at once. Only code on
 * the owner's worker (or the owning thread).
 */
HK_API void hk_scope_deadline(hk_scope *scope, int64_t deadline_ns);

/*
 * While on, cancels and deadlines of outer scopes are not seen inside; the scope's own
 * still are. For clean-up that must wait. Only the task or thread that opened it.
 */
HK_API void hk_scope_shield(hk_scope *scope, bool on);

typedef enum hk_scope_why {
    HK_NOT_CANCELLED,
    HK_BY_CANCEL,   /* hk_scope_cancel */
    HK_BY_DEADLINE, /* the scope's own deadline */
    HK_BY_FAILURE,  /* a child's error, or hk_scope_fail; or a first success */
    HK_BY_OUTER,    /* an outer scope, or hk_task_cancel of a task around it */
} hk_scope_why;

/* Why calls inside are being cancelled, if they are; also valid after the join. */
HK_API hk_scope_why hk_scope_reason(const hk_scope *scope);

/* Children that have not ended. Only code on the owner's worker. */
HK_API uint32_t hk_scope_children(const hk_scope *scope);

/*
 * 0, or -ECANCELED when the caller is inside a cancelled scope. For long computations
 * between waiting calls. Never blocks. Any task or thread.
 */
HK_API int hk_cancelled(void);

HK_END_DECLS

#endif
