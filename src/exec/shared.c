/* SPDX-License-Identifier: MIT */
/* Blocks of the shared heap, for programs. */
#include <hocket/shared.h>

#include "base/assert.h"
#include "exec/heap.h"
#include "exec/worker.h"

#include <errno.h>

int hk_shared_alloc(size_t size_bytes, hk_shared *out)
{
    void *block;
    int rc;

    if (size_bytes == 0)
        return -EINVAL;
    if (hki_is_worker())
        return -EDEADLK;
    rc = hki_heap_start();
    if (rc < 0)
        return rc;
    block = hki_heap_alloc(size_bytes);
    if (!block)
        return -ENOMEM;
    *out = (hk_shared){.hki_offset = hki_heap_offset(block), .size = size_bytes};
    return 0;
}

void *hk_shared_data(hk_shared block)
{
    return block.size ? hki_heap_bytes(block.hki_offset, block.size) : NULL;
}

void hk_shared_free(hk_shared block)
{
    void *data = hk_shared_data(block);

    if (block.size == 0)
        return;
    if (HKI_UNLIKELY(!data || hki_is_worker()))
        hki_panic("hk_shared_free in a worker process, or of what is no block");
    hki_heap_free(data);
}
