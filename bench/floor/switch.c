/* SPDX-License-Identifier: MIT */
/*
 * The floor of a switch: two contexts and the inline switch of coro.h, no queue.
 *
 * Three shapes, because the branch predictors see three different programs: one shared
 * switch site, two sites, and a switch below calls, where each `ret` on the way up
 * meets a return stack that the other context has overwritten. Below calls, the fastest
 * switch measured is not the inline one (17 ns) nor a routine that leaves by ret
 * (14.5 ns) but a routine that is called and leaves by jmp (11 ns), so the nested floor
 * uses that.
 */
#include "../peers/bench.h"
#include "coro.h"
#include "floor.h"

#ifdef CORO_HERE

#define SWITCHES 50000000L

static struct coro task[2], boot;
static long done;
static double start_ns;

static __attribute__((noinline)) void finish(void)
{
    bench_report_cpu(start_ns, (double)done);
    fflush(stdout);
    _exit(0); /* the other context is in the middle of its loop */
}

static void one_site(void)
{
    struct coro *self = &task[0], *other = &task[1];

    /* Both contexts run this loop; each starts by finding out which one it is. */
    if (done++) {
        self = &task[1];
        other = &task[0];
    }
    for (;;) {
        if (++done > SWITCHES)
            finish();
        coro_switch(self, other);
    }
}

static void site_a(void)
{
    for (;;) {
        if (++done > SWITCHES)
            finish();
        coro_switch(&task[0], &task[1]);
    }
}

static void site_b(void)
{
    for (;;) {
        if (++done > SWITCHES)
            finish();
        coro_switch(&task[1], &task[0]);
        __asm__ volatile("nop"); /* or the compiler folds it into site_a */
    }
}

void floor_switch_called(void **from_sp, void *to_sp);
__asm__(".text\n"
        ".p2align 4\n"
        ".type floor_switch_called, @function\n"
        "floor_switch_called:\n"
        "    push %rbp\n"
        "    push %rbx\n"
        "    push %r12\n"
        "    push %r13\n"
        "    push %r14\n"
        "    push %r15\n"
        "    mov %rsp, (%rdi)\n"
        "    mov %rsi, %rsp\n"
        "    pop %r15\n"
        "    pop %r14\n"
        "    pop %r13\n"
        "    pop %r12\n"
        "    pop %rbx\n"
        "    pop %rbp\n"
        "    pop %rcx\n"
        "    jmp *%rcx\n"
        ".size floor_switch_called, .-floor_switch_called\n");

static __attribute__((noinline)) void inner_a(void)
{
    floor_switch_called(&task[0].sp, task[1].sp);
    __asm__ volatile("");
}

static __attribute__((noinline)) void outer_a(void)
{
    inner_a();
    __asm__ volatile(""); /* no tail call */
}

static __attribute__((noinline)) void inner_b(void)
{
    floor_switch_called(&task[1].sp, task[0].sp);
    __asm__ volatile("nop");
}

static void nested_a(void)
{
    for (;;) {
        if (++done > SWITCHES)
            finish();
        outer_a();
    }
}

static void nested_b(void)
{
    for (;;) {
        if (++done > SWITCHES)
            finish();
        inner_b();
    }
}

static _Alignas(64) char stack[2][65536];

/* Tops a few lines apart, or both stacks would share the same cache sets. */
static void *stack_top(int i)
{
    return stack[i] + sizeof stack[i] - 320 * i;
}

static void run(void (*a)(void), void (*b)(void))
{
    coro_make(&task[0], stack_top(0), a);
    coro_make(&task[1], stack_top(1), b);
    start_ns = bench_cpu_now_ns();
    coro_switch(&boot, &task[0]);
}

/* What floor_switch_called pops: six registers and where to go. */
static void make_called(struct coro *c, void *top, void (*entry)(void))
{
    void **sp;

    coro_make(c, top, entry);
    sp = c->sp;
    *--sp = (void *)entry;
    for (int i = 0; i < 6; i++)
        *--sp = 0;
    c->sp = sp;
}

static void run_nested(void)
{
    make_called(&task[0], stack_top(0), nested_a);
    make_called(&task[1], stack_top(1), nested_b);
    start_ns = bench_cpu_now_ns();
    floor_switch_called(&boot.sp, task[0].sp);
}

void floor_switch(int argc, char **args)
{
    (void)argc;
    (void)args;
    run(one_site, one_site);
}

void floor_switch2(int argc, char **args)
{
    if (argc > 0 && !strcmp(args[0], "nested"))
        run_nested();
    else
        run(site_a, site_b);
}

#endif
