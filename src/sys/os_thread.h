/* SPDX-License-Identifier: MIT */
/* Starting threads of the system: the one place that knows their attributes. */
#ifndef HKI_SYS_OS_THREAD_H
#define HKI_SYS_OS_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed: what the system gives. */
struct hki_thread_spec {
    size_t stack_size_bytes;
    const uint32_t *cpus; /* it may run on these alone */
    uint32_t cpu_count;   /* 0: on all */
    bool is_detached;
    /* It takes no signal but those for its own faults: a handler of the program must
     * not run on a small stack, nor a wait for signals find a thread of ours. */
    bool is_deaf;
};

/*
 * 0, or -EINVAL (stack too small, no such processor), -ENOMEM, -EAGAIN. `out` may be
 * NULL.
 */
int hki_os_thread_start(const struct hki_thread_spec *spec, void *(*fn)(void *),
                        void *arg, pthread_t *out);

/* Threads that were started deaf and detached and have not ended: those that look after
 * worker processes. */
unsigned hki_os_helper_count(void);

/* Processors that this process may run on, at least 1. */
unsigned hki_os_cpu_count(void);

/* The processor that the caller runs on, which may be another one by now. */
uint32_t hki_os_processor_here(void);

#endif
