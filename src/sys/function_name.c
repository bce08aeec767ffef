/* SPDX-License-Identifier: MIT */
/*
 * A table that only grows: a program has few functions that tasks begin with. A place
 * is taken by a compare-and-swap and never given back, so that a name can be handed out
 * without a lock; who finds a place taken but not yet filled goes without a name.
 */
#include "sys/function_name.h"

#include "base/annotate.h"
#include "sys/symbols.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { PLACES = 512, TRIES = 16 };

enum { EMPTY, TAKEN, FILLED };

static struct place {
    uint32_t state; /* atomic; FILLED pairs with its acquire */
    const void *function;
    char name[48];
} places[PLACES];

static const char *fill(struct place *place, const void *function, bool patient)
{
    struct hki_symbol symbol;

    hki_symbol_find(function, true, patient, &symbol);
    if (symbol.offset != 0 || !symbol.name[0]) {
        __atomic_store_n(&place->state, EMPTY, __ATOMIC_RELEASE);
        return NULL;
    }
    place->function = function;
    (void)snprintf(place->name, sizeof(place->name), "%.*s",
                   (int)sizeof(place->name) - 1, symbol.name);
    HKI_HB_RELEASE(place);
    __atomic_store_n(&place->state, FILLED, __ATOMIC_RELEASE);
    return place->name;
}

const char *hki_function_name(const void *function, bool patient)
{
    uintptr_t hash = (uintptr_t)function >> 4;

    for (uintptr_t i = 0; i < TRIES; i++) {
        struct place *place = &places[(hash + i) % PLACES];
        uint32_t state = __atomic_load_n(&place->state, __ATOMIC_ACQUIRE);

        if (state == EMPTY &&
            __atomic_compare_exchange_n(&place->state, &state, TAKEN, false,
                                        __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return fill(place, function, patient);
        if (state == FILLED && place->function == function) {
            HKI_HB_ACQUIRE(place);
            return place->name;
        }
        if (state == TAKEN)
            return NULL;
    }
    return NULL;
}
