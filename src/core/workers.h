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

/*
 * A guest of a scope: something outside of the tasks (a job in a queue, in a worker
 * process) that belongs to it: the join waits for it, a cancel reaches it.
 */
struct hki_guest {
    struct hki_guest *next, **link; /* guarded by the scope's lock */
    hk_scope *scope;                /* NULL: no guest */
    /* The scope is cancelled now, shields considered; may come more than once. Called
     * with the scope's lock: must not wait, nor touch any scope or guest. */
    void (*cancel)(struct hki_guest *guest);
};

/*
 * The scope that what the caller starts now belongs to: the innermost one around it.
 * NULL: a plain thread without an open scope. The first task of a runtime without a
 * scope gets one here, which is joined when it returns.
 */
hk_scope *hki_scope_around(void);

/*
 * Makes `guest` one of `scope`, which the caller is inside of, or has a guest in. False:
 * the scope is cancelled, and `guest` is none.
 */
bool hki_guest_enter(struct hki_guest *guest, hk_scope *scope,
                     void (*cancel)(struct hki_guest *guest));
/* It has ended: its last access to the scope. Does nothing for who is no guest. */
void hki_guest_leave(struct hki_guest *guest);

/* The caller's worker; on a plain thread that of the background runtime, started at
 * need. 0, or why that could not be started. */
int hki_worker_here(struct hki_worker **out);

#endif
