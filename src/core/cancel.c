/* SPDX-License-Identifier: MIT */
/*
 * How a cancel spreads: from a scope to the scopes opened inside it, to their children,
 * and so on, stopping at shields and where it had come before. The walk is a loop over
 * a work list that is threaded through the scopes themselves: it needs no memory and no
 * recursion, whatever the depth.
 *
 * Each scope is handled on its home worker. Tasks elsewhere get a message; a scope
 * cancelled from elsewhere gets one, too. A thread's scopes are walked by whoever
 * cancels, with the lock of their chain.
 */
#include "core/runtime.h"
#include "core/scope.h"
#include "core/thread.h"
#include "core/wait.h"
#include "core/worker.h"
#include "core/workers.h"

/* Of a task or thread: by its own cancel, or by the scope it belongs to. */
static bool self_outside_is_cancelled(const struct hki_self *self)
{
    return (__atomic_load_n(&self->flags, __ATOMIC_RELAXED) & HKI_TASK_CANCELLED) ||
           (self->parent && (hki_scope_flags_of(self->parent) & HKI_SCOPE_EFFECTIVE));
}

bool hki_scope_outside_is_cancelled(const hk_scope *scope)
{
    if (scope->hki_outer)
        return hki_scope_flags_of(scope->hki_outer) & HKI_SCOPE_EFFECTIVE;
    return self_outside_is_cancelled(scope->hki_owner);
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
    bool cancelled = self->scope ? hki_scope_flags_of(self->scope) & HKI_SCOPE_EFFECTIVE
                                 : self_outside_is_cancelled(self);
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
 * What is still to be visited. Whoever is found while a lock is held (of a scope, or of
 * a thread's chain of scopes) waits here until it is released: an abort function may
 * cancel any scope, also the very one whose lock that is.
 */
struct spread {
    hk_scope *scopes;           /* outermost ones of this worker's tasks, by hki_walk */
    hk_inbox_node *tasks;       /* remote tasks of this worker, by their cancel_node */
    struct hki_thread *threads; /* by cancel_next */
};

/*
 * The end of every list of scopes: so hki_walk is NULL in no list. An abort may cancel
 * other scopes, in a walk inside ours; one that lies in our list is left for us.
 */
static hk_scope walk_end;

#define NOTHING_TO_VISIT ((struct spread){.scopes = &walk_end})

static hk_scope *outermost_of(const struct hki_self *self)
{
    hk_scope *scope = self->scope;

    while (scope && scope->hki_outer)
        scope = scope->hki_outer;
    return scope;
}

/* Adds the outermost scope of `task` to the list, or deals with a task that has no
 * scope open. No lock held. */
static void visit_task(struct hki_task *task, struct spread *spread)
{
    hk_scope *outermost = outermost_of(&task->self);

    if (!outermost) {
        refresh(&task->self);
        return;
    }
    if (outermost->hki_walk)
        return;
    outermost->hki_walk = spread->scopes;
    spread->scopes = outermost;
}

/* From now on another canceller tells it anew. */
static struct hki_task *take_cancel_node(hk_inbox_node *node)
{
    struct hki_task *task =
        hki_container_of(node, struct hki_stack_top, cancel_node)->task;

    hki_lock_acquire(&task->self.parent->hki_lock);
    task->stack->cancel_posted = 0;
    hki_lock_release(&task->self.parent->hki_lock);
    return task;
}

static void cancel_message(hk_inbox_node *node, struct hki_worker *worker)
{
    struct hki_stack_top *top =
        hki_container_of(node, struct hki_stack_top, cancel_node);

    if (top->task->self.flags & HKI_TASK_ZOMBIE) {
        worker->zombies--;
        hki_stack_put(&worker->stacks, hki_stack_of(top));
        hki_task_free(worker, top->task);
        return;
    }
    hki_cancel_spread_task(take_cancel_node(node));
}

/* With its scope's lock. One that has not started will look at the scope's flag when it
 * does. One of ours cannot end before we come to it. */
static void tell_task(struct hki_task *task, struct spread *spread)
{
    struct hki_stack_top *top;

    if (!hki_task_is_started(task) || task->stack->cancel_posted)
        return;
    top = task->stack;
    top->cancel_posted = 1;
    top->cancel_node.hki_run = cancel_message;
    if (task->self.worker == hki_worker_current) {
        top->cancel_node.hki_next = spread->tasks;
        spread->tasks = &top->cancel_node;
    } else {
        hki_worker_post(task->self.worker, &top->cancel_node);
    }
}

/* It may end before we come to it, and its record be another's: who is visited in vain
 * finds nothing to change. */
static void tell_thread(struct hki_thread *thread, struct spread *spread)
{
    if (__atomic_exchange_n(&thread->cancel_posted, 1, __ATOMIC_ACQ_REL))
        return; /* who has it in hand will see what we did: pairs with visit_thread */
    thread->cancel_next = spread->threads;
    spread->threads = thread;
}

static void visit_remote(hk_scope *scope, struct spread *spread)
{
    if (!__atomic_load_n(&scope->hki_remote_used, __ATOMIC_SEQ_CST))
        return;
    hki_lock_acquire(&scope->hki_lock);
    for (struct hki_self *child = scope->hki_remote; child; child = child->sibling_next)
        if (child->kind == HKI_SELF_THREAD)
            tell_thread(hki_thread_of(child), spread);
        else
            tell_task(hki_task_of(child), spread);
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

/* From `scope` inward, on the task or thread that owns it. At home. */
static void visit_chain(hk_scope *scope, struct spread *spread)
{
    struct hki_self *owner = scope->hki_owner;

    for (; scope && update_effective(scope); scope = scope->hki_inner) {
        for (struct hki_self *t = scope->hki_local; t; t = t->sibling_next)
            if (hki_task_is_started(hki_task_of(t)))
                visit_task(hki_task_of(t), spread);
        visit_remote(scope, spread);
    }
    refresh(owner);
}

static void look_at_thread(struct hki_thread *thread, struct spread *spread)
{
    hk_scope *outermost;

    hki_lock_acquire(&thread->scopes_lock);
    outermost = outermost_of(&thread->self);
    if (outermost)
        visit_chain(outermost, spread);
    else
        refresh(&thread->self);
    hki_lock_release(&thread->scopes_lock);
}

/* Who has it in hand, and nobody else: then another may have it, and its next. */
static void visit_thread(struct hki_thread *thread, struct spread *spread)
{
    (void)__atomic_exchange_n(&thread->cancel_posted, 0, __ATOMIC_ACQ_REL);
    look_at_thread(thread, spread);
}

/* Until nobody is left. No lock held. */
static void visit_all(struct spread *spread)
{
    for (;;) {
        if (spread->scopes != &walk_end) {
            hk_scope *outermost = spread->scopes;

            spread->scopes = outermost->hki_walk;
            outermost->hki_walk = NULL;
            visit_chain(outermost, spread);
        } else if (spread->tasks) {
            hk_inbox_node *node = spread->tasks;

            spread->tasks = node->hki_next;
            visit_task(take_cancel_node(node), spread);
        } else if (spread->threads) {
            struct hki_thread *thread = spread->threads;

            spread->threads = thread->cancel_next;
            visit_thread(thread, spread);
        } else {
            return;
        }
    }
}

void hki_cancel_spread(hk_scope *scope)
{
    struct spread spread = NOTHING_TO_VISIT;

    if (scope->hki_walk)
        return;
    hki_chain_lock(scope->hki_owner);
    visit_chain(scope, &spread);
    hki_chain_unlock(scope->hki_owner);
    visit_all(&spread);
}

void hki_cancel_spread_task(struct hki_task *task)
{
    struct spread spread = NOTHING_TO_VISIT;

    visit_task(task, &spread);
    visit_all(&spread);
}

void hki_cancel_spread_thread(struct hki_thread *thread)
{
    struct spread spread = NOTHING_TO_VISIT;

    look_at_thread(thread, &spread); /* it may lie in another's list */
    visit_all(&spread);
}

/* ---- cancelling a scope ---- */

/* False when it was cancelled before. */
static bool set_cancelled(hk_scope *scope, hk_scope_why why)
{
    uint32_t flags = hki_scope_flags_of(scope);

    if (flags & HKI_SCOPE_CANCELLED)
        return false;
    if (scope->hki_deadline.hki_link)
        hki_wheel_cancel(&scope->hki_owner->worker->wheel, &scope->hki_deadline);
    __atomic_store_n(&scope->hki_flags,
                     flags | HKI_SCOPE_CANCELLED | (uint32_t)why << HKI_SCOPE_WHY_SHIFT,
                     __ATOMIC_RELAXED);
    return true;
}

void hki_scope_cancel_here(hk_scope *scope, hk_scope_why why)
{
    bool is_new;

    hki_chain_lock(scope->hki_owner);
    is_new = set_cancelled(scope, why);
    hki_chain_unlock(scope->hki_owner);
    if (is_new)
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

    if (owner->kind == HKI_SELF_THREAD || owner->worker == hki_worker_current)
        hki_scope_cancel_here(scope, why);
    else
        cancel_far(scope, why);
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
    uint32_t flags;

    if (HKI_UNLIKELY(scope->hki_owner != self))
        hki_panic("hk_scope_shield by '%s' on a scope that it did not open",
                  hk_task_name());
    hki_chain_lock(self);
    flags = hki_scope_flags_of(scope);
    flags = on ? flags | HKI_SCOPE_SHIELDED : flags & ~(uint32_t)HKI_SCOPE_SHIELDED;
    __atomic_store_n(&scope->hki_flags, flags, __ATOMIC_RELAXED);
    hki_chain_unlock(self);
    hki_cancel_spread(scope);
}

/* ---- noticing ---- */

void hki_cancel_delivered(struct hki_self *self)
{
    hk_scope *scope = self->scope;

    while (scope || self->parent) {
        bool from_outside, by_itself;

        if (!scope) { /* over the edge of a task or thread: on in the scope around */
            scope = self->parent;
            if (!(hki_scope_flags_of(scope) & HKI_SCOPE_EFFECTIVE))
                return; /* its own cancel, by hk_task_cancel or hk_thread_cancel */
        }
        from_outside = !(hki_scope_flags_of(scope) & HKI_SCOPE_SHIELDED) &&
                       hki_scope_outside_is_cancelled(scope);
        /* Neither from outside nor its own: a shield has gone up further out, on
         * another worker, and its message is still on the way. The call is cancelled
         * all the same, and the join must say so. */
        by_itself = hki_scope_flags_of(scope) & HKI_SCOPE_CANCELLED;
        __atomic_or_fetch(&scope->hki_delivered,
                          from_outside || !by_itself ? HKI_DELIVERED_OUTER
                                                     : HKI_DELIVERED_OWN,
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
