/* SPDX-License-Identifier: MIT */
/*
 * A page on its way: a task fetches it and has it parsed, the crawl learns its links, a
 * thread stores it. Whoever has it owns it.
 */
#ifndef CRAWL_PAGE_H
#define CRAWL_PAGE_H

#include "failure.h"
#include "strset.h"

#include <stdint.h>

typedef enum page_outcome {
    PAGE_FAILED,   /* see failure */
    PAGE_HTML,     /* stored; failure may hold a complaint all the same */
    PAGE_REDIRECT, /* to `target` */
    PAGE_SKIPPED,  /* robots.txt asks us to keep out */
} page_outcome;

struct page {
    page_outcome outcome;
    uint32_t node;   /* its number in the frontier */
    uint32_t depth;  /* links away from a start page, as known when it was fetched */
    const char *url; /* the frontier's, which outlives every page */

    int status;          /* of HTTP; 0: no answer came */
    char charset[48];    /* as the server named it; "" if it did not */
    char *body;          /* freed when a parser has it */
    uint64_t bytes;      /* of the body */
    uint64_t hash;       /* of the body: FNV-1a, 64 bits */
    char *title;         /* UTF-8; NULL: none */
    char *target;        /* normalised, of a redirect */
    struct strset links; /* normalised, each once, in their order */

    int64_t took_ns; /* from the request to the last byte */
    struct failure failure;
};

struct page *page_new(uint32_t node, uint32_t depth, const char *url);
void page_free(struct page *page); /* NULL is fine */

#endif
