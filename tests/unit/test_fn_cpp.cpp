/* SPDX-License-Identifier: MIT */
/* HK_FN from C++17: the same macros give the same functions, and a job may throw and
 * catch like any task. What is refused is in tests/meta/test_fn.py. */
#include <hocket.h>
#include <hocket/testing.h>

#include <csetjmp>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <unistd.h>

extern "C" {
#include <cmocka.h>
}

#define CHECK(condition)                                                               \
    do {                                                                               \
        if (!(condition)) {                                                            \
            std::printf("# %s:%d: not so: %s\n", __FILE__, __LINE__, #condition);      \
            std::fflush(stdout);                                                       \
            _exit(1);                                                                  \
        }                                                                              \
    } while (0)

struct point {
    int x, y;
};

HK_FN_DECL(double, do_math, (long, start), (long, end));
HK_FN(double, do_math, (long, start), (long, end))
{
    return static_cast<double>(end - start);
}

static int ticks;

HK_FN(void, tick)
{
    ticks++;
}

HK_FN(point, swapped, (point, p))
{
    return {p.y, p.x};
}

HK_FN(hk_str, greeting, (hk_str, name))
{
    return strdup(("hello " + std::string(name)).c_str());
}

HK_FN(hk_rc, throws, (int, depth))
{
    try {
        if (depth == 0)
            throw std::runtime_error("caught here");
        return throws(depth - 1) + 1;
    } catch (const std::exception &e) {
        CHECK(hk_sleep(1) == 0);
        CHECK(std::string(e.what()) == "caught here");
        return 0;
    }
}

HK_FN_LOCAL(std::size_t, length, (const std::string *, text))
{
    return text->size();
}

namespace
{

int run_all(void *)
{
    hk_executor *on = hk_tasks();
    const std::string text = "seven..";
    hk_future *f = do_math_on(on, 1, 3), *g = tick_on(on), *h = swapped_on(on, {1, 2});
    hk_future *i = greeting_on(on, "you"), *j = throws_on(on, 3);
    hk_future *k = length_on(hk_in_process(on), &text);
    double difference = 0;
    point p = {};
    hk_str hello = nullptr;
    std::size_t size = 0;

    CHECK(do_math_await(f, &difference) == 0 && difference == 2.0);
    CHECK(tick_await(g) == 0 && ticks == 1);
    CHECK(swapped_await(h, &p) == 0 && p.x == 2 && p.y == 1);
    CHECK(greeting_await(i, &hello) == 0 && std::string(hello) == "hello you");
    CHECK(throws_await(j) == 3);
    CHECK(length_await(k, &size) == 0 && size == 7);
    for (hk_future *future : {f, g, h, i, j, k})
        hk_future_free(future);
    return 0;
}

void functions_of_cpp_run_as_jobs(void **)
{
    hk_options options = {};

    options.virtual_clock = true;
    options.check_ledger = true;
    assert_int_equal(hk_run(run_all, nullptr, &options), 0);
}

int map_them(void *)
{
    do_math_args args[] = {{0, 1}, {0, 2}, {0, 3}};
    double results[3];

    CHECK(do_math_map(hk_tasks(), args, 3, results, nullptr) == 0);
    CHECK(results[0] == 1.0 && results[2] == 3.0);
    return 0;
}

void functions_of_cpp_are_mapped(void **)
{
    assert_int_equal(hk_run(map_them, nullptr, nullptr), 0);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(functions_of_cpp_run_as_jobs),
        cmocka_unit_test(functions_of_cpp_are_mapped),
    };

    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
