/* SPDX-License-Identifier: MIT */
/* Futexes, and the slow path of the short lock that stands on them. */
#include "sys/futex.h"

#include "base/annotate.h"
#include "base/lock.h"

#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

void hki_futex_wait(uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
    struct timespec at = {
        .tv_sec = deadline_ns / 1000000000,
        .tv_nsec = deadline_ns % 1000000000,
    };

    /* WAIT_BITSET takes an absolute time on the monotonic clock. Every failure
     * (EAGAIN, EINTR, ETIMEDOUT) means "look again", which the caller does. */
    (void)syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected,
                  deadline_ns == INT64_MAX ? NULL : &at, NULL, FUTEX_BITSET_MATCH_ANY);
}

void hki_futex_wake(uint32_t *word, uint32_t count)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count, NULL, NULL,
                  0);
}

static inline void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* The lock guards a few words, so its holder is done soon, unless it was preempted. */
void hki_lock_wait(uint32_t *word)
{
    for (int i = 0; i < 100; i++) {
        if (__atomic_load_n(word, __ATOMIC_RELAXED) == 0 && hki_lock_try(word))
            goto locked;
        relax();
    }
    while (__atomic_exchange_n(word, 2, __ATOMIC_ACQUIRE) != 0)
        hki_futex_wait(word, 2, INT64_MAX);
locked:
    HKI_HB_ACQUIRE(word); /* the logical mode does not see into this file */
}

void hki_lock_wake(uint32_t *word)
{
    hki_futex_wake(word, 1);
}
