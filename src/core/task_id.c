/* SPDX-License-Identifier: MIT */
/*
 * Task ids: 12 bits of the runtime's serial, 24 bits of slot, 28 of generation. An id
 * outlives its task and its runtime; what it named is looked up with the registry
 * locked, and the cancel itself happens on the task's worker.
 *
 * A cancel from elsewhere travels in a request. Beside the record of a task a word says
 * for which one of those that had it a request was made: one is enough, and who cancels
 * in a loop must not fill the inbox. Without memory for a request the word says who is
 * wanted, and the worker is told to look at all of these words: that takes long, but
 * cannot fail.
 */
#include "base/alloc.h"
#include "core/runtime.h"
#include "core/scope.h"
#include "core/workers.h"

#include <hocket/task.h>

enum { SERIAL_BITS = 12, SLOT_BITS = 24 };

#define GENERATION_MASK ((UINT64_C(1) << 28) - 1)

hk_task_id hki_task_id_of(const struct hki_runtime *runtime,
                          const struct hki_task *task)
{
    uint64_t generation =
        __atomic_load_n(&task->generation, __ATOMIC_RELAXED) & GENERATION_MASK;

    return (hk_task_id){generation << (SERIAL_BITS + SLOT_BITS) |
                        (uint64_t)task->slot << SERIAL_BITS | runtime->serial};
}

hk_task_id hk_task_self(void)
{
    struct hki_self *self = hki_self();

    return self->kind == HKI_SELF_TASK
               ? hki_task_id_of(self->worker->runtime, hki_task_of(self))
               : (hk_task_id){0};
}

/* Whether the record is still that task's. From anywhere, so it may be late. */
static bool is_current(hk_task_id id, const struct hki_runtime *runtime,
                       const struct hki_task *task)
{
    return hki_task_id_of(runtime, task).value == id.value;
}

static struct hki_worker *worker_of(const struct hki_task *task)
{
    return __atomic_load_n(&task->self.worker, __ATOMIC_RELAXED);
}

void hki_task_cancel_here(struct hki_task *task)
{
    if (task->self.flags & HKI_TASK_CANCELLED)
        return;
    __atomic_store_n(&task->self.flags, task->self.flags | HKI_TASK_CANCELLED,
                     __ATOMIC_RELAXED);
    if (hki_task_is_started(task))
        hki_cancel_spread_task(task);
}

/*
 * Cancels the task if `worker`, the caller's, has it: 0; -ESRCH when it has ended,
 * -EAGAIN when another worker has it. One that has not started may be taken by another
 * at any moment until it is locked.
 */
static int cancel_if_ours(struct hki_worker *worker, hk_task_id id,
                          struct hki_task *task)
{
    bool started = false;
    int rc = -ESRCH;

    hki_lock_acquire(&worker->shared_lock);
    if (is_current(id, worker->runtime, task)) {
        rc = worker_of(task) == worker ? 0 : -EAGAIN;
        if (rc == 0 && (task->self.flags & HKI_TASK_ZOMBIE))
            rc = -ESRCH;
        started = rc == 0 && hki_task_is_started(task);
        if (rc == 0 && !started && (task->self.flags & HKI_TASK_LIVE))
            hki_task_cancel_here(task);
    }
    hki_lock_release(&worker->shared_lock);
    if (started)
        hki_task_cancel_here(task); /* it cannot go anywhere */
    return rc;
}

/* On the worker that had the task when the request was made; maybe on to the one that
 * has taken it since. */
static void deliver(hk_inbox_node *node, struct hki_worker *worker)
{
    struct hki_task_cancel *request = (struct hki_task_cancel *)(void *)node;

    HKI_HB_ACQUIRE(request);
    if (cancel_if_ours(worker, request->id, request->task) == -EAGAIN)
        hki_worker_post(worker_of(request->task), node);
    else
        request->dealt_with(request);
}

/* ---- without memory ---- */

/* Beside a generation, which may be 0. */
enum { IS_WANTED = 1 << 28, IS_ASKED = 1 << 29 };

static void look_who_is_wanted(hk_inbox_node *node, struct hki_worker *worker);

static void post_wanted(struct hki_worker *worker)
{
    if (__atomic_exchange_n(&worker->wanted_posted, 1, __ATOMIC_SEQ_CST))
        return;
    worker->wanted.hki_run = look_who_is_wanted;
    hki_worker_post(worker, &worker->wanted);
}

/* One who has gone to another worker stays wanted, there. */
static void cancel_wanted(struct hki_worker *worker, struct hki_task *task,
                          uint32_t *word, uint32_t wanted)
{
    const hk_task_id id = {(wanted & GENERATION_MASK) << (SERIAL_BITS + SLOT_BITS) |
                           (uint64_t)task->slot << SERIAL_BITS |
                           worker->runtime->serial};

    if (cancel_if_ours(worker, id, task) == -EAGAIN)
        post_wanted(worker_of(task));
    else /* unless the next one with this record is wanted by now */
        (void)__atomic_compare_exchange_n(word, &wanted, 0, false, __ATOMIC_SEQ_CST,
                                          __ATOMIC_RELAXED);
}

static void look_who_is_wanted(hk_inbox_node *node, struct hki_worker *worker)
{
    struct hki_runtime *runtime = worker->runtime;
    struct hki_task *task;

    (void)node;
    /* From now on another canceller tells us anew. */
    (void)__atomic_exchange_n(&worker->wanted_posted, 0, __ATOMIC_SEQ_CST);
    for (uint32_t slot = 0; (task = hki_runtime_task(runtime, slot)); slot++) {
        uint32_t *word = hki_runtime_wanted(runtime, slot);
        uint32_t wanted = __atomic_load_n(word, __ATOMIC_SEQ_CST);

        if (HKI_UNLIKELY(wanted & IS_WANTED))
            cancel_wanted(worker, task, word, wanted);
    }
}

/* With the registry locked: what else may stand there is of a task that has ended. */
static void note(const struct hki_worker *owner, hk_task_id id,
                 const struct hki_task *task, uint32_t what)
{
    uint32_t generation = (uint32_t)(id.value >> (SERIAL_BITS + SLOT_BITS));

    __atomic_store_n(hki_runtime_wanted(owner->runtime, task->slot), generation | what,
                     __ATOMIC_SEQ_CST);
}

static bool is_asked(const struct hki_worker *owner, hk_task_id id,
                     const struct hki_task *task)
{
    uint32_t generation = (uint32_t)(id.value >> (SERIAL_BITS + SLOT_BITS));

    return __atomic_load_n(hki_runtime_wanted(owner->runtime, task->slot),
                           __ATOMIC_SEQ_CST) == (generation | IS_ASKED);
}

/* ---- from anywhere ---- */

struct lookup {
    hk_task_id id;
    struct hki_task_cancel *request; /* NULL: to be allocated if it is needed */
    struct hki_task *here;           /* the caller's worker has it */
    int rc;
};

static void free_request(struct hki_task_cancel *request)
{
    hki_free(request);
}

static struct hki_task_cancel *new_request(void)
{
    struct hki_task_cancel *request = hki_alloc(sizeof(*request));

    if (request)
        request->dealt_with = free_request;
    return request;
}

static void look(struct hki_runtime *runtime, void *ctx)
{
    struct lookup *lookup = ctx;
    struct hki_task_cancel *request = lookup->request;
    struct hki_worker *owner;
    struct hki_task *task;
    uint32_t slot =
        (uint32_t)(lookup->id.value >> SERIAL_BITS) & ((1u << SLOT_BITS) - 1);

    if ((lookup->id.value & ((1u << SERIAL_BITS) - 1)) != runtime->serial ||
        !(task = hki_runtime_task(runtime, slot)) ||
        !is_current(lookup->id, runtime, task) || !(owner = worker_of(task)))
        return;
    if (owner == hki_worker_current) {
        lookup->here = task; /* later, without the registry's lock */
        return;
    }
    lookup->rc = 0;
    if (!request) {
        if (is_asked(owner, lookup->id, task))
            return;
        request = new_request();
        note(owner, lookup->id, task, request ? IS_ASKED : IS_WANTED);
    }
    if (!request) {
        post_wanted(owner);
        return;
    }
    request->node.hki_run = deliver;
    request->id = lookup->id;
    request->task = task;
    HKI_HB_RELEASE(request);
    hki_worker_post(owner, &request->node);
}

/* *out_sent: the request is on its way. */
static int cancel(hk_task_id id, struct hki_task_cancel *request, bool *out_sent)
{
    struct lookup lookup;

    do {
        lookup = (struct lookup){.id = id, .request = request, .rc = -ESRCH};
        hki_runtimes_visit(look, &lookup);
        *out_sent = lookup.rc == 0 && !lookup.here;
        if (lookup.here)
            lookup.rc = cancel_if_ours(hki_worker_current, id, lookup.here);
    } while (lookup.rc == -EAGAIN);
    return lookup.rc;
}

int hk_task_cancel(hk_task_id id)
{
    bool sent;

    return cancel(id, NULL, &sent);
}

void hki_task_cancel_by(hk_task_id id, struct hki_task_cancel *request)
{
    bool sent;

    (void)cancel(id, request, &sent); /* -ESRCH: it has ended */
    if (!sent)
        request->dealt_with(request);
}
