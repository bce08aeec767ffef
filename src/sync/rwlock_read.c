/* SPDX-License-Identifier: MIT */
/* The readers' side of a rwlock: in by a slot, behind a writer through the queue, and
 * out again. The rules are in rwlock.h. */
#include "sync/rwlock.h"

#include "sync/queue.h"

/* ---- what a reader waits for ---- */

/* It waits for the writer, until it is inside: the next writer may be there before it
 * runs. */
static size_t writer_keeps_out(const void *object, hk_holder *out, size_t max)
{
    const struct hki_rw_reader *reader = object;

    if (__atomic_load_n(&reader->inside, __ATOMIC_RELAXED))
        return 0;
    return hki_rwlock_writer_holds(reader->lock, out, max);
}

static void describe_to_reader(const void *object, char *text, size_t size)
{
    hki_rwlock_describe(((const struct hki_rw_reader *)object)->lock, text, size);
}

static const hk_wait_kind read_kind = {.name = "rwlock, to read",
                                       .describe = describe_to_reader,
                                       .holders = writer_keeps_out};

/* ---- in ---- */

/* Threads share the slots in turn; a thread, or the tasks of a worker, keep theirs. */
static uint32_t slot_of_caller(void)
{
    static __thread uint32_t mine /* atomic, for who tells tasks of one thread apart */
        __attribute__((tls_model("initial-exec")));
    static uint32_t threads; /* atomic */
    uint32_t slot = __atomic_load_n(&mine, __ATOMIC_RELAXED);

    if (HKI_UNLIKELY(slot == 0)) {
        slot = 1 + __atomic_fetch_add(&threads, 1, __ATOMIC_RELAXED) % HKI_RWLOCK_SLOTS;
        __atomic_store_n(&mine, slot, __ATOMIC_RELAXED);
    }
    return slot - 1;
}

/* Enters by a slot with `needed` (USED, or 0: hki_used is known to have it). */
static inline bool try_read(hk_rwlock *lock, uint32_t slot, uint32_t needed)
{
    uint32_t *word = &lock->hki_slots[slot].hki_readers;
    uint32_t readers = __atomic_load_n(word, __ATOMIC_RELAXED);

    while ((readers & needed) == needed && !(readers & HKI_RW_CLOSED))
        /* A release, too: who comes by this slot after us sees the writers that we saw,
         * also those that did not know of the slot. */
        if (__atomic_compare_exchange_n(word, &readers,
                                        (readers | HKI_RW_USED) + HKI_RW_READER, true,
                                        __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            return true;
    return false;
}

static void use_slot(hk_rwlock *lock, uint32_t slot)
{
    if (!(hki_rwlock_used(lock) & (1u << slot)))
        __atomic_fetch_or(&lock->hki_used, 1u << slot, __ATOMIC_SEQ_CST);
}

static hk_verdict read_abort(hk_waiter *w)
{
    hk_rwlock *lock = ((struct hki_rw_reader *)w->data)->lock;
    bool removed;

    hki_lock_acquire(&lock->hki_lock);
    removed = hki_queue_remove(&lock->hki_readers, w);
    if (removed)
        lock->hki_waiting--;
    hki_lock_release(&lock->hki_lock);
    return removed ? HK_ABORTED : HK_PENDING;
}

/* False: the writer has left meanwhile. */
static bool queue_to_read(struct hki_rw_reader *reader)
{
    hk_rwlock *lock = reader->lock;
    uint32_t *word = hki_rwlock_word(lock), state;

    hki_lock_acquire(&lock->hki_lock);
    state = __atomic_load_n(word, __ATOMIC_RELAXED);
    while ((state & HKI_RW_WRITING) &&
           !__atomic_compare_exchange_n(word, &state, state | HKI_RW_COME_LATE, true,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
    if (state & HKI_RW_WRITING) {
        hki_queue_push(&lock->hki_readers, &reader->waiter);
        lock->hki_waiting++;
        lock->hki_contended += !reader->woken;
    }
    hki_lock_release(&lock->hki_lock);
    return state & HKI_RW_WRITING;
}

/* A writer is done soon, if it runs elsewhere; but it has slots to open, so the look
 * that comes very soon is left out. Looks at the caller's slot alone. */
static bool spin_to_read(hk_rwlock *lock, const struct hki_self *self, uint32_t slot)
{
    bool is_thread = self->kind == HKI_SELF_THREAD, done = false;

    for (int i = 1; !done && hki_mutex_spin(&lock->hki_writers, is_thread, i); i++)
        done = try_read(lock, slot, HKI_RW_USED);
    hki_mutex_has_spun(&lock->hki_writers, done);
    return done;
}

static __attribute__((noinline)) int read_slow(hk_rwlock *lock, struct hki_self *self,
                                               uint32_t slot, enum hki_rw_mode mode)
{
    struct hki_rw_reader reader = {.lock = lock, .slot = slot};

    if (hki_rwlock_is_writer(lock, self))
        return -EDEADLK;
    use_slot(lock, slot);
    for (;;) {
        int rc;

        if (!hki_rwlock_is_writing(lock) && try_read(lock, slot, 0))
            return 0;
        if (mode == HKI_RW_TRIES)
            return -EAGAIN;
        if (spin_to_read(lock, self, slot))
            return 0;
        hki_waiter_arm(&reader.waiter, self, &read_kind, &reader);
        reader.waiter.data = &reader;
        if (!queue_to_read(&reader))
            continue;
        rc = hk_park(&reader.waiter, mode == HKI_RW_WAITS ? read_abort : NULL);
        if (rc < 0 || reader.inside)
            return rc;
        reader.woken = true;
    }
}

static inline int read_lock(hk_rwlock *lock, struct hki_self *self,
                            enum hki_rw_mode mode)
{
    uint64_t depth = hki_reads_add(self, lock);
    uint32_t slot = slot_of_caller();
    int rc = 0;

    if (HKI_UNLIKELY(depth != 1))
        return depth ? 0 : -ENOMEM;
    if (hki_is_checking() && mode != HKI_RW_TRIES)
        hki_check_order(self, lock, &hki_rwlock_kind, HKI_HELD_SHARED);
    if (HKI_UNLIKELY(!try_read(lock, slot, HKI_RW_USED)))
        rc = read_slow(lock, self, slot, mode);
    if (HKI_UNLIKELY(rc < 0))
        (void)hki_reads_remove(self, lock);
    else if (hki_is_checking())
        hki_check_took(self, lock, &hki_rwlock_kind, HKI_HELD_SHARED);
    return rc;
}

int hk_rwlock_read_lock(hk_rwlock *lock)
{
    struct hki_self *self = hki_self();
    int rc = hki_enter(self);

    if (HKI_UNLIKELY(rc < 0))
        return rc;
    hki_spend(self);
    return read_lock(lock, self, HKI_RW_WAITS);
}

void hk_rwlock_read_lock_shielded(hk_rwlock *lock)
{
    struct hki_self *self = hki_self();
    int rc;

    hki_spend(self);
    rc = read_lock(lock, self, HKI_RW_SHIELDED);
    if (rc < 0)
        hki_rwlock_panic("hk_rwlock_read_lock_shielded", lock,
                         rc == -ENOMEM ? "has no memory to note that it reads"
                                       : "would wait for itself to read");
}

int hk_rwlock_try_read_lock(hk_rwlock *lock)
{
    return read_lock(lock, hki_self(), HKI_RW_TRIES);
}

/* ---- out ---- */

/* It was watched. When the writer sleeps it cannot go on, nor go away, before the last
 * who leaves wakes it. */
static __attribute__((noinline)) void report(hk_rwlock *lock)
{
    hk_waiter *writer;

    if (__atomic_fetch_sub(&lock->hki_leaving, HKI_RW_LEAVER, __ATOMIC_ACQ_REL) !=
        (HKI_RW_LEAVER | HKI_RW_PARKED))
        return;
    hki_lock_acquire(&lock->hki_lock);
    writer = lock->hki_drain;
    lock->hki_drain = NULL;
    __atomic_store_n(&lock->hki_leaving, 0, __ATOMIC_RELAXED);
    hki_lock_release(&lock->hki_lock);
    hk_wake(writer, 0);
}

static inline void leave(hk_rwlock *lock, uint32_t slot)
{
    uint32_t *word = &lock->hki_slots[slot].hki_readers;

    if (HKI_UNLIKELY(__atomic_fetch_sub(word, HKI_RW_READER, __ATOMIC_RELEASE) &
                     HKI_RW_WATCHED))
        report(lock);
}

void hki_rwlock_leave_reading(hk_rwlock *lock)
{
    leave(lock, slot_of_caller());
}

/* `call` and `does`: for the sentence when the caller does not read it. */
static inline void read_unlock(hk_rwlock *lock, const char *call, const char *does)
{
    struct hki_self *self = hki_self();
    uint64_t depth = hki_reads_remove(self, lock);

    if (HKI_UNLIKELY(depth != 1)) {
        if (depth == 0)
            hki_rwlock_panic(call, lock, does);
        return;
    }
    if (hki_is_checking())
        hki_check_gave(self, lock);
    leave(lock, slot_of_caller());
}

void hk_rwlock_read_unlock(hk_rwlock *lock)
{
    read_unlock(lock, "hk_rwlock_read_unlock", "does not read the");
}

/* Whatever the caller does. */
void hk_rwlock_unlock(hk_rwlock *lock)
{
    if (hki_rwlock_is_writer(lock, hki_self()))
        hk_rwlock_write_unlock(lock);
    else
        read_unlock(lock, "hk_rwlock_unlock", "does not hold the");
}
