/* SPDX-License-Identifier: MIT */
#include "http.h"

#include "failure.h"
#include "memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    LINE_MAX_BYTES =
        16 * 1024, /* as long as a header may be, or a chunk's first line */
    HEAD_MAX_BYTES = 64 * 1024, /* all headers together */
    INTERIM_MAX = 10,           /* heads with a status of 1xx */
    SKIP_MAX_BYTES = 32 * 1024, /* cheaper to read than to connect anew */
    BODY_START_BYTES = 32 * 1024,
};

int http_send_request(hk_fd fd, const char *authority, const char *path,
                      const char *user_agent)
{
    char text[4096]; /* a URL is at most half of that, a user agent 200 bytes */
    int len = snprintf(text, sizeof text,
                       "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\n"
                       "Accept: text/html, application/xhtml+xml, */*;q=0.1\r\n"
                       "Accept-Encoding: identity\r\n\r\n",
                       path, authority, user_agent);

    if (len < 0 || (size_t)len >= sizeof text)
        return -EMSGSIZE;
    return hk_write_all(fd, text, (size_t)len, NULL);
}

/* ---- the head ---- */

/* The stream's errors, as they read inside of a response. */
static int in_response(int error)
{
    return error == -EPROTO || error == -ENODATA ? HTTP_TRUNCATED : error;
}

/*
 * Reads a line, without its end, to `out`, which has LINE_MAX_BYTES. Returns its length
 * in the stream; -EMSGSIZE when it is longer; or an error, HTTP_TRUNCATED if it has no
 * end.
 */
static ssize_t read_line(hk_stream *in, char *out)
{
    const char *data;
    ssize_t n = hk_stream_read_until(in, "\n", 1, LINE_MAX_BYTES, &data);
    size_t len;

    if (n == 0)
        return HTTP_TRUNCATED;
    if (n < 0)
        return in_response((int)n);
    len = (size_t)n - 1;
    if (len > 0 && data[len - 1] == '\r')
        len--;
    memcpy(out, data, len);
    out[len] = '\0';
    return n;
}

/* A line of the head; counts it in `*used`. Returns 0 or an error. */
static int read_head_line(hk_stream *in, size_t *used, char *line)
{
    ssize_t n = read_line(in, line);

    if (n == -EMSGSIZE)
        return HTTP_HEADER_FLOOD;
    if (n < 0)
        return (int)n;
    *used += (size_t)n;
    return *used > HEAD_MAX_BYTES ? HTTP_HEADER_FLOOD : 0;
}

static int parse_status_line(const char *line, struct http_response *out)
{
    if (strncmp(line, "HTTP/1.", 7) != 0 || strspn(line + 7, "0123456789") != 1 ||
        line[8] != ' ' || strspn(line + 9, "0123456789") != 3 ||
        (line[12] && line[12] != ' '))
        return HTTP_MALFORMED;
    out->keep_alive = line[7] != '0';
    out->status = atoi(line + 9);
    return out->status >= 100 ? 0 : HTTP_MALFORMED;
}

/* What a stranger sent may be printed: nothing that moves a cursor gets through. */
static void copy_lower(char *out, size_t size, const char *text, size_t len)
{
    if (len >= size)
        len = size - 1;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];

        if (c <= ' ' || c > '~')
            c = '?';
        out[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    out[len] = '\0';
}

static void take_content_type(const char *value, struct http_response *out)
{
    const char *charset = strcasestr(value, "charset=");

    out->has_type = *value != '\0';
    copy_lower(out->type, sizeof out->type, value, strcspn(value, "; \t"));
    if (charset) {
        charset += 8;
        charset += *charset == '"';
        copy_lower(out->charset, sizeof out->charset, charset,
                   strcspn(charset, "\"; \t,"));
    }
}

static int take_length(const char *value, struct http_response *out)
{
    size_t len = strlen(value);
    int64_t length;

    if (len == 0 || len > 18 || value[strspn(value, "0123456789")])
        return HTTP_MALFORMED;
    length = strtoll(value, NULL, 10);
    if (out->length >= 0 && out->length != length)
        return HTTP_MALFORMED;
    out->length = length;
    return 0;
}

static int take_header(const char *name, const char *value, struct http_response *out)
{
    if (strcasecmp(name, "content-length") == 0)
        return take_length(value, out);
    if (strcasecmp(name, "content-type") == 0)
        take_content_type(value, out);
    else if (strcasecmp(name, "transfer-encoding") == 0)
        out->chunked = strcasestr(value, "chunked") != NULL;
    else if (strcasecmp(name, "content-encoding") == 0)
        out->encoded = *value && strcasecmp(value, "identity") != 0;
    else if (strcasecmp(name, "location") == 0)
        snprintf(out->location, sizeof out->location, "%s", value);
    else if (strcasecmp(name, "connection") == 0 && strcasestr(value, "close"))
        out->keep_alive = false;
    else if (strcasecmp(name, "connection") == 0 && strcasestr(value, "keep-alive"))
        out->keep_alive = true;
    return 0;
}

static int parse_header(char *line, struct http_response *out)
{
    char *colon = strchr(line, ':');
    char *value, *end;

    if (!colon)
        return *line == ' ' || *line == '\t' ? 0 : HTTP_MALFORMED; /* a folded line */
    *colon = '\0';
    value = colon + 1 + strspn(colon + 1, " \t");
    end = value + strlen(value);
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    *end = '\0';
    return take_header(line, value, out);
}

static int read_one_head(hk_stream *in, size_t *used, struct http_response *out)
{
    char line[LINE_MAX_BYTES];
    const char *rest;
    int rc = read_head_line(in, used, line);

    if (rc == HTTP_TRUNCATED && *used == 0 && hk_stream_peek(in, &rest) == 0)
        return -ENODATA;
    if (rc == 0)
        rc = parse_status_line(line, out);
    while (rc == 0) {
        rc = read_head_line(in, used, line);
        if (rc == 0 && !*line)
            return 0;
        if (rc == 0)
            rc = parse_header(line, out);
    }
    return rc;
}

int http_read_head(hk_stream *in, struct http_response *out)
{
    size_t used = 0;

    for (int i = 0; i < INTERIM_MAX; i++) {
        int rc;

        *out = (struct http_response){.length = -1};
        rc = read_one_head(in, &used, out);
        if (rc < 0)
            return rc;
        if (out->status >= 200)
            return 0;
    }
    return HTTP_HEADER_FLOOD;
}

/* ---- the body ---- */

struct body {
    char *data;
    size_t len, size, limit;
};

static bool make_room(struct body *b, size_t more)
{
    if (more > b->limit - b->len)
        return false;
    if (b->len + more + 1 > b->size) {
        size_t size = b->size * 2;

        if (size < b->len + more + 1)
            size = b->len + more + 1;
        b->data = must_realloc(b->data, size);
        b->size = size;
    }
    return true;
}

/* Exactly `count` bytes more. A lie about the count costs address space, not memory:
 * pages that nothing is written to are never there. */
static int read_counted(hk_stream *in, struct body *b, uint64_t count)
{
    if (count > b->limit || !make_room(b, (size_t)count))
        return HTTP_TOO_LARGE;
    while (count > 0) {
        ssize_t n = hk_stream_read(in, b->data + b->len, (size_t)count);

        if (n <= 0)
            return n == 0 ? HTTP_TRUNCATED : in_response((int)n);
        b->len += (size_t)n;
        count -= (uint64_t)n;
    }
    return 0;
}

static int read_to_the_end(hk_stream *in, struct body *b)
{
    for (;;) {
        char extra;
        ssize_t n;

        if (!make_room(b, 1)) { /* is there more? */
            n = hk_stream_read(in, &extra, 1);
            return n > 0 ? HTTP_TOO_LARGE : (int)n;
        }
        n = hk_stream_read(in, b->data + b->len, b->size - b->len - 1);
        if (n <= 0)
            return (int)n;
        b->len += (size_t)n;
        if (b->len > b->limit)
            return HTTP_TOO_LARGE;
    }
}

/* A chunk's first line: its size in hexadecimal digits, maybe an extension. */
static int parse_chunk_size(const char *line, uint64_t *out)
{
    size_t digits = strspn(line, "0123456789abcdefABCDEF");

    if (digits == 0 || digits > 15 || (line[digits] && !strchr("; \t", line[digits])))
        return HTTP_BAD_CHUNK;
    *out = strtoull(line, NULL, 16);
    return 0;
}

static int read_chunk_line(hk_stream *in, char *line)
{
    ssize_t n = read_line(in, line);

    if (n == -EMSGSIZE)
        return HTTP_BAD_CHUNK;
    return n < 0 ? (int)n : 0;
}

/* After the last chunk: lines as in a head, which tell us nothing, and an empty one. */
static int read_trailer(hk_stream *in, char *line)
{
    size_t used = 0;
    int rc;

    do
        rc = read_head_line(in, &used, line);
    while (rc == 0 && *line);
    return rc;
}

static int read_chunks(hk_stream *in, struct body *b)
{
    char line[LINE_MAX_BYTES];

    for (;;) {
        uint64_t size = 0;
        int rc = read_chunk_line(in, line);

        if (rc == 0)
            rc = parse_chunk_size(line, &size);
        if (rc < 0)
            return rc;
        if (size == 0)
            return read_trailer(in, line);
        rc = read_counted(in, b, size);
        if (rc == 0)
            rc = read_chunk_line(in, line);
        if (rc == 0 && *line)
            rc = HTTP_BAD_CHUNK; /* more came than was announced */
        if (rc < 0)
            return rc;
    }
}

static int read_body_into(hk_stream *in, struct http_response *head, struct body *b)
{
    if (head->status == 204 || head->status == 304)
        return 0;
    if (head->chunked)
        return read_chunks(in, b);
    if (head->length >= 0)
        return read_counted(in, b, (uint64_t)head->length);
    head->keep_alive = false;
    return read_to_the_end(in, b);
}

int http_read_body(hk_stream *in, struct http_response *head, size_t limit,
                   char **out_body, size_t *out_len)
{
    struct body b = {.limit = limit, .size = BODY_START_BYTES};
    int rc;

    if (head->encoded)
        return HTTP_ENCODED;
    b.data = must_alloc(b.size);
    rc = read_body_into(in, head, &b);
    if (rc < 0) {
        free(b.data);
        return rc;
    }
    b.data[b.len] = '\0';
    *out_body = b.data;
    *out_len = b.len;
    return 0;
}

bool http_skip_body(hk_stream *in, struct http_response *head)
{
    char *body;
    size_t len;

    if (!head->keep_alive || head->length > SKIP_MAX_BYTES ||
        (head->length < 0 && !head->chunked))
        return false;
    head->encoded = false;
    if (http_read_body(in, head, SKIP_MAX_BYTES, &body, &len) < 0)
        return false;
    free(body);
    return head->keep_alive;
}
