/* SPDX-License-Identifier: MIT */
/* Connections to a host, kept open between requests. Any task may call these. */
#ifndef CRAWL_CONNECTION_H
#define CRAWL_CONNECTION_H

#include "host.h"

struct connection {
    hk_fd fd;
    hk_stream *in;
    bool used; /* it has served a request before: it may have ended meanwhile */
};

/* An idle connection, or, with `fresh` or if there is none, a new one. Returns 0 or an
 * error. Owns: give it to connection_keep or connection_close. */
int connection_get(struct host *host, bool fresh, struct connection **out);
/* For the next request to this host. */
void connection_keep(struct host *host, struct connection *connection);
void connection_close(struct connection *connection);
/* Closes those that wait. */
void connection_close_idle(struct host *host);

#endif
