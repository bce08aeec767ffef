/* SPDX-License-Identifier: MIT */
/*
 * Files. What was opened (a file, a FIFO, a device) is asked for when it matters: an
 * fstat(2) for each open would cost a tenth of open, read and close together.
 */
#include <hocket/file.h>

#include "base/alloc.h"
#include "io/handle.h"
#include "sys/os.h"
#include "sys/os_net.h"

#include <hocket/testing.h>

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static int open_at(hk_fd dir, const char *path, int flags, unsigned mode,
                   struct stat *out_stat, hk_fd *out)
{
    hk_op op;
    int number, kind;

    /* Regular files ignore O_NONBLOCK, and taking it away again after the open, which
     * must not wait for the other end of a FIFO, would cost a twentieth of it all. */
    hk_op_open(&op, dir, path, flags & O_PATH ? flags : flags | O_NONBLOCK, mode);
    number = hk_op_run(&op);
    if (number < 0)
        return number;
    if (!out_stat)
        return hki_handle_adopt(number, HK_FD_ASK, out);
    kind = hki_handle_kind(number, out_stat);
    if (kind < 0) {
        (void)hki_os_close(number); /* the first error counts */
        return kind;
    }
    return hki_handle_adopt(number, (unsigned)kind, out);
}

int hk_open(const char *path, int flags, unsigned mode, hk_fd *out)
{
    return open_at(HK_FD_NONE, path, flags, mode, NULL, out);
}

int hk_open_at(hk_fd dir, const char *path, int flags, unsigned mode, hk_fd *out)
{
    return open_at(dir, path, flags, mode, NULL, out);
}

ssize_t hk_pread(hk_fd fd, void *buf, size_t len, int64_t offset)
{
    hk_op op;

    if (offset < 0)
        return -EINVAL;
    hk_op_read(&op, fd, buf, len, offset);
    return hk_op_run(&op);
}

ssize_t hk_pwrite(hk_fd fd, const void *buf, size_t len, int64_t offset)
{
    hk_op op;

    if (offset < 0)
        return -EINVAL;
    hk_op_write(&op, fd, buf, len, offset);
    return hk_op_run(&op);
}

int hk_fsync(hk_fd fd, bool data_only)
{
    hk_op op;

    hk_op_fsync(&op, fd, data_only);
    return hk_op_run(&op);
}

/* ---- stat ---- */

static int stat_of(hk_fd fd, const char *path, int flags, hk_stat *out)
{
    struct statx st;
    hk_op op;
    int rc;

    hk_op_statx(&op, fd, path, flags, STATX_BASIC_STATS, &st);
    rc = hk_op_run(&op);
    if (rc < 0)
        return rc;
    *out = (hk_stat){
        .size_bytes = st.stx_size,
        .inode = st.stx_ino,
        .device = makedev(st.stx_dev_major, st.stx_dev_minor),
        .mode = st.stx_mode,
        .links = st.stx_nlink,
        .uid = st.stx_uid,
        .gid = st.stx_gid,
        .modified_ns = st.stx_mtime.tv_sec * HK_SECOND + st.stx_mtime.tv_nsec,
    };
    return 0;
}

int hk_stat_path(const char *path, hk_stat *out)
{
    return stat_of(HK_FD_NONE, path, 0, out);
}

int hk_stat_link(const char *path, hk_stat *out)
{
    return stat_of(HK_FD_NONE, path, AT_SYMLINK_NOFOLLOW, out);
}

int hk_stat_fd(hk_fd fd, hk_stat *out)
{
    return stat_of(fd, NULL, 0, out);
}

/* ---- a whole file ---- */

enum { UNKNOWN_SIZE = 4096 }; /* first room for files that do not tell: /proc, pipes */

struct whole {
    char *data;
    size_t used, room;
};

/* From malloc itself, since the caller will free it, and so not in the ledger. */
static int whole_grow(struct whole *w, size_t room)
{
    char *data = hki_fault(HK_FAULT_ALLOC) ? NULL : realloc(w->data, room);

    if (!data)
        return -ENOMEM;
    w->data = data;
    w->room = room;
    return 0;
}

/*
 * Reads to the end. There is always room for one byte more than is expected: so a file
 * of known size ends with a short read, which saves the read of 0 bytes, and the NUL
 * has its place.
 */
static int whole_read(struct whole *w, hk_fd fd, size_t expected, size_t limit)
{
    int rc = whole_grow(w, expected > 0 ? expected + 1 : UNKNOWN_SIZE);

    while (rc == 0) {
        ssize_t n = hk_read(fd, w->data + w->used, w->room - w->used);

        if (n < 0)
            return (int)n;
        w->used += (size_t)n;
        if (w->used > limit)
            return -EFBIG;
        if (n == 0 || (expected > 0 && w->used == expected))
            return 0;
        if (w->used == w->room)
            rc = whole_grow(w, 2 * w->room);
    }
    return rc;
}

int hk_read_file(const char *path, size_t limit_bytes, char **out_data, size_t *out_len)
{
    struct whole w = {NULL, 0, 0};
    struct stat st;
    hk_fd fd;
    size_t expected = 0;
    int rc = open_at(HK_FD_NONE, path, O_RDONLY, 0, &st, &fd);

    if (rc < 0)
        return rc;
    if (S_ISREG(st.st_mode))
        expected = (size_t)st.st_size;
    rc = expected > limit_bytes ? -EFBIG : whole_read(&w, fd, expected, limit_bytes);
    (void)hk_close(fd); /* it was only read */
    if (rc < 0) {
        free(w.data);
        return rc;
    }
    w.data[w.used] = '\0';
    *out_data = w.data;
    *out_len = w.used;
    return 0;
}

/* ---- calls that the kernel only offers blocking ---- */

int hk_blocking(int (*fn)(void *arg), void *arg)
{
    hk_op op;

    hk_op_work(&op, fn, arg);
    return hk_op_run(&op);
}

struct path_call {
    const char *path, *to;
    unsigned mode;
};

static int do_mkdir(void *arg)
{
    const struct path_call *call = arg;

    return hki_os_mkdir(call->path, call->mode);
}

static int do_unlink(void *arg)
{
    const struct path_call *call = arg;

    return hki_os_unlink(call->path);
}

static int do_rename(void *arg)
{
    const struct path_call *call = arg;

    return hki_os_rename(call->path, call->to);
}

int hk_mkdir(const char *path, unsigned mode)
{
    struct path_call call = {.path = path, .mode = mode};

    return hk_blocking(do_mkdir, &call);
}

int hk_unlink(const char *path)
{
    struct path_call call = {.path = path};

    return hk_blocking(do_unlink, &call);
}

int hk_rename(const char *from, const char *to)
{
    struct path_call call = {.path = from, .to = to};

    return hk_blocking(do_rename, &call);
}
