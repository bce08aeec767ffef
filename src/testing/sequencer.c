/* SPDX-License-Identifier: MIT */
#include <hocket/scope.h>
#include <hocket/testing.h>

#include <stdio.h>

static void describe(const void *object, char *text, size_t size)
{
    const hk_sequencer *sequencer = object;

    snprintf(text, size, "step %u is next", sequencer->hki_next);
}

static const hk_wait_kind kind = {.name = "its step of a sequence",
                                  .describe = describe};

static hk_verdict give_up(hk_waiter *w)
{
    hk_sequencer *sequencer = (hk_sequencer *)(uintptr_t)w->object;
    bool removed;

    hk_lock_acquire(&sequencer->hki_lock);
    removed = hk_waiter_remove(&sequencer->hki_waiters, w);
    hk_lock_release(&sequencer->hki_lock);
    return removed ? HK_ABORTED : HK_PENDING;
}

/* Wakes who waits for the step that is next now. With the lock. */
static void wake_next(hk_sequencer *sequencer)
{
    for (hk_waiter *w = sequencer->hki_waiters.head; w; w = w->next)
        if (*(const uint32_t *)w->data == sequencer->hki_next) {
            hk_waiter_remove(&sequencer->hki_waiters, w);
            hk_wake(w, 0);
            return;
        }
}

int hk_sequence(hk_sequencer *sequencer, uint32_t step)
{
    int rc = hk_cancelled();
    hk_waiter w;

    if (rc < 0)
        return rc;
    hk_lock_acquire(&sequencer->hki_lock);
    if (sequencer->hki_next != step) {
        hk_waiter_init(&w, &kind, sequencer);
        w.data = &step;
        hk_waiter_push(&sequencer->hki_waiters, &w);
        hk_lock_release(&sequencer->hki_lock);
        rc = hk_park(&w, give_up);
        if (rc < 0)
            return rc;
        hk_lock_acquire(&sequencer->hki_lock);
    }
    sequencer->hki_next = step + 1;
    wake_next(sequencer);
    hk_lock_release(&sequencer->hki_lock);
    return 0;
}
