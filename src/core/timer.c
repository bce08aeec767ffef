/* SPDX-License-Identifier: MIT */
/*
 * A hashed hierarchical timing wheel (Varghese and Lauck, "Hashed and Hierarchical
 * Timing Wheels", SOSP 1987), with a bit map for each level, so that the next timer is
 * found without walking.
 *
 * A timer's level is the highest digit (base 64) in which its tick differs from the
 * wheel's; its slot is that digit. Time passing a digit empties that slot downwards.
 */
#include "core/timer.h"

#include "base/assert.h"
#include "core/worker.h"

#include <string.h>

static uint64_t tick_of(int64_t time_ns)
{
    return (uint64_t)time_ns >> HKI_WHEEL_TICK_SHIFT;
}

void hki_wheel_init(struct hki_wheel *wheel, int64_t now_ns)
{
    memset(wheel, 0, sizeof(*wheel));
    wheel->tick = tick_of(now_ns);
}

static inline unsigned level_of(uint64_t difference)
{
    return difference ? (unsigned)(63 - __builtin_clzll(difference)) / HKI_WHEEL_BITS
                      : 0;
}

static inline unsigned slot_of(uint64_t tick, unsigned level)
{
    return (unsigned)(tick >> (level * HKI_WHEEL_BITS)) % HKI_WHEEL_SLOTS;
}

static inline void link_timer(struct hki_wheel *wheel, hk_timer *timer)
{
    uint64_t tick = tick_of(timer->hki_deadline_ns);
    unsigned level, slot;
    hk_timer **head;

    if (tick < wheel->tick)
        tick = wheel->tick; /* overdue: in the slot that is looked at next */
    level = level_of(tick ^ wheel->tick);
    if (HKI_UNLIKELY(level >= HKI_WHEEL_LEVELS))
        level = HKI_WHEEL_LEVELS - 1; /* more than a century ahead: never */
    slot = slot_of(tick, level);
    head = &wheel->slots[level][slot];
    timer->hki_next = *head;
    if (*head)
        (*head)->hki_link = &timer->hki_next;
    timer->hki_link = head;
    *head = timer;
    wheel->occupied[level] |= UINT64_C(1) << slot;
}

void hki_wheel_set(struct hki_wheel *wheel, hk_timer *timer, int64_t deadline_ns)
{
    timer->hki_deadline_ns = deadline_ns < 0 ? 0 : deadline_ns;
    link_timer(wheel, timer);
    wheel->count++;
}

bool hki_wheel_cancel(struct hki_wheel *wheel, hk_timer *timer)
{
    hk_timer **link = timer->hki_link;
    hk_timer **first = &wheel->slots[0][0];

    if (!link)
        return false;
    *link = timer->hki_next;
    if (timer->hki_next) {
        timer->hki_next->hki_link = link;
    } else if (link >= first && link < first + HKI_WHEEL_LEVELS * HKI_WHEEL_SLOTS) {
        /* It was alone in its slot: the link says which. */
        size_t index = (size_t)(link - first);

        wheel->occupied[index / HKI_WHEEL_SLOTS] &=
            ~(UINT64_C(1) << (index % HKI_WHEEL_SLOTS));
    }
    timer->hki_link = NULL;
    wheel->count--;
    return true;
}

/* Empties a slot; what was in it comes as a plain list, oldest first. */
static hk_timer *take_slot(struct hki_wheel *wheel, unsigned level, unsigned slot)
{
    hk_timer *timer = wheel->slots[level][slot], *next, *oldest = NULL;

    wheel->slots[level][slot] = NULL;
    wheel->occupied[level] &= ~(UINT64_C(1) << slot);
    for (; timer; timer = next) {
        next = timer->hki_next;
        timer->hki_next = oldest;
        oldest = timer;
    }
    return oldest;
}

static void link_list(struct hki_wheel *wheel, hk_timer *list)
{
    for (hk_timer *next; list; list = next) {
        next = list->hki_next;
        link_timer(wheel, list);
    }
}

/* The wheel has come to a tick whose lower digits are 0: empties those slots of the
 * higher levels downwards. */
static void cascade(struct hki_wheel *wheel)
{
    for (unsigned level = 1; level < HKI_WHEEL_LEVELS; level++) {
        unsigned slot = slot_of(wheel->tick, level);

        if (wheel->occupied[level] & (UINT64_C(1) << slot))
            link_list(wheel, take_slot(wheel, level, slot));
        if (slot != 0)
            break;
    }
}

/* Merges two lists sorted by time; of equals those of `a` come first. */
static hk_timer *merge(hk_timer *a, hk_timer *b)
{
    hk_timer *head = NULL, **tail = &head;

    while (a && b) {
        hk_timer **less = b->hki_deadline_ns < a->hki_deadline_ns ? &b : &a;

        *tail = *less;
        tail = &(*less)->hki_next;
        *less = *tail;
    }
    *tail = a ? a : b;
    return head;
}

/* A stable bottom-up merge sort: bins[i] holds a sorted list of 2^i timers. */
static hk_timer *sort(hk_timer *list)
{
    const struct hki_worker *worker = hki_worker_current;
    hk_timer *bins[48] = {NULL}, *all = NULL;

    if (HKI_UNLIKELY(worker && worker->chooser))
        list = worker->chooser->mix_timers(list);
    while (list) {
        hk_timer *run = list;
        unsigned i = 0;

        list = list->hki_next;
        run->hki_next = NULL;
        for (; bins[i]; i++) {
            run = merge(bins[i], run);
            bins[i] = NULL;
        }
        bins[i] = run;
    }
    for (unsigned i = 0; i < 48; i++)
        if (bins[i])
            all = merge(bins[i], all);
    return all;
}

/*
 * Calls the due timers of a taken list. They stay linked through a private head while
 * callbacks run, so that a callback may cancel or move any of them.
 */
static uint64_t fire_list(struct hki_wheel *wheel, hk_timer *list, int64_t now_ns)
{
    hk_timer *head = list && list->hki_next ? sort(list) : list;
    uint64_t fired = 0;

    for (hk_timer **link = &head; *link; link = &(*link)->hki_next)
        (*link)->hki_link = link;
    while (head) {
        hk_timer *timer = head;

        head = timer->hki_next;
        if (head)
            head->hki_link = &head;
        if (timer->hki_deadline_ns > now_ns) {
            link_timer(wheel, timer); /* later in this very tick */
            continue;
        }
        timer->hki_link = NULL;
        wheel->count--;
        HKI_HB_ACQUIRE(timer);
        timer->hki_fire(timer);
        fired++;
    }
    return fired;
}

/* The next tick after the wheel's, up to `end`, at which anything must be done. */
static uint64_t next_busy_tick(const struct hki_wheel *wheel, uint64_t end)
{
    uint64_t best = end;

    for (unsigned level = 0; level < HKI_WHEEL_LEVELS; level++) {
        unsigned shift = level * HKI_WHEEL_BITS, now = slot_of(wheel->tick, level);
        uint64_t ahead = wheel->occupied[level];
        uint64_t base, tick;

        /* Slots up to the current digit: level 0's now, which is the caller's, and in
         * the top level what lies more than a century ahead. */
        ahead &= ~((UINT64_C(2) << now) - 1);
        if (!ahead)
            continue;
        base = wheel->tick >> shift >> HKI_WHEEL_BITS << HKI_WHEEL_BITS << shift;
        tick = base + ((uint64_t)__builtin_ctzll(ahead) << shift);
        if (tick < best)
            best = tick;
    }
    return best;
}

/* From a tick that has been dealt with to the next busy one. What callbacks have set to
 * a time that is over lies in the slot that is left, and goes along. */
static void go_on(struct hki_wheel *wheel, uint64_t end)
{
    hk_timer *overdue = take_slot(wheel, 0, slot_of(wheel->tick, 0));

    wheel->tick = wheel->count ? next_busy_tick(wheel, end) : end;
    cascade(wheel);
    link_list(wheel, overdue);
}

uint64_t hki_wheel_fire(struct hki_wheel *wheel, int64_t now_ns)
{
    uint64_t end = tick_of(now_ns), fired = 0;

    for (;;) {
        unsigned slot = slot_of(wheel->tick, 0);

        if (wheel->occupied[0] & (UINT64_C(1) << slot))
            fired += fire_list(wheel, take_slot(wheel, 0, slot), now_ns);
        if (wheel->tick >= end)
            return fired;
        go_on(wheel, end);
    }
}

static int64_t earliest_in(const hk_timer *timer)
{
    int64_t best = HK_NEVER;

    for (; timer; timer = timer->hki_next)
        if (timer->hki_deadline_ns < best)
            best = timer->hki_deadline_ns;
    return best;
}

int64_t hki_wheel_next(struct hki_wheel *wheel, bool exact)
{
    unsigned now = slot_of(wheel->tick, 0);

    if (!wheel->count)
        return HK_NEVER;
    if (exact) {
        int64_t best = HK_NEVER;

        for (unsigned level = 0; level < HKI_WHEEL_LEVELS; level++)
            for (uint64_t bits = wheel->occupied[level]; bits; bits &= bits - 1) {
                int64_t time = earliest_in(wheel->slots[level][__builtin_ctzll(bits)]);

                if (time < best)
                    best = time;
            }
        return best;
    }
    if (wheel->occupied[0] & (UINT64_C(1) << now)) /* due by the end of this tick */
        return (int64_t)((wheel->tick + 1) << HKI_WHEEL_TICK_SHIFT);
    {
        uint64_t last = tick_of(HK_NEVER), tick = next_busy_tick(wheel, last);

        if (tick >= last)
            return HK_NEVER;
        /* Level 0: the end of its tick, when all of it is due; above: its begin. */
        bool finest = slot_of(tick, 0) != now && (tick ^ wheel->tick) < HKI_WHEEL_SLOTS;

        return (int64_t)((tick + (finest ? 1 : 0)) << HKI_WHEEL_TICK_SHIFT);
    }
}

void hk_timer_set(hk_timer *timer, int64_t deadline_ns, void (*fire)(hk_timer *timer))
{
    struct hki_worker *worker = hki_worker_current;

    if (HKI_UNLIKELY(!worker))
        hki_panic("hk_timer_set on a plain thread: timers belong to a worker");
    if (timer->hki_link)
        hki_wheel_cancel(&worker->wheel, timer);
    timer->hki_fire = fire;
    HKI_HB_RELEASE(timer); /* what was done before is seen by the callback */
    hki_wheel_set(&worker->wheel, timer, deadline_ns);
}

bool hk_timer_cancel(hk_timer *timer)
{
    struct hki_worker *worker = hki_worker_current;

    if (HKI_UNLIKELY(!worker))
        hki_panic("hk_timer_cancel on a plain thread: timers belong to a worker");
    return hki_wheel_cancel(&worker->wheel, timer);
}
