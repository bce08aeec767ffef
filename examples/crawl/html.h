/* SPDX-License-Identifier: MIT */
/* What a page says: its title and its links, by libxml2's HTML parser. */
#ifndef CRAWL_HTML_H
#define CRAWL_HTML_H

#include "strset.h"

/* Once, before anything is parsed; and at the end. */
void html_init(void);
void html_fini(void);

enum html_trouble {
    HTML_FINE,
    HTML_UNKNOWN_CHARSET,
    HTML_BAD_BYTES, /* they do not fit its charset */
};

struct html {
    uint64_t hash;       /* of the bytes: FNV-1a, 64 bits */
    char *title;         /* UTF-8; NULL: none */
    struct strset links; /* normalised, each once, in their order */
    enum html_trouble trouble;
};

/*
 * Reads a page, of `size` bytes and a NUL. `charset` is as the server named it, or "".
 * HTML as it is found in the world always parses, whatever trouble there is. Computes,
 * never waits. Owns: html_free.
 */
void html_parse(const char *bytes, size_t size, const char *url, const char *charset,
                struct html *out);
void html_free(struct html *html);

#endif
