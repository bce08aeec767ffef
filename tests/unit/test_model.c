/* SPDX-License-Identifier: MIT */
/*
 * The model explorer as users have it: <hocket/model_atomics.h> takes over the atomic
 * operations of a file, in every form and size; a failure tells the choices that replay
 * it; a model has its limits. What it finds in hocket is in tests/model.
 *
 * In TSan's logical mode the threads of a model would be tasks that race.
 *
 * Run: once, builds=plain asan tsan-full clang aarch64
 */
#include <hocket/model_atomics.h>

#include "support/core_test.h"

#include <stdatomic.h>

/* ---- outside of a model they are just operations ---- */

static void every_operation_does_what_it_says(void **state)
{
    uint8_t small = 250;
    int32_t number = -5;
    uint64_t large = UINT64_C(1) << 40;
    int *pointer = NULL, target, *expected = NULL;

    (void)state;
    assert_int_equal(__atomic_add_fetch(&small, 10, __ATOMIC_RELAXED), 4);
    assert_int_equal(__atomic_fetch_sub(&small, 5, __ATOMIC_RELAXED), 4);
    assert_int_equal(__atomic_load_n(&small, __ATOMIC_RELAXED), 255);
    assert_int_equal(__atomic_fetch_add(&number, 2, __ATOMIC_SEQ_CST), -5);
    assert_int_equal(__atomic_sub_fetch(&number, 1, __ATOMIC_SEQ_CST), -4);
    assert_int_equal(__atomic_exchange_n(&number, -9, __ATOMIC_ACQ_REL), -4);
    assert_int_equal(number, -9);
    assert_true(__atomic_or_fetch(&large, 5, __ATOMIC_RELAXED) ==
                ((UINT64_C(1) << 40) | 5));
    assert_true(__atomic_fetch_and(&large, 6, __ATOMIC_RELAXED) ==
                ((UINT64_C(1) << 40) | 5));
    assert_true(__atomic_xor_fetch(&large, 7, __ATOMIC_RELAXED) == (4 ^ 7));
    __atomic_store_n(&pointer, &target, __ATOMIC_RELEASE);
    assert_false(__atomic_compare_exchange_n(&pointer, &expected, NULL, false,
                                             __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
    assert_ptr_equal(expected, &target);
    assert_true(__atomic_compare_exchange_n(&pointer, &expected, NULL, false,
                                            __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
    assert_null(__atomic_load_n(&pointer, __ATOMIC_ACQUIRE));
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    hk_model_yield();
    hk_model_wait(NULL, 0, false);
    hk_model_wake(NULL, 1);
    hk_model_fail("nothing");
}

/* gcc and clang make them of different builtins. */
static void so_does_every_operation_of_c11(void **state)
{
    _Atomic uint8_t small = 250;
    atomic_int number = -5;
    int *_Atomic pointer = NULL, target, *expected = NULL;

    (void)state;
    assert_int_equal(atomic_fetch_add(&small, 10), 250);
    assert_int_equal(atomic_load(&small), 4);
    assert_int_equal(atomic_fetch_sub_explicit(&small, 5, memory_order_relaxed), 4);
    assert_int_equal(atomic_fetch_and(&small, 0x3c), 255);
    assert_int_equal(atomic_fetch_or(&small, 1), 0x3c);
    assert_int_equal(atomic_fetch_xor(&small, 0xff), 0x3d);
    assert_int_equal(atomic_load_explicit(&small, memory_order_acquire), 0xc2);
    assert_int_equal(atomic_exchange(&number, -9), -5);
    assert_int_equal(atomic_load(&number), -9);
    atomic_store(&pointer, &target);
    assert_false(atomic_compare_exchange_strong(&pointer, &expected, NULL));
    assert_ptr_equal(expected, &target);
    assert_true(atomic_compare_exchange_weak(&pointer, &expected, NULL));
    assert_null(atomic_load(&pointer));
    atomic_thread_fence(memory_order_seq_cst);
}

/* ---- a lock in C11, right and wrong ---- */

static struct {
    atomic_int locked;
    int inside, visits;
} flag;

static bool wrong;

static void flag_begin(void *world)
{
    (void)world;
    memset(&flag, 0, sizeof(flag));
}

static void flag_acquire(void)
{
    int free = 0;

    if (wrong) {
        while (atomic_load_explicit(&flag.locked, memory_order_acquire))
            hk_model_yield();
        atomic_store_explicit(&flag.locked, 1, memory_order_relaxed);
        return;
    }
    while (!atomic_compare_exchange_strong(&flag.locked, &free, 1)) {
        free = 0;
        hk_model_yield();
    }
}

static void visit(void *world)
{
    (void)world;
    flag_acquire();
    if (__atomic_add_fetch(&flag.inside, 1, __ATOMIC_RELAXED) != 1)
        hk_model_fail("two are inside");
    flag.visits++;
    __atomic_sub_fetch(&flag.inside, 1, __ATOMIC_RELAXED);
    atomic_store_explicit(&flag.locked, 0, memory_order_release);
}

static bool all_have_visited(void *world)
{
    (void)world;
    return flag.visits == 3;
}

static const hk_model flag_model = {
    .name = "flag",
    .begin = flag_begin,
    .end = all_have_visited,
    .threads = {visit, visit, visit},
};

static char logged[4096];

static void keep_log(hk_log_level level, const char *line, void *ctx)
{
    (void)level;
    (void)ctx;
    strncat(logged, line, sizeof(logged) - strlen(logged) - 1);
}

static int run_logged(const hk_model *model, hk_model_result *out)
{
    int rc;

    logged[0] = '\0';
    hk_log_to(keep_log, NULL);
    rc = hk_model_run(model, out);
    hk_log_to(NULL, NULL);
    return rc;
}

static void a_right_lock_passes(void **state)
{
    hk_model_result result;

    (void)state;
    wrong = false;
    assert_int_equal(hk_model_run(&flag_model, &result), 0);
    assert_true(result.runs > 100);
    assert_true(result.points >= 9);
    assert_string_equal(result.choices, "");
}

static void a_wrong_one_fails_and_is_replayed(void **state)
{
    hk_model_result result, again;
    char wish[300];

    (void)state;
    wrong = true;
    assert_int_equal(run_logged(&flag_model, &result), -EPROTO);
    assert_non_null(strstr(logged, "two are inside"));
    snprintf(wish, sizeof(wish), "flag:%s", result.choices);
    assert_non_null(strstr(logged, wish));
    setenv("HOCKET_MODEL", wish, 1);
    assert_int_equal(run_logged(&flag_model, &again), -EPROTO);
    assert_int_equal(again.runs, 1);
    assert_string_equal(again.choices, result.choices);
    assert_non_null(strstr(logged, "thread 1: load"));
    setenv("HOCKET_MODEL", "other:1=1", 1);
    assert_int_equal(hk_model_run(&flag_model, &again), 0);
    assert_int_equal(again.runs, 0);
    unsetenv("HOCKET_MODEL");
}

static void choices_that_cannot_be_read_are_refused(void **state)
{
    (void)state;
    wrong = false;
    setenv("HOCKET_MODEL", "flag:what", 1);
    assert_int_equal(hk_model_run(&flag_model, NULL), -EINVAL);
    setenv("HOCKET_MODEL", "flag:0=99", 1); /* no such option */
    assert_int_equal(run_logged(&flag_model, NULL), -EILSEQ);
    assert_non_null(strstr(logged, "did not run alike"));
    unsetenv("HOCKET_MODEL");
}

/* ---- limits ---- */

static void count_for_ever(void *world)
{
    (void)world;
    for (;;)
        __atomic_add_fetch(&flag.visits, 1, __ATOMIC_RELAXED);
}

static void a_run_without_an_end_is_ended(void **state)
{
    const hk_model model = {.name = "endless", .threads = {count_for_ever}};

    (void)state;
    assert_int_equal(run_logged(&model, NULL), -ELOOP);
}

static void runs_can_be_limited(void **state)
{
    hk_model model = flag_model;
    hk_model_result result;

    (void)state;
    wrong = false;
    model.runs_max = 2;
    assert_int_equal(hk_model_run(&model, &result), -E2BIG);
    assert_int_equal(result.runs, 2);
}

static int whim = 5; /* less and less */

static void act_on_a_whim(void *world)
{
    (void)world;
    for (int i = 0; i < whim; i++)
        __atomic_add_fetch(&flag.visits, 1, __ATOMIC_RELAXED);
    whim--;
}

static void a_program_that_does_not_run_alike_is_noticed(void **state)
{
    const hk_model model = {
        .name = "whim",
        .threads = {act_on_a_whim, act_on_a_whim},
    };

    (void)state;
    assert_int_equal(run_logged(&model, NULL), -EILSEQ);
}

static uint32_t word;

static void sleep_on_it(void *world)
{
    (void)world;
    hk_model_wait(&word, 0, true);
    __atomic_store_n(&flag.visits, 3, __ATOMIC_RELAXED);
}

static void a_wait_times_out_when_all_others_wait(void **state)
{
    const hk_model model = {
        .name = "timeout",
        .begin = flag_begin,
        .end = all_have_visited,
        .threads = {sleep_on_it, sleep_on_it},
    };

    (void)state;
    assert_int_equal(hk_model_run(&model, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operation_does_what_it_says),
        cmocka_unit_test(so_does_every_operation_of_c11),
        cmocka_unit_test(a_right_lock_passes),
        cmocka_unit_test(a_wrong_one_fails_and_is_replayed),
        cmocka_unit_test(choices_that_cannot_be_read_are_refused),
        cmocka_unit_test(a_run_without_an_end_is_ended),
        cmocka_unit_test(runs_can_be_limited),
        cmocka_unit_test(a_program_that_does_not_run_alike_is_noticed),
        cmocka_unit_test(a_wait_times_out_when_all_others_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
