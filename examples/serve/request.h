/* SPDX-License-Identifier: MIT */
/*
 * The head of a request: its first line and its headers, as far as a file server
 * needs them (RFC 9112). Strings point into the head, which is cut up in place.
 */
#ifndef SERVE_REQUEST_H
#define SERVE_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

/* Longest target ("/path?query") and most headers. */
enum { TARGET_MAX = 4096, HEADERS_MAX = 100 };

struct request {
    const char *method, *target;
    bool head_only;  /* HEAD */
    bool keep_alive; /* the client is ready for another request */
    bool has_body;   /* bytes follow that belong to this request */
    bool takes_gzip;
    /* Values of headers; NULL when they did not come. */
    const char *if_none_match, *if_range, *range;
};

/*
 * Reads `head`, `len` bytes up to and including the empty line, with a NUL after them.
 * Returns 0, or the status to answer: 400 (malformed), 405, 414, 431, 501, 505. `*out`
 * is filled as far as the reading came; what is missing is NULL or false.
 */
int request_parse(char *head, size_t len, struct request *out);

#endif
