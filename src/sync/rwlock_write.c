/* SPDX-License-Identifier: MIT */
/*
 * The writers' side of a rwlock: in through the mutex, the door closed behind the
 * readers that are inside, until these have left; and out, with the late readers let
 * in. The rules are in rwlock.h.
 */
#include "sync/rwlock.h"

#include "sync/queue.h"

/* ---- the door: by who holds hki_writers ---- */

/* WRITING is set. Sets CLOSED, or WATCHED later; returns how many are inside. */
static uint32_t mark_slots(hk_rwlock *lock, uint32_t mark)
{
    uint32_t used = hki_rwlock_used(lock), inside = 0;

    for (int i = 0; i < HKI_RWLOCK_SLOTS; i++)
        if (used & (1u << i))
            inside += __atomic_fetch_or(&lock->hki_slots[i].hki_readers, mark,
                                        __ATOMIC_ACQ_REL) /
                      HKI_RW_READER;
    return inside;
}

/* Those who are still inside, when a writer gives up, need not report any more. */
static void open_door(hk_rwlock *lock)
{
    const uint32_t marks = HKI_RW_CLOSED | HKI_RW_WATCHED;
    uint32_t used = hki_rwlock_used(lock), watched = 0;

    for (int i = 0; i < HKI_RWLOCK_SLOTS; i++) {
        uint32_t before;

        if (!(used & (1u << i)))
            continue;
        before = __atomic_fetch_and(&lock->hki_slots[i].hki_readers, ~marks,
                                    __ATOMIC_RELEASE);
        if (before & HKI_RW_WATCHED)
            watched += before / HKI_RW_READER;
    }
    if (watched > 0)
        __atomic_fetch_sub(&lock->hki_leaving, HKI_RW_LEAVER * (int32_t)watched,
                           __ATOMIC_RELAXED);
}

/* The door is open. Takes out those who came late, to be woken. */
static hk_waiter *call_the_late(hk_rwlock *lock)
{
    hk_waiter *first = NULL, **end = &first, *w;

    hki_lock_acquire(&lock->hki_lock);
    while ((w = hki_queue_pop(&lock->hki_readers))) {
        struct hki_rw_reader *reader = w->data;
        uint32_t *word = &lock->hki_slots[reader->slot].hki_readers;

        __atomic_store_n(&reader->inside, reader->woken, __ATOMIC_RELAXED);
        if (reader->woken) {
            __atomic_fetch_or(word, HKI_RW_USED, __ATOMIC_RELAXED);
            __atomic_fetch_add(word, HKI_RW_READER, __ATOMIC_ACQUIRE);
        }
        *end = w;
        end = &w->next;
    }
    lock->hki_waiting = 0;
    /* Who sees it may read: by a slot not yet in use, it sees nothing else of us. */
    __atomic_fetch_and(hki_rwlock_word(lock),
                       ~(uint32_t)(HKI_RW_WRITING | HKI_RW_COME_LATE),
                       __ATOMIC_RELEASE);
    hki_lock_release(&lock->hki_lock);
    return first;
}

/* Lets the next writer come: its last access. */
static void stop_writing(hk_rwlock *lock, struct hki_self *self)
{
    open_door(lock);
    if (HKI_LIKELY(hki_mutex_try_leave(&lock->hki_writers, self, HKI_RW_WRITING)))
        return;
    hki_queue_wake_all(call_the_late(lock), 0);
    hki_mutex_leave(&lock->hki_writers, self);
}

/* ---- waiting until the readers have left ---- */

/* The checks may know them. */
static size_t readers_hold(const void *object, hk_holder *out, size_t max)
{
    return hki_check_holders(object, out, max);
}

static const hk_wait_kind drain_kind = {.name = "the readers of a rwlock, to write",
                                        .describe = hki_rwlock_describe,
                                        .holders = readers_hold};

static hk_verdict drain_abort(hk_waiter *w)
{
    hk_rwlock *lock = (hk_rwlock *)w->object;
    hk_verdict verdict = HK_ABORTED;
    int32_t leaving;

    hki_lock_acquire(&lock->hki_lock);
    leaving = hki_rwlock_leaving(lock);
    while (verdict == HK_ABORTED) {
        if (leaving < HKI_RW_LEAVER) /* the last reader is about to wake it, or has */
            verdict = HK_PENDING;
        else if (__atomic_compare_exchange_n(&lock->hki_leaving, &leaving,
                                             leaving & ~HKI_RW_PARKED, true,
                                             __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
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
    leaving = hki_rwlock_leaving(lock);
    while (leaving != 0 && !__atomic_compare_exchange_n(
                               &lock->hki_leaving, &leaving, leaving | HKI_RW_PARKED,
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
        inside += __atomic_load_n(&lock->hki_slots[i].hki_readers, __ATOMIC_ACQUIRE) /
                  HKI_RW_READER;
    return inside == 0 && hki_rwlock_leaving(lock) == 0;
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
                                           enum hki_rw_mode mode)
{
    int32_t inside;
    hk_waiter w;

    if (mode == HKI_RW_TRIES)
        return -EAGAIN;
    if (spin_to_drain(lock))
        return 0;
    hki_waiter_arm(&w, self, &drain_kind, lock);
    inside = (int32_t)mark_slots(lock, HKI_RW_WATCHED);
    __atomic_fetch_add(&lock->hki_leaving, HKI_RW_LEAVER * inside, __ATOMIC_ACQ_REL);
    if (!queue_to_drain(lock, &w))
        return 0;
    return hk_park(&w, mode == HKI_RW_WAITS ? drain_abort : NULL);
}

/* ---- in, and out again ---- */

static const hk_wait_kind write_kind = {.name = "rwlock, to write",
                                        .describe = hki_rwlock_describe,
                                        .holders = hki_rwlock_writer_holds};

/* Holds hki_writers, with WRITING set. */
static int enter_writers(hk_rwlock *lock, struct hki_self *self, enum hki_rw_mode mode)
{
    int rc;

    if (HKI_LIKELY(hki_mutex_try_enter_free(&lock->hki_writers, self, HKI_RW_WRITING)))
        return 0;
    if (mode == HKI_RW_TRIES)
        rc = hki_mutex_try_enter(&lock->hki_writers, self) ? 0 : -EAGAIN;
    else
        rc = hki_mutex_enter(&lock->hki_writers, self, &write_kind, lock,
                             mode == HKI_RW_SHIELDED);
    if (rc == 0)
        __atomic_fetch_or(hki_rwlock_word(lock), HKI_RW_WRITING, __ATOMIC_SEQ_CST);
    return rc;
}

static int write_lock(hk_rwlock *lock, struct hki_self *self, enum hki_rw_mode mode)
{
    int rc;

    if (hki_is_checking() && mode != HKI_RW_TRIES)
        hki_check_order(self, lock, &hki_rwlock_kind, HKI_HELD_ALONE);
    rc = enter_writers(lock, self, mode);
    if (rc < 0)
        return rc;
    if (HKI_UNLIKELY(mark_slots(lock, HKI_RW_CLOSED) > 0 ||
                     hki_rwlock_leaving(lock) != 0))
        rc = drain(lock, self, mode);
    if (HKI_UNLIKELY(rc < 0))
        stop_writing(lock, self);
    else if (hki_is_checking())
        hki_check_took(self, lock, &hki_rwlock_kind, HKI_HELD_ALONE);
    return rc;
}

/* It would wait for itself. */
static bool holds(const hk_rwlock *lock, struct hki_self *self)
{
    return hki_rwlock_is_writer(lock, self) || hki_reads_depth(self, lock) > 0;
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
    return write_lock(lock, self, HKI_RW_WAITS);
}

void hk_rwlock_write_lock_shielded(hk_rwlock *lock)
{
    struct hki_self *self = hki_self();

    if (HKI_UNLIKELY(holds(lock, self)))
        hki_rwlock_panic("hk_rwlock_write_lock_shielded", lock,
                         "would wait for itself to write");
    hki_spend(self);
    (void)write_lock(lock, self, HKI_RW_SHIELDED); /* without an abort it cannot fail */
}

int hk_rwlock_try_write_lock(hk_rwlock *lock)
{
    struct hki_self *self = hki_self();

    if (HKI_UNLIKELY(holds(lock, self)))
        return -EDEADLK;
    return write_lock(lock, self, HKI_RW_TRIES);
}

void hk_rwlock_write_unlock(hk_rwlock *lock)
{
    struct hki_self *self = hki_self();

    if (HKI_UNLIKELY(!hki_rwlock_is_writer(lock, self)))
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
    if (enter_writers(lock, self, HKI_RW_TRIES) < 0)
        return -EAGAIN;
    if (mark_slots(lock, HKI_RW_CLOSED) > 1 || hki_rwlock_leaving(lock) != 0) {
        stop_writing(lock, self);
        return -EAGAIN;
    }
    hki_rwlock_leave_reading(lock);
    (void)hki_reads_remove(self, lock);
    if (hki_is_checking()) {
        const hk_scope *scope = hki_check_scope(self, lock);

        hki_check_gave(self, lock);
        hki_check_took(self, lock, &hki_rwlock_kind, HKI_HELD_ALONE);
        hki_check_set_scope(self, lock, scope);
    }
    return 0;
}
