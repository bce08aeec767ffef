/* SPDX-License-Identifier: MIT */
/*
 * Calls into a worker's loop from anywhere: a message with a function. The name of a
 * worker is the number of its runtime, which is never given again, and its index. It is
 * looked up with the registry locked, and under the same lock a worker that ends closes
 * its inbox to such calls; it then reads what has come before. So a call is either
 * refused or made.
 */
#include "base/alloc.h"
#include "core/halt.h"
#include "core/runtime.h"

#include <hocket/thread.h>

enum { INDEX_BITS = 8 };

_Static_assert(HKI_WORKERS_MAX <= 1 << INDEX_BITS, "an index fits into a name");

hk_worker hk_worker_at(uint32_t index)
{
    const struct hki_worker *worker = hki_worker_current;

    if (!worker || index >= hki_worker_count(worker->runtime))
        return (hk_worker){0};
    return (hk_worker){worker->runtime->number << INDEX_BITS | index};
}

hk_worker hk_worker_self(void)
{
    return hk_worker_at(hk_worker_index());
}

struct soon {
    hk_inbox_node node;
    void (*fn)(void *arg);
    void *arg;
};

static void soon_arrives(hk_inbox_node *node, struct hki_worker *worker)
{
    struct soon *message = hki_container_of(node, struct soon, node);
    struct soon soon = *message;

    (void)worker;
    HKI_HB_ACQUIRE(message);
    hki_free(message);
    soon.fn(soon.arg);
}

struct delivery {
    hk_worker to;
    struct soon soon;
    struct hki_worker *told; /* has the message; its runtime is pinned */
    int rc;
};

static struct hki_worker *find_open(struct hki_runtime *runtime, hk_worker name)
{
    uint32_t index = (uint32_t)name.value & ((1u << INDEX_BITS) - 1);

    if (runtime->number != name.value >> INDEX_BITS ||
        index >= hki_worker_count(runtime) || runtime->workers[index].is_closed)
        return NULL;
    return &runtime->workers[index];
}

/* With the registry locked. Memory is taken for a call that can be made alone, or the
 * ledger of a runtime that ends would show what other threads try in vain. */
static void deliver(struct hki_runtime *runtime, void *ctx)
{
    struct delivery *delivery = ctx;
    struct hki_worker *worker = find_open(runtime, delivery->to);
    struct soon *message;

    if (!worker)
        return;
    message = hki_alloc(sizeof(*message));
    delivery->rc = message ? 0 : -ENOMEM;
    if (!message)
        return;
    *message = delivery->soon;
    HKI_HB_RELEASE(message);
    hki_mpsc_push(&worker->inbox, (struct hki_mpsc_node *)(void *)&message->node);
    hki_runtime_pin(runtime);
    delivery->told = worker;
}

int hk_call_soon(hk_worker worker, void (*fn)(void *arg), void *arg)
{
    struct delivery delivery = {
        .to = worker,
        .soon = {{.hki_run = soon_arrives}, fn, arg},
        .rc = -EBADF,
    };

    hki_runtimes_visit(deliver, &delivery);
    /* Not with the registry locked: a thread of a pool that is about to end may need
     * that, and is waited for before it is started anew. */
    if (delivery.told) {
        hki_worker_notify(delivery.told);
        hki_runtime_unpin(delivery.told->runtime);
    }
    return delivery.rc;
}

static void close_one(struct hki_runtime *runtime, void *ctx)
{
    struct hki_worker *worker = ctx;

    if (worker->runtime == runtime)
        worker->is_closed = true;
}

void hki_worker_close_inbox(struct hki_worker *worker)
{
    hki_runtimes_visit(close_one, worker);
}
