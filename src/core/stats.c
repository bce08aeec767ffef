/* SPDX-License-Identifier: MIT */
/* Counters of a runtime, and the ledger of the process. */
#include "base/alloc.h"
#include "core/handle.h"
#include "core/runtime.h"
#include "core/thread.h"
#include "core/to_thread.h"

#include <hocket/testing.h>

#include <string.h>

/* Counters are written by their worker alone; a torn or late read is a late number. */
static uint64_t peek(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

void hk_stats_read(hk_stats *out)
{
    struct hki_runtime *runtime = hki_runtime_current();

    memset(out, 0, sizeof(*out));
    out->threads_alive = hki_spawned_count();
    out->calls_alive = hki_calls_count();
    out->calls_abandoned = hki_calls_abandoned();
    if (!runtime)
        return;
    out->workers = hki_worker_count(runtime);
    out->poller = runtime->workers[0].poller_ops->name;
    for (uint32_t i = 0; i < hki_worker_count(runtime); i++) {
        const struct hki_worker *w = &runtime->workers[i];

        out->tasks_spawned += peek(&w->tasks_spawned);
        out->tasks_alive += peek(&w->tasks_spawned) - peek(&w->tasks_ended);
        out->switches += peek(&w->switches);
        out->stacks_in_use += __atomic_load_n(&w->stacks.in_use, __ATOMIC_RELAXED);
        out->stacks_mapped += __atomic_load_n(&w->stacks.cut, __ATOMIC_RELAXED);
        out->timers_fired += peek(&w->timers_fired);
        out->ops_started += peek(&w->ops_started);
        out->ops_in_flight += peek(&w->ops_in_flight);
        out->polls += peek(&w->polls);
        out->stalls += peek(&w->stalls);
        out->errors_unreported += peek(&w->errors_unreported);
    }
}

static void add_runtime(struct hki_runtime *runtime, void *ctx)
{
    hk_ledger *ledger = ctx;

    for (uint32_t i = 0; i < hki_worker_count(runtime); i++) {
        const struct hki_worker *w = &runtime->workers[i];

        ledger->tasks += peek(&w->tasks_spawned) - peek(&w->tasks_ended);
        ledger->ops += peek(&w->ops_in_flight);
    }
}

void hk_ledger_read(hk_ledger *out)
{
    memset(out, 0, sizeof(*out));
    out->fds = hki_handle_count();
    out->bytes = hki_alloc_bytes();
    out->threads = hki_spawned_count();
    out->calls = hki_calls_count();
    hki_runtimes_visit(add_runtime, out);
}
