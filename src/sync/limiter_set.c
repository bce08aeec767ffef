/* SPDX-License-Identifier: MIT */
/* The borrowers of a limiter; what they are is in limiter_set.h. */
#include "sync/limiter_set.h"

#include "base/alloc.h"

#include <string.h>

/* The slots, wherever they are. Their number is a power of two. */
struct slots {
    const void **at;
    size_t count;
};

static struct slots slots_of(const hk_limiter *limiter)
{
    if (limiter->hki_many)
        return (struct slots){limiter->hki_many, limiter->hki_many_slots};
    return (struct slots){((hk_limiter *)limiter)->hki_few, HKI_LIMITER_FEW};
}

/* Fibonacci hashing (Knuth): what is near in memory is far apart here. */
static size_t home_of(struct slots slots, const void *borrower)
{
    uint64_t mixed = (uint64_t)(uintptr_t)borrower * UINT64_C(0x9E3779B97F4A7C15);

    return (size_t)(mixed >> 32) & (slots.count - 1);
}

static size_t next(struct slots slots, size_t index)
{
    return (index + 1) & (slots.count - 1);
}

/* Atomic for `holders`, which dumps call. */
static void put(struct slots slots, size_t index, const void *borrower)
{
    __atomic_store_n(&slots.at[index], borrower, __ATOMIC_RELEASE);
}

/* Its slot, or the free one where it belongs, or slots.count: full, and not there. */
static size_t find(struct slots slots, const void *borrower)
{
    size_t index = home_of(slots, borrower);

    for (size_t i = 0; i < slots.count; i++, index = next(slots, index))
        if (!slots.at[index] || slots.at[index] == borrower)
            return index;
    return slots.count;
}

static bool is_at(struct slots slots, size_t index)
{
    return index < slots.count && slots.at[index];
}

bool hki_limiter_has(const hk_limiter *limiter, const void *borrower)
{
    struct slots slots = slots_of(limiter);

    return is_at(slots, find(slots, borrower));
}

bool hki_limiter_add(hk_limiter *limiter, const void *borrower)
{
    struct slots slots = slots_of(limiter);
    size_t index = find(slots, borrower);

    if (is_at(slots, index))
        return false;
    put(slots, index, borrower);
    return true;
}

/* True when who lives at `home` may move from `from` to the free slot `to` before it:
 * when its home is not in between. */
static bool may_move(size_t home, size_t to, size_t from)
{
    return to <= from ? home <= to || home > from : home <= to && home > from;
}

/* Closes the gap at `free`, so that every search still finds what stood behind it. */
static void close_gap(struct slots slots, size_t free)
{
    size_t index = next(slots, free);

    for (size_t i = 1; i < slots.count && slots.at[index]; i++) {
        if (may_move(home_of(slots, slots.at[index]), free, index)) {
            put(slots, free, slots.at[index]);
            free = index;
        }
        index = next(slots, index);
    }
    put(slots, free, NULL);
}

bool hki_limiter_remove(hk_limiter *limiter, const void *borrower)
{
    struct slots slots = slots_of(limiter);
    size_t index = find(slots, borrower);

    if (!is_at(slots, index))
        return false;
    close_gap(slots, index);
    return true;
}

static bool has_room(const hk_limiter *limiter, size_t count)
{
    return limiter->hki_many ? count <= limiter->hki_many_slots / 2
                             : count <= HKI_LIMITER_FEW;
}

bool hki_limiter_reserve(hk_limiter *limiter, size_t count)
{
    struct slots old = slots_of(limiter), grown = {.count = old.count};

    if (has_room(limiter, count))
        return true;
    while (grown.count / 2 < count)
        grown.count *= 2;
    if (grown.count > UINT32_MAX)
        return false;
    grown.at = hki_alloc(grown.count * sizeof(*grown.at));
    if (!grown.at)
        return false;
    for (size_t i = 0; i < old.count; i++) {
        if (old.at[i])
            grown.at[find(grown, old.at[i])] = old.at[i];
        put(old, i, NULL);
    }
    hki_free(limiter->hki_many);
    __atomic_store_n(&limiter->hki_many, grown.at, __ATOMIC_RELAXED);
    limiter->hki_many_slots = (uint32_t)grown.count;
    return true;
}

size_t hki_limiter_list(const hk_limiter *limiter, const void **out, size_t max)
{
    struct slots slots = slots_of(limiter);
    size_t n = 0;

    for (size_t i = 0; i < slots.count; i++) {
        if (!slots.at[i])
            continue;
        if (n < max)
            out[n] = slots.at[i];
        n++;
    }
    return n;
}

void hki_limiter_forget_all(hk_limiter *limiter)
{
    hki_free(limiter->hki_many);
    __atomic_store_n(&limiter->hki_many, NULL, __ATOMIC_RELAXED);
    limiter->hki_many_slots = 0;
}
