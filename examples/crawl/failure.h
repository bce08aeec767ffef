/* SPDX-License-Identifier: MIT */
/*
 * Why a page failed: a kind, by which failures are counted, and a sentence. Both are
 * the same whenever the same thing happens, so that the same crawl gives the same
 * database.
 */
#ifndef CRAWL_FAILURE_H
#define CRAWL_FAILURE_H

#include <stdbool.h>

struct failure {
    char kind[16]; /* "": no failure */
    char text[192];
};

/* What can go wrong inside a response; hocket's own errors are above -4096. */
enum {
    HTTP_MALFORMED = -5000, /* not HTTP */
    HTTP_HEADER_FLOOD,      /* headers without end */
    HTTP_BAD_CHUNK,         /* chunked, but not as agreed */
    HTTP_TRUNCATED,         /* the connection ended inside of the response */
    HTTP_TOO_LARGE,         /* over --max-bytes */
    HTTP_ENCODED,           /* compressed, though we asked for it plain */
};

static inline bool has_failed(const struct failure *f)
{
    return f->kind[0] != '\0';
}

/* The failure that `error` means, one of the above or hocket's. */
void failure_set(struct failure *out, int error);
/* A failure with a kind and words of its own. */
void failure_say(struct failure *out, const char *kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
