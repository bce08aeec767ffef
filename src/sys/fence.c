/* SPDX-License-Identifier: MIT */
/*
 * membarrier(2), Linux 4.14: the kernel interrupts the other processors that run this
 * process. Registered when a runtime starts; before that the expedited form is refused.
 */
#include "base/fence.h"

#include "base/annotate.h"

#include "base/spin.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { UNKNOWN, AVAILABLE, UNAVAILABLE };

static uint32_t state; /* atomic; two threads that ask at once get the same answer */

static bool barrier(int command)
{
    return syscall(SYS_membarrier, command, 0, 0) == 0;
}

void hki_fence_prepare(void)
{
    uint32_t found;

    if (__atomic_load_n(&state, __ATOMIC_RELAXED) != UNKNOWN)
        return;
    found = barrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) &&
                    barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED)
                ? AVAILABLE
                : UNAVAILABLE;
    __atomic_store_n(&state, found, __ATOMIC_RELAXED);
}

bool hki_fence_is_available(void)
{
    return __atomic_load_n(&state, __ATOMIC_RELAXED) == AVAILABLE;
}

void hki_fence_everywhere(void)
{
    if (barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED))
        return;
    /* A filter that was installed since then refuses it. No processor keeps a store
     * to itself across an interrupt, and a busy one takes a tick every 10 ms. */
    struct timespec ticks = {.tv_sec = 0, .tv_nsec = 50 * 1000 * 1000};

    __atomic_store_n(&state, UNAVAILABLE, __ATOMIC_RELAXED);
    while (nanosleep(&ticks, &ticks) != 0)
        ;
}

void hki_fence_await_zero(const uint32_t *word)
{
    /* Not zero: its owner is in the middle of a few instructions, or was preempted. */
    for (unsigned turn = 0; __atomic_load_n(word, __ATOMIC_ACQUIRE) != 0; turn++)
        hki_spin_pause(turn);
    HKI_HB_ACQUIRE(word); /* pairs with hki_bias_leave, in the logical mode */
}
