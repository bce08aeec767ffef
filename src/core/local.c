/* SPDX-License-Identifier: MIT */
/*
 * Task-local and thread-local values: an array for each task that ever set one, indexed
 * by a key that an hk_local gets at its first use. Keys are never given back.
 */
#include "base/alloc.h"
#include "core/task.h"
#include "core/thread.h"

#include <string.h>

enum { KEYS_MAX = 4096 };

static hk_local *keys[KEYS_MAX]; /* key - 1 -> its local; atomic */
static uint32_t key_count;       /* atomic */

struct hki_locals {
    uint32_t size;
    void *values[];
};

static uint32_t key_of(hk_local *local)
{
    uint32_t key = __atomic_load_n(&local->hki_key, __ATOMIC_ACQUIRE), none = 0;

    if (key)
        return key;
    key = __atomic_add_fetch(&key_count, 1, __ATOMIC_RELAXED);
    if (key > KEYS_MAX)
        hki_panic("more than %d task-local variables", KEYS_MAX);
    __atomic_store_n(&keys[key - 1], local, __ATOMIC_RELEASE);
    if (!__atomic_compare_exchange_n(&local->hki_key, &none, key, false,
                                     __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        __atomic_store_n(&keys[key - 1], NULL, __ATOMIC_RELEASE); /* lost the race */
        key = none;
    }
    return key;
}

static struct hki_locals **locals_of(struct hki_self *self)
{
    if (self->kind == HKI_SELF_TASK)
        return &hki_task_of(self)->stack->locals;
    if (self->kind == HKI_SELF_THREAD)
        return &hki_thread_of(self)->locals;
    hki_panic("a task-local value inside a callback of the event loop");
}

void *hk_local_get(hk_local *local)
{
    struct hki_locals *locals = *locals_of(hki_self());
    uint32_t key = __atomic_load_n(&local->hki_key, __ATOMIC_ACQUIRE);

    return locals && key && key <= locals->size ? locals->values[key - 1] : NULL;
}

int hk_local_set(hk_local *local, void *value)
{
    struct hki_locals **place = locals_of(hki_self()), *locals = *place;
    uint32_t key = key_of(local);

    if (!locals || locals->size < key) {
        uint32_t old = locals ? locals->size : 0;
        struct hki_locals *grown =
            hki_realloc(locals, sizeof(*grown) + key * sizeof(void *));

        if (!grown)
            return -ENOMEM;
        memset(&grown->values[old], 0, (key - old) * sizeof(void *));
        grown->size = key;
        *place = locals = grown;
    }
    locals->values[key - 1] = value;
    return 0;
}

void hki_locals_destroy(struct hki_locals **place)
{
    /* A destructor may set values again: a few rounds, as pthread keys do. */
    for (int round = 0; *place && round < 4; round++) {
        struct hki_locals *locals = *place;

        *place = NULL;
        for (uint32_t i = 0; i < locals->size; i++) {
            hk_local *local = __atomic_load_n(&keys[i], __ATOMIC_ACQUIRE);

            if (locals->values[i] && local && local->destroy)
                local->destroy(locals->values[i]);
        }
        hki_free(locals);
    }
    hki_free(*place);
    *place = NULL;
}
