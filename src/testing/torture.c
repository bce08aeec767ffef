/* SPDX-License-Identifier: MIT */
/*
 * Cancel torture: the same scenario again and again, each time with the task that parks
 * at the next suspension point cancelled there, as by hk_task_cancel.
 */
#include "core/scope.h"
#include "core/task.h"
#include "core/wait.h"

#include <hocket/testing.h>

/* One torture at a time in a process; the points are counted over all workers. */
static uint32_t points; /* atomic */
static uint32_t target; /* 0: only count */

static void observe(struct hki_self *self)
{
    if (__atomic_add_fetch(&points, 1, __ATOMIC_RELAXED) == target)
        hki_task_cancel_here(hki_task_of(self));
}

static bool is_balanced(const hk_ledger *before)
{
    hk_ledger after;

    hk_ledger_read(&after);
    return after.tasks == before->tasks && after.fds == before->fds &&
           after.ops == before->ops && after.bytes == before->bytes;
}

static int run_once(uint32_t point, hk_task_fn *scenario, void *arg,
                    const hk_options *options)
{
    hk_ledger before;
    int rc;

    hk_ledger_read(&before);
    __atomic_store_n(&points, 0, __ATOMIC_RELAXED);
    target = point;
    hki_park_observer = observe;
    rc = hk_run(scenario, arg, options);
    hki_park_observer = NULL;
    if (rc < 0 && rc != -ECANCELED && rc != -ETIMEDOUT)
        return rc;
    return is_balanced(&before) ? 0 : -ENOTRECOVERABLE;
}

int hk_cancel_torture(hk_task_fn *scenario, void *arg, const hk_options *options,
                      int *out_failed_point)
{
    uint32_t point = 0, count;
    int rc = run_once(0, scenario, arg, options);

    count = __atomic_load_n(&points, __ATOMIC_RELAXED);
    while (rc == 0 && point < count)
        rc = run_once(++point, scenario, arg, options);
    if (rc < 0) {
        if (out_failed_point)
            *out_failed_point = (int)point;
        return rc;
    }
    return (int)count + 1;
}
