/* SPDX-License-Identifier: MIT */
/* The slow paths of the two short locks. */
#include "base/lock.h"

#include "base/annotate.h"
#include "base/spin.h"
#include "sys/futex.h"

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

void hki_spin_wait(struct hki_spin *spin)
{
    unsigned turn = 0;

    do
        hki_spin_pause(turn++);
    while (__atomic_load_n(&spin->word, __ATOMIC_RELAXED) || !hki_spin_try(spin));
    HKI_HB_ACQUIRE(spin); /* the logical mode does not see into this file */
}
