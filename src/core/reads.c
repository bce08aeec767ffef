/* SPDX-License-Identifier: MIT */
/*
 * The record of what a task or thread holds for reading. Nearly always it is empty or
 * has one entry, so it is searched from its end, and what is dropped is replaced by the
 * last.
 */
#include "base/alloc.h"
#include "core/task.h"
#include "core/thread.h"

_Static_assert(offsetof(struct hki_task, stack) == HKI_SELF_TO_STACK,
               "hki_reads_of finds the stack of a task");
_Static_assert(offsetof(struct hki_stack_top, reads) == 0,
               "hki_reads_of finds the record of a task");
_Static_assert(offsetof(struct hki_thread, reads) == sizeof(struct hki_self),
               "hki_reads_of finds the record of a thread");

void hki_reads_refuse(void)
{
    hki_panic("a lock is held for reading inside a callback of the event loop");
}

static inline struct hki_read *entry(struct hki_reads *reads, uint32_t i)
{
    return i < HKI_READS_OWN ? &reads->own[i] : &reads->more[i - HKI_READS_OWN];
}

static struct hki_read *find(struct hki_reads *reads, const void *lock)
{
    for (uint32_t i = reads->count; i-- > 0;)
        if (entry(reads, i)->lock == lock)
            return entry(reads, i);
    return NULL;
}

uint64_t hki_reads_depth_slow(struct hki_reads *reads, const void *lock)
{
    const struct hki_read *read = find(reads, lock);

    return read ? read->depth : 0;
}

static bool make_room(struct hki_reads *reads)
{
    uint32_t room = reads->more ? 2 * reads->more_room : 2 * HKI_READS_OWN;
    struct hki_read *more;

    if (reads->count < HKI_READS_OWN + (reads->more ? reads->more_room : 0))
        return true;
    more = hki_realloc(reads->more, room * sizeof(*more));
    if (!more)
        return false;
    reads->more = more;
    reads->more_room = room;
    return true;
}

uint64_t hki_reads_add_slow(struct hki_reads *reads, const void *lock)
{
    struct hki_read *read = find(reads, lock);

    if (read)
        return ++read->depth;
    if (HKI_UNLIKELY(reads->count >= HKI_READS_OWN) && !make_room(reads))
        return 0;
    read = entry(reads, reads->count++);
    read->lock = lock;
    return read->depth = 1;
}

uint64_t hki_reads_remove_slow(struct hki_reads *reads, const void *lock)
{
    struct hki_read *read = find(reads, lock);

    if (HKI_UNLIKELY(!read))
        return 0;
    if (read->depth > 1)
        return read->depth--;
    *read = *entry(reads, --reads->count);
    if (HKI_UNLIKELY(reads->more && reads->count <= HKI_READS_OWN)) {
        hki_free(reads->more);
        reads->more = NULL;
    }
    return 1;
}
