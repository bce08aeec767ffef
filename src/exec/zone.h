/* SPDX-License-Identifier: MIT */
/*
 * An allocator for a range of shared memory whose book-keeping is not in that memory:
 * one process allocates and frees, others read and write the blocks, and whatever they
 * write there, the books stay right.
 *
 * Blocks are whole pages, in size classes a quarter of a power of two apart, so at most
 * a quarter is wasted. A freed block is kept for the next one of its class, the one
 * freed last first: its pages are still in the cache. What is kept beyond a limit gives
 * its memory back and keeps its place; the range is address space and nothing more, so
 * it can be far larger than what is ever used at once. Blocks are never joined.
 */
#ifndef HKI_EXEC_ZONE_H
#define HKI_EXEC_ZONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HKI_ZONE_PAGE = 4096, HKI_ZONE_CLASSES = 128 };

struct hki_zone {
    unsigned char *base;
    struct hki_zone_page *pages; /* private: one for each page of the range */
    uint32_t pages_max, pages_used;
    uint64_t kept_bytes;             /* of freed blocks that have their memory */
    uint32_t free[HKI_ZONE_CLASSES]; /* first page of the first block, plus 1 */
    uint32_t lock;
};

/* `base` is aligned to a page; `size_bytes` at most 16 TiB. 0 or -ENOMEM. */
int hki_zone_init(struct hki_zone *zone, void *base, size_t size_bytes);
void hki_zone_fini(struct hki_zone *zone);

/* Aligned to a page, not zeroed; NULL when the range is used up or `size_bytes` is 0.
 * Any thread. */
void *hki_zone_alloc(struct hki_zone *zone, size_t size_bytes);
/* `block` is one of hki_zone_alloc, else panic. Any thread. */
void hki_zone_free(struct hki_zone *zone, void *block);

#endif
