/* SPDX-License-Identifier: MIT */
/*
 * The table of handles of the process. An hk_fd is a slot and a generation; a slot's
 * generation is odd while it is open and grows at every open and close, so that a stale
 * handle is told from a new one for four billion uses of one slot.
 */
#ifndef HKI_CORE_HANDLE_H
#define HKI_CORE_HANDLE_H

#include "core/self_inline.h"

#include <hocket/op.h>

struct hki_op;

struct hki_handle {
    uint32_t lock;       /* guards everything below */
    uint32_t generation; /* odd: open */
    int32_t fd;
    uint32_t slot;  /* immutable */
    uint16_t flags; /* HK_FD_ */
    bool reading, writing, closing;
    bool nonblocking;             /* we have switched it, or know it */
    struct hki_op *ops;           /* in flight on it, from any worker or thread */
    uint64_t serial;              /* of its adoption */
    uint32_t pins;                /* who uses the descriptor's number just now */
    hk_waiter *closer;            /* waits for the end of both */
    struct hki_handle *next_free; /* guarded by the table's lock */
};

/* The handle's entry, or NULL when it never was. */
struct hki_handle *hki_handle_at(hk_fd fd);

static inline uint32_t hki_fd_generation(hk_fd fd)
{
    return (uint32_t)(fd.value >> 32);
}

/* Finds out what an HK_FD_ASK handle is. With its lock. */
void hki_handle_ask(struct hki_handle *handle);

/* True when `fd` names the entry's present file. With its lock. */
static inline bool hki_handle_is(const struct hki_handle *handle, hk_fd fd)
{
    return handle->generation == hki_fd_generation(fd) && (handle->generation & 1);
}

/* The closer, who is to be woken, when nobody uses the descriptor any more; else NULL.
 * With its lock. */
static inline hk_waiter *hki_handle_take_closer(struct hki_handle *handle)
{
    hk_waiter *closer = handle->ops || handle->pins ? NULL : handle->closer;

    if (closer)
        handle->closer = NULL;
    return closer;
}

/* Handles that are open now, the borrowed ones left out. */
uint64_t hki_handle_count(void);

/* How many were ever adopted; and a text about up to four of those that were adopted
 * since `serial` and are still open: "descriptor 7 (/etc/hosts), ...". */
uint64_t hki_handle_serial(void);
void hki_handle_describe_open(uint64_t serial, char *text, size_t size);

#endif
