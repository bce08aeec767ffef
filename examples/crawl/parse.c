/* SPDX-License-Identifier: MIT */
/*
 * What crosses: struct head, then strings, each with its NUL: the title, if there is
 * one, and the links.
 */
#include "parse.h"

#include "html.h"
#include "memory.h"
#include "url.h"

#include <stdlib.h>
#include <string.h>

struct head {
    uint64_t hash;
    uint32_t trouble; /* enum html_trouble */
    uint32_t has_title;
};

static char *put_text(char *at, const char *text)
{
    return stpcpy(at, text) + 1;
}

static hk_bytes pack(const struct html *html)
{
    struct head head = {html->hash, html->trouble, html->title != NULL};
    size_t size = sizeof head + (html->title ? strlen(html->title) + 1 : 0);
    char *packed, *at;

    for (uint32_t i = 0; i < html->links.count; i++)
        size += strlen(strset_text(&html->links, i)) + 1;
    packed = must_have(malloc(size));
    memcpy(packed, &head, sizeof head);
    at = packed + sizeof head;
    if (html->title)
        at = put_text(at, html->title);
    for (uint32_t i = 0; i < html->links.count; i++)
        at = put_text(at, strset_text(&html->links, i));
    return (hk_bytes){packed, size};
}

HK_FN(hk_bytes, parse, (hk_bytes, body), (hk_str, url), (hk_str, charset))
{
    struct html html;
    hk_bytes packed;

    html_parse(body.data, body.size - 1, url, charset, &html);
    packed = pack(&html);
    html_free(&html);
    return packed;
}

/* ---- back in the program ---- */

static void take_trouble(struct page *page, uint32_t trouble)
{
    if (trouble == HTML_UNKNOWN_CHARSET && *page->charset)
        failure_say(&page->failure, "charset", "its charset %s is not known",
                    page->charset);
    else if (trouble == HTML_UNKNOWN_CHARSET)
        failure_say(&page->failure, "charset", "its charset is not known");
    else if (trouble == HTML_BAD_BYTES)
        failure_say(&page->failure, "charset", "its bytes do not fit its charset");
}

static void take_link(struct page *page, const char *link)
{
    char url[URL_SIZE];

    if (url_resolve(NULL, link, url) <= URL_HTTPS && strcmp(url, link) == 0)
        (void)strset_add(&page->links, link, strlen(link), NULL);
}

bool parse_unpack(hk_bytes parsed, struct page *page)
{
    const char *at = parsed.data, *end = at + parsed.size;
    struct head head;

    if (parsed.size < sizeof head || (parsed.size > sizeof head && end[-1] != '\0'))
        return false;
    memcpy(&head, at, sizeof head);
    at += sizeof head;
    page->hash = head.hash;
    take_trouble(page, head.trouble);
    if (head.has_title && at < end) {
        page->title = must_copy(at, strlen(at));
        at += strlen(at) + 1;
    }
    for (; at < end; at += strlen(at) + 1)
        take_link(page, at);
    return true;
}
