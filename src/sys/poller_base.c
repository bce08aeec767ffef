/* SPDX-License-Identifier: MIT */
/* What both backends share. */
#include "sys/poller_base.h"

#include "base/annotate.h"
#include "sys/io_perform.h"
#include "sys/offload.h"
#include "sys/os.h"

#include <errno.h>
#include <sched.h>

int hki_poller_base_init(struct hki_poller *poller)
{
    poller->completed_end = &poller->completed;
    poller->wake_fd = hki_os_eventfd();
    return poller->wake_fd < 0 ? poller->wake_fd : 0;
}

void hki_poller_base_fini(struct hki_poller *poller)
{
    HKI_ASSERT(!poller->completed && hki_mpsc_is_empty(&poller->done),
               "a poller ends after every request has come back");
    /* A pool thread pushes its result first and wakes then: the last one may be in
     * between. It is done in microseconds, hence no futex. */
    while (__atomic_load_n(&poller->finishing, __ATOMIC_ACQUIRE))
        sched_yield();
    hki_os_close(poller->wake_fd);
}

/* Async-signal-safe. An owner that runs finds WOKEN before it sleeps. */
void hki_poller_wake(struct hki_poller *poller)
{
    if (__atomic_exchange_n(&poller->wake_state, HKI_WOKEN, __ATOMIC_SEQ_CST) ==
        HKI_ASLEEP)
        hki_os_eventfd_signal(poller->wake_fd);
}

/* On a pool thread. After the push the request is the owner's again. */
static void run_job(struct hki_offload_job *job)
{
    struct hki_ioreq *req = hki_container_of(job, struct hki_ioreq, job);
    struct hki_poller *poller = req->poller;

    req->result = hki_io_perform_rest(req);
    HKI_HB_RELEASE(req);
    __atomic_fetch_add(&poller->finishing, 1, __ATOMIC_RELAXED);
    hki_mpsc_push(&poller->done, &req->done_node);
    hki_poller_wake(poller);
    /* Pairs with fini: our last access to the poller. */
    __atomic_fetch_sub(&poller->finishing, 1, __ATOMIC_RELEASE);
}

bool hki_poller_offload(struct hki_poller *poller, struct hki_ioreq *req)
{
    int rc;

    req->state = HKI_REQ_POOL;
    req->poller = poller;
    req->job = (struct hki_offload_job){.run = run_job};
    rc = hki_offload_submit(&hki_offload_files, &req->job);
    if (HKI_LIKELY(rc == 0))
        return false;
    req->state = HKI_REQ_DONE;
    req->result = hki_io_sum(req, rc);
    return true;
}

void hki_poller_withdraw(struct hki_poller *poller, struct hki_ioreq *req)
{
    if (hki_offload_withdraw(&hki_offload_files, &req->job))
        hki_poller_complete(poller, req, hki_io_sum(req, -ECANCELED));
}

void hki_poller_collect(struct hki_poller *poller)
{
    struct hki_mpsc_node *node = hki_mpsc_take_all(&poller->done), *next;

    for (; node; node = next) {
        struct hki_ioreq *req = hki_container_of(node, struct hki_ioreq, done_node);

        next = node->next;
        HKI_HB_ACQUIRE(req);
        hki_poller_complete(poller, req, req->result);
    }
}
