/* SPDX-License-Identifier: MIT */
#include "page.h"

#include "memory.h"

#include <stdlib.h>

struct page *page_new(uint32_t node, uint32_t depth, const char *url)
{
    struct page *page = must_alloc(sizeof *page);

    page->node = node;
    page->depth = depth;
    page->url = url;
    return page;
}

void page_free(struct page *page)
{
    if (!page)
        return;
    free(page->body);
    free(page->title);
    free(page->target);
    strset_fini(&page->links);
    free(page);
}
