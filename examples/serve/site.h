/* SPDX-License-Identifier: MIT */
/*
 * The served folder. Whatever a path says and wherever symbolic links point, nothing
 * outside of it is ever opened: the kernel sees to that (openat2 with RESOLVE_BENEATH);
 * where it has no such call, paths through symbolic links are refused.
 */
#ifndef SERVE_SITE_H
#define SERVE_SITE_H

#include <hocket.h>

/* Room for any path below the folder, "/index.html" and ".gz" included. */
enum { PATH_SIZE = 4096 };

struct site {
    int dir; /* a descriptor, for openat2 */
};

struct site_file {
    hk_fd fd;
    hk_stat stat;
    char name[PATH_SIZE]; /* its path, which tells its type */
    bool packed;          /* it is FILE.gz, in place of FILE, which is not there */
};

/* Returns 0 or an error. Owns: site_close. */
int site_open(const char *dir, struct site *out);
void site_close(struct site *site);

/*
 * Opens the file that the decoded `path` names; a folder's is its index.html. May wait.
 * Returns 0: the caller closes out->fd; the status to answer: 301 (a folder without a
 * slash), 403, 404, 500, 503; or -ECANCELED.
 */
int site_find(const struct site *site, const char *path, struct site_file *out);

#endif
