/* SPDX-License-Identifier: MIT */
/*
 * Reductions and scans: the results are those of a plain loop, to the last rounding the
 * same whoever computes; a combination need not be commutative.
 */
#include "support/parallel_test.h"

#include <math.h>

enum { COUNT_MAX = 5000 };

static double numbers[COUNT_MAX];

static int fill_numbers(void **state)
{
    uint64_t chance = 12345;

    (void)state;
    for (int i = 0; i < COUNT_MAX; i++)
        numbers[i] = ldexp((double)below(&chance, 1000000), -(int)below(&chance, 40));
    return 0;
}

static int add_numbers(int64_t begin, int64_t end, void *partial, void *ctx)
{
    double sum = *(double *)partial;

    (void)ctx;
    for (int64_t i = begin; i < end; i++)
        sum += numbers[i];
    *(double *)partial = sum;
    return 0;
}

static double sum_of(int64_t count, int64_t grain)
{
    double sum = 0;

    CHECK_EQ(hk_parallel_reduce(0, count, grain, add_numbers, hk_combine_sum, NULL,
                                &sum, sizeof(sum)),
             0);
    return sum;
}

struct sums {
    int64_t count, grain;
    double want; /* as somebody else has computed it */
};

static int sum_again(void *arg)
{
    const struct sums *sums = arg;

    CHECK(sum_of(sums->count, sums->grain) == sums->want);
    return 0;
}

static void a_sum_is_the_same_to_the_last_bit(void **state)
{
    uint64_t chance = seed_of_run(7);

    (void)state;
    for (int round = 0; round < scaled(50, 5); round++) {
        struct sums sums = {.count = 1 + (int64_t)below(&chance, COUNT_MAX),
                            .grain = (int64_t)below(&chance, 100)};
        double plain = 0;

        add_numbers(0, sums.count, &plain, NULL);
        sums.want = sum_of(sums.count, sums.grain);
        assert_true(fabs(sums.want - plain) <= 1e-9 * plain);
        everywhere(sum_again, &sums);
        at_once(sum_again, &sums);
    }
}

/* What a range of digits reads as: associative, and anything but commutative. */
struct text {
    uint64_t value, power;
};

static int read_digits(int64_t begin, int64_t end, void *partial, void *ctx)
{
    struct text *text = partial;
    const char *digits = ctx;

    CHECK(end - begin <= 3);
    for (int64_t i = begin; i < end; i++) {
        text->value = text->value * 31 + (uint64_t)digits[i];
        text->power *= 31;
    }
    return 0;
}

static void join_texts(void *into, const void *next, void *ctx)
{
    struct text *left = into;
    const struct text *right = next;

    (void)ctx;
    left->value = left->value * right->power + right->value;
    left->power *= right->power;
}

static int read_text(void *unused)
{
    char digits[1000];
    uint64_t chance = 99;

    (void)unused;
    for (size_t i = 0; i < sizeof(digits); i++)
        digits[i] = (char)below(&chance, 100);
    for (int64_t length = 1; length <= 1000; length += 37) {
        struct text plain = {0, 1}, text = {0, 1};

        for (int64_t i = 0; i < length; i++)
            read_digits(i, i + 1, &plain, digits);
        CHECK_EQ(hk_parallel_reduce(0, length, 3, read_digits, join_texts, digits,
                                    &text, sizeof(text)),
                 0);
        CHECK(text.value == plain.value && text.power == plain.power);
    }
    return 0;
}

static void results_are_combined_in_order(void **state)
{
    (void)state;
    everywhere(read_text, NULL);
    at_once(read_text, NULL);
}

static int count_them(int64_t begin, int64_t end, void *partial, void *ctx)
{
    (void)ctx;
    *(int64_t *)partial += end - begin;
    return 0;
}

static int reduce_much(void *unused)
{
    int64_t count = 0;

    (void)unused;
    CHECK_EQ(hk_parallel_reduce(INT64_MIN / 2, INT64_MAX / 2, 0, count_them,
                                hk_combine_sum_int64, NULL, &count, sizeof(count)),
             0);
    CHECK_EQ(count, INT64_MAX);
    count = 0;
    CHECK_EQ(hk_parallel_reduce(-3, 100000, 1, count_them, hk_combine_sum_int64, NULL,
                                &count, sizeof(count)),
             0);
    CHECK_EQ(count, 100003);
    CHECK_EQ(hk_parallel_reduce(3, 3, 1, count_them, hk_combine_sum_int64, NULL, &count,
                                sizeof(count)),
             0);
    CHECK_EQ(count, 100003);
    CHECK_EQ(hk_parallel_reduce(3, 4, -1, count_them, hk_combine_sum_int64, NULL,
                                &count, sizeof(count)),
             -EINVAL);
    return 0;
}

static void ranges_of_all_sizes_are_reduced(void **state)
{
    (void)state;
    everywhere(reduce_much, NULL);
}

static int fail_late(int64_t begin, int64_t end, void *partial, void *ctx)
{
    (void)ctx;
    (void)end;
    *(double *)partial = 1;
    return begin >= 500 ? -EDOM : 0;
}

static int fail_in_scan(int64_t begin, int64_t end, void *partial, bool is_final,
                        void *ctx)
{
    CHECK(!is_final);
    return fail_late(begin, end, partial, ctx);
}

static int reduce_and_fail(void *unused)
{
    double result = 42;
    hk_scope s;

    (void)unused;
    CHECK_EQ(hk_parallel_reduce(0, 1000, 1, fail_late, hk_combine_sum, NULL, &result,
                                sizeof(result)),
             -EDOM);
    CHECK_EQ(hk_parallel_scan(0, 1000, 1, fail_in_scan, hk_combine_sum, NULL, &result,
                              sizeof(result)),
             -EDOM);
    hk_scope_open(&s);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_parallel_reduce(0, 1000, 1, fail_late, hk_combine_sum, NULL, &result,
                                sizeof(result)),
             -ECANCELED);
    CHECK_EQ(hk_parallel_scan(0, 1000, 1, fail_in_scan, hk_combine_sum, NULL, &result,
                              sizeof(result)),
             -ECANCELED);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK(result == 42);
    return 0;
}

static void a_failed_reduction_leaves_no_result(void **state)
{
    (void)state;
    everywhere(reduce_and_fail, NULL);
}

static int sum_scan(int64_t begin, int64_t end, void *partial, bool is_final, void *ctx)
{
    (void)is_final;
    return add_numbers(begin, end, partial, ctx);
}

/* Each allocation fails once: then the call does, too, or it goes without. */
static int without_memory(void *unused)
{
    uint64_t nth = 0, made;

    (void)unused;
    do {
        double result = 0;
        int rc;

        hk_fault_arm(HK_FAULT_ALLOC, ++nth, -ENOMEM);
        rc = hk_parallel_scan(0, 900, 1, sum_scan, hk_combine_sum, NULL, &result,
                              sizeof(result));
        if (rc >= 0)
            rc = hk_parallel_reduce(0, 900, 1, add_numbers, hk_combine_sum, NULL,
                                    &result, sizeof(result));
        made = hk_fault_count(HK_FAULT_ALLOC);
        hk_fault_arm(HK_FAULT_ALLOC, 0, 0);
        CHECK(rc == 0 || rc == -ENOMEM);
        CHECK(rc == 0 || made >= nth);
    } while (made >= nth);
    return 0;
}

static void without_memory_a_reduction_fails(void **state)
{
    (void)state;
    assert_int_equal(without_memory(NULL), 0);
    assert_int_equal(hk_run(without_memory, NULL, NULL), 0);
}

/* ---- scans ---- */

static double sums[COUNT_MAX];

static int add_up(int64_t begin, int64_t end, void *partial, bool is_final, void *ctx)
{
    double total = *(double *)partial, *out = ctx;

    for (int64_t i = begin; i < end; i++) {
        total += numbers[i];
        if (is_final)
            out[i] = total;
    }
    *(double *)partial = total;
    return 0;
}

static double scan_into(double *out, int64_t count, int64_t grain)
{
    double total = 0;

    CHECK_EQ(hk_parallel_scan(0, count, grain, add_up, hk_combine_sum, out, &total,
                              sizeof(total)),
             0);
    return total;
}

static int scan_again(void *arg)
{
    const struct sums *want = arg;
    double *again = calloc((size_t)want->count, sizeof(*again));

    CHECK(again);
    CHECK(scan_into(again, want->count, want->grain) == want->want);
    CHECK(memcmp(again, sums, (size_t)want->count * sizeof(*again)) == 0);
    free(again);
    return 0;
}

static void a_scan_notes_every_sum(void **state)
{
    uint64_t chance = seed_of_run(8);

    (void)state;
    for (int round = 0; round < scaled(50, 5); round++) {
        struct sums want = {.count = 1 + (int64_t)below(&chance, COUNT_MAX),
                            .grain = (int64_t)below(&chance, 100)};
        double plain = 0;

        want.want = scan_into(sums, want.count, want.grain);
        for (int64_t i = 0; i < want.count; i++) {
            plain += numbers[i];
            assert_true(fabs(sums[i] - plain) <= 1e-9 * plain);
        }
        assert_true(fabs(want.want - plain) <= 1e-9 * plain);
        everywhere(scan_again, &want);
        at_once(scan_again, &want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sum_is_the_same_to_the_last_bit),
        cmocka_unit_test(results_are_combined_in_order),
        cmocka_unit_test(ranges_of_all_sizes_are_reduced),
        cmocka_unit_test(a_failed_reduction_leaves_no_result),
        cmocka_unit_test(without_memory_a_reduction_fails),
        cmocka_unit_test(a_scan_notes_every_sum),
    };

    return cmocka_run_group_tests(tests, fill_numbers, NULL);
}
