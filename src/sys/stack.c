/* SPDX-License-Identifier: MIT */
/*
 * Slabs grow from 64 stacks to 4,096, so that a small program reserves little and a
 * million stacks need few mappings. A stack is cut from its slab on first use, which
 * is when its guard is laid: the memory of a slab that nobody used stays untouched.
 */
#include "sys/stack.h"

#include "base/assert.h"
#include "base/lock.h"
#include "sys/os.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    SLAB_STACKS_MIN = 64,
    SLAB_STACKS_MAX = 4096,
    SLABS_MAX = 4096, /* that the overflow handler can know: 16 million stacks */
};

struct hki_stack_slab {
    struct hki_stack_slab *next;
    char *base;
    size_t stack_size;
    uint32_t stacks, cut;
    uint32_t registered; /* index in `known` */
};

/* Read by a signal handler without a lock: entries are set and cleared atomically. A
 * slab outlives the tasks that could fault in it. */
static struct hki_stack_slab *known[SLABS_MAX];
static uint32_t known_count; /* high-water mark; atomic */
static uint32_t known_lock;

static bool slab_register(struct hki_stack_slab *slab)
{
    bool found = false;

    hki_lock_acquire(&known_lock);
    for (uint32_t i = 0; i < SLABS_MAX; i++) {
        if (__atomic_load_n(&known[i], __ATOMIC_RELAXED))
            continue;
        slab->registered = i;
        __atomic_store_n(&known[i], slab, __ATOMIC_RELEASE);
        if (i >= known_count)
            __atomic_store_n(&known_count, i + 1, __ATOMIC_RELEASE);
        found = true;
        break;
    }
    hki_lock_release(&known_lock);
    return found;
}

static int slab_new(struct hki_stack_pool *pool)
{
    struct hki_stack_slab *slab = calloc(1, sizeof(*slab));
    uint32_t stacks = pool->slabs ? pool->slabs->stacks * 2 : SLAB_STACKS_MIN;

    if (!slab)
        return -ENOMEM;
    slab->stacks = stacks > SLAB_STACKS_MAX ? SLAB_STACKS_MAX : stacks;
    slab->stack_size = pool->stack_size;
    slab->base = hki_os_reserve(slab->stacks * pool->stack_size);
    if (!slab->base)
        goto no_memory;
    if (!slab_register(slab))
        goto no_slot;
    slab->next = pool->slabs;
    pool->slabs = slab;
    return 0;

no_slot:
    hki_os_release(slab->base, slab->stacks * pool->stack_size);
no_memory:
    free(slab);
    return -ENOMEM;
}

static struct hki_stack *stack_at(const struct hki_stack_slab *slab, uint32_t index)
{
    char *end = slab->base + (size_t)(index + 1) * slab->stack_size;

    return (struct hki_stack *)(void *)(end - sizeof(struct hki_stack));
}

static size_t guard_size(void)
{
    return HKI_STACK_GUARD_PAGES * hki_os_page_size();
}

static void init_context(struct hki_stack *stack, size_t stack_size)
{
    char *low = (char *)(stack + 1) - stack_size + guard_size();

    hki_context_init(&stack->context, low, (size_t)((char *)stack - low));
}

static int cut(struct hki_stack_pool *pool, struct hki_stack **out)
{
    size_t guard = guard_size();
    struct hki_stack_slab *slab = pool->slabs;
    struct hki_stack *stack;
    char *low;
    int rc;

    if (!slab || slab->cut == slab->stacks) {
        rc = slab_new(pool);
        if (rc < 0)
            return rc;
        slab = pool->slabs;
    }
    low = slab->base + (size_t)slab->cut * slab->stack_size;
    rc = hki_os_guard(low, guard);
    if (rc < 0)
        return -ENOMEM; /* vm.max_map_count, where guards cost a mapping */
    stack = stack_at(slab, slab->cut++);
    HKI_COUNT(pool->cut, 1);
    hki_context_init(&stack->context, low + guard,
                     (size_t)((char *)stack - low) - guard);
    *out = stack;
    return 0;
}

void hki_stack_pool_init(struct hki_stack_pool *pool, size_t stack_size,
                         uint32_t stacks_max)
{
    memset(pool, 0, sizeof(*pool));
    pool->stack_size = stack_size;
    pool->stacks_max = stacks_max;
}

void hki_stack_pool_fini(struct hki_stack_pool *pool)
{
    HKI_ASSERT(pool->in_use == 0, "a pool ends without stacks in use");
    while (pool->cold_count)
        init_context(pool->cold[--pool->cold_count], pool->stack_size);
    free(pool->cold);
    while (pool->slabs) {
        struct hki_stack_slab *slab = pool->slabs;

        pool->slabs = slab->next;
        for (uint32_t i = 0; i < slab->cut; i++)
            hki_context_fini(&stack_at(slab, i)->context);
        __atomic_store_n(&known[slab->registered], NULL, __ATOMIC_RELEASE);
        hki_os_release(slab->base, slab->stacks * slab->stack_size);
        free(slab);
    }
}

/* One that gave its memory back: its head is zero again, its guard is still there. */
static int warm_up(struct hki_stack_pool *pool, struct hki_stack **out)
{
    struct hki_stack *stack = pool->cold[--pool->cold_count];

    init_context(stack, pool->stack_size);
    *out = stack;
    return 0;
}

int hki_stack_get_new(struct hki_stack_pool *pool, struct hki_stack **out)
{
    int rc;

    if (pool->stacks_max && pool->in_use >= pool->stacks_max)
        return -EAGAIN;
    rc = pool->cold_count ? warm_up(pool, out) : cut(pool, out);
    if (rc == 0)
        HKI_COUNT(pool->in_use, 1);
    return rc;
}

#ifdef HKI_CONTEXT_TOOLS
bool hki_stack_pool_trim(struct hki_stack_pool *pool)
{
    (void)pool; /* the tools' state in the head must not be lost */
    return false;
}
#else
static bool make_room_for_cold(struct hki_stack_pool *pool)
{
    uint32_t room = pool->cold_room ? pool->cold_room * 2 : 1024;
    struct hki_stack **grown;

    if (pool->cold_count < pool->cold_room)
        return true;
    grown = realloc(pool->cold, room * sizeof(struct hki_stack *));
    if (!grown)
        return false; /* then the memory stays with us */
    pool->cold = grown;
    pool->cold_room = room;
    return true;
}

bool hki_stack_pool_trim(struct hki_stack_pool *pool)
{
    for (int i = 0; i < HKI_STACKS_TRIM; i++) {
        struct hki_stack *stack = pool->free;

        if (pool->cut - pool->in_use - pool->cold_count <= HKI_STACKS_WARM ||
            !make_room_for_cold(pool))
            return false;
        pool->free = stack->next;
        pool->cold[pool->cold_count++] = stack;
        hki_os_discard((void *)(uintptr_t)stack->context.low,
                       (size_t)((char *)(stack + 1) - (char *)stack->context.low));
    }
    return true;
}
#endif

struct hki_stack *hki_stack_of_guard(const void *address)
{
    size_t guard = HKI_STACK_GUARD_PAGES * 4096u;
    uint32_t count = __atomic_load_n(&known_count, __ATOMIC_ACQUIRE);

    for (uint32_t i = 0; i < count; i++) {
        struct hki_stack_slab *slab = __atomic_load_n(&known[i], __ATOMIC_ACQUIRE);
        uintptr_t offset;

        if (!slab || (uintptr_t)address < (uintptr_t)slab->base)
            continue;
        offset = (uintptr_t)address - (uintptr_t)slab->base;
        if (offset >= slab->stacks * slab->stack_size)
            continue;
        return offset % slab->stack_size < guard
                   ? stack_at(slab, (uint32_t)(offset / slab->stack_size))
                   : NULL;
    }
    return NULL;
}
