/* SPDX-License-Identifier: MIT */
#include "base/alloc.h"
#include "base/assert.h"

#include <hocket/testing.h>

static int checked(hk_fault kind)
{
    if ((unsigned)kind >= HK_FAULT_KINDS)
        hki_panic("fault kind %d: not an hk_fault", (int)kind);
    return (int)kind;
}

void hk_fault_arm(hk_fault kind, uint64_t nth, int error)
{
    hki_fault_arm(checked(kind), nth, error);
}

uint64_t hk_fault_count(hk_fault kind)
{
    return hki_fault_count(checked(kind));
}
