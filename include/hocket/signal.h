/* SPDX-License-Identifier: MIT */
/*
 * Signals as something to wait for.
 *
 *     hk_signals *watch;
 *     int rc = hk_signals_new((int[]){SIGINT, SIGTERM}, 2, &watch);
 *     int signo = hk_signals_wait(watch);
 *     hk_signals_free(watch);
 *
 * Every watch gets each of its signals, whichever thread the kernel gives them to.
 * While any watch for a signal is open hocket's handler is its disposition (with
 * SA_RESTART); the one before the first watch is put back after the last.
 *
 * Do not change the disposition of a watched signal. A child process starts with the
 * default for it, also when it was ignored before the watch.
 */
#ifndef HOCKET_SIGNAL_H
#define HOCKET_SIGNAL_H

#include <hocket/base.h>

HK_BEGIN_DECLS

typedef struct hk_signals hk_signals;

/*
 * Watches the signals in `signos`; the same one twice is the same as once.
 *
 * Blocks:  never.
 * Returns: 0; -EINVAL (SIGKILL and SIGSTOP, which nobody can catch; SIGSEGV, SIGBUS,
 *          SIGFPE, SIGILL; those that the C library keeps for itself; a number that is
 *          no signal; or `count` is 0), -ENOMEM, -EMFILE, -ENFILE.
 * Threads: any task or thread. The watch may outlive the hk_run that it was opened in.
 * Owns:    the caller frees it with hk_signals_free.
 */
HK_API int hk_signals_new(const int *signos, size_t count, hk_signals **out);

/* Ends the watch; signals that no one has waited for are dropped. NULL is fine. No one
 * may be waiting on it. Any task or thread. */
HK_API void hk_signals_free(hk_signals *watch);

/*
 * Waits for the next of its signals, from the opening of the watch on, and returns its
 * number. The same signal twice before a wait counts once; of several the lowest comes
 * first. Several may wait on one watch: each signal is given to one of them.
 *
 * Cancel:  atomic: -ECANCELED means that no signal was taken.
 * Returns: the number, > 0; -ECANCELED.
 * Threads: any task or thread.
 */
HK_API HK_WARN_UNUSED int hk_signals_wait(hk_signals *watch);

HK_END_DECLS

#endif
