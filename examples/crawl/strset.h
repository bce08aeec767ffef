/* SPDX-License-Identifier: MIT */
/*
 * A set of strings, numbered in the order in which they came. Texts never move, so that
 * a pointer to one stays good as long as the set.
 */
#ifndef CRAWL_STRSET_H
#define CRAWL_STRSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct strset_block;

/* Valid when zeroed. Fields are private, but for count. */
struct strset {
    uint32_t count;
    const char **texts; /* by number */
    uint32_t *hashes;   /* by number */
    uint32_t texts_max;
    uint32_t *slots;             /* open addressing: number + 1, or 0 */
    uint32_t slots_size;         /* a power of two */
    struct strset_block *blocks; /* where the texts are */
};

void strset_fini(struct strset *set);

/* The number of `text`, which is put in if it is not there: then `*out_new` is true. */
uint32_t strset_add(struct strset *set, const char *text, size_t len, bool *out_new);
bool strset_has(const struct strset *set, const char *text, size_t len);

/* The text with this number. */
static inline const char *strset_text(const struct strset *set, uint32_t number)
{
    return set->texts[number];
}

#endif
