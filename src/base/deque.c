/* SPDX-License-Identifier: MIT */
#include "base/deque.h"

#include "base/alloc.h"

#include <errno.h>

static struct hki_deque_ring *ring_new(size_t size)
{
    struct hki_deque_ring *ring =
        hki_alloc_kept(sizeof(*ring) + size * sizeof(ring->items[0]));

    if (ring) {
        ring->smaller = NULL;
        ring->mask = size - 1;
    }
    return ring;
}

int hki_deque_init(struct hki_deque *deque, size_t size)
{
    *deque = (struct hki_deque){.ring = ring_new(size)};
    return deque->ring ? 0 : -ENOMEM;
}

void hki_deque_fini(struct hki_deque *deque)
{
    while (deque->ring) {
        struct hki_deque_ring *ring = deque->ring;

        deque->ring = ring->smaller;
        hki_free_kept(ring);
    }
}

int hki_deque_grow(struct hki_deque *deque)
{
    struct hki_deque_ring *old = hki_deque_ring_of(deque);
    struct hki_deque_ring *ring = ring_new(2 * (old->mask + 1));
    int64_t bottom = __atomic_load_n(&deque->bottom, __ATOMIC_RELAXED);
    int64_t top = __atomic_load_n(&deque->top, __ATOMIC_ACQUIRE);

    if (!ring)
        return -ENOMEM;
    for (int64_t i = top; i < bottom; i++)
        __atomic_store_n(hki_deque_slot(ring, i),
                         __atomic_load_n(hki_deque_slot(old, i), __ATOMIC_RELAXED),
                         __ATOMIC_RELAXED);
    ring->smaller = old;
    __atomic_store_n(&deque->ring, ring, __ATOMIC_RELEASE); /* with steal */
    return 0;
}
