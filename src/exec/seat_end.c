/* SPDX-License-Identifier: MIT */
/* The end of a worker: how it is brought about, what becomes of the jobs it had, and
 * how they are told that it died. */
#include "exec/process_pool.h"

#include "base/assert.h"
#include "exec/letter.h"
#include "sys/os.h"
#include "sys/os_worker.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>

void hki_seat_kill(struct hki_seat *seat, enum hki_seat_kill why)
{
    if (seat->killed == HKI_KILL_NOT)
        seat->killed = why;
    if (!seat->has_ended)
        hki_keeper_kill(&seat->child);
}

void hki_seat_dismiss(struct hki_seat *seat)
{
    struct hki_channel *channel = &seat->link->channel;

    HKI_ASSERT(seat->jobs_now == 0, "a worker that is dismissed has no job");
    seat->state = HKI_SEAT_LEAVING;
    seat->progress_ns = hki_os_now_ns();
    if (hki_channel_room(channel) == 0) {
        hki_seat_kill(seat, HKI_KILL_LEAVING); /* of slots that were taken back */
        return;
    }
    seat->jobs[channel->filled % HKI_CHANNEL_SLOTS] = NULL;
    hki_letter_write_exit(hki_channel_slot(channel));
    hki_channel_send(channel);
}

/* The kernel has killed some process for want of memory since the last look; it tells
 * how many, but not which. */
static bool was_memory_short(struct hki_process_pool *pool)
{
    uint64_t before = pool->kills_for_memory;

    pool->kills_for_memory = hki_os_kills_for_memory();
    return pool->kills_for_memory > before;
}

static struct hki_job_death death_of(const struct hki_seat *seat)
{
    struct hki_job_death death = {.died = true, .exit_status = -1};

    if (seat->killed == HKI_KILL_STOPPED)
        death.signal = SIGSTOP;
    else if (seat->end_status != HKI_STATUS_UNKNOWN && WIFSIGNALED(seat->end_status))
        death.signal = WTERMSIG(seat->end_status);
    else if (seat->end_status != HKI_STATUS_UNKNOWN)
        death.exit_status = WEXITSTATUS(seat->end_status);
    death.for_memory = death.signal == SIGKILL && was_memory_short(seat->pool);
    return death;
}

/* What becomes of the job that a worker had when it died. */
static void lose(struct hki_seat *seat, struct hki_ended_jobs *ended,
                 struct hki_job *job)
{
    struct hki_process_pool *pool = seat->pool;

    if (__atomic_load_n(&job->cancelled, __ATOMIC_RELAXED) > HK_CANCEL) {
        hki_ended_jobs_add(ended, job, -ECANCELED);
        return;
    }
    pool->stats.lost++;
    if (job->attempt < job->attempts_max) {
        hki_letter_renew(job);
        if (hki_job_queue_push(&pool->queue, job, true) == 0) {
            job->attempt++;
            pool->stats.retried++;
            return;
        }
    }
    job->death = death_of(seat);
    hki_ended_jobs_add(ended, job, -EOWNERDEAD);
}

static void deal_with_jobs(struct hki_seat *seat, struct hki_ended_jobs *ended)
{
    struct hki_channel *channel = &seat->link->channel;

    (void)hki_collect(seat, ended); /* what it had done before it died was done */
    hki_take_back(seat, ended);
    for (uint32_t i = channel->emptied; i != channel->filled; i++) {
        struct hki_job **job = &seat->jobs[i % HKI_CHANNEL_SLOTS];

        if (*job)
            lose(seat, ended, *job);
        *job = NULL;
    }
    seat->jobs_now = 0;
}

static void tell_failed_start(struct hki_seat *seat)
{
    struct hki_handshake *hands = hki_handshake_of(&seat->link->channel);
    char step[sizeof(hands->step)];

    if (seat->end_error < 0) {
        hki_start_failed(seat->pool, seat->end_error,
                         seat->child.origin ? "forking from the template"
                                            : "starting the program");
    } else if (seat->is_initializing) {
        hki_start_failed(seat->pool,
                         seat->start_error < 0 ? seat->start_error : -EOWNERDEAD,
                         "its initializer");
    } else {
        int error = __atomic_load_n(&hands->error, __ATOMIC_ACQUIRE);

        memcpy(step, hands->step, sizeof(step));
        step[sizeof(step) - 1] = '\0';
        hki_start_failed(seat->pool, error < 0 && error > -4096 ? error : -EOWNERDEAD,
                         step[0] ? step : "its constructors");
    }
}

void hki_seat_bury(struct hki_seat *seat, struct hki_ended_jobs *ended)
{
    struct hki_process_pool *pool = seat->pool;

    deal_with_jobs(seat, ended);
    if (seat->state == HKI_SEAT_STARTING)
        tell_failed_start(seat);
    else if (seat->state == HKI_SEAT_LEAVING)
        pool->stats.recycled++;
    hki_requests_abandon(seat->link);
    hki_link_unref(seat->link);
    *seat = (struct hki_seat){.pool = pool};
}
