/* SPDX-License-Identifier: MIT */
/*
 * The worker's side of the process pool: what runs in place of main. One thread takes
 * job after job from the channel, runs it, and sends its result; it returns from
 * nowhere, the program ends it by closing its lifeline.
 */
#ifndef HKI_EXEC_WORKER_H
#define HKI_EXEC_WORKER_H

#include "exec/channel.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A result before it is sent: `data` stays valid until `release(ctx)`, which may be
 * NULL. */
struct hki_reply {
    int32_t status;
    const void *data;
    size_t size;
    void (*release)(void *ctx);
    void *ctx;
};

/* Runs a job, whatever it is. Jobs are not this file's: whoever gives work to workers
 * sets this before main, so that it is the same in both processes. */
typedef void hki_run_letter_fn(const struct hki_letter *letter,
                               struct hki_reply *reply);
extern hki_run_letter_fn *hki_run_letter;

/* The slot of the job that runs, when it may be asked to end before it is killed; else
 * NULL. */
const struct hki_slot *hki_worker_asked_in(void);

/* The slot of the job that runs, when the caller is on the thread for jobs of a worker
 * process; else NULL. */
const struct hki_slot *hki_worker_slot_here(void);

/* Room for a result in memory that the program sees: it is sent from there without a
 * copy. NULL: no memory. Given back by hki_worker_room_free, unless it was sent. */
void *hki_worker_room(size_t size);
void hki_worker_room_free(void *room);

/* Its channel. */
struct hki_channel *hki_worker_channel(void);

/* In a child of fork that has the descriptors HKI_WORKER_...: what a worker does. */
_Noreturn void hki_worker_forked(void);

/* True in a worker process. */
bool hki_is_worker(void);

#endif
