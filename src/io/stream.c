/* SPDX-License-Identifier: MIT */
/* Buffered streams: making and freeing them, and what their two halves share. */
#include <hocket/stream.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "io/half.h"

#include <hocket/scope.h>

#include <string.h>

/* ---- over a handle ---- */

static ssize_t read_handle(void *ctx, void *buf, size_t len)
{
    const hk_fd *fd = ctx;

    return hk_read(*fd, buf, len);
}

static ssize_t write_handle(void *ctx, const void *buf, size_t len)
{
    const hk_fd *fd = ctx;

    return hk_write(*fd, buf, len);
}

int hk_stream_new_io(const hk_stream_io *io, void *ctx, hk_stream **out)
{
    hk_stream *stream = hki_alloc(sizeof(*stream));

    if (!stream)
        return -ENOMEM;
    stream->io = *io;
    stream->ctx = ctx;
    *out = stream;
    return 0;
}

int hk_stream_new(hk_fd fd, hk_stream **out)
{
    static const hk_stream_io io = {read_handle, write_handle};
    hk_stream *stream;
    int rc = hk_stream_new_io(&io, NULL, &stream);

    if (rc < 0)
        return rc;
    stream->fd = fd;
    stream->ctx = &stream->fd;
    *out = stream;
    return 0;
}

static bool is_busy(const struct hki_half *half)
{
    return __atomic_load_n(&half->busy, __ATOMIC_ACQUIRE);
}

void hk_stream_free(hk_stream *stream)
{
    if (!stream)
        return;
    if (is_busy(&stream->in) || is_busy(&stream->out))
        hki_panic("hk_stream_free: a task is still reading or writing this stream");
    hki_free(stream->in.data);
    hki_free(stream->out.data);
    hki_free(stream);
}

ssize_t hki_stream_checked(ssize_t n, size_t len)
{
    if (n > 0 && (size_t)n > len)
        hki_panic("hk_stream_io: %zd bytes were moved of at most %zu", n, len);
    return n;
}

/* ---- one half ---- */

int hki_half_enter(struct hki_half *half)
{
    int rc = hk_cancelled();

    if (rc < 0)
        return rc;
    return __atomic_exchange_n(&half->busy, true, __ATOMIC_ACQUIRE) ? -EBUSY : 0;
}

void hki_half_leave(struct hki_half *half, bool waited)
{
    __atomic_store_n(&half->busy, false, __ATOMIC_RELEASE);
    if (!waited)
        (void)hk_budget(); /* always 0 */
}

void hki_half_to_front(struct hki_half *half)
{
    if (half->start > 0)
        memmove(half->data, half->data + half->start, hki_half_used(half));
    half->end -= half->start;
    half->start = 0;
}

int hki_half_resize(struct hki_half *half, size_t room)
{
    char *data;

    hki_half_to_front(half);
    data = hki_realloc(half->data, room + 1);
    if (!data)
        return -ENOMEM;
    half->data = data;
    half->room = room;
    return 0;
}

int hki_half_prepare(struct hki_half *half)
{
    if (!half->data)
        return hki_half_resize(half, HKI_STREAM_ROOM);
    if (half->room > HKI_STREAM_KEPT_MAX && hki_half_used(half) == 0)
        (void)hki_half_resize(half, HKI_STREAM_ROOM); /* else it stays as large */
    return 0;
}
