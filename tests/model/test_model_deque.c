/* SPDX-License-Identifier: MIT */
/*
 * Models of the work-stealing deque: an owner and two thieves around the last items,
 * with and without growth. Every item is had by exactly one.
 *
 * Run: once, builds=plain asan clang
 */
#include "model_kit.h"

#include "base/deque.h"

enum { ITEMS = 3 };

static struct {
    struct hki_deque deque;
    int items[ITEMS];
    int had[ITEMS];
} world;

static void begin_with(size_t size)
{
    hki_deque_fini(&world.deque);
    memset(&world, 0, sizeof(world));
    if (hki_deque_init(&world.deque, size) < 0)
        abort();
}

static void begin_roomy(void *unused)
{
    (void)unused;
    begin_with(4);
}

static void begin_tight(void *unused)
{
    (void)unused;
    begin_with(1);
}

static void have(void *item)
{
    if (item)
        world.had[(int *)item - world.items]++;
}

static void push_and_take(void *unused)
{
    (void)unused;
    for (int i = 0; i < ITEMS; i++)
        MODEL_EXPECT(hki_deque_push(&world.deque, &world.items[i]) == 0);
    for (int i = 0; i < ITEMS; i++)
        have(hki_deque_take(&world.deque));
}

static void push_take_push(void *unused)
{
    (void)unused;
    for (int i = 0; i < ITEMS; i++) {
        MODEL_EXPECT(hki_deque_push(&world.deque, &world.items[i]) == 0);
        if (i != 1)
            have(hki_deque_take(&world.deque));
    }
}

static void steal_twice(void *unused)
{
    void *item;

    (void)unused;
    for (int i = 0; i < 2; i++)
        if (hki_deque_steal(&world.deque, &item) == HKI_STOLEN)
            have(item);
}

static bool each_is_had_once(void *unused)
{
    void *item;

    (void)unused;
    while ((item = hki_deque_take(&world.deque)))
        have(item);
    for (int i = 0; i < ITEMS; i++)
        if (world.had[i] != 1)
            return false;
    return true;
}

static void deque_gives_each_item_once(void **state)
{
    const hk_model model = {
        .name = "deque",
        .begin = begin_roomy,
        .end = each_is_had_once,
        .threads = {push_and_take, steal_twice, steal_twice},
        .delays = 2,
    };
    hk_model other = model;

    (void)state;
    expect_all_runs_pass(model);
    other.name = "deque_in_turns";
    other.threads[0] = push_take_push;
    expect_all_runs_pass(other);
}

static void deque_grows_under_its_thieves(void **state)
{
    const hk_model model = {
        .name = "deque_grows",
        .begin = begin_tight,
        .end = each_is_had_once,
        .threads = {push_and_take, steal_twice},
        .delays = 2,
    };

    (void)state;
    expect_all_runs_pass(model);
}

/* The mistake: the owner's store of bottom is too weak, so that a thief and the owner
 * each have the last item but one. */
static void *take_weakly(struct hki_deque *deque)
{
    int64_t bottom = __atomic_load_n(&deque->bottom, __ATOMIC_RELAXED) - 1;
    int64_t top;

    __atomic_store_n(&deque->bottom, bottom, __ATOMIC_RELEASE);
    top = __atomic_load_n(&deque->top, __ATOMIC_ACQUIRE);
    if (top < bottom)
        return __atomic_load_n(hki_deque_slot(hki_deque_ring_of(deque), bottom),
                               __ATOMIC_RELAXED);
    __atomic_store_n(&deque->bottom, bottom + 1, __ATOMIC_RELAXED);
    return NULL; /* the last one stays */
}

static void push_and_take_weakly(void *unused)
{
    (void)unused;
    for (int i = 0; i < ITEMS; i++)
        MODEL_EXPECT(hki_deque_push(&world.deque, &world.items[i]) == 0);
    have(take_weakly(&world.deque));
}

static void steal_thrice(void *unused)
{
    void *item;

    steal_twice(unused);
    if (hki_deque_steal(&world.deque, &item) == HKI_STOLEN)
        have(item);
}

static void a_deque_with_too_weak_orders_is_found(void **state)
{
    const hk_model model = {
        .name = "deque_weak",
        .begin = begin_roomy,
        .end = each_is_had_once,
        .threads = {push_and_take_weakly, steal_thrice},
        .delays = 1,
    };

    (void)state;
    expect_found(model, -EPROTO);
}

static int end_world(void **state)
{
    (void)state;
    hki_deque_fini(&world.deque);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deque_gives_each_item_once),
        cmocka_unit_test(deque_grows_under_its_thieves),
        cmocka_unit_test(a_deque_with_too_weak_orders_is_found),
    };

    return cmocka_run_group_tests(tests, NULL, end_world);
}
