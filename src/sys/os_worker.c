/* SPDX-License-Identifier: MIT */
/* errno is read here; see os.h. */
#include "sys/os_worker.h"

#include "sys/os_proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Closed already: the signal for that was sent before we asked for it. */
static bool is_hung_up(int lifeline)
{
    struct pollfd pipe = {.fd = lifeline, .events = POLLIN};

    return poll(&pipe, 1, 0) != 0;
}

int hki_os_lifeline_bind(int lifeline)
{
    int flags = fcntl(lifeline, F_GETFL);
    pid_t self = getpid();
    pid_t owner = getpgrp() == self ? -self : self; /* never a group of others */

    if (flags < 0 || fcntl(lifeline, F_SETFD, FD_CLOEXEC) < 0 ||
        fcntl(lifeline, F_SETSIG, SIGKILL) < 0 ||
        fcntl(lifeline, F_SETOWN, owner) < 0 ||
        fcntl(lifeline, F_SETFL, flags | O_ASYNC) < 0)
        return -errno;
    return is_hung_up(lifeline) ? -ESRCH : 0;
}

int hki_os_worker_bind(pid_t parent, int lifeline)
{
    int rc;

    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return -errno;
    rc = hki_os_lifeline_bind(lifeline);
    return rc == 0 && getppid() != parent ? -ESRCH : rc;
}

static int limit(int resource, uint64_t most)
{
    struct rlimit now;

    if (getrlimit((__rlimit_resource_t)resource, &now) < 0)
        return -errno;
    if (now.rlim_max != RLIM_INFINITY && most > now.rlim_max)
        most = now.rlim_max; /* it is limited already */
    now.rlim_cur = now.rlim_max = most;
    return setrlimit((__rlimit_resource_t)resource, &now) < 0 ? -errno : 0;
}

int hki_os_limits_apply(const struct hki_os_limits *limits)
{
    const struct {
        int resource;
        uint64_t most;
    } all[] = {
        {RLIMIT_DATA, limits->memory_bytes}, {RLIMIT_FSIZE, limits->file_bytes},
        {RLIMIT_CPU, limits->cpu_seconds},   {RLIMIT_NOFILE, limits->fds},
        {RLIMIT_NPROC, limits->processes},
    };
    int rc = limits->with_core ? 0 : limit(RLIMIT_CORE, 0);

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]) && rc == 0; i++)
        if (all[i].most > 0)
            rc = limit(all[i].resource, all[i].most);
    return rc;
}

int hki_os_affinity_apply(const uint64_t *cpus)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    for (size_t cpu = 0; cpu < HKI_CPUS_MAX; cpu++)
        if (cpus[cpu / 64] >> cpu % 64 & 1)
            CPU_SET(cpu, &set);
    if (CPU_COUNT(&set) == 0)
        return 0;
    return sched_setaffinity(0, sizeof(set), &set) < 0 ? -errno : 0;
}

void hki_os_exit_now(int status)
{
    _exit(status);
}

/* Of a machine with more than the set can say, the first ones. */
static void allowed_processors(cpu_set_t *out)
{
    CPU_ZERO(out);
    if (sched_getaffinity(0, sizeof(*out), out) < 0)
        CPU_SET(0, out);
}

uint32_t hki_os_processor(uint32_t nth)
{
    uint32_t left, cpu = 0;
    cpu_set_t set;

    allowed_processors(&set);
    left = nth % (uint32_t)CPU_COUNT(&set);
    while (!CPU_ISSET(cpu, &set) || left-- > 0)
        cpu++;
    return cpu;
}

int hki_os_lifeline(int lowest, int out[2])
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    return hki_os_move_pair_above(fds, lowest, out);
}

int hki_os_child_reap(pid_t pid, int pidfd, int *out_status)
{
    pid_t reaped;

    if (pidfd >= 0)
        return hki_os_reap(pidfd, false, out_status);
    do
        reaped = waitpid(pid, out_status, WNOHANG);
    while (reaped < 0 && errno == EINTR);
    return reaped < 0 ? -errno : reaped == 0 ? -EAGAIN : 0;
}

void hki_os_child_kill(pid_t pid, int pidfd)
{
    if (pidfd < 0 || hki_os_pidfd_signal(pidfd, SIGKILL) == -ENOSYS)
        (void)kill(pid, SIGKILL); /* it may have ended */
}

bool hki_os_child_has_stopped(pid_t pid, int pidfd)
{
    siginfo_t info = {0};

    return waitid(pidfd < 0 ? P_PID : P_PIDFD, pidfd < 0 ? (id_t)pid : (id_t)pidfd,
                  &info, WSTOPPED | WNOHANG) == 0 &&
           info.si_pid != 0;
}

uint64_t hki_os_process_memory(pid_t pid)
{
    char text[128];
    unsigned long long all, resident = 0;
    ssize_t len;
    int fd;

    (void)snprintf(text, sizeof(text), "/proc/%d/statm", (int)pid);
    fd = open(text, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    len = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[len > 0 ? len : 0] = '\0';
    if (sscanf(text, "%llu %llu", &all, &resident) != 2)
        return 0;
    return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

const char *hki_os_vmstat = "/proc/vmstat";

uint64_t hki_os_kills_for_memory(void)
{
    unsigned long long kills = 0;
    FILE *file = fopen(hki_os_vmstat, "re");
    char line[128];

    if (!file)
        return 0;
    while (fgets(line, sizeof(line), file))
        if (sscanf(line, "oom_kill %llu", &kills) == 1)
            break;
    (void)fclose(file);
    return kills;
}

int hki_os_poll_many(struct pollfd *fds, size_t count, int timeout_ms)
{
    int rc = poll(fds, (nfds_t)count, timeout_ms);

    if (rc < 0)
        return errno == EINTR ? 0 : -errno;
    return rc;
}
