/* SPDX-License-Identifier: MIT */
#include "strset.h"

#include "memory.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK_SIZE = 16 * 1024 };

struct strset_block {
    struct strset_block *next;
    size_t used, size;
    char bytes[];
};

/* FNV-1a: short, and good enough for URLs. */
static uint32_t hash_of(const char *text, size_t len)
{
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)text[i]) * 16777619u;
    return hash;
}

static const char *keep(struct strset *set, const char *text, size_t len)
{
    struct strset_block *block = set->blocks;
    char *copy;

    if (!block || block->size - block->used < len + 1) {
        size_t size = len + 1 > BLOCK_SIZE ? len + 1 : BLOCK_SIZE;

        block = must_alloc(sizeof *block + size);
        block->size = size;
        block->next = set->blocks;
        set->blocks = block;
    }
    copy = block->bytes + block->used;
    memcpy(copy, text, len);
    copy[len] = '\0';
    block->used += len + 1;
    return copy;
}

/* The slot that holds `text`, or the free one where it belongs. */
static uint32_t *find(const struct strset *set, const char *text, size_t len,
                      uint32_t hash)
{
    uint32_t mask = set->slots_size - 1;

    for (uint32_t at = hash & mask;; at = (at + 1) & mask) {
        uint32_t number = set->slots[at] - 1;

        if (set->slots[at] == 0)
            return &set->slots[at];
        if (set->hashes[number] == hash &&
            strncmp(set->texts[number], text, len) == 0 && !set->texts[number][len])
            return &set->slots[at];
    }
}

static void grow_slots(struct strset *set)
{
    uint32_t size = set->slots_size ? set->slots_size * 2 : 64;

    free(set->slots);
    set->slots = must_alloc(size * sizeof *set->slots);
    set->slots_size = size;
    for (uint32_t number = 0; number < set->count; number++) {
        uint32_t at = set->hashes[number] & (size - 1);

        while (set->slots[at])
            at = (at + 1) & (size - 1);
        set->slots[at] = number + 1;
    }
}

static void grow_texts(struct strset *set)
{
    set->texts_max = set->texts_max ? set->texts_max * 2 : 64;
    set->texts = must_realloc(set->texts, set->texts_max * sizeof *set->texts);
    set->hashes = must_realloc(set->hashes, set->texts_max * sizeof *set->hashes);
}

uint32_t strset_add(struct strset *set, const char *text, size_t len, bool *out_new)
{
    uint32_t hash = hash_of(text, len);
    uint32_t *slot;

    if (set->count * 2 >= set->slots_size)
        grow_slots(set);
    slot = find(set, text, len, hash);
    if (out_new)
        *out_new = *slot == 0;
    if (*slot == 0) {
        if (set->count == set->texts_max)
            grow_texts(set);
        set->texts[set->count] = keep(set, text, len);
        set->hashes[set->count] = hash;
        *slot = ++set->count;
    }
    return *slot - 1;
}

bool strset_has(const struct strset *set, const char *text, size_t len)
{
    return set->slots_size && *find(set, text, len, hash_of(text, len)) != 0;
}

void strset_fini(struct strset *set)
{
    while (set->blocks) {
        struct strset_block *block = set->blocks;

        set->blocks = block->next;
        free(block);
    }
    free(set->texts);
    free(set->hashes);
    free(set->slots);
    *set = (struct strset){0};
}
