/* SPDX-License-Identifier: MIT */
/*
 * Reductions: a loop over blocks, each with a partial result of its own, which are then
 * combined from the first to the last. Nothing in that depends on who computes what.
 */
#include "exec/parallel.h"

#include <string.h>

struct reduction {
    struct hki_blocks blocks;
    hk_reduce_fn *body;
    hk_combine_fn *combine;
    void *ctx;
};

static int reduce(void *arg)
{
    struct reduction *reduction = arg;
    struct hki_blocks *blocks = &reduction->blocks;
    int rc = hki_blocks_run(blocks, true, reduction->body, reduction->ctx);

    if (rc < 0)
        return rc;
    for (uint32_t block = 1; block < blocks->count; block++)
        reduction->combine(hki_blocks_partial(blocks, 0),
                           hki_blocks_partial(blocks, block), reduction->ctx);
    return 0;
}

int hk_parallel_reduce(int64_t begin, int64_t end, int64_t grain, hk_reduce_fn *body,
                       hk_combine_fn *combine, void *ctx, void *result, size_t size)
{
    struct reduction reduction = {.body = body, .combine = combine, .ctx = ctx};
    int rc;

    if (grain < 0)
        return -EINVAL;
    if (end <= begin)
        return hk_cancelled();
    rc = hki_blocks_init(&reduction.blocks, begin, end, grain, result, size);
    if (rc < 0)
        return rc;
    rc = hk_parallel_run(reduce, &reduction);
    if (rc == 0)
        memcpy(result, hki_blocks_partial(&reduction.blocks, 0), size);
    hki_blocks_fini(&reduction.blocks);
    return rc;
}

void hk_combine_sum(void *into, const void *next, void *ctx)
{
    (void)ctx;
    *(double *)into += *(const double *)next;
}

void hk_combine_sum_int64(void *into, const void *next, void *ctx)
{
    (void)ctx;
    *(int64_t *)into += *(const int64_t *)next;
}
