/* SPDX-License-Identifier: MIT */
/*
 * How one process tells another that there is something to look at: one word in shared
 * memory on which the other sleeps. As long as the other is awake, ringing costs a load
 * and no system call.
 *
 *     the sleeper                          who rings
 *     hki_bell_arm(b)                      publishes, sequentially consistent
 *     looks once more; nothing there?      hki_bell_ring(b)
 *     hki_bell_sleep(b, deadline)
 *
 * Both sides first write and then look, in sequentially consistent order, so at least
 * one of them sees what the other wrote: no ring is lost.
 *
 * The word may lie where a stranger can write. All that he can do by that is to make
 * the sleeper look for nothing, or to sleep to its deadline: who does not trust the
 * others has one.
 */
#ifndef HKI_EXEC_BELL_H
#define HKI_EXEC_BELL_H

#include "base/assert.h"
#include "sys/os_shm.h"
#include "sys/os_thread.h"

#include <stdbool.h>
#include <stdint.h>

struct hki_bell {
    uint32_t armed; /* atomic: 1 from arm on, until rung or disarmed */
};

static inline void hki_bell_arm(struct hki_bell *bell)
{
    __atomic_exchange_n(&bell->armed, 1, __ATOMIC_SEQ_CST);
}

static inline void hki_bell_disarm(struct hki_bell *bell)
{
    __atomic_store_n(&bell->armed, 0, __ATOMIC_RELAXED);
}

/* Until rung or the deadline, or without reason; disarmed afterwards. */
static inline void hki_bell_sleep(struct hki_bell *bell, int64_t deadline_ns)
{
    hki_os_shared_wait(&bell->armed, 1, deadline_ns);
    hki_bell_disarm(bell);
}

static inline void hki_bell_ring(struct hki_bell *bell)
{
    if (HKI_LIKELY(__atomic_load_n(&bell->armed, __ATOMIC_SEQ_CST) == 0))
        return;
    if (__atomic_exchange_n(&bell->armed, 0, __ATOMIC_SEQ_CST) != 0)
        hki_os_shared_wake(&bell->armed, 1);
}

/* What the workers of a pool see of the program: whom to tell of results. */
struct hki_desk {
    struct hki_bell courier; /* the pool's thread sleeps on it */
    struct hki_bell waiter;  /* a thread that waits for a job sleeps on it */
    uint32_t is_attended;    /* atomic: that thread looks for results, and the courier
                              * need not know */
    uint32_t processor;      /* atomic: where the program gave out jobs last */
};

/* Says where the caller runs: who runs there as well does not wait for it awake. */
static inline void hki_say_processor(uint32_t *processor)
{
    uint32_t here = hki_os_processor_here();

    if (__atomic_load_n(processor, __ATOMIC_RELAXED) != here)
        __atomic_store_n(processor, here, __ATOMIC_RELAXED);
}

/* It would keep the other one from the processor. */
static inline bool hki_shares_processor(const uint32_t *processor)
{
    return __atomic_load_n(processor, __ATOMIC_RELAXED) == hki_os_processor_here();
}

#endif
