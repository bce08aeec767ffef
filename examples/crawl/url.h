/* SPDX-License-Identifier: MIT */
/*
 * URLs in one form, so that one page has one name (RFC 3986, sections 5 and 6): scheme
 * and host in lower case, no port 80, "." and ".." resolved, percent signs only where
 * they must be and in upper case, no fragment. "http://host/" at least.
 */
#ifndef CRAWL_URL_H
#define CRAWL_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room for any URL that is accepted, NUL included. */
enum { URL_SIZE = 2048 };

typedef enum url_kind {
    URL_HTTP,
    URL_HTTPS,
    URL_OTHER, /* mailto:, javascript:, ...: not for us */
    URL_BAD,   /* not a URL, too long, with a user name or a host name not in ASCII */
} url_kind;

/*
 * Writes what `ref` means on the page `base` (normalised; NULL: `ref` must be complete)
 * to `out`, which has URL_SIZE bytes; it is undefined unless URL_HTTP or URL_HTTPS is
 * returned.
 */
url_kind url_resolve(const char *base, const char *ref, char *out);

/* The pieces of a normalised URL; they point into it. */
struct url_parts {
    size_t origin_len; /* of "http://host:port" */
    const char *authority;
    size_t authority_len; /* "host:port" */
    const char *host;     /* without brackets */
    size_t host_len;
    uint16_t port;
    const char *path; /* with the query */
};

void url_split(const char *url, struct url_parts *out);

/*
 * Whether a normalised URL looks like a page: its name has no ending, an ending of
 * pages (.html, .php, ...), or an unknown one; not that of a picture, a style sheet, a
 * script, an archive, plain text and so on.
 */
bool url_is_page(const char *url);

#endif
