/* SPDX-License-Identifier: MIT */
/*
 * Running the function of a job, in whatever process: arguments are unpacked where they
 * lie, the result goes into an hk_result. Small ones need no memory.
 */
#include "exec/executor.h"
#include "exec/pack.h"

#include "base/alloc.h"
#include "base/assert.h"

#include <hocket/task.h>

#include <stdlib.h>
#include <string.h>

/* ---- results ---- */

/* What the function has allocated with malloc. */
static void release_theirs(void *data, size_t size, void *ctx)
{
    (void)size;
    (void)ctx;
    free(data);
}

void hki_result_drop(hk_result *result)
{
    if (result->release)
        result->release(result->data, result->size, NULL);
    result->data = NULL;
    result->size = 0;
    result->release = NULL;
}

/* Room for `size` bytes, which are the result. NULL: no memory. */
static void *reserve(hk_result *result, size_t size)
{
    void *room = size <= HKI_FUTURE_INLINE ? result->small
                 : result->room            ? result->room(size)
                                           : hki_alloc(size);

    if (!room)
        return NULL;
    hki_result_drop(result);
    result->data = room;
    result->size = size;
    result->release = room == result->small ? NULL
                      : result->room        ? result->room_release
                                            : hki_release_heap;
    return room;
}

int hk_result_set(hk_result *result, const void *data, size_t size)
{
    void *room = reserve(result, size);

    if (!room)
        return -ENOMEM;
    if (size)
        memcpy(room, data, size);
    return 0;
}

static void take(hk_result *result, const void *data, size_t size)
{
    result->data = (void *)(uintptr_t)data;
    result->size = size;
    result->release = release_theirs;
}

/* ---- errors of functions with other results ---- */

static hk_local failure = HK_LOCAL_INIT(NULL);

/* For who finds no memory for that: the last one of this thread, which as a rule ends
 * without a wait. Atomic for TSan, which knows no order between tasks of a thread. */
static __thread struct {
    hk_holder who;
    int error;
} without_memory;

static bool is_without_memory(void)
{
    hk_holder who = __atomic_load_n(&without_memory.who, __ATOMIC_RELAXED);

    return HKI_UNLIKELY(who) && who == hki_holder_here();
}

void hk_job_fail(int error)
{
    if (HKI_UNLIKELY(error >= 0))
        hki_panic("hk_job_fail with %d: not an error", error);
    if (hk_local_get(&failure) || is_without_memory() ||
        hk_local_set(&failure, (void *)(intptr_t)error) == 0)
        return;
    __atomic_store_n(&without_memory.error, error, __ATOMIC_RELAXED);
    __atomic_store_n(&without_memory.who, hki_holder_here(), __ATOMIC_RELAXED);
}

/* What hk_job_fail was called with since the last look; 0: it was not. */
static int take_failure(void)
{
    int error = (int)(intptr_t)hk_local_get(&failure);

    if (error) {
        (void)hk_local_set(&failure, NULL); /* has its place: cannot fail */
    } else if (is_without_memory()) {
        error = __atomic_load_n(&without_memory.error, __ATOMIC_RELAXED);
        __atomic_store_n(&without_memory.who, NULL, __ATOMIC_RELAXED);
    }
    return error;
}

/* ---- calls ---- */

static int call_for_bytes(const hk_fn *fn, void *args, hk_result *out)
{
    hk_bytes bytes = {NULL, 0};

    fn->call(args, &bytes);
    take(out, bytes.data, bytes.size);
    return 0;
}

static int call_for_text(const hk_fn *fn, void *args, hk_result *out)
{
    hk_str text = NULL;

    fn->call(args, &text);
    take(out, text, text ? strlen(text) + 1 : 0);
    return 0;
}

static int call(const hk_fn *fn, void *args, hk_result *out)
{
    void *room;
    hk_rc rc;

    switch ((hk_field_kind)fn->result.kind) {
    case HK_FIELD_BYTES: return call_for_bytes(fn, args, out);
    case HK_FIELD_STR: return call_for_text(fn, args, out);
    case HK_FIELD_RC: fn->call(args, &rc); return rc;
    case HK_FIELD_VOID:
    case HK_FIELD_PLAIN: break;
    }
    room = reserve(out, fn->result.size);
    if (!room)
        return -ENOMEM;
    fn->call(args, room);
    return 0;
}

static int call_unpacked(const hk_fn *fn, unsigned char *image, size_t size,
                         hk_result *out)
{
    int rc = hki_unpack(fn, image, size), failed;

    if (rc < 0)
        return rc;
    (void)take_failure(); /* of a function that was no job, on this thread */
    rc = call(fn, image, out);
    failed = take_failure();
    return failed ? failed : rc;
}

int hki_job_call(const hk_fn *fn, hk_job_fn *plain, unsigned char *image, size_t size,
                 hk_result *out)
{
    int rc =
        fn ? call_unpacked(fn, image, size, out) : plain((hk_bytes){image, size}, out);

    if (rc < 0)
        hki_result_drop(out);
    return rc;
}
