/* SPDX-License-Identifier: MIT */
/*
 * The waits of everybody, made into a graph for as long as they stand still: the same
 * search names their cycles that finds a deadlock at once while the checks are on. Here
 * it needs no checks: a lock knows its holder in every build.
 */
#include "core/deadlock_waits.h"

#include "core/check_wait.h"
#include "core/runtime.h"
#include "sys/os.h"

#include <string.h>

/* Of all searches: in a second or so. */
#define STEPS_MAX UINT64_C(10000000)

struct visit {
    void (*fn)(struct hki_self *self, void *ctx);
    void *ctx;
};

static void visit_tasks(struct hki_runtime *runtime, struct visit *visit)
{
    uint32_t slots =
        HKI_TASK_SLAB * __atomic_load_n(&runtime->slab_count, __ATOMIC_ACQUIRE);
    const uint32_t wanted = HKI_TASK_LIVE | HKI_TASK_STARTED;

    for (uint32_t i = 0; i < slots; i++) {
        struct hki_task *task = hki_runtime_task(runtime, i);

        if ((task->self.flags & wanted) == wanted &&
            (task->self.waiter || (task->self.flags & HKI_TASK_LENDS)))
            visit->fn(&task->self, visit->ctx);
    }
}

static void visit_thread(struct hki_thread *thread, void *ctx)
{
    struct visit *visit = ctx;

    if (hki_thread_is_plain(thread) && thread->self.waiter)
        visit->fn(&thread->self, visit->ctx);
}

void hki_waits_visit(struct hki_runtime *pinned,
                     void (*fn)(struct hki_self *self, void *ctx), void *ctx)
{
    struct visit visit = {fn, ctx};

    for (struct hki_runtime *r = pinned; r; r = r->pinned_next)
        visit_tasks(r, &visit);
    hki_threads_visit(visit_thread, &visit);
}

/* ---- the cycles among them ---- */

static struct hki_wait_graph graph; /* guarded by the halt: one at a time */

struct found {
    struct hki_wait *waits;
    size_t count, max;
};

static void add_to_graph(struct hki_self *self, void *ctx)
{
    struct found *found = ctx;
    struct hki_wait *wait = &found->waits[found->count];

    if (found->count == found->max)
        return;
    found->count++;
    hki_wait_fill(wait, self, self->waiter);
    wait->age = self->waiter ? (uint64_t)self->waiter->hki_since_ns : 0;
    wait->can_undo = self->waiter && self->waiter->hki_abort;
    hki_wait_add(&graph, wait);
}

/* What is in no cycle is taken out of the search: so each is looked at about once, if
 * children come before their parents, which mostly have the lower slot. */
static void add_cycles(struct hki_report *report, const struct found *found,
                       struct hki_self **victim)
{
    struct hki_wait *youngest = NULL;

    for (size_t i = found->count; i-- > 0 && graph.steps < STEPS_MAX;) {
        struct hki_wait *wait = &found->waits[i], *candidate;

        if (wait->is_named)
            continue;
        if (!hki_wait_closes_cycle(&graph, wait, true)) {
            wait->is_ending = true;
            continue;
        }
        hki_wait_add_cycle(report, wait);
        candidate = hki_wait_victim(wait);
        if (candidate && (!youngest || candidate->age > youngest->age))
            youngest = candidate;
    }
    if (youngest)
        *victim = youngest->self;
}

void hki_waits_name_cycles(struct hki_report *report, struct hki_runtime *pinned,
                           size_t count_max, struct hki_self **victim)
{
    size_t size = count_max * sizeof(struct hki_wait);
    struct found found = {.max = count_max, .waits = hki_os_reserve(size)};

    if (!found.waits)
        return;
    memset(&graph, 0, sizeof(graph));
    HKI_READS_OF_ALL_BEGIN();
    hki_waits_visit(pinned, add_to_graph, &found);
    add_cycles(report, &found, victim);
    HKI_READS_OF_ALL_END();
    hki_os_release(found.waits, size);
}
