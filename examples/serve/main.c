/* SPDX-License-Identifier: MIT */
/*
 * hocket-serve: a small static file server.
 *
 *   main        options, runtime      options
 *   server      listens, stops       connection   one task for each
 *   request     reads a head          path, site   from a target to a file
 *   response    writes an answer      range, mime, unpack
 *
 * It shows: a task for each connection, deadlines as scopes around single steps,
 * stopping without losing a response, and a blocking system call beside the loop.
 */
#include "server.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    struct options options;
    struct server server = {.options = &options};
    int status = options_read(argc, argv, &options);
    int rc;

    if (status >= 0)
        return status;
    rc = site_open(options.dir, &server.site);
    if (rc < 0) {
        fprintf(stderr, "hocket-serve: %s: %s\n", options.dir, hk_error_text(rc));
        return 1;
    }
    rc = hk_run(server_run, &server, NULL);
    site_close(&server.site);
    return rc < 0;
}
