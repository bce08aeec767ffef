/* SPDX-License-Identifier: MIT */
#include "connection.h"

#include "memory.h"

#include <stdlib.h>

static int open_new(const struct host *host, struct connection **out)
{
    struct connection *c;
    hk_stream *in;
    hk_fd fd;
    int rc = hk_dial(host->name, host->port, &fd);

    if (rc < 0)
        return rc;
    rc = hk_stream_new(fd, &in);
    if (rc < 0) {
        (void)hk_close(fd); /* the first error counts */
        return rc;
    }
    c = must_alloc(sizeof *c);
    c->fd = fd;
    c->in = in;
    *out = c;
    return 0;
}

int connection_get(struct host *host, bool fresh, struct connection **out)
{
    if (!fresh && hk_chan_try_recv(host->idle, out) == 0)
        return 0;
    return open_new(host, out);
}

void connection_close(struct connection *c)
{
    hk_stream_free(c->in);
    (void)hk_close(c->fd); /* whatever it says, it is closed */
    free(c);
}

void connection_keep(struct host *host, struct connection *c)
{
    c->used = true;
    if (hk_chan_try_send(host->idle, &c) < 0)
        connection_close(c); /* enough of them wait */
}

void connection_close_idle(struct host *host)
{
    struct connection *c;

    while (hk_chan_try_recv(host->idle, &c) == 0)
        connection_close(c);
}
