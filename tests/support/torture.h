/* SPDX-License-Identifier: MIT */
/* One cancel at every point of a scenario, with what to say when it does not hold. */
#ifndef TESTS_SUPPORT_TORTURE_H
#define TESTS_SUPPORT_TORTURE_H

#include "support/check.h"

#include <hocket/testing.h>

/* scenario(arg) comes through hk_cancel_torture and has at least `points_min` points:
 * were there fewer, it would not wait where the test believes that it does. */
static inline void cancel_at_every_point(hk_task_fn *scenario, void *arg,
                                         const hk_options *options, int points_min)
{
    int point = -1, runs = hk_cancel_torture(scenario, arg, options, &point);

    if (runs < 0)
        fail_msg("%s at point %d", hk_error_text(runs), point);
    printf("# %d runs\n", runs);
    assert_true(runs > points_min); /* one more: that without a cancel */
}

#endif
