/* SPDX-License-Identifier: MIT */
/*
 * Task stacks: cut from large slabs of address space, reused last-in first-out, each
 * with 16 guard pages at its low end inside the reservation.
 *
 *     low                                                              high
 *     | 16 guard pages | usable, touched from the right | struct hki_stack |
 *
 * The head sits on the page that a task touches first anyway. One pool belongs to one
 * worker; nothing here is shared but the list of slabs, which the overflow handler
 * reads.
 */
#ifndef HKI_SYS_STACK_H
#define HKI_SYS_STACK_H

#include "sys/context.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HKI_STACK_GUARD_PAGES = 16,
    /* Room in the head for the layer above (struct hki_stack_top). */
    HKI_STACK_HEAD_WORDS = 12,
};

struct hki_stack {
    uint64_t owner[HKI_STACK_HEAD_WORDS]; /* core's; zero when first cut */
    struct hki_stack *next;               /* in the free list */
    struct hki_context context;
};

struct hki_stack_pool {
    struct hki_stack *free;
    size_t stack_size;   /* reservation of one stack, bytes: a power of two */
    uint32_t stacks_max; /* 0: no limit */
    uint32_t in_use, cut;
    struct hki_stack_slab *slabs; /* newest first; cut from the first one */
};

void hki_stack_pool_init(struct hki_stack_pool *pool, size_t stack_size,
                         uint32_t stacks_max);
/* No stack is in use. */
void hki_stack_pool_fini(struct hki_stack_pool *pool);

int hki_stack_get_new(struct hki_stack_pool *pool, struct hki_stack **out);

/* 0, -ENOMEM, or -EAGAIN: `stacks_max` are in use. */
static inline int hki_stack_get(struct hki_stack_pool *pool, struct hki_stack **out)
{
    struct hki_stack *stack = pool->free;

    if (__builtin_expect(!stack, 0))
        return hki_stack_get_new(pool, out);
    pool->free = stack->next;
    pool->in_use++;
#ifdef HKI_CONTEXT_TOOLS
    hki_context_reuse(&stack->context);
#endif
    *out = stack;
    return 0;
}

static inline void hki_stack_put(struct hki_stack_pool *pool, struct hki_stack *stack)
{
    stack->next = pool->free;
    pool->free = stack;
    pool->in_use--;
}

/* Gives the memory of free stacks beyond `keep` back to the system. */
void hki_stack_pool_trim(struct hki_stack_pool *pool, uint32_t keep);

/*
 * The stack in whose guard pages `address` lies, or NULL. Async-signal-safe: for the
 * handler that names the task which overflowed.
 */
struct hki_stack *hki_stack_of_guard(const void *address);

#endif
