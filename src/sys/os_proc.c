/* SPDX-License-Identifier: MIT */
/* errno is read here; see os.h. */
#include "sys/os_proc.h"

#include "base/assert.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STDIO_COUNT = 3 };

static int result(int rc)
{
    return rc < 0 ? -errno : rc;
}

/* ---- starting: posix_spawn returns positive error numbers ---- */

static int add_stdio(posix_spawn_file_actions_t *actions, int target, int source)
{
    switch (source) {
    case HKI_OS_STDIO_INHERIT: return 0;
    case HKI_OS_STDIO_NULL:
        return posix_spawn_file_actions_addopen(actions, target, "/dev/null",
                                                target == 0 ? O_RDONLY : O_WRONLY, 0);
    case HKI_OS_STDIO_PREVIOUS:
        return posix_spawn_file_actions_adddup2(actions, target - 1, target);
    default: return posix_spawn_file_actions_adddup2(actions, source, target);
    }
}

/* All sources are higher than all targets: none is overwritten before it was copied. */
static int add_actions(posix_spawn_file_actions_t *actions,
                       const struct hki_os_spawn *spawn)
{
    int rc = 0;

    for (int target = 0; target < STDIO_COUNT && rc == 0; target++)
        rc = add_stdio(actions, target, spawn->stdio[target]);
    for (int i = 0; i < spawn->more_count && rc == 0; i++)
        rc = posix_spawn_file_actions_adddup2(actions, spawn->more[i], STDIO_COUNT + i);
    if (rc == 0 && spawn->dir)
        rc = posix_spawn_file_actions_addchdir_np(actions, spawn->dir);
    if (rc == 0)
        rc = posix_spawn_file_actions_addclosefrom_np(actions,
                                                      STDIO_COUNT + spawn->more_count);
    return rc;
}

static int set_attributes(posix_spawnattr_t *attr, const struct hki_os_spawn *spawn)
{
    short flags = POSIX_SPAWN_SETSIGMASK;
    sigset_t defaults;
    int rc;

    sigemptyset(&defaults);
    if (spawn->sigpipe_default) {
        flags |= POSIX_SPAWN_SETSIGDEF;
        sigaddset(&defaults, SIGPIPE);
    }
    if (spawn->new_group)
        flags |= POSIX_SPAWN_SETPGROUP; /* group 0: its own, the attribute's default */
    rc = posix_spawnattr_setsigdefault(attr, &defaults);
    if (rc == 0)
        rc = posix_spawnattr_setsigmask(attr, &spawn->mask);
    if (rc == 0)
        rc = posix_spawnattr_setflags(attr, flags);
    return rc;
}

int hki_os_spawn(const struct hki_os_spawn *spawn, pid_t *out)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    pid_t pid;
    int rc = posix_spawn_file_actions_init(&actions);

    if (rc)
        return -rc;
    rc = posix_spawnattr_init(&attr);
    if (rc)
        goto no_attr;
    rc = add_actions(&actions, spawn);
    if (rc == 0)
        rc = set_attributes(&attr, spawn);
    if (rc == 0) /* argv and envp are const in all but their type (POSIX, exec) */
        rc = posix_spawnp(&pid, spawn->program, &actions, &attr,
                          (char *const *)spawn->args,
                          spawn->env ? (char *const *)spawn->env : environ);
    if (rc == 0)
        *out = pid;
    posix_spawnattr_destroy(&attr);
no_attr:
    posix_spawn_file_actions_destroy(&actions);
    return -rc;
}

/* ---- a child's standard descriptors ---- */

int hki_os_stdio_move(int fd)
{
    int moved;

    if (fd >= STDIO_COUNT)
        return fd;
    moved = result(fcntl(fd, F_DUPFD_CLOEXEC, STDIO_COUNT));
    close(fd);
    return moved;
}

/* The same pipe as another open file, in blocking mode. Opening it non-blocking first
 * keeps a named pipe without its other side from holding us up. */
static int reopen_pipe(int fd, int access)
{
    char path[32];
    int pipe;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    pipe = open(path, access | O_CLOEXEC | O_NONBLOCK);
    if (pipe >= 0 && fcntl(pipe, F_SETFL, 0) < 0) {
        close(pipe);
        return -1;
    }
    return pipe;
}

/* Not a listener: its accept(2) must not block. */
static bool is_connection(int fd)
{
    int listens = 1;
    socklen_t size = sizeof(listens);

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && !listens;
}

int hki_os_duplicate_above(int fd, int lowest)
{
    return result(fcntl(fd, F_DUPFD_CLOEXEC, lowest));
}

int hki_os_move_pair_above(const int fds[2], int lowest, int out[2])
{
    int moved[2];

    for (int i = 0; i < 2; i++) {
        moved[i] = hki_os_duplicate_above(fds[i], lowest);
        close(fds[i]);
    }
    if (moved[0] >= 0 && moved[1] >= 0) {
        memcpy(out, moved, sizeof(moved));
        return 0;
    }
    for (int i = 0; i < 2; i++)
        if (moved[i] >= 0)
            close(moved[i]);
    return moved[0] < 0 ? moved[0] : moved[1];
}

int hki_os_stdio_duplicate(int fd)
{
    struct stat st;
    int flags = fcntl(fd, F_GETFL), pipe = -1;

    if (flags < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (S_ISFIFO(st.st_mode))
        pipe = reopen_pipe(fd, flags & O_ACCMODE);
    if (pipe >= 0)
        return hki_os_stdio_move(pipe);
    if (S_ISSOCK(st.st_mode) && (flags & O_NONBLOCK) && is_connection(fd))
        (void)fcntl(fd, F_SETFL, flags & ~O_NONBLOCK); /* the child may manage */
    return hki_os_duplicate_above(fd, STDIO_COUNT);
}

/* ---- living and dead ---- */

int hki_os_pidfd_open(pid_t pid)
{
    return result((int)syscall(SYS_pidfd_open, pid, 0));
}

int hki_os_pidfd_signal(int pidfd, int signo)
{
    return result((int)syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0));
}

int hki_os_group_signal(pid_t group, int signo)
{
    return result(kill(-group, signo));
}

/* siginfo's words for what waitpid(2) calls status. */
static int status_of(const siginfo_t *info)
{
    switch (info->si_code) {
    case CLD_EXITED: return (info->si_status & 0xff) << 8;
    case CLD_DUMPED: return info->si_status | WCOREFLAG;
    default: return info->si_status;
    }
}

int hki_os_reap(int pidfd, bool wait, int *out_status)
{
    struct pollfd ended = {.fd = pidfd, .events = POLLIN};
    siginfo_t info = {0};
    int rc;

    /* Not by a blocking waitid: that gives up on a pidfd in non-blocking mode. */
    do
        rc = wait ? poll(&ended, 1, -1) : 0;
    while (rc < 0 && errno == EINTR);
    do
        rc = waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG);
    while (rc < 0 && errno == EINTR);
    if (rc < 0)
        return -errno;
    if (info.si_pid == 0)
        return -EAGAIN;
    *out_status = status_of(&info);
    return 0;
}

void hki_os_child_destroy(pid_t pid)
{
    int rc = kill(pid, SIGKILL);

    while (rc == 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

pid_t hki_os_process_id(void)
{
    return getpid();
}

/* ---- signals ---- */

int hki_os_counter_new(void)
{
    return result(eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE));
}

int hki_os_signal_catch(int signo, void (*handler)(int signo),
                        struct sigaction *out_former)
{
    struct sigaction action = {
        .sa_handler = handler,
        .sa_flags = SA_RESTART | SA_ONSTACK,
    };

    sigfillset(&action.sa_mask);
    return result(sigaction(signo, &action, out_former));
}

void hki_os_signal_restore(int signo, const struct sigaction *former)
{
    if (sigaction(signo, former, NULL) < 0)
        hki_panic("cannot restore the disposition of signal %d: %s", signo,
                  strerror(errno));
}

void hki_os_signal_mask(sigset_t *out)
{
    int rc = pthread_sigmask(SIG_SETMASK, NULL, out);

    HKI_ASSERT(rc == 0, "a thread can read its own signal mask");
}

void hki_os_thread_yield(void)
{
    sched_yield();
}
