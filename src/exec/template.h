/* SPDX-License-Identifier: MIT */
/*
 * The template: a process that was forked from the program when that had one thread,
 * and keeps its memory of that moment. It has one thread too, runs nothing of the
 * program, and forks a worker whenever it is asked. Workers are its children, so it is
 * also asked how they have ended; with it they die.
 *
 * Functions here may be called by any thread, but start and end.
 */
#ifndef HKI_EXEC_TEMPLATE_H
#define HKI_EXEC_TEMPLATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The program's view. Zeroed: there is none. */
struct hki_template {
    pid_t pid;      /* immutable until the end, as the next two */
    int pidfd;      /* -1: there are none */
    int lifeline;   /* the writing end: it dies with it */
    int socket;     /* guarded by lock, as the rest */
    bool is_broken; /* it did not answer: it was killed */
    uint32_t lock;
};

/*
 * Forks it from the calling process as it is, for the pool `name`. 0; -EDEADLK: there
 * is more than the one thread, and others may hold locks, which in a child nobody would
 * give back; -EAGAIN, -ENOMEM, -EMFILE.
 */
int hki_template_start(struct hki_template *origin, const char *name);

/* Ends it, and waits until it is gone. If there is none, nothing. */
void hki_template_end(struct hki_template *origin);

/*
 * Forks a worker with descriptors 3, 4, ... as hki_worker_forked wants them. 0, and its
 * pidfd, -ENOSYS where there is none; -EOWNERDEAD: the template is dead, or was
 * stopped, and never forks again; -EAGAIN, -ENOMEM, -EMFILE.
 */
int hki_template_fork(struct hki_template *origin, const int *fds, pid_t *out_pid,
                      int *out_pidfd);

/* As hki_os_child_reap. -ECHILD also when the template is dead. */
int hki_template_reap(struct hki_template *origin, pid_t pid, int *out_status);
/* As hki_os_child_has_stopped; does not wait for a fork, which is false. */
bool hki_template_has_stopped(struct hki_template *origin, pid_t pid);

#endif
