/* SPDX-License-Identifier: MIT */
/* How a bias begins and ends; the argument is in bias.h. */
#include "sync/bias.h"

#include "base/fence.h"

static void revoke(struct hki_bias *bias)
{
    __atomic_store_n(&bias->owner, HKI_BIAS_NONE, __ATOMIC_RELAXED);
    hki_fence_everywhere();
    hki_fence_await_zero(&bias->busy);
}

static void count_visit(struct hki_bias *bias, const struct hki_worker *worker)
{
    uintptr_t owner = HKI_BIAS_OPEN;

    if (!bias->candidate)
        bias->candidate = (uintptr_t)worker;
    if (!worker || bias->candidate != (uintptr_t)worker)
        owner = HKI_BIAS_NONE;
    else if (++bias->visits == HKI_BIAS_VISITS)
        owner = hki_fence_is_available() ? (uintptr_t)worker : HKI_BIAS_NONE;
    __atomic_store_n(&bias->owner, owner, __ATOMIC_RELAXED);
}

void hki_bias_visit(struct hki_bias *bias, const struct hki_worker *worker)
{
    switch (__atomic_load_n(&bias->owner, __ATOMIC_RELAXED)) {
    case HKI_BIAS_NONE: break;
    case HKI_BIAS_OPEN: count_visit(bias, worker); break;
    default: revoke(bias); break;
    }
}
