/* SPDX-License-Identifier: MIT */
/* What a page says: its title and its links, by libxml2's HTML parser. */
#ifndef CRAWL_HTML_H
#define CRAWL_HTML_H

#include "page.h"

/* Once, before any thread parses; and at the end. */
void html_init(void);
void html_fini(void);

/*
 * Fills title, links and hash of `page`, and frees its body. HTML as it is found in the
 * world always parses; only a charset that is unknown or does not fit the bytes is
 * noted as a complaint in page->failure. Computes, never waits: for a thread of its
 * own.
 */
void html_parse(struct page *page);

#endif
