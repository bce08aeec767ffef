/* SPDX-License-Identifier: MIT */
#include "base/spin.h"

#include <sched.h>
#include <time.h>

enum {
    SPINS = 200,        /* of 20 ns: the holder is at work on another processor */
    YIELDS = 200,       /* it was preempted: let it run */
    NAP_NS = 50 * 1000, /* it has a lower priority than we, and would never run */
};

void hki_spin_yield(void)
{
    (void)sched_yield();
}

void hki_spin_pause(unsigned turn)
{
    const struct timespec nap = {.tv_sec = 0, .tv_nsec = NAP_NS};

    if (turn < SPINS)
        for (int i = 0; i < 64; i++)
            __atomic_signal_fence(__ATOMIC_SEQ_CST);
    else if (turn < SPINS + YIELDS)
        hki_spin_yield();
    else
        (void)nanosleep(&nap, NULL);
}
