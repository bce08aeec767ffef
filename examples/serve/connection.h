/* SPDX-License-Identifier: MIT */
/*
 * One connection, one task: reads a request, answers it, reads the next. Requests that
 * were sent ahead wait in the stream's buffer and are answered in order.
 */
#ifndef SERVE_CONNECTION_H
#define SERVE_CONNECTION_H

#include "server.h"

/* Takes over `fd` and one of the server's places; hk_spawn's error if it could not. */
int connection_start(struct server *server, hk_scope *scope, hk_fd fd);

#endif
