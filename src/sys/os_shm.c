/* SPDX-License-Identifier: MIT */
/* errno is read here; see os.h. */
#include "sys/os_shm.h"

#include "base/assert.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL /* Linux 6.3 */
#define MFD_NOEXEC_SEAL 0x0008U
#endif

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif

/* At exit valgrind reads all that is mapped, which makes every page be there. */
#define VALGRIND_BYTES ((size_t)32 << 20)

enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

/* Kernels before 6.3 do not know that memory need not be executable. */
static int create(const char *name)
{
    const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int fd = memfd_create(name, flags | MFD_NOEXEC_SEAL);

    if (fd < 0 && errno == EINVAL)
        fd = memfd_create(name, flags);
    return fd < 0 ? -errno : fd;
}

/* The limit on the size of files holds for it as well, and to go beyond that would be a
 * signal, not an error. */
static bool is_within_limit(size_t size_bytes)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_FSIZE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY ||
           size_bytes <= limit.rlim_cur;
}

int hki_os_shm_new(const char *name, size_t size_bytes)
{
    int fd = is_within_limit(size_bytes) ? create(name) : -ENOMEM;
    int rc;

    if (fd < 0)
        return fd;
    if (ftruncate(fd, (off_t)size_bytes) == 0 && fcntl(fd, F_ADD_SEALS, SEALS) == 0)
        return fd;
    rc = -errno;
    close(fd);
    return rc;
}

void *hki_os_shm_map(int fd, size_t size_bytes)
{
    struct stat st;
    void *address;
    int seals = fcntl(fd, F_GET_SEALS);

    if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &st) < 0 ||
        (uint64_t)st.st_size != size_bytes)
        return NULL;
    address = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                   fd, 0);
    if (address == MAP_FAILED)
        return NULL;
    (void)madvise(address, size_bytes, MADV_DONTDUMP); /* else a core has all of it */
    return address;
}

size_t hki_os_shm_size(int fd)
{
    struct stat st;

    return fstat(fd, &st) < 0 ? 0 : (size_t)st.st_size;
}

void hki_os_shm_unmap(void *address, size_t size_bytes)
{
    if (munmap(address, size_bytes) < 0)
        hki_panic("munmap of %p failed: %s", address, strerror(errno));
}

void hki_os_shm_discard(void *address, size_t size_bytes)
{
    /* A failure costs memory, nothing else. */
    (void)madvise(address, size_bytes, MADV_REMOVE);
}

void hki_os_shared_wait(uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
    struct timespec at = {
        .tv_sec = deadline_ns / 1000000000,
        .tv_nsec = deadline_ns % 1000000000,
    };

    /* As in futex.c: every failure means "look again". */
    (void)syscall(SYS_futex, word, FUTEX_WAIT_BITSET, expected,
                  deadline_ns == INT64_MAX ? NULL : &at, NULL, FUTEX_BITSET_MATCH_ANY);
}

void hki_os_shared_wake(uint32_t *word, uint32_t count)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
}

size_t hki_os_memory_bytes(void)
{
#ifdef RUNNING_ON_VALGRIND
    if (RUNNING_ON_VALGRIND)
        return VALGRIND_BYTES;
#endif
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);

    return pages > 0 && page > 0 ? (size_t)pages * (size_t)page : (size_t)1 << 30;
}
