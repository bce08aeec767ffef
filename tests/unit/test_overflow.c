/* SPDX-License-Identifier: MIT */
/*
 * Shows that a task which overflows its stack ends the process with SIGABRT and with a
 * sentence that names the task, the size and the function, whatever the frames: small
 * ones without end, middle ones, or a single one of 1 MiB, which must not step over the
 * guard. And that the stacks beside it are untouched: the child's handler of SIGABRT
 * compares what two parked tasks keep on theirs. Each scenario is a child process. Not
 * in TSan's logical mode, for which such a look at another task's bytes is a race.
 *
 * Run: builds=plain asan tsan-full clang aarch64
 */
#include "child.h"

#include <hocket.h>

#include <pthread.h>

#define NOINLINE __attribute__((noinline))

static volatile int sink;

/* The compiler must believe that all of it is used. */
static void escapes(volatile char *room)
{
    __asm__ volatile("" : : "r"(room) : "memory");
}

/* ---- ways to overflow ---- */

static NOINLINE int small_frames(int depth)
{
    sink = depth;
    return depth < 0 ? 0 : small_frames(depth + 1) + sink;
}

static NOINLINE int middle_frames(int depth)
{
    volatile char room[20 * 1024];

    escapes(room);
    room[depth % 1000] = (char)depth;
    return depth < 0 ? 0 : middle_frames(depth + 1) + room[depth % 1000];
}

/* Nothing but the lowest byte is touched by the program itself. */
static NOINLINE int one_huge_frame(void)
{
    volatile char room[1024 * 1024];

    escapes(room);
    room[0] = (char)sink;
    return room[0] + 1;
}

static NOINLINE int variable_frame(size_t size)
{
    volatile char room[size];

    escapes(room);
    room[0] = (char)sink;
    return room[0] + 1;
}

static int overflows_small(void *arg)
{
    (void)arg;
    return small_frames(1);
}

static int overflows_middle(void *arg)
{
    (void)arg;
    return middle_frames(1);
}

static int overflows_huge(void *arg)
{
    (void)arg;
    return one_huge_frame();
}

static int overflows_variable(void *arg)
{
    (void)arg;
    return variable_frame(3 * 1024 * 1024 + (size_t)sink);
}

/* ---- neighbours: parked below and above the one that overflows ---- */

enum { KEPT = 64 * 1024 };

static volatile unsigned char *kept[2];

static int keeps_bytes(void *arg)
{
    volatile unsigned char **place = arg;
    volatile unsigned char bytes[KEPT];

    for (int i = 0; i < KEPT; i++)
        bytes[i] = (unsigned char)(i * 7);
    *place = bytes;
    (void)hk_sleep(HK_NEVER);
    return bytes[sink];
}

static void look_at_neighbours(int signo)
{
    static const char fine[] = "the neighbours are untouched\n";

    (void)signo;
    for (int n = 0; n < 2; n++)
        for (int i = 0; i < KEPT; i++)
            if (kept[n][i] != (unsigned char)(i * 7))
                return;
    if (write(STDERR_FILENO, fine, sizeof(fine) - 1) < 0)
        _exit(1);
}

static hk_task_fn *overflow;

static int app(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open(&s);
    hk_spawn(&s, keeps_bytes, &kept[0]);
    hk_spawn_named(&s, "glutton", overflow, NULL, NULL);
    hk_spawn(&s, keeps_bytes, &kept[1]);
    (void)hk_yield();
    return hk_scope_join(&s);
}

static int body(void)
{
    (void)signal(SIGABRT, look_at_neighbours);
    return hk_run(app, NULL, NULL);
}

/* All tasks run in the order in which they were spawned, so the one between the two
 * that keep bytes must wait before it overflows. */
static hk_task_fn *how;

static int overflows_later(void *arg)
{
    (void)hk_yield();
    return how(arg);
}

static void expect_overflow(hk_task_fn *fn, const char *function)
{
    struct child child;

    how = fn;
    overflow = overflows_later;
    child = run_child(body);
    expect_abort(&child);
    expect_words(&child, "hocket: stack overflow in task 'glutton' (stack of 256 KiB");
    expect_words(&child, "hocket: the frame that overflowed: ");
    expect_words(&child, function);
    expect_words(&child, "the neighbours are untouched");
}

static void endless_recursion_names_the_task(void **state)
{
    (void)state;
    expect_overflow(overflows_small, "small_frames+");
}

static void equal_frames_are_told_in_one_line(void **state)
{
    struct child child;

    (void)state;
    how = overflows_small;
    overflow = overflows_later;
    child = run_child(body);
    expect_words(&child, "hocket:     ... the same frame ");
    expect_words(&child, " times more\n");
    expect_words(&child, "task_main+"); /* so one sees the way to it */
}

static void recursion_with_middle_frames_names_the_task(void **state)
{
    (void)state;
    expect_overflow(overflows_middle, "middle_frames+");
}

static void a_frame_of_1_mib_names_the_task(void **state)
{
    (void)state;
    expect_overflow(overflows_huge, "one_huge_frame+");
}

static void an_array_of_3_mib_names_the_task(void **state)
{
    (void)state;
    expect_overflow(overflows_variable, "variable_frame+");
}

/* ---- where it runs ---- */

static int overflows_on_another_worker(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open_with(&s, HK_SCOPE_PARALLEL, NULL);
    hk_spawn_named(&s, "far", overflows_huge, NULL, NULL);
    while (hk_cancelled() == 0) /* this worker is busy: the other takes the task */
        sink = 0;
    return hk_scope_join(&s);
}

static int body_two_workers(void)
{
    const hk_options options = {.workers = 2, .stall_ns = -1};

    return hk_run(overflows_on_another_worker, NULL, &options);
}

static void it_works_on_every_worker(void **state)
{
    struct child child = run_child(body_two_workers);

    (void)state;
    expect_abort(&child);
    expect_words(&child, "stack overflow in task 'far'");
}

static int body_large_stack(void)
{
    const hk_options options = {.stack_size_bytes = 4 * 1024 * 1024};

    return hk_run(overflows_middle, NULL, &options);
}

static void the_size_of_the_stack_is_named(void **state)
{
    struct child child = run_child(body_large_stack);

    (void)state;
    expect_abort(&child);
    expect_words(&child, "in task 'main' (stack of 4096 KiB");
}

static int fits(void *arg)
{
    (void)arg;
    return one_huge_frame() == 1 ? 0 : 1;
}

static int body_that_fits(void)
{
    const hk_options options = {.stack_size_bytes = 4 * 1024 * 1024};

    return hk_run(fits, NULL, &options);
}

static void a_large_frame_on_a_large_stack_is_fine(void **state)
{
    struct child child = run_child(body_that_fits);

    (void)state;
    expect_exit(&child, 0);
    expect_no_words(&child, "overflow");
}

/* ---- faults that are none of ours ---- */

static int stray_store(void *arg)
{
    *(volatile int *)(uintptr_t)(8 + (uintptr_t)arg) = 1;
    return 0;
}

static int body_stray_default(void)
{
    return hk_run(stray_store, NULL, NULL);
}

static void users_handler(int signo)
{
    static const char text[] = "the program's own handler\n";

    (void)signo;
    if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
        _exit(1);
    _exit(7);
}

static int body_stray_handled(void)
{
    (void)signal(SIGSEGV, users_handler);
    return hk_run(stray_store, NULL, NULL);
}

static int sends_the_signal(void *arg)
{
    (void)arg;
    return raise(SIGSEGV);
}

static int body_sent(void)
{
    (void)signal(SIGSEGV, users_handler);
    return hk_run(sends_the_signal, NULL, NULL);
}

static void other_faults_keep_their_default(void **state)
{
    struct child child = run_child(body_stray_default);

    (void)state;
    child_expect(&child, !WIFEXITED(child.status) || WEXITSTATUS(child.status) != 0,
                 "a stray store ends the process"); /* sanitizers exit */
    expect_no_words(&child, "stack overflow in task");
}

static void other_faults_go_to_the_programs_handler(void **state)
{
    struct child child = run_child(body_stray_handled);

    (void)state;
    expect_exit(&child, 7);
    expect_words(&child, "the program's own handler");
    expect_no_words(&child, "stack overflow in task");
    child = run_child(body_sent);
    expect_exit(&child, 7);
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int body_restored(void)
{
    struct sigaction now;

    (void)signal(SIGSEGV, users_handler);
    (void)signal(SIGBUS, SIG_IGN);
    if (hk_run(nothing, NULL, NULL) != 0)
        return 1;
    (void)sigaction(SIGSEGV, NULL, &now);
    if (now.sa_handler != users_handler)
        return 2;
    (void)sigaction(SIGBUS, NULL, &now);
    return now.sa_handler == SIG_IGN ? 0 : 3;
}

static void the_handlers_are_restored_at_the_end(void **state)
{
    struct child child = run_child(body_restored);

    (void)state;
    expect_exit(&child, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(endless_recursion_names_the_task),
        cmocka_unit_test(equal_frames_are_told_in_one_line),
        cmocka_unit_test(recursion_with_middle_frames_names_the_task),
        cmocka_unit_test(a_frame_of_1_mib_names_the_task),
        cmocka_unit_test(an_array_of_3_mib_names_the_task),
        cmocka_unit_test(it_works_on_every_worker),
        cmocka_unit_test(the_size_of_the_stack_is_named),
        cmocka_unit_test(a_large_frame_on_a_large_stack_is_fine),
        cmocka_unit_test(other_faults_keep_their_default),
        cmocka_unit_test(other_faults_go_to_the_programs_handler),
        cmocka_unit_test(the_handlers_are_restored_at_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
