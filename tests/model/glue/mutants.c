/* SPDX-License-Identifier: MIT */
/* The calls that mutants.h takes over. */
#define TESTS_MODEL_MUTANTS_C
#include "mutants.h"

#include <string.h>

enum mutation mutation;
int wakes;

void mutant_wake(hk_waiter *w, int result)
{
    if (mutation == LOSES_A_WAKE && wakes++ == 0)
        return;
    hk_wake(w, result);
}

void mutant_wake_all(hk_waiter *first, int result)
{
    while (first) {
        hk_waiter *w = first;

        first = w->next;
        mutant_wake(w, result);
    }
}

void mutant_acquire(uint32_t *word)
{
    if (mutation != FORGETS_ITS_LOCK)
        hki_lock_acquire(word);
}

void mutant_release(uint32_t *word)
{
    if (mutation != FORGETS_ITS_LOCK)
        hki_lock_release(word);
}

bool mutant_compare_exchange(volatile void *address, void *expected, size_t size,
                             uint64_t desired)
{
    uint64_t now = hk_model_load(address, size), wanted = 0;

    memcpy(&wanted, expected, size); /* little-endian */
    if (now != wanted) {
        memcpy(expected, &now, size);
        return false;
    }
    hk_model_store(address, size, desired, __ATOMIC_SEQ_CST);
    return true;
}
