/* SPDX-License-Identifier: MIT */
/*
 * The threads of workers: launched, joined, and launched anew for a worker whose thread
 * had gone away and that is called again. Once the runtime is told its end no thread is
 * launched any more.
 */
#include "core/launch.h"

#include "base/spin.h"
#include "sys/futex.h"
#include "sys/os.h"

#include <pthread.h>

int hki_worker_open_poller(struct hki_worker *worker)
{
    hk_poller_choice choice = worker->runtime->options.poller;
    int rc;

    if (choice != HK_POLLER_EPOLL) {
        worker->poller_ops = &hki_poller_uring;
        rc = worker->poller_ops->init(&worker->poller);
        if (rc == 0 || choice == HK_POLLER_URING)
            return rc;
        hki_log(HK_LOG_INFO, "io_uring cannot be used here (%s)", hk_error_text(rc));
    }
    worker->poller_ops = &hki_poller_epoll;
    return worker->poller_ops->init(&worker->poller);
}

void hki_worker_close_poller(struct hki_worker *worker)
{
    worker->poller_ops->fini(worker->poller);
    worker->poller = NULL;
}

struct launch {
    struct hki_worker *worker;
    uint32_t state; /* futex: 0 starting, 1 ready, 2 failed */
    int rc;
};

static void *worker_thread(void *arg)
{
    struct launch *launch = arg;
    struct hki_worker *worker = launch->worker;
    int rc;

    hki_os_thread_name("hocket-worker");
    rc = hki_worker_open_poller(worker);
    launch->rc = rc;
    __atomic_store_n(&launch->state, rc == 0 ? 1 : 2, __ATOMIC_RELEASE);
    hki_futex_wake(&launch->state, 1);
    if (rc < 0)
        return NULL;
    hki_worker_run(worker);
    if (!__atomic_load_n(&worker->runtime->abandoned, __ATOMIC_ACQUIRE))
        hki_worker_close_poller(worker); /* else operations may still be in flight */
    return NULL;
}

int hki_worker_launch(struct hki_worker *worker)
{
    struct launch launch = {.worker = worker};
    int rc = pthread_create(&worker->thread, NULL, worker_thread, &launch);

    if (rc != 0)
        return -rc;
    while (!__atomic_load_n(&launch.state, __ATOMIC_ACQUIRE))
        hki_futex_wait(&launch.state, 0, HK_NEVER);
    if (launch.rc < 0)
        pthread_join(worker->thread, NULL);
    return launch.rc;
}

static struct timespec abandoned_until; /* written before any runtime is abandoned */

void hki_abandoned_join_until(const struct timespec *end)
{
    abandoned_until = *end;
}

/* At the end of the process a task that never gives its worker up is left alone. */
static void join_worker(struct hki_worker *worker)
{
    if (!__atomic_load_n(&worker->runtime->abandoned, __ATOMIC_ACQUIRE))
        pthread_join(worker->thread, NULL);
    else
        (void)pthread_timedjoin_np(worker->thread, NULL, &abandoned_until);
}

static uint32_t sleeping(const struct hki_worker *worker)
{
    return __atomic_load_n(&worker->sleeping, __ATOMIC_SEQ_CST);
}

/* After the end of the runtime a worker stays away: nothing is left to be done. */
void hki_runtime_bring_back(struct hki_worker *worker)
{
    struct hki_runtime *runtime = worker->runtime;
    int rc = 0;

    hki_lock_acquire(&runtime->return_lock);
    if (sleeping(worker) == HKI_AWAY &&
        !__atomic_load_n(&runtime->finished, __ATOMIC_SEQ_CST)) {
        join_worker(worker);
        __atomic_store_n(&worker->sleeping, HKI_AWAKE, __ATOMIC_SEQ_CST);
        /* Whoever called it cannot do its work: so until the system has a thread. */
        for (unsigned turn = 0; (rc = hki_worker_launch(worker)) < 0; turn++) {
            if (turn == 0)
                hki_log(HK_LOG_ERROR, "no thread for worker %u, which is called: %s",
                        worker->index, hk_error_text(rc));
            hki_spin_pause(turn);
        }
    }
    hki_lock_release(&runtime->return_lock);
}

void hki_runtime_tell_end(struct hki_runtime *runtime)
{
    /* Before the looks whether they sleep: has_news() reads the two the other way. */
    __atomic_store_n(&runtime->finished, 1, __ATOMIC_SEQ_CST);
    hki_lock_outlast(&runtime->return_lock);
    for (uint32_t i = 0; i < hki_worker_count(runtime); i++)
        hki_worker_notify(&runtime->workers[i]);
}

void hki_runtime_join(struct hki_runtime *runtime, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++)
        join_worker(&runtime->workers[i]);
}

void hki_runtime_stop(struct hki_runtime *runtime, uint32_t from, uint32_t to)
{
    hki_runtime_tell_end(runtime);
    hki_runtime_join(runtime, from, to);
}

int hki_runtime_launch(struct hki_runtime *runtime, uint32_t from)
{
    for (uint32_t i = from; i < hki_worker_count(runtime); i++) {
        int rc = hki_worker_launch(&runtime->workers[i]);

        if (rc < 0) {
            hki_runtime_stop(runtime, from, i);
            return rc;
        }
    }
    return 0;
}
