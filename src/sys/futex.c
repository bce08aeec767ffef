/* SPDX-License-Identifier: MIT */
/* Futexes. */
#include "sys/futex.h"

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
