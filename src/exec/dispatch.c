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

enum { PREFETCH_NS = 200 * 1000, DEPTH_MAX = HKI_CHANNEL_SLOTS / 2 };

/* ---- sending ---- */

static uint32_t slot_index(const struct hki_channel *channel, uint32_t position)
{
    (void)channel;
    return position % HKI_CHANNEL_SLOTS;
}

/* Libraries must be loaded before their functions are called. False: there is no room
 * for all of that. */
static bool send_modules(struct hki_seat *seat, uint32_t wanted)
{
    struct hki_channel *channel = &seat->link->channel;

    while (seat->modules < wanted) {
        if (hki_channel_room(channel) < 2)
            return false;
        seat->jobs[slot_index(channel, channel->filled)] = NULL;
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
    return seat->state == HKI_SEAT_READY && !seat->has_ended &&
           seat->jobs_now < seat->depth && has_jobs_left(seat) &&
           hki_channel_room(&seat->link->channel) > 1;
}

/* False: not now. */
static bool send_job(struct hki_seat *seat, struct hki_job *job)
{
    struct hki_channel *channel = &seat->link->channel;

    if (!send_modules(seat, hki_letter_job_module(job)))
        return false;
    if (seat->jobs_now++ == 0)
        seat->progress_ns = hki_os_now_ns();
    seat->jobs[slot_index(channel, channel->filled)] = job;
    hki_letter_write_job(hki_channel_slot(channel), job);
    hki_channel_send(channel);
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
}

/* ---- receiving ---- */

void hki_ended_jobs_add(struct hki_ended_jobs *ended, struct hki_job *job, int error)
{
    HKI_ASSERT(!hki_ended_jobs_is_full(ended), "there is room for the job");
    ended->jobs[ended->count++] = (struct hki_ended_job){
        .job = job,
        .letter = {.status = error},
    };
}

static void add_result(struct hki_seat *seat, struct hki_ended_jobs *ended,
                       struct hki_job *job, const struct hki_letter *letter)
{
    struct hki_ended_job *entry = &ended->jobs[ended->count++];

    entry->job = job;
    entry->letter = *letter;
    entry->link = NULL;
    if (letter->head) {
        entry->link = seat->link;
        __atomic_fetch_add(&seat->link->refs, 1, __ATOMIC_RELAXED);
    } else if (letter->length > 0) {
        memcpy(entry->bytes, letter->bytes, letter->length);
    }
}

/* Smoothed over 8 jobs. */
static void measure(struct hki_seat *seat, uint32_t jobs)
{
    int64_t now_ns = hki_os_now_ns();
    int64_t each_ns = (now_ns - seat->progress_ns) / jobs;
    uint32_t sample = each_ns > UINT32_MAX ? UINT32_MAX : (uint32_t)each_ns;

    seat->mean_ns = seat->jobs_done == jobs
                        ? sample
                        : seat->mean_ns - seat->mean_ns / 8 + sample / 8;
    seat->depth = PREFETCH_NS / (seat->mean_ns + 1) + 1;
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

    while (!hki_ended_jobs_is_full(ended)) {
        struct hki_job *job = seat->jobs[slot_index(channel, channel->emptied)];
        int rc = hki_channel_receive(channel, &letter);

        if (rc < 0)
            hki_seat_kill(seat, HKI_KILL_JUNK);
        if (rc <= 0)
            break;
        if (job) {
            add_result(seat, ended, job, &letter);
            seat->jobs_now--;
            jobs++;
        }
        is_any = true;
        hki_channel_release(channel);
    }
    seat->jobs_done += jobs;
    if (jobs > 0)
        measure(seat, jobs);
    return is_any;
}

/* ---- taking back ---- */

/* From the last to the first, so that they are in the queue in their order. */
void hki_take_back(struct hki_seat *seat, struct hki_ended_jobs *ended)
{
    struct hki_channel *channel = &seat->link->channel;

    for (uint32_t i = channel->filled - channel->emptied; i-- > 0;) {
        uint32_t index = slot_index(channel, channel->emptied + i);
        struct hki_job *job = seat->jobs[index];

        if (!job || hki_ended_jobs_is_full(ended) || !hki_channel_revoke(channel, i))
            continue;
        seat->jobs[index] = NULL;
        seat->jobs_now--;
        if (hki_job_queue_push(&seat->pool->queue, job, true) < 0)
            hki_ended_jobs_add(ended, job, -ENOMEM);
    }
}

/* ---- telling ---- */

/* The last reference to a future with a result in a worker's zone has gone. */
static void release_result(void *data, size_t size, void *ctx)
{
    (void)size;
    hki_zone_head_release((struct hki_zone_head *)data - 1);
    hki_link_unref(ctx);
}

static void tell(struct hki_ended_job *entry)
{
    struct hki_job *job = entry->job;

    hki_letter_discard(job);
    if (entry->link)
        hki_job_done_in_place(job, entry->letter.status,
                              (void *)(uintptr_t)entry->letter.bytes,
                              entry->letter.length, release_result, entry->link);
    else
        hki_job_done(job, entry->letter.status, entry->bytes, entry->letter.length);
}

void hki_ended_jobs_tell(struct hki_process_pool *pool, struct hki_ended_jobs *ended)
{
    hk_waiter_queue joiners = {NULL, NULL};
    hk_waiter *waiter;

    for (size_t i = 0; i < ended->count; i++)
        tell(&ended->jobs[i]);
    hk_lock_acquire(&pool->lock);
    pool->jobs -= ended->count;
    if (ended->count > 0 && pool->jobs == 0) {
        hki_outside_ends(); /* who waited for the last one has been woken */
        joiners = pool->joiners;
        pool->joiners = (hk_waiter_queue){NULL, NULL};
    }
    hk_lock_release(&pool->lock);
    while ((waiter = hk_waiter_pop(&joiners)))
        hk_wake(waiter, 0);
    ended->count = 0;
}
