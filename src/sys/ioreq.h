/* SPDX-License-Identifier: MIT */
/*
 * One request to a poller: what the kernel is asked to do, and its result. The upper
 * layer (core/ioop.c) owns it and fills the first part; the poller owns the second part
 * from submit until it hands the request back as completed.
 */
#ifndef HKI_SYS_IOREQ_H
#define HKI_SYS_IOREQ_H

#include "base/mpsc.h"
#include "sys/offload.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

struct hki_poller;
struct statx;

enum hki_io_code {
    HKI_IO_READ,   /* buf len offset; offset -1: the file's own position, or a stream */
    HKI_IO_WRITE,  /* likewise */
    HKI_IO_READV,  /* iov count offset */
    HKI_IO_WRITEV, /* likewise */
    HKI_IO_RECV,   /* buf len flags */
    HKI_IO_SEND,   /* buf len flags, MSG_NOSIGNAL included */
    HKI_IO_RECVMSG, /* msg flags */
    HKI_IO_SENDMSG, /* msg flags, MSG_NOSIGNAL included */
    HKI_IO_ACCEPT,  /* addr addr_len; result a close-on-exec descriptor */
    HKI_IO_CONNECT, /* addr, *addr_len by value in len */
    HKI_IO_POLL,    /* flags: poll(2) events; result: ready events */
    HKI_IO_FSYNC,   /* flags: 1 for data only */
    HKI_IO_OPEN,    /* fd: directory or AT_FDCWD; path flags mode */
    HKI_IO_STATX,   /* fd: directory or AT_FDCWD; path (may be "") flags mask statx */
    HKI_IO_WORK,    /* work(work_arg) on the blocking pool */
    HKI_IO_CODES,
};

enum {
    HKI_FD_BORROWED = 1 << 0, /* never switch to non-blocking */
    HKI_FD_SOCKET = 1 << 1,
    HKI_FD_FILE = 1 << 2, /* regular file, directory, block device: never "ready" */
    /* Known to be in non-blocking mode. For HKI_IO_OPEN: the new descriptor may be left
     * in it, which regular files ignore and which saves a system call (5 % of reading a
     * cached file of 16 KiB); but a child process should not inherit such a FIFO. */
    HKI_FD_DATAGRAM = 1 << 4, /* a socket that is no stream */
    HKI_FD_NONBLOCK = 1 << 3,
};

struct hki_ioreq {
    /* ---- what is asked: set by core, immutable while the request is with us ---- */
    uint8_t code;
    uint8_t fd_flags;
    int32_t fd;
    uint32_t fd_slot;       /* index of the handle, small and dense; per-fd state */
    uint32_t fd_generation; /* tells a new file in the same slot from the old one */
    uint32_t flags;
    uint32_t mode_or_mask;
    union {
        void *buf;
        const struct iovec *iov;
        struct msghdr *msg;
        struct sockaddr *addr;
        const char *path;
        int (*work)(void *arg);
    };
    union {
        size_t len; /* bytes; iovec count; length of addr for CONNECT */
        socklen_t *addr_len;
        struct statx *statx;
        void *work_arg;
    };
    int64_t offset;

    /* ---- the poller's, which initialises it in submit ---- */
    int32_t result;
    uint8_t state; /* private to the poller */
    bool cancelled;
    bool begun;      /* a connect that the kernel is carrying out */
    uint8_t retries; /* in a row that found nothing although the kernel said "ready" */
    struct hki_ioreq *next, *prev;
    size_t moved_bytes; /* by earlier parts of this request */
    union {
        struct { /* while the blocking pool has it */
            struct hki_offload_job job;
            struct hki_poller *poller;
            struct hki_mpsc_node done_node;
        };
        int64_t delay[2]; /* while a timeout of the ring has it: seconds, nanoseconds */
    };
};

#endif
