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
    HKI_STACK_HEAD_WORDS = 22,
    HKI_STACKS_WARM = 1024, /* free stacks that keep their memory */
    HKI_STACKS_TRIM = 64,   /* that one trim gives back at most: about 0.1 ms */
};

struct hki_stack {
    uint64_t owner[HKI_STACK_HEAD_WORDS]; /* core's; zero when first cut */
    struct hki_stack *next;               /* in the free list */
    struct hki_context context;
};

struct hki_stack_pool {
    struct hki_stack *free;  /* still have their pages; last in, first out */
    struct hki_stack **cold; /* gave theirs back to the system */
    uint32_t cold_count, cold_room;
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
    HKI_COUNT(pool->in_use, 1);
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
    HKI_COUNT(pool->in_use, -1u);
}

/*
 * Gives the memory of a few free stacks back to the system, as long as more than
 * HKI_STACKS_WARM are free: called when there is nothing better to do. Returns whether
 * there is more to give.
 */
bool hki_stack_pool_trim(struct hki_stack_pool *pool);

/*
 * The stack in whose guard pages `address` lies, or NULL. Async-signal-safe: for the
 * handler that names the task which overflowed.
 */
struct hki_stack *hki_stack_of_guard(const void *address);

#endif
