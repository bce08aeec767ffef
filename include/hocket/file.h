/* SPDX-License-Identifier: MIT */
/*
 * Files and directories, without holding up the loop: through io_uring, or a pool of
 * blocking threads. Once the kernel has started one, a file operation on epoll is
 * *uninterruptible*: it is waited for, and the cancel comes with the next call.
 *
 * Errors are those of the system calls (-ENOENT, -EACCES, -ENOSPC, ...) plus -EBADF for
 * a closed handle, -ECANCELED (nothing happened).
 */
#ifndef HOCKET_FILE_H
#define HOCKET_FILE_H

#include <hocket/fd.h>

HK_BEGIN_DECLS

/*
 * Opens `path` with open(2)'s flags (O_CLOEXEC is added) and mode. The handle is marked
 * as what was opened: a file, or a stream (FIFO, terminal). Opening never waits for the
 * other end of a FIFO: a reader is at its end until a writer comes, and a writer
 * without a reader gets -ENXIO.
 * Cancel: atomic; but what an open has created (O_CREAT, O_TRUNC) may stay behind.
 */
HK_API int hk_open(const char *path, int flags, unsigned mode, hk_fd *out);
/* The same relative to an open directory. */
HK_API int hk_open_at(hk_fd dir, const char *path, int flags, unsigned mode,
                      hk_fd *out);

/* Positioned read and write, of files only: the bytes moved, 0 at the end of the file;
 * -EINVAL (negative offset). Any number of tasks at once. */
HK_API HK_WARN_UNUSED ssize_t hk_pread(hk_fd fd, void *buf, size_t len, int64_t offset);
HK_API HK_WARN_UNUSED ssize_t hk_pwrite(hk_fd fd, const void *buf, size_t len,
                                        int64_t offset);

/* Returns when the data (and unless `data_only` the metadata) is on the device. */
HK_API HK_WARN_UNUSED int hk_fsync(hk_fd fd, bool data_only);

typedef struct hk_stat {
    uint64_t size_bytes;
    uint64_t inode;
    uint64_t device; /* st_dev of stat(2) */
    uint32_t mode;   /* S_IFMT bits and permissions of stat(2) */
    uint32_t links;
    uint32_t uid, gid;
    int64_t modified_ns; /* since 1970, wall clock */
    uint64_t reserved[4];
} hk_stat;

HK_API int hk_stat_path(const char *path, hk_stat *out);
/* The same without following a last symbolic link. */
HK_API int hk_stat_link(const char *path, hk_stat *out);
HK_API int hk_stat_fd(hk_fd fd, hk_stat *out);

/* Reads a whole file into one allocation with a NUL after it; at most `limit_bytes`,
 * else -EFBIG. Files that do not tell their size (/proc, FIFOs) are read to their end.
 * Owns: free(*out_data). */
HK_API int hk_read_file(const char *path, size_t limit_bytes, char **out_data,
                        size_t *out_len);

/* Reading a directory, by one task at a time; entries come in the file system's order,
 * without . and .. */
typedef struct hk_dir hk_dir;

typedef struct hk_dir_entry {
    const char *name;   /* valid until the next call */
    unsigned char type; /* DT_REG, DT_DIR, ... of readdir(3); DT_UNKNOWN: not known */
    uint64_t inode;
} hk_dir_entry;

HK_API int hk_dir_open(const char *path, hk_dir **out);
/* 1: `*out` is the next entry; 0: the end; or an error. Cancel: -ECANCELED takes no
 * entry. */
HK_API HK_WARN_UNUSED int hk_dir_next(hk_dir *dir, hk_dir_entry *out);
HK_API void hk_dir_close(hk_dir *dir); /* NULL is fine; runs shielded */

/* Each runs its system call on the blocking pool: uninterruptible, as hk_blocking. */
HK_API int hk_mkdir(const char *path, unsigned mode);
HK_API int hk_unlink(const char *path);
HK_API int hk_rename(const char *from, const char *to);

/*
 * Runs fn(arg) on a thread of the blocking pool and waits; returns what it returns. For
 * any call that may block (getpwnam, a database). *Uninterruptible* once started; when
 * the caller is cancelled before that, -ECANCELED and it never runs. On a plain thread
 * it is a plain call.
 */
HK_API int hk_blocking(int (*fn)(void *arg), void *arg);

HK_END_DECLS

#endif
