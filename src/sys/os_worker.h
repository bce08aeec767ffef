/* SPDX-License-Identifier: MIT */
/*
 * What a worker process does to itself before it runs anything of the program, and how
 * its parent watches it. A part of os.h.
 *
 * That a worker never outlives its parent rests on two things. The kernel kills it when
 * the thread that started it ends (PR_SET_PDEATHSIG). And it holds the reading end of a
 * pipe, its lifeline, of which the parent has the only other end: when that closes, the
 * kernel sends SIGKILL to the worker's whole process group (O_ASYNC with F_SETSIG), so
 * that what its jobs have started goes as well. Neither takes a thread or a descriptor
 * of the worker's to be waited for.
 */
#ifndef HKI_SYS_OS_WORKER_H
#define HKI_SYS_OS_WORKER_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct pollfd;

enum { HKI_CPUS_MAX = 1024 };

/* 0: as it is. */
struct hki_os_limits {
    uint64_t memory_bytes; /* heap, stacks and private maps together (RLIMIT_DATA) */
    uint64_t file_bytes;   /* the largest file it may write */
    uint64_t cpu_seconds;
    uint64_t fds;
    uint64_t processes; /* of the user, on the whole machine */
    bool with_core;     /* a crash may leave a core file */
};

/* ---- by the worker ---- */

/*
 * Binds the caller's life to `parent`'s and to the pipe `lifeline`. 0; -ESRCH: the
 * parent is gone already. Other errors: one of the two could not be had.
 */
int hki_os_worker_bind(pid_t parent, int lifeline);
/* To the pipe alone. */
int hki_os_lifeline_bind(int lifeline);

int hki_os_limits_apply(const struct hki_os_limits *limits);

/* `cpus` is a bit set of HKI_CPUS_MAX bits; none set: as it is. */
int hki_os_affinity_apply(const uint64_t *cpus);

/* Ends the calling process: no handler, no flush. */
_Noreturn void hki_os_exit_now(int status);

/* ---- by the parent ---- */

/* The nth of the processors that the calling process may use, in turn. */
uint32_t hki_os_processor(uint32_t nth);

/* A pipe, close-on-exec, both numbers `lowest` or higher. out[0] is read from. */
int hki_os_lifeline(int lowest, int out[2]);

/*
 * A child is known by its pid and its pidfd; without the latter (-1: emulators do not
 * know it) by its pid alone, which is another's once somebody has reaped the child.
 *
 * Whether it has ended, and then reaps it: 0, -EAGAIN, -ECHILD as hki_os_reap.
 */
int hki_os_child_reap(pid_t pid, int pidfd, int *out_status);
/* Sends SIGKILL; to a child that has ended already it does nothing. */
void hki_os_child_kill(pid_t pid, int pidfd);
/* True if it has been stopped since the last time it was asked. */
bool hki_os_child_has_stopped(pid_t pid, int pidfd);

/* How many processes the kernel has killed for want of memory since it runs, in all; 0:
 * it does not tell. */
uint64_t hki_os_kills_for_memory(void);
/* Where it tells; tests put their own file there. */
extern const char *hki_os_vmstat;

/* Its resident memory; 0: unknown. */
uint64_t hki_os_process_memory(pid_t pid);

/* poll(2); a negative timeout: for ever. Interrupted: 0. */
int hki_os_poll_many(struct pollfd *fds, size_t count, int timeout_ms);

#endif
