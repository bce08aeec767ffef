/* SPDX-License-Identifier: MIT */
/*
 * Torture: the same scenario again and again, each time with the task that parks at the
 * next suspension point cancelled there, as by hk_task_cancel, or with an error in the
 * operation for which it parks.
 */
#include "core/ioop.h"
#include "core/scope.h"
#include "core/task.h"
#include "core/wait.h"

#include <hocket/testing.h>

/* One torture at a time in a process; the points are counted over all workers. */
static struct {
    uint32_t points; /* atomic */
    uint32_t target; /* 0: only count */
    int error;       /* 0: cancel */
} torture;

static bool is_target(void)
{
    return __atomic_add_fetch(&torture.points, 1, __ATOMIC_RELAXED) == torture.target;
}

static void observe(struct hki_self *self)
{
    struct hki_op *op = torture.error ? hki_op_waited_for(self->waiter) : NULL;

    if (!torture.error && is_target())
        hki_task_cancel_here(hki_task_of(self));
    else if (op && is_target())
        hki_op_fail_here(op, torture.error);
}

static bool is_balanced(const hk_ledger *before)
{
    hk_ledger after;

    hk_ledger_read(&after);
    return after.tasks == before->tasks && after.fds == before->fds &&
           after.ops == before->ops && after.bytes == before->bytes;
}

static bool is_fine(int rc)
{
    return rc >= 0 || rc == -ECANCELED || rc == -ETIMEDOUT || rc == torture.error;
}

static int run_once(uint32_t point, hk_task_fn *scenario, void *arg,
                    const hk_options *options)
{
    hk_ledger before;
    int rc;

    hk_ledger_read(&before);
    __atomic_store_n(&torture.points, 0, __ATOMIC_RELAXED);
    torture.target = point;
    hki_park_observer = observe;
    rc = hk_run(scenario, arg, options);
    hki_park_observer = NULL;
    if (!is_fine(rc))
        return rc;
    return is_balanced(&before) ? 0 : -ENOTRECOVERABLE;
}

static int run_all(hk_task_fn *scenario, void *arg, const hk_options *options,
                   int *out_failed_point)
{
    uint32_t point = 0, count;
    int rc = run_once(0, scenario, arg, options);

    count = __atomic_load_n(&torture.points, __ATOMIC_RELAXED);
    while (rc == 0 && point < count)
        rc = run_once(++point, scenario, arg, options);
    if (rc < 0) {
        if (out_failed_point)
            *out_failed_point = (int)point;
        return rc;
    }
    return (int)count + 1;
}

int hk_cancel_torture(hk_task_fn *scenario, void *arg, const hk_options *options,
                      int *out_failed_point)
{
    torture.error = 0;
    return run_all(scenario, arg, options, out_failed_point);
}

int hk_error_torture(hk_task_fn *scenario, void *arg, const hk_options *options,
                     int error, int *out_failed_point)
{
    if (error >= 0)
        hki_panic("hk_error_torture with %d: not an error", error);
    torture.error = error;
    return run_all(scenario, arg, options, out_failed_point);
}
