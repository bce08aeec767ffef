/* SPDX-License-Identifier: MIT */
#include "connection.h"

#include "path.h"
#include "request.h"
#include "response.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { HEAD_MAX = 16 * 1024, LINGER_BYTES = 256 * 1024 };

static const int64_t linger_ns = HK_SECOND;

struct connection {
    struct server *server;
    hk_fd fd;
};

/* What it works with. */
struct talk {
    struct connection *connection;
    hk_stream *in;
    struct sender *out;
    char *head; /* of the request being answered: HEAD_MAX bytes and a NUL */
};

static void log_request(struct server *server, const struct request *r,
                        const struct sent *sent)
{
    if (server->options->quiet)
        return;
    (void)hk_printf(hk_stdout(), "%s %s %d %llu\n", r->method ? r->method : "-",
                    r->target ? r->target : "-", sent->status,
                    (unsigned long long)sent->bytes); /* nobody to tell if it fails */
}

/* ---- reading ---- */

/* Between two requests a connection may be ended; during one it should be finished.
 * True when a request (or the end) has come. */
static bool await_request(struct talk *t)
{
    struct server *server = t->connection->server;
    hk_ready bytes;
    hk_case cases[] = {
        HK_CASE_READY(&bytes),
        HK_CASE_EVENT(&server->stopping),
        HK_CASE_DEADLINE(hk_now() + server->options->patience_ns),
    };
    const char *data;

    if (hk_event_is_set(&server->stopping))
        return false;
    if (hk_stream_peek(t->in, &data) > 0)
        return true; /* it was sent ahead */
    hk_ready_init(&bytes, t->connection->fd, POLLIN);
    return hk_select(cases, sizeof cases / sizeof *cases) == 0;
}

/* Of a head that did not end: was its first line the trouble? */
static int too_long(hk_stream *in)
{
    const char *data;
    size_t len = hk_stream_peek(in, &data);

    return memchr(data, '\n', len) ? 431 : 414;
}

/*
 * Reads the head of a request to t->head: its length, 0 when there is no further
 * request, or an error. Of an error that the client should hear, `*out_status` is set.
 */
static ssize_t read_head(struct talk *t, int *out_status)
{
    hk_scope patience = HK_SCOPE_INIT;
    const char *data;
    ssize_t n;
    int late;

    hk_scope_open_with(&patience, 0, "reading a request");
    hk_scope_deadline(&patience,
                      hk_now() + t->connection->server->options->patience_ns);
    n = hk_stream_read_until(t->in, "\r\n\r\n", 4, HEAD_MAX, &data);
    late = hk_scope_join(&patience);
    if (n > 0) {
        memcpy(t->head, data, (size_t)n);
        t->head[n] = '\0';
    } else if (n == -EMSGSIZE) {
        *out_status = too_long(t->in);
    } else if (n < 0 && late == -ETIMEDOUT && hk_stream_peek(t->in, &data) > 0) {
        *out_status = 408; /* an idle connection is ended without a word */
    }
    return n;
}

/* ---- answering ---- */

static int answer_redirect(struct talk *t, const struct request *r, struct sent *sent)
{
    /* One slash: with two the client would take what follows for a host. */
    const char *path = r->target + strspn(r->target, "/") - 1;
    size_t len = strcspn(path, "?#");
    char *location = malloc(len + 2);
    int rc;

    if (!location)
        return -ENOMEM;
    memcpy(location, path, len);
    memcpy(location + len, "/", 2);
    rc = respond_status(t->out, r, 301, location, sent);
    free(location);
    return rc;
}

static int answer_file(struct talk *t, const struct request *r, struct sent *sent)
{
    char path[PATH_SIZE];
    struct site_file file;
    int rc = path_decode(r->target, path, sizeof path);

    if (rc)
        return respond_status(t->out, r, rc, NULL, sent);
    rc = site_find(&t->connection->server->site, path, &file);
    if (rc < 0)
        return rc;
    if (rc == 301)
        return answer_redirect(t, r, sent);
    if (rc > 0)
        return respond_status(t->out, r, rc, NULL, sent);
    rc = respond_file(t->out, r, &file, sent);
    (void)hk_close(file.fd); /* it was only read */
    return rc;
}

static int answer(struct talk *t, const struct request *r, int status)
{
    struct server *server = t->connection->server;
    struct sent sent = {0};
    int rc = hk_sleep(server->options->latency_ns);

    if (rc < 0)
        return rc;
    if (status)
        rc = respond_status(t->out, r, status, NULL, &sent);
    else
        rc = answer_file(t, r, &sent);
    if (rc == 0)
        log_request(server, r, &sent);
    return rc;
}

static bool is_stopping(const struct talk *t)
{
    return hk_event_is_set(&t->connection->server->stopping);
}

/* One request and its response; true when another may follow. */
static bool serve_one(struct talk *t, bool *out_linger)
{
    struct request request = {0};
    int status = 0, rc;
    ssize_t n;

    if (!await_request(t))
        return false;
    n = read_head(t, &status);
    if (n <= 0 && !status)
        return false;
    if (!status)
        status = request_parse(t->head, (size_t)n, &request);
    if (status != 0 && status != 405 && status != 501)
        request.keep_alive = false; /* who knows where the next request begins */
    if (request.has_body || is_stopping(t))
        request.keep_alive = false;
    rc = answer(t, &request, status);
    *out_linger = rc == 0 && (status || request.has_body);
    return rc == 0 && request.keep_alive && !is_stopping(t);
}

/* A close with bytes unread would make the kernel take our last response back. */
static void linger(struct talk *t)
{
    hk_scope patience = HK_SCOPE_INIT;
    size_t seen = 0;

    if (hk_shutdown(t->connection->fd, SHUT_WR) < 0)
        return;
    hk_scope_open_with(&patience, 0, "lingering");
    hk_scope_deadline(&patience, hk_now() + linger_ns);
    while (seen < LINGER_BYTES) {
        ssize_t n = hk_read(t->connection->fd, t->out->buf, OUT_SIZE);

        if (n <= 0)
            break;
        seen += (size_t)n;
    }
    (void)hk_scope_join(&patience); /* it is closed anyway */
}

static void serve_all(struct connection *c)
{
    struct talk t = {
        .connection = c,
        .out = malloc(sizeof *t.out),
        .head = malloc(HEAD_MAX + 1),
    };
    bool lingers = false;

    if (t.out && t.head && hk_stream_new(c->fd, &t.in) == 0) {
        t.out->fd = c->fd;
        t.out->patience_ns = c->server->options->patience_ns;
        t.out->len = 0;
        while (serve_one(&t, &lingers))
            continue;
        if (lingers)
            linger(&t);
        hk_stream_free(t.in);
    }
    free(t.head);
    free(t.out);
}

/* ---- from the first byte to the last ---- */

static int connection_main(void *arg)
{
    struct connection *c = arg;

    serve_all(c);
    (void)hk_close(c->fd); /* whatever it says, it is closed */
    hk_sem_release(&c->server->places, 1);
    free(c);
    return 0;
}

int connection_start(struct server *server, hk_scope *scope, hk_fd fd)
{
    struct connection *c = calloc(1, sizeof *c);
    int rc = -ENOMEM;

    if (c) {
        c->server = server;
        c->fd = fd;
        rc = hk_spawn_named(scope, "connection", connection_main, c, NULL);
    }
    if (rc < 0)
        free(c);
    return rc;
}
