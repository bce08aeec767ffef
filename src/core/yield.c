/* SPDX-License-Identifier: MIT */
/*
 * Giving the others their turn: asked for, or because the budget of calls that found
 * what they wanted at once is used up.
 */
#include "core/worker.h"
#include "core/workers.h"

#include "sys/os.h"

/* Nobody to yield to; now and then the loop gets its turn. In line: a call would cost a
 * yield a fourth. */
static inline __attribute__((always_inline)) bool nobody_else(struct hki_worker *worker)
{
    if (HKI_LIKELY(worker->ready_head) || worker->ticks <= 0 ||
        hki_worker_has_messages(worker))
        return false;
    worker->ticks--;
    return true;
}

int hk_yield(void)
{
    struct hki_self *self = hki_self();
    struct hki_worker *worker = self->worker;
    int rc = hki_enter(self);

    if (HKI_UNLIKELY(rc < 0))
        return rc;
    if (HKI_UNLIKELY(!worker)) {
        hki_os_yield();
        return 0;
    }
    self->budget = HKI_BUDGET;
    if (nobody_else(worker))
        return 0;
    hki_ready_push(worker, hki_task_of(self));
    return hki_switch_away(hki_switch, worker, hki_task_of(self));
}

void hki_self_exhausted(struct hki_self *self)
{
    struct hki_worker *worker = self->worker;

    self->budget = HKI_BUDGET;
    if (self->kind != HKI_SELF_TASK)
        return;
    hki_ready_push(worker, hki_task_of(self));
    (void)hki_switch_away(hki_switch_by_return, worker, hki_task_of(self));
}

void hki_workers_share(struct hki_self *self)
{
    struct hki_worker *worker = self->worker;

    self->budget = HKI_BUDGET;
    if (self->kind != HKI_SELF_TASK || nobody_else(worker))
        return;
    worker->breathes = true;
    hki_self_exhausted(self);
}

void hki_workers_breathe(struct hki_self *self)
{
    if (self->kind != HKI_SELF_TASK)
        return;
    self->worker->ticks = 0;
    self->worker->breathes = true;
    hki_self_exhausted(self);
}

int hk_budget(void)
{
    hki_spend(hki_self());
    return 0;
}
