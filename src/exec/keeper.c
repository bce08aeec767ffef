/* SPDX-License-Identifier: MIT */
#include "exec/keeper.h"

#include "base/alloc.h"
#include "base/lock.h"
#include "exec/handshake.h"
#include "exec/heap.h"
#include "sys/os.h"
#include "sys/os_proc.h"
#include "sys/os_thread.h"
#include "sys/os_worker.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

enum { PATH_BYTES = 4096 };

static struct {
    uint32_t lock;          /* guards all of this */
    struct hki_list wanted; /* children to be started */
    struct hki_list alive;  /* children that were */
    size_t alive_count;
    int event_fd; /* tells the thread that there is something new; immutable */
    bool is_running;
} keeper = {
    .wanted = {&keeper.wanted, &keeper.wanted},
    .alive = {&keeper.alive, &keeper.alive},
};

static struct hki_child *child_of(struct hki_list *node)
{
    return hki_container_of(node, struct hki_child, node);
}

/* ---- starting a child ---- */

/* Our environment, if there is one (clearenv), and the variable that makes a worker.
 * NULL: no memory. */
static const char **worker_environment(void)
{
    size_t count = 0;
    const char **copy;

    while (environ && environ[count])
        count++;
    copy = hki_alloc((count + 2) * sizeof(*copy));
    if (!copy)
        return NULL;
    if (count > 0)
        memcpy(copy, environ, count * sizeof(*copy));
    copy[count] = HKI_WORKER_VARIABLE "=1";
    return copy;
}

static int spawn_with(const struct hki_child *child, const int *fds, const char **env,
                      pid_t *out)
{
    static char path[PATH_BYTES]; /* the keeper's thread alone comes here */
    const char *args[] = {path, NULL};
    struct hki_os_spawn spawn = {
        .program = path,
        .args = args,
        .env = env,
        .stdio = {HKI_OS_STDIO_NULL, HKI_OS_STDIO_INHERIT, HKI_OS_STDIO_INHERIT},
        .more = fds,
        .more_count = HKI_WORKER_FDS,
        .new_group = true,
        .sigpipe_default = hki_sigpipe_was_default(),
        .mask = child->mask,
    };
    int rc = hki_os_program_path(path, sizeof(path));

    return rc < 0 ? rc : hki_os_spawn(&spawn, out);
}

/* What start_one has made. */
struct started {
    pid_t pid;
    int pidfd;
    int lifeline;
};

static int execute(const struct hki_child *child, const int *fds, struct started *out)
{
    const char **env = worker_environment();
    int rc = env ? spawn_with(child, fds, env, &out->pid) : -ENOMEM;

    hki_free(env);
    if (rc < 0)
        return rc;
    out->pidfd = hki_os_pidfd_open(out->pid);
    if (out->pidfd >= 0 || out->pidfd == -ENOSYS)
        return 0;
    hki_os_child_destroy(out->pid);
    return out->pidfd;
}

static int spawn(const struct hki_child *child, const int lifeline[2],
                 struct started *out)
{
    const int above = HKI_WORKER_FDS_ABOVE;
    int fds[HKI_WORKER_FDS] = {
        hki_os_duplicate_above(child->channel_fd, above),
        lifeline[0],
        hki_os_duplicate_above(hki_heap_fd(), above),
    };
    int rc = fds[0] < 0 ? fds[0] : fds[2];

    if (rc >= 0)
        rc = child->origin
                 ? hki_template_fork(child->origin, fds, &out->pid, &out->pidfd)
                 : execute(child, fds, out);
    for (int i = 0; i < HKI_WORKER_FDS; i++)
        if (fds[i] >= 0)
            (void)hki_os_close(fds[i]); /* the child has them */
    return rc;
}

static int start_one(const struct hki_child *child, struct started *out)
{
    int lifeline[2];
    int rc = hki_os_lifeline(HKI_WORKER_FDS_ABOVE, lifeline);

    if (rc == 0) {
        out->lifeline = lifeline[1];
        rc = spawn(child, lifeline, out);
        if (rc < 0)
            (void)hki_os_close(lifeline[1]); /* nothing was written to it */
    }
    (void)hki_os_close(child->channel_fd); /* mapped on this side */
    return rc < 0 ? rc : 0;
}

/* A child that was killed while it was being started dies right after. */
static void start_next(void)
{
    struct hki_child *child;
    struct started started;
    int rc;

    hki_lock_acquire(&keeper.lock);
    child = child_of(hki_list_pop(&keeper.wanted));
    hki_lock_release(&keeper.lock);
    rc = start_one(child, &started);
    if (rc < 0) {
        child->ended(child, rc, 0);
        return;
    }
    hki_lock_acquire(&keeper.lock);
    child->pid = started.pid;
    child->pidfd = started.pidfd;
    child->lifeline = started.lifeline;
    hki_list_push(&keeper.alive, &child->node);
    keeper.alive_count++;
    if (child->is_killed)
        hki_os_child_kill(child->pid, child->pidfd);
    hki_lock_release(&keeper.lock);
}

static bool is_start_wanted(void)
{
    bool is_wanted;

    hki_lock_acquire(&keeper.lock);
    is_wanted = !hki_list_is_empty(&keeper.wanted);
    hki_lock_release(&keeper.lock);
    return is_wanted;
}

/* ---- its end ---- */

/* Before the next look, when there is nothing to wait for. */
static void nap(void)
{
    struct pollfd none = {.fd = -1};

    (void)hki_os_poll_many(&none, 1, 10);
}

static int reap(const struct hki_child *child, int *out_status)
{
    return child->origin ? hki_template_reap(child->origin, child->pid, out_status)
                         : hki_os_child_reap(child->pid, child->pidfd, out_status);
}

static void bury(struct hki_child *child)
{
    int status = HKI_STATUS_UNKNOWN;

    /* What it has started goes as well. Before it is reaped its number is its group's
     * and nobody else's, but only a pidfd is sure that it has ended. */
    if (child->pidfd >= 0)
        (void)hki_os_group_signal(child->pid, SIGKILL); /* -ESRCH: nothing is left */
    if (reap(child, &status) == -EAGAIN) {
        nap(); /* a debugger has not let go of it; or it has closed its lifeline */
        return;
    }
    hki_lock_acquire(&keeper.lock);
    hki_list_remove(&child->node);
    keeper.alive_count--;
    if (child->pidfd >= 0)
        (void)hki_os_close(child->pidfd);
    (void)hki_os_close(child->lifeline);
    child->pid = 0;
    hki_lock_release(&keeper.lock);
    child->ended(child, 0, status);
}

/* What tells of its end: its pidfd; else that nobody reads from its lifeline any more,
 * which may also be because it has closed everything. */
static struct pollfd end_of(const struct hki_child *child)
{
    if (child->pidfd >= 0)
        return (struct pollfd){.fd = child->pidfd, .events = POLLIN};
    return (struct pollfd){.fd = child->lifeline, .events = 0};
}

/* The descriptors of all children after the event's, in the order of the list, to which
 * only this thread adds and from which only it takes. NULL: no memory. */
static struct pollfd *all_to_watch(size_t count)
{
    struct pollfd *fds = hki_alloc((count + 1) * sizeof(*fds));
    struct pollfd *fd = fds;

    if (!fds)
        return NULL;
    *fd++ = (struct pollfd){.fd = keeper.event_fd, .events = POLLIN};
    for (struct hki_list *node = keeper.alive.next; node != &keeper.alive;
         node = node->next)
        *fd++ = end_of(child_of(node));
    return fds;
}

static void bury_the_dead(const struct pollfd *fd)
{
    struct hki_list *node = keeper.alive.next, *next;

    for (; node != &keeper.alive; node = next, fd++) {
        next = node->next;
        if (fd->revents)
            bury(child_of(node));
    }
}

static void watch_all(void)
{
    size_t count = keeper.alive_count;
    struct pollfd *fds = all_to_watch(count);

    if (!fds) {
        nap(); /* no memory now: perhaps soon */
        return;
    }
    (void)hki_os_poll_many(fds, count + 1, -1); /* on failure no fd is ready */
    if (fds[0].revents)
        hki_os_eventfd_clear(keeper.event_fd);
    bury_the_dead(fds + 1);
    hki_free(fds);
}

static void *keeper_main(void *unused)
{
    hki_os_thread_name("hocket-keeper");
    for (;;) {
        while (is_start_wanted())
            start_next();
        watch_all();
    }
    return unused;
}

/* ---- asking it ---- */

static int run_keeper(void)
{
    const struct hki_thread_spec spec = {.is_detached = true, .is_deaf = true};
    int rc = 0;

    if (keeper.is_running)
        return 0;
    keeper.event_fd = hki_os_eventfd();
    if (keeper.event_fd < 0)
        return keeper.event_fd;
    rc = hki_os_thread_start(&spec, keeper_main, NULL, NULL);
    if (rc < 0)
        (void)hki_os_close(keeper.event_fd);
    keeper.is_running = rc == 0;
    return rc;
}

int hki_keeper_start(struct hki_child *child)
{
    int rc;

    child->pid = 0;
    child->is_killed = false;
    hki_lock_acquire(&keeper.lock);
    rc = run_keeper();
    if (rc == 0)
        hki_list_push(&keeper.wanted, &child->node);
    hki_lock_release(&keeper.lock);
    if (rc == 0)
        hki_os_eventfd_signal(keeper.event_fd);
    return rc;
}

void hki_keeper_kill(struct hki_child *child)
{
    hki_lock_acquire(&keeper.lock);
    child->is_killed = true;
    if (child->pid) {
        /* It may not lead its group yet, and it may have left it. */
        (void)hki_os_group_signal(child->pid, SIGKILL);
        hki_os_child_kill(child->pid, child->pidfd);
    }
    hki_lock_release(&keeper.lock);
}

bool hki_keeper_has_stopped(struct hki_child *child)
{
    bool has_stopped;

    hki_lock_acquire(&keeper.lock);
    has_stopped = child->pid &&
                  (child->origin ? hki_template_has_stopped(child->origin, child->pid)
                                 : hki_os_child_has_stopped(child->pid, child->pidfd));
    hki_lock_release(&keeper.lock);
    return has_stopped;
}

pid_t hki_keeper_pid(struct hki_child *child)
{
    pid_t pid;

    hki_lock_acquire(&keeper.lock);
    pid = child->pid;
    hki_lock_release(&keeper.lock);
    return pid;
}
