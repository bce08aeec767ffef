/* SPDX-License-Identifier: MIT */
/*
 * A child process from its start to its last trace. Its end is an event on its pidfd;
 * whoever sees it first reaps the child under the lock and keeps the outcome, so that
 * any number of waits get it, and no signal goes to a process that is reaped.
 */
#include "io/process.h"

#include "base/alloc.h"
#include "io/handle.h"
#include "sys/os_proc.h"

#include <hocket/lowlevel.h>
#include <hocket/scope.h>
#include <hocket/task.h>

#include <poll.h>

int hki_process_adopt(hk_process *process, pid_t pid)
{
    int pidfd = hki_os_pidfd_open(pid);
    int rc = pidfd < 0 ? pidfd : hki_handle_adopt(pidfd, 0, &process->ended);

    if (rc < 0) {
        hki_os_child_destroy(pid);
        return rc;
    }
    process->pid = pid;
    process->pidfd = pidfd;
    return 0;
}

hk_fd hk_process_stdin(const hk_process *process)
{
    return process->stdio[0];
}

hk_fd hk_process_stdout(const hk_process *process)
{
    return process->stdio[1];
}

hk_fd hk_process_stderr(const hk_process *process)
{
    return process->stdio[2];
}

int hk_process_close_stdin(hk_process *process)
{
    hk_fd fd = process->stdio[0];

    process->stdio[0] = HK_FD_NONE;
    return hk_close(fd);
}

pid_t hk_process_pid(const hk_process *process)
{
    return process->pid;
}

/* A leader that is dead but not reaped still keeps its group's number; a group that is
 * gone nevertheless was left by a child that joined another. */
static int signal_locked(const hk_process *process, int signo)
{
    int rc = process->group ? hki_os_group_signal(process->pid, signo) : -ESRCH;

    return rc == -ESRCH ? hki_os_pidfd_signal(process->pidfd, signo) : rc;
}

int hk_process_kill(hk_process *process, int signo)
{
    int rc;

    hk_lock_acquire(&process->lock);
    rc = process->reaped ? -ESRCH : signal_locked(process, signo);
    hk_lock_release(&process->lock);
    return rc;
}

/* Reaps it if it has ended. `wait`: blocks the thread until it has. */
static bool try_reap(hk_process *process, bool wait)
{
    int status, rc;
    bool reaped;

    hk_lock_acquire(&process->lock);
    if (!process->reaped) {
        rc = hki_os_reap(process->pidfd, wait, &status);
        process->reaped = rc != -EAGAIN;
        process->outcome = rc == 0 ? status : rc;
    }
    reaped = process->reaped;
    hk_lock_release(&process->lock);
    return reaped;
}

/* Reaps it when it has ended: 0; or why that cannot be waited for. */
static int await_end(hk_process *process)
{
    hk_op op;
    int rc;

    hk_op_poll(&op, process->ended, POLLIN);
    rc = hk_op_run(&op);
    while (rc >= 0 && !try_reap(process, false))
        rc = hk_sleep(HK_MILLISECOND); /* dead, but a debugger has not let go of it */
    return rc < 0 ? rc : 0;
}

/* Ends it, whatever the caller's scopes say. */
static void kill_and_reap(hk_process *process)
{
    hk_scope shield = HK_SCOPE_INIT;

    hk_scope_open_with(&shield, HK_SCOPE_SHIELDED, "killing a process");
    (void)hk_process_kill(process, SIGKILL); /* -ESRCH: it is dead, which will do */
    if (await_end(process) < 0)
        (void)try_reap(process, true); /* no memory to wait: block, but not for long */
    (void)hk_scope_join(&shield);      /* it has no children and no deadline */
}

int hk_process_wait(hk_process *process, int *out_status)
{
    int rc = hk_cancelled();

    if (rc == 0)
        rc = try_reap(process, false) ? hk_budget() : await_end(process);
    if (rc == -ECANCELED)
        kill_and_reap(process);
    if (rc < 0)
        return rc;
    if (process->outcome < 0)
        return process->outcome;
    if (out_status)
        *out_status = process->outcome;
    return 0;
}

void hk_process_free(hk_process *process)
{
    if (!process)
        return;
    if (process->pid) {
        if (!try_reap(process, false))
            kill_and_reap(process);
        (void)hk_close(process->ended); /* nothing is written to a pidfd */
    }
    for (int i = 0; i < HKI_STDIO_COUNT; i++)
        if (process->stdio[i].value)
            (void)hk_close(process->stdio[i]); /* who cares has closed it himself */
    hki_free(process);
}
