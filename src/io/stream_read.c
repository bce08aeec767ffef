/* SPDX-License-Identifier: MIT */
/* The reading half of buffered streams; io/half.h says what it keeps to. */
#include <hocket/stream.h>

#include "base/alloc.h"
#include "io/half.h"

#include <string.h>

enum { DELIMITER_MAX = 16 };

static ssize_t read_some(hk_stream *stream, void *buf, size_t len)
{
    if (!stream->io.read)
        return -EBADF;
    return hki_stream_checked(stream->io.read(stream->ctx, buf, len), len);
}

/*
 * Reads once into the window, which is given room first: up to `room_max` bytes in all,
 * more than are used. What read returned: > 0, 0 at the end, or an error.
 */
static ssize_t fill(hk_stream *stream, size_t room_max)
{
    struct hki_half *in = &stream->in;
    ssize_t n;

    if (in->room - in->end < in->room / 2)
        hki_half_to_front(in);
    if (in->end == in->room) {
        int rc = hki_half_resize(in, in->room < room_max / 2 ? 2 * in->room : room_max);

        if (rc < 0)
            return rc;
    }
    n = read_some(stream, in->data + in->end, in->room - in->end);
    if (n > 0)
        in->end += (size_t)n;
    return n;
}

static size_t take(struct hki_half *in, void *buf, size_t len)
{
    size_t n = hki_half_used(in) < len ? hki_half_used(in) : len;

    if (n > 0)
        memcpy(buf, in->data + in->start, n);
    hki_half_consume(in, n);
    return n;
}

static ssize_t read_inside(hk_stream *stream, void *buf, size_t len, bool *waited)
{
    struct hki_half *in = &stream->in;
    ssize_t n = hki_half_prepare(in);

    if (n < 0 || len == 0)
        return n;
    if (hki_half_used(in) == 0) {
        *waited = true;
        if (len >= HKI_STREAM_ROOM)
            return read_some(stream, buf, len);
        n = fill(stream, HKI_STREAM_ROOM);
        if (n <= 0)
            return n;
    }
    return (ssize_t)take(in, buf, len);
}

ssize_t hk_stream_read(hk_stream *stream, void *buf, size_t len)
{
    bool waited = false;
    ssize_t n = hki_half_enter(&stream->in);

    if (n < 0)
        return n;
    n = read_inside(stream, buf, len, &waited);
    hki_half_leave(&stream->in, waited);
    return n;
}

/* Into the window, until it holds `len` bytes. */
static int exactly_buffered(hk_stream *stream, void *buf, size_t len, bool *waited)
{
    struct hki_half *in = &stream->in;

    while (hki_half_used(in) < len) {
        ssize_t n;

        *waited = true;
        n = fill(stream, HKI_STREAM_ROOM > len ? HKI_STREAM_ROOM : len);
        if (n < 0)
            return (int)n;
        if (n == 0)
            return hki_half_used(in) > 0 ? -EPROTO : -ENODATA;
    }
    take(in, buf, len);
    return 0;
}

/*
 * Large reads go to the caller's memory at once. The window stays as it was until all
 * is there; should it fail, `spare` (address space that nobody touched until then)
 * takes what came and becomes the window.
 */
static int exactly_direct(hk_stream *stream, char *buf, size_t len, char *spare)
{
    struct hki_half *in = &stream->in;
    size_t done = hki_half_used(in);
    int rc = 0;

    memcpy(buf, in->data + in->start, done);
    while (rc == 0 && done < len) {
        ssize_t n = read_some(stream, buf + done, len - done);

        if (n > 0)
            done += (size_t)n;
        else
            rc = n < 0 ? (int)n : done > 0 ? -EPROTO : -ENODATA;
    }
    if (rc == 0) {
        hki_half_consume(in, hki_half_used(in));
        hki_free(spare);
        return 0;
    }
    memcpy(spare, buf, done);
    hki_free(in->data);
    in->data = spare;
    in->start = 0;
    in->end = done;
    in->room = len;
    return rc;
}

static int exactly_inside(hk_stream *stream, void *buf, size_t len, bool *waited)
{
    char *spare;
    int rc = hki_half_prepare(&stream->in);

    if (rc < 0)
        return rc;
    if (len <= HKI_STREAM_ROOM || len <= hki_half_used(&stream->in))
        return exactly_buffered(stream, buf, len, waited);
    spare = hki_realloc(NULL, len + 1); /* unlike hki_alloc: untouched */
    if (!spare)
        return -ENOMEM;
    *waited = true;
    return exactly_direct(stream, buf, len, spare);
}

int hk_stream_read_exactly(hk_stream *stream, void *buf, size_t len)
{
    bool waited = false;
    int rc = hki_half_enter(&stream->in);

    if (rc < 0)
        return rc;
    rc = exactly_inside(stream, buf, len, &waited);
    hki_half_leave(&stream->in, waited);
    return rc;
}

/* ---- reading up to a delimiter ---- */

struct delimiter {
    const char *text;
    size_t len;
    size_t limit; /* of the whole, delimiter included */
};

/*
 * The length up to and including the delimiter, as hk_stream_read_until; the bytes stay
 * in the window. An end without delimiter is 0, whatever there is. Only the first
 * `limit` bytes are looked at: so the answer does not depend on how they arrived.
 */
static ssize_t find(hk_stream *stream, const struct delimiter *d, bool *waited)
{
    struct hki_half *in = &stream->in;
    size_t seen = 0; /* no delimiter begins before */

    for (;;) {
        size_t have = hki_half_used(in) < d->limit ? hki_half_used(in) : d->limit;
        const char *begin = in->data + in->start;
        const char *hit = memmem(begin + seen, have - seen, d->text, d->len);
        ssize_t n;

        if (hit)
            return hit - begin + (ssize_t)d->len;
        if (have == d->limit)
            return -EMSGSIZE;
        if (have >= d->len)
            seen = have - d->len + 1;
        *waited = true;
        n = fill(stream, d->limit > HKI_STREAM_ROOM ? d->limit : HKI_STREAM_ROOM);
        if (n <= 0)
            return n;
    }
}

static ssize_t until_inside(hk_stream *stream, const struct delimiter *d,
                            const char **out_data, bool *waited)
{
    struct hki_half *in = &stream->in;
    ssize_t len = hki_half_prepare(in);

    if (len == 0)
        len = find(stream, d, waited);
    if (len == 0 && hki_half_used(in) > 0)
        return -EPROTO;
    if (len <= 0)
        return len;
    *out_data = in->data + in->start;
    hki_half_consume(in, (size_t)len);
    return len;
}

ssize_t hk_stream_read_until(hk_stream *stream, const char *delimiter,
                             size_t delimiter_len, size_t limit_bytes,
                             const char **out_data)
{
    struct delimiter d = {delimiter, delimiter_len, limit_bytes};
    bool waited = false;
    ssize_t len;

    if (delimiter_len == 0 || delimiter_len > DELIMITER_MAX)
        return -EINVAL;
    len = hki_half_enter(&stream->in);
    if (len < 0)
        return len;
    len = until_inside(stream, &d, out_data, &waited);
    hki_half_leave(&stream->in, waited);
    return len;
}

enum last_line { MAY_LACK_NEWLINE, MUST_BE_WHOLE };

static int line_inside(hk_stream *stream, size_t limit, enum last_line last,
                       char **out_line, size_t *out_len, bool *waited)
{
    const struct delimiter newline = {"\n", 1, limit};
    struct hki_half *in = &stream->in;
    ssize_t found = hki_half_prepare(in);
    size_t len;
    char *line;

    if (found == 0)
        found = find(stream, &newline, waited);
    if (found < 0 || (found == 0 && hki_half_used(in) == 0))
        return (int)found;
    if (found == 0 && last == MUST_BE_WHOLE)
        return -EPROTO;
    line = in->data + in->start;
    if (found > 0) {
        len = (size_t)found - 1;
        if (len > 0 && line[len - 1] == '\r')
            len--;
    } else {
        found = (ssize_t)hki_half_used(in); /* the last one, without newline */
        len = (size_t)found;
    }
    line[len] = '\0'; /* in place of the newline, or of the byte after the room */
    hki_half_consume(in, (size_t)found);
    *out_line = line;
    if (out_len)
        *out_len = len;
    return 1;
}

static int read_line(hk_stream *stream, size_t limit_bytes, enum last_line last,
                     char **out_line, size_t *out_len)
{
    bool waited = false;
    int rc = hki_half_enter(&stream->in);

    if (rc < 0)
        return rc;
    rc = line_inside(stream, limit_bytes, last, out_line, out_len, &waited);
    hki_half_leave(&stream->in, waited);
    return rc;
}

int hk_stream_read_line(hk_stream *stream, size_t limit_bytes, char **out_line,
                        size_t *out_len)
{
    return read_line(stream, limit_bytes, MAY_LACK_NEWLINE, out_line, out_len);
}

int hk_stream_read_whole_line(hk_stream *stream, size_t limit_bytes, char **out_line,
                              size_t *out_len)
{
    return read_line(stream, limit_bytes, MUST_BE_WHOLE, out_line, out_len);
}

size_t hk_stream_peek(hk_stream *stream, const char **out_data)
{
    *out_data = stream->in.data ? stream->in.data + stream->in.start : "";
    return hki_half_used(&stream->in);
}
