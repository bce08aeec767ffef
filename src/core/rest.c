/* SPDX-License-Identifier: MIT */
/*
 * What a worker does when none of its tasks is ready: it helps those that cannot go on
 * by themselves, lets the virtual clock go on, gives memory back, looks around for
 * work, and in the end sleeps: on a futex while no I/O is in flight (the cheapest wake
 * there is), else in the poller.
 */
#include "core/rest.h"

#include "base/spin.h"
#include "core/deadlock.h"
#include "core/runtime.h"
#include "core/starved.h"
#include "core/virtual_clock.h"
#include "sys/futex.h"
#include "sys/os.h"

/* ---- looking around ---- */

static bool any_shared(const struct hki_runtime *runtime)
{
    for (uint32_t i = 0; i < hki_worker_count(runtime); i++)
        if (__atomic_load_n(&runtime->workers[i].shared_count, __ATOMIC_SEQ_CST))
            return true;
    return false;
}

enum {
    SEARCH_LOOKS = 25,
    SEARCH_PAUSES = 16, /* of 20 ns, between two looks */
};

/* Looks around for a few microseconds: waking up costs more. Not all the time, as each
 * look takes the ends of deques away from the caches of those who use them. */
static bool search(struct hki_worker *worker)
{
    struct hki_source *source = worker->source;

    if (worker->is_full || !source->searches(source))
        return false;
    for (unsigned i = 0; i < SEARCH_LOOKS; i++) {
        if (source->has_work(source) || hki_worker_has_messages(worker))
            return true;
        for (int k = 0; k < SEARCH_PAUSES; k++)
            hki_spin_pause(0);
    }
    return false;
}

/* ---- sleeping ---- */

static bool has_news(struct hki_worker *worker)
{
    return worker->ready_head || hki_worker_has_messages(worker) ||
           any_shared(worker->runtime) ||
           __atomic_load_n(&worker->runtime->finished, __ATOMIC_SEQ_CST);
}

static void sleep_on_futex(struct hki_worker *worker, int64_t until_ns)
{
    bool for_ever = until_ns == HK_NEVER;

    if (for_ever)
        hki_deadlock_quiet(worker);
    while (__atomic_load_n(&worker->sleeping, __ATOMIC_SEQ_CST) != HKI_AWAKE &&
           (for_ever || hki_os_now_ns() < until_ns))
        hki_futex_wait(&worker->sleeping, HKI_SLEEPS_ON_FUTEX, until_ns);
    if (for_ever)
        hki_deadlock_stirs(worker);
}

/* It has slept as long as it may: its thread ends, unless there is something that needs
 * it, or somebody calls it now. */
static bool goes_away(struct hki_worker *worker, int64_t until_ns)
{
    uint32_t asleep = HKI_SLEEPS_ON_FUTEX;

    if (!worker->source || until_ns == HK_NEVER || hki_os_now_ns() < until_ns ||
        worker->tasks_spawned != worker->tasks_ended || worker->zombies ||
        worker->wheel.count || worker->ops_in_flight || worker->blocked_waiters.head ||
        has_news(worker) || !worker->source->may_leave(worker->source))
        return false;
    worker->is_away =
        __atomic_compare_exchange_n(&worker->sleeping, &asleep, HKI_AWAY, false,
                                    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
    if (!worker->is_away)
        worker->source->returns(worker->source);
    return worker->is_away;
}

/* To be called when `sleeping` says so. */
static bool work_lets_sleep(struct hki_worker *worker)
{
    struct hki_source *source = worker->source;

    return !source || source->sleeps(source) || worker->is_full;
}

/* Sleeps until a message, a completion or the time `until_ns`. */
static void sleep_until(struct hki_worker *worker, int64_t until_ns)
{
    struct hki_runtime *runtime = worker->runtime;
    bool io = worker->ops_in_flight > 0;

    __atomic_add_fetch(&runtime->idle, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&worker->sleeping, io ? HKI_SLEEPS_IN_POLLER : HKI_SLEEPS_ON_FUTEX,
                     __ATOMIC_SEQ_CST);
    if (work_lets_sleep(worker) && !has_news(worker)) {
        if (!io) {
            sleep_on_futex(worker, until_ns);
        } else if (until_ns == HK_NEVER) {
            hki_worker_take_completions(worker, -1);
        } else {
            int64_t left_ns = until_ns - hki_os_now_ns();

            hki_worker_take_completions(worker, left_ns > 0 ? left_ns : 0);
        }
    }
    __atomic_sub_fetch(&runtime->idle, 1, __ATOMIC_SEQ_CST);
    if (HKI_UNLIKELY(worker->source) && goes_away(worker, until_ns))
        return;
    __atomic_store_n(&worker->sleeping, HKI_AWAKE, __ATOMIC_SEQ_CST);
    if (worker->source)
        worker->source->wakes(worker->source);
    hki_watch_stirs();
}

/* Every task waits. Whoever waits for that is woken first. */
static bool wake_blocked_waiters(struct hki_worker *worker)
{
    hk_waiter *w;

    if (!worker->blocked_waiters.head)
        return false;
    for (int looks = 0; looks < 2; looks++)
        if (worker->ops_in_flight && hki_worker_take_completions(worker, 0))
            return true;
    if (has_news(worker))
        return true;
    while ((w = hk_waiter_pop(&worker->blocked_waiters)))
        hk_wake(w, 0);
    return true;
}

/* ---- every stack is held by a task that waits in a join ---- */

#define STARVED_GRACE_NS (100 * HK_MILLISECOND)

/* One that can be run elsewhere is; else one fails. If a join waits for other workers,
 * not before they had some time. */
static void relieve_starved(struct hki_worker *worker)
{
    if (hki_starved_lend(worker))
        return;
    if (worker->joins_far) {
        sleep_until(worker, hki_os_now_ns() + STARVED_GRACE_NS);
        if (has_news(worker) || !hki_starved_is_stuck(worker))
            return;
    }
    hki_starved_fail(worker);
}

/* ---- what to do ---- */

/* Work waits, and there was no memory for a stack: it tries again so soon. */
#define FULL_NS (10 * HK_MILLISECOND)

/* The next timer; with a source maybe sooner. */
static int64_t sleep_end(struct hki_worker *worker)
{
    int64_t until_ns = hki_wheel_next(&worker->wheel, false), at_most_ns, now_ns;

    if (HKI_LIKELY(!worker->source))
        return until_ns;
    at_most_ns = worker->source->sleeps_at_most(worker->source);
    if (worker->is_full)
        at_most_ns = FULL_NS;
    if (at_most_ns == HK_NEVER)
        return until_ns;
    now_ns = hki_os_now_ns();
    return until_ns - now_ns > at_most_ns ? now_ns + at_most_ns : until_ns;
}

/* What comes in real time has some of it; then the clock jumps to the next timer. */
static void rest_in_virtual_time(struct hki_worker *worker)
{
    if (hki_worker_has_messages(worker))
        return; /* a timer has called back: that comes before the clock goes on */
    if (worker->ops_in_flight &&
        (hki_worker_take_completions(worker, HKI_VIRTUAL_GRACE_NS) || has_news(worker)))
        return;
    if (worker->calls_awaited) {
        sleep_until(worker, hki_os_now_ns() + HKI_VIRTUAL_GRACE_NS);
        if (has_news(worker))
            return;
    }
    if (hki_virtual_jump(worker))
        return;
    if (worker->chooser && worker->chooser->get_unstuck(worker))
        return;
    sleep_until(worker, HK_NEVER);
}

void hki_worker_rest(struct hki_worker *worker)
{
    if (hki_starved_is_stuck(worker)) {
        relieve_starved(worker);
        return;
    }
    if (wake_blocked_waiters(worker))
        return;
    if (worker->runtime->options.virtual_clock) {
        rest_in_virtual_time(worker);
        return;
    }
    if (hki_stack_pool_trim(&worker->stacks)) {
        /* There is more to give: looks around, and comes back. */
        hki_worker_take_completions(worker, 0);
        return;
    }
    if (worker->source && search(worker))
        return;
    sleep_until(worker, sleep_end(worker));
}
