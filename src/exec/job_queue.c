/* SPDX-License-Identifier: MIT */
#include "exec/job_queue.h"

#include "base/alloc.h"

#include <errno.h>

/* The place of the band of this priority in the list, or where it would be. */
static struct hki_job_band **place_of(struct hki_job_queue *queue, int32_t priority)
{
    struct hki_job_band **place = &queue->bands;

    while (*place && (*place)->priority > priority)
        place = &(*place)->next;
    return place;
}

static struct hki_job_band *band_for(struct hki_job_queue *queue, int32_t priority)
{
    struct hki_job_band **place = place_of(queue, priority), *band = *place;

    if (band && band->priority == priority)
        return band;
    band = queue->spare ? queue->spare : hki_alloc(sizeof(*band));
    if (!band)
        return NULL;
    queue->spare = NULL;
    *band = (struct hki_job_band){.next = *place, .priority = priority};
    *place = band;
    return band;
}

int hki_job_queue_push(struct hki_job_queue *queue, struct hki_job *job, bool in_front)
{
    struct hki_job_band *band = band_for(queue, job->priority);

    if (!band)
        return -ENOMEM;
    if (in_front || !band->first) {
        job->next = band->first;
        band->first = job;
        band->last = job->next ? band->last : job;
    } else {
        job->next = NULL;
        band->last->next = job;
        band->last = job;
    }
    queue->count++;
    return 0;
}

static void remove_band(struct hki_job_queue *queue, struct hki_job_band **place)
{
    struct hki_job_band *band = *place;

    *place = band->next;
    hki_free(queue->spare);
    queue->spare = band;
}

struct hki_job *hki_job_queue_pop(struct hki_job_queue *queue)
{
    struct hki_job_band *band = queue->bands;
    struct hki_job *job;

    if (!band)
        return NULL;
    job = band->first;
    band->first = job->next;
    if (!band->first)
        remove_band(queue, &queue->bands);
    queue->count--;
    return job;
}

/* Moves what is meant in one band to the list that ends at `tail`. */
static struct hki_job **sift(struct hki_job_queue *queue, struct hki_job_band *band,
                             bool (*is_meant)(const struct hki_job *job),
                             struct hki_job **tail)
{
    struct hki_job **link = &band->first, *job;

    band->last = NULL;
    while ((job = *link)) {
        if (!is_meant(job)) {
            band->last = job;
            link = &job->next;
            continue;
        }
        *link = job->next;
        queue->count--;
        *tail = job;
        tail = &job->next;
    }
    return tail;
}

struct hki_job *hki_job_queue_take(struct hki_job_queue *queue,
                                   bool (*is_meant)(const struct hki_job *job))
{
    struct hki_job_band **place = &queue->bands;
    struct hki_job *taken = NULL, **tail = &taken;

    while (*place) {
        tail = sift(queue, *place, is_meant, tail);
        if ((*place)->first)
            place = &(*place)->next;
        else
            remove_band(queue, place);
    }
    *tail = NULL;
    return taken;
}

/* Also one that had been started, and came back. */
static bool is_dropped(const struct hki_job *job)
{
    return __atomic_load_n(&job->cancelled, __ATOMIC_ACQUIRE) != 0;
}

struct hki_job *hki_job_queue_take_dropped(struct hki_job_queue *queue)
{
    return hki_job_queue_take(queue, is_dropped);
}

void hki_job_queue_cancel_all(struct hki_job_queue *queue)
{
    for (struct hki_job_band *band = queue->bands; band; band = band->next)
        for (struct hki_job *job = band->first; job; job = job->next)
            (void)hki_job_cancel(job, HK_KILL); /* the executor's part never fails */
}

void hki_job_queue_fini(struct hki_job_queue *queue)
{
    hki_free(queue->spare);
}
