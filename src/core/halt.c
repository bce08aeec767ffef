/* SPDX-License-Identifier: MIT */
#include "core/halt.h"

#include "core/runtime.h"
#include "sys/futex.h"
#include "sys/os.h"

#include <pthread.h>

#define PATIENCE_NS (500 * HK_MILLISECOND)

static pthread_mutex_t session = PTHREAD_MUTEX_INITIALIZER; /* of who looks */
static uint32_t answers; /* futex: grows when a worker stands still or leaves */

static uint32_t state_of(const struct hki_worker *worker)
{
    return __atomic_load_n(&worker->halt.state, __ATOMIC_SEQ_CST);
}

bool hki_halt_is_still(const struct hki_worker *worker)
{
    return state_of(worker) & HKI_HALT_STILL;
}

bool hki_halt_runs(const struct hki_worker *worker)
{
    return state_of(worker) & HKI_HALT_RUNS;
}

static bool change(struct hki_worker *worker, uint32_t *state, uint32_t wanted)
{
    return __atomic_compare_exchange_n(&worker->halt.state, state, wanted, false,
                                       __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

/* ---- pins ---- */

void hki_runtime_pin(struct hki_runtime *runtime)
{
    __atomic_add_fetch(&runtime->pins, 1, __ATOMIC_RELAXED);
}

void hki_runtime_unpin(struct hki_runtime *runtime)
{
    /* After the count is 0 the runtime may be gone; a wake of a word that is no longer
     * ours is harmless. */
    if (__atomic_sub_fetch(&runtime->pins, 1, __ATOMIC_RELEASE) == 0)
        hki_futex_wake(&runtime->pins, 1);
}

void hki_runtime_await_unpinned(struct hki_runtime *runtime)
{
    uint32_t pins;

    while ((pins = __atomic_load_n(&runtime->pins, __ATOMIC_ACQUIRE)))
        hki_futex_wait(&runtime->pins, pins, HK_NEVER);
}

/* ---- the worker's side ---- */

static void answer(void)
{
    __atomic_add_fetch(&answers, 1, __ATOMIC_SEQ_CST);
    hki_futex_wake(&answers, 1);
}

/* Until nobody asks. */
static void stand_still(struct hki_worker *worker)
{
    uint32_t *word = &worker->halt.state, state = state_of(worker);

    do
        if (!(state & HKI_HALT_ASKED))
            return;
    while (!change(worker, &state, state | HKI_HALT_STILL));
    answer();
    state = state_of(worker);
    for (;;) {
        if (state & HKI_HALT_ASKED) {
            hki_futex_wait(word, state, HK_NEVER);
            state = state_of(worker);
        } else if (change(worker, &state, state & ~(uint32_t)HKI_HALT_STILL)) {
            return;
        }
    }
}

static void halt_message(hk_inbox_node *node, struct hki_worker *worker)
{
    worker->halt.has_more = node->hki_next;
    __atomic_fetch_and(&worker->halt.state, ~(uint32_t)HKI_HALT_SENT, __ATOMIC_ACQ_REL);
    stand_still(worker);
}

void hki_halt_enter(struct hki_worker *worker)
{
    worker->halt.message.hki_run = halt_message;
    __atomic_store_n(&worker->halt.state, HKI_HALT_RUNS, __ATOMIC_SEQ_CST);
    hki_watch_stirs();
}

void hki_halt_leave(struct hki_worker *worker)
{
    /* A message that is still in the inbox is never read, and never sent again. */
    if (__atomic_exchange_n(&worker->halt.state, 0, __ATOMIC_ACQ_REL) & HKI_HALT_ASKED)
        answer();
}

/* ---- who looks ---- */

/* Whoever waits for its turn to look, or looks, stands still. */
static void offer_own(struct hki_worker *own)
{
    own->halt.has_more = false;
    __atomic_fetch_or(&own->halt.state, HKI_HALT_STILL, __ATOMIC_ACQ_REL);
    answer();
}

static void ask(struct hki_worker *worker)
{
    uint32_t state = state_of(worker), wanted;

    do {
        if (!(state & HKI_HALT_RUNS))
            return;
        wanted = state | HKI_HALT_ASKED;
        if (!(state & HKI_HALT_STILL))
            wanted |= HKI_HALT_SENT;
    } while (!change(worker, &state, wanted));
    if (!(state & HKI_HALT_SENT) && (wanted & HKI_HALT_SENT))
        hki_worker_post(worker, &worker->halt.message);
}

static bool has_answered(const struct hki_worker *worker)
{
    uint32_t state = state_of(worker);

    return (state & HKI_HALT_STILL) || !(state & HKI_HALT_ASKED);
}

static bool have_all_answered(const struct hki_runtime *pinned)
{
    for (const struct hki_runtime *r = pinned; r; r = r->pinned_next)
        for (uint32_t i = 0; i < hki_worker_count(r); i++)
            if (!has_answered(&r->workers[i]))
                return false;
    return true;
}

static void await_answers(const struct hki_runtime *pinned)
{
    int64_t deadline_ns = hki_os_now_ns() + PATIENCE_NS;

    for (;;) {
        uint32_t seen = __atomic_load_n(&answers, __ATOMIC_SEQ_CST);

        if (have_all_answered(pinned) || hki_os_now_ns() >= deadline_ns)
            return;
        hki_futex_wait(&answers, seen, deadline_ns);
    }
}

static void pin_and_link(struct hki_runtime *runtime, void *ctx)
{
    struct hki_runtime **list = ctx;

    hki_runtime_pin(runtime);
    runtime->pinned_next = *list;
    *list = runtime;
}

struct hki_runtime *hki_halt_all(void)
{
    struct hki_worker *own = hki_worker_current;
    struct hki_runtime *pinned = NULL;

    if (own)
        offer_own(own);
    pthread_mutex_lock(&session);
    hki_runtimes_visit(pin_and_link, &pinned);
    for (struct hki_runtime *r = pinned; r; r = r->pinned_next)
        for (uint32_t i = 0; i < hki_worker_count(r); i++)
            if (&r->workers[i] != own)
                ask(&r->workers[i]);
    await_answers(pinned);
    return pinned;
}

static void let_go(struct hki_worker *worker)
{
    uint32_t state = __atomic_fetch_and(&worker->halt.state, ~(uint32_t)HKI_HALT_ASKED,
                                        __ATOMIC_ACQ_REL);

    if (state & HKI_HALT_STILL)
        hki_futex_wake(&worker->halt.state, 1);
}

void hki_halt_release(struct hki_runtime *pinned)
{
    struct hki_worker *own = hki_worker_current;

    while (pinned) {
        struct hki_runtime *next = pinned->pinned_next;

        for (uint32_t i = 0; i < hki_worker_count(pinned); i++)
            if (&pinned->workers[i] != own)
                let_go(&pinned->workers[i]);
        hki_runtime_unpin(pinned);
        pinned = next;
    }
    if (own)
        __atomic_fetch_and(&own->halt.state, ~(uint32_t)HKI_HALT_STILL,
                           __ATOMIC_ACQ_REL);
    pthread_mutex_unlock(&session);
}
