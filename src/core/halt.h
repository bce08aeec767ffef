/* SPDX-License-Identifier: MIT */
/*
 * Making the workers stand still, so that one who looks finds nothing changing: for the
 * dump and for the deadlock census. Each worker gets a message and sleeps in it until
 * the look is over. A worker that is busy with a task does not come to read it; it is
 * left alone, and what belongs to it is not looked at.
 *
 * The runtimes that are looked at are pinned: they may end meanwhile, but not be freed.
 * No lock is held that a task could want.
 */
#ifndef HKI_CORE_HALT_H
#define HKI_CORE_HALT_H

#include <hocket/waiter.h>

struct hki_runtime;
struct hki_worker;

/*
 * The bits of hki_halt.state. Who changes them:
 *
 *     RUNS   set and cleared by the worker, around its loop
 *     ASKED  set by who looks, cleared by him at the end: the worker shall stand still
 *     SENT   set by who looks, with the post of the message; cleared by the worker when
 *            the message is read, which may be long after that look
 *     STILL  set by the worker when it stands still; cleared by it, never while ASKED
 */
enum {
    HKI_HALT_RUNS = 1 << 0,
    HKI_HALT_ASKED = 1 << 1,
    HKI_HALT_SENT = 1 << 2,
    HKI_HALT_STILL = 1 << 3,
};

struct hki_halt {
    hk_inbox_node message;
    uint32_t state; /* atomic; the futex on which the worker stands */
    bool has_more;  /* while STILL: messages that came with ours are not yet read */
};

/* The worker's loop begins and ends. Its own thread. */
void hki_halt_enter(struct hki_worker *worker);
void hki_halt_leave(struct hki_worker *worker);

/* True while the worker stands still: everything of it may be read. Also true of the
 * caller's own. */
bool hki_halt_is_still(const struct hki_worker *worker);

/* True while its loop runs. */
bool hki_halt_runs(const struct hki_worker *worker);

/*
 * Asks all workers to stand still, waits up to half a second for them, and returns the
 * runtimes, linked by `pinned_next`. One at a time: a second caller waits, and if it is
 * on a worker that one stands still meanwhile. Any thread, no locks held.
 */
struct hki_runtime *hki_halt_all(void);
void hki_halt_release(struct hki_runtime *pinned);

/* Keeps one runtime from being freed; with the registry locked. And lets it go. */
void hki_runtime_pin(struct hki_runtime *runtime);
void hki_runtime_unpin(struct hki_runtime *runtime);
/* Until nobody pins it; it is out of the registry. */
void hki_runtime_await_unpinned(struct hki_runtime *runtime);

#endif
