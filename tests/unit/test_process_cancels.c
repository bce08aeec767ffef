/* SPDX-License-Identifier: MIT */
/*
 * Shows that a cancelled job of a process pool always comes to its end, wherever the
 * cancel finds it: behind another one in its worker's channel. How: jobs that never end
 * by themselves; a cancel that is lost is a test that hangs.
 */
#include "unit/process_test.h"

/* ---- tests ---- */

/* They were sent to its worker already when it is killed, and come back then. */
static void cancelled_jobs_behind_one_that_runs_never_begin(void **state)
{
    enum { JOBS = 4 };
    hk_executor *pool = pool_with(1);
    hk_future *futures[JOBS];

    (void)state;
    for (int i = 0; i < 100; i++) /* short jobs: several are sent at a time */
        expect_add(pool, i, 1);
    for (int i = 0; i < JOBS; i++)
        futures[i] = run_for_ever_on(pool);
    while (hk_future_worker(futures[0]) == 0)
        ;
    hk_executor_terminate(pool);
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(await_and_free(futures[i]), -EIDRM);
    hk_executor_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cancelled_jobs_behind_one_that_runs_never_begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
