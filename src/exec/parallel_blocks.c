/* SPDX-License-Identifier: MIT */
#include "exec/parallel.h"

#include "base/alloc.h"

#include <string.h>

enum {
    BLOCKS_MAX = 256, /* promised in the header; changes roundings */
    LINE_BYTES = 64,  /* no two partial results share a cache line */
};

int hki_blocks_init(struct hki_blocks *blocks, int64_t begin, int64_t end,
                    int64_t grain, const void *neutral, size_t size)
{
    uint64_t elements = (uint64_t)end - (uint64_t)begin;

    blocks->begin = begin;
    blocks->elements = elements;
    blocks->grain = grain ? (uint64_t)grain : (elements - 1) / BLOCKS_MAX + 1;
    blocks->pieces = (elements - 1) / blocks->grain + 1;
    blocks->count = blocks->pieces < BLOCKS_MAX ? (uint32_t)blocks->pieces : BLOCKS_MAX;
    blocks->size = size;
    blocks->neutral = neutral;
    if (size > SIZE_MAX / BLOCKS_MAX - LINE_BYTES)
        return -ENOMEM;
    blocks->stride = (size / LINE_BYTES + 1) * LINE_BYTES;
    blocks->partials = hki_alloc(blocks->count * blocks->stride);
    return blocks->partials ? 0 : -ENOMEM;
}

void hki_blocks_fini(struct hki_blocks *blocks)
{
    hki_free(blocks->partials);
}

struct walk {
    struct hki_blocks *blocks;
    bool afresh;
    hk_reduce_fn *body;
    void *ctx;
};

/* The first piece of a block. */
static uint64_t first_of(const struct hki_blocks *blocks, uint32_t block)
{
    uint64_t each = blocks->pieces / blocks->count;
    uint64_t longer = blocks->pieces % blocks->count; /* the first so many */

    return block * each + (block < longer ? block : longer);
}

static int run_piece(const struct walk *walk, uint64_t piece, void *partial)
{
    const struct hki_blocks *blocks = walk->blocks;
    uint64_t offset = piece * blocks->grain, left = blocks->elements - offset;
    uint64_t begin = (uint64_t)blocks->begin + offset;
    uint64_t count = left < blocks->grain ? left : blocks->grain;

    return walk->body((int64_t)begin, (int64_t)(begin + count), partial, walk->ctx);
}

static int run_block(const struct walk *walk, uint32_t block)
{
    const struct hki_blocks *blocks = walk->blocks;
    uint64_t piece = first_of(blocks, block), last = first_of(blocks, block + 1);
    void *partial = hki_blocks_partial(blocks, block);
    int rc = 0;

    if (walk->afresh)
        memcpy(partial, blocks->neutral, blocks->size);
    while (rc >= 0) {
        rc = run_piece(walk, piece, partial);
        if (++piece == last)
            break;
        if (rc >= 0)
            rc = hk_cancelled(); /* also when another block has failed */
    }
    return rc;
}

static int run_blocks(int64_t begin, int64_t end, void *ctx)
{
    int rc = 0;

    for (int64_t block = begin; rc >= 0 && block < end; block++)
        rc = run_block(ctx, (uint32_t)block);
    return rc;
}

int hki_blocks_run(struct hki_blocks *blocks, bool afresh, hk_reduce_fn *body,
                   void *ctx)
{
    struct walk walk = {blocks, afresh, body, ctx};

    return hk_parallel_for(0, blocks->count, 1, run_blocks, &walk);
}
