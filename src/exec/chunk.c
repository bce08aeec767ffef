/* SPDX-License-Identifier: MIT */
#include "exec/chunk.h"

#include "base/alloc.h"
#include "exec/executor.h"
#include "exec/fn.h"
#include "exec/pack.h"

#include <stdlib.h>
#include <string.h>

struct hki_chunk_head {
    uint64_t count, module_size, name_size, unused;
};

static size_t aligned(size_t size)
{
    return (size + HKI_IMAGE_ALIGN - 1) / HKI_IMAGE_ALIGN * HKI_IMAGE_ALIGN;
}

/* Before the arguments of one call. */
union item_head {
    size_t size;
    char aligned[HKI_IMAGE_ALIGN];
};

/* ---- the argument ---- */

/* 0: more than there can be. */
static size_t chunk_size(const struct hki_chunk_head *head, const hk_fn *fn,
                         const char *args, size_t count)
{
    size_t size = sizeof(*head) + aligned(head->module_size + head->name_size);

    for (size_t i = 0; i < count; i++) {
        size_t item = hki_pack_size(fn, args + i * fn->args_size);

        if (item > SIZE_MAX / 4 || size > SIZE_MAX / 4)
            return 0;
        size += sizeof(union item_head) + aligned(item);
    }
    return size;
}

static void fill_chunk(unsigned char *to, const struct hki_chunk_head *head,
                       const hk_fn *fn, const char *args)
{
    memcpy(to, head, sizeof(*head));
    to += sizeof(*head);
    memcpy(to, fn->hki_module, head->module_size);
    memcpy(to + head->module_size, fn->name, head->name_size);
    to += aligned(head->module_size + head->name_size);
    for (size_t i = 0; i < head->count; i++, args += fn->args_size) {
        union item_head item = {.size = hki_pack_size(fn, args)};

        memcpy(to, &item, sizeof(item));
        hki_pack(fn, args, to + sizeof(item));
        to += sizeof(item) + aligned(item.size);
    }
}

/* ---- the call ---- */

/* The result, while it grows. */
struct growing {
    unsigned char *data;
    size_t size, room;
};

/* What a worker process runs: so nothing here may come from the ledger's heap. */
static void *grow(struct growing *out, size_t by)
{
    void *place;

    if (out->room - out->size < by) {
        size_t room = 2 * out->room + by;
        unsigned char *data = realloc(out->data, room);

        if (!data)
            return NULL;
        out->data = data;
        out->room = room;
    }
    place = out->data + out->size;
    out->size += by;
    return place;
}

static int call_one(const hk_fn *fn, unsigned char *image, size_t size,
                    struct growing *out)
{
    _Alignas(16) unsigned char small[HKI_FUTURE_INLINE];
    hk_result result = {.small = small};
    struct hki_chunk_result head;
    unsigned char *place;

    head.rc = hki_job_call(fn, NULL, image, size, &result);
    head.size = result.size;
    place = grow(out, sizeof(head) + aligned(head.size));
    if (place) {
        memcpy(place, &head, sizeof(head));
        if (head.size)
            memcpy(place + sizeof(head), result.data, head.size);
    }
    hki_result_drop(&result);
    return place ? 0 : -ENOMEM;
}

HK_FN(hk_bytes, hki_chunk, (hk_bytes, input))
{
    unsigned char *from = (unsigned char *)(uintptr_t)input.data;
    const struct hki_chunk_head *head = (const void *)from;
    const char *module = (const char *)(head + 1);
    const hk_fn *fn = hki_fn_find(module, module + head->module_size);
    struct growing out = {NULL, 0, 0};

    if (!fn)
        hk_job_fail(-ENOENT);
    from += sizeof(*head) + aligned(head->module_size + head->name_size);
    for (size_t i = 0; fn && i < head->count; i++) {
        const union item_head *item = (const void *)from;

        from += sizeof(*item);
        if (call_one(fn, from, item->size, &out) < 0)
            hk_job_fail(-ENOMEM);
        from += aligned(item->size);
    }
    return (hk_bytes){out.data, out.size};
}

hk_future *hki_chunk_start(hk_executor *on, const hk_fn *fn, const char *args,
                           size_t count)
{
    struct hki_chunk_head head = {
        .count = count,
        .module_size = strlen(fn->hki_module) + 1,
        .name_size = strlen(fn->name) + 1,
    };
    size_t size = chunk_size(&head, fn, args, count);
    unsigned char *chunk = size ? hki_alloc(size) : NULL;
    hk_future *future;

    if (!chunk)
        return hki_future_no_memory();
    fill_chunk(chunk, &head, fn, args);
    future = hki_chunk_on(on, (hk_bytes){chunk, size});
    hki_free(chunk);
    return future;
}

/* ---- the result ---- */

const struct hki_chunk_result *hki_chunk_next(hk_bytes results, size_t *at,
                                              const void **out_data)
{
    const char *place = (const char *)results.data + *at;
    const struct hki_chunk_result *one = (const void *)place;

    if (*at > results.size || results.size - *at < sizeof(*one))
        return NULL;
    *at += sizeof(*one);
    if (results.size - *at < one->size)
        return NULL;
    *out_data = place + sizeof(*one);
    *at += aligned(one->size);
    return one;
}
