/* SPDX-License-Identifier: MIT */
/*
 * Scans: a loop over blocks that reduces each; then each block's partial result is
 * replaced by that of all blocks before it; then a loop that goes over them again from
 * there. Twice the work, in two loops, as in any parallel scan; also where one thread
 * does it all, so that the roundings are the same.
 */
#include "exec/parallel.h"

#include "base/alloc.h"

#include <string.h>

struct scan {
    struct hki_blocks blocks;
    hk_scan_fn *body;
    hk_combine_fn *combine;
    void *ctx;
    bool is_final;
    unsigned char *before; /* the result of all blocks before one; heap, twice `size` */
};

static int scan_piece(int64_t begin, int64_t end, void *partial, void *ctx)
{
    const struct scan *scan = ctx;

    return scan->body(begin, end, partial, scan->is_final, scan->ctx);
}

/* Each partial result becomes that of what is before its block. */
static void shift(struct scan *scan)
{
    struct hki_blocks *blocks = &scan->blocks;
    size_t size = blocks->size;
    unsigned char *before = scan->before, *own = scan->before + size;

    memcpy(before, blocks->neutral, size);
    for (uint32_t block = 0; block < blocks->count; block++) {
        void *partial = hki_blocks_partial(blocks, block);

        memcpy(own, partial, size);
        memcpy(partial, before, size);
        scan->combine(before, own, scan->ctx);
    }
}

static int run_scan(void *arg)
{
    struct scan *scan = arg;
    int rc = hki_blocks_run(&scan->blocks, true, scan_piece, scan);

    if (rc < 0)
        return rc;
    shift(scan);
    scan->is_final = true;
    return hki_blocks_run(&scan->blocks, false, scan_piece, scan);
}

int hk_parallel_scan(int64_t begin, int64_t end, int64_t grain, hk_scan_fn *body,
                     hk_combine_fn *combine, void *ctx, void *result, size_t size)
{
    struct scan scan = {.body = body, .combine = combine, .ctx = ctx};
    int rc;

    if (grain < 0)
        return -EINVAL;
    if (end <= begin)
        return hk_cancelled();
    rc = hki_blocks_init(&scan.blocks, begin, end, grain, result, size);
    if (rc < 0)
        return rc;
    scan.before = hki_alloc(2 * size);
    rc = scan.before ? hk_parallel_run(run_scan, &scan) : -ENOMEM;
    if (rc == 0)
        memcpy(result, scan.before, size);
    hki_free(scan.before);
    hki_blocks_fini(&scan.blocks);
    return rc;
}
