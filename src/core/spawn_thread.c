/* SPDX-License-Identifier: MIT */
/*
 * Threads that belong to a scope. To the scope such a thread is one more remote child:
 * its record (struct hki_self) lies in the scope's list, a cancel finds it there, its
 * result is judged as a task's.
 *
 * It leaves its scope as late as it can: in the last round of destructors of its
 * thread-specific values that is safe, so that nothing of the program runs on it after
 * the join. What is left for the system to do is a few microseconds. So that a program
 * at its limit of threads does not find them still there, each thread that leaves joins
 * the one that left before it; and the last is joined by whoever has the time: a plain
 * thread's join of its scope, the end of hk_run, a start that got no thread.
 */
#include "core/runtime.h"
#include "core/scope.h"
#include "core/thread.h"
#include "base/alloc.h"
#include "sys/os.h"
#include "sys/os_thread.h"

#include <hocket/testing.h>
#include <hocket/thread.h>

#include <limits.h>
#include <stdio.h>

/* The sanitizers end their own part of a thread in the last round. */
enum { ROUNDS = PTHREAD_DESTRUCTOR_ITERATIONS - 1 };

static uint64_t alive; /* atomic */

uint64_t hki_spawned_count(void)
{
    return __atomic_load_n(&alive, __ATOMIC_RELAXED);
}

/* ---- gone from the system ---- */

/* The last thread that left, and was not joined yet. */
static struct {
    uint32_t lock; /* guards the next three */
    bool is_over;  /* exit handlers run: who leaves now is nobody's to join */
    bool is_there; /* atomic: a look without the lock */
    pthread_t thread;
    uint32_t joining; /* atomic: who has taken one out and joins it */
} left;

/* With the lock. The caller is to join it. */
static bool take_left(pthread_t *out)
{
    if (!left.is_there)
        return false;
    *out = left.thread;
    __atomic_store_n(&left.is_there, false, __ATOMIC_RELAXED);
    __atomic_add_fetch(&left.joining, 1, __ATOMIC_RELAXED);
    return true;
}

static void join_taken(pthread_t thread)
{
    (void)pthread_join(thread, NULL); /* which joins all that left before it */
    __atomic_sub_fetch(&left.joining, 1, __ATOMIC_RELEASE);
}

/* The calling thread is the last now; true: `*out` was, and is to be joined. */
static bool become_left(pthread_t *out)
{
    bool was_there;

    hki_lock_acquire(&left.lock);
    was_there = take_left(out);
    left.thread = pthread_self();
    __atomic_store_n(&left.is_there, !left.is_over, __ATOMIC_RELAXED);
    if (left.is_over)
        (void)pthread_detach(left.thread);
    hki_lock_release(&left.lock);
    return was_there;
}

void hki_spawned_reap(void)
{
    pthread_t last;
    bool was_there;

    if (!__atomic_load_n(&left.is_there, __ATOMIC_RELAXED))
        return;
    hki_lock_acquire(&left.lock);
    was_there = take_left(&last);
    hki_lock_release(&left.lock);
    if (was_there)
        join_taken(last);
}

/* Who is being joined by a daemon is waited for, too, but not for ever: a signal
 * handler may have called exit() where it should not. */
void hki_spawned_end(void)
{
    int64_t until_ns = hki_os_now_ns() + HK_SECOND;

    hki_lock_acquire(&left.lock);
    left.is_over = true;
    hki_lock_release(&left.lock);
    hki_spawned_reap();
    while (__atomic_load_n(&left.joining, __ATOMIC_ACQUIRE) &&
           hki_os_now_ns() < until_ns)
        hki_os_yield();
}

/* ---- on the thread ---- */

static void *thread_main(void *arg)
{
    struct hki_thread *thread = arg;

    hki_os_thread_name(thread->name);
    hki_thread_becomes(thread);
    /* A cancel may have come before the thread was in its scope's list. */
    hki_cancel_spread_thread(thread);
    thread->spawned.result = thread->spawned.fn(thread->spawned.arg);
    if (thread->self.scope)
        hki_panic("thread '%s' returned with scope '%s' open: join it first",
                  thread->name, hki_scope_left_name(&thread->self));
    hki_locals_destroy(&thread->locals);
    thread->spawned.has_returned = true;
    return NULL;
}

bool hki_spawned_lingers(struct hki_thread *thread)
{
    if (!thread->spawned.has_returned)
        hki_panic("pthread_exit on thread '%s', whose scope waits for its result: "
                  "return from its function instead",
                  thread->name);
    return ++thread->spawned.rounds < ROUNDS;
}

/* One after the other: an abort looks for its waiter in the queue. */
static hk_waiter *next_joiner(struct hki_thread *thread)
{
    hk_waiter *w;

    do {
        hki_lock_acquire(&thread->ends_lock);
        w = hk_waiter_pop(&thread->ends);
        hki_lock_release(&thread->ends_lock);
    } while (w && !hk_waiter_claim(w));
    return w;
}

/* From now on its name is stale. */
static void end_name(struct hki_thread *thread)
{
    HKI_HB_RELEASE(&thread->generation); /* to a join that comes later */
    hki_lock_acquire(&thread->ends_lock);
    __atomic_store_n(&thread->generation, thread->generation + 1, __ATOMIC_RELEASE);
    hki_lock_release(&thread->ends_lock);
}

static void wake_joiners(struct hki_thread *thread)
{
    hk_waiter *w;

    while ((w = next_joiner(thread)))
        hk_wake(w, 0);
}

static void leave_scope(struct hki_thread *thread)
{
    hk_scope *scope = thread->self.parent;

    if (!scope)
        return;
    hki_chain_lock(&thread->self);
    thread->self.parent = NULL; /* who comes to cancel must not look there any more */
    hki_chain_unlock(&thread->self);
    hki_scope_child_done(scope, &thread->self, thread->spawned.result);
}

void hki_spawned_leaves(struct hki_thread *thread)
{
    pthread_t before;
    bool has_before = !thread->is_daemon && become_left(&before);

    __atomic_sub_fetch(&alive, 1, __ATOMIC_RELAXED);
    end_name(thread); /* before its scope's join returns */
    leave_scope(thread);
    wake_joiners(thread);
    if (has_before)
        join_taken(before);
}

/* ---- starting one ---- */

static int start(struct hki_thread *thread, const hk_thread_options *options)
{
    const struct hki_thread_spec spec = {
        .stack_size_bytes = options->stack_size_bytes,
        .cpus = options->cpus,
        .cpu_count = options->cpu_count,
        .is_detached = options->daemon,
    };
    int rc = hki_os_thread_start(&spec, thread_main, thread, NULL);

    if (rc == -EAGAIN) {
        hki_spawned_reap();
        rc = hki_os_thread_start(&spec, thread_main, thread, NULL);
    }
    return rc;
}

static struct hki_thread *make_record(const hk_thread_options *options, hk_task_fn *fn,
                                      void *arg)
{
    struct hki_thread *thread = hki_fault(HK_FAULT_ALLOC) ? NULL : hki_thread_record();

    if (!thread)
        return NULL;
    thread->spawned = (struct hki_spawned){.fn = fn, .arg = arg};
    thread->is_daemon = options->daemon;
    snprintf(thread->name, sizeof(thread->name), "%s",
             options->name ? options->name : "unnamed");
    return thread;
}

/* The thread may have ended, and `thread` be another's record, when this returns 0. */
static int start_in_scope(hk_scope *scope, struct hki_thread *thread,
                          const hk_thread_options *options)
{
    int rc;

    __atomic_add_fetch(&alive, 1, __ATOMIC_RELAXED);
    if (scope)
        hki_scope_add_remote(scope, &thread->self);
    rc = start(thread, options);
    if (rc == 0)
        return 0;
    __atomic_sub_fetch(&alive, 1, __ATOMIC_RELAXED);
    if (scope) {
        hki_chain_lock(&thread->self);
        thread->self.parent = NULL;
        hki_chain_unlock(&thread->self);
        hki_scope_drop_remote(scope, &thread->self);
    }
    hki_thread_record_unused(thread);
    return rc;
}

static void check_use(const hk_scope *scope, const hk_thread_options *options)
{
    if (HKI_UNLIKELY(options->daemon && scope))
        hki_panic("hk_spawn_thread_with of a daemon by '%s': it belongs to no scope, "
                  "so give none",
                  hk_task_name());
    if (HKI_UNLIKELY(!options->daemon && !scope))
        hki_panic("hk_spawn_thread by '%s' without a scope: only a daemon has none",
                  hk_task_name());
    if (scope)
        hki_scope_check_inside(scope, hki_self());
}

int hk_spawn_thread_with(hk_scope *scope, const hk_thread_options *options,
                         hk_task_fn *fn, void *arg, hk_thread *out)
{
    static const hk_thread_options none;
    struct hki_thread *thread;
    hk_thread name;
    int rc;

    if (!options)
        options = &none;
    check_use(scope, options);
    rc = hki_process_check();
    if (rc == 0) {
        thread = make_record(options, fn, arg);
        rc = thread ? 0 : -ENOMEM;
    }
    if (rc == 0) {
        name = (hk_thread){thread, thread->generation};
        rc = start_in_scope(scope, thread, options);
    }
    if (rc == 0 && out)
        *out = name;
    if (rc < 0 && scope)
        hk_scope_fail(scope, rc);
    return rc;
}

int hk_spawn_thread(hk_scope *scope, hk_task_fn *fn, void *arg)
{
    return hk_spawn_thread_with(scope, NULL, fn, arg, NULL);
}

/* ---- by name ---- */

static bool is_current(hk_thread thread)
{
    return thread.hki_record &&
           __atomic_load_n(&thread.hki_record->generation, __ATOMIC_ACQUIRE) ==
               thread.hki_generation;
}

bool hk_thread_is_alive(hk_thread thread)
{
    return is_current(thread);
}

int hk_thread_cancel(hk_thread thread)
{
    struct hki_thread *record = thread.hki_record;
    bool is_it;

    if (!record)
        return -ESRCH;
    hki_lock_acquire(&record->scopes_lock);
    is_it = is_current(thread);
    if (is_it)
        __atomic_or_fetch(&record->self.flags, HKI_TASK_CANCELLED, __ATOMIC_RELAXED);
    hki_lock_release(&record->scopes_lock);
    if (is_it)
        hki_cancel_spread_thread(record);
    return is_it ? 0 : -ESRCH;
}

static void describe_thread(const void *object, char *text, size_t size)
{
    const hk_thread *thread = object;

    snprintf(text, size, "thread '%s'", thread->hki_record->name);
}

/* Until it has ended: before who waits for that runs, its record may be another's. */
static size_t thread_itself(const void *object, hk_holder *out, size_t max)
{
    const hk_thread *thread = object;

    if (!is_current(*thread))
        return 0;
    if (max > 0)
        out[0] = &thread->hki_record->self;
    return 1;
}

static const hk_wait_kind end_kind = {
    .name = "the end of a thread",
    .describe = describe_thread,
    .holders = thread_itself,
};

static hk_verdict join_abort(hk_waiter *w)
{
    struct hki_thread *thread = w->data;
    bool removed;

    hki_lock_acquire(&thread->ends_lock);
    removed = hk_waiter_remove(&thread->ends, w);
    hki_lock_release(&thread->ends_lock);
    return removed ? HK_ABORTED : HK_PENDING;
}

/* True when it has ended and nothing was armed. */
static bool enqueue(hk_waiter *w, const hk_thread *thread)
{
    struct hki_thread *record = thread->hki_record;
    bool has_ended;

    hki_lock_acquire(&record->ends_lock);
    has_ended = !is_current(*thread);
    if (!has_ended) {
        hk_waiter_init(w, &end_kind, thread);
        w->data = record;
        hk_waiter_push(&record->ends, w);
    }
    hki_lock_release(&record->ends_lock);
    return has_ended;
}

int hk_thread_join(hk_thread thread)
{
    struct hki_self *self = hki_self();
    hk_waiter w;
    int rc;

    if (!thread.hki_record)
        return -ESRCH;
    rc = hki_enter(self);
    if (rc < 0)
        return rc;
    if (&thread.hki_record->self == self && is_current(thread))
        return -EDEADLK;
    if (!enqueue(&w, &thread))
        return hk_park(&w, join_abort);
    HKI_HB_ACQUIRE(&thread.hki_record->generation);
    hki_spend(self);
    return 0;
}
