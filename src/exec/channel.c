/* SPDX-License-Identifier: MIT */
#include "exec/channel.h"

#include "base/spin.h"
#include "sys/os.h"
#include "sys/os_shm.h"

#include <errno.h>

_Static_assert(sizeof(struct hki_slot) == 256, "a slot is four cache lines");
_Static_assert(sizeof(struct hki_channel_memory) % 4096 == 0, "the zone is aligned");

static struct hki_slot *slot_at(const struct hki_channel *channel, uint32_t position)
{
    return &channel->memory->slots[position % HKI_CHANNEL_SLOTS];
}

static uint32_t state_of(const struct hki_slot *slot)
{
    return __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE);
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
static int read_result(const struct hki_channel *channel, const struct hki_slot *slot,
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
        .head = place == HKI_PLACE_ZONE ? (struct hki_zone_head *)(uintptr_t)bytes - 1
                                        : NULL,
        .length = length,
        .status = __atomic_load_n(&slot->status, __ATOMIC_RELAXED),
        .what = __atomic_load_n(&slot->what, __ATOMIC_RELAXED),
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
    case HKI_SLOT_DONE: return read_result(channel, slot, out);
    default: return -EPROTO;
    }
}

void hki_channel_release(struct hki_channel *channel)
{
    __atomic_store_n(&slot_at(channel, channel->emptied++)->state, HKI_SLOT_FREE,
                     __ATOMIC_RELEASE);
}

void hki_zone_head_release(struct hki_zone_head *head)
{
    /* Pairs with the acquire of the worker, which reuses the memory. */
    __atomic_store_n(&head->is_released, 1, __ATOMIC_RELEASE);
}

bool hki_channel_revoke(struct hki_channel *channel, uint32_t index)
{
    return change(slot_at(channel, channel->emptied + index), HKI_SLOT_READY,
                  HKI_SLOT_REVOKED);
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
    uint32_t state = __atomic_load_n(&slot->state, __ATOMIC_SEQ_CST);

    return state == HKI_SLOT_READY || state == HKI_SLOT_REVOKED;
}

static void await_job(struct hki_channel *channel, const struct hki_slot *slot,
                      int64_t spin_ns)
{
    struct hki_bell *bell = &channel->memory->worker_bell;
    int64_t end_ns = spin_ns > 0 ? hki_os_now_ns() + spin_ns : 0;

    while (end_ns != 0 && !has_job(slot)) {
        hki_spin_pause(0);
        if (hki_os_now_ns() >= end_ns)
            break;
    }
    while (!has_job(slot)) {
        hki_bell_arm(bell);
        if (has_job(slot))
            hki_bell_disarm(bell);
        else
            hki_bell_sleep(bell, INT64_MAX);
    }
}

struct hki_slot *hki_channel_take(struct hki_channel *channel, int64_t spin_ns)
{
    for (;;) {
        struct hki_slot *slot = slot_at(channel, channel->next++);

        if (!has_job(slot))
            await_job(channel, slot, spin_ns);
        if (change(slot, HKI_SLOT_READY, HKI_SLOT_TAKEN))
            return slot;
        slot->length = 0; /* revoked */
        slot->place = HKI_PLACE_SLOT;
        hki_channel_done(channel, slot);
    }
}

void hki_channel_done(struct hki_channel *channel, struct hki_slot *slot)
{
    __atomic_exchange_n(&slot->state, HKI_SLOT_DONE, __ATOMIC_SEQ_CST);
    hki_bell_ring(channel->program_bell);
}
