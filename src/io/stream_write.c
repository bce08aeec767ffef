/* SPDX-License-Identifier: MIT */
/* The writing half of buffered streams; io/half.h says what it keeps to. */
#include <hocket/stream.h>

#include "io/half.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* > 0, or an error, which stays: all but a cancel may have lost something. */
static ssize_t write_some(hk_stream *stream, const void *buf, size_t len)
{
    ssize_t n = -EBADF;

    if (stream->io.write)
        n = hki_stream_checked(stream->io.write(stream->ctx, buf, len), len);
    if (n == 0)
        n = -EIO; /* takes nothing, and says so: trying again would never end */
    if (n < 0 && n != -ECANCELED)
        stream->out.error = (int)n;
    return n;
}

/* Writes the window out. */
static int drain(hk_stream *stream, bool *waited)
{
    struct hki_half *out = &stream->out;

    while (hki_half_used(out) > 0) {
        ssize_t n;

        *waited = true;
        n = write_some(stream, out->data + out->start, hki_half_used(out));
        if (n < 0)
            return (int)n;
        hki_half_consume(out, (size_t)n);
    }
    return 0;
}

static size_t put(struct hki_half *out, const char *buf, size_t len)
{
    size_t room = out->room - out->end;
    size_t n = len < room ? len : room;

    memcpy(out->data + out->end, buf, n);
    out->end += n;
    return n;
}

/*
 * A full window is written when the next byte comes, not before. Large pieces bypass an
 * empty one; what they leave over is buffered.
 */
static int write_inside(hk_stream *stream, const char *buf, size_t len, size_t *done,
                        bool *waited)
{
    struct hki_half *out = &stream->out;
    int rc = out->error ? out->error : hki_half_prepare(out);

    while (rc == 0 && *done < len) {
        if (hki_half_used(out) == 0 && len - *done >= HKI_STREAM_ROOM) {
            ssize_t n;

            *waited = true;
            n = write_some(stream, buf + *done, len - *done);
            if (n < 0)
                return (int)n;
            *done += (size_t)n;
        } else if (out->end < out->room) {
            *done += put(out, buf + *done, len - *done);
        } else {
            rc = drain(stream, waited);
        }
    }
    return rc;
}

int hk_stream_write(hk_stream *stream, const void *buf, size_t len, size_t *out_done)
{
    bool waited = false;
    size_t done = 0;
    int rc = hki_half_enter(&stream->out);

    if (rc == 0) {
        rc = write_inside(stream, buf, len, &done, &waited);
        hki_half_leave(&stream->out, waited);
    }
    if (out_done)
        *out_done = done;
    return rc;
}

/* Makes an empty window that takes `len` bytes. */
static int make_room(hk_stream *stream, size_t len, bool *waited)
{
    int rc = drain(stream, waited);

    return rc == 0 && len > stream->out.room ? hki_half_resize(&stream->out, len) : rc;
}

/* Prints into the window, all or nothing; what does not fit waits for room first. */
static int print_inside(hk_stream *stream, const char *format, va_list args,
                        bool *waited)
{
    struct hki_half *out = &stream->out;
    int rc = out->error ? out->error : hki_half_prepare(out);
    va_list again;
    int len;

    if (rc < 0)
        return rc;
    va_copy(again, args);
    len = vsnprintf(out->data + out->end, out->room - out->end + 1, format, args);
    if (len < 0)
        rc = -EINVAL;
    else if ((size_t)len > out->room - out->end) {
        rc = make_room(stream, (size_t)len, waited);
        if (rc == 0)
            vsnprintf(out->data, out->room + 1, format, again);
    }
    if (rc == 0)
        out->end += (size_t)len;
    va_end(again);
    return rc;
}

int hk_stream_printf(hk_stream *stream, const char *format, ...)
{
    bool waited = false;
    va_list args;
    int rc = hki_half_enter(&stream->out);

    if (rc < 0)
        return rc;
    va_start(args, format);
    rc = print_inside(stream, format, args, &waited);
    va_end(args);
    hki_half_leave(&stream->out, waited);
    return rc;
}

int hk_stream_flush(hk_stream *stream)
{
    bool waited = false;
    int rc = hki_half_enter(&stream->out);

    if (rc < 0)
        return rc;
    rc = stream->out.error ? stream->out.error : drain(stream, &waited);
    hki_half_leave(&stream->out, waited);
    return rc;
}
