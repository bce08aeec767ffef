/* SPDX-License-Identifier: MIT */
/*
 * Switching between stacks. The switch itself is assembler, one file for each CPU, and
 * saves what the ABI demands of a callee: the integer (and on aarch64 the d8-d15)
 * registers. The FP control words are not saved: they belong to the worker, a task that
 * changes the rounding mode changes it for all (docs/rules.md, rule 20).
 *
 * It leaves by a jump and is reached by a tail call, so that hk_yield is one call and
 * one jump: of the variants measured (docs/design/switch.md) this one is fast on one
 * call site and on many.
 *
 * All knowledge of ASan, TSan and Valgrind about stacks lives here and in context.c.
 */
#ifndef HKI_SYS_CONTEXT_H
#define HKI_SYS_CONTEXT_H

#include "base/annotate.h"

#include <stdbool.h>
#include <stddef.h>

#if defined(HKI_ASAN) || defined(HKI_TSAN)
#define HKI_CONTEXT_TOOLS 1
#endif

/* What the tools must remember for one stack. */
struct hki_context {
    const void *low; /* lowest usable address */
    size_t size;
    void *fake;  /* ASan's fake stack while this one is off the processor */
    void *fiber; /* TSan's */
    unsigned valgrind_id;
};

/* Saves the caller's registers on its stack and that address in `*save`, then goes on
 * where `load` was saved. Returns 0 when switched back to. */
int hki_switch(void **save, void *load);

/* The same, but leaves by a return: for functions that go on after the switch, and
 * whose own return would be mispredicted after a jump (docs/design/switch.md). */
int hki_switch_by_return(void **save, void *load);
typedef int hki_switch_fn(void **save, void *load);

/* Goes on where `load` was saved and forgets the caller. */
_Noreturn void hki_switch_for_good(void *load);

/*
 * Calls fn(arg) and returns. An unwinder inside fn sees the frames that are parked with
 * their registers saved at `parked` as its callers. Nothing is written to that stack.
 */
void hki_call_from(void *parked, void (*fn)(void *arg), void *arg);

/*
 * Calls fn(arg) and returns its result. Here an unwinder sees the end of the stack, as
 * below a task's first function: an exception that leaves fn calls std::terminate.
 */
int hki_call_as_first(int (*fn)(void *arg), void *arg);

/* The saved registers of a stack that begins with entry(), which must not return. */
void *hki_context_make(void *top, void (*entry)(void));

/* Tells the tools about a new stack, about the thread's own, and about the end. */
void hki_context_init(struct hki_context *context, const void *low, size_t size);
void hki_context_init_thread(struct hki_context *context);
void hki_context_fini(struct hki_context *context);
/* The stack is about to be used by another task from its top. */
void hki_context_reuse(struct hki_context *context);

/* Around a switch, on the stack that is left (`dying`: for good), then on arrival. */
void hki_context_leave(struct hki_context *from, struct hki_context *to, bool dying);
void hki_context_arrive(struct hki_context *self, bool first);

/* `how`: one of the two; a constant. */
static inline int hki_context_switch(hki_switch_fn *how, void **save, void *load,
                                     struct hki_context *from, struct hki_context *to)
{
#ifdef HKI_CONTEXT_TOOLS
    hki_context_leave(from, to, false);
    how(save, load);
    hki_context_arrive(from, false);
    return 0;
#else
    (void)from;
    (void)to;
    return how(save, load);
#endif
}

#endif
