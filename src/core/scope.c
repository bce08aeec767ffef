/* SPDX-License-Identifier: MIT */
/* Opening, joining and accounting of scopes; cancelling them is in cancel.c. */
#include "core/scope.h"

#include "core/check.h"
#include "core/crew.h"
#include "core/runtime.h"
#include "core/thread.h"
#include "core/wait.h"
#include "core/worker.h"

#include <stdio.h>
#include <string.h>

static const char *scope_name(const hk_scope *scope)
{
    return scope->hki_name ? scope->hki_name : "unnamed";
}

/* What lies there may be anything, also what an earlier call of ours had put aside on
 * that place of the stack. */
static bool has_open(const struct hki_self *self, const hk_scope *scope)
{
    const hk_scope *open = self->scope;

    while (open && open != scope)
        open = open->hki_outer;
    return open;
}

void hk_scope_open_with(hk_scope *scope, unsigned flags, const char *name)
{
    struct hki_self *self = hki_self();

    if (HKI_UNLIKELY(hki_scope_is_open(scope) && scope->hki_owner == self) &&
        has_open(self, scope))
        hki_panic("hk_scope_open by '%s' of scope '%s', which is open", hk_task_name(),
                  scope_name(scope));
    if (HKI_UNLIKELY(self->kind == HKI_SELF_LOOP))
        hki_panic_no_waiting();
    if (HKI_UNLIKELY(self->scope && !hki_scope_is_open(self->scope)))
        hki_panic(
            "hk_scope_open by '%s' inside a scope that is gone: a function opened "
            "it and returned without joining it",
            hk_task_name());
    scope->hki_flags =
        (flags & (HKI_SCOPE_POLICY | HKI_SCOPE_PARALLEL | HKI_SCOPE_SHIELDED)) |
        HKI_SCOPE_MAGIC;
    scope->hki_delivered = 0;
    scope->hki_error = 0;
    scope->hki_success = 0;
    scope->hki_owner = self;
    scope->hki_inner = NULL;
    scope->hki_local = NULL;
    scope->hki_remote = NULL;
    scope->hki_guests = NULL;
    scope->hki_crews = NULL;
    scope->hki_remote_count = 0;
    scope->hki_remote_used = 0;
    scope->hki_lock = 0;
    scope->hki_local_count = 0;
    scope->hki_joiner = NULL;
    scope->hki_remote_joiner = NULL;
    scope->hki_name = name;
    scope->hki_deadline.hki_link = NULL;
    scope->hki_deadline.hki_deadline_ns = 0;
    scope->hki_message.hki_run = NULL;
    scope->hki_walk = NULL;
    hki_chain_lock(self);
    scope->hki_outer = self->scope;
    if (self->scope)
        self->scope->hki_inner = scope;
    self->scope = scope;
    if (HKI_UNLIKELY(self->attention & HKI_CANCELLED)) {
        if (flags & HK_SCOPE_SHIELDED)
            __atomic_and_fetch(&self->attention, (uint8_t)~HKI_CANCELLED,
                               __ATOMIC_RELAXED);
        else
            scope->hki_flags |= HKI_SCOPE_EFFECTIVE;
    }
    hki_chain_unlock(self);
}

void hk_scope_open(hk_scope *scope)
{
    hk_scope_open_with(scope, 0, NULL);
}

/* ---- children ---- */

/* With the lock; atomic for hk_scope_children, which takes none. */
static void change_remote_count(hk_scope *scope, uint32_t by)
{
    __atomic_store_n(&scope->hki_remote_count, scope->hki_remote_count + by,
                     __ATOMIC_RELAXED);
}

static inline void link_child(struct hki_self **head, struct hki_self *child)
{
    child->sibling_next = *head;
    child->sibling_link = head;
    if (*head)
        (*head)->sibling_link = &child->sibling_next;
    *head = child;
}

void hki_scope_add_remote(hk_scope *scope, struct hki_self *child)
{
    /* A cancel that was meant for who had the record before may be looking at it. */
    hki_chain_lock(child);
    child->parent = scope;
    child->flags |= HKI_TASK_REMOTE;
    hki_chain_unlock(child);
    hki_lock_acquire(&scope->hki_lock);
    __atomic_store_n(&scope->hki_remote_used, 1, __ATOMIC_SEQ_CST);
    change_remote_count(scope, 1);
    link_child(&scope->hki_remote, child);
    hki_lock_release(&scope->hki_lock);
}

void hki_scope_add_remote_count(hk_scope *scope)
{
    hki_lock_acquire(&scope->hki_lock);
    __atomic_store_n(&scope->hki_remote_used, 1, __ATOMIC_SEQ_CST);
    change_remote_count(scope, 1);
    hki_lock_release(&scope->hki_lock);
}

bool hki_scope_add_task(hk_scope *scope, struct hki_self *spawner,
                        struct hki_self *child)
{
    /* Local: a child that can only ever run on the owner's own worker. */
    bool local = scope->hki_owner->worker && spawner->worker &&
                 scope->hki_owner->worker == spawner->worker &&
                 !(hki_scope_flags_of(scope) & HKI_SCOPE_PARALLEL);

    if (!local) {
        hki_scope_add_remote(scope, child);
        return true;
    }
    child->parent = scope;
    scope->hki_local_count++;
    link_child(&scope->hki_local, child);
    return false;
}

static inline void unlink_child(struct hki_self *child)
{
    *child->sibling_link = child->sibling_next;
    if (child->sibling_next)
        child->sibling_next->sibling_link = child->sibling_link;
}

/* An error that counts: a -ECANCELED under a cancel is only its echo. */
static bool is_error(const hk_scope *scope, const struct hki_self *child, int result)
{
    if (result >= 0)
        return false;
    return result != -ECANCELED ||
           !((hki_scope_flags_of(scope) & HKI_SCOPE_EFFECTIVE) ||
             (child->flags & HKI_TASK_CANCELLED));
}

/* Records `rc`; true when it is the first. */
static bool record_error(hk_scope *scope, int rc)
{
    int32_t none = 0;

    return __atomic_compare_exchange_n(&scope->hki_error, &none, rc, false,
                                       __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static void judge_result(hk_scope *scope, const struct hki_self *child, int result)
{
    uint32_t policy = hki_scope_flags_of(scope) & HKI_SCOPE_POLICY;

    if (child->flags & HKI_TASK_JOB)
        return;
    if (is_error(scope, child, result)) {
        if (!record_error(scope, result)) {
            if (hki_worker_current)
                HKI_COUNT(hki_worker_current->errors_unreported, 1);
            hki_log(HK_LOG_DEBUG, "'%s' failed after its scope '%s' had: %s",
                    hki_self_name(child), scope_name(scope), hk_error_text(result));
        } else if (!policy) {
            hki_scope_cancel_why(scope, HK_BY_FAILURE);
        }
    } else if (result >= 0 && (policy & HK_SCOPE_FIRST_SUCCESS) &&
               !__atomic_exchange_n(&scope->hki_success, 1, __ATOMIC_ACQ_REL)) {
        hki_scope_cancel_why(scope, HK_BY_FAILURE);
    }
}

/* Notes under the scope's lock whether a cancel message to the child is on its way. */
static void retire_remote(struct hki_self *child)
{
    unlink_child(child);
    if (child->kind == HKI_SELF_TASK && hki_task_is_started(hki_task_of(child)) &&
        hki_task_of(child)->stack->cancel_posted) {
        child->flags |= HKI_TASK_ZOMBIE;
        child->worker->zombies++;
    }
}

static void release_remote_locked(hk_scope *scope)
{
    hk_waiter *joiner = NULL;

    change_remote_count(scope, UINT32_MAX);
    if (scope->hki_remote_count == 0) {
        joiner = scope->hki_remote_joiner;
        scope->hki_remote_joiner = NULL;
    }
    hki_lock_release(&scope->hki_lock);
    /* The scope may be gone unless a joiner waits, who stays until it is woken. */
    if (joiner)
        hk_wake(joiner, 0);
}

void hki_scope_release_remote(hk_scope *scope)
{
    hki_lock_acquire(&scope->hki_lock);
    release_remote_locked(scope);
}

void hki_scope_drop_remote(hk_scope *scope, struct hki_self *child)
{
    hki_lock_acquire(&scope->hki_lock);
    retire_remote(child);
    release_remote_locked(scope);
}

void hki_scope_child_done(hk_scope *scope, struct hki_self *child, int result)
{
    if (HKI_UNLIKELY(result < 0) ||
        HKI_UNLIKELY(hki_scope_flags_of(scope) & HK_SCOPE_FIRST_SUCCESS))
        judge_result(scope, child, result);
    HKI_HB_RELEASE(scope); /* what the child did is seen after the join */
    if (HKI_UNLIKELY(child->flags & HKI_TASK_REMOTE)) {
        hki_scope_drop_remote(scope, child);
        return;
    }
    unlink_child(child);
    if (--scope->hki_local_count == 0 && scope->hki_joiner) {
        hk_waiter *joiner = scope->hki_joiner;

        scope->hki_joiner = NULL;
        hk_wake(joiner, 0);
    }
}

/* ---- join ---- */

static void describe_join(const void *object, char *text, size_t size);

const hk_wait_kind hki_join_kind = {.name = "join", .describe = describe_join};

static void describe_join(const void *object, char *text, size_t size)
{
    const hk_scope *scope = object;
    uint32_t children = scope->hki_local_count + scope->hki_remote_count +
                        (uint32_t)hki_crews_jobs(scope);

    snprintf(text, size, "scope '%s', %u %s", scope_name(scope), children,
             children == 1 ? "child" : "children");
}

/* Uninterruptible: it always gets its wake. The worker counts who holds a stack for
 * nothing but this. */
static void park_in_join(hk_waiter *w, struct hki_worker *worker, bool far)
{
    if (worker) {
        worker->joins++;
        worker->joins_far += far;
    }
    (void)hk_park(w, NULL);
    if (worker) {
        worker->joins--;
        worker->joins_far -= far;
    }
}

/* While the checks are on the joiner shall be seen to wait; but a child that gets no
 * stack of its own would never run. */
static bool shall_lend(const struct hki_self *self)
{
    const struct hki_stack_pool *stacks;

    if (self->kind != HKI_SELF_TASK)
        return false;
    stacks = &self->worker->stacks;
    return !hki_is_checking() ||
           (stacks->stacks_max && stacks->in_use >= stacks->stacks_max);
}

static void wait_for_children(hk_scope *scope, struct hki_self *self)
{
    hk_waiter w;

    for (;;) {
        if (scope->hki_local_count && shall_lend(self))
            hki_task_run_children(scope, hki_task_of(self));
        if (scope->hki_local_count) {
            hk_waiter_init(&w, &hki_join_kind, scope);
            scope->hki_joiner = &w;
            park_in_join(&w, self->worker, false);
        } else if (__atomic_load_n(&scope->hki_remote_used, __ATOMIC_ACQUIRE)) {
            if (__atomic_load_n(&scope->hki_crews, __ATOMIC_RELAXED))
                hki_crews_join(scope);
            hki_lock_acquire(&scope->hki_lock);
            if (!scope->hki_remote_count) {
                hki_lock_release(&scope->hki_lock);
                if (scope->hki_crews)
                    hki_crews_free(scope);
                if (self->kind == HKI_SELF_THREAD)
                    hki_spawned_reap(); /* a worker has no time for it */
                return;
            }
            hk_waiter_init(&w, &hki_join_kind, scope);
            scope->hki_remote_joiner = &w;
            hki_lock_release(&scope->hki_lock);
            park_in_join(&w, self->worker, true);
        } else {
            return;
        }
    }
}

static hk_scope_why own_why(uint32_t flags)
{
    return (hk_scope_why)(flags >> HKI_SCOPE_WHY_SHIFT & 7);
}

static int join_result(const hk_scope *scope, uint32_t flags)
{
    int error = __atomic_load_n(&scope->hki_error, __ATOMIC_ACQUIRE);
    uint32_t delivered = __atomic_load_n(&scope->hki_delivered, __ATOMIC_RELAXED);

    if ((flags & HK_SCOPE_FIRST_SUCCESS) && scope->hki_success)
        return 0;
    if (error)
        return error;
    if (delivered & HKI_DELIVERED_OUTER)
        return -ECANCELED;
    if ((delivered & HKI_DELIVERED_OWN) && own_why(flags) == HK_BY_DEADLINE)
        return -ETIMEDOUT;
    return 0;
}

static void forget_deadline(hk_scope *scope, struct hki_self *self)
{
    if (scope->hki_deadline.hki_link)
        hki_wheel_cancel(&self->worker->wheel, &scope->hki_deadline);
}

int hk_scope_join(hk_scope *scope)
{
    struct hki_self *self = hki_self();
    uint32_t flags;

    if (HKI_UNLIKELY(self->scope != scope || scope->hki_owner != self)) {
        if (!hki_scope_is_open(scope))
            hki_panic("hk_scope_join by '%s' of a scope that is not open",
                      hk_task_name());
        hki_panic("hk_scope_join by '%s' of scope '%s', which is not the innermost "
                  "that it opened",
                  hk_task_name(), scope_name(scope));
    }
    if (hki_is_checking())
        hki_check_leaves(self, scope);
    if (scope->hki_local_count ||
        __atomic_load_n(&scope->hki_remote_used, __ATOMIC_RELAXED))
        wait_for_children(scope, self);
    HKI_HB_ACQUIRE(scope);
    forget_deadline(scope, self);
    hki_chain_lock(self);
    flags = scope->hki_flags;
    self->scope = scope->hki_outer;
    if (self->scope)
        self->scope->hki_inner = NULL;
    scope->hki_flags = flags & ~(uint32_t)HKI_SCOPE_MAGIC_MASK;
    scope->hki_owner = NULL;
    if (HKI_UNLIKELY(flags & (HKI_SCOPE_EFFECTIVE | HKI_SCOPE_SHIELDED)) ||
        self->kind == HKI_SELF_THREAD)
        __atomic_store_n(&self->attention, hki_self_attention(self), __ATOMIC_RELAXED);
    hki_chain_unlock(self);
    return join_result(scope, flags);
}

int hk_scope_end(hk_scope *scope, int rc)
{
    bool echo = rc == -ECANCELED && (hki_scope_flags_of(scope) & HKI_SCOPE_EFFECTIVE);
    int joined;

    if (rc < 0 && !echo)
        hk_scope_fail(scope, rc);
    joined = hk_scope_join(scope);
    return joined < 0 || rc < 0 ? joined : rc;
}

/* ---- the rest ---- */

void hk_scope_fail(hk_scope *scope, int rc)
{
    if (HKI_UNLIKELY(rc >= 0))
        hki_panic("hk_scope_fail of scope '%s' with %d: not an error",
                  scope_name(scope), rc);
    hki_scope_check_inside(scope, hki_self());
    if (rc != -ECANCELED || !(hki_scope_flags_of(scope) & HKI_SCOPE_EFFECTIVE))
        record_error(scope, rc); /* else an echo, as of a child */
    hki_scope_cancel_why(scope, HK_BY_FAILURE);
}

static void deadline_passed(hk_timer *timer)
{
    hk_scope *scope = hki_container_of(timer, hk_scope, hki_deadline);

    hki_scope_cancel_here(scope, HK_BY_DEADLINE);
}

static void thread_deadline(hk_scope *scope, struct hki_self *self, int64_t deadline_ns)
{
    if (scope->hki_owner != self)
        hki_panic("hk_scope_deadline on a scope of another thread");
    hki_chain_lock(self);
    scope->hki_deadline.hki_deadline_ns = deadline_ns > 0 ? deadline_ns : 1;
    __atomic_store_n(&self->attention, hki_self_attention(self), __ATOMIC_RELAXED);
    hki_chain_unlock(self);
}

void hk_scope_deadline(hk_scope *scope, int64_t deadline_ns)
{
    struct hki_self *self = hki_self();

    if (HKI_UNLIKELY(!hki_scope_is_open(scope)))
        hki_panic("hk_scope_deadline on a scope that is not open");
    if (self->kind == HKI_SELF_THREAD) {
        thread_deadline(scope, self, deadline_ns);
        return;
    }
    if (HKI_UNLIKELY(scope->hki_owner->worker != self->worker))
        hki_panic("hk_scope_deadline on scope '%s' of another worker",
                  scope_name(scope));
    forget_deadline(scope, self);
    scope->hki_deadline.hki_deadline_ns = deadline_ns > 0 ? deadline_ns : 1;
    if ((scope->hki_flags & HKI_SCOPE_CANCELLED) || deadline_ns == HK_NEVER)
        return;
    if (deadline_ns <= hk_now())
        hki_scope_cancel_here(scope, HK_BY_DEADLINE);
    else
        hk_timer_set(&scope->hki_deadline, deadline_ns, deadline_passed);
}

hk_scope_why hk_scope_reason(const hk_scope *scope)
{
    uint32_t flags = hki_scope_flags_of(scope);

    if (flags & HKI_SCOPE_CANCELLED)
        return own_why(flags);
    return flags & HKI_SCOPE_EFFECTIVE ? HK_BY_OUTER : HK_NOT_CANCELLED;
}

uint32_t hk_scope_children(const hk_scope *scope)
{
    return scope->hki_local_count +
           __atomic_load_n(&scope->hki_remote_count, __ATOMIC_RELAXED) +
           (uint32_t)hki_crews_jobs(scope);
}

int hk_cancelled(void)
{
    return hki_enter(hki_self());
}

void hki_scope_check_inside(const hk_scope *scope, const struct hki_self *self)
{
    const hk_scope *at = self->scope;

    for (;;) {
        for (; at; at = at->hki_outer) {
            if (at == scope)
                return;
            self = at->hki_owner;
        }
        at = self->parent;
        if (!at)
            break;
        if (at == scope)
            return;
        self = at->hki_owner;
    }
    hki_fork_guard();
    if (!hki_scope_is_open(scope))
        hki_panic("'%s' uses a scope that is not open", hk_task_name());
    hki_panic("'%s' uses scope '%s' from outside: only its body and descendants may",
              hk_task_name(), scope_name(scope));
}
