/* SPDX-License-Identifier: MIT */
#include "response.h"

#include "mime.h"
#include "range.h"
#include "unpack.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- the buffer ---- */

static int flush(struct sender *s)
{
    hk_scope patience = HK_SCOPE_INIT;
    int rc, late;

    hk_scope_open_with(&patience, 0, "sending");
    hk_scope_deadline(&patience, hk_now() + s->patience_ns);
    rc = hk_write_all(s->fd, s->buf, s->len, NULL);
    late = hk_scope_join(&patience);
    s->len = 0;
    return late < 0 ? late : rc;
}

static void add(struct sender *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Only for heads, which begin in an empty buffer and are much smaller than it. */
static void add(struct sender *s, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(s->buf + s->len, OUT_SIZE - s->len, format, args);
    va_end(args);
    if (n > 0 && (size_t)n < OUT_SIZE - s->len)
        s->len += (size_t)n;
}

static int send_memory(struct sender *s, const char *data, size_t len)
{
    while (len > 0) {
        size_t n = len < OUT_SIZE - s->len ? len : OUT_SIZE - s->len;
        int rc;

        memcpy(s->buf + s->len, data, n);
        s->len += n;
        data += n;
        len -= n;
        rc = flush(s);
        if (rc < 0)
            return rc;
    }
    return s->len > 0 ? flush(s) : 0;
}

static int send_from(struct sender *s, hk_fd file, uint64_t at, uint64_t len)
{
    while (len > 0) {
        size_t room = OUT_SIZE - s->len;
        ssize_t n = hk_pread(file, s->buf + s->len, len < room ? (size_t)len : room,
                             (int64_t)at);
        int rc;

        if (n <= 0)
            return n < 0 ? (int)n : -EIO;
        s->len += (size_t)n;
        at += (uint64_t)n;
        len -= (uint64_t)n;
        rc = flush(s);
        if (rc < 0)
            return rc;
    }
    return s->len > 0 ? flush(s) : 0;
}

/* ---- heads ---- */

static const char *words_for(int status)
{
    switch (status) {
    case 200: return "OK";
    case 206: return "Partial Content";
    case 301: return "Moved Permanently";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 414: return "URI Too Long";
    case 416: return "Range Not Satisfiable";
    case 431: return "Request Header Fields Too Large";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 505: return "HTTP Version Not Supported";
    default: return "Internal Server Error";
    }
}

static void http_date(time_t when, char *out, size_t size)
{
    struct tm tm;

    gmtime_r(&when, &tm);
    strftime(out, size, "%a, %d %b %Y %H:%M:%S GMT",
             &tm); /* the C locale is in force */
}

/* The head that all responses begin with; headers may be added until end_head. */
static void begin_head(struct sender *s, const struct request *r, int status)
{
    char date[40];

    http_date(time(NULL), date, sizeof date);
    s->len = 0;
    add(s, "HTTP/1.1 %d %s\r\nServer: hocket-serve\r\nDate: %s\r\n", status,
        words_for(status), date);
    add(s, "Connection: %s\r\n", r->keep_alive ? "keep-alive" : "close");
}

static void end_head(struct sender *s)
{
    add(s, "\r\n");
}

/* ---- words ---- */

int respond_status(struct sender *s, const struct request *r, int status,
                   const char *location, struct sent *out)
{
    char body[64];
    int len = snprintf(body, sizeof body, "%d %s\n", status, words_for(status));

    *out = (struct sent){.status = status, .bytes = (uint64_t)len};
    begin_head(s, r, status);
    if (status == 405)
        add(s, "Allow: GET, HEAD\r\n");
    if (location)
        add(s, "Location: %s\r\n", location);
    add(s, "Content-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n", len);
    end_head(s);
    if (!r->head_only)
        add(s, "%s", body);
    return flush(s);
}

/* ---- files ---- */

/* What names this state of a file; the packed and the unpacked form are two. */
static void make_etag(const struct site_file *file, bool as_packed, char *out,
                      size_t size)
{
    snprintf(out, size, "\"%" PRIx64 "-%" PRIx64 "%s\"",
             (uint64_t)file->stat.modified_ns, file->stat.size_bytes,
             as_packed ? "-gz" : "");
}

/* Whether the list of an If-None-Match has `etag`; weak ones count as well. */
static bool etag_matches(const char *list, const char *etag)
{
    size_t len = strlen(etag);

    for (; *list; list += strcspn(list, ",")) {
        list += strspn(list, ", \t");
        if (*list == '*')
            return true;
        if (strncmp(list, "W/", 2) == 0)
            list += 2;
        if (strncmp(list, etag, len) == 0)
            return true;
    }
    return false;
}

static void add_file_headers(struct sender *s, const struct site_file *file,
                             const char *etag)
{
    char date[40];

    http_date((time_t)(file->stat.modified_ns / HK_SECOND), date, sizeof date);
    add(s, "ETag: %s\r\nLast-Modified: %s\r\n", etag, date);
    if (file->packed)
        add(s, "Vary: Accept-Encoding\r\n");
    else
        add(s, "Accept-Ranges: bytes\r\n");
}

static int respond_not_modified(struct sender *s, const struct request *r,
                                const struct site_file *file, const char *etag)
{
    begin_head(s, r, 304);
    add_file_headers(s, file, etag);
    end_head(s);
    return flush(s);
}

/* For a client that cannot unpack, somebody else must. */
static int respond_unpacked(struct sender *s, const struct request *r,
                            struct site_file *file, const char *etag, struct sent *out)
{
    char *data;
    size_t len;
    int rc = unpack(file->fd, file->stat.size_bytes, &data, &len);

    if (rc == -ECANCELED)
        return rc;
    if (rc < 0)
        return respond_status(s, r, 500, NULL, out);
    out->bytes = len;
    begin_head(s, r, 200);
    add_file_headers(s, file, etag);
    add(s, "Content-Type: %s\r\nContent-Length: %zu\r\n", mime_of(file->name), len);
    end_head(s);
    rc = r->head_only ? flush(s) : send_memory(s, data, len);
    free(data);
    return rc;
}

static int respond_outside(struct sender *s, const struct request *r,
                           const struct site_file *file, struct sent *out)
{
    out->status = 416;
    begin_head(s, r, 416);
    add(s, "Content-Range: bytes */%" PRIu64 "\r\nContent-Length: 0\r\n",
        file->stat.size_bytes);
    end_head(s);
    return flush(s);
}

int respond_file(struct sender *s, const struct request *r, struct site_file *file,
                 struct sent *out)
{
    bool as_packed = file->packed && r->takes_gzip;
    uint64_t first = 0, last = 0, size = file->stat.size_bytes;
    range_verdict range = RANGE_ALL;
    char etag[48];

    *out = (struct sent){.status = 200, .bytes = size};
    make_etag(file, as_packed, etag, sizeof etag);
    if (r->if_none_match && etag_matches(r->if_none_match, etag)) {
        *out = (struct sent){.status = 304};
        return respond_not_modified(s, r, file, etag);
    }
    if (file->packed && !as_packed)
        return respond_unpacked(s, r, file, etag, out);
    if (r->range && !file->packed && (!r->if_range || strcmp(r->if_range, etag) == 0))
        range = range_parse(r->range, size, &first, &last);
    if (range == RANGE_OUTSIDE) {
        out->bytes = 0;
        return respond_outside(s, r, file, out);
    }

    if (range == RANGE_PART)
        *out = (struct sent){.status = 206, .bytes = last - first + 1};
    begin_head(s, r, out->status);
    add_file_headers(s, file, etag);
    if (as_packed)
        add(s, "Content-Encoding: gzip\r\n");
    if (range == RANGE_PART)
        add(s, "Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64 "\r\n", first,
            last, size);
    add(s, "Content-Type: %s\r\nContent-Length: %" PRIu64 "\r\n", mime_of(file->name),
        out->bytes);
    end_head(s);
    if (r->head_only)
        return flush(s);
    return send_from(s, file->fd, first, out->bytes);
}
