/* SPDX-License-Identifier: MIT */
/*
 * hocket from C++17: exceptions stay inside their task (DESIGN.md, rule 37). The C++
 * runtime keeps the exceptions that a thread is handling in per-thread globals, which
 * must change hands at every switch: shown by waits inside catch blocks, by many tasks
 * with live exceptions at once, and by rethrowing after other tasks have thrown. An
 * exception that leaves a task ends the process (in a child).
 */
#include <hocket.h>
#include <hocket/testing.h>

#include <csetjmp>
#include <csignal>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

extern "C" {
#include <cmocka.h>
}

namespace
{

#define CHECK(condition)                                                               \
    do {                                                                               \
        if (!(condition)) {                                                            \
            std::printf("# %s:%d: not so: %s\n", __FILE__, __LINE__, #condition);      \
            std::fflush(stdout);                                                       \
            _exit(1);                                                                  \
        }                                                                              \
    } while (0)

int run_virtual(hk_task_fn *fn, void *arg = nullptr)
{
    hk_options options = {};

    options.virtual_clock = true;
    options.check_ledger = true;
    return hk_run(fn, arg, &options);
}

/* Throws, waits in the catch block, rethrows, waits again: the exception is its own. */
int throw_and_wait(void *arg)
{
    const int number = static_cast<int>(reinterpret_cast<std::intptr_t>(arg));
    const std::string text = "task " + std::to_string(number);

    for (int round = 0; round < 5; round++) {
        try {
            try {
                throw std::runtime_error(text);
            } catch (const std::exception &e) {
                CHECK(hk_sleep(number % 7 + 1) == 0);
                CHECK(e.what() == text);
                CHECK(std::current_exception() != nullptr);
                CHECK(hk_yield() == 0);
                throw; /* the one of this task, whoever has thrown meanwhile */
            }
        } catch (const std::runtime_error &e) {
            CHECK(e.what() == text);
            CHECK(hk_yield() == 0);
            CHECK(e.what() == text);
        }
        CHECK(std::current_exception() == nullptr);
        CHECK(std::uncaught_exceptions() == 0);
        CHECK(hk_sleep(1) == 0);
    }
    return 0;
}

int many_throw(void *)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    for (std::intptr_t i = 0; i < 50; i++)
        hk_spawn(&s, throw_and_wait, reinterpret_cast<void *>(i));
    return hk_scope_join(&s);
}

void cpp_tasks_with_live_exceptions_do_not_mix_them_up(void **)
{
    assert_int_equal(run_virtual(many_throw), 0);
}

int many_throw_in_parallel(void *)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open_with(&s, HK_SCOPE_PARALLEL, nullptr);
    for (std::intptr_t i = 0; i < 50; i++)
        hk_spawn(&s, throw_and_wait, reinterpret_cast<void *>(i));
    return hk_scope_join(&s);
}

void cpp_exceptions_on_several_workers(void **)
{
    hk_options options = {};

    options.workers = 2;
    assert_int_equal(hk_run(many_throw_in_parallel, nullptr, &options), 0);
}

/* A destructor that runs during unwinding waits, and other tasks throw meanwhile. */
struct waits_when_destroyed {
    int expected;

    ~waits_when_destroyed()
    {
        CHECK(std::uncaught_exceptions() == expected);
        CHECK(hk_sleep(3) == 0);
        CHECK(std::uncaught_exceptions() == expected);
    }
};

int unwind_and_wait(void *)
{
    for (int i = 0; i < 10; i++) {
        try {
            waits_when_destroyed guard{1};

            throw i;
        } catch (int caught) {
            CHECK(caught == i);
            waits_when_destroyed guard{0};
        }
    }
    return 0;
}

int many_unwind(void *)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    for (int i = 0; i < 20; i++)
        hk_spawn(&s, unwind_and_wait, nullptr);
    for (std::intptr_t i = 0; i < 20; i++)
        hk_spawn(&s, throw_and_wait, reinterpret_cast<void *>(i));
    return hk_scope_join(&s);
}

void cpp_destructors_may_wait_during_unwinding(void **)
{
    assert_int_equal(run_virtual(many_unwind), 0);
}

/* A cancel inside a catch block: RAII cleans up. */
int cancelled_in_a_catch_block(void *arg)
{
    auto owned = std::make_unique<std::vector<int>>(100);

    try {
        throw std::string("held");
    } catch (const std::string &text) {
        CHECK(hk_sleep(HK_NEVER) == -ECANCELED);
        CHECK(text == "held");
        __atomic_add_fetch(static_cast<int *>(arg), 1, __ATOMIC_RELAXED);
    }
    return -ECANCELED;
}

int cancel_them(void *)
{
    hk_scope s = HK_SCOPE_INIT;
    int caught = 0;

    hk_scope_open(&s);
    for (int i = 0; i < 10; i++)
        hk_spawn(&s, cancelled_in_a_catch_block, &caught);
    CHECK(hk_test_wait_all_blocked() == 0);
    hk_scope_cancel(&s);
    CHECK(hk_scope_join(&s) == 0);
    CHECK(caught == 10);
    return 0;
}

void cpp_cancel_inside_a_catch_block(void **)
{
    assert_int_equal(run_virtual(cancel_them), 0);
}

int throw_out(void *)
{
    throw std::runtime_error("nobody catches this");
}

int spawn_throw_out(void *)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    hk_spawn(&s, throw_out, nullptr);
    return hk_scope_join(&s);
}

[[noreturn]] void terminated()
{
    _exit(77);
}

void expect_terminate(hk_task_fn *fn)
{
    int status = 0;
    pid_t child;

    std::fflush(stdout);
    child = fork();
    if (child == 0) {
        std::set_terminate(terminated);
        try { /* around hk_run: must not be reached either */
            (void)run_virtual(fn);
        } catch (...) {
            _exit(1);
        }
        _exit(2);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 77);
}

/* The child may run on this very stack while we join it. */
int join_throw_out_and_catch(void *)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    hk_spawn(&s, throw_out, nullptr);
    try {
        return hk_scope_join(&s);
    } catch (...) {
        _exit(3);
    }
}

void rule_37_an_exception_leaving_a_task_calls_terminate(void **)
{
    expect_terminate(join_throw_out_and_catch);
    expect_terminate(spawn_throw_out);
    expect_terminate(throw_out); /* the first task as well */
}

/* longjmp within one task, other tasks switching meanwhile. */
int jump(void *)
{
    for (volatile int i = 0; i < 10; i++) {
        std::jmp_buf place;

        if (setjmp(place) == 0) {
            CHECK(hk_sleep(2) == 0);
            std::longjmp(place, 1);
        }
        CHECK(hk_yield() == 0);
    }
    return 0;
}

int many_jump(void *)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    for (int i = 0; i < 10; i++)
        hk_spawn(&s, jump, nullptr);
    return hk_scope_join(&s);
}

void rule_37_longjmp_within_one_task(void **)
{
    assert_int_equal(run_virtual(many_jump), 0);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(rule_37_an_exception_leaving_a_task_calls_terminate),
        cmocka_unit_test(cpp_tasks_with_live_exceptions_do_not_mix_them_up),
        cmocka_unit_test(cpp_exceptions_on_several_workers),
        cmocka_unit_test(cpp_destructors_may_wait_during_unwinding),
        cmocka_unit_test(cpp_cancel_inside_a_catch_block),
        cmocka_unit_test(rule_37_longjmp_within_one_task),
    };

    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
