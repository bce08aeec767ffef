/* SPDX-License-Identifier: MIT */
#include "exec/letter.h"

#include "exec/clerk.h"
#include "exec/heap.h"
#include "exec/worker.h"
#include "sys/os_module.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stdio_ext.h>

enum { OFFSET_BITS = 48 };

_Static_assert(sizeof(void *) == sizeof(uint64_t), "a letter's words fit");
_Static_assert(HKI_ATTEMPTS_MAX < 1 << HKI_ATTEMPTS_BITS, "both fit into a byte");

/* ---- in the program ---- */

static uint64_t words_of(uint32_t module, uint64_t offset)
{
    return (uint64_t)module << OFFSET_BITS | offset;
}

int hki_letter_function(const void *function, uint64_t *out)
{
    uint32_t module;
    uint64_t offset;
    int rc = hki_os_module_of(function, &module, &offset);

    if (rc == 0)
        *out = words_of(module, offset);
    return rc;
}

static const void *function_of(const struct hki_job *job)
{
    return job->fn ? (const void *)job->fn : (const void *)job->plain;
}

int hki_letter_function_here(const struct hki_job *job, uint64_t *out)
{
    uint32_t module;
    uint64_t offset;
    int rc = hki_os_module_of_loaded(function_of(job), &module, &offset);

    if (rc == 0)
        *out = words_of(module, offset);
    return rc;
}

uint32_t hki_letter_module(uint64_t function)
{
    return (uint32_t)(function >> OFFSET_BITS);
}

uint32_t hki_letter_job_module(const struct hki_job *job)
{
    return hki_letter_module((uint64_t)(uintptr_t)job->own[HKI_OWN_FUNCTION]);
}

void *hki_letter_image(size_t size)
{
    return size > HKI_SLOT_INLINE_BYTES ? hki_heap_alloc(size) : NULL;
}

int hki_letter_prepare(struct hki_job *job)
{
    uint64_t function = 0;
    int rc = hki_letter_function(function_of(job), &function);

    return rc < 0 ? rc : hki_letter_prepare_for(job, function);
}

int hki_letter_prepare_for(struct hki_job *job, uint64_t function)
{
    job->own[HKI_OWN_FUNCTION] = (void *)(uintptr_t)function;
    job->own[HKI_OWN_BLOCK] = job->has_image ? job->image : NULL;
    if (job->own[HKI_OWN_BLOCK] || job->image_size <= hki_letter_room(job))
        return 0;
    job->own[HKI_OWN_BLOCK] = hki_heap_alloc(job->image_size);
    if (!job->own[HKI_OWN_BLOCK])
        return -ENOMEM;
    hki_letter_renew(job);
    return 0;
}

void hki_letter_renew(struct hki_job *job)
{
    if (job->own[HKI_OWN_BLOCK] && !job->has_image)
        memcpy(job->own[HKI_OWN_BLOCK], hki_job_image(job), job->image_size);
}

void hki_letter_discard(struct hki_job *job)
{
    if (job->own[HKI_OWN_BLOCK])
        hki_heap_free(job->own[HKI_OWN_BLOCK]);
    job->own[HKI_OWN_BLOCK] = NULL;
    job->image = NULL; /* that was its block */
}

void hki_letter_set_outcome(struct hki_job *job, int rc)
{
    job->own[HKI_OWN_OUTCOME] = (void *)(intptr_t)rc;
}

int hki_letter_outcome(const struct hki_job *job)
{
    return (int)(intptr_t)job->own[HKI_OWN_OUTCOME];
}

void hki_letter_write_job(struct hki_slot *slot, const struct hki_job *job)
{
    void *block = job->own[HKI_OWN_BLOCK];

    slot->what = job->fn ? HKI_LETTER_FN : HKI_LETTER_PLAIN;
    slot->function = (uint64_t)(uintptr_t)job->own[HKI_OWN_FUNCTION];
    slot->id = job->id;
    hki_letter_write_identity(slot, job);
    slot->length = job->image_size;
    __atomic_store_n(&slot->cancel, 0, __ATOMIC_RELAXED);
    slot->place = block ? HKI_PLACE_HEAP : HKI_PLACE_SLOT;
    if (block)
        slot->offset = hki_heap_offset(block);
    else if (job->image_size > 0)
        memcpy(slot->bytes, hki_job_image(job), job->image_size);
}

void hki_letter_write_load(struct hki_slot *slot, const char *path)
{
    slot->what = HKI_LETTER_LOAD;
    slot->id = 0;
    slot->place = HKI_PLACE_SLOT;
    slot->length = HKI_SLOT_INLINE_BYTES;
    (void)snprintf((char *)slot->bytes, HKI_SLOT_INLINE_BYTES, "%s", path);
}

void hki_letter_write_exit(struct hki_slot *slot)
{
    slot->what = HKI_LETTER_EXIT;
    slot->id = 0;
    slot->place = HKI_PLACE_SLOT;
    slot->length = 0;
}

/* ---- which job it is, on both sides ---- */

size_t hki_letter_room(const struct hki_job *job)
{
    return HKI_SLOT_INLINE_BYTES - (job->has_key ? strlen(job->key) : 0);
}

static unsigned char *key_in(const struct hki_slot *slot, size_t size)
{
    return (unsigned char *)(uintptr_t)slot->bytes + HKI_SLOT_INLINE_BYTES - size;
}

void hki_letter_write_identity(struct hki_slot *slot, const struct hki_job *job)
{
    size_t key_size = 0;

    if (HKI_UNLIKELY(job->has_key)) {
        key_size = strlen(job->key);
        memcpy(key_in(slot, key_size), job->key, key_size);
    }
    slot->attempts = (uint8_t)(job->attempt << HKI_ATTEMPTS_BITS | job->attempts_max);
    slot->key_size = (uint8_t)key_size;
}

int hki_letter_read_key(const struct hki_slot *slot, char out[HK_JOB_KEY_MAX + 1])
{
    uint8_t size = __atomic_load_n(&slot->key_size, __ATOMIC_RELAXED);

    if (size > HK_JOB_KEY_MAX)
        return -EPROTO;
    memcpy(out, key_in(slot, size), size);
    out[size] = '\0';
    return 0;
}

/* 1 for what no worker writes. */
uint32_t hki_letter_attempts_max(const struct hki_letter *letter)
{
    uint32_t most = letter->attempts & ((1u << HKI_ATTEMPTS_BITS) - 1);

    return most > HKI_ATTEMPTS_MAX ? 1 : most;
}

/* ---- in the worker ---- */

static _Alignas(16) unsigned char small[HKI_SLOT_INLINE_BYTES];
static hk_result result;

static void *room_for_result(size_t size)
{
    return size <= sizeof(small) ? small : hki_worker_room(size);
}

static void release_room(void *data, size_t size, void *ctx)
{
    (void)size;
    (void)ctx;
    if (data != small)
        hki_worker_room_free(data);
}

static void release_result(void *ctx)
{
    (void)ctx;
    hki_result_drop(&result);
}

static int call(const struct hki_letter *letter, void *function)
{
    bool is_fn = letter->what == HKI_LETTER_FN;
    hk_job_fn *plain;

    memcpy(&plain, &function, sizeof(plain));
    return hki_job_call(is_fn ? function : NULL, is_fn ? NULL : plain,
                        (unsigned char *)(uintptr_t)letter->bytes, letter->length,
                        &result);
}

/* In a scope, which is cancelled when the job is to end. */
static int call_in_scope(const struct hki_letter *letter, void *function,
                         const struct hki_slot *slot)
{
    hk_scope scope;
    int rc = hki_clerk_start();

    if (rc < 0)
        return rc;
    hk_scope_open(&scope);
    hki_clerk_job_begins(slot, &scope);
    rc = call(letter, function);
    hki_clerk_job_ends();
    (void)hk_scope_join(&scope); /* the job has said how it ended */
    return rc;
}

static void *address_of(uint64_t function)
{
    return hki_os_module_address(hki_letter_module(function),
                                 function & ((UINT64_C(1) << OFFSET_BITS) - 1));
}

static void run_job(const struct hki_letter *letter, struct hki_reply *reply)
{
    void *function = address_of(letter->function);
    const struct hki_slot *slot = hki_worker_asked_in();

    if (!function) {
        reply->status = -ENOENT;
        return;
    }
    result = (hk_result){
        .small = small,
        .room = room_for_result,
        .room_release = release_room,
    };
    reply->status =
        slot ? call_in_scope(letter, function, slot) : call(letter, function);
    reply->data = result.data;
    reply->size = result.size;
    reply->release = release_result;
}

int hki_letter_identity(hk_job_identity *out)
{
    const struct hki_slot *slot = hki_worker_slot_here();
    const hk_fn *fn = NULL;

    if (!slot || slot->id == 0)
        return -ESRCH;
    if (slot->what == HKI_LETTER_FN)
        fn = address_of(slot->function);
    *out = (hk_job_identity){
        .id = slot->id,
        .attempt = slot->attempts >> HKI_ATTEMPTS_BITS,
        .attempts_max = slot->attempts & ((1u << HKI_ATTEMPTS_BITS) - 1),
        .name = fn ? fn->name : "job",
    };
    (void)hki_letter_read_key(slot, out->key); /* ours is none too long */
    return 0;
}

/* What a job has printed is seen when its result is, and not lost when the worker is
 * killed. */
static void flush_output(void)
{
    if (__fpending(stdout) > 0)
        (void)fflush(stdout); /* it had no place to go: the job's business */
}

static void run_letter(const struct hki_letter *letter, struct hki_reply *reply)
{
    switch (letter->what) {
    case HKI_LETTER_FN:
    case HKI_LETTER_PLAIN: run_job(letter, reply); break;
    case HKI_LETTER_LOAD: hki_os_module_load(letter->bytes); break;
    case HKI_LETTER_EXIT: exit(0);
    default: reply->status = -EPROTO;
    }
    flush_output();
}

__attribute__((constructor)) static void be_the_worker(void)
{
    if (!hki_run_letter)
        hki_run_letter = run_letter;
}
