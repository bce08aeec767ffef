/* SPDX-License-Identifier: MIT */
/*
 * Responses: a head, then a body from memory or from a file. Everything goes through
 * one buffer, so that a small file leaves in one write together with its head.
 */
#ifndef SERVE_RESPONSE_H
#define SERVE_RESPONSE_H

#include "request.h"
#include "site.h"

enum { OUT_SIZE = 64 * 1024 };

/* Where responses go. */
struct sender {
    hk_fd fd;
    int64_t patience_ns; /* the client must take each buffer within this time */
    size_t len;
    char buf[OUT_SIZE];
};

/* What was sent, for the log. */
struct sent {
    int status;
    uint64_t bytes; /* of the body */
};

/*
 * Each sends one response and fills `*out`. Returns 0, or an error after which the
 * connection cannot be used: -ECANCELED, -ETIMEDOUT (a slow client), -EIO (the file has
 * become shorter), -EPIPE, ...
 */

/* `file` in the form that the request wants: 200, 206, 304, 416. Closes nothing. */
int respond_file(struct sender *s, const struct request *r, struct site_file *file,
                 struct sent *out);
/* A few words for `status`; `location` is for 301 and else NULL. */
int respond_status(struct sender *s, const struct request *r, int status,
                   const char *location, struct sent *out);

#endif
