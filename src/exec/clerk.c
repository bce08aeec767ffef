/* SPDX-License-Identifier: MIT */
#include "exec/clerk.h"

#include "exec/heap.h"
#include "exec/letter.h"
#include "exec/worker.h"
#include "sys/os.h"
#include "sys/os_thread.h"

#include <hocket/sem.h>

#include <errno.h>
#include <string.h>

static struct {
    hk_lock lock; /* guards the next three */
    bool is_running;
    uint32_t count;
    struct {
        struct hki_job *job; /* NULL: free */
        void *room;          /* for its arguments, in the zone; NULL: none */
    } sent[HKI_CHANNEL_REQUESTS];
    hk_sem free; /* how many are free */
} clerk = {.free = HK_SEM_INIT(HKI_CHANNEL_REQUESTS)};

static struct hki_channel_memory *memory(void)
{
    return hki_worker_channel()->memory;
}

/* Something for the program to look at. */
static void tell_program(bool now)
{
    __atomic_add_fetch(&memory()->requests_made, 1, __ATOMIC_SEQ_CST);
    if (now)
        hki_bell_ring(&hki_worker_channel()->desk->courier);
}

/* ---- results ---- */

static void end_job(uint32_t index)
{
    struct hki_slot *slot = &memory()->requests[index];
    struct hki_job *job = clerk.sent[index].job;

    job->death = (struct hki_job_death){
        .died = slot->status == -EOWNERDEAD,
        .signal = slot->death[0],
        .exit_status = slot->death[1],
    };
    hki_job_done(job, slot->status,
                 slot->place == HKI_PLACE_HEAP
                     ? hki_heap_bytes(slot->offset, slot->length)
                     : slot->bytes,
                 slot->length);
    __atomic_store_n(&slot->state, HKI_SLOT_FREE, __ATOMIC_RELEASE);
    tell_program(false); /* its memory can be freed, some time */
    if (clerk.sent[index].room)
        hki_worker_room_free(clerk.sent[index].room);
    hk_lock_acquire(&clerk.lock);
    clerk.sent[index].job = NULL;
    if (--clerk.count == 0)
        hki_outside_ends();
    hk_lock_release(&clerk.lock);
    hk_sem_release(&clerk.free, 1);
}

static bool is_done(uint32_t index)
{
    bool is_sent;

    hk_lock_acquire(&clerk.lock);
    is_sent = clerk.sent[index].job;
    hk_lock_release(&clerk.lock);
    return is_sent && __atomic_load_n(&memory()->requests[index].state,
                                      __ATOMIC_SEQ_CST) == HKI_SLOT_DONE;
}

/* True: there was one. */
static bool end_jobs(void)
{
    bool is_any = false;

    for (uint32_t i = 0; i < HKI_CHANNEL_REQUESTS; i++)
        if (is_done(i)) {
            end_job(i);
            is_any = true;
        }
    return is_any;
}

/* ---- cancels ---- */

/* The job that runs. Its lock is not the other one, which is taken when the scope's
 * guests are cancelled. */
static struct {
    hk_lock lock; /* guards the next two */
    const struct hki_slot *slot;
    hk_scope *scope; /* NULL: no job, or it was cancelled */
} running;

/* With its lock. True: it is cancelled now. */
static bool cancel_if_asked(void)
{
    if (!running.scope || __atomic_load_n(&running.slot->cancel, __ATOMIC_SEQ_CST) == 0)
        return false;
    hk_scope_cancel(running.scope);
    running.scope = NULL;
    return true;
}

static bool look_for_cancel(void)
{
    bool is_any;

    hk_lock_acquire(&running.lock);
    is_any = cancel_if_asked();
    hk_lock_release(&running.lock);
    return is_any;
}

void hki_clerk_job_begins(const struct hki_slot *slot, hk_scope *scope)
{
    hk_lock_acquire(&running.lock);
    running.slot = slot;
    running.scope = scope;
    (void)cancel_if_asked(); /* the clerk may have looked before */
    hk_lock_release(&running.lock);
}

void hki_clerk_job_ends(void)
{
    hk_lock_acquire(&running.lock);
    running.scope = NULL;
    hk_lock_release(&running.lock);
}

/* ---- the thread ---- */

/* True: there was something to do. */
static bool do_all(void)
{
    bool is_any = look_for_cancel();

    return end_jobs() || is_any;
}

static void *clerk_main(void *unused)
{
    struct hki_bell *bell = &memory()->clerk_bell;

    hki_os_thread_name("hocket-clerk");
    for (;;) {
        while (do_all())
            ;
        hki_bell_arm(bell);
        if (do_all())
            hki_bell_disarm(bell);
        else
            hki_bell_sleep(bell, INT64_MAX);
    }
    return unused;
}

/* With the lock. */
static int run_clerk(void)
{
    const struct hki_thread_spec spec = {.is_detached = true, .is_deaf = true};
    int rc = 0;

    if (!clerk.is_running)
        rc = hki_os_thread_start(&spec, clerk_main, NULL, NULL);
    clerk.is_running = rc == 0;
    return rc;
}

int hki_clerk_start(void)
{
    int rc;

    hk_lock_acquire(&clerk.lock);
    rc = run_clerk();
    hk_lock_release(&clerk.lock);
    return rc;
}

/* ---- submitting ---- */

/* One that is free; there is one. */
static uint32_t take_index(struct hki_job *job)
{
    uint32_t index = 0;

    while (clerk.sent[index].job)
        index++;
    clerk.sent[index].job = job;
    if (clerk.count++ == 0)
        hki_outside_begins();
    return index;
}

/* Room for arguments that do not fit into a slot. 0 or -ENOMEM. */
static int make_room(const struct hki_job *job, void **out)
{
    *out = NULL;
    if (job->image_size <= hki_letter_room(job))
        return 0;
    *out = hki_worker_room(job->image_size);
    if (!*out)
        return -ENOMEM;
    memcpy(*out, hki_job_image(job), job->image_size);
    return 0;
}

static void send(struct hki_job *job, uint64_t function, uint32_t index, void *room)
{
    struct hki_slot *slot = &memory()->requests[index];

    clerk.sent[index].room = room;
    slot->what = job->fn ? HKI_LETTER_FN : HKI_LETTER_PLAIN;
    slot->function = function;
    hki_letter_write_identity(slot, job);
    slot->status = job->priority;
    slot->length = job->image_size;
    slot->place = room ? HKI_PLACE_ZONE : HKI_PLACE_SLOT;
    __atomic_store_n(&slot->cancel, 0, __ATOMIC_RELAXED);
    if (room)
        slot->offset =
            (uint64_t)((unsigned char *)room - hki_channel_zone(hki_worker_channel()));
    else if (job->image_size > 0)
        memcpy(slot->bytes, hki_job_image(job), job->image_size);
    __atomic_store_n(&slot->state, HKI_SLOT_READY, __ATOMIC_RELEASE);
    tell_program(true);
}

static int submit(struct hki_job *job, uint64_t function)
{
    void *room;
    int rc = make_room(job, &room);

    if (rc < 0)
        return rc;
    hk_lock_acquire(&clerk.lock);
    rc = run_clerk();
    if (rc == 0 && !hki_job_start(job))
        rc = -ECANCELED;
    if (rc == 0)
        send(job, function, take_index(job), room);
    hk_lock_release(&clerk.lock);
    if (rc < 0 && room)
        hki_worker_room_free(room);
    return rc;
}

int hki_clerk_submit(struct hki_job *job, enum hki_submit_how how)
{
    uint64_t function;
    int rc = hki_letter_function_here(job, &function);

    if (rc == 0)
        rc = how == HKI_SUBMIT_WAIT ? hk_sem_acquire(&clerk.free)
                                    : hk_sem_try_acquire(&clerk.free);
    if (rc < 0)
        return rc;
    rc = submit(job, function);
    if (rc < 0)
        hk_sem_release(&clerk.free, 1);
    return rc;
}

int hki_clerk_cancel(const struct hki_job *job, hk_cancel_how how)
{
    hk_lock_acquire(&clerk.lock);
    for (uint32_t i = 0; i < HKI_CHANNEL_REQUESTS; i++)
        if (clerk.sent[i].job == job) {
            __atomic_store_n(&memory()->requests[i].cancel, 1 + (uint32_t)how,
                             __ATOMIC_RELEASE);
            tell_program(true);
        }
    hk_lock_release(&clerk.lock);
    return 0;
}
