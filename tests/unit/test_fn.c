/* SPDX-License-Identifier: MIT */
/*
 * HK_FN: a function of each shape is run as a plain function and as a job, and must
 * give the same; what is refused by the compiler is in tests/meta/test_fn.py.
 */
#include "support/core_test.h"

#include "exec/fn.h"
#include "exec/pack.h"

struct point {
    int x, y;
};

HK_FN_DECL(double, do_math, (long, start), (long, end));
HK_FN(double, do_math, (long, start), (long, end))
{
    return (double)(end - start);
}

static int ticks;

HK_FN(void, tick)
{
    __atomic_add_fetch(&ticks, 1, __ATOMIC_RELAXED);
}

HK_FN(hk_rc, give_back, (int, rc))
{
    return rc;
}

HK_FN(struct point, add_points, (struct point, a), (const struct point, b))
{
    return (struct point){a.x + b.x, a.y + b.y};
}

HK_FN(hk_bytes, doubled, (hk_bytes, in))
{
    unsigned char *twice = malloc(2 * in.size + 1);

    CHECK(twice);
    if (in.size) {
        memcpy(twice, in.data, in.size);
        memcpy(twice + in.size, in.data, in.size);
    }
    return (hk_bytes){twice, 2 * in.size};
}

HK_FN(hk_str, greeting, (hk_str, name), (hk_str, mark))
{
    char *text = malloc(100);

    CHECK(text);
    snprintf(text, 100, "hello %s%s", name, mark ? mark : "");
    return text;
}

HK_FN(hk_str, nothing)
{
    return NULL;
}

HK_FN(long, sum_of_eight, (bool, a), (char, b), (short, c), (int, d), (long, e),
      (float, f), (double, g), (hk_str, h))
{
    return a + b + c + d + e + (long)f + (long)g + (long)strlen(h);
}

HK_FN(int, fails, (int, error))
{
    hk_job_fail(error);
    hk_job_fail(-EXDEV); /* the first counts */
    return 7;
}

HK_FN(double, large, (long, a))
{
    return (double)a;
}

struct large {
    char bytes[100];
};

HK_FN(struct large, large_one, (struct large, in))
{
    in.bytes[99]++;
    return in;
}

HK_FN_LOCAL(int *, next_int, (int *, p))
{
    return p + 1;
}

TASK_TEST(a_function_gives_as_a_job_what_it_gives_plainly)
{
    hk_future *f = do_math_on(hk_tasks(), 5, 100);
    double result = 0;

    CHECK(do_math(5, 100) == 95.0);
    CHECK_EQ(do_math_await(f, &result), 0);
    CHECK(result == 95.0);
    CHECK_EQ(do_math_await(f, NULL), 0);
    hk_future_free(f);
    return 0;
}

TASK_TEST(a_function_without_arguments_and_result)
{
    hk_future *f = tick_on(hk_tasks());
    int before = ticks;

    CHECK_EQ(tick_await(f), 0);
    CHECK_EQ(ticks, before + 1);
    hk_future_free(f);
    return 0;
}

TASK_TEST(an_rc_is_the_jobs)
{
    hk_future *good = give_back_on(hk_tasks(), 42);
    hk_future *bad = give_back_on(hk_tasks(), -ENOENT);

    CHECK_EQ(give_back_await(good), 42);
    CHECK_EQ(give_back_await(bad), -ENOENT);
    hk_future_free(good);
    hk_future_free(bad);
    return 0;
}

TASK_TEST(structs_cross)
{
    hk_future *f =
        add_points_on(hk_tasks(), (struct point){1, 2}, (struct point){3, 4});
    struct point p;

    CHECK_EQ(add_points_await(f, &p), 0);
    CHECK(p.x == 4 && p.y == 6);
    hk_future_free(f);
    return 0;
}

TASK_TEST(a_result_may_be_larger_than_a_future)
{
    struct large in = {{0}}, out;
    hk_future *f;

    in.bytes[0] = 'a';
    in.bytes[99] = 'b';
    f = large_one_on(hk_tasks(), in);
    CHECK_EQ(large_one_await(f, &out), 0);
    CHECK(out.bytes[0] == 'a' && out.bytes[99] == 'c');
    hk_future_free(f);
    return 0;
}

TASK_TEST(bytes_are_copied_for_the_job)
{
    char text[] = "abc";
    hk_future *f = doubled_on(hk_tasks(), (hk_bytes){text, 3});
    hk_future *none = doubled_on(hk_tasks(), (hk_bytes){NULL, 0});
    hk_bytes out;

    memset(text, 'x', 3);
    CHECK_EQ(doubled_await(f, &out), 0);
    CHECK_EQ(out.size, 6);
    CHECK(memcmp(out.data, "abcabc", 6) == 0);
    hk_future_free(f);
    CHECK_EQ(doubled_await(none, &out), 0);
    CHECK_EQ(out.size, 0);
    hk_future_free(none);
    return 0;
}

TASK_TEST(strings_are_copied_and_null_is_one)
{
    char name[] = "you";
    hk_future *f = greeting_on(hk_tasks(), name, NULL), *none = nothing_on(hk_tasks());
    hk_str text;

    memset(name, 'x', 3);
    CHECK_EQ(greeting_await(f, &text), 0);
    CHECK(strcmp(text, "hello you") == 0);
    CHECK_EQ(nothing_await(none, &text), 0);
    CHECK(!text);
    hk_future_free(f);
    hk_future_free(none);
    return 0;
}

TASK_TEST(eight_arguments)
{
    hk_future *f = sum_of_eight_on(hk_tasks(), true, 2, 3, 4, 5, 6, 7, "12345678");
    long sum;

    CHECK_EQ(sum_of_eight_await(f, &sum), 0);
    CHECK_EQ(sum, 36);
    hk_future_free(f);
    return 0;
}

TASK_TEST(any_function_can_fail_its_job)
{
    hk_future *f = fails_on(hk_tasks(), -EILSEQ), *good = do_math_on(hk_tasks(), 0, 1);
    int untouched = 3;
    double result;

    CHECK_EQ(fails_await(f, &untouched), -EILSEQ);
    CHECK_EQ(untouched, 3);
    CHECK_EQ(do_math_await(good, &result), 0);
    hk_future_free(f);
    hk_future_free(good);
    return 0;
}

TASK_TEST(a_local_function_takes_pointers)
{
    int numbers[2] = {1, 2}, *p;
    hk_future *f = next_int_on(hk_in_process(hk_tasks()), numbers);

    CHECK_EQ(next_int_await(f, &p), 0);
    CHECK(p == &numbers[1]);
    hk_future_free(f);
    return 0;
}

PANIC_IN_A_TASK(a_result_of_another_function_panics,
                "large_await of a future of 'tick'")
{
    double result;

    return large_await(tick_on(hk_tasks()), &result);
}

PANIC_IN_A_TASK(a_promise_of_other_bytes_panics,
                "large_await of a future with 3 bytes that are no result of it")
{
    hk_future *f = hk_future_new();
    double result;

    hk_future_set(f, 0, "ab", 3);
    return large_await(f, &result);
}

PANIC_TEST(two_functions_with_one_key_panic,
           "two functions of HK_FN are called 'tick' in the program")
{
    static hk_fn again;

    again = *tick_fn();
    hk_fn_register(&again);
    return 0;
}

static void functions_are_found_by_their_key(void **state)
{
    (void)state;
    assert_ptr_equal(hki_fn_find(tick_fn()->hki_module, "tick"), tick_fn());
    assert_null(hki_fn_find(tick_fn()->hki_module, "tock"));
    assert_null(hki_fn_find("elsewhere", "tick"));
}

/* Offsets that lead out of an image are refused: it may come from another process. */
static void images_are_checked(void **state)
{
    const hk_fn *fn = greeting_fn();
    struct greeting_args args = {"name", "!"};
    _Alignas(16) unsigned char image[128];
    size_t size = hki_pack_size(fn, &args);

    (void)state;
    assert_true(size <= sizeof(image));
    hki_pack(fn, &args, image);
    assert_int_equal(hki_unpack(fn, image, fn->args_size - 1), -EBADMSG);
    assert_int_equal(hki_unpack(fn, image, size), 0);
    assert_string_equal(((struct greeting_args *)(void *)image)->name, "name");
    hki_pack(fn, &args, image);
    memset(image + 16, 'x', size - 16); /* no '\0' */
    assert_int_equal(hki_unpack(fn, image, size), -EBADMSG);
    hki_pack(fn, &args, image);
    memset(image, 0x7f, 8);
    assert_int_equal(hki_unpack(fn, image, size), -EBADMSG);
}

/* "Fail the Nth allocation": every one, and the call tells. */
static int run_with_faults(void *unused)
{
    hk_bytes out;

    (void)unused;
    for (uint64_t nth = 1; nth < 100; nth++) {
        hk_future *f;
        int rc;

        hk_fault_arm(HK_FAULT_ALLOC, nth, -ENOMEM);
        f = doubled_on(hk_tasks(),
                       (hk_bytes){"0123456789012345678901234567890123456789", 40});
        rc = doubled_await(f, &out);
        hk_fault_arm(HK_FAULT_ALLOC, 0, 0);
        hk_future_free(f);
        if (rc == 0)
            return 0;
        CHECK_EQ(rc, -ENOMEM);
    }
    return -EILSEQ;
}

HK_FN(int, fails_without_memory, (int, error))
{
    hk_fault_arm(HK_FAULT_ALLOC, 1, -ENOMEM);
    hk_job_fail(error);
    hk_job_fail(-EXDEV);
    hk_fault_arm(HK_FAULT_ALLOC, 0, 0);
    return 7;
}

TASK_TEST(a_function_can_fail_its_job_without_memory)
{
    hk_future *f = fails_without_memory_on(hk_tasks(), -EDOM), *g;
    int out = 0;

    CHECK_EQ(fails_without_memory_await(f, &out), -EDOM);
    g = fails_without_memory_on(hk_tasks(), -ERANGE);
    CHECK_EQ(fails_without_memory_await(g, &out), -ERANGE);
    CHECK_EQ(out, 0);
    hk_future_free(f);
    hk_future_free(g);
    return 0;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    assert_int_equal(run_virtual(run_with_faults, NULL), 0);
}

/* A plain main starts jobs and awaits them: unsync's gift. */
static void a_plain_thread_runs_jobs_too(void **state)
{
    hk_future *f = do_math_on(hk_tasks(), 1, 3);
    double result;

    (void)state;
    assert_int_equal(do_math_await(f, &result), 0);
    assert_true(result == 2.0);
    hk_future_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_result_of_another_function_panics),
        cmocka_unit_test(a_promise_of_other_bytes_panics),
        cmocka_unit_test(two_functions_with_one_key_panic),
        cmocka_unit_test(functions_are_found_by_their_key),
        cmocka_unit_test(images_are_checked),
        cmocka_unit_test(a_function_gives_as_a_job_what_it_gives_plainly),
        cmocka_unit_test(a_function_without_arguments_and_result),
        cmocka_unit_test(an_rc_is_the_jobs),
        cmocka_unit_test(structs_cross),
        cmocka_unit_test(a_result_may_be_larger_than_a_future),
        cmocka_unit_test(bytes_are_copied_for_the_job),
        cmocka_unit_test(strings_are_copied_and_null_is_one),
        cmocka_unit_test(eight_arguments),
        cmocka_unit_test(any_function_can_fail_its_job),
        cmocka_unit_test(a_function_can_fail_its_job_without_memory),
        cmocka_unit_test(a_local_function_takes_pointers),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(a_plain_thread_runs_jobs_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
