/* SPDX-License-Identifier: MIT */
/*
 * The blocking pools: threads for calls that can block and that the kernel offers no
 * other way for. One pool is for files on epoll and HKI_IO_WORK, another for what users
 * send away by hk_to_thread, so that calls which take for ever never starve the files.
 * Each is the process's, starts on first use, grows to its limit while jobs wait and
 * every thread is busy, and shrinks after ten idle seconds. All signals but those of
 * faults are blocked in its threads.
 */
#ifndef HKI_SYS_OFFLOAD_H
#define HKI_SYS_OFFLOAD_H

#include "base/list.h"

#include <stdbool.h>

enum { HKI_OFFLOAD_FILES_MAX = 64 }; /* threads */

struct hki_offload;

extern struct hki_offload hki_offload_files;
extern struct hki_offload hki_offload_calls;

struct hki_offload_job {
    struct hki_list node; /* the pool's, from submit until `run` begins */
    void (*run)(struct hki_offload_job *job); /* on a pool thread, to its end */
};

/* Queues `job`. 0, or -EAGAIN / -ENOMEM when no thread at all can be had. Any
 * thread. */
int hki_offload_submit(struct hki_offload *pool, struct hki_offload_job *job);

/* Takes a job back that no thread has begun; false: it runs, ran, or was never here. */
bool hki_offload_withdraw(struct hki_offload *pool, struct hki_offload_job *job);

/* Sets the most jobs that run at once; 0: leaves it. Returns what it was. */
unsigned hki_offload_limit(struct hki_offload *pool, unsigned threads_max);

/* Threads of all pools now: for "every thread of the process is known". */
unsigned hki_offload_threads(void);

/* Jobs that are queued or running, in all pools. */
unsigned hki_offload_pending(void);

/* True on a thread of a pool. */
bool hki_offload_is_me(void);

/* Ends all idle threads and waits for them; for tests and the end of the process.
 * Threads that run a job are left alone. */
void hki_offload_drain(struct hki_offload *pool);

#endif
