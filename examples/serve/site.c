/* SPDX-License-Identifier: MIT */
#include "site.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* O_NONBLOCK: opening a FIFO must not wait for its writer. */
static const int open_flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;

int site_open(const char *dir, struct site *out)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    out->dir = fd;
    return 0;
}

void site_close(struct site *site)
{
    close(site->dir);
}

/* ---- opening: plain system calls, on a thread of the blocking pool ---- */

struct opening {
    int dir;
    const char *path;
};

/* One name after the other, following no link. Only where openat2 is missing. */
static int open_step_by_step(int dir, const char *path)
{
    int fd = dir, next;

    for (;;) {
        char name[256];
        size_t len = strcspn(path, "/");

        if (len >= sizeof name)
            next = -ENAMETOOLONG;
        else {
            memcpy(name, path, len);
            name[len] = '\0';
            next = openat(fd, len ? name : ".", open_flags | O_NOFOLLOW);
            next = next < 0 ? -errno : next;
        }
        if (fd != dir)
            close(fd);
        path += len;
        if (next < 0 || !*path)
            return next;
        path += strspn(path, "/");
        fd = next;
    }
}

static int open_beneath(void *arg)
{
    const struct opening *o = arg;
    struct open_how how = {
        .flags = (uint64_t)open_flags,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    const char *path = *o->path ? o->path : ".";
    long fd;

    do /* EAGAIN: somebody renamed a folder on the way meanwhile */
        fd = syscall(SYS_openat2, o->dir, path, &how, sizeof how);
    while (fd < 0 && errno == EAGAIN);
    if (fd < 0 && errno == ENOSYS)
        fd = open_step_by_step(o->dir, path);
    else if (fd < 0)
        fd = -errno;
    if (fd >= 0)
        (void)fcntl((int)fd, F_SETFL, 0); /* files never block long: as good with it */
    return (int)fd;
}

/* ---- finding: on the loop ---- */

static int status_of(int error)
{
    switch (error) {
    case -ENOENT:
    case -ENOTDIR:
    case -ENAMETOOLONG: return 404;
    case -EACCES:
    case -EPERM:
    case -ELOOP:
    case -EXDEV: /* the path leads out of the folder */
    case -ENXIO: /* a socket, or a FIFO */ return 403;
    case -EMFILE:
    case -ENFILE:
    case -ENOMEM: return 503;
    case -ECANCELED: return error;
    default: return 500;
    }
}

/* Opens out->name and looks at it. Returns 0 or an error. */
static int open_name(const struct site *site, struct site_file *out)
{
    struct opening o = {.dir = site->dir, .path = out->name};
    hk_fd fd;
    int rc = hk_blocking(open_beneath, &o);

    if (rc < 0)
        return rc;
    int number = rc;
    rc = hk_fd_adopt(number, HK_FD_FILE, &fd);
    if (rc < 0) {
        close(number);
        return rc;
    }
    rc = hk_stat_fd(fd, &out->stat);
    if (rc < 0) {
        (void)hk_close(fd); /* the first error counts */
        return rc;
    }
    out->fd = fd;
    return 0;
}

static bool add_to_name(struct site_file *file, const char *end)
{
    size_t len = strlen(file->name);

    if (len + strlen(end) >= sizeof file->name)
        return false;
    memcpy(file->name + len, end, strlen(end) + 1);
    return true;
}

/* out->fd is open; what is it? Returns 0 or a status, then with the file closed. */
static int check_kind(struct site_file *file)
{
    size_t len = strlen(file->name);

    if (S_ISREG(file->stat.mode) && !(len && file->name[len - 1] == '/'))
        return 0;
    (void)hk_close(file->fd); /* it was only looked at */
    if (!S_ISDIR(file->stat.mode))
        return S_ISREG(file->stat.mode) ? 404 : 403;
    return len && file->name[len - 1] != '/' ? 301 : 200;
}

/* Debian packs some files of its documentation: FILE.gz stands in for FILE. */
static int find_packed(const struct site *site, struct site_file *out)
{
    size_t len = strlen(out->name);
    int rc;

    if (len == 0 || out->name[len - 1] == '/' || !add_to_name(out, ".gz"))
        return 404;
    rc = open_name(site, out);
    if (rc == 0 && !S_ISREG(out->stat.mode)) {
        (void)hk_close(out->fd); /* it was only looked at */
        rc = -ENOENT;
    }
    out->name[len] = '\0';
    out->packed = rc == 0;
    return rc < 0 ? status_of(rc) : 0;
}

int site_find(const struct site *site, const char *path, struct site_file *out)
{
    int rc;

    snprintf(out->name, sizeof out->name, "%s", path);
    out->packed = false;
    rc = open_name(site, out);
    if (rc == -ENOENT)
        return find_packed(site, out);
    if (rc < 0)
        return status_of(rc);
    rc = check_kind(out);
    if (rc != 200)
        return rc;

    if (!add_to_name(out, "index.html"))
        return 404;
    rc = open_name(site, out);
    if (rc < 0)
        return rc == -ENOENT ? 403 : status_of(rc); /* no listing of a folder */
    rc = check_kind(out);
    return rc == 200 || rc == 301 ? 403 : rc;
}
