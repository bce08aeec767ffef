/* SPDX-License-Identifier: MIT */
#include "exec/worker.h"

#include "base/assert.h"
#include "exec/handshake.h"
#include "exec/heap.h"
#include "exec/job_id.h"
#include "exec/zone.h"
#include "sys/os.h"
#include "sys/os_program.h"
#include "sys/os_sandbox.h"

#include <hocket/processes.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { EXIT_CANNOT_START = 127 };

hki_run_letter_fn *hki_run_letter;

/* The process is one worker, with one thread. */
static struct {
    bool is_worker;
    struct hki_channel channel;
    struct hki_zone zone;
    const struct hki_slot *slot; /* of the job that runs */
    bool asks_to_cancel;
} self;

static __thread bool runs_jobs; /* the thread that is the worker */

bool hki_is_worker(void)
{
    return self.is_worker;
}

const struct hki_slot *hki_worker_asked_in(void)
{
    return self.asks_to_cancel ? self.slot : NULL;
}

const struct hki_slot *hki_worker_slot_here(void)
{
    return runs_jobs ? self.slot : NULL;
}

struct hki_channel *hki_worker_channel(void)
{
    return &self.channel;
}

/* ---- starting ---- */

static bool is_same_program(const struct hki_handshake *hands)
{
    unsigned char id[HKI_BUILD_ID_MAX];
    size_t size = hki_os_program_build_id(id);

    return size == hands->build_id_size && memcmp(id, hands->build_id, size) == 0;
}

struct step {
    const char *name;
    int (*take)(struct hki_handshake *hands);
};

static int check_program(struct hki_handshake *hands)
{
    return is_same_program(hands) ? 0 : -ESTALE;
}

static int bind_life(struct hki_handshake *hands)
{
    return hki_os_worker_bind(hands->parent, HKI_WORKER_LIFELINE);
}

static int map_memory(struct hki_handshake *hands)
{
    int rc = hki_heap_attach(HKI_WORKER_HEAP, hands->heap_bytes);

    if (rc == 0)
        rc = hki_zone_init(&self.zone, hki_channel_zone(&self.channel),
                           hki_channel_zone_bytes(&self.channel));
    self.channel.desk = hki_heap_bytes(hands->desk_offset, sizeof(struct hki_desk));
    return rc == 0 && !self.channel.desk ? -EINVAL : rc;
}

static int bind_processors(struct hki_handshake *hands)
{
    return hki_os_affinity_apply(hands->cpus);
}

static int limit_resources(struct hki_handshake *hands)
{
    (void)hki_os_close(HKI_WORKER_CHANNEL); /* mapped, both: nothing to lose */
    (void)hki_os_close(HKI_WORKER_HEAP);
    return hki_os_limits_apply(&hands->limits);
}

static int enter_sandbox(struct hki_handshake *hands)
{
    return hands->is_sandboxed ? hki_os_sandbox_enter() : 0;
}

/* The life comes first: whatever happens then, nothing is left behind. */
static const struct step steps[] = {
    {"checking the program", check_program}, {"binding its life", bind_life},
    {"mapping memory", map_memory},          {"binding to processors", bind_processors},
    {"limiting resources", limit_resources}, {"entering the sandbox", enter_sandbox},
};

static void answer(struct hki_handshake *hands, uint32_t what, int error)
{
    __atomic_store_n(&hands->error, error, __ATOMIC_RELAXED);
    __atomic_exchange_n(&hands->answer, what, __ATOMIC_SEQ_CST);
    if (self.channel.desk) /* else the program learns it by our end */
        hki_bell_ring(&self.channel.desk->courier);
}

static void say_why_not(struct hki_handshake *hands, const char *step, int error)
{
    snprintf(hands->step, sizeof(hands->step), "%s", step);
    answer(hands, HKI_ANSWER_FAILED, error);
}

static bool start(struct hki_handshake *hands)
{
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        int rc = steps[i].take(hands);

        if (rc < 0) {
            say_why_not(hands, steps[i].name, rc);
            return false;
        }
    }
    answer(hands, HKI_ANSWER_READY, 0);
    return true;
}

/* ---- working ---- */

/* Frees the results that the program does not need any more. */
static void reclaim(void)
{
    void *room = hki_channel_take_given_back(&self.channel), *next;

    for (; room; room = next) {
        next = hki_channel_next_given_back(&self.channel, room);
        hki_worker_room_free(room);
    }
}

void *hki_worker_room(size_t size)
{
    struct hki_zone_head *head;

    reclaim();
    head = hki_zone_alloc(&self.zone, sizeof(*head) + size);
    return head ? head + 1 : NULL;
}

void hki_worker_room_free(void *room)
{
    hki_zone_free(&self.zone, (struct hki_zone_head *)room - 1);
}

static bool is_in_zone(const void *data)
{
    const unsigned char *zone = hki_channel_zone(&self.channel), *at = data;

    return at >= zone && at < zone + hki_channel_zone_bytes(&self.channel);
}

/* A result that does not fit into its slot: as it lies there, or a copy. */
static void put_in_zone(struct hki_slot *slot, struct hki_reply *reply)
{
    void *room = (void *)(uintptr_t)reply->data;

    if (is_in_zone(room)) {
        reply->release = NULL; /* the program's, now */
    } else if ((room = hki_worker_room(reply->size))) {
        memcpy(room, reply->data, reply->size);
    } else {
        slot->status = -ENOMEM;
        slot->length = 0;
        return;
    }
    slot->place = HKI_PLACE_ZONE;
    slot->offset = (uint64_t)((unsigned char *)room - hki_channel_zone(&self.channel));
}

static void put_result(struct hki_slot *slot, struct hki_reply *reply)
{
    slot->status = reply->status;
    slot->length = reply->size;
    slot->place = HKI_PLACE_SLOT;
    if (reply->size > HKI_SLOT_INLINE_BYTES)
        put_in_zone(slot, reply);
    else if (reply->size > 0)
        memcpy(slot->bytes, reply->data, reply->size);
}

static void run(struct hki_slot *slot)
{
    struct hki_letter letter = {
        .bytes = slot->place == HKI_PLACE_HEAP
                     ? hki_heap_bytes(slot->offset, slot->length)
                     : slot->bytes,
        .length = slot->length,
        .function = slot->function,
        .what = slot->what,
    };
    struct hki_reply reply = {.status = 0};

    self.slot = slot;
    hki_run_letter(&letter, &reply);
    put_result(slot, &reply);
    if (reply.release)
        reply.release(reply.ctx);
}

static _Noreturn void work(int64_t spin_ns)
{
    for (;;) {
        struct hki_slot *slot = hki_channel_take(&self.channel, spin_ns);

        run(slot);
        hki_channel_done(&self.channel, slot);
    }
}

static bool attach_channel(void)
{
    return hki_channel_attach(&self.channel, HKI_WORKER_CHANNEL,
                              hki_os_shm_size(HKI_WORKER_CHANNEL)) == 0;
}

/* Its exit status, if it could not start. */
static int be_worker(void)
{
    struct hki_handshake *hands = hki_handshake_of(&self.channel);

    if (hands->magic != HKI_HANDSHAKE_MAGIC)
        return EXIT_CANNOT_START;
    self.is_worker = runs_jobs = true;
    hki_job_ids_begin(hands->first_id);
    if (!start(hands))
        return EXIT_CANNOT_START;
    self.asks_to_cancel = hands->asks_to_cancel;
    HKI_ASSERT(hki_run_letter, "a worker knows how to run jobs");
    work(hands->spin_ns);
}

/* In the environment of some process that is none of our workers the variable means
 * nothing: then no channel is there either. Where there is one, it says what this
 * process does; so it may be obeyed only with the rights of who has made it. */
int hki_worker_main(void)
{
    if (!hki_os_take_worker_variable() || !attach_channel())
        return -1;
    if (!hki_os_has_rights_of_its_file())
        return be_worker();
    say_why_not(hki_handshake_of(&self.channel), "checking its rights", -EPERM);
    return EXIT_CANNOT_START;
}

void hki_worker_forked(void)
{
    hki_os_exit_now(attach_channel() ? be_worker() : EXIT_CANNOT_START);
}

void hk_worker_main(void)
{
    int status;

    hki_os_workers_will_call();
    status = hki_worker_main();
    if (status >= 0)
        hki_os_exit_now(status);
}

bool hk_is_worker(void)
{
    return hki_is_worker();
}
