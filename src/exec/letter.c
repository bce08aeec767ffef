/* SPDX-License-Identifier: MIT */
#include "exec/letter.h"

#include "exec/heap.h"
#include "exec/worker.h"
#include "sys/os_module.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stdio_ext.h>

enum { OFFSET_BITS = 48 };

/* job->own[0] is its block in the heap, [1] its function in a letter's words. */
enum { OWN_BLOCK, OWN_FUNCTION };

_Static_assert(sizeof(void *) == sizeof(uint64_t), "a letter's words fit");

/* ---- in the program ---- */

int hki_letter_function(const void *function, uint64_t *out)
{
    uint32_t module;
    uint64_t offset;
    int rc = hki_os_module_of(function, &module, &offset);

    if (rc == 0)
        *out = (uint64_t)module << OFFSET_BITS | offset;
    return rc;
}

uint32_t hki_letter_module(uint64_t function)
{
    return (uint32_t)(function >> OFFSET_BITS);
}

uint32_t hki_letter_job_module(const struct hki_job *job)
{
    return hki_letter_module((uint64_t)(uintptr_t)job->own[OWN_FUNCTION]);
}

int hki_letter_prepare(struct hki_job *job)
{
    const void *function = job->fn ? (const void *)job->fn : (const void *)job->plain;
    uint64_t words = 0;
    int rc = hki_letter_function(function, &words);

    if (rc < 0)
        return rc;
    job->own[OWN_FUNCTION] = (void *)(uintptr_t)words;
    job->own[OWN_BLOCK] = NULL;
    if (job->image_size <= HKI_SLOT_INLINE_BYTES)
        return 0;
    job->own[OWN_BLOCK] = hki_heap_alloc(job->image_size);
    if (!job->own[OWN_BLOCK])
        return -ENOMEM;
    hki_letter_renew(job);
    return 0;
}

void hki_letter_renew(struct hki_job *job)
{
    if (job->own[OWN_BLOCK])
        memcpy(job->own[OWN_BLOCK], hki_job_image(job), job->image_size);
}

void hki_letter_discard(struct hki_job *job)
{
    if (job->own[OWN_BLOCK])
        hki_heap_free(job->own[OWN_BLOCK]);
    job->own[OWN_BLOCK] = NULL;
}

void hki_letter_write_job(struct hki_slot *slot, const struct hki_job *job)
{
    void *block = job->own[OWN_BLOCK];

    slot->what = job->fn ? HKI_LETTER_FN : HKI_LETTER_PLAIN;
    slot->function = (uint64_t)(uintptr_t)job->own[OWN_FUNCTION];
    slot->attempt = (uint16_t)job->attempt;
    slot->length = job->image_size;
    slot->place = block ? HKI_PLACE_HEAP : HKI_PLACE_SLOT;
    if (block)
        slot->offset = hki_heap_offset(block);
    else if (job->image_size > 0)
        memcpy(slot->bytes, hki_job_image(job), job->image_size);
}

void hki_letter_write_load(struct hki_slot *slot, const char *path)
{
    slot->what = HKI_LETTER_LOAD;
    slot->place = HKI_PLACE_SLOT;
    slot->length = HKI_SLOT_INLINE_BYTES;
    (void)snprintf((char *)slot->bytes, HKI_SLOT_INLINE_BYTES, "%s", path);
}

void hki_letter_write_exit(struct hki_slot *slot)
{
    slot->what = HKI_LETTER_EXIT;
    slot->place = HKI_PLACE_SLOT;
    slot->length = 0;
}

/* ---- in the worker ---- */

static _Alignas(16) unsigned char small[HKI_FUTURE_INLINE];
static hk_result result;

static void release_result(void *ctx)
{
    (void)ctx;
    hki_result_drop(&result);
}

static void run_job(const struct hki_letter *letter, struct hki_reply *reply)
{
    uint64_t offset = letter->function & ((UINT64_C(1) << OFFSET_BITS) - 1);
    void *function = hki_os_module_address(hki_letter_module(letter->function), offset);
    bool is_fn = letter->what == HKI_LETTER_FN;
    hk_job_fn *plain;

    if (!function) {
        reply->status = -ENOENT;
        return;
    }
    memcpy(&plain, &function, sizeof(plain));
    result = (hk_result){.small = small};
    reply->status = hki_job_call(is_fn ? function : NULL, is_fn ? NULL : plain,
                                 (unsigned char *)(uintptr_t)letter->bytes,
                                 letter->length, &result);
    reply->data = result.data;
    reply->size = result.size;
    reply->release = release_result;
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
