/* SPDX-License-Identifier: MIT */
#include "writer.h"

enum { BATCH_MAX = 256 };

static const int64_t batch_ns = 200 * HK_MILLISECOND;

/* Waits for a page, then for more, but not long. Returns how many; 0: the end. */
static size_t collect(struct writer *w, struct page *batch[BATCH_MAX])
{
    size_t count = 0;
    int64_t until;

    if (hk_chan_recv(w->pages, &batch[count]) < 0)
        return 0;
    until = hk_now() + batch_ns;
    for (count = 1; count < BATCH_MAX; count++) {
        hk_case cases[] = {
            HK_CASE_RECV(w->pages, &batch[count]),
            HK_CASE_DEADLINE(until),
        };

        if (hk_select(cases, 2) != 0 || cases[0].result < 0)
            break;
    }
    return count;
}

static void *store_all(void *arg)
{
    struct writer *w = arg;
    struct page *batch[BATCH_MAX];
    size_t count;

    pthread_setname_np(pthread_self(), "writer"); /* for dumps */
    while ((count = collect(w, batch)) > 0) {
        if (!hk_event_is_set(&w->failed) && store_pages(w->store, batch, count) < 0)
            hk_event_set(&w->failed);
        for (size_t i = 0; i < count; i++)
            page_free(batch[i]);
    }
    return NULL;
}

int writer_start(struct writer *w, struct store *store)
{
    int rc = hk_chan_new(sizeof(struct page *), BATCH_MAX * 4, &w->pages);

    if (rc < 0)
        return rc;
    hk_chan_set_name(w->pages, "pages to store");
    w->failed.name = "a transaction failed";
    w->store = store;
    rc = -pthread_create(&w->thread, NULL, store_all, w);
    if (rc < 0)
        hk_chan_free(w->pages);
    return rc;
}

void writer_stop(struct writer *w)
{
    hk_chan_close(w->pages);
    pthread_join(w->thread, NULL);
    hk_chan_free(w->pages);
}
