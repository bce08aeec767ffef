/* SPDX-License-Identifier: MIT */
/*
 * Task-local values: own to each task, destroyed on it when it ends, thread-local on a
 * plain thread. Destructors leave their traces in counters.
 */
#include "support/core_test.h"

static int destroyed;

static void count_destroyed(void *value)
{
    CHECK(value != NULL);
    __atomic_add_fetch(&destroyed, 1, __ATOMIC_RELAXED);
    free(value);
}

static hk_local plain = HK_LOCAL_INIT(NULL);
static hk_local owned = HK_LOCAL_INIT(count_destroyed);
static hk_local others[50];

static int set_and_yield(void *arg)
{
    CHECK(hk_local_get(&plain) == NULL);
    CHECK_EQ(hk_local_set(&plain, arg), 0);
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(hk_yield(), 0);
        CHECK(hk_local_get(&plain) == arg);
    }
    return 0;
}

TASK_TEST(local_values_belong_to_one_task)
{
    hk_scope s = HK_SCOPE_INIT;
    int values[20];

    CHECK(hk_local_get(&plain) == NULL);
    CHECK_EQ(hk_local_set(&plain, &s), 0);
    hk_scope_open(&s);
    for (int i = 0; i < 20; i++)
        hk_spawn(&s, set_and_yield, &values[i]);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK(hk_local_get(&plain) == &s);
    return 0;
}

static int own_one(void *arg)
{
    (void)arg;
    CHECK(hk_local_get(&owned) == NULL); /* the stack was another task's before */
    CHECK_EQ(hk_local_set(&owned, malloc(1)), 0);
    return 0;
}

TASK_TEST(local_values_are_destroyed_when_their_task_ends)
{
    hk_scope s = HK_SCOPE_INIT;

    destroyed = 0;
    hk_scope_open(&s);
    for (int i = 0; i < 100; i++)
        hk_spawn(&s, own_one, NULL);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(__atomic_load_n(&destroyed, __ATOMIC_RELAXED), 100);
    return 0;
}

static int set_twice_then_null(void *arg)
{
    void *first = malloc(1), *second = malloc(1);

    (void)arg;
    CHECK_EQ(hk_local_set(&owned, first), 0);
    CHECK_EQ(hk_local_set(&owned, second), 0); /* the old one is not destroyed */
    CHECK(hk_local_get(&owned) == second);
    CHECK_EQ(hk_local_set(&owned, NULL), 0);
    free(first);
    free(second);
    return 0;
}

TASK_TEST(local_null_is_not_destroyed)
{
    hk_scope s = HK_SCOPE_INIT;

    destroyed = 0;
    hk_scope_open(&s);
    hk_spawn(&s, set_twice_then_null, NULL);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(__atomic_load_n(&destroyed, __ATOMIC_RELAXED), 0);
    return 0;
}

static hk_local stubborn;
static int stubborn_rounds;

static void set_again(void *value)
{
    stubborn_rounds++;
    CHECK_EQ(hk_local_set(&stubborn, value), 0);
}

static int be_stubborn(void *arg)
{
    return hk_local_set(&stubborn, arg);
}

/* The ledger of the run shows that nothing is leaked. */
TASK_TEST(local_destructor_that_sets_again_is_called_a_few_times_and_leaks_nothing)
{
    hk_scope s = HK_SCOPE_INIT;

    stubborn.destroy = set_again;
    stubborn_rounds = 0;
    hk_scope_open(&s);
    hk_spawn(&s, be_stubborn, &s);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK(stubborn_rounds >= 1 && stubborn_rounds <= 10);
    return 0;
}

static void wait_and_free(void *value)
{
    CHECK_EQ(hk_sleep(10), 0); /* on that task, so it may wait */
    free(value);
}

static hk_local waiting = HK_LOCAL_INIT(wait_and_free);

static int own_waiting(void *arg)
{
    (void)arg;
    return hk_local_set(&waiting, malloc(1));
}

TASK_TEST(local_destructor_may_wait)
{
    hk_scope s = HK_SCOPE_INIT;
    int64_t begin = hk_now();

    hk_scope_open(&s);
    hk_spawn(&s, own_waiting, NULL);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(hk_now(), begin + 10);
    return 0;
}

TASK_TEST(local_set_that_gets_no_memory_leaves_everything_as_it_was)
{
    CHECK_EQ(hk_local_set(&others[0], &others[0]), 0);
    hk_fault_arm(HK_FAULT_ALLOC, 1, -ENOMEM);
    CHECK_EQ(hk_local_set(&others[49], &others[1]), -ENOMEM);
    hk_fault_arm(HK_FAULT_ALLOC, 0, 0);
    CHECK(hk_local_get(&others[49]) == NULL);
    CHECK(hk_local_get(&others[0]) == &others[0]);
    for (int i = 0; i < 50; i++)
        CHECK_EQ(hk_local_set(&others[i], &others[i]), 0);
    for (int i = 0; i < 50; i++)
        CHECK(hk_local_get(&others[i]) == &others[i]);
    return 0;
}

static void *own_on_a_thread(void *arg)
{
    (void)arg;
    CHECK_EQ(own_one(NULL), 0);
    return NULL;
}

static void local_values_of_a_thread_are_destroyed_when_it_ends(void **state)
{
    pthread_t threads[4];

    (void)state;
    destroyed = 0;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, own_on_a_thread, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(destroyed, 4);
}

/* All threads use one new variable at once: it gets one key. */
static hk_local fresh[200];

static void *use_fresh(void *arg)
{
    for (int i = 0; i < 200; i++)
        CHECK_EQ(hk_local_set(&fresh[i], (char *)arg + i), 0);
    for (int i = 0; i < 200; i++)
        CHECK(hk_local_get(&fresh[i]) == (char *)arg + i);
    return NULL;
}

static void local_first_use_by_several_threads_at_once(void **state)
{
    static char marks[4][200];
    pthread_t threads[4];

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_fresh, marks[i]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

static void get_in_callback(hk_timer *timer)
{
    (void)timer;
    (void)hk_local_get(&plain);
}

PANIC_IN_A_TASK(local_in_a_callback_panics, "callback of the event loop")
{
    hk_timer t = {0};

    hk_timer_set(&t, hk_now() + 1, get_in_callback);
    return hk_sleep(5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(local_in_a_callback_panics),
        cmocka_unit_test(local_values_belong_to_one_task),
        cmocka_unit_test(local_values_are_destroyed_when_their_task_ends),
        cmocka_unit_test(local_null_is_not_destroyed),
        cmocka_unit_test(
            local_destructor_that_sets_again_is_called_a_few_times_and_leaks_nothing),
        cmocka_unit_test(local_destructor_may_wait),
        cmocka_unit_test(local_set_that_gets_no_memory_leaves_everything_as_it_was),
        cmocka_unit_test(local_values_of_a_thread_are_destroyed_when_it_ends),
        cmocka_unit_test(local_first_use_by_several_threads_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
