/* SPDX-License-Identifier: MIT */
/*
 * Several calls of one function as one job, for hk_fn_map: a function of HK_FN like any
 * other, so executors need not know of it. Its argument is
 *
 *     struct hki_chunk_head, the module, the name (each with its '\0'), then for each
 *     call a size_t and the packed arguments, aligned to 16 bytes,
 *
 * and its result for each call a struct hki_chunk_result and that many bytes, aligned
 * likewise. What is in memory is as large as a chunk, never as large as the input.
 */
#ifndef HKI_EXEC_CHUNK_H
#define HKI_EXEC_CHUNK_H

#include <hocket/fn.h>

struct hki_chunk_result {
    int64_t rc;
    uint64_t size;
};

/* Starts one of `count` calls. */
hk_future *hki_chunk_start(hk_executor *on, const hk_fn *fn, const char *args,
                           size_t count);

/* Goes through its results: the next one, and what it has come to; NULL at the end, or
 * when they make no sense (they may come from another process). `*at` begins with 0. */
const struct hki_chunk_result *hki_chunk_next(hk_bytes results, size_t *at,
                                              const void **out_data);

#endif
