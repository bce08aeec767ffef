/* SPDX-License-Identifier: MIT */
/* The server: accepts connections until it is asked to stop. */
#ifndef SERVE_SERVER_H
#define SERVE_SERVER_H

#include "options.h"
#include "site.h"

#include <hocket.h>

struct server {
    const struct options *options;
    struct site site;
    hk_fd listener;
    hk_sem places;     /* one for each connection that may be open */
    hk_event stopping; /* idle connections end, the others after their response */
};

/* Serves until SIGINT or SIGTERM: a hk_task_fn on a `struct server` with its options
 * and its site filled in. Returns 0 or an error, of which it has said the reason. */
int server_run(void *server);

#endif
