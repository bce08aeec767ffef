/* SPDX-License-Identifier: MIT */
/* The beginning and the end of a rwlock, and what it tells about itself in between. */
#include "sync/rwlock.h"

#include <hocket/task.h>

#include <stdio.h>

const char *hki_rwlock_name(const hk_rwlock *lock)
{
    return lock->name ? lock->name : "unnamed";
}

uint32_t hki_rwlock_readers(const hk_rwlock *lock)
{
    uint32_t count = 0;

    for (int i = 0; i < HKI_RWLOCK_SLOTS; i++)
        count += __atomic_load_n(&lock->hki_slots[i].hki_readers, __ATOMIC_RELAXED) /
                 HKI_RW_READER;
    return count;
}

void hki_rwlock_describe(const void *object, char *text, size_t size)
{
    const hk_rwlock *lock = object;

    (void)snprintf(text, size, "'%s', %u inside to read", hki_rwlock_name(lock),
                   hki_rwlock_readers(lock));
}

size_t hki_rwlock_writer_holds(const void *object, hk_holder *out, size_t max)
{
    const hk_rwlock *lock = object;

    return hki_mutex_holders(&lock->hki_writers, out, max);
}

const hk_wait_kind hki_rwlock_kind = {
    .name = "rwlock",
    .name_offset = offsetof(hk_rwlock, name),
    .check_offset = offsetof(hk_rwlock, hki_check),
};

void hki_rwlock_panic(const char *call, const hk_rwlock *lock, const char *does)
{
    hk_holder writer;

    if (hki_mutex_holders(&lock->hki_writers, &writer, 1))
        hki_panic("%s: '%s' %s rwlock '%s' (%p); '%s' writes it", call, hk_task_name(),
                  does, hki_rwlock_name(lock), (const void *)lock,
                  hki_self_name(writer));
    hki_panic("%s: '%s' %s rwlock '%s' (%p); %u read it", call, hk_task_name(), does,
              hki_rwlock_name(lock), (const void *)lock, hki_rwlock_readers(lock));
}

void hk_rwlock_init(hk_rwlock *lock)
{
    *lock = (hk_rwlock)HK_RWLOCK_INIT;
    if (hki_is_checking())
        hki_check_forget(lock);
}

void hk_rwlock_stats(const hk_rwlock *lock, hk_sync_stats *out_stats)
{
    uint32_t *word = &((hk_rwlock *)lock)->hki_lock;
    hk_sync_stats writers;

    hk_mutex_stats(&lock->hki_writers, &writers);
    hki_lock_acquire(word);
    *out_stats = (hk_sync_stats){
        .holders = hki_rwlock_readers(lock),
        .waiters = writers.waiters + lock->hki_waiting + (lock->hki_drain ? 1 : 0),
        .contended = writers.contended + lock->hki_contended,
    };
    if (out_stats->holders == 0 && hki_rwlock_is_writing(lock))
        out_stats->holders = 1; /* the writer */
    hki_lock_release(word);
}

/* Somebody writes, and is not about to end: one that ends opens the slots, one after
 * the other, before it clears WRITING. */
static bool is_shut(const hk_rwlock *lock)
{
    uint32_t used = __atomic_load_n(&lock->hki_used, __ATOMIC_SEQ_CST);

    if (!hki_rwlock_is_writing(lock))
        return false;
    for (int i = 0; i < HKI_RWLOCK_SLOTS; i++)
        if ((used & (1u << i)) &&
            !(__atomic_load_n(&lock->hki_slots[i].hki_readers, __ATOMIC_SEQ_CST) &
              HKI_RW_CLOSED))
            return false;
    return true;
}

void hk_rwlock_fini(hk_rwlock *lock)
{
    hk_sync_stats stats;

    if (!lock)
        return;
    /* A writer's unlock lets readers in before it returns, so that one of them may be
     * here already: it is waited for. */
    for (unsigned turn = 0;; turn++) {
        hk_rwlock_stats(lock, &stats);
        if (hki_rwlock_readers(lock) > 0 || is_shut(lock) || stats.waiters)
            hki_rwlock_panic("hk_rwlock_fini", lock, "ends a used");
        if (hk_rwlock_try_write_lock(lock) == 0)
            break;
        hki_spin_pause(turn);
    }
    hk_rwlock_write_unlock(lock);
    if (hki_is_checking())
        hki_check_forget(lock);
}

bool hk_rwlock_is_read(const hk_rwlock *lock)
{
    return hki_reads_depth(hki_self(), lock) > 0;
}

bool hk_rwlock_is_written(const hk_rwlock *lock)
{
    return hki_rwlock_is_writer(lock, hki_self());
}
