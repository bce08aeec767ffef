/* SPDX-License-Identifier: MIT */
/*
 * Jobs that come up from a worker, whose job has submitted them (exec/clerk.c):
 * DESIGN.md, rule 39. The worker that asks counts as waiting and gets no other job; so
 * its jobs run in other workers, ahead of what waits in the queue. When all workers
 * wait, or would, the request is refused. Everything here is with the pool's lock.
 *
 * What the worker writes is not trusted: a function that does not exist can only crash
 * the worker that is to run it, which costs the job that has asked for it.
 */
#include "exec/process_pool.h"

#include "exec/heap.h"
#include "exec/letter.h"
#include "sys/os_module.h"

#include <errno.h>
#include <string.h>

/* What they are called, and that they are functions of HK_FN. */
static const hk_fn typed = {.name = "job of a worker"};

static struct hki_slot *slot_of(const struct hki_request *request)
{
    const struct hki_link *link = request->link;

    return &link->channel.memory->requests[request - link->requests];
}

/* ---- back to the worker ---- */

/* What is written into the slot is not read again. */
static void reply(struct hki_request *request, int status, const void *bytes,
                  size_t size)
{
    struct hki_slot *slot = slot_of(request);
    bool is_large = status >= 0 && size > HKI_SLOT_INLINE_BYTES;

    if (is_large) {
        request->block = hki_heap_alloc(size);
        status = request->block ? status : -ENOMEM;
    }
    if (status >= 0 && size > 0)
        memcpy(is_large ? request->block : slot->bytes, bytes, size);
    slot->place = is_large ? HKI_PLACE_HEAP : HKI_PLACE_SLOT;
    slot->offset = is_large && status >= 0 ? hki_heap_offset(request->block) : 0;
    slot->length = status < 0 ? 0 : size;
    slot->status = status;
    __atomic_exchange_n(&slot->state, HKI_SLOT_DONE, __ATOMIC_SEQ_CST);
    hki_bell_ring(&request->link->channel.memory->clerk_bell);
}

void hki_request_ended(const struct hki_job *job)
{
    struct hki_request *request = job->own[HKI_OWN_REQUEST];
    struct hki_seat *seat;

    if (!request)
        return;
    request->job = NULL;
    seat = request->link->seat;
    if (!seat)
        return; /* its worker has died */
    if (--seat->requests_now == 0)
        seat->pool->must_ring = true; /* perhaps it is to be replaced */
    slot_of(request)->death[0] = job->death.signal;
    slot_of(request)->death[1] = job->death.exit_status;
    reply(request, hki_letter_outcome(job), job->future.data, job->future.size);
}

void hki_request_forget(struct hki_request *request, hk_future *future)
{
    hk_future_free(future);
    hki_link_unref(request->link);
}

/* ---- from the worker ---- */

static bool is_one_free(const struct hki_process_pool *pool,
                        const struct hki_seat *seat)
{
    for (uint32_t i = 0; i < pool->options.workers_max; i++)
        if (&pool->seats[i] != seat && pool->seats[i].requests_now == 0)
            return true;
    return false;
}

static int make_job(struct hki_process_pool *pool, const struct hki_slot *slot,
                    const struct hki_letter *letter, struct hki_job **out)
{
    char key[HK_JOB_KEY_MAX + 1];
    const hk_job_options options = {
        .priority = letter->status,
        .attempts_max = hki_letter_attempts_max(letter),
        .key = key,
        .name = typed.name,
    };
    hk_executor_view view;
    struct hki_job *job;
    int rc = hki_letter_read_key(slot, key);

    if (rc < 0 || letter->what > HKI_LETTER_PLAIN)
        return -EPROTO;
    if (hki_letter_module(letter->function) != HKI_MODULE_PROGRAM &&
        !hki_os_module_path(hki_letter_module(letter->function)))
        return -ENOENT;
    job = hki_job_new(hk_with(&view, &pool->head, &options), letter->length);
    if (!job)
        return -ENOMEM;
    job->fn = letter->what == HKI_LETTER_FN ? &typed : NULL;
    if (letter->length > 0)
        memcpy(hki_job_image(job), letter->bytes, letter->length);
    rc = hki_letter_prepare_for(job, letter->function);
    if (rc == 0)
        rc = hki_job_queue_push(&pool->queue, job, true);
    if (rc < 0) {
        hki_letter_discard(job);
        hk_future_free(&job->future);
        hk_future_free(&job->future); /* the executor's reference, too */
        return rc;
    }
    *out = job;
    return 0;
}

/* 0, or the error that the worker gets. */
static int begin(struct hki_seat *seat, struct hki_request *request,
                 const struct hki_letter *letter)
{
    struct hki_process_pool *pool = seat->pool;
    struct hki_job *job = NULL;
    bool may_wait = seat->state != HKI_SEAT_STARTING && is_one_free(pool, seat);
    int rc = pool->is_ending ? -EPIPE
             : may_wait      ? make_job(pool, slot_of(request), letter, &job)
                             : -EDEADLK;

    if (rc < 0)
        return rc;
    hki_job_counts(job);
    job->own[HKI_OWN_REQUEST] = request;
    request->job = job;
    __atomic_fetch_add(&seat->link->refs, 1, __ATOMIC_RELAXED);
    seat->requests_now++;
    if (pool->jobs++ == 0) /* the one that has asked has ended */
        hki_outside_begins();
    return 0;
}

static void look_for_job(struct hki_seat *seat, struct hki_request *request,
                         struct hki_ended_jobs *ended)
{
    struct hki_slot *slot = slot_of(request);
    uint32_t state = __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE);
    struct hki_letter letter;
    int rc;

    if (request->block && state != HKI_SLOT_DONE) {
        hki_heap_free(request->block); /* it has read the reply */
        request->block = NULL;
    }
    if (state != HKI_SLOT_READY)
        return;
    if (hki_channel_read(&seat->link->channel, slot, &letter) < 0) {
        hki_seat_kill(seat, HKI_KILL_JUNK);
        return;
    }
    rc = begin(seat, request, &letter);
    if (rc < 0)
        reply(request, rc, NULL, 0);
    else
        hki_take_back(seat, ended); /* what is behind its job would wait for long */
}

static void look_for_cancel(const struct hki_request *request)
{
    uint32_t cancel = __atomic_load_n(&slot_of(request)->cancel, __ATOMIC_ACQUIRE);

    if (cancel > 0 && cancel <= 1 + HK_KILL)
        (void)hki_job_cancel(request->job, (hk_cancel_how)(cancel - 1));
}

bool hki_requests_look(struct hki_seat *seat, struct hki_ended_jobs *ended)
{
    struct hki_link *link = seat->link;
    uint32_t made =
        __atomic_load_n(&link->channel.memory->requests_made, __ATOMIC_SEQ_CST);

    if (made == seat->requests_seen)
        return false;
    seat->requests_seen = made;
    for (uint32_t i = 0; i < HKI_CHANNEL_REQUESTS; i++) {
        struct hki_request *request = &link->requests[i];

        if (!request->job)
            look_for_job(seat, request, ended);
        if (request->job) /* a new one, too */
            look_for_cancel(request);
    }
    return true;
}

void hki_requests_abandon(struct hki_link *link)
{
    link->seat = NULL;
    for (uint32_t i = 0; i < HKI_CHANNEL_REQUESTS; i++) {
        struct hki_request *request = &link->requests[i];

        if (request->job)
            (void)hki_job_cancel(request->job, HK_KILL); /* never fails here */
        if (request->block)
            hki_heap_free(request->block);
        request->block = NULL;
    }
}
