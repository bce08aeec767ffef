/* SPDX-License-Identifier: MIT */
/*
 * Waiting for the first of several things. Exactly one case happens; the others are as
 * if they had never been tried: no item taken, no permit gone.
 *
 *     int n;
 *     hk_case cases[] = {
 *         HK_CASE_RECV(jobs, &job),
 *         HK_CASE_EVENT(&stop),
 *         HK_CASE_DEADLINE(hk_now() + HK_SECOND),
 *     };
 *     int i = hk_select(cases, 3);
 *     if (i == 0 && cases[0].result == 0) ...
 */
#ifndef HOCKET_SELECT_H
#define HOCKET_SELECT_H

#include <hocket/chan.h>
#include <hocket/event.h>
#include <hocket/op.h>
#include <hocket/sem.h>

HK_BEGIN_DECLS

typedef struct hk_case {
    const hk_waitable *what; /* NULL: a deadline */
    void *object;            /* NULL: this case never happens, unless a deadline */
    void *data;
    int64_t deadline_ns;
    int result; /* set for the case that happened: 0, or -EPIPE (closed channel); of a
                 * handle the ready events, or an error */
} hk_case;

/*
 * A handle that shall be ready for `events` (poll(2)), as hk_wait_fd; nothing is read.
 * In the caller's storage; one select at a time may wait for it (else its case happens
 * with -EBUSY), and any number one after the other. A foreign descriptor becomes a
 * handle by hk_fd_adopt with HK_FD_BORROWED.
 *
 *     hk_ready request;
 *     hk_ready_init(&request, connection, POLLIN);
 *     hk_case cases[] = {HK_CASE_READY(&request), HK_CASE_EVENT(&stopping)};
 *     int i = hk_select(cases, 2);
 *     if (i == 0 && (cases[0].result & POLLIN)) ...
 *
 * The select returns when the kernel no longer watches the handle. Closing the handle
 * ends the case with -EBADF. A plain thread waits through the background runtime.
 */
typedef struct hk_ready {
    hk_fd fd;
    unsigned events;
    hk_lock hki_lock; /* guards the next four */
    bool hki_flying;
    hk_waiter *hki_waiter, *hki_leaving, *hki_settler;
    hk_waiter hki_callback;
    hk_op hki_op;
    uint64_t reserved[3];
} hk_ready;

HK_API void hk_ready_init(hk_ready *ready, hk_fd fd, unsigned events);

HK_API extern const hk_waitable hk_chan_sending;
HK_API extern const hk_waitable hk_chan_receiving;
HK_API extern const hk_waitable hk_event_waiting;
HK_API extern const hk_waitable hk_sem_acquiring;
HK_API extern const hk_waitable hk_ready_waiting;

#define HK_CASE_SEND(chan, item_in)                                                    \
    {                                                                                  \
        &hk_chan_sending, (chan), (void *)(item_in), 0, 0                              \
    }
#define HK_CASE_RECV(chan, item_out)                                                   \
    {                                                                                  \
        &hk_chan_receiving, (chan), (item_out), 0, 0                                   \
    }
#define HK_CASE_EVENT(event)                                                           \
    {                                                                                  \
        &hk_event_waiting, (event), NULL, 0, 0                                         \
    }
#define HK_CASE_SEM(sem)                                                               \
    {                                                                                  \
        &hk_sem_acquiring, (sem), NULL, 0, 0                                           \
    }
#define HK_CASE_READY(ready)                                                           \
    {                                                                                  \
        &hk_ready_waiting, (ready), NULL, 0, 0                                         \
    }
#define HK_CASE_DEADLINE(time_ns)                                                      \
    {                                                                                  \
        NULL, NULL, NULL, (time_ns), 0                                                 \
    }

/*
 * Waits until one of `count` cases (1 to 64) can happen, lets it happen, and returns
 * its index; cases[index].result is what the plain call would have returned. Several
 * ready at entry: one at random (seeded, see hk_options). The same object may be in
 * several cases.
 *
 * Cancel:  at entry nothing is tried; later the first committed case wins.
 * Returns: the index; -ECANCELED (nothing happened); -EDEADLK; -EINVAL (count).
 */
HK_API HK_WARN_UNUSED int hk_select(hk_case *cases, size_t count);

/* The same without waiting: -EAGAIN when nothing is ready. Not a cancel point. */
HK_API HK_WARN_UNUSED int hk_try_select(hk_case *cases, size_t count);

HK_END_DECLS

#endif
