/* SPDX-License-Identifier: MIT */
/* robots.txt: what a site asks of crawlers (RFC 9309). */
#ifndef CRAWL_ROBOTS_H
#define CRAWL_ROBOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct robots;

/*
 * Reads a robots.txt for the crawler that calls itself `agent` ("hocket-crawl/0.1": the
 * name before the slash counts). Whatever cannot be understood is skipped. Owns:
 * robots_free.
 */
struct robots *robots_parse(const char *text, size_t len, const char *agent);
void robots_free(struct robots *robots); /* NULL is fine */

/* Whether the path (with query) may be fetched. The longest rule that matches decides;
 * allow wins a tie. */
bool robots_allow(const struct robots *robots, const char *path);

/* The pause that it asks for between two pages (Crawl-delay, at most 60 s); 0: none. */
int64_t robots_delay_ns(const struct robots *robots);

#endif
