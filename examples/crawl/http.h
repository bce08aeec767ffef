/* SPDX-License-Identifier: MIT */
/*
 * The client's side of HTTP/1.1 on one connection: a request goes out, the head of the
 * response comes in, then its body. Nothing the other side sends can make it wait or
 * store without limit: heads and bodies have limits here, time has the caller's scope.
 *
 * Errors are hocket's and the HTTP_ ones of failure.h; after an error the connection is
 * of no use any more.
 */
#ifndef CRAWL_HTTP_H
#define CRAWL_HTTP_H

#include <hocket.h>

struct http_response {
    int status;
    bool keep_alive; /* the connection may be used again once the body was read */
    bool chunked, encoded;
    int64_t length; /* Content-Length; -1: none given */
    bool has_type;
    char type[64];    /* "text/html", in lower case */
    char charset[48]; /* in lower case; "": not named */
    char location[2048];
};

/* Asks for `path` of the host in `authority`. Returns 0 or an error. */
int http_send_request(hk_fd fd, const char *authority, const char *path,
                      const char *user_agent);

/*
 * Reads the head of the next response; interim ones (1xx) are skipped. Returns 0;
 * -ENODATA when the connection ended before its first byte; or an error.
 */
int http_read_head(hk_stream *in, struct http_response *out);

/*
 * Reads the body that belongs to `head`: at most `limit` bytes, else HTTP_TOO_LARGE.
 * Owns: free(*out_body), which has a NUL after its `*out_len` bytes.
 */
int http_read_body(hk_stream *in, struct http_response *head, size_t limit,
                   char **out_body, size_t *out_len);

/* Reads a body that nobody wants, when that is cheaper than a new connection: true when
 * the connection may then be used again. */
bool http_skip_body(hk_stream *in, struct http_response *head);

#endif
