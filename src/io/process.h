/* SPDX-License-Identifier: MIT */
/*
 * What command.c, which starts a process, and process.c, which ends it, share. A
 * process is made half-built, started once, and then known by its pidfd alone, so that
 * no signal and no status can be that of a stranger with the same number.
 */
#ifndef HKI_IO_PROCESS_H
#define HKI_IO_PROCESS_H

#include <hocket/command.h>
#include <hocket/waiter.h>

enum { HKI_STDIO_COUNT = 3 };

struct hk_process {
    hk_fd stdio[HKI_STDIO_COUNT]; /* our ends of its pipes */
    hk_fd ended;  /* its pidfd: readable at its end; none: not started */
    int pidfd;    /* the same as a number; immutable once started */
    pid_t pid;    /* immutable once started */
    bool group;   /* it leads a process group; immutable */
    hk_lock lock; /* guards the next two */
    bool reaped;
    int outcome; /* once reaped: its status, or -ECHILD if someone else has reaped it */
};

/* Begins to be what `pid` is: takes the child. Blocks a little on failure, when it
 * kills and reaps it. 0, -EMFILE, -ENOMEM. Any thread. */
int hki_process_adopt(hk_process *process, pid_t pid);

#endif
