/* SPDX-License-Identifier: MIT */
/*
 * The schedule explorer: runs a scenario under many schedules, each made from a seed.
 *
 *     static int one_buyer_each(void *arg)     (spawns, waits, checks: 0 or -errno)
 *     ...
 *     static const hk_explore_options options = {.name = "buyers", .seeds = 10000};
 *     rc = hk_explore(one_buyer_each, NULL, &options, NULL);
 *
 * The seed decides everything that is otherwise chance or habit: which ready task runs
 * next; whether a call that could finish at once yields first, as when its budget is
 * used up; whether a wake arrives at once or as a message, and in which order messages
 * arrive; the order of timers of one moment, and whether time passes while tasks are
 * ready; the choice of select; which task is cancelled when. The same seed gives the
 * same run, so a failure is replayed from its seed: by hk_explore_options.first_seed,
 * or from outside by HOCKET_EXPLORE=name:seed.
 *
 * Some seeds draw each choice evenly, others stay with one task as long as they can,
 * and others give tasks priorities that change a few times in a run (Burckhardt,
 * Kothari, Musuvathi, Nagarakatte, "A Randomized Scheduler with Probabilistic
 * Guarantees of Finding Bugs", ASPLOS 2010): each kind finds bugs that the others
 * seldom do.
 *
 * All schedules run in one runtime with one worker and a virtual clock. What the kernel
 * decides (I/O), and plain threads, are not determined by a seed. Between two waiting
 * calls a task is not interrupted, as on any worker; code whose tasks may be on several
 * workers marks the places where the others may come in with hk_explore_point.
 */
#ifndef HOCKET_EXPLORE_H
#define HOCKET_EXPLORE_H

#include <hocket/run.h>
#include <hocket/task.h>

HK_BEGIN_DECLS

/* Valid when zeroed. */
typedef struct hk_explore_options {
    /* For messages, and for HOCKET_EXPLORE. Default "scenario". */
    const char *name;
    /* Default 1. With `seeds` = 1 it replays that one. */
    uint64_t first_seed;
    /* How many schedules, at most; default 1000. */
    uint64_t seeds;
    /* So many tasks of each schedule, at most, are cancelled at some moment, as by
     * hk_task_cancel; never the scenario's own. Default 0, at most 8. */
    uint32_t cancels;
    /* The virtual clock stands still while any task is ready. */
    bool clock_waits;
    /* Logs each choice (level info). HOCKET_EXPLORE switches it on. */
    bool trace;
    uint64_t reserved[4];
} hk_explore_options;

typedef struct hk_explore_result {
    uint64_t schedules; /* that ran */
    uint64_t steps;     /* choices made, all schedules together */
    uint64_t seed;      /* of the schedule that failed; else of the last */
    uint64_t trace;     /* a hash of that schedule: equal when it ran alike */
    uint64_t reserved[4];
} hk_explore_result;

/*
 * Runs `scenario(arg)` as a task under each seed until one fails. A schedule fails when
 * the scenario returns an error; when all of its tasks wait for ever; when it makes a
 * million choices without an end; or when the ledger is not balanced after it. Logs the
 * seed of a failure (level error); a panic and abort(3) get theirs on standard error.
 *
 * The scenario makes everything anew each time, as a rule on its own stack. A timer
 * that it leaves set panics.
 *
 * Blocks:  until all schedules have run.
 * Returns: 0, or the failure: the scenario's own error, -EDEADLK (all wait: they are
 *          then cancelled, so that they end; if they do not, panics), -ELOOP (without
 *          an end: likewise), -ENOTRECOVERABLE (ledger). Else what hk_run returned, or
 *          -EINVAL: HOCKET_EXPLORE names it with what is no seed. When it names
 *          another exploration, this one is left out: 0, with no schedule run.
 *          `out` may be NULL; it is filled in any case.
 * Threads: a plain thread, one exploration or torture at a time in a process.
 */
HK_API int hk_explore(hk_task_fn *scenario, void *arg,
                      const hk_explore_options *options, hk_explore_result *out);

/*
 * A place where another task may come in; nothing outside of explorations. No cancel
 * point. For code that is to run on several workers: before and after a step on shared
 * state that is not inside a waiting call, such as an unlock.
 */
HK_API void hk_explore_point(void);

/* One of 0 .. count-1, by the seed; 0 outside of explorations. For what a scenario
 * wants to vary itself. `count` >= 1. */
HK_API uint32_t hk_explore_choice(uint32_t count);

HK_END_DECLS

#endif
