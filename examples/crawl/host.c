/* SPDX-License-Identifier: MIT */
#include "host.h"

#include "connection.h"
#include "memory.h"
#include "url.h"

#include <stdlib.h>

/* Idle connections beyond that are closed: more would hardly be used again. */
enum { IDLE_MAX = 128 };

struct host *host_new(const char *url)
{
    struct host *host = must_alloc(sizeof *host);
    struct url_parts parts;

    url_split(url, &parts);
    host->authority = must_copy(parts.authority, parts.authority_len);
    host->name = must_copy(parts.host, parts.host_len);
    host->port = parts.port;
    if (hk_chan_new(sizeof(struct connection *), IDLE_MAX, &host->idle) < 0)
        must_have(NULL);
    return host;
}

void host_free(struct host *host)
{
    hk_chan_free(host->idle);
    robots_free(host->robots);
    free(host->authority);
    free(host->name);
    free(host);
}
