/* SPDX-License-Identifier: MIT */
/*
 * Handles: adopted, looked up, closed. Slots come in chunks that are never freed, so a
 * lookup takes no lock but the slot's own.
 */
#include "core/handle.h"

#include "base/alloc.h"
#include "core/ioop.h"
#include "core/wait.h"
#include "sys/os.h"

#include <stdio.h>
#include <stdlib.h>

enum { CHUNK = 1024, CHUNKS_MAX = 16384 };

static struct hki_handle *chunks[CHUNKS_MAX]; /* atomic */
static uint32_t table_lock;                   /* guards the next three */
static uint32_t chunk_count;
static struct hki_handle *free_handles;
static uint64_t open_count; /* atomic */
static uint64_t adopted;    /* atomic: handles so far */

struct hki_handle *hki_handle_at(hk_fd fd)
{
    uint32_t slot = (uint32_t)fd.value - 1;
    struct hki_handle *chunk;

    if (slot / CHUNK >= CHUNKS_MAX)
        return NULL;
    chunk = __atomic_load_n(&chunks[slot / CHUNK], __ATOMIC_ACQUIRE);
    return chunk ? &chunk[slot % CHUNK] : NULL;
}

uint64_t hki_handle_count(void)
{
    return __atomic_load_n(&open_count, __ATOMIC_RELAXED);
}

uint64_t hki_handle_serial(void)
{
    return __atomic_load_n(&adopted, __ATOMIC_RELAXED);
}

static size_t describe_open(const struct hki_handle *handle, char *text, size_t size)
{
    char file[64];
    int len;

    hki_os_fd_file(handle->fd, file, sizeof(file));
    len = snprintf(text, size, "descriptor %d (%s)", handle->fd, file);
    return len > 0 && (size_t)len < size ? (size_t)len : 0;
}

void hki_handle_describe_open(uint64_t serial, char *text, size_t size)
{
    uint32_t slots = CHUNK * __atomic_load_n(&chunk_count, __ATOMIC_ACQUIRE), shown = 0;
    size_t used = 0;

    *text = '\0';
    for (uint32_t i = 0; i < slots && shown < 4 && size - used > 100; i++) {
        struct hki_handle *handle = &chunks[i / CHUNK][i % CHUNK];

        hki_lock_acquire(&handle->lock);
        if ((handle->generation & 1) && handle->serial > serial &&
            !(handle->flags & HK_FD_BORROWED)) {
            if (shown++)
                used += (size_t)snprintf(text + used, size - used, ", ");
            used += describe_open(handle, text + used, size - used);
        }
        hki_lock_release(&handle->lock);
    }
}

static struct hki_handle *take_slot(void)
{
    struct hki_handle *handle, *chunk;

    if (hki_fault(0)) /* the chunk may be there already; a test wants to see it fail */
        return NULL;
    hki_lock_acquire(&table_lock);
    if (!free_handles && chunk_count < CHUNKS_MAX &&
        (chunk = calloc(CHUNK, sizeof(*chunk)))) {
        for (uint32_t i = CHUNK; i-- > 0;) {
            chunk[i].slot = chunk_count * CHUNK + i;
            chunk[i].next_free = free_handles;
            free_handles = &chunk[i];
        }
        __atomic_store_n(&chunks[chunk_count], chunk, __ATOMIC_RELEASE);
        __atomic_store_n(&chunk_count, chunk_count + 1, __ATOMIC_RELEASE);
    }
    handle = free_handles;
    if (handle)
        free_handles = handle->next_free;
    hki_lock_release(&table_lock);
    return handle;
}

static void give_slot(struct hki_handle *handle)
{
    hki_lock_acquire(&table_lock);
    handle->next_free = free_handles;
    free_handles = handle;
    hki_lock_release(&table_lock);
}

int hk_fd_adopt(int fd, unsigned flags, hk_fd *out)
{
    struct hki_handle *handle;

    if (fd < 0)
        return -EBADF;
    handle = take_slot();
    if (!handle)
        return -ENOMEM;
    hki_lock_acquire(&handle->lock);
    handle->generation++;
    handle->fd = fd;
    handle->flags = (uint16_t)flags;
    handle->reading = handle->writing = handle->closing = handle->nonblocking = false;
    handle->ops = NULL;
    handle->pins = 0;
    handle->serial = __atomic_add_fetch(&adopted, 1, __ATOMIC_RELAXED);
    handle->closer = NULL;
    out->value = (uint64_t)handle->generation << 32 | (handle->slot + 1);
    hki_lock_release(&handle->lock);
    if (!(flags & HK_FD_BORROWED))
        __atomic_add_fetch(&open_count, 1, __ATOMIC_RELAXED);
    return 0;
}

/* Locks the entry of an open handle; NULL when it is closed or closing. */
static struct hki_handle *lock_open(hk_fd fd)
{
    struct hki_handle *handle = hki_handle_at(fd);

    if (!handle)
        return NULL;
    hki_lock_acquire(&handle->lock);
    if (hki_handle_is(handle, fd) && !handle->closing)
        return handle;
    hki_lock_release(&handle->lock);
    return NULL;
}

void hki_handle_ask(struct hki_handle *handle)
{
    bool is_stream;

    if (handle->fd < 0 || hki_os_is_stream(handle->fd, &is_stream) < 0)
        return; /* closed: the caller finds out */
    handle->flags &= (uint16_t)~HK_FD_ASK;
    handle->flags |= is_stream ? HK_FD_STREAM : HK_FD_FILE;
}

int hk_fd_number(hk_fd fd)
{
    struct hki_handle *handle = lock_open(fd);
    int number;

    if (!handle)
        return -EBADF;
    number = handle->fd;
    hki_lock_release(&handle->lock);
    return number;
}

int hk_fd_pin(hk_fd fd)
{
    struct hki_handle *handle = lock_open(fd);
    int number;

    if (!handle)
        return -EBADF;
    handle->pins++;
    number = handle->fd;
    hki_lock_release(&handle->lock);
    return number;
}

void hk_fd_unpin(hk_fd fd)
{
    struct hki_handle *handle = hki_handle_at(fd);
    hk_waiter *closer;

    if (!handle)
        hki_panic("hk_fd_unpin of what is no handle");
    hki_lock_acquire(&handle->lock);
    if (!hki_handle_is(handle, fd) || !handle->pins) {
        hki_lock_release(&handle->lock);
        hki_panic("hk_fd_unpin of a handle that is not pinned");
    }
    handle->pins--;
    closer = hki_handle_take_closer(handle);
    hki_lock_release(&handle->lock);
    if (closer)
        hk_wake(closer, 0);
}

/* Makes the handle stale and frees its slot; returns the descriptor. Locked before,
 * unlocked after. */
static int retire(struct hki_handle *handle)
{
    int fd = handle->fd;

    handle->generation++;
    handle->fd = -1;
    if (!(handle->flags & HK_FD_BORROWED))
        __atomic_sub_fetch(&open_count, 1, __ATOMIC_RELAXED);
    hki_lock_release(&handle->lock);
    give_slot(handle);
    return fd;
}

int hk_fd_release(hk_fd fd)
{
    struct hki_handle *handle = lock_open(fd);

    if (!handle)
        return -EBADF;
    if (handle->ops || handle->pins) {
        hki_lock_release(&handle->lock);
        return -EBUSY;
    }
    return retire(handle);
}

static const hk_wait_kind close_kind = {.name = "operations on a closing handle",
                                        .external = true};

int hk_close(hk_fd fd)
{
    struct hki_handle *handle = lock_open(fd);
    bool borrowed;
    int number;

    if (!handle)
        return -EBADF;
    handle->closing = true;
    if (handle->ops || handle->pins) {
        hk_waiter w;

        hk_waiter_init(&w, &close_kind, handle);
        handle->closer = &w;
        for (struct hki_op *op = handle->ops; op; op = op->next)
            hki_op_close_locked(op);
        hki_lock_release(&handle->lock);
        (void)hk_park(&w, NULL);
        hki_lock_acquire(&handle->lock);
    }
    borrowed = handle->flags & HK_FD_BORROWED;
    number = retire(handle);
    return borrowed ? 0 : hki_os_close(number);
}
