/* SPDX-License-Identifier: MIT */
#include "exec/work_queue.h"

#include "base/alloc.h"

#include <errno.h>

enum { BAND_SIZE = 1024 }; /* at first */

static int make_items(struct hki_work_band *band, size_t size)
{
    void **items = hki_alloc_kept(size * sizeof(*items));

    if (!items)
        return -ENOMEM;
    for (size_t i = 0; i < band->count; i++)
        items[i] = band->items[(band->first + i) & band->mask];
    hki_free_kept(band->items);
    band->items = items;
    band->mask = size - 1;
    band->first = 0;
    return 0;
}

int hki_work_queue_init(struct hki_work_queue *queue)
{
    *queue = (struct hki_work_queue){.bands = &queue->middle};
    return make_items(&queue->middle, BAND_SIZE);
}

void hki_work_queue_fini(struct hki_work_queue *queue)
{
    while (queue->bands) {
        struct hki_work_band *band = queue->bands;

        queue->bands = band->next;
        hki_free_kept(band->items);
        if (band != &queue->middle)
            hki_free_kept(band);
    }
}

/* NULL: no memory for a new one. */
static struct hki_work_band *band_for(struct hki_work_queue *queue, int32_t priority)
{
    struct hki_work_band **place = &queue->bands, *band;

    while (*place && (*place)->priority > priority)
        place = &(*place)->next;
    if (*place && (*place)->priority == priority)
        return *place;
    band = hki_alloc_kept(sizeof(*band));
    if (!band)
        return NULL;
    *band = (struct hki_work_band){.next = *place, .priority = priority};
    if (make_items(band, BAND_SIZE) < 0) {
        hki_free_kept(band);
        return NULL;
    }
    *place = band;
    return band;
}

static void change(size_t *counter, size_t by)
{
    __atomic_store_n(counter, *counter + by, __ATOMIC_RELAXED);
}

int hki_work_queue_add_slow(struct hki_work_queue *queue, struct hki_work *work,
                            int32_t priority)
{
    struct hki_work_band *band =
        HKI_LIKELY(priority == 0) ? &queue->middle : band_for(queue, priority);

    if (HKI_UNLIKELY(!band))
        return -ENOMEM;
    if (HKI_UNLIKELY(band->count > band->mask)) {
        int rc = make_items(band, 2 * (band->mask + 1));

        if (rc < 0)
            return rc;
    }
    band->items[(band->first + band->count) & band->mask] = work;
    band->count++;
    change(&queue->count, 1);
    if (HKI_UNLIKELY(priority > 0))
        change(&queue->above, 1);
    return 0;
}

size_t hki_work_queue_take(struct hki_work_queue *queue, struct hki_work **out,
                           size_t max)
{
    struct hki_work_band *band = queue->bands;
    size_t n;

    while (band && !band->count)
        band = band->next;
    if (!band)
        return 0;
    n = band->count < max ? band->count : max;
    for (size_t i = 0; i < n; i++)
        out[i] = band->items[(band->first + i) & band->mask];
    band->first += n;
    band->count -= n;
    change(&queue->count, -n);
    if (HKI_UNLIKELY(band->priority > 0))
        change(&queue->above, -n);
    return n;
}
