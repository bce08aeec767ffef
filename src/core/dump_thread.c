/* SPDX-License-Identifier: MIT */
/*
 * Threads in the dump, and the calls that run for hk_to_thread. A thread goes on while
 * it is looked at: only what it publishes in its record is read, and where it belongs,
 * which the lock of its chain keeps from changing.
 */
#include "core/dump.h"

#include "core/halt.h"
#include "core/scope.h"
#include "core/thread.h"
#include "core/to_thread.h"
#include "core/wait.h"
#include "core/worker.h"
#include "sys/os.h"

static void add_wait(struct hki_report *report, const struct hki_thread *thread,
                     const hk_wait_kind *kind, bool stands)
{
    int64_t since_ns = __atomic_load_n(&thread->waits_since_ns, __ATOMIC_RELAXED);

    if (kind == &hki_sleep_kind) {
        hki_report_add(report, "sleeps");
    } else {
        hki_report_add(report, "waits for ");
        if (stands && thread->self.waiter)
            hki_dump_add_wait(report, thread->self.waiter);
        else
            hki_report_add(report, "%s", kind->name);
    }
    hki_report_add(report, " for ");
    hki_report_add_time(report, hki_os_now_ns() - since_ns);
}

void hki_dump_add_thread(struct hki_report *report, const struct hki_thread *thread,
                         bool stands)
{
    const hk_wait_kind *kind = __atomic_load_n(&thread->waits_for, __ATOMIC_ACQUIRE);
    int thread_id = __atomic_load_n(&thread->thread_id, __ATOMIC_ACQUIRE);
    uint8_t attention = __atomic_load_n(&thread->self.attention, __ATOMIC_RELAXED);

    hki_report_add(report, "%s '%s' (%d) ", thread->is_daemon ? "daemon" : "thread",
                   thread->name, thread_id);
    if (!thread_id)
        hki_report_add(report, "starts or ends");
    else if (!kind)
        hki_report_add(report, "runs");
    else
        add_wait(report, thread, kind, stands);
    hki_report_add(report, "%s\n", attention & HKI_CANCELLED ? ", cancelled" : "");
}

/* ---- those that are in no tree ---- */

struct thread_dump {
    struct hki_report *report;
    bool stand;
    bool any;
};

/* True when a runtime's tree shows it, in its scope. With the lock of its chain. */
static bool is_in_a_tree(const struct hki_thread *thread)
{
    const struct hki_self *owner =
        thread->self.parent ? thread->self.parent->hki_owner : NULL;

    return owner && owner->kind == HKI_SELF_TASK && hki_halt_is_still(owner->worker);
}

static void add_origin(struct hki_report *report, const hk_scope *parent)
{
    const struct hki_self *owner = parent->hki_owner;

    hki_report_add(
        report,
        "in scope '%s' of %s '%s': ", parent->hki_name ? parent->hki_name : "unnamed",
        owner->kind == HKI_SELF_TASK ? "task" : "thread", hki_self_name(owner));
}

static void show_thread(struct hki_thread *thread, void *ctx)
{
    struct thread_dump *dump = ctx;

    if (!__atomic_load_n(&thread->thread_id, __ATOMIC_ACQUIRE) ||
        __atomic_load_n(&thread->is_ours, __ATOMIC_ACQUIRE))
        return;
    hki_chain_lock(&thread->self);
    if (!is_in_a_tree(thread)) {
        hki_report_add(dump->report, "%s  ", dump->any ? "" : "threads\n");
        dump->any = true;
        if (thread->self.parent)
            add_origin(dump->report, thread->self.parent);
        hki_dump_add_thread(dump->report, thread, dump->stand);
    }
    hki_chain_unlock(&thread->self);
}

void hki_dump_add_threads(struct hki_report *report, bool stand)
{
    struct thread_dump dump = {.report = report, .stand = stand};

    hki_threads_visit(show_thread, &dump);
    hki_calls_add(report);
}
