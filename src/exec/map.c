/* SPDX-License-Identifier: MIT */
/* Arrays through an executor, in chunks, with a bounded look-ahead. */
#include <hocket/map.h>

#include "base/assert.h"
#include "exec/chunk.h"
#include "exec/executor.h"
#include "exec/fn.h"

#include <hocket/scope.h>

#include <stdlib.h>
#include <string.h>

enum { CHUNKS = 256, AHEAD = 16 };

struct map {
    hk_executor *on;
    const hk_fn *fn;
    const char *args;
    char *results; /* NULL: not wanted */
    size_t count, chunk;
    size_t next; /* the first input that is not under way */
};

static hk_future *start_chunk(void *ctx)
{
    struct map *map = ctx;
    size_t left = map->count - map->next;
    size_t count = left < map->chunk ? left : map->chunk;
    const char *args = map->args + map->next * map->fn->args_size;

    map->next += count;
    return count ? hki_chunk_start(map->on, map->fn, args, count) : NULL;
}

/* ---- results ---- */

/* A copy that the caller owns, as he would own what the plain function returns. */
static int copy_allocated(const void *data, size_t size, void **out)
{
    *out = malloc(size ? size : 1);
    if (!*out)
        return -ENOMEM;
    memcpy(*out, data, size);
    return 0;
}

static int put_result(const struct map *map, size_t i, const void *data, size_t size)
{
    const hk_field *result = &map->fn->result;
    char *place = map->results + i * result->size;
    hk_bytes bytes = {NULL, size};
    void *copy = NULL;
    int rc = hki_fn_check_result(map->fn, (hk_bytes){data, size});

    if (rc < 0)
        return rc;
    switch ((hk_field_kind)result->kind) {
    case HK_FIELD_VOID:
    case HK_FIELD_RC: return 0;
    case HK_FIELD_PLAIN: memcpy(place, data, size); return 0;
    case HK_FIELD_BYTES:
    case HK_FIELD_STR: break;
    }
    if (size)
        rc = copy_allocated(data, size, &copy);
    if (rc < 0)
        return rc;
    bytes.data = copy;
    memcpy(place, result->kind == HK_FIELD_STR ? (void *)&copy : (void *)&bytes,
           result->size);
    return 0;
}

/* What one chunk has come to: the first error of its calls. */
static int take_results(const struct map *map, size_t first, size_t count,
                        hk_bytes results)
{
    size_t at = 0;
    int error = 0;

    for (size_t i = 0; i < count; i++) {
        const void *data;
        const struct hki_chunk_result *one = hki_chunk_next(results, &at, &data);
        int rc = one ? (int)one->rc : -EBADMSG;

        if (rc >= 0 && map->results)
            rc = put_result(map, first + i, data, one->size);
        if (rc < 0 && error == 0)
            error = rc == -ECANCELED ? -EIDRM : rc;
    }
    return error;
}

/* ---- the loop ---- */

static int take_chunk(const struct map *map, hk_future *future, size_t index)
{
    size_t first = index * map->chunk, left = map->count - first;
    hk_bytes results = {NULL, 0};
    int rc = hk_future_try(future, &results);

    if (rc < 0)
        return rc;
    return take_results(map, first, left < map->chunk ? left : map->chunk, results);
}

static void show_progress(const struct map *map, const hk_map_options *options,
                          size_t chunks)
{
    size_t done = chunks * map->chunk;

    if (options->progress)
        options->progress(options->progress_ctx, done < map->count ? done : map->count,
                          map->count);
}

static int run(struct map *map, const hk_map_options *options)
{
    hk_imap it;
    hk_future *future;
    size_t index, chunks = 0;
    int rc = hk_imap_begin(&it, start_chunk, map,
                           options->ahead ? options->ahead : AHEAD, HK_UNORDERED);

    while (rc >= 0 && (rc = hk_imap_next(&it, &future, &index)) > 0) {
        rc = take_chunk(map, future, index);
        hk_future_free(future);
        show_progress(map, options, ++chunks);
    }
    hk_imap_end(&it);
    return rc;
}

int hk_fn_map(hk_executor *on, const hk_fn *fn, const void *args, size_t count,
              void *results, const hk_map_options *options)
{
    static const hk_map_options defaults;
    struct map map = {
        .on = on, .fn = fn, .args = args, .results = results, .count = count};
    hk_scope scope;
    int rc;

    if (!options)
        options = &defaults;
    hki_check_may_cross(on, fn);
    map.chunk = options->chunk ? options->chunk : (count + CHUNKS - 1) / CHUNKS;
    hk_scope_open_with(&scope, 0, "map");
    rc = run(&map, options);
    if (rc == -EIDRM && hk_cancelled() < 0)
        rc = -ECANCELED; /* its jobs have told first */
    if (rc < 0)
        hk_scope_cancel(&scope);
    (void)hk_scope_join(&scope); /* a cancel from outside: the imap has told */
    return rc;
}
