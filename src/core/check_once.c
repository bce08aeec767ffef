/* SPDX-License-Identifier: MIT */
/*
 * Open addressing, linear probing. A slot is 0 (never used), 1 (was used) or a key. A
 * look-up may run beside an addition, and then misses it: the addition that its caller
 * makes then finds it.
 */
#include "core/check_once.h"

#include "base/lock.h"
#include "sys/os.h"

#include <errno.h>
#include <stddef.h>

enum {
    SLOTS = 1 << 17, /* 1 MiB of address space, touched where it is used */
    KEYS_MAX = SLOTS / 4,
    PROBES_MAX = 64,
    EMPTY = 0,
    REMOVED = 1,
};

static uint64_t *slots; /* atomic, and so is what it points to */
static uint32_t lock;   /* guards all changes, and the next */
static uint32_t used;   /* slots that are not EMPTY */

int hki_once_init(void)
{
    uint64_t *room = hki_os_reserve(SLOTS * sizeof(*room));

    if (!room)
        return -ENOMEM;
    __atomic_store_n(&slots, room, __ATOMIC_RELEASE);
    return 0;
}

static inline uint64_t *slot_at(uint64_t key, uint32_t probe)
{
    return &__atomic_load_n(&slots, __ATOMIC_ACQUIRE)[(key + probe) & (SLOTS - 1)];
}

static inline void set(uint64_t *slot, uint64_t value)
{
    __atomic_store_n(slot, value, __ATOMIC_RELAXED);
}

static inline uint64_t *find(uint64_t key)
{
    for (uint32_t i = 0; i < PROBES_MAX; i++) {
        uint64_t *slot = slot_at(key, i);
        uint64_t value = __atomic_load_n(slot, __ATOMIC_RELAXED);

        if (value == key)
            return slot;
        if (value == EMPTY)
            break;
    }
    return NULL;
}

bool hki_once_seen(uint64_t key)
{
    return find(key) != NULL;
}

static int add(uint64_t key)
{
    if (find(key))
        return 0;
    for (uint32_t i = 0; i < PROBES_MAX && used < KEYS_MAX; i++) {
        uint64_t *slot = slot_at(key, i);

        if (*slot > REMOVED)
            continue;
        used += *slot == EMPTY;
        set(slot, key);
        return 1;
    }
    return -ENOMEM;
}

int hki_once_add(uint64_t key)
{
    int rc;

    hki_lock_acquire(&lock);
    rc = add(key);
    hki_lock_release(&lock);
    return rc;
}

void hki_once_remove(uint64_t key)
{
    uint64_t *slot;

    hki_lock_acquire(&lock);
    slot = find(key);
    if (slot)
        set(slot, REMOVED);
    hki_lock_release(&lock);
}

void hki_once_clear(void)
{
    hki_lock_acquire(&lock);
    for (uint32_t i = 0; i < SLOTS; i++)
        if (slots[i] != EMPTY)
            set(&slots[i], EMPTY);
    used = 0;
    hki_lock_release(&lock);
}
