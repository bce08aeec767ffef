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
#include <hocket/sem.h>

HK_BEGIN_DECLS

typedef struct hk_case {
    const hk_waitable *what; /* NULL: a deadline, or with object NULL too: never */
    void *object;
    void *data;
    int64_t deadline_ns;
    int result; /* set for the case that happened: 0, or -EPIPE (closed channel) */
} hk_case;

HK_API extern const hk_waitable hk_chan_sending;
HK_API extern const hk_waitable hk_chan_receiving;
HK_API extern const hk_waitable hk_event_waiting;
HK_API extern const hk_waitable hk_sem_acquiring;

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
