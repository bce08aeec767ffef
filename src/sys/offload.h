/* SPDX-License-Identifier: MIT */
/*
 * The blocking pool: threads for calls that can block and that the kernel offers no
 * other way for (files on epoll, HKI_IO_WORK). One pool for the process, started on
 * first use, grows to `HKI_OFFLOAD_THREADS_MAX` while requests wait and every thread is
 * busy, and shrinks after ten idle seconds. All signals are blocked in its threads.
 */
#ifndef HKI_SYS_OFFLOAD_H
#define HKI_SYS_OFFLOAD_H

#include "base/list.h"

#include <stdbool.h>

#define HKI_OFFLOAD_THREADS_MAX 64

struct hki_offload_job {
    struct hki_list node; /* the pool's, from submit until `run` begins */
    void (*run)(struct hki_offload_job *job); /* on a pool thread, to its end */
};

/* Queues `job`. 0, or -EAGAIN / -ENOMEM when no thread at all can be had. Any
 * thread. */
int hki_offload_submit(struct hki_offload_job *job);

/* Takes a job back that no thread has begun; false: it runs, ran, or was never here. */
bool hki_offload_withdraw(struct hki_offload_job *job);

/* Threads of the pool now: for "every thread of the process is known". */
unsigned hki_offload_threads(void);

/* Jobs that are queued or running. */
unsigned hki_offload_pending(void);

/* Ends all idle threads and waits for them; for tests and the end of the process.
 * Threads that run a job are left alone. */
void hki_offload_drain(void);

#endif
