/* SPDX-License-Identifier: MIT */
/*
 * Which job goes to which worker.
 *
 * A worker has one job at a time. But a worker whose jobs are short would be idle for
 * longer than it works, if each job were sent when the one before it was done: so some
 * more wait in its channel, as many as it does in PREFETCH_NS. They have not begun, and
 * whenever the one before them takes long they are taken back: see hki_seat_tick.
 */
#include "exec/process_pool.h"

#include "base/assert.h"
#include "exec/letter.h"
#include "sys/os.h"
#include "sys/os_module.h"

#include <errno.h>
#include <string.h>

enum {
    PREFETCH_NS = 200 * 1000,
    DEPTH_MAX = HKI_CHANNEL_SLOTS - 8,
    MEAN_NS_MAX = 1000 * 1000 * 1000, /* so that twice as much fits */
};

/* The courier comes by himself that soon, and no job waits for him for longer: while a
 * worker has several jobs, and while it has one. */
#define SOON_NS (INT64_C(2) * 1000000)
#define LATER_NS (INT64_C(150) * 1000000)

/* That many results are worth a look at a worker's slots. */
enum { MANY_RESULTS = 8 };
/* So many are looked at at a time, in turn: what it costs does not grow with a pool. */
enum { SEATS_PER_LOOK = 8 };

/* ---- sending ---- */

static uint32_t slot_index(uint32_t position)
{
    return position % HKI_CHANNEL_SLOTS;
}

bool hki_seat_send_modules(struct hki_seat *seat, uint32_t wanted)
{
    struct hki_channel *channel = &seat->link->channel;

    while (seat->modules < wanted) {
        if (hki_channel_room(channel) < 2)
            return false;
        seat->jobs[slot_index(channel->filled)] = NULL;
        hki_letter_write_load(hki_channel_slot(channel),
                              hki_os_module_path(++seat->modules));
        hki_channel_send(channel);
    }
    return true;
}

static bool has_jobs_left(const struct hki_seat *seat)
{
    uint64_t most = seat->pool->options.jobs_per_worker;

    return most == 0 || seat->jobs_done + seat->jobs_now < most;
}

static bool can_take(const struct hki_seat *seat)
{
    return seat->state == HKI_SEAT_READY && !seat->has_ended && !seat->killed &&
           seat->requests_now == 0 && seat->jobs_now < seat->depth &&
           has_jobs_left(seat) && hki_channel_room(&seat->link->channel) > 1;
}

struct hki_seat *hki_seat_of(const struct hki_process_pool *pool,
                             const struct hki_job *job, uint32_t *out_index)
{
    struct hki_job **place = job->own[HKI_OWN_PLACE];
    struct hki_seat *seat;

    if (!place || *place != job)
        return NULL;
    seat = &pool->seats[(size_t)((char *)place - (char *)pool->seats) / sizeof(*seat)];
    *out_index =
        slot_index((uint32_t)(place - seat->jobs) - seat->link->channel.emptied);
    return seat;
}

/* He must see in time when the worker is stopped, and when a short job's result lies
 * there while the worker has gone on with a long one. */
static void call_courier_in_time(struct hki_seat *seat)
{
    struct hki_process_pool *pool = seat->pool;
    int64_t limit_ns = seat->jobs_now > 1 ? SOON_NS : LATER_NS;

    if (seat->jobs_now <= 2 && pool->look_ns > seat->progress_ns + limit_ns)
        pool->must_ring = true;
}

/* False: not now. */
static bool send_job(struct hki_seat *seat, struct hki_job *job)
{
    struct hki_channel *channel = &seat->link->channel;

    if (!hki_seat_send_modules(seat, hki_letter_job_module(job)))
        return false;
    if (seat->jobs_now++ == 0)
        seat->progress_ns = hki_os_now_ns();
    job->own[HKI_OWN_PLACE] = &seat->jobs[slot_index(channel->filled)];
    seat->jobs[slot_index(channel->filled)] = job;
    hki_letter_write_job(hki_channel_slot(channel), job);
    hki_channel_send(channel);
    call_courier_in_time(seat);
    return true;
}

/* Of those that can take a job the one with the fewest. NULL: none. */
static struct hki_seat *best_seat(const struct hki_process_pool *pool)
{
    struct hki_seat *best = NULL;

    for (uint32_t i = 0; i < pool->options.workers_max; i++) {
        struct hki_seat *seat = &pool->seats[i];

        if (can_take(seat) && (!best || seat->jobs_now < best->jobs_now))
            best = seat;
        if (best && best->jobs_now == 0)
            break;
    }
    return best;
}

/* A job that was cancelled in the queue stays there, and is found by the courier. */
static bool may_start(struct hki_job *job)
{
    return __atomic_load_n(&job->phase, __ATOMIC_RELAXED) == HKI_JOB_STARTED ||
           hki_job_start(job);
}

bool hki_dispatch_at_once(struct hki_process_pool *pool, struct hki_job *job)
{
    struct hki_seat *seat = pool->queue.count == 0 ? best_seat(pool) : NULL;

    return seat && may_start(job) && send_job(seat, job);
}

static void wake_submitters(struct hki_process_pool *pool)
{
    uint64_t room = pool->options.queue_max;

    room = pool->queue.count < room ? room - pool->queue.count : 0;
    hki_waiters_wake(&pool->submitters, room, 0);
}

void hki_dispatch(struct hki_process_pool *pool)
{
    struct hki_seat *seat;
    struct hki_job *job;

    while (pool->queue.count > 0 && (seat = best_seat(pool))) {
        job = hki_job_queue_pop(&pool->queue);
        if (may_start(job) && send_job(seat, job))
            continue;
        /* Its band was there a moment ago, so this needs no memory. */
        if (hki_job_queue_push(&pool->queue, job, true) < 0)
            hki_panic("no memory to keep a job");
        break;
    }
    wake_submitters(pool);
}

/* ---- receiving ---- */

void hki_ended_jobs_add(struct hki_ended_jobs *ended, struct hki_job *job, int rc)
{
    hki_letter_set_outcome(job, rc);
    hki_request_ended(job);
    job->next = NULL;
    if (ended->last)
        ended->last->next = job;
    else
        ended->first = job;
    ended->last = job;
    ended->count++;
}

/* The last reference to a future with a result in a worker's zone has gone. */
static void release_result(void *data, size_t size, void *ctx)
{
    struct hki_link *link = ctx;

    (void)size;
    hki_channel_give_back(&link->channel, data);
    hki_link_unref(link);
}

static bool is_text(const struct hki_job *job)
{
    return job->fn && job->fn->result.kind == HK_FIELD_STR;
}

/* A text says itself where it ends, and its worker could go on to write there: so it is
 * copied. Not by what the worker says of its length, which may be more than memory. */
static int store_text(struct hki_seat *seat, hk_future *future,
                      const struct hki_letter *letter)
{
    size_t length = strnlen(letter->bytes, letter->length);
    bool has_end = length < letter->length;
    int rc = hki_future_store(future, letter->bytes, length + has_end);

    if (rc == 0 && has_end)
        ((char *)future->data)[length] = '\0';
    hki_channel_give_back(&seat->link->channel, letter->bytes);
    return rc < 0 ? rc : letter->status;
}

/* Puts a result into the job's future, which nobody reads before it is done. */
static int store_result(struct hki_seat *seat, struct hki_job *job,
                        const struct hki_letter *letter)
{
    hk_future *future = &job->future;

    if (letter->status < 0)
        return letter->status;
    if (letter->place == HKI_PLACE_SLOT) {
        int rc = hki_future_store(future, letter->bytes, letter->length);

        return rc < 0 ? rc : letter->status;
    }
    if (is_text(job))
        return store_text(seat, future, letter);
    __atomic_fetch_add(&seat->link->refs, 1, __ATOMIC_RELAXED);
    future->data = (void *)(uintptr_t)letter->bytes;
    future->size = letter->length;
    future->release = release_result;
    future->release_ctx = seat->link;
    return letter->status;
}

/* No job took longer than the sample; but one that seems to be long may have been
 * short, and the worker without a processor, or without a job. So the mean falls at
 * once and rises slowly, most of all when the worker has nothing more to do. */
static uint32_t mean_with(const struct hki_seat *seat, uint32_t sample_ns)
{
    uint32_t mean_ns = seat->mean_ns, more_ns;

    if (mean_ns == 0 || sample_ns <= mean_ns)
        return sample_ns + 1;
    more_ns = sample_ns - mean_ns < mean_ns ? sample_ns - mean_ns : mean_ns;
    return mean_ns + (seat->jobs_now > 0 ? more_ns : more_ns / 32);
}

static void measure(struct hki_seat *seat, uint32_t jobs)
{
    int64_t now_ns = hki_os_now_ns();
    int64_t each_ns = (now_ns - seat->progress_ns) / jobs;

    seat->mean_ns =
        mean_with(seat, each_ns < MEAN_NS_MAX ? (uint32_t)each_ns : MEAN_NS_MAX);
    seat->pool->mean_ns = seat->mean_ns;
    seat->depth = PREFETCH_NS / seat->mean_ns + 1;
    if (seat->depth > DEPTH_MAX)
        seat->depth = DEPTH_MAX;
    seat->progress_ns = now_ns;
}

bool hki_collect(struct hki_seat *seat, struct hki_ended_jobs *ended)
{
    struct hki_channel *channel = &seat->link->channel;
    struct hki_letter letter;
    uint32_t jobs = 0;
    bool is_any = false;
    int rc;

    while ((rc = hki_channel_receive(channel, &letter)) > 0) {
        struct hki_job **job = &seat->jobs[slot_index(channel->emptied)];

        if (*job) {
            hki_ended_jobs_add(ended, *job, store_result(seat, *job, &letter));
            hki_seat_let_go(seat, job);
            jobs++;
        }
        is_any = true;
        hki_channel_release(channel);
    }
    if (rc < 0)
        hki_seat_kill(seat, HKI_KILL_JUNK);
    seat->jobs_done += jobs;
    if (jobs > 0)
        measure(seat, jobs);
    if (!has_jobs_left(seat) || seat->pool->options.recycle_above_bytes)
        seat->pool->must_ring = true; /* perhaps it is to be replaced */
    return is_any;
}

bool hki_collect_many(struct hki_seat *seat, struct hki_ended_jobs *ended)
{
    const struct hki_channel *channel = &seat->link->channel;
    uint32_t in_use = channel->filled - channel->emptied;

    return in_use > 0 &&
           hki_channel_has_done(channel,
                                in_use < MANY_RESULTS ? in_use : MANY_RESULTS) &&
           hki_collect(seat, ended);
}

void hki_collect_where_many(struct hki_process_pool *pool, struct hki_ended_jobs *ended)
{
    uint32_t seats = pool->options.workers_max;

    for (uint32_t i = 0; i < seats && i < SEATS_PER_LOOK; i++) {
        struct hki_seat *seat = &pool->seats[pool->looked_at++ % seats];

        if (seat->state == HKI_SEAT_READY)
            (void)hki_collect_many(seat, ended);
    }
}

/* ---- taking back ---- */

/* From the last to the first, so that they are in the queue in their order. */
void hki_take_back(struct hki_seat *seat, struct hki_ended_jobs *ended)
{
    struct hki_channel *channel = &seat->link->channel;

    for (uint32_t i = channel->filled - channel->emptied; i-- > 0;) {
        struct hki_job **place = &seat->jobs[slot_index(channel->emptied + i)];
        struct hki_job *job = *place;

        if (!job || !hki_channel_revoke(channel, i))
            continue;
        hki_seat_let_go(seat, place);
        if (hki_job_queue_push(&seat->pool->queue, job, true) < 0)
            hki_ended_jobs_add(ended, job, -ENOMEM);
    }
}

/* ---- telling ---- */

static void tell(struct hki_job *job)
{
    struct hki_request *request = job->own[HKI_OWN_REQUEST];
    hk_future *future = &job->future;

    hki_letter_discard(job);
    hki_job_done_in_place(job, hki_letter_outcome(job), future->data, future->size,
                          future->release, future->release_ctx);
    if (request)
        hki_request_forget(request, future);
}

static bool is_watched(const struct hki_job *job)
{
    return __atomic_load_n(&job->future.state, __ATOMIC_RELAXED) & HKI_FUTURE_WATCHED;
}

/* Those for which somebody waits come last: who is woken finds the others done, and
 * need not be woken for each of them. */
static void tell_all(struct hki_job *job)
{
    struct hki_job *watched = NULL, **tail = &watched, *next;

    for (; job; job = next) {
        next = job->next;
        if (is_watched(job)) {
            *tail = job;
            tail = &job->next;
        } else {
            tell(job);
        }
    }
    for (*tail = NULL; watched; watched = next) {
        next = watched->next;
        tell(watched);
    }
}

void hki_ended_jobs_tell(struct hki_process_pool *pool, struct hki_ended_jobs *ended)
{
    tell_all(ended->first);
    hk_lock_acquire(&pool->lock);
    pool->jobs -= ended->count;
    if (ended->count > 0 && pool->jobs == 0) {
        hki_outside_ends(); /* who waited for the last one has been woken */
        hki_waiters_wake_all(&pool->joiners, 0);
    }
    if (pool->has_helper) /* he may sleep, and wait for one of these */
        hki_bell_ring(&pool->desk->waiter);
    hk_lock_release(&pool->lock);
    *ended = (struct hki_ended_jobs){NULL, NULL, 0};
}
