/* SPDX-License-Identifier: MIT */
/*
 * Blocking calls on a pool's thread. A call has a record of its own on the heap, since
 * it may outlive whoever made it, and two parties: the caller, who waits, and the
 * thread, which runs it. Who is second to let go of it frees it:
 *
 *     WAITED_FOR -> DONE        it has returned; the caller is woken, and frees it
 *     WAITED_FOR -> ABANDONED   the caller was cancelled; the thread will free it
 *
 * Nothing in the record belongs to a runtime once it is abandoned, so a runtime may end
 * before it. Its memory is counted as a call, not as bytes of the ledger.
 */
#include "core/to_thread.h"

#include "base/alloc.h"
#include "base/list.h"
#include "core/check.h"
#include "core/runtime.h"
#include "core/scope.h"
#include "core/thread.h"
#include "core/worker.h"
#include "core/wait.h"
#include "sys/offload.h"
#include "sys/os.h"
#include "sys/symbols.h"

#include <hocket/testing.h>
#include <hocket/thread.h>

#include <stdio.h>
#include <stdlib.h>

enum call_state { WAITED_FOR, DONE, ABANDONED };

struct call {
    struct hki_offload_job job;
    struct hki_list node; /* in `calls` */
    hk_task_fn *fn;
    void *arg;
    void (*destroy)(void *arg); /* of an abandoned call; may be NULL */
    hk_waiter *waiter;
    int64_t since_ns;        /* when it was made */
    int64_t abandoned_at_ns; /* atomic; 0: it is waited for */
    uint32_t state;          /* atomic: a call_state */
    bool has_begun;          /* atomic */
};

/* All that have been made and have not returned. */
static struct {
    uint32_t lock; /* guards the list */
    struct hki_list list;
    uint64_t count, abandoned; /* atomic */
} calls = {.list = {&calls.list, &calls.list}};

uint64_t hki_calls_count(void)
{
    return __atomic_load_n(&calls.count, __ATOMIC_RELAXED);
}

uint64_t hki_calls_abandoned(void)
{
    return __atomic_load_n(&calls.abandoned, __ATOMIC_RELAXED);
}

static void enlist(struct call *call)
{
    hki_lock_acquire(&calls.lock);
    hki_list_push(&calls.list, &call->node);
    hki_lock_release(&calls.lock);
    __atomic_add_fetch(&calls.count, 1, __ATOMIC_RELAXED);
}

static void delist(struct call *call)
{
    hki_lock_acquire(&calls.lock);
    hki_list_remove(&call->node);
    hki_lock_release(&calls.lock);
    __atomic_sub_fetch(&calls.count, 1, __ATOMIC_RELAXED);
}

/* ---- on the pool's thread ---- */

/* The next call on this thread is another's. */
static void leave_nothing_behind(const struct call *call)
{
    struct hki_self *self = hki_self_current;
    struct hki_symbol symbol;

    if (!self)
        return;
    if (HKI_UNLIKELY(self->scope)) {
        hki_symbol_find((const void *)(uintptr_t)call->fn, true, true, &symbol);
        hki_panic("%s, called by hk_to_thread, returned with scope '%s' open: join it "
                  "first",
                  symbol.name, hki_scope_left_name(self));
    }
    hki_locals_destroy(&hki_thread_of(self)->locals);
    if (hki_thread_of(self)->holds)
        hki_check_ends(self);
}

static void run_call(struct hki_offload_job *job)
{
    struct call *call = hki_container_of(job, struct call, job);
    uint32_t state = WAITED_FOR;
    int result;

    __atomic_store_n(&call->has_begun, true, __ATOMIC_RELAXED);
    (void)hki_thread_stays("a thread of hk_to_thread, whose caller waits for the "
                           "result: return from the function instead");
    result = call->fn(call->arg);
    leave_nothing_behind(call);
    delist(call);
    if (__atomic_compare_exchange_n(&call->state, &state, DONE, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE)) {
        hk_wake(call->waiter, result); /* call is gone after this */
    } else {
        if (call->destroy) {
            call->destroy(call->arg);
            leave_nothing_behind(call);
        }
        __atomic_sub_fetch(&calls.abandoned, 1, __ATOMIC_RELAXED);
        free(call);
    }
    (void)hki_thread_stays(NULL);
}

/* ---- the caller ---- */

struct caller {
    hk_waiter waiter;
    hk_task_fn *fn;
    struct call *call;  /* NULL: it is no longer the caller's business, */
    bool has_abandoned; /* for this reason; else it never began */
};

static void describe_call(const void *object, char *text, size_t size)
{
    const struct caller *caller = object;
    struct hki_symbol symbol;

    hki_symbol_find((const void *)(uintptr_t)caller->fn, true, false, &symbol);
    snprintf(text, size, "%s", symbol.name);
}

static const hk_wait_kind call_kind = {
    .name = "a blocking call", .describe = describe_call, .external = true};

/* It counts as abandoned from before it is, so that the count never goes below 0. */
static bool abandon(struct call *call)
{
    uint32_t state = WAITED_FOR;

    __atomic_store_n(&call->abandoned_at_ns, hki_os_now_ns(), __ATOMIC_RELAXED);
    __atomic_add_fetch(&calls.abandoned, 1, __ATOMIC_RELAXED);
    if (__atomic_compare_exchange_n(&call->state, &state, ABANDONED, false,
                                    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return true;
    __atomic_sub_fetch(&calls.abandoned, 1, __ATOMIC_RELAXED);
    return false;
}

static hk_verdict call_abort(hk_waiter *w)
{
    struct caller *caller = hki_container_of(w, struct caller, waiter);
    struct call *call = caller->call;

    if (hki_offload_withdraw(&hki_offload_calls, &call->job)) {
        delist(call);
        free(call);
    } else if (abandon(call)) {
        caller->has_abandoned = true;
    } else {
        return HK_PENDING;
    }
    caller->call = NULL;
    return HK_ABORTED;
}

static struct call *make_call(hk_task_fn *fn, void *arg, void (*destroy)(void *arg))
{
    struct call *call = hki_fault(HK_FAULT_ALLOC) ? NULL : calloc(1, sizeof(*call));

    if (!call)
        return NULL;
    call->job.run = run_call;
    call->fn = fn;
    call->arg = arg;
    call->destroy = destroy;
    call->since_ns = hki_os_now_ns();
    return call;
}

static int await_call(struct hki_self *self, struct caller *caller)
{
    struct hki_worker *worker = self->worker;
    int rc;

    if (worker) /* a virtual clock takes note */
        worker->calls_awaited++;
    rc = hk_park(&caller->waiter, call_abort);
    if (worker)
        worker->calls_awaited--;
    free(caller->call);
    return rc;
}

int hk_to_thread_owned(hk_task_fn *fn, void **arg, void (*destroy)(void *arg))
{
    struct hki_self *self = hki_self();
    struct caller caller = {.fn = fn};
    int rc = hki_enter(self);

    if (rc < 0)
        return rc;
    caller.call = make_call(fn, *arg, destroy);
    if (!caller.call)
        return -ENOMEM;
    hk_waiter_init(&caller.waiter, &call_kind, &caller);
    caller.call->waiter = &caller.waiter;
    enlist(caller.call);
    rc = hki_offload_submit(&hki_offload_calls, &caller.call->job);
    if (rc < 0) {
        delist(caller.call);
        free(caller.call);
        return rc;
    }
    rc = await_call(self, &caller);
    if (caller.has_abandoned)
        *arg = NULL;
    return rc;
}

int hk_to_thread(hk_task_fn *fn, void *arg)
{
    return hk_to_thread_owned(fn, &arg, NULL);
}

uint32_t hk_to_thread_limit(uint32_t calls_max)
{
    return hki_offload_limit(&hki_offload_calls, calls_max);
}

/* ---- for the dump ---- */

static void add_call(struct hki_report *report, const struct call *call, int64_t now_ns)
{
    int64_t abandoned_at_ns = __atomic_load_n(&call->abandoned_at_ns, __ATOMIC_RELAXED);
    struct hki_symbol symbol;

    hki_symbol_find((const void *)(uintptr_t)call->fn, true, true, &symbol);
    hki_report_add(report, "  %s %s for ", *symbol.name ? symbol.name : "unknown",
                   __atomic_load_n(&call->has_begun, __ATOMIC_RELAXED) ? "runs"
                                                                       : "is queued");
    hki_report_add_time(report, now_ns - call->since_ns);
    if (abandoned_at_ns) {
        hki_report_add(report, ", abandoned for ");
        hki_report_add_time(report, now_ns - abandoned_at_ns);
    }
    hki_report_add(report, "\n");
}

void hki_calls_add(struct hki_report *report)
{
    int64_t now_ns = hki_os_now_ns();

    hki_lock_acquire(&calls.lock);
    if (!hki_list_is_empty(&calls.list))
        hki_report_add(report, "blocking calls\n");
    for (struct hki_list *node = calls.list.next; node != &calls.list;
         node = node->next)
        add_call(report, hki_container_of(node, struct call, node), now_ns);
    hki_lock_release(&calls.lock);
}
