/* SPDX-License-Identifier: MIT */
/*
 * "Nothing can ever wake you": noticed when the last worker or thread of the process
 * goes to sleep for ever, with no operation, timer or foreign thread left that could
 * wake anyone. Then the youngest wait that can be undone fails with -EDEADLK.
 */
#ifndef HKI_CORE_DEADLOCK_H
#define HKI_CORE_DEADLOCK_H

struct hki_worker;
struct hki_thread;

/* `worker` is about to sleep with nothing of its own that could wake it; it wakes. */
void hki_deadlock_quiet(struct hki_worker *worker);
void hki_deadlock_stirs(struct hki_worker *worker);

/* The same for a plain thread that parks without a deadline. */
void hki_deadlock_thread_quiet(struct hki_thread *thread);
void hki_deadlock_thread_stirs(struct hki_thread *thread);

#endif
