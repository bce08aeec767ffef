/* SPDX-License-Identifier: MIT */
/*
 * Memory of jobs goes round: threads take blocks, write into every one, pass them on,
 * and others find what was written and give them back. No block has two owners, and for
 * the ledger nothing is left. Under the sanitizers blocks are malloc's.
 */
#include "support/core_test.h"

#include "base/alloc.h"
#include "exec/job_memory.h"

#include <sched.h>

enum {
    RING = 4096, /* blocks on their way */
    ROUNDS = 200000,
    SMALL = 300,
    LARGE = 500,
};

struct lane {
    void *ring[RING]; /* atomic; NULL: free */
    pthread_t taker, giver;
    uint64_t number;
    long rounds;
};

static size_t bytes_of(long round)
{
    return round % 7 ? SMALL : LARGE;
}

static void *takes(void *arg)
{
    struct lane *lane = arg;

    for (long i = 0; i < lane->rounds; i++) {
        uint64_t *block = hki_job_memory_take(bytes_of(i));
        void **place = &lane->ring[i % RING];

        CHECK(block && (uintptr_t)block % 16 == 0);
        block[0] = lane->number;
        block[1] = (uint64_t)i;
        block[bytes_of(i) / sizeof(*block) - 1] = (uint64_t)i;
        while (__atomic_load_n(place, __ATOMIC_ACQUIRE))
            sched_yield();
        __atomic_store_n(place, block, __ATOMIC_RELEASE);
    }
    return NULL;
}

static void *gives(void *arg)
{
    struct lane *lane = arg;

    for (long i = 0; i < lane->rounds; i++) {
        void **place = &lane->ring[i % RING];
        uint64_t *block;

        while (!(block = __atomic_load_n(place, __ATOMIC_ACQUIRE)))
            sched_yield();
        __atomic_store_n(place, NULL, __ATOMIC_RELEASE);
        CHECK_EQ(block[0], lane->number);
        CHECK_EQ(block[1], i);
        CHECK_EQ(block[bytes_of(i) / sizeof(*block) - 1], i);
        hki_job_memory_give(block, bytes_of(i));
    }
    return NULL;
}

static void blocks_go_from_thread_to_thread(void **state)
{
    enum { LANES = 3 };
    static struct lane lanes[LANES];
    uint64_t before = hki_alloc_bytes();

    (void)state;
    for (uint64_t i = 0; i < LANES; i++) {
        lanes[i].number = i;
        lanes[i].rounds = scaled(ROUNDS, ROUNDS / 20);
        CHECK_EQ(pthread_create(&lanes[i].taker, NULL, takes, &lanes[i]), 0);
        CHECK_EQ(pthread_create(&lanes[i].giver, NULL, gives, &lanes[i]), 0);
    }
    for (int i = 0; i < LANES; i++) {
        CHECK_EQ(pthread_join(lanes[i].taker, NULL), 0);
        CHECK_EQ(pthread_join(lanes[i].giver, NULL), 0);
    }
    assert_int_equal(hki_alloc_bytes(), before);
}

static void many_blocks_at_once_and_back(void **state)
{
    enum { BLOCKS = 100000 };
    uint64_t before = hki_alloc_bytes();
    void **blocks = calloc(BLOCKS, sizeof(*blocks));

    (void)state;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < BLOCKS; i++) {
            blocks[i] = hki_job_memory_take(SMALL);
            assert_non_null(blocks[i]);
            *(int *)blocks[i] = i;
        }
        assert_true(hki_alloc_bytes() >= before + (uint64_t)BLOCKS * SMALL);
        for (int i = 0; i < BLOCKS; i++) {
            assert_int_equal(*(int *)blocks[i], i);
            hki_job_memory_give(blocks[i], SMALL);
        }
        assert_int_equal(hki_alloc_bytes(), before);
    }
    free(blocks);
}

static void a_fault_is_met(void **state)
{
    void *kept = hki_job_memory_take(SMALL);

    (void)state;
    hki_job_memory_give(kept, SMALL); /* there is one now */
    hk_fault_arm(HK_FAULT_ALLOC, 1, -ENOMEM);
    assert_null(hki_job_memory_take(SMALL));
    hk_fault_arm(HK_FAULT_ALLOC, 0, 0);
    kept = hki_job_memory_take(SMALL);
    assert_non_null(kept);
    hki_job_memory_give(kept, SMALL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_go_from_thread_to_thread),
        cmocka_unit_test(many_blocks_at_once_and_back),
        cmocka_unit_test(a_fault_is_met),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
