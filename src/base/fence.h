/* SPDX-License-Identifier: MIT */
/* A memory fence on every thread of the process, paid by its caller alone. */
#ifndef HKI_BASE_FENCE_H
#define HKI_BASE_FENCE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Asks the kernel for it, once; until then it is not available. With one thread that is
 * quick, with more it can take the kernel 0.1 s: so when a runtime starts, not later.
 */
void hki_fence_prepare(void);

/* False where the kernel has no such call or does not allow it. */
bool hki_fence_is_available(void);

/*
 * On return every thread of the process has passed a full fence since the call: what a
 * thread stored before it is visible, what it loads after it is not older than the
 * call. Only where it is available.
 */
void hki_fence_everywhere(void);

/* Spins until *word is 0, and acquires what came before that store. */
void hki_fence_await_zero(const uint32_t *word);

#endif
