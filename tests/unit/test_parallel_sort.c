/* SPDX-License-Identifier: MIT */
/*
 * The parallel sort: as an insertion of one item after the other would have sorted
 * them, for items of many sizes and many kinds of order; and when it is cancelled, all
 * items are still there.
 */
#include "support/parallel_test.h"

/* Items begin with a key, of one byte or four, and go on with what tells them apart. */
enum { SIZE_MAX_HERE = 100 };

struct shape {
    size_t size, count;
    uint64_t keys; /* different ones */
    uint64_t seed;
};

static uint32_t key_of(const unsigned char *item, size_t size)
{
    uint32_t key = 0;

    memcpy(&key, item, size < 4 ? 1 : 4);
    return key;
}

static int by_key(const void *a, const void *b, void *ctx)
{
    const size_t *size = ctx;
    uint32_t left = key_of(a, *size), right = key_of(b, *size);

    return left < right ? -1 : left > right;
}

/* The number of the item, in the bytes behind its key. */
static uint32_t place_of(const unsigned char *item, size_t size)
{
    uint32_t place = 0;

    if (size >= 8)
        memcpy(&place, item + 4, 4);
    return place;
}

static unsigned char *make_items(const struct shape *shape)
{
    unsigned char *items = calloc(shape->count + 1, shape->size);
    uint64_t chance = shape->seed;

    CHECK(items);
    for (size_t i = 0; i < shape->count; i++) {
        uint32_t key = (uint32_t)below(&chance, shape->keys), place = (uint32_t)i;

        memcpy(items + i * shape->size, &key, shape->size < 4 ? 1 : 4);
        if (shape->size >= 8)
            memcpy(items + i * shape->size + 4, &place, 4);
    }
    return items;
}

/* Keys never fall, and where they are equal, places rise. */
static void check_sorted(const unsigned char *items, const struct shape *shape)
{
    size_t size = shape->size;

    for (size_t i = 1; i < shape->count; i++) {
        const unsigned char *item = items + i * size, *before = item - size;

        CHECK(key_of(before, size) <= key_of(item, size));
        if (size >= 8 && key_of(before, size) == key_of(item, size))
            CHECK(place_of(before, size) < place_of(item, size));
    }
}

/* Each place once. */
static void check_all_there(const unsigned char *items, const struct shape *shape)
{
    unsigned char *seen = calloc(shape->count + 1, 1);

    CHECK(seen);
    for (size_t i = 0; shape->size >= 8 && i < shape->count; i++) {
        uint32_t place = place_of(items + i * shape->size, shape->size);

        CHECK(place < shape->count && !seen[place]);
        seen[place] = 1;
    }
    free(seen);
}

static int sort_it(void *arg)
{
    const struct shape *shape = arg;
    unsigned char *items = make_items(shape);
    size_t size = shape->size;

    CHECK_EQ(hk_parallel_sort(items, shape->count, size, by_key, &size), 0);
    check_sorted(items, shape);
    check_all_there(items, shape);
    free(items);
    return 0;
}

static void items_of_all_sizes_are_sorted(void **state)
{
    static const size_t sizes[] = {1, 3, 4, 8, 12, 16, 24, 64, 65, SIZE_MAX_HERE};
    static const size_t counts[] = {0,    1,    2,    15,    16,   17,
                                    1000, 4096, 4097, 20000, 70001};
    struct shape shape = {.seed = seed_of_run(11) | 1};

    (void)state;
    for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
        for (size_t c = 0; c < sizeof(counts) / sizeof(*counts); c++) {
            shape.size = sizes[s];
            shape.count = counts[c];
            shape.keys = c % 2 ? UINT32_MAX : 1 + shape.count / 5;
            shape.seed += 2;
            if (scaled(1, shape.count < 10000 || s == 3))
                assert_int_equal(sort_it(&shape), 0);
        }
    }
}

static void a_sort_is_called_from_everywhere(void **state)
{
    struct shape shape = {.size = 16, .count = 50000, .keys = 100, .seed = 5};

    (void)state;
    everywhere(sort_it, &shape);
    at_once(sort_it, &shape);
}

/* ---- order that is there already ---- */

static int by_number(const void *a, const void *b, void *ctx)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

    (void)ctx;
    return left < right ? -1 : left > right;
}

static int descending(const void *a, const void *b, void *ctx)
{
    return by_number(b, a, ctx);
}

enum { NUMBERS = 30000 };

static void sorted_and_reversed_ones_too(void **state)
{
    static int64_t numbers[NUMBERS];

    (void)state;
    for (int i = 0; i < NUMBERS; i++)
        numbers[i] = i;
    assert_int_equal(hk_parallel_sort(numbers, NUMBERS, 8, by_number, NULL), 0);
    for (int i = 0; i < NUMBERS; i++)
        assert_int_equal(numbers[i], i);
    assert_int_equal(hk_parallel_sort(numbers, NUMBERS, 8, descending, NULL), 0);
    for (int i = 0; i < NUMBERS; i++)
        assert_int_equal(numbers[i], NUMBERS - 1 - i);
    assert_int_equal(hk_parallel_sort(numbers, NUMBERS, 8, by_number, NULL), 0);
    for (int i = 0; i < NUMBERS; i++)
        assert_int_equal(numbers[i], i);
}

/* ---- cancel, memory ---- */

struct cancelling {
    hk_scope *scope;
    int left; /* atomic: comparisons until the cancel */
    size_t size;
};

static int by_key_until(const void *a, const void *b, void *ctx)
{
    struct cancelling *c = ctx;

    if (__atomic_sub_fetch(&c->left, 1, __ATOMIC_RELAXED) == 0)
        hk_scope_cancel(c->scope);
    return by_key(a, b, &c->size);
}

static int cancel_a_sort(void *arg)
{
    struct shape shape = *(struct shape *)arg;
    uint64_t chance = shape.seed;

    for (int round = 0; round < scaled(30, 3); round++) {
        hk_scope s;
        struct cancelling c = {&s, 1 + (int)below(&chance, 16 * shape.count),
                               shape.size};
        unsigned char *items = make_items(&shape);
        int rc;

        hk_scope_open(&s);
        rc = hk_parallel_sort(items, shape.count, shape.size, by_key_until, &c);
        CHECK(rc == 0 || rc == -ECANCELED);
        CHECK_EQ(hk_scope_join(&s), 0);
        if (rc == 0)
            check_sorted(items, &shape);
        check_all_there(items, &shape);
        free(items);
    }
    return 0;
}

static void a_cancelled_sort_loses_nothing(void **state)
{
    struct shape shape = {
        .size = 16, .count = 40000, .keys = 1000, .seed = seed_of_run(13) | 1};

    (void)state;
    everywhere(cancel_a_sort, &shape);
}

static void without_memory_nothing_happens(void **state)
{
    int64_t numbers[] = {3, 1, 2};

    (void)state;
    hk_fault_arm(HK_FAULT_ALLOC, 1, -ENOMEM);
    assert_int_equal(hk_parallel_sort(numbers, 3, 8, by_number, NULL), -ENOMEM);
    hk_fault_arm(HK_FAULT_ALLOC, 0, 0);
    assert_int_equal(numbers[0], 3);
    assert_int_equal(hk_parallel_sort(numbers, SIZE_MAX / 4, 8, by_number, NULL),
                     -ENOMEM);
    assert_int_equal(hk_parallel_sort(numbers, 3, 0, by_number, NULL), -EINVAL);
    assert_int_equal(hk_parallel_sort(numbers, 3, 8, by_number, NULL), 0);
    assert_int_equal(numbers[0], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_of_all_sizes_are_sorted),
        cmocka_unit_test(a_sort_is_called_from_everywhere),
        cmocka_unit_test(sorted_and_reversed_ones_too),
        cmocka_unit_test(a_cancelled_sort_loses_nothing),
        cmocka_unit_test(without_memory_nothing_happens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
