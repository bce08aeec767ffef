/* SPDX-License-Identifier: MIT */
/*
 * How a seed becomes a schedule. The seed is the state of the worker's random source,
 * from which everything is drawn, the choices of select included. Nothing else may have
 * a say, or a failure could not be replayed: no address, no slot number (records are
 * used again in the order of what ran before), no time of day. Tasks are known by the
 * order in which they were first seen ready, messages by the order of their arrival.
 *
 * A first draw gives the schedule its temper: even, sticky, or by priorities; how often
 * calls yield, wakes travel and time passes. Extremes are frequent on purpose.
 */
#include "testing/schedule.h"

#include "base/assert.h"
#include "core/dump.h"
#include "core/runtime.h"
#include "core/scope.h"
#include "core/virtual_clock.h"
#include "core/wait.h"

#include <stdlib.h>

enum {
    CHANGES_MAX = 3, /* of priority, in one schedule */
    VICTIMS_MAX = 8,
    STEPS_MAX = 1000 * 1000,
    STEPS_WITH_TEMPER = 10 * 1000, /* then evenly, so that who polls makes way */
};

/* Where every schedule's clock begins. */
#define CLOCK_BEGIN (1000 * HK_SECOND)

enum temper { EVEN, STICKY, BY_PRIORITY };

/* What is known of the task in one slot. */
struct known {
    struct hki_task *task;
    uint32_t generation;
    uint32_t schedule; /* serial of the schedule that saw it first */
    uint32_t number;   /* order in which it was first seen ready */
    uint32_t priority;
};

struct victim {
    uint32_t at_park;      /* the how-manieth park of the schedule chooses the task */
    uint32_t turns;        /* of the loop until it is cancelled */
    struct hki_task *task; /* NULL: not yet chosen, or done */
    uint32_t generation;
};

static struct {
    struct hki_worker *worker;
    hk_scope *scope;
    uint64_t trace, steps;
    uint32_t serial;
    uint32_t tasks_seen, parks;
    uint32_t last_number; /* of the task that ran last */
    int failure;
    bool clock_waits, logs;

    enum temper temper;
    uint32_t yields, travels, passes; /* of 16 chances */
    uint64_t change_at[CHANGES_MAX];  /* steps at which the priority sinks */
    struct victim victims[VICTIMS_MAX];
    uint32_t victim_count;

    hk_inbox_node *held, **held_end; /* messages on their way, oldest first */
    struct known *known;             /* by slot */
    uint32_t known_room;
} schedule;

/* ---- chance ---- */

static uint32_t draw(uint32_t below)
{
    return (uint32_t)((hki_random() >> 32) * below >> 32);
}

static bool has_chance(uint32_t of_16)
{
    return of_16 >= 16 || (of_16 && draw(16) < of_16);
}

static void note(uint64_t value)
{
    schedule.trace = (schedule.trace ^ value) * UINT64_C(0x100000001b3); /* FNV-1a */
}

/* One of: never, now and then, half, always. */
static uint32_t draw_chances(void)
{
    static const uint8_t chances[] = {0, 2, 8, 16};

    return chances[draw(4)];
}

static void draw_temper(uint32_t cancels)
{
    static const uint8_t tempers[] = {EVEN,   EVEN,        EVEN,
                                      STICKY, BY_PRIORITY, BY_PRIORITY};
    uint32_t length = 4u << draw(6); /* steps, guessed: it must not be measured */

    schedule.temper = tempers[draw(sizeof(tempers))];
    schedule.yields = draw_chances();
    schedule.travels = draw_chances();
    schedule.passes = schedule.clock_waits ? 0 : draw(3);
    for (int i = 0; i < CHANGES_MAX; i++)
        schedule.change_at[i] = 1 + draw(length);
    schedule.victim_count = cancels < VICTIMS_MAX ? cancels : VICTIMS_MAX;
    for (uint32_t i = 0; i < schedule.victim_count; i++)
        schedule.victims[i] = (struct victim){
            .at_park = 1 + draw(length),
            .turns = draw(4),
        };
}

/* ---- failing ---- */

static void report_waits(void)
{
    struct hki_report report;

    hki_report_init(&report, -1);
    for (uint32_t slot = 0; slot < schedule.known_room; slot++) {
        const struct known *known = &schedule.known[slot];

        if (known->schedule != schedule.serial || !known->task->self.waiter ||
            known->task->generation != known->generation)
            continue;
        hki_report_add(&report, "  task %u '%s' waits for ", known->number,
                       hki_task_display_name(known->task));
        hki_dump_add_wait(&report, known->task->self.waiter);
        hki_report_add(&report, "\n");
    }
    hki_report_log(&report, HK_LOG_ERROR);
    hki_report_fini(&report);
}

/* The tasks are cancelled, to be rid of them. */
static void give_up(int failure)
{
    if (schedule.failure)
        hki_panic("exploring: the tasks of a schedule do not end although they are "
                  "cancelled");
    schedule.failure = failure;
    schedule.steps = 0;
    hki_log(HK_LOG_ERROR, "exploring: %s:",
            failure == -EDEADLK ? "all tasks wait for ever"
                                : "the tasks go on for ever");
    report_waits();
    hki_scope_cancel_here(schedule.scope, HK_BY_CANCEL);
}

/* ---- who is who ---- */

static void make_room(uint32_t slot)
{
    uint32_t room = schedule.known_room ? schedule.known_room : 64;

    while (room <= slot)
        room *= 2;
    schedule.known = realloc(schedule.known, room * sizeof(*schedule.known));
    if (!schedule.known)
        hki_panic("exploring: no memory to know %u tasks", room);
    for (uint32_t i = schedule.known_room; i < room; i++)
        schedule.known[i] = (struct known){.task = NULL};
    schedule.known_room = room;
}

static struct known *know(struct hki_task *task)
{
    struct known *known;

    if (task->slot >= schedule.known_room)
        make_room(task->slot);
    known = &schedule.known[task->slot];
    if (known->schedule != schedule.serial || known->generation != task->generation)
        *known = (struct known){
            .task = task,
            .generation = task->generation,
            .schedule = schedule.serial,
            .number = schedule.tasks_seen++,
            .priority = CHANGES_MAX + 1 + draw(1 << 30),
        };
    return known;
}

/* ---- the next task ---- */

static struct hki_task **link_at(struct hki_worker *worker, uint32_t index)
{
    struct hki_task **link = &worker->ready_head;

    while (index-- > 0)
        link = &(*link)->next;
    return link;
}

static struct hki_task **link_of_highest(struct hki_worker *worker)
{
    struct hki_task **highest = &worker->ready_head;

    for (struct hki_task **link = highest; *link; link = &(*link)->next)
        if (know(*link)->priority > know(*highest)->priority)
            highest = link;
    return highest;
}

static struct hki_task **link_of_last(struct hki_worker *worker)
{
    struct hki_task **link = &worker->ready_head;

    while (*link && know(*link)->number != schedule.last_number)
        link = &(*link)->next;
    return *link ? link : NULL;
}

static struct hki_task **draw_task(struct hki_worker *worker, uint32_t count)
{
    enum temper temper = schedule.steps < STEPS_WITH_TEMPER ? schedule.temper : EVEN;
    struct hki_task **link = NULL;

    if (temper == STICKY && draw(4))
        link = link_of_last(worker);
    if (temper != BY_PRIORITY)
        return link ? link : link_at(worker, draw(count));
    link = link_of_highest(worker);
    for (uint32_t i = 0; i < CHANGES_MAX; i++)
        if (schedule.change_at[i] == schedule.steps)
            know(*link)->priority = i;
    return link_of_highest(worker);
}

static void move_to_front(struct hki_worker *worker, struct hki_task **link)
{
    struct hki_task *task = *link;

    if (task == worker->ready_head)
        return;
    *link = task->next;
    if (task == worker->ready_tail)
        worker->ready_tail = hki_container_of(link, struct hki_task, next);
    task->next = worker->ready_head;
    worker->ready_head = task;
}

static void choose_task(struct hki_worker *worker)
{
    struct known *known;
    uint32_t count = 0;

    for (struct hki_task *t = worker->ready_head; t; t = t->next, count++)
        (void)know(t); /* numbers are given in the order of the queue */
    if (++schedule.steps == STEPS_MAX)
        give_up(-ELOOP);
    if (count > 1)
        move_to_front(worker, draw_task(worker, count));
    known = know(worker->ready_head);
    known->task->self.budget = has_chance(schedule.yields) ? 1 : HKI_BUDGET;
    schedule.last_number = known->number;
    note((uint64_t)count << 32 | known->number);
    if (schedule.logs)
        hki_log(HK_LOG_INFO, "step %llu: task %u '%s' of %u",
                (unsigned long long)schedule.steps, known->number,
                hki_task_display_name(known->task), count);
}

/* ---- messages, time, cancels ---- */

static void hold(hk_inbox_node *arrived)
{
    *schedule.held_end = arrived;
    while (*schedule.held_end)
        schedule.held_end = &(*schedule.held_end)->hki_next;
}

static hk_inbox_node *draw_message(void)
{
    uint32_t count = 0;
    hk_inbox_node **link = &schedule.held, *node;

    for (node = schedule.held; node; node = node->hki_next)
        count++;
    count = draw(count);
    note(count);
    while (count-- > 0)
        link = &(*link)->hki_next;
    node = *link;
    *link = node->hki_next;
    if (!*link)
        schedule.held_end = link;
    return node;
}

static void read_messages(struct hki_worker *worker)
{
    hold(worker->unread); /* from before the exploration */
    worker->unread = NULL;
    hold((hk_inbox_node *)(void *)hki_mpsc_take_all(&worker->inbox));
    while (schedule.held && (!worker->ready_head || has_chance(8))) {
        hk_inbox_node *node = draw_message();

        if (schedule.logs)
            hki_log(HK_LOG_INFO, "a message arrives");
        node->hki_run(node, worker);
        hold((hk_inbox_node *)(void *)hki_mpsc_take_all(&worker->inbox));
    }
}

static void cancel_victims(void)
{
    for (uint32_t i = 0; i < schedule.victim_count; i++) {
        struct victim *victim = &schedule.victims[i];
        struct hki_task *task = victim->task;

        if (!task || victim->turns-- > 0)
            continue;
        victim->task = NULL;
        if (task->generation != victim->generation)
            continue;
        note(i);
        if (schedule.logs)
            hki_log(HK_LOG_INFO, "task '%s' is cancelled", hki_task_display_name(task));
        hki_task_cancel_here(task);
    }
}

static void begin_turn(struct hki_worker *worker)
{
    worker->ticks = 0;
    if (schedule.victim_count)
        cancel_victims();
    read_messages(worker);
    if (worker->wheel.count && worker->ready_head && has_chance(schedule.passes)) {
        note(worker->wheel.count);
        (void)hki_virtual_jump(worker);
    }
}

/* A random permutation, link by link. */
static hk_timer *mix_timers(hk_timer *list)
{
    hk_timer *mixed = NULL;
    uint32_t count = 0;

    while (list) {
        hk_timer *timer = list, **link = &mixed;

        list = list->hki_next;
        for (uint32_t at = draw(++count); at > 0; at--)
            link = &(*link)->hki_next;
        timer->hki_next = *link;
        *link = timer;
    }
    note(count);
    return mixed;
}

static bool get_unstuck(struct hki_worker *worker)
{
    if (worker->ops_in_flight || hki_worker_has_messages(worker))
        return false;
    give_up(-EDEADLK);
    return true;
}

static const struct hki_chooser chooser = {
    .begin_turn = begin_turn,
    .choose_task = choose_task,
    .mix_timers = mix_timers,
    .get_unstuck = get_unstuck,
};

static void note_victim(struct hki_task *task)
{
    schedule.parks++;
    for (uint32_t i = 0; i < schedule.victim_count; i++)
        if (schedule.victims[i].at_park == schedule.parks) {
            schedule.victims[i].task = task;
            schedule.victims[i].generation = task->generation;
        }
}

/* A task of the scenario parks. */
static void observe_park(struct hki_self *self)
{
    if (!self->worker->chooser)
        return;
    if (has_chance(schedule.travels))
        self->waiter->hki_state |= HKI_WAIT_FAR;
    if (schedule.victim_count && self->parent && self->parent != schedule.scope)
        note_victim(hki_task_of(self));
}

/* ---- from begin to end ---- */

void hki_schedule_begin(struct hki_worker *worker, hk_scope *scope, uint64_t seed,
                        const hk_explore_options *options)
{
    worker->random = seed;
    worker->runtime->virtual_now_ns = CLOCK_BEGIN;
    worker->now_ns = CLOCK_BEGIN;
    hki_wheel_init(&worker->wheel, CLOCK_BEGIN);
    schedule.worker = worker;
    schedule.scope = scope;
    schedule.serial++;
    schedule.trace = UINT64_C(0xcbf29ce484222325);
    schedule.steps = 0;
    schedule.tasks_seen = schedule.parks = schedule.last_number = 0;
    schedule.failure = 0;
    schedule.clock_waits = options->clock_waits;
    schedule.logs = options->trace;
    schedule.held = NULL;
    schedule.held_end = &schedule.held;
    draw_temper(options->cancels);
    hki_park_observer = observe_park;
    worker->chooser = &chooser;
    worker->ticks = 0;
}

int hki_schedule_end(struct hki_worker *worker)
{
    while (schedule.held || worker->zombies || hki_worker_has_messages(worker))
        (void)hk_yield();
    if (worker->wheel.count)
        hki_panic("exploring: a timer outlives its scenario");
    worker->chooser = NULL;
    hki_park_observer = NULL;
    note(hki_random()); /* choices that were made without us, as those of select */
    return schedule.failure;
}

uint64_t hki_schedule_trace(void)
{
    return schedule.trace;
}

uint64_t hki_schedule_steps(void)
{
    return schedule.steps;
}

void hki_schedule_forget(void)
{
    free(schedule.known);
    schedule.known = NULL;
    schedule.known_room = 0;
}

/* ---- in the scenario ---- */

/* NULL: the caller is no task of an exploration. */
static struct hki_self *explored_self(void)
{
    struct hki_self *self = hki_self_current;

    return self && self->kind == HKI_SELF_TASK && self->worker->chooser ? self : NULL;
}

void hk_explore_point(void)
{
    struct hki_self *self = explored_self();

    if (self)
        hki_self_exhausted(self);
}

uint32_t hk_explore_choice(uint32_t count)
{
    return explored_self() ? draw(count) : 0;
}
