/* SPDX-License-Identifier: MIT */
/*
 * Plain threads wait on a futex of their own, for I/O in ppoll together with an eventfd
 * of their own; a kick ends both. The order that loses no wake-up: the waiter reads
 * `sequence`, looks at what it waits for, then sleeps while `sequence` is unchanged;
 * the waker changes the thing, then `sequence`.
 */
#include "core/thread.h"

#include "core/check.h"
#include "core/deadlock.h"
#include "core/runtime.h"
#include "core/scope.h"
#include "core/wait.h"
#include "core/workers.h"
#include "sys/futex.h"
#include "sys/os.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__thread struct hki_self *hki_self_current __attribute__((tls_model("initial-exec")));

static struct hki_thread *threads; /* only ever grows; pushed with CAS */
static pthread_key_t exit_key;
static pthread_once_t exit_once = PTHREAD_ONCE_INIT;

static void thread_exits(void *record)
{
    struct hki_thread *thread = record;

    if (thread->spawned.fn && hki_spawned_lingers(thread)) {
        (void)pthread_setspecific(exit_key, thread); /* was set before: cannot fail */
        return;
    }
    __atomic_store_n(&thread->thread_id, 0, __ATOMIC_RELEASE);
    if (thread->self.scope)
        hki_panic("thread '%s' ends with a scope open: join it first", thread->name);
    if (thread->locals)
        hki_locals_destroy(&thread->locals);
    if (thread->holds)
        hki_check_ends(&thread->self);
    if (thread->spawned.fn)
        hki_spawned_leaves(thread);
    else
        __atomic_store_n(&thread->generation, thread->generation + 1, __ATOMIC_RELEASE);
    hki_self_current = NULL;
    hki_deadlock_thread_leaves(thread);
    hki_thread_record_unused(thread);
}

static void make_exit_key(void)
{
    if (pthread_key_create(&exit_key, thread_exits) != 0)
        hki_panic("no thread-specific key left (pthread_key_create)");
}

static struct hki_thread *reuse_record(void)
{
    for (struct hki_thread *t = __atomic_load_n(&threads, __ATOMIC_ACQUIRE); t;
         t = t->next) {
        uint32_t no = 0;

        if (__atomic_compare_exchange_n(&t->in_use, &no, 1, false, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED)) {
            HKI_HB_ACQUIRE(t);
            return t;
        }
    }
    return NULL;
}

static struct hki_thread *new_record(void)
{
    struct hki_thread *thread = calloc(1, sizeof(*thread));

    if (!thread)
        return NULL;
    thread->in_use = 1;
    thread->event_fd = -1;
    thread->next = __atomic_load_n(&threads, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&threads, &thread->next, thread, true,
                                        __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        ;
    return thread;
}

struct hki_thread *hki_thread_record(void)
{
    struct hki_thread *thread = reuse_record();

    if (!thread)
        thread = new_record();
    if (!thread)
        return NULL;
    hki_lock_acquire(&thread->scopes_lock); /* of who cancels its last user, too late */
    thread->self = (struct hki_self){.kind = HKI_SELF_THREAD, .budget = HKI_BUDGET};
    hki_lock_release(&thread->scopes_lock);
    thread->reads = (struct hki_reads){0};
    thread->place = NULL;
    thread->spawned = (struct hki_spawned){0};
    thread->is_daemon = false;
    return thread;
}

void hki_thread_record_unused(struct hki_thread *thread)
{
    HKI_HB_RELEASE(thread);
    __atomic_store_n(&thread->in_use, 0, __ATOMIC_RELEASE);
}

void hki_thread_becomes(struct hki_thread *thread)
{
    pthread_once(&exit_once, make_exit_key);
    pthread_setspecific(exit_key, thread);
    hki_self_current = &thread->self;
    __atomic_store_n(&thread->thread_id, hki_os_thread_id(), __ATOMIC_RELEASE);
    hki_deadlock_thread_joins(thread);
}

struct hki_self *hki_self_attach(void)
{
    struct hki_thread *thread = hki_thread_record();

    if (!thread)
        hki_panic("no memory for the record of a thread");
    if (pthread_getname_np(pthread_self(), thread->name, sizeof(thread->name)) != 0)
        snprintf(thread->name, sizeof(thread->name), "thread");
    hki_thread_becomes(thread);
    return &thread->self;
}

void hki_threads_forget(void)
{
    threads = NULL;
    hki_self_current = NULL;
    hki_deadlock_forget();
}

void hki_threads_visit(void (*visit)(struct hki_thread *thread, void *ctx), void *ctx)
{
    for (struct hki_thread *t = __atomic_load_n(&threads, __ATOMIC_ACQUIRE); t;
         t = t->next)
        if (__atomic_load_n(&t->in_use, __ATOMIC_ACQUIRE))
            visit(t, ctx);
}

void hki_thread_kick(struct hki_thread *thread)
{
    __atomic_add_fetch(&thread->sequence, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&thread->asleep, __ATOMIC_SEQ_CST))
        hki_futex_wake(&thread->sequence, 1);
    if (__atomic_load_n(&thread->polling, __ATOMIC_SEQ_CST))
        hki_os_eventfd_signal(thread->event_fd);
}

void hki_thread_give_up(struct hki_thread *thread)
{
    __atomic_store_n(&thread->hopeless, 1, __ATOMIC_RELEASE);
    hki_thread_kick(thread);
}

/* ---- deadlines ---- */

int64_t hki_thread_deadline(const struct hki_thread *thread)
{
    int64_t best = HK_NEVER;

    for (const hk_scope *s = thread->self.scope; s; s = s->hki_outer) {
        int64_t at = s->hki_deadline.hki_deadline_ns;

        if (at && at < best && !(hki_scope_flags_of(s) & HKI_SCOPE_CANCELLED))
            best = at;
    }
    return best;
}

/* The outermost of the scopes whose time is over, and that are not cancelled. */
static hk_scope *find_due(struct hki_thread *thread, int64_t now_ns)
{
    hk_scope *due = NULL;

    for (hk_scope *s = thread->self.scope; s; s = s->hki_outer) {
        int64_t at = s->hki_deadline.hki_deadline_ns;

        if (at && at <= now_ns && !(hki_scope_flags_of(s) & HKI_SCOPE_CANCELLED))
            due = s;
    }
    return due;
}

static void look_at_clock(struct hki_thread *thread)
{
    int64_t now_ns = hki_os_now_ns();
    hk_scope *due;

    while ((due = find_due(thread, now_ns)))
        hki_scope_cancel_here(due, HK_BY_DEADLINE);
}

static bool is_cancelled(struct hki_thread *thread)
{
    uint8_t attention = __atomic_load_n(&thread->self.attention, __ATOMIC_ACQUIRE);

    if (attention & HKI_CLOCK) {
        look_at_clock(thread);
        attention = __atomic_load_n(&thread->self.attention, __ATOMIC_ACQUIRE);
    }
    return attention & HKI_CANCELLED;
}

int hki_thread_checkpoint(struct hki_thread *thread)
{
    if (!is_cancelled(thread))
        return 0;
    hki_cancel_delivered(&thread->self);
    return -ECANCELED;
}

/* ---- waiting ---- */

void hki_thread_has_place(struct hki_place *place)
{
    hki_thread_of(hki_self())->place = place;
}

/* For dumps, and the place that it computes in: what the thread waits for, NULL when it
 * runs again. */
static void publish_wait(struct hki_thread *thread, const hk_wait_kind *kind)
{
    if (HKI_UNLIKELY(thread->place))
        thread->place->is_left(thread->place, kind);
    if (kind)
        __atomic_store_n(&thread->waits_since_ns, hki_os_now_ns(), __ATOMIC_RELAXED);
    __atomic_store_n(&thread->waits_for, kind, __ATOMIC_RELEASE);
}

static void sleep_while(struct hki_thread *thread, uint32_t sequence,
                        int64_t deadline_ns)
{
    bool for_ever = deadline_ns == HK_NEVER;

    __atomic_store_n(&thread->asleep, 1, __ATOMIC_SEQ_CST);
    if (for_ever)
        hki_deadlock_thread_quiet(thread, sequence);
    if (__atomic_load_n(&thread->sequence, __ATOMIC_SEQ_CST) == sequence)
        hki_futex_wait(&thread->sequence, sequence, deadline_ns);
    if (for_ever)
        hki_deadlock_thread_stirs(thread);
    __atomic_store_n(&thread->asleep, 0, __ATOMIC_SEQ_CST);
}

static bool is_woken(hk_waiter *w)
{
    return __atomic_load_n(&w->hki_state, __ATOMIC_ACQUIRE) & HKI_WAIT_WOKEN;
}

/* Asks `abort`, once. True when the wait is undone. */
static bool try_abort(hk_waiter *w, hk_abort_fn **abort)
{
    hk_abort_fn *fn = *abort;

    *abort = w->hki_abort = NULL;
    return fn(w) == HK_ABORTED;
}

int hki_thread_park(struct hki_thread *thread, hk_waiter *w, hk_abort_fn *abort)
{
    int result;

    w->hki_since_ns = hki_os_now_ns();
    w->hki_abort = abort; /* the deadlock census asks whether it could be undone */
    publish_wait(thread, w->kind);
    HKI_HB_RELEASE(w); /* to a dump */
    __atomic_store_n(&thread->self.waiter, w, __ATOMIC_RELEASE);
    for (;;) {
        uint32_t sequence = __atomic_load_n(&thread->sequence, __ATOMIC_SEQ_CST);
        bool hopeless = __atomic_exchange_n(&thread->hopeless, 0, __ATOMIC_ACQ_REL);

        if (is_woken(w)) {
            HKI_HB_ACQUIRE(w);
            result = w->result;
            break;
        }
        if (abort && hopeless && try_abort(w, &abort)) {
            result = -EDEADLK;
            break;
        }
        /* The clock is looked at even when nothing can be undone: a deadline is for the
         * children, too, whom a join waits for. */
        if (is_cancelled(thread) && abort && try_abort(w, &abort)) {
            hki_cancel_delivered(&thread->self);
            result = -ECANCELED;
            break;
        }
        if (!is_woken(w))
            sleep_while(thread, sequence, hki_thread_deadline(thread));
    }
    __atomic_store_n(&thread->self.waiter, NULL, __ATOMIC_RELEASE);
    __atomic_store_n(&thread->hopeless, 0, __ATOMIC_RELAXED); /* it was for this wait */
    publish_wait(thread, NULL);
    return result;
}

int hki_thread_sleep_until(struct hki_thread *thread, int64_t time_ns)
{
    for (;;) {
        uint32_t sequence = __atomic_load_n(&thread->sequence, __ATOMIC_SEQ_CST);
        int rc = hki_thread_checkpoint(thread);
        int64_t until = hki_thread_deadline(thread);

        if (rc < 0)
            return rc;
        if (hki_os_now_ns() >= time_ns)
            return 0;
        publish_wait(thread, &hki_sleep_kind);
        sleep_while(thread, sequence, time_ns < until ? time_ns : until);
        publish_wait(thread, NULL);
    }
}

static const hk_wait_kind poll_kind = {.name = "I/O", .external = true};

int hki_thread_poll(struct hki_thread *thread, uint32_t sequence, int fd, short events,
                    bool cancellable)
{
    int rc;

    if (thread->event_fd < 0) {
        int event_fd = hki_os_eventfd();

        if (event_fd < 0)
            return event_fd;
        thread->event_fd = event_fd;
    }
    publish_wait(thread, &poll_kind);
    __atomic_store_n(&thread->polling, 1, __ATOMIC_SEQ_CST);
    rc = cancellable ? hki_thread_checkpoint(thread) : 0;
    if (rc == 0 && __atomic_load_n(&thread->sequence, __ATOMIC_SEQ_CST) == sequence)
        rc = hki_os_poll_two(fd, events, thread->event_fd,
                             cancellable ? hki_thread_deadline(thread) : HK_NEVER);
    __atomic_store_n(&thread->polling, 0, __ATOMIC_SEQ_CST);
    publish_wait(thread, NULL);
    hki_os_eventfd_clear(thread->event_fd);
    return rc;
}
