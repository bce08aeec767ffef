/* SPDX-License-Identifier: MIT */
/*
 * What both backends share: the list of completed requests, the way to the blocking
 * pool and back, and the wake-up. A backend's struct begins with a struct hki_poller.
 *
 * The wake-up is one state word, so that a wake costs a system call only when the owner
 * really sleeps:
 *
 *     AWAKE   the owner runs; it looks at everything before it sleeps again
 *     ASLEEP  the owner is about to enter the kernel, or in it: a wake must signal
 *     WOKEN   a wake came since the owner last looked: the next sleep is refused
 *
 *     owner:  AWAKE -> ASLEEP before a wait that may block; any -> AWAKE after it
 *     others: any -> WOKEN; who finds ASLEEP signals the eventfd
 */
#ifndef HKI_SYS_POLLER_BASE_H
#define HKI_SYS_POLLER_BASE_H

#include "base/assert.h"
#include "sys/poller.h"

enum { HKI_AWAKE, HKI_ASLEEP, HKI_WOKEN };

/* Values of hki_ioreq.state, for both backends. */
enum {
    HKI_REQ_DONE,      /* completed; perhaps still on the list for the next wait */
    HKI_REQ_KERNEL,    /* ring: the operation itself is with the kernel */
    HKI_REQ_READINESS, /* ring: a poll or a timeout stands in for it, then a retry */
    HKI_REQ_QUEUED,    /* epoll: waits for an edge of its descriptor */
    HKI_REQ_DELAYED,   /* epoll: waits for time to pass, then it is retried */
    HKI_REQ_POOL,      /* the blocking pool has it */
};

struct hki_poller {
    struct hki_ioreq *completed, **completed_end; /* owner only */
    struct hki_mpsc done;                         /* from the pool */
    uint32_t wake_state;                          /* atomic; see above */
    uint32_t finishing; /* atomic; pool threads that may still touch this poller */
    int wake_fd;        /* eventfd, never read: every write is an edge */
};

int hki_poller_base_init(struct hki_poller *poller);
void hki_poller_base_fini(struct hki_poller *poller);

/* The `wake` of both backends. */
void hki_poller_wake(struct hki_poller *poller);

/* Hands the request to the pool. True: no thread could be had, the error is its
 * result. */
bool hki_poller_offload(struct hki_poller *poller, struct hki_ioreq *req);
/* Cancels a request in state HKI_REQ_POOL, if no thread has begun it. */
void hki_poller_withdraw(struct hki_poller *poller, struct hki_ioreq *req);
/* Moves what the pool has finished to the list of completed requests. */
void hki_poller_collect(struct hki_poller *poller);

static inline void hki_poller_complete(struct hki_poller *poller, struct hki_ioreq *req,
                                       int32_t result)
{
    req->result = result;
    req->state = HKI_REQ_DONE;
    req->next = NULL;
    *poller->completed_end = req;
    poller->completed_end = &req->next;
}

static inline struct hki_ioreq *hki_poller_take(struct hki_poller *poller)
{
    struct hki_ioreq *list = poller->completed;

    poller->completed = NULL;
    poller->completed_end = &poller->completed;
    return list;
}

/* False: somebody woke us since we last looked; do not sleep. Pairs with wake. */
static inline bool hki_poller_may_sleep(struct hki_poller *poller)
{
    uint32_t awake = HKI_AWAKE;

    return __atomic_compare_exchange_n(&poller->wake_state, &awake, HKI_ASLEEP, false,
                                       __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* After it, everything that wakers did before their wake is visible. */
static inline void hki_poller_awake(struct hki_poller *poller)
{
    (void)__atomic_exchange_n(&poller->wake_state, HKI_AWAKE, __ATOMIC_SEQ_CST);
}

static inline void hki_poller_accept(struct hki_ioreq *req, uint8_t state)
{
    req->state = state;
    req->cancelled = false;
    req->begun = false;
    req->retries = 0;
    req->moved_bytes = 0;
}

/* How long to wait before the nth retry of something that no readiness announces (a
 * Unix socket whose peer's queue is full): 1 ms, doubling up to 32. */
static inline int64_t hki_poller_retry_delay_ns(unsigned retries)
{
    return INT64_C(1000000) << (retries < 5 ? retries : 5);
}

#endif
