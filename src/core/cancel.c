/* SPDX-License-Identifier: MIT */
/*
 * How a cancel spreads: from a scope to the scopes opened inside it, to their children,
 * and so on, stopping at shields and where it had come before. The walk is a loop over
 * a work list that is threaded through the scopes themselves: it needs no memory and no
 * recursion, whatever the depth.
 *
 * Each scope is handled on its home worker. Children elsewhere get a message; a scope
 * cancelled from elsewhere gets one, too.
 */
#include "core/runtime.h"
#include "core/scope.h"
#include "core/thread.h"
#include "core/wait.h"
#include "core/worker.h"
#include "core/workers.h"

static bool task_outside_is_cancelled(const struct hki_task *task)
{
    return (__atomic_load_n(&task->self.flags, __ATOMIC_RELAXED) &
            HKI_TASK_CANCELLED) ||
           (task->parent && (hki_scope_flags_of(task->parent) & HKI_SCOPE_EFFECTIVE));
}

bool hki_scope_outside_is_cancelled(const hk_scope *scope)
{
    if (scope->hki_outer)
        return hki_scope_flags_of(scope->hki_outer) & HKI_SCOPE_EFFECTIVE;
    return scope->hki_owner->kind == HKI_SELF_TASK &&
           task_outside_is_cancelled(hki_task_of(scope->hki_owner));
}

static bool thread_has_deadline(const struct hki_self *self)
{
    for (const hk_scope *s = self->scope; s; s = s->hki_outer)
        if (s->hki_deadline.hki_deadline_ns &&
            s->hki_deadline.hki_deadline_ns != HK_NEVER &&
            !(s->hki_flags & HKI_SCOPE_CANCELLED))
            return true;
    return false;
}

uint8_t hki_self_attention(const struct hki_self *self)
{
    bool cancelled =
        self->scope ? hki_scope_flags_of(self->scope) & HKI_SCOPE_EFFECTIVE
        : self->kind == HKI_SELF_TASK
            ? task_outside_is_cancelled((const struct hki_task *)(const void *)self)
            : false;
    uint8_t bits = cancelled ? HKI_CANCELLED : 0;

    if (self->kind == HKI_SELF_THREAD && thread_has_deadline(self))
        bits |= HKI_CLOCK;
    return bits;
}

/* ---- spreading ---- */

/* Brings self->attention up to date, and ends the wait of who is parked. */
static void refresh(struct hki_self *self)
{
    uint8_t before = self->attention, now = hki_self_attention(self);

    if (before == now)
        return;
    __atomic_store_n(&self->attention, now, __ATOMIC_RELAXED);
    if (self->kind == HKI_SELF_THREAD)
        hki_thread_kick(hki_thread_of(self));
    else if ((now & HKI_CANCELLED) && self->waiter)
        (void)hki_wait_abort(self, -ECANCELED);
}

/*
 * The end of every work list: so hki_walk is NULL in no list. An abort may cancel other
 * scopes, in a walk inside ours; one that lies in our list is left for us.
 */
static hk_scope walk_end;

/* Adds the outermost scope of `task` to the work list, or deals with a task that has
 * no scope open. */
static void visit_task(struct hki_task *task, hk_scope **list)
{
    hk_scope *outermost = task->self.scope;

    if (!outermost) {
        refresh(&task->self);
        return;
    }
    while (outermost->hki_outer)
        outermost = outermost->hki_outer;
    if (outermost->hki_walk)
        return;
    outermost->hki_walk = *list;
    *list = outermost;
}

static void cancel_message(hk_inbox_node *node, struct hki_worker *worker)
{
    struct hki_stack_top *top =
        hki_container_of(node, struct hki_stack_top, cancel_node);
    struct hki_task *task = top->task;

    if (task->self.flags & HKI_TASK_ZOMBIE) {
        worker->zombies--;
        hki_stack_put(&worker->stacks, hki_stack_of(top));
        hki_task_free(worker, task);
        return;
    }
    hki_lock_acquire(&task->parent->hki_lock);
    top->cancel_posted = 0;
    hki_lock_release(&task->parent->hki_lock);
    hki_cancel_spread_task(task);
}

/* Remote children: those of this worker are visited now, the others get a message.
 * One that has not started will look at the scope's flag when it does. */
static void visit_remote(hk_scope *scope, hk_scope **list)
{
    if (!__atomic_load_n(&scope->hki_remote_used, __ATOMIC_SEQ_CST))
        return;
    hki_lock_acquire(&scope->hki_lock);
    for (struct hki_task *t = scope->hki_remote; t; t = t->sibling_next) {
        if (!hki_task_is_started(t))
            continue;
        if (t->self.worker == hki_worker_current) {
            visit_task(t, list);
        } else if (!t->stack->cancel_posted) {
            t->stack->cancel_posted = 1;
            t->stack->cancel_node.hki_run = cancel_message;
            hki_worker_post(t->self.worker, &t->stack->cancel_node);
        }
    }
    hki_guests_cancel(scope);
    hki_lock_release(&scope->hki_lock);
}

static bool should_be_effective(const hk_scope *scope)
{
    uint32_t flags = hki_scope_flags_of(scope);

    return (flags & HKI_SCOPE_CANCELLED) ||
           (!(flags & HKI_SCOPE_SHIELDED) && hki_scope_outside_is_cancelled(scope));
}

/* Sets or clears the bit; false when it was right already. */
static bool update_effective(hk_scope *scope)
{
    uint32_t flags = hki_scope_flags_of(scope);
    uint32_t now = should_be_effective(scope) ? flags | HKI_SCOPE_EFFECTIVE
                                              : flags & ~(uint32_t)HKI_SCOPE_EFFECTIVE;

    if (now == flags)
        return false;
    __atomic_store_n(&scope->hki_flags, now, __ATOMIC_SEQ_CST);
    return true;
}

static void walk(hk_scope *list)
{
    while (list != &walk_end) {
        hk_scope *outermost = list;
        struct hki_self *owner = outermost->hki_owner;

        list = outermost->hki_walk;
        outermost->hki_walk = NULL;
        for (hk_scope *s = outermost; s && update_effective(s); s = s->hki_inner) {
            for (struct hki_task *t = s->hki_local; t; t = t->sibling_next)
                if (hki_task_is_started(t))
                    visit_task(t, &list);
            visit_remote(s, &list);
        }
        refresh(owner);
    }
}

void hki_cancel_spread(hk_scope *scope)
{
    if (scope->hki_walk)
        return;
    scope->hki_walk = &walk_end;
    walk(scope);
}

void hki_cancel_spread_task(struct hki_task *task)
{
    hk_scope *list = &walk_end;

    visit_task(task, &list);
    walk(list);
}

/* ---- cancelling a scope ---- */

void hki_scope_cancel_here(hk_scope *scope, hk_scope_why why)
{
    uint32_t flags = hki_scope_flags_of(scope);

    if (flags & HKI_SCOPE_CANCELLED)
        return;
    if (scope->hki_deadline.hki_link)
        hki_wheel_cancel(&scope->hki_owner->worker->wheel, &scope->hki_deadline);
    __atomic_store_n(&scope->hki_flags,
                     flags | HKI_SCOPE_CANCELLED | (uint32_t)why << HKI_SCOPE_WHY_SHIFT,
                     __ATOMIC_RELAXED);
    hki_cancel_spread(scope);
}

/* Two bits of hki_delivered carry the reason of a cancel on its way home, plus one. */
enum { FAR_WHY_SHIFT = 8 };

static void cancel_comes_home(hk_inbox_node *node, struct hki_worker *worker)
{
    hk_scope *scope = hki_container_of(node, hk_scope, hki_message);
    uint32_t word = __atomic_load_n(&scope->hki_delivered, __ATOMIC_RELAXED);

    (void)worker;
    hki_scope_cancel_here(scope, (hk_scope_why)(word >> FAR_WHY_SHIFT & 7));
    hki_scope_release_remote(scope);
}

static void cancel_far(hk_scope *scope, hk_scope_why why)
{
    hki_lock_acquire(&scope->hki_lock);
    if (scope->hki_message.hki_run) { /* one is enough */
        hki_lock_release(&scope->hki_lock);
        return;
    }
    scope->hki_message.hki_run = cancel_comes_home;
    __atomic_or_fetch(&scope->hki_delivered, (uint32_t)why << FAR_WHY_SHIFT,
                      __ATOMIC_RELAXED);
    __atomic_store_n(&scope->hki_remote_used, 1, __ATOMIC_RELAXED);
    /* The join outlasts the message. */
    __atomic_add_fetch(&scope->hki_remote_count, 1, __ATOMIC_RELAXED);
    hki_lock_release(&scope->hki_lock);
    hki_worker_post(scope->hki_owner->worker, &scope->hki_message);
}

void hki_scope_cancel_why(hk_scope *scope, hk_scope_why why)
{
    struct hki_self *owner = scope->hki_owner;

    if (owner->kind == HKI_SELF_THREAD) {
        struct hki_thread *thread = hki_thread_of(owner);

        hki_lock_acquire(&thread->scopes_lock);
        hki_scope_cancel_here(scope, why);
        hki_lock_release(&thread->scopes_lock);
    } else if (owner->worker == hki_worker_current) {
        hki_scope_cancel_here(scope, why);
    } else {
        cancel_far(scope, why);
    }
}

void hk_scope_cancel(hk_scope *scope)
{
    if (HKI_UNLIKELY(!hki_scope_is_open(scope)))
        hki_panic("hk_scope_cancel of a scope that is not open");
    hki_scope_cancel_why(scope, HK_BY_CANCEL);
}

void hk_scope_shield(hk_scope *scope, bool on)
{
    struct hki_self *self = hki_self();
    struct hki_thread *thread =
        self->kind == HKI_SELF_THREAD ? hki_thread_of(self) : NULL;
    uint32_t flags;

    if (HKI_UNLIKELY(scope->hki_owner != self))
        hki_panic("hk_scope_shield by '%s' on a scope that it did not open",
                  hk_task_name());
    if (thread)
        hki_lock_acquire(&thread->scopes_lock);
    flags = hki_scope_flags_of(scope);
    flags = on ? flags | HKI_SCOPE_SHIELDED : flags & ~(uint32_t)HKI_SCOPE_SHIELDED;
    __atomic_store_n(&scope->hki_flags, flags, __ATOMIC_RELAXED);
    hki_cancel_spread(scope);
    if (thread)
        hki_lock_release(&thread->scopes_lock);
}

/* ---- noticing ---- */

void hki_cancel_delivered(struct hki_self *self)
{
    hk_scope *scope = self->scope;

    while (scope || self->kind == HKI_SELF_TASK) {
        bool from_outside;

        if (!scope) { /* over the edge of a task: on in the scope it belongs to */
            scope = hki_task_of(self)->parent;
            if (!scope || !(hki_scope_flags_of(scope) & HKI_SCOPE_EFFECTIVE))
                return; /* its own cancel, by hk_task_cancel */
        }
        from_outside = !(hki_scope_flags_of(scope) & HKI_SCOPE_SHIELDED) &&
                       hki_scope_outside_is_cancelled(scope);
        __atomic_or_fetch(&scope->hki_delivered,
                          from_outside ? HKI_DELIVERED_OUTER : HKI_DELIVERED_OWN,
                          __ATOMIC_RELAXED);
        if (!from_outside)
            return;
        self = scope->hki_owner;
        scope = scope->hki_outer;
    }
}

void hki_panic_no_waiting(void)
{
    hki_fork_guard();
    hki_panic("a waiting call inside a callback of the event loop");
}

int hki_self_checkpoint(struct hki_self *self)
{
    if (self->kind == HKI_SELF_LOOP)
        hki_panic_no_waiting();
    if (self->kind == HKI_SELF_THREAD)
        return hki_thread_checkpoint(hki_thread_of(self));
    if (!(self->attention & HKI_CANCELLED))
        return 0;
    hki_cancel_delivered(self);
    return -ECANCELED;
}
