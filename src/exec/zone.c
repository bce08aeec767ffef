/* SPDX-License-Identifier: MIT */
#include "exec/zone.h"

#include "base/assert.h"
#include "base/lock.h"
#include "sys/os.h"
#include "sys/os_shm.h"

#include <errno.h>

/* Freed memory that is kept for reuse: more than a last-level cache is of no use. */
#define KEPT_BYTES_MAX ((uint64_t)64 << 20)

enum { PAGE_INSIDE, PAGE_FIRST_LIVE, PAGE_FIRST_FREE };

/* What is known of a block stands at its first page. */
struct hki_zone_page {
    uint32_t next; /* in the list of its class: page plus 1 */
    uint16_t class;
    uint8_t kind;
    uint8_t has_memory;
};

int hki_zone_init(struct hki_zone *zone, void *base, size_t size_bytes)
{
    size_t pages = size_bytes / HKI_ZONE_PAGE;

    *zone = (struct hki_zone){.base = base, .pages_max = (uint32_t)pages};
    zone->pages = hki_os_reserve(pages * sizeof(*zone->pages));
    return zone->pages ? 0 : -ENOMEM;
}

void hki_zone_fini(struct hki_zone *zone)
{
    if (zone->pages)
        hki_os_release(zone->pages, (size_t)zone->pages_max * sizeof(*zone->pages));
    zone->pages = NULL;
}

/*
 * Classes 0 to 3 are 1 to 4 pages; then four to each power of two: 5, 6, 7, 8, 10, 12,
 * 14, 16, 20, ...
 */
static unsigned class_of(uint64_t pages)
{
    unsigned power;

    if (pages <= 4)
        return (unsigned)pages - 1;
    power = 63 - (unsigned)__builtin_clzll(pages - 1); /* 2^power < pages */
    return 4 * (power - 1) + (unsigned)((pages - 1) >> (power - 2)) - 4;
}

static uint64_t pages_of(unsigned class)
{
    return class < 4 ? class + 1u : (uint64_t)(class % 4 + 5) << (class / 4 - 1);
}

static uint32_t take_freed(struct hki_zone *zone, unsigned class)
{
    uint32_t first = zone->free[class];

    zone->free[class] = zone->pages[first - 1].next;
    if (zone->pages[first - 1].has_memory)
        zone->kept_bytes -= pages_of(class) * HKI_ZONE_PAGE;
    return first - 1;
}

void *hki_zone_alloc(struct hki_zone *zone, size_t size_bytes)
{
    uint64_t wanted = (size_bytes + HKI_ZONE_PAGE - 1) / HKI_ZONE_PAGE;
    uint32_t first = UINT32_MAX;
    unsigned class;

    if (size_bytes == 0 || size_bytes > (uint64_t)zone->pages_max * HKI_ZONE_PAGE)
        return NULL;
    class = class_of(wanted);
    hki_lock_acquire(&zone->lock);
    if (zone->free[class]) {
        first = take_freed(zone, class);
    } else if (pages_of(class) <= zone->pages_max - zone->pages_used) {
        first = zone->pages_used;
        zone->pages_used += (uint32_t)pages_of(class);
    }
    if (first != UINT32_MAX)
        zone->pages[first] =
            (struct hki_zone_page){.kind = PAGE_FIRST_LIVE, .class = (uint16_t) class};
    hki_lock_release(&zone->lock);
    return first == UINT32_MAX ? NULL : zone->base + (size_t)first * HKI_ZONE_PAGE;
}

void hki_zone_free(struct hki_zone *zone, void *block)
{
    size_t offset = (size_t)((unsigned char *)block - zone->base);
    uint32_t first = (uint32_t)(offset / HKI_ZONE_PAGE);
    struct hki_zone_page *page = &zone->pages[first];
    uint64_t size;

    hki_lock_acquire(&zone->lock);
    if (first >= zone->pages_used || offset % HKI_ZONE_PAGE ||
        page->kind != PAGE_FIRST_LIVE)
        hki_panic("%p is freed, but no shared memory begins there", block);
    size = pages_of(page->class) * HKI_ZONE_PAGE;
    page->has_memory = zone->kept_bytes + size <= KEPT_BYTES_MAX;
    if (page->has_memory)
        zone->kept_bytes += size;
    else /* still ours alone: nobody can take it before it is in the list */
        hki_os_shm_discard(block, size);
    page->kind = PAGE_FIRST_FREE;
    page->next = zone->free[page->class];
    zone->free[page->class] = first + 1;
    hki_lock_release(&zone->lock);
}
