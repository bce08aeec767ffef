/* SPDX-License-Identifier: MIT */
/*
 * Models of a crew's count (core/crew.c): jobs begin and end while the scope's owner
 * joins. Whatever the order, the scope counts the crew while a job is there, and not
 * once all have ended; what the owner adds without an atomic operation is not lost.
 *
 * Run: once, builds=plain asan clang
 */
#include "model_kit.h"

#include "core/crew.h"
#include "core/runtime.h"
#include "core/scope.h"

enum { JOBS = 2 };

static struct {
    hk_scope scope;
    struct hki_runtime *runtime; /* only its address counts */
    uint32_t begun;              /* atomic: jobs that may end */
    uint32_t ended;              /* atomic */
    uint32_t entering;           /* atomic: who is about to count a job */
} world;

static void begin(void *unused)
{
    (void)unused;
    forget_threads();
    if (world.scope.hki_crews)
        hki_crews_free(&world.scope);
    memset(&world, 0, sizeof(world));
    world.runtime = (struct hki_runtime *)(void *)&world;
    world.scope.hki_owner = &model_threads[0].self;
}

static void begin_job(void)
{
    __atomic_add_fetch(&world.entering, 1, __ATOMIC_SEQ_CST);
    MODEL_EXPECT(hki_crew_enter(&world.scope, world.runtime) == 0);
    __atomic_sub_fetch(&world.entering, 1, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&world.begun, 1, __ATOMIC_SEQ_CST);
}

static uint32_t counted(void)
{
    return __atomic_load_n(&world.scope.hki_remote_count, __ATOMIC_SEQ_CST);
}

/* As a join: lets its own count go; from then on 0 is the end. */
static void owner_adds_and_joins(void *unused)
{
    (void)unused;
    be_thread(0);
    for (int i = 0; i < JOBS; i++)
        begin_job();
    hki_crews_join(&world.scope);
    if (counted() == 0)
        MODEL_EXPECT(__atomic_load_n(&world.ended, __ATOMIC_SEQ_CST) == JOBS);
}

/* One that the owner did not add begins while the owner's are there. */
static void job_adds_one(void *unused)
{
    (void)unused;
    be_thread(1);
    begin_job();
}

/* A job is there. Who is about to count one is inside of the scope itself. */
static void expect_to_be_waited_for(void)
{
    if (__atomic_load_n(&world.entering, __ATOMIC_SEQ_CST) == 0)
        MODEL_EXPECT(counted() > 0);
}

static void end_what_has_begun(int index)
{
    be_thread(index);
    for (int i = 0; i < JOBS; i++) {
        uint32_t begun = __atomic_load_n(&world.begun, __ATOMIC_SEQ_CST);

        if (begun == 0 ||
            !__atomic_compare_exchange_n(&world.begun, &begun, begun - 1, false,
                                         __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            continue;
        expect_to_be_waited_for();
        __atomic_add_fetch(&world.ended, 1, __ATOMIC_SEQ_CST);
        hki_crew_leave(&world.scope, world.runtime, 1);
    }
}

static void end_some(void *unused)
{
    (void)unused;
    end_what_has_begun(2);
}

static void end_others(void *unused)
{
    (void)unused;
    end_what_has_begun(3);
}

static bool all_can_end(void *unused)
{
    (void)unused;
    while (world.begun > 0) {
        if (counted() != 1)
            return false;
        world.begun--;
        hki_crew_leave(&world.scope, world.runtime, 1);
    }
    return counted() == 0;
}

static void an_owner_joins_while_its_jobs_end(void **state)
{
    const hk_model model = {
        .name = "crew_of_the_owner",
        .begin = begin,
        .end = all_can_end,
        .threads = {owner_adds_and_joins, end_some, end_others},
    };

    (void)state;
    expect_all_runs_pass(model);
}

static void others_begin_while_jobs_end(void **state)
{
    const hk_model model = {
        .name = "crew_of_others",
        .begin = begin,
        .end = all_can_end,
        .threads = {job_adds_one, job_adds_one, end_some, end_others},
    };

    (void)state;
    expect_all_runs_pass(model);
}

static int end_world(void **state)
{
    begin(NULL);
    (void)state;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_owner_joins_while_its_jobs_end),
        cmocka_unit_test(others_begin_while_jobs_end),
    };

    return cmocka_run_group_tests(tests, NULL, end_world);
}
