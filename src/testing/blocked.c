/* SPDX-License-Identifier: MIT */
/* Waiting for everyone else to wait, and moving the virtual clock by hand. */
#include "core/runtime.h"

#include <hocket/testing.h>

static const hk_wait_kind blocked_kind = {.name = "all other tasks to wait",
                                          .external = true};

static hk_verdict blocked_abort(hk_waiter *w)
{
    return hk_waiter_remove(&hki_worker_current->blocked_waiters, w) ? HK_ABORTED
                                                                     : HK_PENDING;
}

int hk_test_wait_all_blocked(void)
{
    int rc = hk_cancelled();
    hk_waiter w;

    if (rc < 0)
        return rc;
    if (!hki_worker_current)
        hki_panic("hk_test_wait_all_blocked on a plain thread: it is about a worker's "
                  "tasks");
    hk_waiter_init(&w, &blocked_kind, NULL);
    hk_waiter_push(&hki_worker_current->blocked_waiters, &w);
    rc = hk_park(&w, blocked_abort);
    HKI_HB_ACQUIRE(hki_worker_current); /* what all others did until they parked */
    return rc;
}

/* Steps from timer to timer, so that each fires at its own time. */
int hk_test_advance(int64_t duration_ns)
{
    struct hki_worker *worker = hki_worker_current;
    struct hki_runtime *runtime;
    int64_t end;

    if (!worker || !worker->runtime->options.virtual_clock)
        hki_panic("hk_test_advance without a virtual clock (options.virtual_clock)");
    runtime = worker->runtime;
    end = runtime->virtual_now_ns + duration_ns;
    for (;;) {
        int64_t next = hki_wheel_next(&worker->wheel, true);
        int rc;

        if (next > end)
            break;
        if (next > runtime->virtual_now_ns)
            runtime->virtual_now_ns = next;
        rc = hk_test_wait_all_blocked();
        if (rc < 0)
            return rc;
    }
    if (end > runtime->virtual_now_ns)
        runtime->virtual_now_ns = end;
    return hk_cancelled();
}
