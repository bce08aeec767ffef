/* SPDX-License-Identifier: MIT */
/*
 * What each task and thread holds: a short array that its owner alone writes, since it
 * is changed at every lock and unlock. Where a lock was taken is kept as the return
 * addresses along the frame pointers: a few loads, where unwinding would cost a hundred
 * times as much. Ours always have frame pointers, so the caller of the lock is right;
 * what lies further out is right if the program keeps them, too.
 *
 * Who looks for the holders of a lock reads the arrays of others meanwhile. It may miss
 * one that changes just now; but one that it finds is true if its owner waits, as the
 * owner wrote it before it registered to wait (check_wait.c).
 */
#include "core/check.h"

#include "core/runtime.h"
#include "core/task.h"
#include "core/thread.h"
#include "sys/os.h"
#include "sys/symbols.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE_FIRST = 8 };

static struct hki_holds *all;        /* atomic; only ever grows */
static struct hki_holds *free_holds; /* guarded by pool_lock */
static uint32_t pool_lock;

/* ---- records ---- */

static struct hki_holds **place_of(struct hki_self *self)
{
    switch (self->kind) {
    case HKI_SELF_TASK: return &hki_task_of(self)->stack->holds;
    case HKI_SELF_THREAD: return &hki_thread_of(self)->holds;
    default: return NULL;
    }
}

static struct hki_hold_room *room_of(const struct hki_holds *holds)
{
    return __atomic_load_n(&holds->room, __ATOMIC_ACQUIRE);
}

/* Memory that is no program's: not in the ledger, and no fault is injected. */
static bool grow(struct hki_holds *holds)
{
    struct hki_hold_room *old = holds->room, *room;
    uint32_t size = old ? old->size * 2 : SIZE_FIRST;

    room = calloc(1, sizeof(*room) + size * sizeof(room->items[0]));
    if (!room)
        return false;
    room->older = old;
    room->size = size;
    if (old)
        memcpy(room->items, old->items, old->size * sizeof(old->items[0]));
    __atomic_store_n(&holds->room, room, __ATOMIC_RELEASE);
    return true;
}

static struct hki_holds *record_new(void)
{
    struct hki_holds *holds = calloc(1, sizeof(*holds));

    if (!holds)
        return NULL;
    if (!grow(holds)) {
        free(holds);
        return NULL;
    }
    holds->next = __atomic_load_n(&all, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&all, &holds->next, holds, true,
                                        __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        ;
    return holds;
}

static struct hki_holds *record_take(void)
{
    struct hki_holds *holds;

    hki_lock_acquire(&pool_lock);
    holds = free_holds;
    if (holds)
        free_holds = holds->next_free;
    hki_lock_release(&pool_lock);
    if (!holds)
        return record_new();
    HKI_HB_ACQUIRE(holds);
    return holds;
}

static void set_count(struct hki_holds *holds, uint32_t count)
{
    __atomic_store_n(&holds->count, count, __ATOMIC_RELEASE);
}

/* What was unlocked while the checks were off was not noted. */
static bool is_of_now(const struct hki_holds *holds)
{
    return __atomic_load_n(&holds->epoch, __ATOMIC_ACQUIRE) == hki_check_epoch();
}

static const char *top_of(struct hki_self *self)
{
    const void *low;
    size_t size;

    if (self->kind == HKI_SELF_TASK)
        return (const char *)hki_task_of(self)->stack;
    hki_os_thread_stack(&low, &size);
    return (const char *)low + size;
}

static __attribute__((noinline, cold)) struct hki_holds *refresh(struct hki_self *self)
{
    struct hki_holds **place = place_of(self), *holds;

    if (!place)
        return NULL;
    /* Everybody comes here first: pairs with the release that switched the checks on,
     * so that what they need is there. */
    (void)__atomic_load_n(&hki_checks, __ATOMIC_ACQUIRE);
    holds = *place;
    if (!holds) {
        holds = record_take();
        if (!holds)
            return NULL;
        holds->top = top_of(self);
        __atomic_store_n(&holds->self, self, __ATOMIC_RELEASE);
        *place = holds;
    }
    set_count(holds, 0);
    holds->ordered = NULL;
    __atomic_store_n(&holds->epoch, hki_check_epoch(), __ATOMIC_RELEASE);
    return holds;
}

struct hki_holds *hki_holds_peek(const struct hki_self *self)
{
    struct hki_holds **place = place_of((struct hki_self *)self);

    return place && *place && is_of_now(*place) ? *place : NULL;
}

struct hki_holds *hki_holds_get(struct hki_self *self)
{
    struct hki_holds *holds = hki_holds_peek(self);

    return HKI_LIKELY(holds) ? holds : refresh(self);
}

/* ---- taking and giving ---- */

static void set_lock(struct hki_hold *item, const void *lock)
{
    __atomic_store_n(&item->lock, lock, __ATOMIC_RELAXED);
}

struct hki_hold *hki_holds_find(struct hki_holds *holds, const void *lock)
{
    struct hki_hold *items = room_of(holds)->items;

    for (uint32_t i = holds->count; i-- > 0;)
        if (items[i].lock == lock)
            return &items[i];
    return NULL;
}

void hki_check_took(struct hki_self *self, const void *lock, const hk_wait_kind *kind,
                    enum hki_holding hold)
{
    struct hki_holds *holds = hki_holds_get(self);
    struct hki_hold *item;

    if (HKI_UNLIKELY(!holds))
        return;
    item = hki_holds_find(holds, lock);
    if (HKI_UNLIKELY(item)) {
        item->levels++;
        return;
    }
    if (HKI_UNLIKELY(holds->count == holds->room->size) && !grow(holds))
        return;
    item = &holds->room->items[holds->count];
    set_lock(item, lock);
    item->kind = kind;
    item->scope = self->scope;
    item->identity = hki_order_identity(lock, kind);
    item->levels = 1;
    item->hold = (uint8_t)hold;
    item->may_have_waited = holds->ordered == lock;
    holds->ordered = NULL;
    hki_backtrace_by_frames(holds->top, item->site, HKI_SITE_FRAMES);
    set_count(holds, holds->count + 1);
}

/* The lock's place in the array is atomic, the rest is not. */
static void move_item(struct hki_hold *to, const struct hki_hold *from)
{
    const size_t rest = offsetof(struct hki_hold, kind);

    set_lock(to, from->lock);
    memcpy((char *)to + rest, (const char *)from + rest, sizeof(*to) - rest);
}

void hki_check_gave(struct hki_self *self, const void *lock)
{
    struct hki_holds *holds = hki_holds_peek(self);
    struct hki_hold *item = holds ? hki_holds_find(holds, lock) : NULL;

    if (HKI_UNLIKELY(!item) || --item->levels > 0)
        return;
    for (struct hki_hold *end = &holds->room->items[holds->count - 1]; item < end;
         item++)
        move_item(item, item + 1);
    set_lock(item, NULL);
    set_count(holds, holds->count - 1);
}

const hk_scope *hki_check_scope(const struct hki_self *self, const void *lock)
{
    struct hki_holds *holds = hki_holds_peek(self);
    const struct hki_hold *hold = holds ? hki_holds_find(holds, lock) : NULL;

    return hold ? hold->scope : self->scope;
}

void hki_check_set_scope(struct hki_self *self, const void *lock, const hk_scope *scope)
{
    struct hki_holds *holds = hki_holds_peek(self);
    struct hki_hold *hold = holds ? hki_holds_find(holds, lock) : NULL;

    if (hold)
        hold->scope = scope;
}

size_t hki_check_holders(const void *lock, hk_holder *out, size_t max)
{
    struct hki_holds *holds = __atomic_load_n(&all, __ATOMIC_ACQUIRE);
    size_t found = 0;

    for (; holds; holds = holds->next) {
        hk_holder self =
            is_of_now(holds) ? __atomic_load_n(&holds->self, __ATOMIC_ACQUIRE) : NULL;
        uint32_t count = __atomic_load_n(&holds->count, __ATOMIC_ACQUIRE);
        const struct hki_hold *items = room_of(holds)->items; /* after the count */

        for (uint32_t i = 0; self && i < count; i++)
            if (__atomic_load_n(&items[i].lock, __ATOMIC_RELAXED) == lock) {
                if (found < max)
                    out[found] = self;
                found++;
                break;
            }
    }
    return found;
}

/* ---- in words ---- */

const char *hki_check_what_is(const struct hki_self *self)
{
    return self->kind == HKI_SELF_THREAD ? "thread" : "task";
}

static const char *name_of(const void *lock, const hk_wait_kind *kind)
{
    if (!kind || !kind->name_offset)
        return NULL;
    return *(const char *const *)(const void *)((const char *)lock + kind->name_offset);
}

void hki_check_lock_text(const void *lock, const hk_wait_kind *kind, char *text,
                         size_t size)
{
    const char *what = kind && kind->name ? kind->name : "lock";
    const char *name = name_of(lock, kind);

    if (name)
        (void)snprintf(text, size, "%s '%s'", what, name);
    else
        (void)snprintf(text, size, "%s %p", what, lock);
}

/* Where it was taken, as a stack; the innermost part is the lock's own. */
static void frames_of(const struct hki_hold *hold, struct hki_frames *out)
{
    out->count = 0;
    out->first_is_exact = false;
    for (int i = 0; i < HKI_SITE_FRAMES && hold->site[i]; i++)
        out->pc[out->count++] = (void *)hold->site[i];
}

void hki_check_add_site(struct hki_report *report, int indent,
                        const struct hki_hold *hold)
{
    struct hki_frames frames;

    frames_of(hold, &frames);
    hki_report_add_frames(report, indent, &frames);
}

/* ---- misuse ---- */

static _Noreturn __attribute__((cold)) void panic_keeps(const struct hki_self *self,
                                                        const struct hki_hold *hold,
                                                        const hk_scope *scope)
{
    struct hki_report report;
    char text[128];

    hki_check_lock_text(hold->lock, hold->kind, text, sizeof(text));
    hki_report_init(&report, -1);
    hki_report_add(&report, "%s was taken by %s '%s' at\n", text,
                   hki_check_what_is(self), hki_self_name(self));
    hki_check_add_site(&report, 6, hold);
    hki_report_log(&report, HK_LOG_ERROR);
    if (scope)
        hki_panic("%s '%s' leaves scope '%s' while it holds %s, which it took inside: "
                  "unlock it first",
                  hki_check_what_is(self), hki_self_name(self),
                  scope->hki_name ? scope->hki_name : "unnamed", text);
    hki_panic("%s '%s' ends while it holds %s: unlock it first",
              hki_check_what_is(self), hki_self_name(self), text);
}

/* A scope with a deadline is how one locks with a timeout: it may be left with what was
 * taken in it, which from then on was taken in the scope around. */
void hki_check_leaves(struct hki_self *self, const hk_scope *scope)
{
    struct hki_holds *holds = hki_holds_peek(self);

    for (uint32_t i = 0; holds && i < holds->count; i++) {
        struct hki_hold *hold = &holds->room->items[i];

        if (hold->scope != scope)
            continue;
        if (!scope->hki_deadline.hki_deadline_ns)
            panic_keeps(self, hold, scope);
        hold->scope = scope->hki_outer;
    }
}

void hki_check_ends(struct hki_self *self)
{
    struct hki_holds **place = place_of(self), *holds = *place;

    if (hki_is_checking() && is_of_now(holds) && holds->count)
        panic_keeps(self, &holds->room->items[holds->count - 1], NULL);
    *place = NULL;
    HKI_HB_RELEASE(holds);
    set_count(holds, 0);
    __atomic_store_n(&holds->self, NULL, __ATOMIC_RELEASE);
    hki_lock_acquire(&pool_lock);
    holds->next_free = free_holds;
    free_holds = holds;
    hki_lock_release(&pool_lock);
}
