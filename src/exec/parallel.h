/* SPDX-License-Identifier: MIT */
/*
 * What the parallel calls share: where they run, and how a reduction and a scan cut
 * their elements.
 */
#ifndef HKI_EXEC_PARALLEL_H
#define HKI_EXEC_PARALLEL_H

#include "core/self_inline.h"

#include <hocket/parallel.h>

/* hk_fork; `name` is for dumps. */
void hki_fork_named(hk_forked *forked, hk_task_fn *fn, void *arg, const char *name);

/* Panics when the caller has forks that were not joined, besides the `forks` that it
 * had when a function of the program was called. */
_Noreturn void hki_forks_panic(void);

static inline void hki_forks_check(const struct hki_self *self, uint16_t forks)
{
    if (HKI_UNLIKELY(self->forks != forks))
        hki_forks_panic();
}

/*
 * The elements of a reduction or a scan, cut into blocks: each has a partial result.
 * The cut depends on begin, end and grain alone.
 */
struct hki_blocks {
    int64_t begin;
    uint64_t elements;
    uint64_t grain;  /* elements of one call */
    uint64_t pieces; /* calls */
    uint32_t count;  /* blocks: of as many pieces, but for one more or less */
    size_t size;     /* of a partial result */
    size_t stride;
    unsigned char *partials; /* one for each block; heap */
    const void *neutral;
};

/* 0, or -ENOMEM. `end` > `begin`, `grain` >= 0; `neutral` is borrowed. */
int hki_blocks_init(struct hki_blocks *blocks, int64_t begin, int64_t end,
                    int64_t grain, const void *neutral, size_t size);
void hki_blocks_fini(struct hki_blocks *blocks);

static inline void *hki_blocks_partial(const struct hki_blocks *blocks, uint32_t block)
{
    return blocks->partials + block * blocks->stride;
}

/*
 * A parallel loop over the blocks: `body` with each piece of a block, from front to
 * back, and the block's partial result; with `afresh` that is the neutral element
 * before.
 */
int hki_blocks_run(struct hki_blocks *blocks, bool afresh, hk_reduce_fn *body,
                   void *ctx);

#endif
