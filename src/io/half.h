/* SPDX-License-Identifier: MIT */
/*
 * The inside of a buffered stream: two halves that share nothing, so that one task may
 * read while another writes. Each half is a window [start, end) into one allocation:
 *
 *     0      start        end       room   (and one byte more, for a NUL)
 *     | done | not yet used | free  |
 *
 * Nothing leaves the window before the call that takes it has succeeded: that is how
 * a cancelled or failed call keeps every byte for the next one.
 */
#ifndef HKI_IO_HALF_H
#define HKI_IO_HALF_H

#include <hocket/stream.h>

enum {
    HKI_STREAM_ROOM = 16 * 1024,
    HKI_STREAM_KEPT_MAX =
        256 * 1024, /* what is larger is given back once it is empty */
};

struct hki_half {
    bool busy; /* atomic: a task is inside a call; acquire on entry, release on exit */
    int error; /* of a failed write, for ever; 0: none */
    char *data;
    size_t start, end, room;
};

struct hk_stream {
    struct hki_half in, out;
    hk_stream_io io;
    void *ctx;
    hk_fd fd; /* what ctx points at, over a handle */
};

/* Every waiting call is enter, work, leave. 0, -ECANCELED or -EBUSY. */
int hki_half_enter(struct hki_half *half);
/* `waited`: the call went to the descriptor, which has taken from the budget. */
void hki_half_leave(struct hki_half *half, bool waited);

/* Before the work: a buffer of at least HKI_STREAM_ROOM, and not a huge empty one. */
int hki_half_prepare(struct hki_half *half);
/* Makes it `room` bytes, no less than what is used; the window moves to the front. */
int hki_half_resize(struct hki_half *half, size_t room);
void hki_half_to_front(struct hki_half *half);

static inline size_t hki_half_used(const struct hki_half *half)
{
    return half->end - half->start;
}

static inline void hki_half_consume(struct hki_half *half, size_t len)
{
    half->start += len;
    if (half->start == half->end)
        half->start = half->end = 0;
}

/* Panics when a function of hk_stream_io claims what cannot be: memory is corrupt. */
ssize_t hki_stream_checked(ssize_t n, size_t len);

#endif
