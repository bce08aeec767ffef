/* SPDX-License-Identifier: MIT */
/*
 * The testing kit: tests of concurrent code without sleeps, without flakes.
 *
 * Virtual clock. With options.virtual_clock the clock stands still while any task can
 * run or any I/O is in flight, and jumps to the next timer when every task waits: a
 * test of a 30 second timeout takes microseconds and is exact.
 */
#ifndef HOCKET_TESTING_H
#define HOCKET_TESTING_H

#include <hocket/lowlevel.h>
#include <hocket/run.h>
#include <hocket/task.h>

HK_BEGIN_DECLS

/*
 * Waits until every other task of the caller's worker waits and no message to it is
 * pending: whatever was started has come as far as it can. Returns 0 or -ECANCELED.
 */
HK_API int hk_test_wait_all_blocked(void);

/* Moves the virtual clock forward by hand; timers due fire in order before it returns.
 * Panics without a virtual clock. */
HK_API int hk_test_advance(int64_t duration_ns);

/* ---- sequencer: steps of several tasks or threads in a fixed order ---- */

/* Valid when zeroed. */
typedef struct hk_sequencer {
    hk_lock hki_lock;
    uint32_t hki_next;
    hk_waiter_queue hki_waiters;
} hk_sequencer;

/* Waits until steps 0 .. step-1 were passed by others, then passes this one. Each step
 * exactly once. Returns 0, -ECANCELED. */
HK_API int hk_sequence(hk_sequencer *sequencer, uint32_t step);

/* ---- faults ---- */

typedef enum hk_fault {
    HK_FAULT_ALLOC, /* memory of the library: tasks, stacks, channels, buffers */
    HK_FAULT_IO,    /* an operation given to the poller */
    HK_FAULT_KINDS,
} hk_fault;

/*
 * Makes the `nth` call (1: the next) of that kind in the process fail with `error`
 * (-ENOMEM, -EIO, ...), once; 0 disarms. Together with hk_fault_count this is the loop
 * "fail the Nth call, then the N+1st, until nothing fails". Costs one predictable
 * branch when disarmed. Any thread.
 */
HK_API void hk_fault_arm(hk_fault kind, uint64_t nth, int error);
/* Calls of that kind since the last hk_fault_arm of it. */
HK_API uint64_t hk_fault_count(hk_fault kind);

/* ---- the ledger ---- */

/* What is alive in the process, now. Zero but for what the program holds on purpose. */
typedef struct hk_ledger {
    uint64_t tasks;
    uint64_t fds;     /* open handles, the standard streams excluded */
    uint64_t ops;     /* operations in flight */
    uint64_t bytes;   /* allocated by the library and not yet freed, caches excluded */
    uint64_t threads; /* started by hk_spawn_thread, daemons included */
    uint64_t calls;   /* of hk_to_thread that have not returned; not in bytes */
    uint64_t reserved[2];
} hk_ledger;

HK_API void hk_ledger_read(hk_ledger *out);

/* ---- cancel torture ---- */

/*
 * Runs `scenario(arg)` in a fresh runtime once to count its suspension points, then
 * once for each point with the task that parks there cancelled at that moment; returns
 * the number of runs, or the first failure: the scenario returned neither >= 0 nor
 * -ECANCELED nor -ETIMEDOUT, or the ledger was not balanced after a run
 * (-ENOTRECOVERABLE). `options` may be NULL. Call it on a plain thread.
 * `*out_failed_point` (may be NULL) is the point at which a run failed.
 */
HK_API int hk_cancel_torture(hk_task_fn *scenario, void *arg, const hk_options *options,
                             int *out_failed_point);

HK_END_DECLS

#endif
