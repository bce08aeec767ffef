/* SPDX-License-Identifier: MIT */
/*
 * System calls for child processes and signals. A part of os.h: functions return >= 0
 * or a negative errno value, never -EINTR; new descriptors are close-on-exec.
 */
#ifndef HKI_SYS_OS_PROC_H
#define HKI_SYS_OS_PROC_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

/* ---- child processes ---- */

/* What becomes of one of a child's descriptors 0, 1, 2, unless it is a descriptor. */
enum {
    HKI_OS_STDIO_INHERIT = -1,
    HKI_OS_STDIO_NULL = -2,     /* /dev/null */
    HKI_OS_STDIO_PREVIOUS = -3, /* the same as the one before it */
};

struct hki_os_spawn {
    const char *program;     /* without a slash: looked up in our PATH */
    const char *const *args; /* NULL-terminated */
    const char *const *env;  /* NULL-terminated; NULL: ours */
    const char *dir;         /* NULL: ours */
    int stdio[3];            /* descriptors >= 3, or HKI_OS_STDIO_ */
    const int *more;         /* descriptors that become 3, 4, ...; NULL: none */
    int more_count;          /* each of them must be >= 3 + more_count */
    bool new_group;
    bool sigpipe_default; /* give SIGPIPE, which we ignore, its default back */
    sigset_t mask;        /* the child's signal mask */
};

/*
 * Starts a child that has its three standard descriptors, `more`, and no other. Blocks
 * until the child has executed the program or failed to. Returns 0, or what the step
 * that failed said: -ENOENT (program or directory), -EACCES, -ENOEXEC, -E2BIG, -EAGAIN,
 * -ENOMEM.
 */
int hki_os_spawn(const struct hki_os_spawn *spawn, pid_t *out);

/*
 * A duplicate of `fd`, numbered 3 or higher, to become a child's standard descriptor. A
 * child expects it to block, but the mode belongs to the open file, not to the number.
 * So a pipe, which we may need in non-blocking mode, is opened anew; a connection,
 * where we do not depend on the mode, is switched.
 */
int hki_os_stdio_duplicate(int fd);
/* Moves `fd` to a number of 3 or higher; on failure it is closed. */
int hki_os_stdio_move(int fd);
/* A duplicate of `fd`, numbered `lowest` or higher, close-on-exec. */
int hki_os_duplicate_above(int fd, int lowest);
/* Moves a pair of descriptors that way, into `out`. 0; on failure both are closed. */
int hki_os_move_pair_above(const int fds[2], int lowest, int out[2]);

int hki_os_pidfd_open(pid_t pid);
int hki_os_pidfd_signal(int pidfd, int signo);
int hki_os_group_signal(pid_t group, int signo);

/*
 * Reaps the child of `pidfd` (never another that got its number), waiting for its end
 * if `wait`. 0: `*out_status` is as from waitpid(2); -EAGAIN: it still runs; -ECHILD:
 * someone else has reaped it.
 */
int hki_os_reap(int pidfd, bool wait, int *out_status);

/* Kills and reaps a child that nobody knows yet. Blocks until it is gone. */
void hki_os_child_destroy(pid_t pid);

pid_t hki_os_process_id(void);

/* ---- signals ---- */

/* A counter to wait for: a read takes one from it, or waits for one. It is added to by
 * hki_os_eventfd_signal. */
int hki_os_counter_new(void);

/* Makes `handler` the disposition (system calls go on, on the alternate stack if there
 * is one, all signals held off meanwhile). Returns 0 or -EINVAL. */
int hki_os_signal_catch(int signo, void (*handler)(int signo),
                        struct sigaction *out_former);
/* Puts back what hki_os_signal_catch found. */
void hki_os_signal_restore(int signo, const struct sigaction *former);

/* The calling thread's signal mask. */
void hki_os_signal_mask(sigset_t *out);

/* Lets other threads run, when only they can end what the caller spins on. */
void hki_os_thread_yield(void);

#endif
