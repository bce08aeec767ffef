/* SPDX-License-Identifier: MIT */
/*
 * Guests of a scope, and where a job belongs. A guest is counted with the remote
 * children and guarded by the same lock, so that the join outlasts it. Like a task that
 * starts elsewhere it looks for a cancel after it has become visible to who cancels.
 */
#include "core/runtime.h"
#include "core/scope.h"
#include "core/workers.h"

void hki_guest_link(struct hki_guest *guest)
{
    hk_scope *scope = guest->scope;

    /* Before a look at the flags: pairs with visit_remote in core/cancel.c. */
    __atomic_store_n(&scope->hki_remote_used, 1, __ATOMIC_SEQ_CST);
    guest->next = scope->hki_guests;
    guest->link = &scope->hki_guests;
    if (guest->next)
        guest->next->link = &guest->next;
    scope->hki_guests = guest;
    HKI_HB_RELEASE(guest); /* to who cancels it */
}

bool hki_guest_enter(struct hki_guest *guest, hk_scope *scope)
{
    bool enters;

    hki_lock_acquire(&scope->hki_lock);
    __atomic_store_n(&scope->hki_remote_used, 1, __ATOMIC_SEQ_CST);
    enters =
        !(__atomic_load_n(&scope->hki_flags, __ATOMIC_SEQ_CST) & HKI_SCOPE_EFFECTIVE);
    if (enters) {
        __atomic_add_fetch(&scope->hki_remote_count, 1, __ATOMIC_RELAXED);
        guest->scope = scope;
        hki_guest_link(guest);
    }
    hki_lock_release(&scope->hki_lock);
    return enters;
}

void hki_guest_leave(struct hki_guest *guest)
{
    hk_scope *scope = guest->scope;

    if (!scope)
        return;
    hki_lock_acquire(&scope->hki_lock);
    *guest->link = guest->next;
    if (guest->next)
        guest->next->link = guest->link;
    guest->scope = NULL;
    HKI_HB_ACQUIRE(guest); /* who has cancelled it is done with it */
    hki_lock_release(&scope->hki_lock);
    HKI_HB_RELEASE(scope); /* what it did is seen after the join */
    hki_scope_release_remote(scope);
}

void hki_guests_cancel(hk_scope *scope)
{
    for (struct hki_guest *g = scope->hki_guests; g; g = g->next) {
        HKI_HB_ACQUIRE(g);
        g->cancel(g);
        HKI_HB_RELEASE(g);
    }
}

hk_holder hki_holder_here(void)
{
    return hki_self();
}

static hk_scope *scope_around(struct hki_self *self)
{
    struct hki_runtime *runtime;

    if (HKI_LIKELY(self->scope || self->parent))
        return self->scope ? self->scope : self->parent;
    if (self->kind != HKI_SELF_TASK)
        return NULL;
    runtime = self->worker->runtime;
    if (runtime->background)
        return NULL;
    hk_scope_open_with(&runtime->root, 0, "main");
    return &runtime->root;
}

hk_scope *hki_scope_around(void)
{
    return scope_around(hki_self());
}

int hki_scope_for_job(hk_scope **out)
{
    struct hki_self *self = hki_self();
    int rc = hki_enter(self);

    if (HKI_LIKELY(rc == 0))
        *out = scope_around(self);
    return rc;
}

/* Who is inside of a task keeps it from ending, so what it runs may be looked at. */
bool hki_is_inside(hk_task_fn *fn, bool (*is_it)(const void *arg, const void *ctx),
                   const void *ctx)
{
    struct hki_self *self = hki_self();

    while (self) {
        const struct hki_stack_top *top =
            self->kind == HKI_SELF_TASK ? hki_task_of(self)->stack : NULL;

        if (top && top->fn == fn && top->arg && is_it(top->arg, ctx))
            return true;
        self = self->parent ? self->parent->hki_owner : NULL;
    }
    return false;
}

static bool is_first_task(const struct hki_self *self)
{
    return !self->parent && !(self->flags & HKI_TASK_FOUND) &&
           !self->worker->runtime->background;
}

enum hki_caller hki_caller(void **out_arg)
{
    struct hki_self *self = hki_self();
    void *arg;

    if (self->kind != HKI_SELF_TASK)
        return self->kind == HKI_SELF_THREAD ? HKI_CALLER_THREAD : HKI_CALLER_OTHER;
    arg = hki_task_of(self)->stack->arg;
    if (arg && (self->flags & HKI_TASK_JOB) &&
        (!(self->flags & HKI_TASK_FOUND) || (self->flags & HKI_TASK_COUNTED))) {
        *out_arg = arg;
        return HKI_CALLER_JOB;
    }
    return is_first_task(self) ? HKI_CALLER_THREAD : HKI_CALLER_OTHER;
}

int hki_worker_here(struct hki_worker **out)
{
    struct hki_worker *worker = hki_worker_current;

    if (!worker || worker->runtime->background)
        return hki_background_worker(out);
    *out = worker;
    return 0;
}
