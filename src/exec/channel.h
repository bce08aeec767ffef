/* SPDX-License-Identifier: MIT */
/*
 * The way between the program and one of its worker processes: a ring of slots in
 * memory that the two share, and nobody else. A job goes down in a slot, and its result
 * comes back up in the same slot, so that a small job costs two transfers of one cache
 * line and no system call while both sides are awake.
 *
 *     FREE -> READY      the program has put a job in
 *     READY -> TAKEN     the worker begins it: from here on it may have had effects
 *     TAKEN -> DONE      the worker has put the result in
 *     READY -> REVOKED   the program has taken the job back: it never begins
 *     REVOKED -> DONE    the worker has come past it
 *     DONE -> FREE       the program has the result
 *
 * Of READY -> TAKEN and READY -> REVOKED exactly one happens. Slots are filled, done
 * and freed in the order of the ring.
 *
 * What does not fit into a slot lies elsewhere: what goes down in the program's shared
 * heap (exec/heap.h), what comes up in the worker's own zone, a part of the channel's
 * memory in which the worker alone allocates. The program can keep a result there after
 * its slot is free, and gives it back when it needs it no more.
 *
 * A job may submit jobs of its own: the other way round, a request goes up and its
 * result comes down in one of some more slots, in no order: FREE -> READY by the
 * worker, -> DONE by the program, -> FREE by the worker.
 *
 * The program trusts nothing that is in here: what it needs to know it keeps for
 * itself, and each state, offset and length from the worker is read once and checked.
 * The worker trusts the program.
 */
#ifndef HKI_EXEC_CHANNEL_H
#define HKI_EXEC_CHANNEL_H

#include "exec/bell.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HKI_CHANNEL_SLOTS = 64,
    HKI_SLOT_INLINE_BYTES = 208,
    HKI_HANDSHAKE_BYTES = 3072,
    HKI_CHANNEL_REQUESTS = 16,
    HKI_ATTEMPTS_BITS = 4,
};

enum hki_slot_state {
    HKI_SLOT_FREE,
    HKI_SLOT_READY,
    HKI_SLOT_TAKEN,
    HKI_SLOT_DONE,
    HKI_SLOT_REVOKED,
};

/* Where the bytes of a job or result are. */
enum hki_slot_place {
    HKI_PLACE_SLOT,
    HKI_PLACE_HEAP, /* in the program's shared heap */
    HKI_PLACE_ZONE, /* in the worker's zone */
};

/* A small job is in the first cache line of its slot. */
struct hki_slot {
    _Alignas(64) uint32_t state; /* atomic; hki_slot_state */
    uint8_t what;                /* of the job: for those who use the channel */
    uint8_t place;
    /* Of the job: how many it has in all, and above HKI_ATTEMPTS_BITS which it is. */
    uint8_t attempts;
    uint8_t key_size;  /* of the job's key, the last of `bytes`; 0: none */
    uint64_t function; /* of a job, for those who use the channel */
    uint64_t length;   /* of its bytes */
    uint64_t offset;   /* of its bytes, unless they are in the slot */
    int32_t status;    /* of a result; of a request its priority */
    uint32_t cancel;   /* atomic: 1 + hk_cancel_how that is wanted, of who sent it */
    union {
        uint64_t id;      /* of a job that goes down; 0: it is none that may ask */
        int32_t death[2]; /* with -EOWNERDEAD for a request: hki_job_death's signal,
                           * status */
    };
    _Alignas(16) unsigned char bytes[HKI_SLOT_INLINE_BYTES];
};

/* What is in front of a result in the zone. */
struct hki_zone_head {
    _Alignas(64) uint64_t next; /* given back: as hki_channel_memory.given_back */
};

struct hki_channel_memory {
    struct hki_bell worker_bell; /* the worker sleeps on it */
    uint32_t processor;          /* atomic: where the worker awoke last */
    uint32_t requests_made;      /* atomic: grows when there is news in `requests` */
    _Alignas(64) struct hki_bell clerk_bell; /* the worker's clerk sleeps on it */
    /* Atomic: results in the zone that the program does not need any more, the first of
     * a list: its offset in the zone; 0: none. The program adds to it, the worker takes
     * all of it. */
    _Alignas(64) uint64_t given_back;
    _Alignas(64) unsigned char handshake[HKI_HANDSHAKE_BYTES]; /* exec/handshake.h */
    _Alignas(4096) struct hki_slot slots[HKI_CHANNEL_SLOTS];
    struct hki_slot requests[HKI_CHANNEL_REQUESTS];
};

/* One side's view. Of the program's, everything is guarded by the pool's lock. */
struct hki_channel {
    struct hki_channel_memory *memory;
    size_t size_bytes; /* of the mapping, the zone included */
    uint32_t filled;   /* slots that went READY so far; the program's side */
    uint32_t emptied;  /* slots that went FREE again; the program's side */

    /* ---- the worker's side ---- */
    uint32_t next;          /* the slot that it looks at */
    struct hki_desk *desk;  /* in the program's heap */
    uint32_t untold;        /* results since the program was told of one */
    bool is_busy;           /* the job before came without a sleep */
    uint32_t looks_failed;  /* in a row: looking for the next job for a while */
    uint32_t looks_skipped; /* since the last one */
};

/* A job or result as seen by who receives it. `bytes` are valid until the slot is freed
 * or done; a result in the zone, until it is given back. */
struct hki_letter {
    const void *bytes;
    size_t length;
    uint64_t function;
    int32_t status;
    uint8_t what;
    uint8_t place;
    uint8_t attempts;
};

/* ---- the program's side ---- */

/* Makes the memory of a channel with a zone of `zone_bytes` and maps it. Returns its
 * descriptor, which is not needed any more once the worker has started; -ENOMEM or
 * -EMFILE. */
int hki_channel_create(struct hki_channel *channel, size_t zone_bytes);
/* NULL memory is fine. */
void hki_channel_destroy(struct hki_channel *channel);

/* Free slots. */
static inline uint32_t hki_channel_room(const struct hki_channel *channel)
{
    return HKI_CHANNEL_SLOTS - (channel->filled - channel->emptied);
}

/* The next slot to fill, when there is room. The caller writes all but the state. */
struct hki_slot *hki_channel_slot(struct hki_channel *channel);
/* Sends the slot that hki_channel_slot returned, and rings. */
void hki_channel_send(struct hki_channel *channel);

/*
 * Whether the oldest slot in use is done: 1, and `*out` is its result (empty for a job
 * that was revoked); 0: not yet, or none in use; -EPROTO: the worker wrote what no
 * worker of ours writes.
 */
int hki_channel_receive(const struct hki_channel *channel, struct hki_letter *out);
/* Reads a slot that the worker has filled: 1 or -EPROTO, as hki_channel_receive. */
int hki_channel_read(const struct hki_channel *channel, const struct hki_slot *slot,
                     struct hki_letter *out);
/* True if as many as `count` of the oldest slots in use, or more, are done. A guess:
 * nothing is known of their results. */
bool hki_channel_has_done(const struct hki_channel *channel, uint32_t count);
/* Frees the oldest slot, after its result was received. */
void hki_channel_release(struct hki_channel *channel);
/* A result in the zone is not needed any more. Any thread. */
void hki_channel_give_back(const struct hki_channel *channel, const void *bytes);

/* Takes the job of a slot in use back; `index` counts from the oldest. False: too late,
 * the worker has begun it. */
bool hki_channel_revoke(struct hki_channel *channel, uint32_t index);
/* Asks the worker to cancel the job of a slot in use, which it has begun. */
void hki_channel_ask_to_cancel(struct hki_channel *channel, uint32_t index);
/* True if the worker has begun the job of a slot in use, and has not done it. */
bool hki_channel_is_running(const struct hki_channel *channel, uint32_t index);

/* ---- the worker's side ---- */

/* Maps what hki_channel_create made. 0 or -EINVAL. */
int hki_channel_attach(struct hki_channel *channel, int fd, size_t size_bytes);

/*
 * The next job, begun; waits for it, the first `spin_ns` of them awake, or as long as a
 * wake-up takes if that was worth it lately.
 */
struct hki_slot *hki_channel_take(struct hki_channel *channel, int64_t spin_ns);
/*
 * Sends its slot back with whatever result is in it. Who waits for it is told; the
 * courier only when nothing is left to do, or when some results were not looked at.
 */
void hki_channel_done(struct hki_channel *channel, struct hki_slot *slot);

/* The results that were given back, as a list: the first one, and the one after it.
 * NULL: no more. Each is the worker's again. */
void *hki_channel_take_given_back(struct hki_channel *channel);
void *hki_channel_next_given_back(const struct hki_channel *channel, const void *bytes);

/* The zone: the rest of the mapping. */
static inline unsigned char *hki_channel_zone(const struct hki_channel *channel)
{
    return (unsigned char *)(channel->memory + 1);
}

static inline size_t hki_channel_zone_bytes(const struct hki_channel *channel)
{
    return channel->size_bytes - sizeof(struct hki_channel_memory);
}

#endif
