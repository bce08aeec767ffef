/* SPDX-License-Identifier: MIT */
/*
 * Reading files does not hold up a server: while one task reads this program's own file
 * in small pieces, over and over, another answers a client on a socket. On epoll, where
 * the kernel has no asynchronous files, hocket reads on a thread of its blocking pool.
 *
 * Prints:
 *   100 questions answered, while the file was read ... times
 */
#include <hocket.h>

#include <fcntl.h>
#include <stdio.h>

struct show {
    hk_fd server, client;
    int reads;
};

static int read_again_and_again(void *arg)
{
    struct show *show = arg;
    char buf[4096];
    hk_fd file;
    int rc = hk_open("/proc/self/exe", O_RDONLY, 0, &file);

    if (rc < 0)
        return rc;
    for (int64_t offset = 0;; offset += (int64_t)sizeof(buf)) {
        ssize_t len = hk_pread(file, buf, sizeof(buf), offset);

        if (len < 0) {
            rc = (int)len;
            break;
        }
        if (len == 0) {
            show->reads++;
            offset = -(int64_t)sizeof(buf);
        }
    }
    hk_close(file);
    return rc;
}

static int answer(void *arg)
{
    struct show *show = arg;
    char question;
    int rc;

    while ((rc = hk_read_exactly(show->server, &question, 1, NULL)) == 0) {
        rc = hk_write_all(show->server, "!", 1, NULL);
        if (rc < 0)
            break;
    }
    return rc == -ENODATA ? 0 : rc;
}

static int ask(struct show *show)
{
    char reply;
    int rc = 0;

    for (int i = 0; i < 100 && rc == 0; i++) {
        rc = hk_write_all(show->client, "?", 1, NULL);
        if (rc == 0)
            rc = hk_read_exactly(show->client, &reply, 1, NULL);
        if (rc == 0)
            rc = hk_sleep(100 * HK_MICROSECOND);
    }
    return rc;
}

static int app(void *arg)
{
    struct show show = {0};
    hk_fd ends[2];
    hk_scope scope;
    int rc = hk_socket_pair(ends);

    (void)arg;
    if (rc < 0)
        return rc;
    show.server = ends[0];
    show.client = ends[1];
    hk_scope_open(&scope);
    hk_spawn(&scope, read_again_and_again, &show);
    hk_spawn(&scope, answer, &show);
    rc = ask(&show);
    hk_scope_cancel(&scope);
    if (rc < 0)
        hk_scope_fail(&scope, rc);
    rc = hk_scope_join(&scope);
    hk_close(show.server);
    hk_close(show.client);
    if (rc == 0 && show.reads > 0)
        printf("100 questions answered, while the file was read %d times\n",
               show.reads);
    return rc;
}

int main(void)
{
    return hk_run(app, NULL, NULL) < 0;
}
