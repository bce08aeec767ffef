/* SPDX-License-Identifier: MIT */
/*
 * The smallest coroutine that can be switched to: a stack pointer and a place to go on.
 *
 * The switch is inline: the compiler saves what is live, we save only %rbp and %rbx
 * (which an asm may not list as clobbered everywhere) and every other register is a
 * clobber. It leaves by an indirect jmp, which the CPU predicts per call site, where a
 * `ret` would mispredict: the return-stack predictor belongs to the other coroutine.
 * Compile with -mno-red-zone: the asm pushes.
 */
#ifndef HOCKET_BENCH_CORO_H
#define HOCKET_BENCH_CORO_H

#if defined(__x86_64__)
#define CORO_HERE 1

struct coro {
    void *sp;
    void *pc;
};

static inline __attribute__((always_inline)) void coro_switch(struct coro *from,
                                                              struct coro *to)
{
    __asm__ volatile("push %%rbp\n\t"
                     "push %%rbx\n\t"
                     "lea 1f(%%rip), %%rax\n\t"
                     "mov %%rax, 8(%0)\n\t"
                     "mov %%rsp, (%0)\n\t"
                     "mov (%1), %%rsp\n\t"
                     "jmp *8(%1)\n\t"
                     ".p2align 4\n"
                     "1:\n\t"
                     "pop %%rbx\n\t"
                     "pop %%rbp\n\t"
                     : "+D"(from), "+S"(to)
                     :
                     : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13",
                       "r14", "r15", "memory", "cc");
}

/* Makes c start in entry, which never returns, on the stack that ends at top. */
static inline void coro_make(struct coro *c, void *top, void (*entry)(void))
{
    /* The ABI: on entry the stack is 8 past a multiple of 16, as after a call. */
    void **sp = (void **)((uintptr_t)top & ~(uintptr_t)15);

    *--sp = 0;
    c->sp = sp;
    c->pc = (void *)entry;
}

#endif
#endif
