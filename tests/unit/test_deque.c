/* SPDX-License-Identifier: MIT */
/*
 * The work-stealing deque: its two ends, growth, memory that cannot be had, and thieves
 * on threads of their own: every item is had by exactly one.
 * tests/model/test_model_deque.c looks at every order of few operations.
 *
 * Run: builds=plain asan tsan-full clang aarch64
 */
#include "base/deque.h"

#include "support/core_test.h"

enum { ITEMS = 20000, THIEVES = 3 };

static int numbers[ITEMS];

static void the_owner_takes_what_came_last_a_thief_what_came_first(void **state)
{
    struct hki_deque deque;
    void *item;

    (void)state;
    assert_int_equal(hki_deque_init(&deque, 4), 0);
    assert_null(hki_deque_take(&deque));
    assert_int_equal(hki_deque_steal(&deque, &item), HKI_STEAL_EMPTY);
    for (int i = 0; i < 3; i++)
        assert_int_equal(hki_deque_push(&deque, &numbers[i]), 0);
    assert_int_equal(hki_deque_count(&deque), 3);
    assert_ptr_equal(hki_deque_take(&deque), &numbers[2]);
    assert_int_equal(hki_deque_steal(&deque, &item), HKI_STOLEN);
    assert_ptr_equal(item, &numbers[0]);
    assert_ptr_equal(hki_deque_take(&deque), &numbers[1]);
    assert_null(hki_deque_take(&deque));
    assert_int_equal(hki_deque_count(&deque), 0);
    hki_deque_fini(&deque);
}

static void a_full_ring_grows_and_keeps_its_items(void **state)
{
    struct hki_deque deque;
    void *item;

    (void)state;
    assert_int_equal(hki_deque_init(&deque, 2), 0);
    for (int i = 0; i < 5; i++) { /* so that they wrap round */
        assert_int_equal(hki_deque_push(&deque, &numbers[i]), 0);
        assert_int_equal(hki_deque_steal(&deque, &item), HKI_STOLEN);
    }
    for (int i = 0; i < 100; i++)
        assert_int_equal(hki_deque_push(&deque, &numbers[i]), 0);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(hki_deque_steal(&deque, &item), HKI_STOLEN);
        assert_ptr_equal(item, &numbers[i]);
    }
    for (int i = 99; i >= 50; i--)
        assert_ptr_equal(hki_deque_take(&deque), &numbers[i]);
    assert_null(hki_deque_take(&deque));
    hki_deque_fini(&deque);
}

static void without_memory_a_push_fails_and_nothing_is_lost(void **state)
{
    struct hki_deque deque;

    (void)state;
    hk_fault_arm(HK_FAULT_ALLOC, 1, -ENOMEM);
    assert_int_equal(hki_deque_init(&deque, 2), -ENOMEM);
    hki_deque_fini(&deque); /* half-built */
    assert_int_equal(hki_deque_init(&deque, 2), 0);
    assert_int_equal(hki_deque_push(&deque, &numbers[0]), 0);
    assert_int_equal(hki_deque_push(&deque, &numbers[1]), 0);
    hk_fault_arm(HK_FAULT_ALLOC, 1, -ENOMEM);
    assert_int_equal(hki_deque_push(&deque, &numbers[2]), -ENOMEM);
    assert_int_equal(hki_deque_push(&deque, &numbers[2]), 0);
    for (int i = 2; i >= 0; i--)
        assert_ptr_equal(hki_deque_take(&deque), &numbers[i]);
    hki_deque_fini(&deque);
}

/* ---- on threads ---- */

static struct {
    struct hki_deque deque;
    bool closed; /* atomic */
} shared;

static void note_item(void *item)
{
    __atomic_add_fetch((int *)item, 1, __ATOMIC_RELAXED);
}

static void *steal_all(void *arg)
{
    void *item;

    (void)arg;
    for (;;) {
        bool closed = __atomic_load_n(&shared.closed, __ATOMIC_ACQUIRE);

        switch (hki_deque_steal(&shared.deque, &item)) {
        case HKI_STOLEN: note_item(item); break;
        case HKI_STEAL_EMPTY:
            if (closed)
                return NULL;
            sched_yield();
            break;
        case HKI_STEAL_LOST: break;
        }
    }
}

static void every_item_is_had_once(void **state)
{
    pthread_t thieves[THIEVES];
    uint64_t random = seed_of_run(11);
    void *item;

    (void)state;
    memset(numbers, 0, sizeof(numbers));
    shared.closed = false;
    assert_int_equal(hki_deque_init(&shared.deque, 2), 0);
    for (int i = 0; i < THIEVES; i++)
        assert_int_equal(pthread_create(&thieves[i], NULL, steal_all, NULL), 0);
    for (int i = 0; i < ITEMS; i++) {
        assert_int_equal(hki_deque_push(&shared.deque, &numbers[i]), 0);
        if (below(&random, 2) && (item = hki_deque_take(&shared.deque)))
            note_item(item);
    }
    while ((item = hki_deque_take(&shared.deque)))
        note_item(item);
    __atomic_store_n(&shared.closed, true, __ATOMIC_RELEASE);
    for (int i = 0; i < THIEVES; i++)
        pthread_join(thieves[i], NULL);
    hki_deque_fini(&shared.deque);
    for (int i = 0; i < ITEMS; i++)
        assert_int_equal(numbers[i], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_owner_takes_what_came_last_a_thief_what_came_first),
        cmocka_unit_test(a_full_ring_grows_and_keeps_its_items),
        cmocka_unit_test(without_memory_a_push_fails_and_nothing_is_lost),
        cmocka_unit_test(every_item_is_had_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
