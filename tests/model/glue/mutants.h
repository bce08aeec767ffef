/* SPDX-License-Identifier: MIT */
/*
 * Mistakes for the files under test, planted without touching them: included before a
 * file, it takes some calls over. Which mistake is made is chosen at run time
 * (mutants.c).
 */
#ifndef TESTS_MODEL_MUTANTS_H
#define TESTS_MODEL_MUTANTS_H

#include "base/lock.h"
#include "sync/queue.h"

#include <hocket/model_atomics.h>

enum mutation {
    SOUND,
    LOSES_A_WAKE,     /* the first one */
    FORGETS_ITS_LOCK, /* the short lock of a primitive does nothing */
    TEARS_APART,      /* a compare-exchange is a load, and then a store */
};

extern enum mutation mutation;
extern int wakes; /* so far */

void mutant_wake(hk_waiter *w, int result);
void mutant_wake_all(hk_waiter *first, int result);
void mutant_acquire(uint32_t *word);
void mutant_release(uint32_t *word);
bool mutant_compare_exchange(volatile void *address, void *expected, size_t size,
                             uint64_t desired);

#ifndef TESTS_MODEL_MUTANTS_C

#define hk_wake mutant_wake
#define hki_queue_wake_all mutant_wake_all
#define hki_lock_acquire mutant_acquire
#define hki_lock_release mutant_release

#undef __atomic_compare_exchange_n
#define __atomic_compare_exchange_n(p, expected, desired, weak, order, order_failed)   \
    ((void)(weak), (void)(order), (void)(order_failed),                                \
     mutation == TEARS_APART                                                           \
         ? mutant_compare_exchange((p), (expected), sizeof(*(p)), (uint64_t)(desired)) \
         : hk_model_compare_exchange((p), (expected), sizeof(*(p)),                    \
                                     (uint64_t)(desired)))

#endif

#endif
