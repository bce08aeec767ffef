/* SPDX-License-Identifier: MIT */
/*
 * Shows that shared memory is the same bytes in the program and its workers, that it
 * outlives them, that freed memory is used again, and what is refused. How: jobs fill
 * blocks, and some die in the middle.
 */
#include "unit/process_test.h"

#include "exec/zone.h"

#include <hocket/shared.h>

#include <stdlib.h>

HK_FN(long, fill, (hk_shared, block), (int, byte))
{
    memset(hk_shared_data(block), byte, block.size);
    return (long)block.size;
}

HK_FN(long, sum_up, (hk_shared, block))
{
    const unsigned char *bytes = hk_shared_data(block);
    long sum = 0;

    for (size_t i = 0; i < block.size; i++)
        sum += bytes[i];
    return sum;
}

HK_FN(int, fill_and_die, (hk_shared, block), (int, byte))
{
    (void)fill(block, byte);
    return raise(SIGKILL);
}

HK_FN(int, allocate_in_worker)
{
    hk_shared block;

    return hk_shared_alloc(100, &block);
}

HK_FN(int, free_in_worker, (hk_shared, block))
{
    hk_shared_free(block);
    return 0;
}

static void what_a_worker_writes_the_program_sees_and_the_next_worker(void **state)
{
    enum { BYTES = 1 << 20 };
    hk_executor *pool = pool_with(1);
    hk_shared block;
    hk_future *future;
    long sum;

    (void)state;
    assert_int_equal(hk_shared_alloc(BYTES, &block), 0);
    assert_int_equal(await_and_free(fill_on(pool, block, 3)), 0);
    for (int i = 0; i < BYTES; i++)
        assert_int_equal(((unsigned char *)hk_shared_data(block))[i], 3);
    assert_int_equal(await_and_free(fill_and_die_on(pool, block, 5)), -EOWNERDEAD);
    future = sum_up_on(pool, block);
    assert_int_equal(sum_up_await(future, &sum), 0);
    assert_int_equal(sum, 5L * BYTES);
    hk_future_free(future);
    hk_shared_free(block);
    hk_executor_free(pool);
}

static void a_worker_neither_allocates_nor_frees(void **state)
{
    hk_executor *pool = pool_with(1);
    hk_future *future = allocate_in_worker_on(pool);
    hk_shared block;
    int rc;

    (void)state;
    assert_int_equal(allocate_in_worker_await(future, &rc), 0);
    assert_int_equal(rc, -EDEADLK);
    hk_future_free(future);
    assert_int_equal(hk_shared_alloc(1, &block), 0);
    assert_int_equal(await_and_free(free_in_worker_on(pool, block)), -EOWNERDEAD);
    hk_shared_free(block);
    hk_executor_free(pool);
}

static void freed_memory_is_used_again(void **state)
{
    hk_shared first, second;
    void *where;

    (void)state;
    assert_int_equal(hk_shared_alloc(1 << 20, &first), 0);
    where = hk_shared_data(first);
    hk_shared_free(first);
    assert_int_equal(hk_shared_alloc(1 << 20, &second), 0);
    assert_ptr_equal(hk_shared_data(second), where);
    hk_shared_free(second);
}

static void sizes_that_cannot_be_are_refused(void **state)
{
    hk_shared block = {0};

    (void)state;
    assert_int_equal(hk_shared_alloc(0, &block), -EINVAL);
    assert_int_equal(hk_shared_alloc(SIZE_MAX, &block), -ENOMEM);
    assert_int_equal(hk_shared_alloc(SIZE_MAX / 2, &block), -ENOMEM);
    assert_null(hk_shared_data(block));
    hk_shared_free(block);
}

/* Against a model: blocks of random sizes never overlap, and are as large as asked. */
static void blocks_of_a_zone_never_overlap(void **state)
{
    enum { PAGES = 4096, BLOCKS = 64, ROUNDS = 20000 };
    unsigned char *base = aligned_alloc(HKI_ZONE_PAGE, PAGES * (size_t)HKI_ZONE_PAGE);
    static int owner[PAGES]; /* 0: nobody */
    struct {
        unsigned char *at;
        size_t pages;
    } blocks[BLOCKS + 1] = {{NULL, 0}};
    struct hki_zone zone;
    unsigned seed = 7;

    (void)state;
    assert_int_equal(hki_zone_init(&zone, base, PAGES * (size_t)HKI_ZONE_PAGE), 0);
    for (int round = 0; round < ROUNDS; round++) {
        int which = 1 + (int)((seed = seed * 1103515245 + 12345) >> 16) % BLOCKS;
        size_t size = 1 + (seed >> 8) % (12 * HKI_ZONE_PAGE);
        size_t pages = (size + HKI_ZONE_PAGE - 1) / HKI_ZONE_PAGE;
        bool was_there = blocks[which].at != NULL;
        size_t first;

        if (was_there) {
            hki_zone_free(&zone, blocks[which].at);
            pages = blocks[which].pages;
        } else if (!(blocks[which].at = hki_zone_alloc(&zone, size))) {
            continue; /* used up: blocks are not joined */
        }
        first = (size_t)(blocks[which].at - base) / HKI_ZONE_PAGE;
        for (size_t page = first; page < first + pages; page++) {
            assert_int_equal(owner[page], was_there ? which : 0);
            owner[page] = was_there ? 0 : which;
        }
        blocks[which].pages = pages;
        if (was_there)
            blocks[which].at = NULL;
    }
    hki_zone_fini(&zone);
    free(base);
}

static int frees_twice(void)
{
    hk_shared block;

    (void)hk_shared_alloc(1, &block);
    hk_shared_free(block);
    hk_shared_free(block);
    return 0;
}

static void a_block_that_is_freed_twice_panics(void **state)
{
    struct child child;

    (void)state;
    child = run_child(frees_twice);
    expect_abort(&child);
    expect_words(&child, "no shared memory begins there");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* first: it forks, and must not have threads */
        cmocka_unit_test(a_block_that_is_freed_twice_panics),
        cmocka_unit_test(what_a_worker_writes_the_program_sees_and_the_next_worker),
        cmocka_unit_test(a_worker_neither_allocates_nor_frees),
        cmocka_unit_test(freed_memory_is_used_again),
        cmocka_unit_test(sizes_that_cannot_be_are_refused),
        cmocka_unit_test(blocks_of_a_zone_never_overlap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
