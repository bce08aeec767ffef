/* SPDX-License-Identifier: MIT */
#include "exec/template.h"

#include "base/annotate.h"
#include "base/lock.h"
#include "core/log.h"
#include "core/self_inline.h"
#include "core/workers.h"
#include "exec/handshake.h"
#include "exec/worker.h"
#include "sys/os.h"
#include "sys/os_fork.h"
#include "sys/os_module.h"
#include "sys/os_proc.h"

#include <errno.h>

/* The template's own descriptors. */
enum { SOCKET = 3, LIFELINE, OWN_FDS = 2, FDS_ABOVE = LIFELINE + 1 };

/* To fork a process with much memory takes a while: 25 ms for each GiB. */
enum { ANSWER_LIMIT_MS = 10000, EXIT_FAILED = 127 };

struct question {
    enum { ASK_FORK, ASK_REAP, ASK_STOPPED } what;
    pid_t pid; /* of the worker; of a fork 0 */
};

struct answer {
    int rc; /* of a stopped worker 1 */
    pid_t pid;
    int status;
};

/* ---- in the template ---- */

static void close_all(const int *fds, int count)
{
    for (int i = 0; i < count; i++)
        (void)hki_os_close(fds[i]); /* nothing was written to them */
}

static _Noreturn void be_worker(const int *fds)
{
    if (hki_os_stand_alone(fds, HKI_WORKER_FDS) < 0)
        hki_os_exit_now(EXIT_FAILED);
    hki_worker_forked();
}

/* Its pidfd, or -ENOSYS, or why there is no worker. */
static int fork_worker(const int *fds, struct answer *answer)
{
    pid_t pid = hki_os_fork();
    int pidfd;

    if (pid == 0)
        be_worker(fds);
    if (pid < 0) {
        answer->rc = pid;
        return pid;
    }
    answer->pid = pid;
    pidfd = hki_os_pidfd_open(pid);
    if (pidfd < 0 && pidfd != -ENOSYS) {
        hki_os_child_destroy(pid);
        answer->rc = pidfd;
    }
    return pidfd;
}

static int answer_fork(const int *fds, int fd_count)
{
    struct answer answer = {.rc = fd_count == HKI_WORKER_FDS ? 0 : -EMFILE};
    int pidfd = answer.rc == 0 ? fork_worker(fds, &answer) : -1;
    int rc;

    close_all(fds, fd_count); /* the worker has them, and only that */
    rc = hki_os_message_send(SOCKET, &answer, sizeof(answer), &pidfd, pidfd >= 0);
    if (pidfd >= 0)
        (void)hki_os_close(pidfd);
    return rc;
}

static int answer_one(void)
{
    int fds[HKI_MESSAGE_FDS_MAX];
    struct question question;
    struct answer answer = {.rc = 0};
    int rc = hki_os_message_receive(SOCKET, &question, sizeof(question), fds, -1);

    if (rc < 0)
        return rc;
    switch (question.what) {
    case ASK_FORK: return answer_fork(fds, rc);
    case ASK_REAP:
        answer.rc = hki_os_child_reap(question.pid, -1, &answer.status);
        break;
    case ASK_STOPPED: answer.rc = hki_os_child_has_stopped(question.pid, -1); break;
    }
    return hki_os_message_send(SOCKET, &answer, sizeof(answer), NULL, 0);
}

/* Until the program closes its end. */
static _Noreturn void be_template(int socket, int lifeline)
{
    const int fds[OWN_FDS] = {socket, lifeline};
    int rc = hki_os_stand_alone(fds, OWN_FDS);

    if (rc == 0)
        rc = hki_os_start_afresh();
    if (rc == 0)
        rc = hki_os_lifeline_bind(LIFELINE);
    hki_threads_forget();
    hki_os_module_forget();
    while (rc >= 0)
        rc = answer_one();
    hki_os_exit_now(0);
}

/* ---- in the program ---- */

#ifdef HKI_TSAN
static const bool with_deaf = false; /* its own thread is of that kind */
#else
static const bool with_deaf = true;
#endif

static int check_alone(const char *name)
{
    unsigned count = hki_os_thread_count(with_deaf);

    if (count == 1 && hki_self()->kind == HKI_SELF_THREAD)
        return 0;
    hki_log(
        HK_LOG_WARNING,
        "pool '%s' cannot fork its workers from a process with %u threads, or inside "
        "hk_run: make the pool first in main, or let it start them by "
        "HK_START_SPAWN",
        name, count);
    return -EDEADLK;
}

/* The descriptors of the program's side. */
static void let_go(const struct hki_template *origin)
{
    const int fds[] = {origin->socket, origin->lifeline};

    close_all(fds, sizeof(fds) / sizeof(fds[0]));
    if (origin->pidfd >= 0)
        (void)hki_os_close(origin->pidfd);
}

/* With both channels open. */
static int start(struct hki_template *origin, const int sockets[2],
                 const int lifeline[2])
{
    pid_t pid = hki_os_fork();

    if (pid == 0)
        be_template(sockets[1], lifeline[0]);
    (void)hki_os_close(sockets[1]);
    (void)hki_os_close(lifeline[0]);
    *origin = (struct hki_template){
        .pid = pid,
        .pidfd = pid < 0 ? pid : hki_os_pidfd_open(pid),
        .socket = sockets[0],
        .lifeline = lifeline[1],
    };
    return origin->pidfd == -ENOSYS || origin->pidfd >= 0 ? 0 : origin->pidfd;
}

int hki_template_start(struct hki_template *origin, const char *name)
{
    int sockets[2], lifeline[2];
    int rc = check_alone(name);

    if (rc == 0)
        rc = hki_os_message_pair(FDS_ABOVE, sockets);
    if (rc < 0)
        return rc;
    rc = hki_os_lifeline(FDS_ABOVE, lifeline);
    if (rc < 0) {
        close_all(sockets, 2);
        return rc;
    }
    rc = start(origin, sockets, lifeline);
    if (rc == 0)
        return 0;
    if (origin->pid > 0)
        hki_os_child_destroy(origin->pid);
    let_go(origin);
    origin->pid = 0;
    return rc;
}

void hki_template_end(struct hki_template *origin)
{
    int status;

    if (origin->pid == 0)
        return;
    hki_os_child_kill(origin->pid, origin->pidfd);
    if (origin->pidfd >= 0)
        (void)hki_os_reap(origin->pidfd, true, &status); /* if nobody else has */
    else
        hki_os_child_destroy(origin->pid);
    let_go(origin);
    origin->pid = 0;
}

/* With the lock. The number of descriptors that came with the answer, in `fds`.
 * -EOWNERDEAD: there is no answer, and will be none. */
static int ask(struct hki_template *origin, const struct question *question,
               const int *with, int with_count, struct answer *answer, int *fds)
{
    int rc = -EPIPE;

    if (!origin->is_broken)
        rc = hki_os_message_send(origin->socket, question, sizeof(*question), with,
                                 with_count);
    if (rc == 0)
        rc = hki_os_message_receive(origin->socket, answer, sizeof(*answer), fds,
                                    ANSWER_LIMIT_MS);
    if (rc < 0 && !origin->is_broken) {
        origin->is_broken = true; /* a late answer would be taken for the next one's */
        hki_os_child_kill(origin->pid, origin->pidfd);
    }
    return rc < 0 ? -EOWNERDEAD : rc;
}

int hki_template_fork(struct hki_template *origin, const int *fds, pid_t *out_pid,
                      int *out_pidfd)
{
    const struct question question = {.what = ASK_FORK};
    int got[HKI_MESSAGE_FDS_MAX];
    struct answer answer;
    int rc;

    hki_lock_acquire(&origin->lock);
    rc = ask(origin, &question, fds, HKI_WORKER_FDS, &answer, got);
    hki_lock_release(&origin->lock);
    if (rc < 0 || answer.rc < 0)
        return rc < 0 ? rc : answer.rc;
    *out_pid = answer.pid;
    *out_pidfd = rc > 0 ? got[0] : -ENOSYS;
    return 0;
}

int hki_template_reap(struct hki_template *origin, pid_t pid, int *out_status)
{
    const struct question question = {.what = ASK_REAP, .pid = pid};
    int unused[HKI_MESSAGE_FDS_MAX];
    struct answer answer;
    int rc;

    hki_lock_acquire(&origin->lock);
    rc = ask(origin, &question, NULL, 0, &answer, unused);
    hki_lock_release(&origin->lock);
    if (rc < 0)
        return -ECHILD;
    if (answer.rc == 0)
        *out_status = answer.status;
    return answer.rc;
}

bool hki_template_has_stopped(struct hki_template *origin, pid_t pid)
{
    const struct question question = {.what = ASK_STOPPED, .pid = pid};
    int unused[HKI_MESSAGE_FDS_MAX];
    struct answer answer;
    bool has_stopped;

    if (!hki_lock_try(&origin->lock))
        return false; /* it forks, which may take a while: the caller asks again */
    has_stopped =
        ask(origin, &question, NULL, 0, &answer, unused) == 0 && answer.rc == 1;
    hki_lock_release(&origin->lock);
    return has_stopped;
}
