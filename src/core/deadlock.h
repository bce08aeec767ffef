/* SPDX-License-Identifier: MIT */
/*
 * "Nothing can ever wake you": noticed when the last worker or thread of the process
 * goes to sleep for ever, with no operation, timer or foreign thread left that could
 * wake anyone. Then the youngest wait that can be undone fails with -EDEADLK.
 *
 * The price on the way to sleep is one atomic addition, and one on the way back.
 */
#ifndef HKI_CORE_DEADLOCK_H
#define HKI_CORE_DEADLOCK_H

#include <stdint.h>

struct hki_self;
struct hki_worker;
struct hki_thread;

/* A loop begins and ends on the calling thread; `outer` is the thread's own record, or
 * NULL when it is not attached. */
void hki_deadlock_worker_starts(struct hki_self *outer);
void hki_deadlock_worker_ends(struct hki_self *outer);

/* The calling thread becomes known, and ends. */
void hki_deadlock_thread_joins(struct hki_thread *thread);
/* As hki_threads_forget: nobody is known. */
void hki_deadlock_forget(void);
void hki_deadlock_thread_leaves(struct hki_thread *thread);

/*
 * `worker` is about to sleep with nothing of its own that could wake it. Returns when
 * it shall do so, or has been woken meanwhile: the last of all waits here for a moment
 * and then looks around.
 */
void hki_deadlock_quiet(struct hki_worker *worker);
void hki_deadlock_stirs(struct hki_worker *worker);

/* The same for a plain thread that parks without a deadline until `sequence`
 * changes. */
void hki_deadlock_thread_quiet(struct hki_thread *thread, uint32_t sequence);
void hki_deadlock_thread_stirs(struct hki_thread *thread);

#endif
