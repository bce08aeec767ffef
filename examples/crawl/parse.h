/* SPDX-License-Identifier: MIT */
/*
 * Parsing as a job that may run in another process: bytes in, bytes out. What comes
 * back is not trusted: a page may have taken the parser over, and speak for it.
 */
#ifndef CRAWL_PARSE_H
#define CRAWL_PARSE_H

#include "page.h"

#include <hocket.h>

/* `body` is the page with a NUL behind it, `charset` as the server named it, or "". */
HK_FN_DECL(hk_bytes, parse, (hk_bytes, body), (hk_str, url), (hk_str, charset));

/* Fills hash, title, links and, with a complaint, failure of `page` with what `parse`
 * returned. False: no parse returns that; nothing was filled. */
bool parse_unpack(hk_bytes parsed, struct page *page);

#endif
