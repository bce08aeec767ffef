/* SPDX-License-Identifier: MIT */
/*
 * The graph of waits, and the search in it. Its edges are not stored: whom a wait waits
 * for is asked at the moment of the search, of the lock (hk_wait_kind.holders) or, for
 * a join, of the graph (who waits, and is a child of that scope).
 *
 * Why a cycle that is found is one. The search looks at waits one after the other while
 * the graph is locked. Say that it has read that P waits for Q, and later that Q waits
 * for R. The first was true when it was read: a kind lists Q only if P's wait cannot
 * end before Q lets go. It is still true, since Q can let go only by running, and Q is
 * in the graph, which it leaves, under the lock, before it runs. So when the last edge
 * has been read all are true at once, and none of those in the cycle can ever run,
 * unless its wait is undone from outside (a cancel, a deadline); who is cancelled
 * already is left out. A wait that has ended and whose task did not run yet is still in
 * the graph; it has no edges: its lock lists itself as the holder.
 */
#include "core/check_wait.h"

#include "core/dump.h"
#include "core/scope.h"
#include "core/task.h"
#include "core/thread.h"

enum {
    HOLDERS_MAX = 64,
    HOLDS_SHOWN = 8,
};

/* ---- the graph ---- */

static size_t bucket_of(const void *pointer)
{
    return ((uintptr_t)pointer >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 54;
}

_Static_assert(HKI_WAIT_BUCKETS == 1 << 10, "as many as bucket_of has values");

void hki_wait_fill(struct hki_wait *wait, struct hki_self *self, const hk_waiter *w)
{
    *wait = (struct hki_wait){.self = self, .waiter = w, .parent = self->parent};
    if (!w)
        wait->joins = self->scope;
    else if (w->kind == &hki_join_kind)
        wait->joins = w->object;
}

void hki_wait_add(struct hki_wait_graph *graph, struct hki_wait *wait)
{
    struct hki_wait **head = &graph->by_self[bucket_of(wait->self)];

    wait->next_self = *head;
    wait->link_self = head;
    if (*head)
        (*head)->link_self = &wait->next_self;
    *head = wait;
    if (!wait->parent)
        return;
    head = &graph->by_parent[bucket_of(wait->parent)];
    wait->next_sibling = *head;
    wait->link_sibling = head;
    if (*head)
        (*head)->link_sibling = &wait->next_sibling;
    *head = wait;
}

void hki_wait_remove(struct hki_wait *wait)
{
    *wait->link_self = wait->next_self;
    if (wait->next_self)
        wait->next_self->link_self = wait->link_self;
    if (!wait->parent)
        return;
    *wait->link_sibling = wait->next_sibling;
    if (wait->next_sibling)
        wait->next_sibling->link_sibling = wait->link_sibling;
}

struct hki_wait *hki_wait_find(const struct hki_wait_graph *graph, hk_holder self)
{
    struct hki_wait *wait = graph->by_self[bucket_of(self)];

    while (wait && wait->self != self)
        wait = wait->next_self;
    return wait;
}

/* ---- waits that will end by themselves ---- */

/* Cancelled, or soon: the cancel of a scope further out may still be on its way. What
 * lies around one who waits stays while it does. */
static bool is_cancelled(const struct hki_self *self)
{
    if (__atomic_load_n(&self->attention, __ATOMIC_RELAXED) & HKI_CANCELLED)
        return true;
    for (const hk_scope *scope = self->scope;; scope = scope->hki_outer) {
        uint32_t flags;

        while (!scope) { /* past its outermost: what it was spawned into */
            scope = self->parent;
            if (!scope)
                return false;
            self = scope->hki_owner;
        }
        flags = hki_scope_flags_of(scope);
        if (flags & (HKI_SCOPE_CANCELLED | HKI_SCOPE_EFFECTIVE))
            return true;
        if (flags & HKI_SCOPE_SHIELDED)
            return false;
    }
}

static bool is_leaving(const struct hki_wait *wait)
{
    return wait->is_ending || (wait->can_undo && is_cancelled(wait->self));
}

/* ---- the search ---- */

struct search {
    struct hki_wait_graph *graph;
    struct hki_wait *start, *last;
    bool all;
    bool found;
};

static void come_to(struct search *search, struct hki_wait *wait, struct hki_wait *by)
{
    search->graph->steps++;
    if (!wait || is_leaving(wait) || search->found)
        return;
    search->found = wait == search->start;
    if (wait->search == search->graph->search && !search->found)
        return;
    wait->search = search->graph->search;
    wait->by = by;
    wait->queued = NULL;
    search->last->queued = wait;
    search->last = wait;
}

static void follow_holders(struct search *search, struct hki_wait *wait)
{
    const hk_wait_kind *kind = wait->waiter->kind;
    hk_holder holders[HOLDERS_MAX];
    size_t count = kind->holders(wait->waiter->object, holders, HOLDERS_MAX);

    if (!search->all &&
        (kind->holders_are_guessed || (kind->one_is_enough && count > 1)))
        return;
    if (count > HOLDERS_MAX)
        count = HOLDERS_MAX;
    for (size_t i = 0; i < count; i++)
        if (holders[i] == wait->self)
            return; /* it has it, and will see that soon */
    for (size_t i = 0; i < count; i++)
        come_to(search, hki_wait_find(search->graph, holders[i]), wait);
}

static void follow_children(struct search *search, struct hki_wait *wait)
{
    struct hki_wait *child = search->graph->by_parent[bucket_of(wait->joins)];

    for (; child; child = child->next_sibling)
        if (child->parent == wait->joins)
            come_to(search, child, wait);
}

bool hki_wait_closes_cycle(struct hki_wait_graph *graph, struct hki_wait *start,
                           bool all)
{
    struct search search = {.graph = graph, .start = start, .last = start, .all = all};

    graph->search++;
    start->search = graph->search;
    start->queued = NULL;
    for (struct hki_wait *wait = start; wait && !search.found; wait = wait->queued) {
        if (wait->joins)
            follow_children(&search, wait);
        else if (wait->waiter->kind && wait->waiter->kind->holders)
            follow_holders(&search, wait);
    }
    return search.found;
}

struct hki_wait *hki_wait_victim(struct hki_wait *start)
{
    struct hki_wait *wait = start, *victim = NULL;

    do {
        if (wait->can_undo && (!victim || wait->age > victim->age))
            victim = wait;
        wait = wait->by;
    } while (wait != start);
    return victim;
}

/* ---- in words ---- */

static void add_stack(struct hki_report *report, const struct hki_wait *wait)
{
    struct hki_frames frames;

    if (wait->frames) {
        hki_report_add_frames(report, 6, wait->frames);
    } else if (wait->self->kind == HKI_SELF_TASK && wait->waiter) {
        hki_backtrace_parked(hki_task_of(wait->self)->sp, &frames);
        hki_report_add_frames(report, 6, &frames);
    }
}

/* What it holds, as far as the checks know, and where it took that. */
static void add_holds(struct hki_report *report, const struct hki_wait *wait)
{
    const struct hki_holds *holds = hki_holds_peek(wait->self);
    char text[128];

    if (!hki_is_checking() || !holds)
        return;
    for (uint32_t i = 0; i < holds->count && i < HOLDS_SHOWN; i++) {
        const struct hki_hold *hold = &holds->room->items[i];

        hki_check_lock_text(hold->lock, hold->kind, text, sizeof(text));
        hki_report_add(report, "deadlock:     it took %s%s at\n", text,
                       hold->hold == HKI_HELD_SHARED ? " (shared)" : "");
        hki_check_add_site(report, 6, hold);
    }
}

/* Completes "which task 'x' ..."; of a child nothing is left to say. */
static const char *how_it_holds(const struct hki_wait *wait)
{
    if (wait->joins)
        return "";
    return wait->waiter->kind->holders_are_guessed ? " used last" : " holds";
}

static void add_wait(struct hki_report *report, const struct hki_wait *wait,
                     const struct hki_wait *whom)
{
    hki_report_add(report, "deadlock:   %s '%s' waits for ",
                   hki_check_what_is(wait->self), hki_self_name(wait->self));
    if (wait->waiter)
        hki_dump_add_wait(report, wait->waiter);
    else
        hki_report_add(report, "join");
    hki_report_add(report, ", %s %s '%s'%s\n", wait->joins ? "for its child," : "which",
                   hki_check_what_is(whom->self), hki_self_name(whom->self),
                   how_it_holds(wait));
    add_stack(report, wait);
    add_holds(report, wait);
}

void hki_wait_add_cycle(struct hki_report *report, struct hki_wait *start)
{
    struct hki_wait *wait = start, *whom = start;
    unsigned count = 0;

    /* `by` leads backwards; turned round it is the order in which they wait. */
    do {
        struct hki_wait *by = wait->by;

        wait->is_named = true;
        wait->queued = whom;
        whom = wait;
        wait = by;
        count++;
    } while (wait != start);
    start->queued = whom;
    hki_report_add(report, "deadlock: %u wait%s for %s for ever:\n", count,
                   count == 1 ? "s" : "", count == 1 ? "itself" : "one another");
    wait = start;
    do {
        add_wait(report, wait, wait->queued);
        wait = wait->queued;
    } while (wait != start);
}

void hki_wait_add_victim(struct hki_report *report, const struct hki_self *victim,
                         const hk_waiter *waiter)
{
    hki_report_add(report, "deadlock: -EDEADLK goes to %s '%s', which waits for ",
                   hki_check_what_is(victim), hki_self_name(victim));
    hki_dump_add_wait(report, waiter);
    hki_report_add(report, "\n");
}
