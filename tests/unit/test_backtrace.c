/* SPDX-License-Identifier: MIT */
/*
 * Shows that return addresses are found and named: of a parked stack, without writing
 * to it; of a busy thread, by a signal, also when the program has a handler of that
 * signal; and that addresses get the names of static and exported functions, in the
 * program and in libraries, or the module's name when there is no symbol.
 *
 * Run: once
 */
#include "base/annotate.h"
#include "sys/backtrace.h"
#include "sys/context.h"
#include "sys/os.h"
#include "sys/symbols.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#define NOINLINE __attribute__((noinline))

static bool names(const struct hki_frames *frames, const char *function)
{
    for (int i = 0; i < frames->count; i++) {
        struct hki_symbol symbol;

        hki_symbol_find(frames->pc[i], i == 0 && frames->first_is_exact, true, &symbol);
        if (strcmp(symbol.name, function) == 0)
            return true;
    }
    return false;
}

static void print(const struct hki_frames *frames)
{
    for (int i = 0; i < frames->count; i++) {
        struct hki_symbol symbol;
        char text[200];

        hki_symbol_find(frames->pc[i], false, true, &symbol);
        (void)hki_symbol_text(&symbol, text, sizeof(text));
        printf("# %d %s\n", i, text);
    }
}

static void expect_name(const struct hki_frames *frames, const char *function)
{
    if (names(frames, function))
        return;
    printf("# %s is not among\n", function);
    print(frames);
    fail();
}

/* ---- of a parked stack ---- */

enum { STACK = 128 * 1024 };

static struct {
    char *stack;
    void *task_sp, *main_sp;
    struct hki_context task, main;
} fiber;

static NOINLINE void parks(void)
{
    (void)hki_context_switch(hki_switch, &fiber.task_sp, fiber.main_sp, &fiber.task,
                             &fiber.main);
    __asm__ volatile(""); /* no tail call: this frame stays */
}

static NOINLINE void calls_what_parks(int depth)
{
    if (depth)
        calls_what_parks(depth - 1);
    else
        parks();
    __asm__ volatile("");
}

static void fiber_main(void)
{
#ifdef HKI_CONTEXT_TOOLS
    hki_context_arrive(&fiber.task, true);
#endif
    calls_what_parks(3);
    abort(); /* it is never resumed */
}

static void start_fiber(void)
{
    fiber.stack =
        mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(fiber.stack != MAP_FAILED);
    hki_context_init(&fiber.task, fiber.stack, STACK);
    hki_context_init_thread(&fiber.main);
    fiber.task_sp = hki_context_make(fiber.stack + STACK, fiber_main);
    (void)hki_context_switch(hki_switch, &fiber.main_sp, fiber.task_sp, &fiber.main,
                             &fiber.task);
}

static void a_parked_stack_is_unwound_to_its_first_frame(void **state)
{
    struct hki_frames frames;

    (void)state;
    start_fiber();
    hki_backtrace_parked(fiber.task_sp, &frames);
    expect_name(&frames, "parks");
    expect_name(&frames, "calls_what_parks");
    expect_name(&frames, "fiber_main");
    assert_false(names(&frames, "a_parked_stack_is_unwound_to_its_first_frame"));
    assert_false(names(&frames, "hki_call_from"));
    assert_false(frames.first_is_exact);
}

static NOINLINE void look_again(struct hki_frames *out)
{
    hki_backtrace_parked(fiber.task_sp, out);
}

static void nothing_is_written_to_the_parked_stack(void **state)
{
    char *before = malloc(STACK);
    struct hki_frames frames;

    (void)state;
    memcpy(before, fiber.stack, STACK);
    look_again(&frames);
    assert_memory_equal(before, fiber.stack, STACK);
    free(before);
}

static void deep_main(void)
{
#ifdef HKI_CONTEXT_TOOLS
    hki_context_arrive(&fiber.task, true);
#endif
    calls_what_parks(200);
    abort();
}

static void of_a_deep_stack_the_innermost_frames_are_kept(void **state)
{
    struct hki_frames frames;

    (void)state;
    fiber.task_sp = hki_context_make(fiber.stack + STACK, deep_main);
    (void)hki_context_switch(hki_switch, &fiber.main_sp, fiber.task_sp, &fiber.main,
                             &fiber.task);
    hki_backtrace_parked(fiber.task_sp, &frames);
    assert_int_equal(frames.count, HKI_FRAMES_MAX);
    expect_name(&frames, "parks");
    expect_name(&frames, "calls_what_parks");
    assert_false(names(&frames, "deep_main"));
}

/* ---- of a busy thread ---- */

#define PATIENCE_NS INT64_C(200000000)

static uint32_t spinning, enough; /* atomic */
static volatile int spins;
static int thread_id;

static NOINLINE void spins_for_long(void)
{
    while (!__atomic_load_n(&enough, __ATOMIC_ACQUIRE))
        spins = spins + 1;
}

static void *spinner(void *unused)
{
    thread_id = hki_os_thread_id();
    __atomic_store_n(&spinning, 1, __ATOMIC_RELEASE);
    spins_for_long();
    return unused;
}

static void *deaf_spinner(void *unused)
{
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    return spinner(unused);
}

static pthread_t start(void *(*fn)(void *))
{
    pthread_t thread;

    spinning = enough = 0;
    assert_int_equal(pthread_create(&thread, NULL, fn, NULL), 0);
    while (!__atomic_load_n(&spinning, __ATOMIC_ACQUIRE))
        hki_os_yield();
    return thread;
}

static void finish(pthread_t thread)
{
    __atomic_store_n(&enough, 1, __ATOMIC_RELEASE);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void note(char *text, size_t size)
{
    (void)snprintf(text, size, "thread %d", hki_os_thread_id());
}

static void a_busy_thread_records_its_own_stack(void **state)
{
    struct hki_sample sample;
    char expected[HKI_NOTE_SIZE];
    pthread_t thread;

    (void)state;
#ifdef HKI_TSAN
    skip(); /* it holds signals back until the thread calls something that waits */
#endif
    hki_sample_start(note);
    thread = start(spinner);
    for (int i = 0; i < 100; i++) {
        assert_true(hki_sample_take(thread_id, 10 * PATIENCE_NS, &sample));
        expect_name(&sample.frames, "spins_for_long");
        expect_name(&sample.frames, "spinner");
        assert_true(sample.frames.first_is_exact);
        (void)snprintf(expected, sizeof(expected), "thread %d", thread_id);
        assert_string_equal(sample.note, expected);
    }
    finish(thread);
    hki_sample_stop();
}

static void a_thread_that_blocks_the_signal_is_given_up(void **state)
{
    struct hki_sample sample;
    pthread_t thread;
    int64_t begin_ns;

    (void)state;
    hki_sample_start(note);
    thread = start(deaf_spinner);
    begin_ns = hki_os_now_ns();
    assert_false(hki_sample_take(thread_id, PATIENCE_NS, &sample));
    assert_true(hki_os_now_ns() - begin_ns >= PATIENCE_NS);
    finish(thread);
    assert_false(hki_sample_take(thread_id, PATIENCE_NS, &sample)); /* it is gone */
    hki_sample_stop();
}

static int users_signals;

static void users_handler(int signo)
{
    (void)signo;
    users_signals++;
}

static void the_programs_own_handler_still_gets_its_signals(void **state)
{
    struct sigaction now;

    (void)state;
    (void)signal(SIGURG, users_handler);
    hki_sample_start(note);
    (void)raise(SIGURG);
    assert_int_equal(users_signals, 1);
    hki_sample_stop();
    (void)sigaction(SIGURG, NULL, &now);
    assert_ptr_equal(now.sa_handler, users_handler);
    hki_sample_start(note);
    (void)signal(SIGURG, SIG_IGN); /* the program changes its mind meanwhile */
    hki_sample_stop();
    (void)sigaction(SIGURG, NULL, &now);
    assert_ptr_equal(now.sa_handler, SIG_IGN);
    (void)signal(SIGURG, SIG_DFL);
}

/* ---- names ---- */

static void static_and_exported_functions_have_names(void **state)
{
    struct hki_symbol symbol;
    char text[200];

    (void)state;
    hki_symbol_find((char *)(uintptr_t)users_handler + 1, true, true, &symbol);
    assert_string_equal(symbol.name, "users_handler");
    assert_int_equal(symbol.offset, 1);
    assert_true(hki_symbol_text(&symbol, text, sizeof(text)) > 0);
    assert_non_null(strstr(text, "users_handler+0x1 ("));
    assert_non_null(strstr(text, "test_backtrace)"));
    hki_symbol_find((void *)(uintptr_t)pthread_join, true, true, &symbol);
    assert_non_null(strstr(symbol.module, "lib"));
}

static void a_return_address_behind_the_end_belongs_to_the_call(void **state)
{
    struct hki_symbol symbol, before;
    uintptr_t begin = (uintptr_t)users_handler;

    (void)state;
    hki_symbol_find((void *)begin, true, true, &symbol);
    assert_string_equal(symbol.name, "users_handler");
    hki_symbol_find((void *)begin, false, true, &before);
    assert_string_not_equal(before.name, "users_handler");
}

static void without_a_symbol_the_module_is_named(void **state)
{
    struct hki_symbol symbol;
    char text[20];

    (void)state;
    hki_symbol_find(&users_signals, true, true, &symbol); /* data */
    assert_string_equal(symbol.name, "");
    assert_non_null(strstr(symbol.module, "test_backtrace"));
    hki_symbol_find(NULL, true, true, &symbol); /* a call of a null pointer */
    assert_string_equal(symbol.module, "?");
    hki_symbol_find((void *)16, true, true, &symbol);
    assert_string_equal(symbol.module, "?");
    assert_int_equal(symbol.offset, 16);
    assert_int_equal(hki_symbol_text(&symbol, text, sizeof(text)), strlen("?+0x10"));
    assert_string_equal(text, "?+0x10");
    assert_int_equal(hki_symbol_text(&symbol, text, 4), 3); /* cut off */
    assert_string_equal(text, "?+0");
}

static void *look_up_much(void *unused)
{
    for (uintptr_t i = 0; i < 20000; i++) {
        struct hki_symbol symbol;

        hki_symbol_find((char *)(uintptr_t)users_handler + i % 4000, true, true,
                        &symbol);
        if (i % 4000 == 0 && strcmp(symbol.name, "users_handler") != 0)
            abort();
    }
    return unused;
}

static void threads_may_look_up_at_once(void **state)
{
    pthread_t threads[3];

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, look_up_much, NULL), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_parked_stack_is_unwound_to_its_first_frame),
        cmocka_unit_test(nothing_is_written_to_the_parked_stack),
        cmocka_unit_test(of_a_deep_stack_the_innermost_frames_are_kept),
        cmocka_unit_test(a_busy_thread_records_its_own_stack),
        cmocka_unit_test(a_thread_that_blocks_the_signal_is_given_up),
        cmocka_unit_test(the_programs_own_handler_still_gets_its_signals),
        cmocka_unit_test(static_and_exported_functions_have_names),
        cmocka_unit_test(a_return_address_behind_the_end_belongs_to_the_call),
        cmocka_unit_test(without_a_symbol_the_module_is_named),
        cmocka_unit_test(threads_may_look_up_at_once),
    };

    hki_backtrace_warm_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
