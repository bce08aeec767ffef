/* SPDX-License-Identifier: MIT */
/*
 * For the scenarios of the schedule explorer. A scenario is a task that makes its world
 * on its own stack, spawns tasks into it, joins them, and looks at what is left. An
 * EXPECT that is not so fails the task, with it the scope, and with it the schedule.
 *
 * Scenarios with `cancels` are ones whose tasks may be cancelled at any moment: each
 * then returns -ECANCELED, which fails nothing, and all that it held must be in order.
 *
 * HOCKET_EXPLORE=name:seed runs one schedule of one scenario and logs its choices
 * (HOCKET_LOG=info shows them).
 */
#ifndef TESTS_EXPLORE_KIT_H
#define TESTS_EXPLORE_KIT_H

#include "base/annotate.h"
#include "support/core_test.h"

#define EXPECT(condition)                                                              \
    do {                                                                               \
        if (!(condition))                                                              \
            return not_so(__FILE__, __LINE__, #condition);                             \
    } while (0)

/* Returns from the task with the call's error, as one does when cancelled. */
#define TRY(call)                                                                      \
    do {                                                                               \
        int rc_ = (int)(call);                                                         \
        if (rc_ < 0)                                                                   \
            return rc_;                                                                \
    } while (0)

static inline int not_so(const char *file, int line, const char *what)
{
    printf("# %s:%d: not so: %s\n", file, line, what);
    return -EPROTO;
}

struct scenario {
    const char *name;
    hk_task_fn *run;
    uint32_t cancels;
    bool clock_waits;
};

/* Schedules of one scenario: half a million over all of them in the plain build, five
 * millions in the long suite. The tools are slower. HOCKET_SEEDS asks for a number. */
static inline uint64_t seeds_of_one(void)
{
    const char *wish = getenv("HOCKET_SEEDS");
    uint64_t seeds = is_long_run() ? 100000 : 10000;

#if defined(HKI_TSAN) || defined(HKI_ASAN)
    seeds /= 20;
#endif
    return wish ? strtoull(wish, NULL, 10) : seeds;
}

/* Scopes count anew what a number of tasks has done without order between them. */
static inline int add_to(int *counter, int by)
{
    return __atomic_add_fetch(counter, by, __ATOMIC_RELAXED);
}

/* Lets others come in none to three times. Returns 0 or -ECANCELED. */
static inline int dawdle(void)
{
    for (uint32_t i = hk_explore_choice(4); i > 0; i--)
        TRY(hk_yield());
    return 0;
}

static inline int cancel_later(void *scope)
{
    TRY(dawdle());
    TRY(dawdle());
    hk_scope_cancel(scope);
    return 0;
}

/* Joins four tasks in `world`: one runs `first`, the others `fn`. */
enum { MANY = 4 };

static inline int join_many(hk_task_fn *first, hk_task_fn *fn, void *world)
{
    hk_scope s;

    hk_scope_open(&s);
    hk_spawn(&s, first, world);
    for (int i = 1; i < MANY; i++)
        hk_spawn(&s, fn, world);
    return hk_scope_join(&s);
}

static inline void explore_one(void **state)
{
    const struct scenario *scenario = *state;
    const hk_explore_options options = {
        .name = scenario->name,
        .seeds = seeds_of_one(),
        .cancels = scenario->cancels,
        .clock_waits = scenario->clock_waits,
    };

    assert_int_equal(hk_explore(scenario->run, NULL, &options, NULL), 0);
}

/* One test for each scenario; the program's result. */
static inline int explore_all(const struct scenario *scenarios, size_t count)
{
    struct CMUnitTest tests[64];

    if (count > sizeof(tests) / sizeof(tests[0]))
        return 1;
    for (size_t i = 0; i < count; i++)
        tests[i] = (struct CMUnitTest){
            .name = scenarios[i].name,
            .test_func = explore_one,
            .initial_state = (void *)(uintptr_t)&scenarios[i],
        };
    return _cmocka_run_group_tests("explore", tests, count, NULL, NULL);
}

#endif
