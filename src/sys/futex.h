/* SPDX-License-Identifier: MIT */
/* Sleeping on a word of memory (futex(2)), private to the process. */
#ifndef HKI_SYS_FUTEX_H
#define HKI_SYS_FUTEX_H

#include <stdint.h>

/*
 * Sleeps while *word == expected, until woken or until the monotonic time
 * `deadline_ns` (INT64_MAX: for ever). May return without reason; the caller loops.
 */
void hki_futex_wait(uint32_t *word, uint32_t expected, int64_t deadline_ns);

/* Wakes up to `count` sleepers. Spurious wakes on reused memory are harmless. */
void hki_futex_wake(uint32_t *word, uint32_t count);

#endif
