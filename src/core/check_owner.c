/* SPDX-License-Identifier: MIT */
/*
 * Owners: assertions about who may touch a structure. The owner's name is copied when
 * it is declared, so that the sentence can be said after the owner has ended; a task or
 * thread is told from a later one with the same record by its generation.
 */
#include "core/check.h"

#include "core/runtime.h"
#include "core/task.h"
#include "core/thread.h"

#include <hocket/task.h>

#include <stdio.h>

enum kind { NOBODY, SELF, WORKER, MUTEX, LOCK };

static uint32_t generation_of(struct hki_self *self)
{
    switch (self->kind) {
    case HKI_SELF_TASK: return hki_task_of(self)->generation;
    case HKI_SELF_THREAD: return (uint32_t)hki_thread_of(self)->generation;
    default: return 0;
    }
}

/* A plain thread is a worker of its own. */
static const void *worker_of(const struct hki_self *self)
{
    return self->worker ? (const void *)self->worker : self;
}

/* Of a worker: the memory of a runtime may be another's, but not its number. */
static uint32_t worker_generation_of(struct hki_self *self)
{
    return self->worker ? (uint32_t)self->worker->runtime->number : generation_of(self);
}

bool hk_is_owned(const hk_owner *owner)
{
    struct hki_self *self = hki_self();

    switch ((enum kind)owner->hki_kind) {
    case NOBODY: return true;
    case SELF:
        return owner->hki_who == self && owner->hki_generation == generation_of(self);
    case WORKER:
        return owner->hki_who == worker_of(self) &&
               owner->hki_generation == worker_generation_of(self);
    case MUTEX: return hk_mutex_is_held(owner->hki_who);
    case LOCK: return owner->hki_is_held(owner->hki_who);
    }
    return false;
}

/* ---- the sentence ---- */

static void describe_owner(const hk_owner *owner, char *text, size_t size)
{
    const hk_mutex *mutex = owner->hki_who;
    const struct hki_self *holder;

    switch ((enum kind)owner->hki_kind) {
    case SELF:
    case WORKER: (void)snprintf(text, size, "%s", owner->hki_owner_name); return;
    case MUTEX:
        holder = __atomic_load_n(&mutex->hki_holder, __ATOMIC_RELAXED);
        (void)snprintf(text, size, "who holds mutex '%s' (%p), which is %s%s%s",
                       mutex->name ? mutex->name : "unnamed", (const void *)mutex,
                       holder ? "'" : "", holder ? hki_self_name(holder) : "nobody",
                       holder ? "'" : "");
        return;
    default: (void)snprintf(text, size, "who holds the lock at %p", owner->hki_who);
    }
}

static _Noreturn __attribute__((cold, noinline)) void panic_foreign(
    const hk_owner *owner)
{
    char text[160];

    describe_owner(owner, text, sizeof(text));
    hki_panic("'%s' touches %s (%p), which is owned by %s", hk_task_name(),
              owner->name ? owner->name : "a structure", (const void *)owner, text);
}

void hk_assert_owned(const hk_owner *owner)
{
    if (HKI_UNLIKELY(!hk_is_owned(owner)))
        panic_foreign(owner);
}

/* ---- declaring ---- */

static void declare(hk_owner *owner, enum kind kind, const void *who)
{
    hk_assert_owned(owner);
    owner->hki_kind = kind;
    owner->hki_who = who;
    owner->hki_is_held = NULL;
}

void hk_owned_by_me(hk_owner *owner)
{
    struct hki_self *self = hki_self();

    declare(owner, SELF, self);
    owner->hki_generation = generation_of(self);
    (void)snprintf(owner->hki_owner_name, sizeof(owner->hki_owner_name), "%s '%s'",
                   hki_check_what_is(self), hki_self_name(self));
}

void hk_owned_by_worker(hk_owner *owner)
{
    struct hki_self *self = hki_self();

    declare(owner, WORKER, worker_of(self));
    owner->hki_generation = worker_generation_of(self);
    if (self->worker)
        (void)snprintf(owner->hki_owner_name, sizeof(owner->hki_owner_name),
                       "worker %u of runtime %u", self->worker->index,
                       self->worker->runtime->serial);
    else
        (void)snprintf(owner->hki_owner_name, sizeof(owner->hki_owner_name),
                       "thread '%s'", hki_self_name(self));
}

void hk_owned_by_mutex(hk_owner *owner, const hk_mutex *mutex)
{
    declare(owner, MUTEX, mutex);
}

void hk_owned_by_lock(hk_owner *owner, const void *lock, hk_is_held_fn *is_held)
{
    declare(owner, LOCK, lock);
    owner->hki_is_held = is_held;
}

void hk_owned_by_nobody(hk_owner *owner)
{
    declare(owner, NOBODY, NULL);
}
