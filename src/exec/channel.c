/* SPDX-License-Identifier: MIT */
#include "exec/channel.h"

#include "base/spin.h"
#include "sys/os.h"
#include "sys/os_shm.h"

#include <hocket/future.h>

#include <errno.h>

/* A wake-up costs the worker as much as this, and the program even more. */
#define LOOK_NS (INT64_C(10) * 1000)

enum {
    GIVE_BACK_TRIES = 1000000,
    UNTOLD_MAX = 32, /* results that may lie there untold while there is more to do */
    YIELDS = 2,
    LOOKS_FAILED_MAX = 4, /* then it looks before each 16th sleep only */
};

_Static_assert(sizeof(struct hki_slot) == 256, "a slot is four cache lines");
_Static_assert(sizeof(struct hki_channel_memory) % 4096 == 0, "the zone is aligned");

static struct hki_slot *slot_at(const struct hki_channel *channel, uint32_t position)
{
    return &channel->memory->slots[position % HKI_CHANNEL_SLOTS];
}

/* Sequentially consistent, as READY and DONE are set: who has armed a bell and looks
 * once more relies on it. */
static uint32_t state_of(const struct hki_slot *slot)
{
    return __atomic_load_n(&slot->state, __ATOMIC_SEQ_CST);
}

static bool change(struct hki_slot *slot, uint32_t from, uint32_t to)
{
    return __atomic_compare_exchange_n(&slot->state, &from, to, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_RELAXED);
}

/* ---- the program's side ---- */

int hki_channel_create(struct hki_channel *channel, size_t zone_bytes)
{
    size_t size = sizeof(struct hki_channel_memory) + zone_bytes;
    int fd = hki_os_shm_new("hocket-channel", size);

    *channel = (struct hki_channel){0};
    if (fd < 0)
        return fd;
    channel->memory = hki_os_shm_map(fd, size);
    channel->size_bytes = size;
    if (channel->memory)
        return fd;
    (void)hki_os_close(fd); /* nothing was written to it */
    return -ENOMEM;
}

void hki_channel_destroy(struct hki_channel *channel)
{
    if (channel->memory)
        hki_os_shm_unmap(channel->memory, channel->size_bytes);
    channel->memory = NULL;
}

struct hki_slot *hki_channel_slot(struct hki_channel *channel)
{
    return slot_at(channel, channel->filled);
}

void hki_channel_send(struct hki_channel *channel)
{
    struct hki_slot *slot = slot_at(channel, channel->filled++);

    __atomic_exchange_n(&slot->state, HKI_SLOT_READY, __ATOMIC_SEQ_CST);
    hki_bell_ring(&channel->memory->worker_bell);
}

/* Where `length` bytes are that the worker says are at `offset` in `place`. */
static const void *bytes_from_worker(const struct hki_channel *channel,
                                     const struct hki_slot *slot, uint8_t place,
                                     uint64_t length, uint64_t offset)
{
    size_t zone_bytes = hki_channel_zone_bytes(channel);

    switch (place) {
    case HKI_PLACE_SLOT: return length <= HKI_SLOT_INLINE_BYTES ? slot->bytes : NULL;
    case HKI_PLACE_ZONE:
        return offset % sizeof(struct hki_zone_head) == 0 && offset > 0 &&
                       offset <= zone_bytes && length <= zone_bytes - offset
                   ? hki_channel_zone(channel) + offset
                   : NULL;
    default: return NULL;
    }
}

/* Each field is read once: it may change under us. */
int hki_channel_read(const struct hki_channel *channel, const struct hki_slot *slot,
                     struct hki_letter *out)
{
    uint64_t length = __atomic_load_n(&slot->length, __ATOMIC_RELAXED);
    uint64_t offset = __atomic_load_n(&slot->offset, __ATOMIC_RELAXED);
    uint8_t place = __atomic_load_n(&slot->place, __ATOMIC_RELAXED);
    const void *bytes = bytes_from_worker(channel, slot, place, length, offset);

    if (!bytes)
        return -EPROTO;
    *out = (struct hki_letter){
        .bytes = bytes,
        .length = length,
        .function = __atomic_load_n(&slot->function, __ATOMIC_RELAXED),
        .attempts = __atomic_load_n(&slot->attempts, __ATOMIC_RELAXED),
        .status = __atomic_load_n(&slot->status, __ATOMIC_RELAXED),
        .what = __atomic_load_n(&slot->what, __ATOMIC_RELAXED),
        .place = place,
    };
    return 1;
}

int hki_channel_receive(const struct hki_channel *channel, struct hki_letter *out)
{
    const struct hki_slot *slot = slot_at(channel, channel->emptied);

    if (channel->emptied == channel->filled)
        return 0;
    switch (state_of(slot)) {
    case HKI_SLOT_READY:
    case HKI_SLOT_TAKEN:
    case HKI_SLOT_REVOKED: return 0;
    case HKI_SLOT_DONE: return hki_channel_read(channel, slot, out);
    default: return -EPROTO;
    }
}

bool hki_channel_has_done(const struct hki_channel *channel, uint32_t count)
{
    return channel->filled - channel->emptied >= count &&
           state_of(slot_at(channel, channel->emptied + count - 1)) == HKI_SLOT_DONE;
}

void hki_channel_release(struct hki_channel *channel)
{
    __atomic_store_n(&slot_at(channel, channel->emptied++)->state, HKI_SLOT_FREE,
                     __ATOMIC_RELEASE);
}

void hki_channel_give_back(const struct hki_channel *channel, const void *bytes)
{
    struct hki_zone_head *head = (struct hki_zone_head *)(uintptr_t)bytes - 1;
    uint64_t *first = &channel->memory->given_back;
    uint64_t was = __atomic_load_n(first, __ATOMIC_RELAXED);
    uint64_t offset =
        (uint64_t)((const unsigned char *)bytes - hki_channel_zone(channel));

    /* A worker that keeps us from it loses the memory. The release pairs with its
     * acquire, before it reuses the memory. */
    for (int tries = 0; tries < GIVE_BACK_TRIES; tries++) {
        head->next = was;
        if (__atomic_compare_exchange_n(first, &was, offset, false, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED))
            return;
    }
}

bool hki_channel_revoke(struct hki_channel *channel, uint32_t index)
{
    return change(slot_at(channel, channel->emptied + index), HKI_SLOT_READY,
                  HKI_SLOT_REVOKED);
}

void hki_channel_ask_to_cancel(struct hki_channel *channel, uint32_t index)
{
    __atomic_exchange_n(&slot_at(channel, channel->emptied + index)->cancel,
                        1 + HK_CANCEL, __ATOMIC_SEQ_CST);
    hki_bell_ring(&channel->memory->clerk_bell);
}

bool hki_channel_is_running(const struct hki_channel *channel, uint32_t index)
{
    return state_of(slot_at(channel, channel->emptied + index)) == HKI_SLOT_TAKEN;
}

/* ---- the worker's side ---- */

int hki_channel_attach(struct hki_channel *channel, int fd, size_t size_bytes)
{
    *channel = (struct hki_channel){.size_bytes = size_bytes};
    if (size_bytes < sizeof(struct hki_channel_memory))
        return -EINVAL;
    channel->memory = hki_os_shm_map(fd, size_bytes);
    return channel->memory ? 0 : -EINVAL;
}

static bool has_job(const struct hki_slot *slot)
{
    uint32_t state = state_of(slot);

    return state == HKI_SLOT_READY || state == HKI_SLOT_REVOKED;
}

/* Looks for a job until then. */
static bool look_until(const struct hki_slot *slot, int64_t end_ns)
{
    do {
        hki_spin_pause(0);
        if (has_job(slot))
            return true;
    } while (hki_os_now_ns() < end_ns);
    return false;
}

/* On one processor the program cannot go on while we look: it gets a chance to. */
static bool look_after_yields(const struct hki_slot *slot)
{
    for (int i = 0; i < YIELDS; i++) {
        hki_spin_yield();
        if (has_job(slot))
            return true;
    }
    return false;
}

static bool look_for_a_while(const struct hki_channel *channel,
                             const struct hki_slot *slot)
{
    return hki_shares_processor(&channel->desk->processor)
               ? look_after_yields(slot)
               : look_until(slot, hki_os_now_ns() + LOOK_NS);
}

/* Looks for as long as a wake-up takes; when that was in vain, not the next few times,
 * and twice as many each time. */
static bool look_if_worth_it(struct hki_channel *channel, const struct hki_slot *slot)
{
    if (++channel->looks_skipped < 1u << channel->looks_failed)
        return false;
    channel->looks_skipped = 0;
    if (look_for_a_while(channel, slot)) {
        channel->looks_failed = 0;
        return true;
    }
    if (channel->looks_failed < LOOKS_FAILED_MAX)
        channel->looks_failed++;
    return false;
}

static void tell_courier(struct hki_channel *channel)
{
    channel->untold = 0;
    hki_bell_ring(&channel->desk->courier);
}

static void sleep_until_job(struct hki_channel *channel, const struct hki_slot *slot)
{
    struct hki_bell *bell = &channel->memory->worker_bell;

    while (!has_job(slot)) {
        hki_bell_arm(bell);
        if (has_job(slot))
            hki_bell_disarm(bell);
        else
            hki_bell_sleep(bell, INT64_MAX);
    }
    hki_say_processor(&channel->memory->processor);
}

/* A worker that gets one job at a time tells of its result at once; one that had
 * several may get the next any moment, and then the program is awake. */
static void await_job(struct hki_channel *channel, const struct hki_slot *slot,
                      int64_t spin_ns)
{
    if (channel->untold > 0 && !channel->is_busy)
        tell_courier(channel);
    channel->is_busy = look_if_worth_it(channel, slot);
    if (channel->is_busy)
        return;
    if (channel->untold > 0)
        tell_courier(channel);
    channel->is_busy = spin_ns > 0 && look_until(slot, hki_os_now_ns() + spin_ns);
    if (!channel->is_busy)
        sleep_until_job(channel, slot);
}

struct hki_slot *hki_channel_take(struct hki_channel *channel, int64_t spin_ns)
{
    for (;;) {
        struct hki_slot *slot = slot_at(channel, channel->next++);

        if (has_job(slot))
            channel->is_busy = true;
        else
            await_job(channel, slot, spin_ns);
        if (change(slot, HKI_SLOT_READY, HKI_SLOT_TAKEN))
            return slot;
        slot->length = 0; /* revoked */
        slot->place = HKI_PLACE_SLOT;
        hki_channel_done(channel, slot);
    }
}

/* The oldest of them has been looked at: so somebody comes and looks. */
static bool are_looked_at(const struct hki_channel *channel)
{
    return state_of(slot_at(channel, channel->next - UNTOLD_MAX)) != HKI_SLOT_DONE;
}

void hki_channel_done(struct hki_channel *channel, struct hki_slot *slot)
{
    struct hki_desk *desk = channel->desk;

    __atomic_exchange_n(&slot->state, HKI_SLOT_DONE, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&desk->is_attended, __ATOMIC_SEQ_CST)) {
        channel->untold = 0;
        hki_bell_ring(&desk->waiter);
    } else if (++channel->untold >= UNTOLD_MAX) {
        if (are_looked_at(channel))
            channel->untold = UNTOLD_MAX / 2;
        else
            tell_courier(channel);
    }
}

static void *given_back_at(const struct hki_channel *channel, uint64_t offset)
{
    return offset ? hki_channel_zone(channel) + offset : NULL;
}

void *hki_channel_take_given_back(struct hki_channel *channel)
{
    uint64_t *first = &channel->memory->given_back;

    if (__atomic_load_n(first, __ATOMIC_RELAXED) == 0)
        return NULL;
    return given_back_at(channel, __atomic_exchange_n(first, 0, __ATOMIC_ACQUIRE));
}

void *hki_channel_next_given_back(const struct hki_channel *channel, const void *bytes)
{
    const struct hki_zone_head *head = (const struct hki_zone_head *)bytes - 1;

    return given_back_at(channel, head->next);
}
