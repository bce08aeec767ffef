/* SPDX-License-Identifier: MIT */
#include "tally.h"

#include <hocket.h>

static void note_slow(struct tally *t, const struct page *page)
{
    int at = SLOWEST_MAX - 1;

    if (page->took_ns <= t->slowest[at].took_ns)
        return;
    for (; at > 0 && page->took_ns > t->slowest[at - 1].took_ns; at--)
        t->slowest[at] = t->slowest[at - 1];
    t->slowest[at].took_ns = page->took_ns;
    t->slowest[at].url = page->url;
}

void tally_add(struct tally *t, const struct page *page)
{
    if (has_failed(&page->failure))
        t->errors++;
    if (page->outcome != PAGE_HTML)
        return;
    t->pages++;
    t->bytes += (int64_t)page->bytes;
    note_slow(t, page);
}

double tally_seconds(const struct tally *t)
{
    int64_t end = t->end_ns ? t->end_ns : hk_now();

    return (double)(end - t->start_ns) / (double)HK_SECOND;
}
