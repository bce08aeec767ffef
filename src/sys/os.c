/* SPDX-License-Identifier: MIT */
/* The one place where errno is read (with its neighbours os_*.c). */
#include "sys/os.h"

#include "base/assert.h"
#include "base/lock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

void hki_panic(const char *format, ...)
{
    char text[512];
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(text, sizeof(text) - 1, format, args);
    va_end(args);
    if (len < 0)
        len = 0;
    if ((size_t)len > sizeof(text) - 2)
        len = sizeof(text) - 2;
    text[len] = '\n';
    (void)hki_os_write_all(STDERR_FILENO, "hocket: ", 8); /* nobody left to tell */
    (void)hki_os_write_all(STDERR_FILENO, text, (size_t)len + 1);
    abort();
}

int64_t hki_os_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

uint64_t hki_os_random(void)
{
    uint64_t value = 0;

    if (getrandom(&value, sizeof(value), 0) != sizeof(value))
        value = (uint64_t)hki_os_now_ns() * UINT64_C(0x9E3779B97F4A7C15);
    return value;
}

void *hki_os_reserve(size_t size_bytes)
{
    void *address = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (address == MAP_FAILED)
        return NULL;
    /* A huge page would turn one touched page into 2 MiB. An old kernel without the
     * advice has no huge pages to fear. */
    (void)madvise(address, size_bytes, MADV_NOHUGEPAGE);
    return address;
}

void hki_os_release(void *address, size_t size_bytes)
{
    if (munmap(address, size_bytes) < 0)
        hki_panic("munmap of %p failed: %s", address, strerror(errno));
}

void hki_os_discard(void *address, size_t size_bytes)
{
    (void)madvise(address, size_bytes, MADV_DONTNEED); /* only an optimisation */
}

/* The kernel is asked to wait while a word there is 1, which a zeroed page has not: so
 * EAGAIN, or EFAULT when it cannot read it. (Not by a call whose arguments valgrind
 * reads itself, which would kill it.) */
static bool is_unreadable(const void *address)
{
    return syscall(SYS_futex, address, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0) < 0 &&
           errno == EFAULT;
}

/* Emulators (qemu-user 7.2) say yes to any advice and do nothing: so we look. */
bool hki_os_has_cheap_guards(void)
{
    static int known; /* 0 not yet, 1 yes, 2 no; racing probes agree */
    int state = __atomic_load_n(&known, __ATOMIC_RELAXED);

    if (!state) {
        size_t page = hki_os_page_size();
        void *probe = hki_os_reserve(page);

        state = probe && madvise(probe, page, MADV_GUARD_INSTALL) == 0 &&
                        is_unreadable(probe)
                    ? 1
                    : 2;
        if (probe)
            hki_os_release(probe, page);
        __atomic_store_n(&known, state, __ATOMIC_RELAXED);
    }
    return state == 1;
}

int hki_os_guard(void *address, size_t size_bytes)
{
    int rc = hki_os_has_cheap_guards()
                 ? madvise(address, size_bytes, MADV_GUARD_INSTALL)
                 : mprotect(address, size_bytes, PROT_NONE);

    return rc < 0 ? -errno : 0;
}

size_t hki_os_page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

int hki_os_thread_id(void)
{
    return (int)syscall(SYS_gettid);
}

void hki_os_yield(void)
{
    (void)sched_yield();
}

void hki_os_thread_stack(const void **out_low, size_t *out_size)
{
    pthread_attr_t attr;
    void *low = NULL;
    size_t size = 0;

    if (pthread_getattr_np(pthread_self(), &attr) == 0) {
        pthread_attr_getstack(&attr, &low, &size);
        pthread_attr_destroy(&attr);
    }
    *out_low = low;
    *out_size = size;
}

void hki_os_thread_name(const char *name)
{
    char text[16];

    snprintf(text, sizeof(text), "%s", name);
    (void)pthread_setname_np(pthread_self(), text); /* only for humans */
}

int hki_os_thread_signal(int thread_id, int signo)
{
    return syscall(SYS_tgkill, getpid(), thread_id, signo) < 0 ? -errno : 0;
}

static bool is_kernel_helper(const char *task)
{
    enum { PF_IO_WORKER = 0x10 }; /* Linux, include/linux/sched.h */
    char path[64], text[512] = "", *end_of_name;
    unsigned flags;
    ssize_t len;
    int fd;

    snprintf(path, sizeof(path), "/proc/self/task/%.20s/stat", task);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return true; /* it has just ended */
    len = read(fd, text, sizeof(text) - 1);
    close(fd);
    end_of_name = strrchr(text, ')'); /* a name is anybody's, and may hold anything */
    return len <= 0 || !end_of_name ||
           (sscanf(end_of_name, ") %*c %*d %*d %*d %*d %*d %u", &flags) == 1 &&
            (flags & PF_IO_WORKER));
}

/* Blocks all signals but the few that cannot be, or that the C library needs. */
static bool is_deaf(const char *task)
{
    enum { OPEN_MAX_BITS = 14 };
    char path[64], text[2048] = "";
    const char *mask;
    ssize_t len = -1;
    int fd;

    snprintf(path, sizeof(path), "/proc/self/task/%.20s/status", task);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        len = read(fd, text, sizeof(text) - 1);
        close(fd);
    }
    mask = len > 0 ? strstr(text, "SigBlk:") : NULL;
    return mask &&
           __builtin_popcountll(strtoull(mask + 7, NULL, 16)) >= 64 - OPEN_MAX_BITS;
}

unsigned hki_os_thread_count(bool with_deaf)
{
    DIR *dir = opendir("/proc/self/task");
    struct dirent *entry;
    unsigned count = 0;

    if (!dir)
        return 0;
    while ((entry = readdir(dir)))
        if (entry->d_name[0] != '.' && !is_kernel_helper(entry->d_name) &&
            (with_deaf || !is_deaf(entry->d_name)))
            count++;
    closedir(dir);
    return count;
}

/* The eventfds that wake threads up are used by raw system calls: TSan follows those of
 * libc, and would want an order between a wake and the end of the one who was woken. */
int hki_os_eventfd(void)
{
    int fd = (int)syscall(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK);

    return fd < 0 ? -errno : fd;
}

/* Async-signal-safe, and keeps errno for whom it interrupts. */
void hki_os_eventfd_signal(int fd)
{
    int saved = errno;
    uint64_t one = 1;

    if (syscall(SYS_write, fd, &one, sizeof(one)) < 0)
        (void)0; /* EAGAIN: the counter is full, so it is signalled already */
    errno = saved;
}

void hki_os_eventfd_clear(int fd)
{
    uint64_t value;

    if (syscall(SYS_read, fd, &value, sizeof(value)) < 0)
        (void)0; /* EAGAIN: it was clear */
}

int hki_os_poll_two(int fd, short events, int other_fd, int64_t deadline_ns)
{
    struct pollfd fds[2] = {
        {.fd = fd, .events = events},
        {.fd = other_fd, .events = POLLIN},
    };
    struct timespec left, *timeout = NULL;
    int rc;

    if (deadline_ns != INT64_MAX) {
        int64_t wait_ns = deadline_ns - hki_os_now_ns();

        if (wait_ns < 0)
            wait_ns = 0;
        left.tv_sec = wait_ns / 1000000000;
        left.tv_nsec = wait_ns % 1000000000;
        timeout = &left;
    }
    rc = ppoll(fds, 2, timeout, NULL);
    if (rc < 0)
        return errno == EINTR ? 0 : -errno;
    if (fds[0].revents & POLLNVAL)
        return -EBADF;
    return fds[0].revents;
}

/* Opened the wrong way round, so that reading and writing say EBADF as if it were
 * closed; and closed it is in children. */
void hki_os_occupy_standard(void)
{
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 &&
            open("/dev/null", (fd == 0 ? O_WRONLY : O_RDONLY) | O_CLOEXEC) > 2)
            break; /* another thread was faster; it cannot be helped */
}

int hki_os_close(int fd)
{
    /* On Linux the number is free even when close fails, EINTR included. */
    return close(fd) < 0 && errno != EINTR ? -errno : 0;
}

int hki_os_set_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0)
        return -errno;
    if (!(flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    return 0;
}

int hki_os_is_stream(int fd, bool *out)
{
    struct stat found;

    if (fstat(fd, &found) < 0)
        return -errno;
    *out = S_ISFIFO(found.st_mode) || S_ISCHR(found.st_mode);
    return 0;
}

void hki_os_fd_file(int fd, char *text, size_t size)
{
    char link[40];
    ssize_t len;

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    len = readlink(link, text, size - 1);
    if (len < 0) {
        text[0] = '?';
        len = 1;
    }
    text[len] = '\0';
}

int hki_os_write_all(int fd, const void *text, size_t len)
{
    const char *at = text;

    while (len > 0) {
        ssize_t done = write(fd, at, len);

        if (done < 0) {
            if (errno == EINTR)
                continue;
            return -errno;
        }
        at += done;
        len -= (size_t)done;
    }
    return 0;
}

/* ---- SIGPIPE: counted, since several runtimes may run ---- */

static uint32_t sigpipe_lock;
static unsigned sigpipe_users; /* guarded by sigpipe_lock, like the next */
static bool sigpipe_is_ours;

void hki_sigpipe_ignore(void)
{
    struct sigaction old;

    hki_lock_acquire(&sigpipe_lock);
    if (sigpipe_users++ == 0 && sigaction(SIGPIPE, NULL, &old) == 0 &&
        old.sa_handler == SIG_DFL) {
        struct sigaction ignore = {.sa_handler = SIG_IGN};

        sigaction(SIGPIPE, &ignore, NULL);
        sigpipe_is_ours = true;
    }
    hki_lock_release(&sigpipe_lock);
}

void hki_sigpipe_restore(void)
{
    hki_lock_acquire(&sigpipe_lock);
    if (--sigpipe_users == 0 && sigpipe_is_ours) {
        struct sigaction standard = {.sa_handler = SIG_DFL};

        sigaction(SIGPIPE, &standard, NULL);
        sigpipe_is_ours = false;
    }
    hki_lock_release(&sigpipe_lock);
}

bool hki_sigpipe_was_default(void)
{
    bool ours;

    hki_lock_acquire(&sigpipe_lock);
    ours = sigpipe_is_ours;
    hki_lock_release(&sigpipe_lock);
    return ours;
}

const char *hki_os_error_text(int error)
{
    const char *text = strerrordesc_np(error < 0 ? -error : error);

    return text ? text : "unknown error";
}

const char *hki_os_environment(const char *name)
{
    return secure_getenv(name);
}
