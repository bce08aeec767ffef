/* SPDX-License-Identifier: MIT */
/*
 * The model explorer on the classics: what two or three threads may see of one
 * another's stores, and what it calls a deadlock.
 *
 * Run: once, builds=plain asan clang
 */
#include "model_kit.h"

static struct {
    uint32_t x, y;
    uint32_t seen_x, seen_y;
} litmus;

static void litmus_begin(void *world)
{
    (void)world;
    memset(&litmus, 0, sizeof(litmus));
}

static int litmus_order;

static void store_x_load_y(void *world)
{
    (void)world;
    __atomic_store_n(&litmus.x, 1, litmus_order);
    litmus.seen_y = __atomic_load_n(&litmus.y, __ATOMIC_SEQ_CST);
}

static void store_y_load_x(void *world)
{
    (void)world;
    __atomic_store_n(&litmus.y, 1, litmus_order);
    litmus.seen_x = __atomic_load_n(&litmus.x, __ATOMIC_SEQ_CST);
}

static bool litmus_one_is_seen(void *world)
{
    (void)world;
    return litmus.seen_x || litmus.seen_y;
}

static const hk_model store_buffering = {
    .name = "store_buffering",
    .begin = litmus_begin,
    .end = litmus_one_is_seen,
    .threads = {store_x_load_y, store_y_load_x},
    .delays = 1,
};

static void store_buffering_is_seen_unless_sequentially_consistent(void **state)
{
    hk_model without = store_buffering;

    (void)state;
    litmus_order = __ATOMIC_SEQ_CST;
    expect_all_runs_pass(store_buffering);
    litmus_order = __ATOMIC_RELEASE;
    expect_found(store_buffering, -EPROTO);
    without.delays = 0;
    expect_all_runs_pass(without);
}

static void publish(void *world)
{
    (void)world;
    __atomic_store_n(&litmus.x, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&litmus.y, 1, __ATOMIC_RELEASE);
}

static void receive(void *world)
{
    (void)world;
    while (!__atomic_load_n(&litmus.y, __ATOMIC_ACQUIRE))
        hk_model_yield();
    litmus.seen_x = __atomic_load_n(&litmus.x, __ATOMIC_RELAXED);
}

static void stores_of_one_thread_keep_their_order(void **state)
{
    const hk_model model = {
        .name = "message_passing",
        .begin = litmus_begin,
        .end = litmus_one_is_seen,
        .threads = {publish, receive},
        .delays = 2,
    };

    (void)state;
    expect_all_runs_pass(model);
}

static void count_up(void *world)
{
    uint32_t x = __atomic_load_n(&litmus.x, __ATOMIC_RELAXED);

    (void)world;
    __atomic_store_n(&litmus.x, x + 1, __ATOMIC_RELAXED);
}

static bool litmus_is_three(void *world)
{
    (void)world;
    return litmus.x == 3;
}

static void a_lost_update_is_found(void **state)
{
    const hk_model model = {
        .name = "lost_update",
        .begin = litmus_begin,
        .end = litmus_is_three,
        .threads = {count_up, count_up, count_up},
    };

    (void)state;
    expect_found(model, -EPROTO);
}

static void wait_for_x(void *world)
{
    (void)world;
    while (!__atomic_load_n(&litmus.x, __ATOMIC_RELAXED))
        hk_model_yield();
}

static void waiting_for_nobody_is_a_deadlock(void **state)
{
    const hk_model model = {
        .name = "nobody",
        .begin = litmus_begin,
        .threads = {wait_for_x, wait_for_x},
    };

    (void)state;
    expect_found(model, -EDEADLK);
}

static void no_threads_are_refused(void **state)
{
    const hk_model model = {.name = "empty"};

    (void)state;
    assert_int_equal(hk_model_run(&model, NULL), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(store_buffering_is_seen_unless_sequentially_consistent),
        cmocka_unit_test(stores_of_one_thread_keep_their_order),
        cmocka_unit_test(a_lost_update_is_found),
        cmocka_unit_test(waiting_for_nobody_is_a_deadlock),
        cmocka_unit_test(no_threads_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
