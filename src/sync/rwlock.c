/* SPDX-License-Identifier: MIT */
/*
 * A lock for many readers or one writer, whose readers do not meet.
 *
 * Readers of one core count themselves in one of a few slots, a cache line each, so
 * that reading needs no line that other cores write. A slot:
 *
 *     USED     Somebody has read by this slot: so hki_used has its bit. Set once.
 *     CLOSED   A writer is inside, or closes the door behind those who are: nobody may
 *              enter. Set and cleared by who holds hki_writers.
 *     WATCHED  Set beside CLOSED by a writer that has waited for long enough: who
 *              leaves reports it. It takes a READER off, and learns by the same
 *              instruction whether it is watched: if not, that was its last access.
 *     READER   n times: the readers inside.
 *
 * Who writes, in this order: holds hki_writers, a mutex, so that writers queue with all
 * that a mutex promises; sets WRITING in its word; closes the slots that are in use;
 * and waits until there is no READER, nor a LEAVER. Who leaves undoes that in the
 * reverse order, so a closed slot implies WRITING.
 *
 *     hki_leaving   LEAVER for each reader that was inside when its slot came to be
 *                   watched and has not reported yet: it takes one off, and touches the
 *                   lock no more, unless it was the last and the writer is PARKED: then
 *                   it wakes that writer.
 *     PARKED        The writer sleeps. Then only the last reader, or the abort of the
 *                   writer, which does nothing once the last reader has left, may end
 *                   its wait: so it is gone before the writer can be.
 *
 * A new slot: its reader sets the bit in hki_used, then looks for WRITING; a writer
 * sets WRITING, then reads hki_used. So one of them sees the other.
 *
 * Readers that come too late queue under hki_lock, with COME_LATE beside WRITING: so
 * the writer cannot leave without seeing them. It wakes them to try, since to count
 * them in would make the next writer wait for their wake-up, and two threads would go
 * in lockstep. But one that was woken in vain is counted in by the next that leaves.
 *
 * Who reads is known to itself alone (hki_reads of self_inline.h): hence a lock that it
 * reads is free for it to read again, and writing one is refused.
 */
#include "sync/rwlock.h"

#include "sync/queue.h"

#include <stdio.h>

/* Of a slot. */
enum { USED = 1, CLOSED = 2, WATCHED = 4, READER = 8 };

/* Of hki_leaving. */
enum { PARKED = 1, LEAVER = 2 };

/* In the word of hki_writers, of the bits that a mutex leaves to who embeds it. Both
 * are set only while it is HELD, and gone before it is left. */
enum { WRITING = 1 << 16, COME_LATE = 1 << 17 };

enum mode { WAITS, SHIELDED, TRIES };

/* A reader that waits. */
struct reader {
    hk_waiter waiter;
    hk_rwlock *lock;
    uint32_t slot;
    bool woken;  /* in vain, before */
    bool inside; /* atomic: counted in by the writer that woke it */
};

static int32_t leaving_of(const hk_rwlock *lock)
{
    return __atomic_load_n(&lock->hki_leaving, __ATOMIC_ACQUIRE);
}

static uint32_t *writers_word(hk_rwlock *lock)
{
    return &lock->hki_writers.hki_state;
}

uint32_t hki_rwlock_readers(const hk_rwlock *lock)
{
    uint32_t count = 0;

    for (int i = 0; i < HKI_RWLOCK_SLOTS; i++)
        count +=
            __atomic_load_n(&lock->hki_slots[i].hki_readers, __ATOMIC_RELAXED) / READER;
    return count;
}

bool hki_rwlock_is_writing(const hk_rwlock *lock)
{
    return __atomic_load_n(&lock->hki_writers.hki_state, __ATOMIC_SEQ_CST) & WRITING;
}

/* A writer that ends opens the slots, one after the other, before it clears WRITING. */
bool hki_rwlock_is_shut(const hk_rwlock *lock)
{
    uint32_t used = __atomic_load_n(&lock->hki_used, __ATOMIC_SEQ_CST);

    if (!hki_rwlock_is_writing(lock))
        return false;
    for (int i = 0; i < HKI_RWLOCK_SLOTS; i++)
        if ((used & (1u << i)) &&
            !(__atomic_load_n(&lock->hki_slots[i].hki_readers, __ATOMIC_SEQ_CST) &
              CLOSED))
            return false;
    return true;
}

/* ---- in words ---- */

static void describe(const void *object, char *text, size_t size)
{
    const hk_rwlock *lock = object;

    (void)snprintf(text, size, "'%s', %u inside to read", hki_rwlock_name(lock),
                   hki_rwlock_readers(lock));
}

/* Who waits for its turn to write waits for the writer, */
static size_t writer_holds(const void *object, hk_holder *out, size_t max)
{
    const hk_rwlock *lock = object;

    return hki_mutex_holders(&lock->hki_writers, out, max);
}

/* and so does who waits to read, until it is inside: the next writer may be there
 * before it runs. */
static size_t writer_keeps_out(const void *object, hk_holder *out, size_t max)
{
    const struct reader *reader = object;

    if (__atomic_load_n(&reader->inside, __ATOMIC_RELAXED))
        return 0;
    return writer_holds(reader->lock, out, max);
}

static void describe_to_reader(const void *object, char *text, size_t size)
{
    describe(((const struct reader *)object)->lock, text, size);
}

/* That one waits for readers, whom the checks may know. */
static size_t readers_hold(const void *object, hk_holder *out, size_t max)
{
    return hki_check_holders(object, out, max);
}

/* The lock itself, for the checks; nobody waits so. */
static const hk_wait_kind lock_kind = {
    .name = "rwlock",
    .name_offset = offsetof(hk_rwlock, name),
    .check_offset = offsetof(hk_rwlock, hki_check),
};
static const hk_wait_kind read_kind = {.name = "rwlock, to read",
                                       .describe = describe_to_reader,
                                       .holders = writer_keeps_out};
static const hk_wait_kind write_kind = {
    .name = "rwlock, to write", .describe = describe, .holders = writer_holds};
static const hk_wait_kind drain_kind = {.name = "the readers of a rwlock, to write",
                                        .describe = describe,
                                        .holders = readers_hold};

static bool is_writer(const hk_rwlock *lock, const struct hki_self *self)
{
    return hki_mutex_depth(&lock->hki_writers, self) >= 0;
}

/* ---- the door: by who holds hki_writers ---- */

static uint32_t used_slots(const hk_rwlock *lock)
{
    return __atomic_load_n(&lock->hki_used, __ATOMIC_SEQ_CST);
}

/* WRITING is set. Sets CLOSED, or WATCHED later; returns how many are inside. */
static uint32_t mark_slots(hk_rwlock *lock, uint32_t mark)
{
    uint32_t used = used_slots(lock), inside = 0;

    for (int i = 0; i < HKI_RWLOCK_SLOTS; i++)
        if (used & (1u << i))
            inside += __atomic_fetch_or(&lock->hki_slots[i].hki_readers, mark,
                                        __ATOMIC_ACQ_REL) /
                      READER;
    return inside;
}

/* Those who are still inside, when a writer gives up, need not report any more. */
static void open_door(hk_rwlock *lock)
{
    const uint32_t marks = CLOSED | WATCHED;
    uint32_t used = used_slots(lock), watched = 0;

    for (int i = 0; i < HKI_RWLOCK_SLOTS; i++) {
        uint32_t before;

        if (!(used & (1u << i)))
            continue;
        before = __atomic_fetch_and(&lock->hki_slots[i].hki_readers, ~marks,
                                    __ATOMIC_RELEASE);
        if (before & WATCHED)
            watched += before / READER;
    }
    if (watched > 0)
        __atomic_fetch_sub(&lock->hki_leaving, LEAVER * (int32_t)watched,
                           __ATOMIC_RELAXED);
}

/* The door is open. Takes out those who came late, to be woken. */
static hk_waiter *call_the_late(hk_rwlock *lock)
{
    hk_waiter *first = NULL, **end = &first, *w;

    hki_lock_acquire(&lock->hki_lock);
    while ((w = hki_queue_pop(&lock->hki_readers))) {
        struct reader *reader = w->data;
        uint32_t *word = &lock->hki_slots[reader->slot].hki_readers;

        __atomic_store_n(&reader->inside, reader->woken, __ATOMIC_RELAXED);
        if (reader->woken) {
            __atomic_fetch_or(word, USED, __ATOMIC_RELAXED);
            __atomic_fetch_add(word, READER, __ATOMIC_ACQUIRE);
        }
        *end = w;
        end = &w->next;
    }
    lock->hki_waiting = 0;
    /* Who sees it may read: by a slot not yet in use, it sees nothing else of us. */
    __atomic_fetch_and(writers_word(lock), ~(uint32_t)(WRITING | COME_LATE),
                       __ATOMIC_RELEASE);
    hki_lock_release(&lock->hki_lock);
    return first;
}

/* Lets the next writer come: its last access. */
static void stop_writing(hk_rwlock *lock, struct hki_self *self)
{
    open_door(lock);
    if (HKI_LIKELY(hki_mutex_try_leave(&lock->hki_writers, self, WRITING)))
        return;
    hki_queue_wake_all(call_the_late(lock), 0);
    hki_mutex_leave(&lock->hki_writers, self);
}

/* ---- reading ---- */

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

    while ((readers & needed) == needed && !(readers & CLOSED))
        /* A release, too: who comes by this slot after us sees the writers that we saw,
         * also those that did not know of the slot. */
        if (__atomic_compare_exchange_n(word, &readers, (readers | USED) + READER, true,
                                        __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            return true;
    return false;
}

static void use_slot(hk_rwlock *lock, uint32_t slot)
{
    if (!(used_slots(lock) & (1u << slot)))
        __atomic_fetch_or(&lock->hki_used, 1u << slot, __ATOMIC_SEQ_CST);
}

static hk_verdict read_abort(hk_waiter *w)
{
    hk_rwlock *lock = ((struct reader *)w->data)->lock;
    bool removed;

    hki_lock_acquire(&lock->hki_lock);
    removed = hki_queue_remove(&lock->hki_readers, w);
    if (removed)
        lock->hki_waiting--;
    hki_lock_release(&lock->hki_lock);
    return removed ? HK_ABORTED : HK_PENDING;
}

/* False: the writer has left meanwhile. */
static bool queue_to_read(struct reader *reader)
{
    hk_rwlock *lock = reader->lock;
    uint32_t *word = writers_word(lock), state;

    hki_lock_acquire(&lock->hki_lock);
    state = __atomic_load_n(word, __ATOMIC_RELAXED);
    while ((state & WRITING) &&
           !__atomic_compare_exchange_n(word, &state, state | COME_LATE, true,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
    if (state & WRITING) {
        hki_queue_push(&lock->hki_readers, &reader->waiter);
        lock->hki_waiting++;
        lock->hki_contended += !reader->woken;
    }
    hki_lock_release(&lock->hki_lock);
    return state & WRITING;
}

/* A writer is done soon, if it runs elsewhere; but it has slots to open, so the look
 * that comes very soon is left out. Looks at the caller's slot alone. */
static bool spin_to_read(hk_rwlock *lock, const struct hki_self *self, uint32_t slot)
{
    bool is_thread = self->kind == HKI_SELF_THREAD, done = false;

    for (int i = 1; !done && hki_mutex_spin(&lock->hki_writers, is_thread, i); i++)
        done = try_read(lock, slot, USED);
    hki_mutex_has_spun(&lock->hki_writers, done);
    return done;
}

static __attribute__((noinline)) int read_slow(hk_rwlock *lock, struct hki_self *self,
                                               uint32_t slot, enum mode mode)
{
    struct reader reader = {.lock = lock, .slot = slot};

    if (is_writer(lock, self))
        return -EDEADLK;
    use_slot(lock, slot);
    for (;;) {
        int rc;

        if (!hki_rwlock_is_writing(lock) && try_read(lock, slot, 0))
            return 0;
        if (mode == TRIES)
            return -EAGAIN;
        if (spin_to_read(lock, self, slot))
            return 0;
        hki_waiter_arm(&reader.waiter, self, &read_kind, &reader);
        reader.waiter.data = &reader;
        if (!queue_to_read(&reader))
            continue;
        rc = hk_park(&reader.waiter, mode == WAITS ? read_abort : NULL);
        if (rc < 0 || reader.inside)
            return rc;
        reader.woken = true;
    }
}

static inline int read_lock(hk_rwlock *lock, struct hki_self *self, enum mode mode)
{
    uint64_t depth = hki_reads_add(self, lock);
    uint32_t slot = slot_of_caller();
    int rc = 0;

    if (HKI_UNLIKELY(depth != 1))
        return depth ? 0 : -ENOMEM;
    if (hki_is_checking() && mode != TRIES)
        hki_check_order(self, lock, &lock_kind, HKI_HELD_SHARED);
    if (HKI_UNLIKELY(!try_read(lock, slot, USED)))
        rc = read_slow(lock, self, slot, mode);
    if (HKI_UNLIKELY(rc < 0))
        (void)hki_reads_remove(self, lock);
    else if (hki_is_checking())
        hki_check_took(self, lock, &lock_kind, HKI_HELD_SHARED);
    return rc;
}

int hk_rwlock_read_lock(hk_rwlock *lock)
{
    struct hki_self *self = hki_self();
    int rc = hki_enter(self);

    if (HKI_UNLIKELY(rc < 0))
        return rc;
    hki_spend(self);
    return read_lock(lock, self, WAITS);
}

void hk_rwlock_read_lock_shielded(hk_rwlock *lock)
{
    struct hki_self *self = hki_self();
    int rc;

    hki_spend(self);
    rc = read_lock(lock, self, SHIELDED);
    if (rc < 0)
        hki_rwlock_panic("hk_rwlock_read_lock_shielded", lock,
                         rc == -ENOMEM ? "has no memory to note that it reads"
                                       : "would wait for itself to read");
}

int hk_rwlock_try_read_lock(hk_rwlock *lock)
{
    return read_lock(lock, hki_self(), TRIES);
}

/* It was watched. When the writer sleeps it cannot go on, nor go away, before the last
 * who leaves wakes it. */
static __attribute__((noinline)) void report(hk_rwlock *lock)
{
    hk_waiter *writer;

    if (__atomic_fetch_sub(&lock->hki_leaving, LEAVER, __ATOMIC_ACQ_REL) !=
        (LEAVER | PARKED))
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

    if (HKI_UNLIKELY(__atomic_fetch_sub(word, READER, __ATOMIC_RELEASE) & WATCHED))
        report(lock);
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

/* ---- writing ---- */

static hk_verdict drain_abort(hk_waiter *w)
{
    hk_rwlock *lock = (hk_rwlock *)w->object;
    hk_verdict verdict = HK_ABORTED;
    int32_t leaving;

    hki_lock_acquire(&lock->hki_lock);
    leaving = leaving_of(lock);
    while (verdict == HK_ABORTED) {
        if (leaving < LEAVER) /* the last reader is about to wake it, or has */
            verdict = HK_PENDING;
        else if (__atomic_compare_exchange_n(&lock->hki_leaving, &leaving,
                                             leaving & ~PARKED, true, __ATOMIC_ACQ_REL,
                                             __ATOMIC_ACQUIRE))
            break;
    }
    if (verdict == HK_ABORTED)
        lock->hki_drain = NULL;
    hki_lock_release(&lock->hki_lock);
    return verdict;
}

/* False: the last reader has left meanwhile. */
static bool queue_to_drain(hk_rwlock *lock, hk_waiter *w)
{
    int32_t leaving;

    hki_lock_acquire(&lock->hki_lock);
    lock->hki_drain = w;
    lock->hki_contended++;
    leaving = leaving_of(lock);
    while (leaving != 0 &&
           !__atomic_compare_exchange_n(&lock->hki_leaving, &leaving, leaving | PARKED,
                                        true, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        ;
    if (leaving == 0)
        lock->hki_drain = NULL;
    hki_lock_release(&lock->hki_lock);
    return leaving != 0;
}

static bool have_all_left(const hk_rwlock *lock)
{
    uint32_t inside = 0;

    for (int i = 0; i < HKI_RWLOCK_SLOTS; i++)
        inside +=
            __atomic_load_n(&lock->hki_slots[i].hki_readers, __ATOMIC_ACQUIRE) / READER;
    return inside == 0 && leaving_of(lock) == 0;
}

/* Without a yield: the door is closed meanwhile. */
static bool spin_to_drain(hk_rwlock *lock)
{
    bool done = false;

    for (int i = 0; !done && hki_mutex_spin(&lock->hki_writers, false, i); i++)
        done = have_all_left(lock);
    hki_mutex_has_spun(&lock->hki_writers, done);
    return done;
}

/* Waits for the readers that are inside. */
static __attribute__((noinline)) int drain(hk_rwlock *lock, struct hki_self *self,
                                           enum mode mode)
{
    int32_t inside;
    hk_waiter w;

    if (mode == TRIES)
        return -EAGAIN;
    if (spin_to_drain(lock))
        return 0;
    hki_waiter_arm(&w, self, &drain_kind, lock);
    inside = (int32_t)mark_slots(lock, WATCHED);
    __atomic_fetch_add(&lock->hki_leaving, LEAVER * inside, __ATOMIC_ACQ_REL);
    if (!queue_to_drain(lock, &w))
        return 0;
    return hk_park(&w, mode == WAITS ? drain_abort : NULL);
}

/* Holds hki_writers, with WRITING set. */
static int enter_writers(hk_rwlock *lock, struct hki_self *self, enum mode mode)
{
    int rc;

    if (HKI_LIKELY(hki_mutex_try_enter_free(&lock->hki_writers, self, WRITING)))
        return 0;
    if (mode == TRIES)
        rc = hki_mutex_try_enter(&lock->hki_writers, self) ? 0 : -EAGAIN;
    else
        rc = hki_mutex_enter(&lock->hki_writers, self, &write_kind, lock,
                             mode == SHIELDED);
    if (rc == 0)
        __atomic_fetch_or(writers_word(lock), WRITING, __ATOMIC_SEQ_CST);
    return rc;
}

static int write_lock(hk_rwlock *lock, struct hki_self *self, enum mode mode)
{
    int rc;

    if (hki_is_checking() && mode != TRIES)
        hki_check_order(self, lock, &lock_kind, HKI_HELD_ALONE);
    rc = enter_writers(lock, self, mode);
    if (rc < 0)
        return rc;
    if (HKI_UNLIKELY(mark_slots(lock, CLOSED) > 0 || leaving_of(lock) != 0))
        rc = drain(lock, self, mode);
    if (HKI_UNLIKELY(rc < 0))
        stop_writing(lock, self);
    else if (hki_is_checking())
        hki_check_took(self, lock, &lock_kind, HKI_HELD_ALONE);
    return rc;
}

/* It would wait for itself. */
static bool holds(const hk_rwlock *lock, struct hki_self *self)
{
    return is_writer(lock, self) || hki_reads_depth(self, lock) > 0;
}

int hk_rwlock_write_lock(hk_rwlock *lock)
{
    struct hki_self *self = hki_self();
    int rc;

    if (HKI_UNLIKELY(holds(lock, self)))
        return -EDEADLK;
    rc = hki_enter(self);
    if (HKI_UNLIKELY(rc < 0))
        return rc;
    hki_spend(self);
    return write_lock(lock, self, WAITS);
}

void hk_rwlock_write_lock_shielded(hk_rwlock *lock)
{
    struct hki_self *self = hki_self();

    if (HKI_UNLIKELY(holds(lock, self)))
        hki_rwlock_panic("hk_rwlock_write_lock_shielded", lock,
                         "would wait for itself to write");
    hki_spend(self);
    (void)write_lock(lock, self, SHIELDED); /* without an abort it cannot fail */
}

int hk_rwlock_try_write_lock(hk_rwlock *lock)
{
    struct hki_self *self = hki_self();

    if (HKI_UNLIKELY(holds(lock, self)))
        return -EDEADLK;
    return write_lock(lock, self, TRIES);
}

void hk_rwlock_write_unlock(hk_rwlock *lock)
{
    struct hki_self *self = hki_self();

    if (HKI_UNLIKELY(!is_writer(lock, self)))
        hki_rwlock_panic("hk_rwlock_write_unlock", lock, "does not write the");
    if (hki_is_checking())
        hki_check_gave(self, lock);
    stop_writing(lock, self);
}

/* The caller counts as one who has to leave. If it is the only one, it does. */
int hk_rwlock_try_upgrade(hk_rwlock *lock)
{
    struct hki_self *self = hki_self();
    uint64_t depth = hki_reads_depth(self, lock);

    if (HKI_UNLIKELY(depth != 1))
        hki_rwlock_panic("hk_rwlock_try_upgrade", lock,
                         depth ? "reads more than once the" : "does not read the");
    if (enter_writers(lock, self, TRIES) < 0)
        return -EAGAIN;
    if (mark_slots(lock, CLOSED) > 1 || leaving_of(lock) != 0) {
        stop_writing(lock, self);
        return -EAGAIN;
    }
    leave(lock, slot_of_caller());
    (void)hki_reads_remove(self, lock);
    if (hki_is_checking()) {
        const hk_scope *scope = hki_check_scope(self, lock);

        hki_check_gave(self, lock);
        hki_check_took(self, lock, &lock_kind, HKI_HELD_ALONE);
        hki_check_set_scope(self, lock, scope);
    }
    return 0;
}

/* ---- both ---- */

void hk_rwlock_unlock(hk_rwlock *lock)
{
    if (is_writer(lock, hki_self()))
        hk_rwlock_write_unlock(lock);
    else
        read_unlock(lock, "hk_rwlock_unlock", "does not hold the");
}

bool hk_rwlock_is_read(const hk_rwlock *lock)
{
    return hki_reads_depth(hki_self(), lock) > 0;
}

bool hk_rwlock_is_written(const hk_rwlock *lock)
{
    return is_writer(lock, hki_self());
}
