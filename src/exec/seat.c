/* SPDX-License-Identifier: MIT */
/* One worker, as the courier sees it: from its start to what it leaves behind. */
#include "exec/process_pool.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "exec/heap.h"
#include "exec/job_id.h"
#include "exec/letter.h"
#include "sys/os.h"
#include "sys/os_shm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MS INT64_C(1000000)

/* Of a worker's zone: address space, not memory. */
#define ZONE_BYTES_MIN ((size_t)64 << 20)
#define ZONE_BYTES_MAX ((size_t)64 << 30)

/* Jobs are not held back by a longer one before them for longer than this. */
#define HOLD_NS (1 * MS)
/* Between two looks whether a worker is stopped; and whatever a worker writes where the
 * others can see it, results of theirs are not seen later than this. */
#define LOOK_NS (50 * MS)
/* A worker that has not begun what it was sent by then never will. */
#define BEGIN_LIMIT_NS (5000 * MS)
/* A worker that has not answered by then never will. */
#define START_LIMIT_NS (30000 * MS)
/* A worker that was asked to end is killed then. */
#define LEAVE_LIMIT_NS (1000 * MS)

/* After the first failed start, and twice that each time. */
#define BACKOFF_NS (10 * MS)
#define BACKOFF_NS_MAX (5000 * MS)
enum { STARTS_FAILED_MAX = 6 }; /* in a row: then jobs fail, too */

void hki_link_unref(struct hki_link *link)
{
    if (__atomic_sub_fetch(&link->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    hki_channel_destroy(&link->channel);
    hki_free(link);
}

/* ---- starting ---- */

void hki_start_failed(struct hki_process_pool *pool, int error, const char *step)
{
    uint32_t shift = pool->starts_failed_in_row++;
    int64_t wait_ns = shift < 10 ? BACKOFF_NS << shift : BACKOFF_NS_MAX;

    if (wait_ns > BACKOFF_NS_MAX)
        wait_ns = BACKOFF_NS_MAX;
    pool->next_start_ns = hki_os_now_ns() + wait_ns;
    pool->stats.starts_failed++;
    if (pool->starts_failed_in_row < STARTS_FAILED_MAX)
        return;
    pool->stats.degraded = error;
    snprintf(pool->stats.step, sizeof(pool->stats.step), "%s", step);
}

/* On the keeper's thread. The lock's release is the last access: the seat may go. */
static void child_ended(struct hki_child *child, int error, int status)
{
    struct hki_seat *seat = hki_container_of(child, struct hki_seat, child);
    struct hki_process_pool *pool = seat->pool;

    hk_lock_acquire(&pool->lock);
    seat->end_error = error;
    seat->end_status = status;
    seat->has_ended = true;
    hki_bell_ring(&pool->desk->courier);
    hk_lock_release(&pool->lock);
}

static size_t zone_bytes(void)
{
    size_t size = ZONE_BYTES_MIN;

    while (size < hki_os_memory_bytes() && size < ZONE_BYTES_MAX)
        size *= 2;
    return size;
}

static int make_link(struct hki_seat *seat)
{
    size_t size = zone_bytes();
    int fd;

    seat->link = hki_alloc(sizeof(*seat->link));
    if (!seat->link)
        return -ENOMEM;
    *seat->link = (struct hki_link){.refs = 1, .seat = seat};
    for (int i = 0; i < HKI_CHANNEL_REQUESTS; i++)
        seat->link->requests[i].link = seat->link;
    do
        fd = hki_channel_create(&seat->link->channel, size);
    while (fd == -ENOMEM && (size /= 2) >= ZONE_BYTES_MIN);
    return fd;
}

static void bind_processor(const struct hki_seat *seat, struct hki_handshake *hands)
{
    uint32_t number = (uint32_t)(seat - seat->pool->seats), cpu;

    if (!seat->pool->options.bind_processors)
        return;
    memset(hands->cpus, 0, sizeof(hands->cpus));
    cpu = hki_os_processor(number);
    hands->cpus[cpu / 64] = UINT64_C(1) << cpu % 64;
}

/* 0, or why there is no worker, and none will come. */
static int start(struct hki_seat *seat, int64_t now_ns)
{
    struct hki_process_pool *pool = seat->pool;
    int rc, fd;

    *seat = (struct hki_seat){
        .pool = pool, .progress_ns = now_ns, .looked_ns = now_ns, .depth = 1};
    rc = fd = make_link(seat);
    if (fd >= 0) {
        struct hki_handshake *hands = hki_handshake_of(&seat->link->channel);

        *hands = pool->handshake;
        hands->first_id = hki_job_ids_of_worker();
        bind_processor(seat, hands);
        seat->child = (struct hki_child){
            .channel_fd = fd,
            .origin = pool->options.start == HK_START_FORK ? &pool->origin : NULL,
            .mask = pool->mask,
            .ended = child_ended,
        };
        rc = hki_keeper_start(&seat->child);
        if (rc < 0)
            (void)hki_os_close(fd); /* nothing was written to it */
    }
    if (rc < 0 && seat->link) {
        hki_link_unref(seat->link);
        seat->link = NULL;
    }
    if (rc >= 0)
        seat->state = HKI_SEAT_STARTING;
    return rc < 0 ? rc : 0;
}

void hki_seats_start(struct hki_process_pool *pool, int64_t now_ns)
{
    uint64_t wanted = pool->queue.count + pool->is_try_due;

    if (now_ns < pool->next_start_ns || pool->is_ending)
        return;
    pool->is_try_due = false;
    for (uint32_t i = 0; i < pool->options.workers_max && wanted > 0; i++)
        wanted -= pool->seats[i].state == HKI_SEAT_STARTING;
    for (uint32_t i = 0; i < pool->options.workers_max && wanted > 0; i++) {
        int rc;

        if (pool->seats[i].state != HKI_SEAT_EMPTY)
            continue;
        rc = start(&pool->seats[i], now_ns);
        if (rc < 0) {
            hki_start_failed(pool, rc, "making its memory");
            return;
        }
        wanted--;
        if (pool->starts_failed_in_row > 0)
            return; /* one try at a time */
    }
}

bool hki_seats_can_start(const struct hki_process_pool *pool)
{
    if (pool->queue.count == 0)
        return false;
    for (uint32_t i = 0; i < pool->options.workers_max; i++)
        if (pool->seats[i].state == HKI_SEAT_EMPTY)
            return true;
    return false;
}

static void become_ready(struct hki_seat *seat)
{
    struct hki_process_pool *pool = seat->pool;

    seat->state = HKI_SEAT_READY;
    pool->stats.started++;
    pool->starts_failed_in_row = 0;
    pool->next_start_ns = 0;
    pool->stats.degraded = 0;
    pool->stats.step[0] = '\0';
}

/* Or some of the libraries that it needs. */
static void send_initializer(struct hki_seat *seat)
{
    struct hki_process_pool *pool = seat->pool;
    struct hki_channel *channel = &seat->link->channel;
    struct hki_slot *slot;

    seat->is_initializing = true;
    if (!hki_seat_send_modules(seat, hki_letter_module(pool->init_function)))
        return;
    slot = hki_channel_slot(channel);
    slot->what = HKI_LETTER_PLAIN;
    slot->function = pool->init_function;
    slot->place = HKI_PLACE_SLOT;
    slot->length = pool->options.init_input.size;
    memcpy(slot->bytes, pool->init_input, pool->options.init_input.size);
    hki_channel_send(channel);
    seat->has_its_initializer = true;
}

/* The last letter but those that load libraries is the initializer. */
static bool look_at_initializer(struct hki_seat *seat, struct hki_ended_jobs *ended)
{
    struct hki_channel *channel = &seat->link->channel;
    struct hki_letter letter;
    int rc = hki_channel_receive(channel, &letter);

    if (rc == 0)
        return false;
    if (rc < 0) {
        hki_seat_kill(seat, HKI_KILL_JUNK);
        return false;
    }
    hki_channel_release(channel);
    if (!seat->has_its_initializer)
        send_initializer(seat);
    if (channel->emptied != channel->filled)
        return true;
    if (letter.status >= 0) {
        (void)hki_requests_look(seat, ended); /* those of the initializer */
        become_ready(seat);
        return true;
    }
    seat->start_error = letter.status;
    hki_seat_kill(seat, HKI_KILL_LEAVING);
    return false;
}

static bool look_at_start(struct hki_seat *seat, struct hki_ended_jobs *ended)
{
    struct hki_handshake *hands = hki_handshake_of(&seat->link->channel);

    if (seat->killed)
        return false;
    if (seat->is_initializing)
        return look_at_initializer(seat, ended);
    if (__atomic_load_n(&hands->answer, __ATOMIC_SEQ_CST) != HKI_ANSWER_READY)
        return false;
    if (seat->pool->options.init)
        send_initializer(seat);
    else
        become_ready(seat);
    return true;
}

/* ---- looking ---- */

bool hki_seat_look(struct hki_seat *seat, struct hki_ended_jobs *ended, bool all)
{
    bool is_changed;

    if (seat->state == HKI_SEAT_EMPTY)
        return false;
    is_changed = seat->state == HKI_SEAT_STARTING ? look_at_start(seat, ended)
                 : all                            ? hki_collect(seat, ended)
                                                  : hki_collect_many(seat, ended);
    if (seat->state != HKI_SEAT_STARTING || seat->is_initializing)
        is_changed |= hki_requests_look(seat, ended);
    if (!seat->has_ended)
        return is_changed;
    hki_seat_bury(seat, ended);
    return true;
}

bool hki_has_dead_worker(const struct hki_process_pool *pool)
{
    for (uint32_t i = 0; i < pool->options.workers_max; i++)
        if (pool->seats[i].has_ended)
            return true;
    return false;
}

/* ---- while it works ---- */

static uint32_t how_cancelled(const struct hki_job *job)
{
    return job ? __atomic_load_n(&job->cancelled, __ATOMIC_ACQUIRE) : 0;
}

static void ask_to_cancel(struct hki_seat *seat, const struct hki_job *victim,
                          uint32_t index)
{
    if (seat->asked == victim)
        return;
    seat->asked = victim;
    seat->asked_until_ns = hki_os_now_ns() + seat->pool->options.cancel_grace_ns;
    hki_channel_ask_to_cancel(&seat->link->channel, index);
}

/* True: the victim is the job that it has now, and a kill hits nothing else: all that
 * has not begun was taken back, all that is done was collected. What the worker says of
 * the victim does not count, or it could hide from the kill. */
static bool has_begun(struct hki_seat *seat, struct hki_ended_jobs *ended,
                      const struct hki_job *victim, uint32_t *out_index)
{
    hki_take_back(seat, ended);
    (void)hki_collect(seat, ended);
    return hki_seat_of(seat->pool, victim, out_index) == seat;
}

static void end_if_begun(struct hki_seat *seat, struct hki_ended_jobs *ended,
                         const struct hki_job *victim)
{
    uint32_t index;

    if (!has_begun(seat, ended, victim, &index))
        return;
    if (seat->pool->options.cancel_grace_ns > 0 &&
        how_cancelled(victim) == 1 + HK_CANCEL)
        ask_to_cancel(seat, victim, index);
    else
        hki_seat_kill(seat, HKI_KILL_CANCEL);
}

void hki_seat_look_for_cancels(struct hki_seat *seat, struct hki_ended_jobs *ended)
{
    struct hki_channel *channel;

    if (seat->state != HKI_SEAT_READY || seat->jobs_now == 0)
        return;
    channel = &seat->link->channel;
    for (uint32_t i = channel->emptied; i != channel->filled; i++) {
        struct hki_job **place = &seat->jobs[i % HKI_CHANNEL_SLOTS], *job = *place;

        if (how_cancelled(job) == 0)
            continue;
        if (hki_channel_revoke(channel, i - channel->emptied)) {
            hki_seat_let_go(seat, place);
            hki_ended_jobs_add(ended, job, -ECANCELED);
        } else if (how_cancelled(job) > HK_CANCEL) {
            end_if_begun(seat, ended, job);
        }
    }
}

/* Its jobs go to another one; if it begins one this very moment all is well. */
static void replace_if_hung(struct hki_seat *seat, struct hki_ended_jobs *ended,
                            int64_t now_ns)
{
    const struct hki_channel *channel = &seat->link->channel;

    if (now_ns - seat->progress_ns < BEGIN_LIMIT_NS || seat->killed ||
        hki_channel_is_running(channel, 0) || hki_channel_has_done(channel, 1))
        return;
    hki_take_back(seat, ended);
    if (seat->jobs_now == 0)
        hki_seat_kill(seat, HKI_KILL_JUNK);
}

static int64_t tick_working(struct hki_seat *seat, struct hki_ended_jobs *ended,
                            int64_t now_ns)
{
    int64_t next_ns;
    uint32_t index;

    if (now_ns - seat->looked_ns >= LOOK_NS) {
        seat->looked_ns = now_ns;
        if (hki_keeper_has_stopped(&seat->child)) {
            seat->pool->stats.stopped++;
            hki_seat_kill(seat, HKI_KILL_STOPPED);
        }
        replace_if_hung(seat, ended, now_ns);
    }
    if (seat->jobs_now > 1 && now_ns - seat->progress_ns >= HOLD_NS) {
        seat->depth = 1;
        hki_take_back(seat, ended);
    }
    if (seat->asked && now_ns >= seat->asked_until_ns &&
        has_begun(seat, ended, seat->asked, &index))
        hki_seat_kill(seat, HKI_KILL_CANCEL);
    next_ns = seat->jobs_now > 1 ? now_ns + HOLD_NS : seat->looked_ns + LOOK_NS;
    if (seat->asked && !seat->killed && seat->asked_until_ns < next_ns)
        next_ns = seat->asked_until_ns;
    return next_ns;
}

int64_t hki_seat_tick(struct hki_seat *seat, struct hki_ended_jobs *ended,
                      int64_t now_ns)
{
    int64_t limit_ns = START_LIMIT_NS;

    switch (seat->state) {
    case HKI_SEAT_EMPTY: return INT64_MAX;
    case HKI_SEAT_READY:
        return seat->jobs_now > 0 ? tick_working(seat, ended, now_ns) : INT64_MAX;
    case HKI_SEAT_LEAVING: limit_ns = LEAVE_LIMIT_NS; break;
    case HKI_SEAT_STARTING: break;
    }
    if (seat->killed)
        return INT64_MAX;
    if (now_ns - seat->progress_ns < limit_ns)
        return now_ns + LOOK_NS;
    hki_seat_kill(seat, HKI_KILL_LEAVING);
    return INT64_MAX;
}
