/* SPDX-License-Identifier: MIT */
/*
 * Directories, read on the blocking pool in pieces of 32 KiB: some thousand entries
 * for one trip to another thread.
 */
#include <hocket/file.h>

#include "base/alloc.h"
#include "sys/os.h"
#include "sys/os_net.h"

#include <hocket/scope.h>

#include <fcntl.h>
#include <string.h>

enum { PIECE_SIZE = 32 * 1024 };

struct hk_dir {
    hk_fd fd;
    size_t at, end;                                /* what is left of the piece */
    uint64_t piece[PIECE_SIZE / sizeof(uint64_t)]; /* hki_os_dirent records */
};

int hk_dir_open(const char *path, hk_dir **out)
{
    hk_dir *dir = hki_realloc(NULL, sizeof(*dir));
    int rc;

    if (!dir)
        return -ENOMEM;
    rc = hk_open(path, O_RDONLY | O_DIRECTORY, 0, &dir->fd);
    if (rc < 0) {
        hki_free(dir);
        return rc;
    }
    dir->at = dir->end = 0;
    *out = dir;
    return 0;
}

static int read_piece(void *arg)
{
    hk_dir *dir = arg;
    ssize_t len = hki_os_read_dir(hk_fd_number(dir->fd), dir->piece, PIECE_SIZE);

    return len == -ENOENT ? 0 : (int)len; /* removed meanwhile: that is its end */
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* The next entry of the piece; false when it is used up. */
static bool take_entry(hk_dir *dir, hk_dir_entry *out)
{
    while (dir->at < dir->end) {
        const struct hki_os_dirent *entry =
            (const void *)((const char *)dir->piece + dir->at);

        dir->at += entry->size_bytes;
        if (is_dots(entry->name))
            continue;
        *out = (hk_dir_entry){entry->name, entry->type, entry->inode};
        return true;
    }
    return false;
}

int hk_dir_next(hk_dir *dir, hk_dir_entry *out)
{
    int rc = hk_cancelled();

    if (rc < 0)
        return rc;
    if (take_entry(dir, out)) {
        (void)hk_budget(); /* always 0 */
        return 1;
    }
    do {
        rc = hk_blocking(read_piece, dir);
        if (rc <= 0)
            return rc;
        dir->at = 0;
        dir->end = (size_t)rc;
    } while (!take_entry(dir, out));
    return 1;
}

void hk_dir_close(hk_dir *dir)
{
    if (!dir)
        return;
    (void)hk_close(dir->fd); /* it was only read */
    hki_free(dir);
}
