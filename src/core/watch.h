/* SPDX-License-Identifier: MIT */
/*
 * The watchman: one thread for the process, while any runtime runs. It reports tasks
 * that hold their worker for too long, and prints the dump when SIGQUIT comes. Starting
 * it also installs the handler that names a task whose stack has overflowed.
 */
#ifndef HKI_CORE_WATCH_H
#define HKI_CORE_WATCH_H

#include "base/assert.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hki_runtime;

/* What it remembers about a worker. Its thread only. */
struct hki_watch_note {
    uint64_t progress; /* when it last looked */
    int64_t since_ns;  /* when it first saw this progress */
    bool reported;
};

void hki_watch_start(struct hki_runtime *runtime);
void hki_watch_stop(struct hki_runtime *runtime);

/* True while its thread exists. And on that thread. */
bool hki_watch_runs(void);
bool hki_watch_is_me(void);

/* Who runs on the calling thread, in words; for hki_sample_take. */
void hki_watch_describe_self(char *text, size_t size);

/* It sleeps for ever since every worker does; atomic. */
extern uint32_t hki_watch_sleeps;
void hki_watch_wake(void);

/* A worker has woken up: after its `sleeping` says so. Pairs with fall_asleep in
 * watch.c, sequentially consistent: one of the two sees the other. */
static inline void hki_watch_stirs(void)
{
    if (HKI_UNLIKELY(__atomic_load_n(&hki_watch_sleeps, __ATOMIC_SEQ_CST)))
        hki_watch_wake();
}

#endif
