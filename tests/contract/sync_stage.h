/* SPDX-License-Identifier: MIT */
/* Where a waiter and a granter meet over a row of sync_primitives.h, and go in step. */
#ifndef TESTS_CONTRACT_SYNC_STAGE_H
#define TESTS_CONTRACT_SYNC_STAGE_H

#include "sync_primitives.h"

struct stage_for_two {
    const struct primitive *p;
    struct object *o;
    uint32_t stage;  /* atomic */
    hk_scope *scope; /* the waiter's; published by a stage */
};

static inline void await_waiter(struct stage_for_two *s)
{
    while (waiters_of(s->p, s->o) == 0)
        relax();
}

#endif
