/* SPDX-License-Identifier: MIT */
#include "exec/heap.h"

#include "base/lock.h"
#include "exec/zone.h"
#include "sys/os.h"
#include "sys/os_shm.h"

#include <errno.h>

/* Address space: twice the memory that there is can never be filled, and where even
 * that is not to be had (a limit on address space) half of it may be. */
#define SIZE_BYTES_MIN ((size_t)64 << 20)
#define SIZE_BYTES_MAX ((size_t)1 << 40)

static struct {
    struct hki_zone zone; /* of this program; in a worker unused */
    unsigned char *base;  /* atomic: NULL until all the rest is there */
    size_t size_bytes;
    int fd;
    uint32_t lock; /* guards the start */
} heap = {.fd = -1};

static unsigned char *base_of(void)
{
    return __atomic_load_n(&heap.base, __ATOMIC_ACQUIRE);
}

static size_t size_to_try(void)
{
    size_t size = SIZE_BYTES_MIN;

    while (size < 2 * hki_os_memory_bytes() && size < SIZE_BYTES_MAX)
        size *= 2;
    return size;
}

static int start_with(size_t size_bytes)
{
    int fd = hki_os_shm_new("hocket-heap", size_bytes);
    void *base = fd < 0 ? NULL : hki_os_shm_map(fd, size_bytes);

    if (fd < 0)
        return fd;
    if (base && hki_zone_init(&heap.zone, base, size_bytes) == 0) {
        heap.fd = fd;
        heap.size_bytes = size_bytes;
        __atomic_store_n(&heap.base, (unsigned char *)base, __ATOMIC_RELEASE);
        return 0;
    }
    if (base)
        hki_os_shm_unmap(base, size_bytes);
    (void)hki_os_close(fd); /* nothing was written to it */
    return -ENOMEM;
}

int hki_heap_start(void)
{
    int rc = 0;

    hki_lock_acquire(&heap.lock);
    if (!heap.base) {
        size_t size_bytes = size_to_try();

        do
            rc = start_with(size_bytes);
        while (rc == -ENOMEM && (size_bytes /= 2) >= SIZE_BYTES_MIN);
    }
    hki_lock_release(&heap.lock);
    return rc;
}

int hki_heap_fd(void)
{
    return heap.fd;
}

size_t hki_heap_size_bytes(void)
{
    return heap.size_bytes;
}

int hki_heap_attach(int fd, size_t size_bytes)
{
    if (!heap.base)
        heap.base = hki_os_shm_map(fd, size_bytes);
    heap.zone = (struct hki_zone){0}; /* the program's, if we are forked from it */
    heap.size_bytes = size_bytes;
    return heap.base ? 0 : -EINVAL;
}

void *hki_heap_alloc(size_t size_bytes)
{
    return hki_heap_start() == 0 ? hki_zone_alloc(&heap.zone, size_bytes) : NULL;
}

void hki_heap_free(void *block)
{
    hki_zone_free(&heap.zone, block);
}

uint64_t hki_heap_offset(const void *address)
{
    return (uint64_t)((const unsigned char *)address - base_of());
}

void *hki_heap_bytes(uint64_t offset, uint64_t length)
{
    unsigned char *base = base_of();

    if (!base || offset > heap.size_bytes || length > heap.size_bytes - offset)
        return NULL;
    return base + offset;
}
