/* SPDX-License-Identifier: MIT */
/*
 * The keeper: one thread that starts all worker processes, and learns how they end. It
 * lives as long as the process, because the kernel kills a worker when the thread that
 * started it ends.
 */
#ifndef HKI_EXEC_KEEPER_H
#define HKI_EXEC_KEEPER_H

#include "base/list.h"
#include "exec/channel.h"
#include "exec/template.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Somebody else has reaped it: a program that ignores SIGCHLD. */
enum { HKI_STATUS_UNKNOWN = -1 };

/* One worker process, from the request to start it to its end. */
struct hki_child {
    struct hki_list node; /* the keeper's */

    /* ---- set by who asks ---- */
    const struct hki_channel *channel; /* with the handshake filled in */
    int channel_fd;                    /* the keeper closes it */
    struct hki_template *origin; /* it is forked there; NULL: the program is executed */
    sigset_t mask; /* the worker's signal mask; of a forked one as it is */
    /* Called once, on the keeper's thread: `error` < 0, it could not be started; else
     * it has ended with `status`, as from waitpid(2), or HKI_STATUS_UNKNOWN. The child
     * may be gone then. */
    void (*ended)(struct hki_child *child, int error, int status);

    /* ---- the keeper's; guarded by its lock ---- */
    pid_t pid; /* 0: not started yet */
    int pidfd;
    int lifeline; /* the writing end; the worker dies with it */
    bool is_killed;
};

/* Asks for a start. 0, or -EAGAIN, -ENOMEM, -EMFILE: the keeper could not be
 * started. */
int hki_keeper_start(struct hki_child *child);

/* Ends the child, and all that is in its process group; `ended` is called as ever. Any
 * thread; more than once is fine, until `ended` was called. */
void hki_keeper_kill(struct hki_child *child);

/* True if the child was stopped since the last look. */
bool hki_keeper_has_stopped(struct hki_child *child);

/* The child's process id; 0: not started (yet). */
pid_t hki_keeper_pid(struct hki_child *child);

#endif
