/* SPDX-License-Identifier: MIT */
/*
 * A stable merge sort. Halves are sorted by fork and join, down to BASE_ITEMS, which
 * one thread sorts; two halves are merged by a parallel loop over the places of the
 * result, of which each range finds by binary search where in the halves it begins.
 *
 * There are two arrays, the caller's and ours, and each merge goes from one to the
 * other; so the two halves of a part are sorted into the array that the part itself
 * shall not lie in. Where a part that was sorted does not lie there, as something was
 * cancelled, its items are in the caller's array: so that is what it is left with.
 *
 * Items of usual sizes are copied by functions that the compiler makes for the size.
 */
#include "exec/parallel.h"

#include "base/alloc.h"

#include <string.h>

enum {
    BASE_ITEMS = 4096,  /* sorted by one thread: a fraction of a millisecond */
    MERGE_ITEMS = 8192, /* of one range of a parallel merge */
    RUN_ITEMS = 16,     /* sorted by insertion */
    INSERT_BYTES = 64,  /* the largest item that is moved so */
};

struct sort {
    unsigned char *items, *spare; /* two arrays of the same size */
    size_t size;                  /* of an item */
    hk_compare_fn *compare;
    void *ctx;
};

/* So many items, from `first` on, to be sorted into one of the arrays. */
struct part {
    const struct sort *sort;
    size_t first, count;
    bool into_spare;
};

/* Two sorted neighbours, and where they go. */
struct merge {
    const struct sort *sort;
    const unsigned char *left, *right;
    size_t left_count, right_count;
    unsigned char *out;
};

/* ---- by one thread ---- */

/* Merges so many items; `size` is a constant where this is expanded. */
__attribute__((always_inline)) static inline void merge_of_size(
    const struct merge *merge, size_t size)
{
    hk_compare_fn *compare = merge->sort->compare;
    void *ctx = merge->sort->ctx;
    const unsigned char *left = merge->left,
                        *left_end = left + merge->left_count * size;
    const unsigned char *right = merge->right;
    const unsigned char *right_end = right + merge->right_count * size;
    unsigned char *out = merge->out;

    while (left < left_end && right < right_end) {
        size_t from_right = compare(right, left, ctx) < 0; /* else the left: stable */

        memcpy(out, from_right ? right : left, size);
        right += size * from_right;
        left += size * (1 - from_right);
        out += size;
    }
    memcpy(out, left, (size_t)(left_end - left));
    memcpy(out + (left_end - left), right, (size_t)(right_end - right));
}

static void merge_here(const struct merge *merge)
{
    switch (merge->sort->size) {
    case 4: merge_of_size(merge, 4); break;
    case 8: merge_of_size(merge, 8); break;
    case 16: merge_of_size(merge, 16); break;
    default: merge_of_size(merge, merge->sort->size);
    }
}

/* Sorts few items where they are; `size` as above, at most INSERT_BYTES. */
__attribute__((always_inline)) static inline void insert_of_size(
    const struct sort *sort, unsigned char *items, size_t count, size_t size)
{
    unsigned char held[INSERT_BYTES];

    for (size_t i = 1; i < count; i++) {
        unsigned char *hole = items + i * size;

        if (sort->compare(hole, hole - size, sort->ctx) >= 0)
            continue;
        memcpy(held, hole, size);
        do {
            memcpy(hole, hole - size, size);
            hole -= size;
        } while (hole > items && sort->compare(held, hole - size, sort->ctx) < 0);
        memcpy(hole, held, size);
    }
}

static void insert_here(const struct sort *sort, unsigned char *items, size_t count)
{
    switch (sort->size) {
    case 4: insert_of_size(sort, items, count, 4); break;
    case 8: insert_of_size(sort, items, count, 8); break;
    case 16: insert_of_size(sort, items, count, 16); break;
    default: insert_of_size(sort, items, count, sort->size);
    }
}

/* Sorts `count` items at `items` into `items` or `spare`; uses both. */
static void sort_here(const struct sort *sort, unsigned char *items,
                      unsigned char *spare, size_t count, bool into_spare)
{
    size_t run = sort->size <= INSERT_BYTES ? RUN_ITEMS : 1, size = sort->size;

    if (count <= run) {
        if (count > 1)
            insert_here(sort, items, count);
        if (into_spare)
            memcpy(spare, items, count * size);
        return;
    }
    size_t half = count / 2;
    struct merge merge = {
        .sort = sort,
        .left = into_spare ? items : spare,
        .left_count = half,
        .right_count = count - half,
        .out = into_spare ? spare : items,
    };

    merge.right = merge.left + half * size;
    sort_here(sort, items, spare, half, !into_spare);
    sort_here(sort, items + half * size, spare + half * size, count - half,
              !into_spare);
    merge_here(&merge);
}

/* ---- by many ---- */

/* Of the first `place` items of the result, how many are of the left half. */
static size_t split_at(const struct merge *merge, size_t place)
{
    const struct sort *sort = merge->sort;
    size_t low = place > merge->right_count ? place - merge->right_count : 0;
    size_t high = place < merge->left_count ? place : merge->left_count;

    while (low < high) {
        size_t left = low + (high - low) / 2, right = place - left - 1;

        /* Does item `left` of the left half come before `right` of the right one? */
        if (sort->compare(merge->right + right * sort->size,
                          merge->left + left * sort->size, sort->ctx) >= 0)
            low = left + 1;
        else
            high = left;
    }
    return low;
}

static int merge_range(int64_t begin, int64_t end, void *ctx)
{
    const struct merge *whole = ctx;
    size_t size = whole->sort->size, first = (size_t)begin, last = (size_t)end;
    size_t left = split_at(whole, first), left_end = split_at(whole, last);
    const struct merge merge = {
        .sort = whole->sort,
        .left = whole->left + left * size,
        .left_count = left_end - left,
        .right = whole->right + (first - left) * size,
        .right_count = (last - left_end) - (first - left),
        .out = whole->out + first * size,
    };

    merge_here(&merge);
    return 0;
}

/* Back to the caller's array, if they are not there. */
static void bring_back(const struct part *part, bool are_in_spare)
{
    const struct sort *sort = part->sort;
    size_t offset = part->first * sort->size;

    if (are_in_spare)
        memcpy(sort->items + offset, sort->spare + offset, part->count * sort->size);
}

static int sort_part(void *arg);

/* Sorts both halves into the array where `part` is not to lie. */
static int sort_halves(struct part *left, struct part *right)
{
    hk_forked forked;
    int right_rc, left_rc;

    hk_fork(&forked, sort_part, left);
    right_rc = sort_part(right);
    left_rc = hk_join(&forked);
    if (left_rc == 0 && right_rc == 0)
        return 0;
    bring_back(left, left_rc == 0 && left->into_spare);
    bring_back(right, right_rc == 0 && right->into_spare);
    return left_rc < 0 ? left_rc : right_rc;
}

/* On failure the items are in the caller's array. */
static int sort_part(void *arg)
{
    struct part *part = arg;
    const struct sort *sort = part->sort;
    size_t half = part->count / 2, offset = part->first * sort->size;
    unsigned char *from = part->into_spare ? sort->items : sort->spare;
    struct part left = {sort, part->first, half, !part->into_spare};
    struct part right = {sort, part->first + half, part->count - half,
                         !part->into_spare};
    struct merge merge = {
        .sort = sort,
        .left = from + offset,
        .right = from + offset + half * sort->size,
        .left_count = half,
        .right_count = part->count - half,
        .out = (part->into_spare ? sort->spare : sort->items) + offset,
    };
    int rc = hk_cancelled();

    if (rc < 0)
        return rc;
    if (part->count <= BASE_ITEMS) {
        sort_here(sort, sort->items + offset, sort->spare + offset, part->count,
                  part->into_spare);
        return 0;
    }
    rc = sort_halves(&left, &right);
    if (rc < 0)
        return rc;
    rc = hk_parallel_for(0, (int64_t)part->count, MERGE_ITEMS, merge_range, &merge);
    if (rc < 0)
        bring_back(part, !part->into_spare);
    return rc;
}

int hk_parallel_sort(void *items, size_t count, size_t size, hk_compare_fn *compare,
                     void *ctx)
{
    struct sort sort = {.items = items, .size = size, .compare = compare, .ctx = ctx};
    struct part all = {&sort, 0, count, false};
    int rc;

    if (size == 0)
        return -EINVAL;
    if (count < 2)
        return hk_cancelled();
    sort.spare = count > SIZE_MAX / size ? NULL : hki_alloc(count * size);
    if (!sort.spare)
        return -ENOMEM;
    rc = hk_parallel_run(sort_part, &all);
    hki_free(sort.spare);
    return rc;
}
