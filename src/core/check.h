/* SPDX-License-Identifier: MIT */
/*
 * The checks, for the rest of core: what a task or thread holds (check_holds.c), in
 * which order locks are taken (check_order.c), who waits for whom (check_wait.c). What
 * locks call is in core/check_inline.h; switching on and off is in check.c.
 */
#ifndef HKI_CORE_CHECK_H
#define HKI_CORE_CHECK_H

#include "core/report.h"
#include "core/self_inline.h"

#include <hocket/check.h>

enum {
    HKI_SITE_FRAMES = 6, /* kept of where a lock was taken */
};

/* A lock that somebody holds. */
struct hki_hold {
    const void *lock; /* atomic: who looks for holders reads it while it changes */
    const hk_wait_kind *kind;
    const hk_scope *scope; /* the innermost that was open when it was taken */
    uint64_t identity;     /* of the lock, in the order graph */
    uint32_t levels;       /* of a recursive lock */
    uint8_t hold;          /* an enum hki_holding */
    bool may_have_waited;  /* false: it was taken by a try */
    const void *site[HKI_SITE_FRAMES];
};

/* Room for some; replaced by a larger one at need. The old one stays, for who reads in
 * it. */
struct hki_hold_room {
    struct hki_hold_room *older;
    uint32_t size;
    struct hki_hold items[];
};

/*
 * What one task or thread holds, in the order in which it was taken. Written by its
 * owner only; others read `self`, `count` and the locks at any time, and all of it
 * while the owner waits in the graph of waits. Pooled, never freed.
 */
struct hki_holds {
    struct hki_holds *next; /* of all; immutable */
    struct hki_holds *next_free;
    hk_holder self;             /* atomic; NULL: nobody's */
    uint32_t epoch;             /* atomic; items of an older one mean nothing */
    uint32_t count;             /* atomic */
    const char *top;            /* no frame of the owner lies above */
    const void *ordered;        /* check_order was told of it last: no try */
    struct hki_hold_room *room; /* atomic */
};

/* ---- check.c ---- */

struct hki_check_settings {
    bool only_report;
    int64_t hold_limit_ns; /* HK_NEVER: none */
};

/* A copy; the parts may be of two calls of hk_check. */
struct hki_check_settings hki_check_settings(void);

/* Grows when the checks are switched on: what was noted before is void. Atomic. */
uint32_t hki_check_epoch(void);

/* ---- check_holds.c ---- */

/* Those of `self`, the caller, made at need; NULL: no memory, or a loop's callback. */
struct hki_holds *hki_holds_get(struct hki_self *self);
/* Those of `self` if there are any. */
struct hki_holds *hki_holds_peek(const struct hki_self *self);

/* `lock` among them; NULL: it is not. The owner, or while it waits. */
struct hki_hold *hki_holds_find(struct hki_holds *holds, const void *lock);

/* The caller leaves `scope`, or ends: panics if it keeps a lock that it took inside. */
void hki_check_leaves(struct hki_self *self, const hk_scope *scope);
void hki_check_ends(struct hki_self *self);

/* "mutex 'ledger'", or with the address of what has no name. */
void hki_check_lock_text(const void *lock, const hk_wait_kind *kind, char *text,
                         size_t size);

void hki_check_add_site(struct hki_report *report, int indent,
                        const struct hki_hold *hold);

/* "task" or "thread" */
const char *hki_check_what_is(const struct hki_self *self);

/* ---- check_order.c ---- */

int hki_order_init(void);

/* The number that stands for a lock. */
uint64_t hki_order_identity(const void *lock, const hk_wait_kind *kind);

/* ---- check_park.c ---- */

/* hk_park while the checks are on. */
int hki_check_park(hk_waiter *w, hk_abort_fn *abort);

#endif
