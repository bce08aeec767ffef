/* SPDX-License-Identifier: MIT */
/*
 * For the models of hocket's lock-free parts. The sources under test are the library's
 * own, compiled once more with the atomics of <hocket/model_atomics.h> and linked in
 * place of it (tests/meson.build). Threads of a model are plain threads to them.
 *
 * HOCKET_MODEL=name:choices HOCKET_LOG=info replays one run of one model.
 */
#ifndef TESTS_MODEL_KIT_H
#define TESTS_MODEL_KIT_H

#include "support/core_test.h"

#include "core/thread.h"

#include <hocket/model_atomics.h>

static struct hki_thread model_threads[HK_MODEL_THREADS_MAX];

/* In `begin`: nobody has used hocket before. */
static inline void forget_threads(void)
{
    memset(model_threads, 0, sizeof(model_threads));
    for (int i = 0; i < HK_MODEL_THREADS_MAX; i++) {
        model_threads[i].self.budget = HKI_BUDGET;
        model_threads[i].event_fd = -1;
    }
}

/* First in a thread that calls hocket: it is the index-th. */
static inline void be_thread(int index)
{
    hki_self_current = &model_threads[index].self;
}

#define MODEL_EXPECT(condition)                                                        \
    do {                                                                               \
        if (!(condition))                                                              \
            hk_model_fail("not so: " #condition);                                      \
    } while (0)

/* The long suite takes one preemption more. */
static inline void expect_all_runs_pass(hk_model model)
{
    hk_model_result result;
    int rc;

    if (!model.preemptions)
        model.preemptions = 2;
    model.preemptions += is_long_run();
    rc = hk_model_run(&model, &result);
    printf("# %s: %llu runs of up to %llu operations, %u preemptions, %u delays\n",
           model.name, (unsigned long long)result.runs,
           (unsigned long long)result.points, model.preemptions, model.delays);
    assert_int_equal(rc, 0);
}

static inline void no_log(hk_log_level level, const char *line, void *ctx)
{
    (void)level;
    (void)line;
    (void)ctx;
}

/* With a planted mistake: one of the runs must show it. */
static inline void expect_found(hk_model model, int failure)
{
    hk_model_result result;
    int rc;

    if (!getenv("HOCKET_MODEL"))
        hk_log_to(no_log, NULL);
    rc = hk_model_run(&model, &result);
    hk_log_to(NULL, NULL);
    printf("# %s: found in run %llu, choices %s\n", model.name,
           (unsigned long long)result.runs, result.choices);
    assert_int_equal(rc, failure);
}

#endif
