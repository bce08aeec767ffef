/* SPDX-License-Identifier: MIT */
/*
 * Shows that of 100 programs whose task overflows its stack 100 abort with the task's
 * name: frames of every size from 50 bytes to 1 MiB, on one worker and on several, on a
 * fresh stack, a used one and a child's on its parent's stack, while other workers run,
 * allocate and overflow at the same time.
 *
 * Run: full, limit=300
 */
#include "unit/child.h"

#include <hocket.h>

#include <stdint.h>

#define NOINLINE __attribute__((noinline))

static volatile int sink;

static void escapes(volatile char *room)
{
    __asm__ volatile("" : : "r"(room) : "memory");
}

static NOINLINE int recurse(int depth, size_t frame)
{
    volatile char room[frame];

    escapes(room);
    room[0] = (char)depth;
    return depth < 0 ? 0 : recurse(depth + 1, frame) + room[0];
}

static NOINLINE int frame_of_1_mib(void)
{
    volatile char room[1024 * 1024];

    escapes(room);
    room[0] = (char)sink;
    return room[0] + 1;
}

/* Which of the 100 this is; set before the child is made. */
static int number;

static int overflows(void *arg)
{
    static const size_t frames[] = {50, 700, 5000, 20000, 70000, 300000};

    (void)arg;
    if (number % 7 == 6)
        return frame_of_1_mib();
    return recurse(1, frames[number % 7]);
}

static int allocates(void *arg)
{
    (void)arg;
    for (;;) {
        free(malloc((size_t)(rand() % 10000) + 1));
        if (hk_yield() < 0)
            return 0;
    }
}

static int leaves(void *arg)
{
    (void)arg;
    return 0;
}

static int app(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open_with(&s, number % 2 ? HK_SCOPE_PARALLEL : 0, NULL);
    for (int i = 0; i < number % 5; i++) /* stacks that were used before */
        hk_spawn(&s, leaves, NULL);
    for (int i = 0; i < 3; i++)
        hk_spawn(&s, allocates, NULL);
    if (number % 3)
        (void)hk_yield();
    for (int i = 0; i <= number % 4; i++)
        hk_spawn_named(&s, "glutton", overflows, NULL, NULL);
    return hk_scope_join(&s);
}

static int body(void)
{
    const hk_options options = {.workers = (uint32_t)(1 + number % 3), .stall_ns = -1};

    return hk_run(app, NULL, &options);
}

static void of_100_overflows_100_are_named(void **state)
{
    (void)state;
    for (number = 0; number < 100; number++) {
        struct child child = run_child(body);

        expect_abort(&child);
        expect_words(&child, "hocket: stack overflow in task 'glutton' (stack of 256 ");
        expect_words(&child, number % 7 == 6 ? "frame_of_1_mib+" : "recurse+");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_100_overflows_100_are_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
