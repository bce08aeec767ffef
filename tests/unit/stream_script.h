/* SPDX-License-Identifier: MIT */
/*
 * What the tests of streams put below one: functions that follow a script, returning
 * pieces of any size and any error at any call.
 */
#ifndef TESTS_UNIT_STREAM_SCRIPT_H
#define TESTS_UNIT_STREAM_SCRIPT_H

#include "io_test.h"

/* The buffer of a stream, by <hocket/stream.h>. */
enum { ROOM = 16 * 1024 };

struct script {
    const char *data; /* what is read */
    size_t len, at;
    size_t piece; /* at most so many bytes in a call */
    int calls;    /* reads and writes so far */
    int fail_at;  /* this call fails, once; 0: none */
    int error;    /* with this */
    size_t asked; /* bytes that the last call wanted, or offered */
    char *sink;   /* what was written */
    size_t sunk, sink_size;
};

static inline ssize_t next_piece(struct script *s, size_t len, size_t rest)
{
    size_t n = len < rest ? len : rest;

    s->asked = len;
    if (++s->calls == s->fail_at)
        return s->error;
    return (ssize_t)(n < s->piece ? n : s->piece);
}

static inline ssize_t script_read(void *ctx, void *buf, size_t len)
{
    struct script *s = ctx;
    ssize_t n = next_piece(s, len, s->len - s->at);

    CHECK(len > 0);
    if (n > 0) {
        memcpy(buf, s->data + s->at, (size_t)n);
        s->at += (size_t)n;
    }
    return n;
}

static inline ssize_t script_write(void *ctx, const void *buf, size_t len)
{
    struct script *s = ctx;
    ssize_t n = next_piece(s, len, s->sink_size - s->sunk);

    CHECK(len > 0);
    if (n > 0) {
        memcpy(s->sink + s->sunk, buf, (size_t)n);
        s->sunk += (size_t)n;
    }
    return n;
}

static const hk_stream_io script_io = {script_read, script_write};

static inline hk_stream *over(struct script *s)
{
    hk_stream *stream;

    CHECK_EQ(hk_stream_new_io(&script_io, s, &stream), 0);
    return stream;
}

static inline struct script text_script(const char *text, size_t piece)
{
    return (struct script){.data = text, .len = strlen(text), .piece = piece};
}

/* `len` bytes of the pattern. */
static inline char *make_text(size_t len)
{
    char *text = malloc(len);

    fill_pattern((unsigned char *)text, len);
    return text;
}

#endif
