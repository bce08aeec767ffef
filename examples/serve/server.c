/* SPDX-License-Identifier: MIT */
#include "server.h"

#include "connection.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

enum { CONNECTIONS_MAX = 2000, OURS = 40 };

/* How long responses in flight may take once the server has been asked to stop. */
static const int64_t grace_ns = 5 * HK_SECOND;

static int failed(const char *what, int error)
{
    fprintf(stderr, "hocket-serve: %s: %s\n", what, hk_error_text(error));
    return error;
}

/* ---- starting ---- */

/* Each connection needs a descriptor, and one more for the file that it is sent. */
static uint32_t places_for_connections(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return CONNECTIONS_MAX;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE,
                    &limit); /* raising to the maximum is always allowed */
    if (limit.rlim_cur >= 2 * CONNECTIONS_MAX + OURS)
        return CONNECTIONS_MAX;
    return limit.rlim_cur > OURS + 2 ? (uint32_t)(limit.rlim_cur - OURS) / 2 : 1;
}

static int bind_address(const struct options *o, hk_addr *out)
{
    char text[HK_ADDR_TEXT_MAX];
    bool naked_ipv6 = strchr(o->bind, ':') && *o->bind != '[';
    int n = snprintf(text, sizeof text, naked_ipv6 ? "[%s]:%u" : "%s:%u", o->bind,
                     (unsigned)o->port);

    return n < 0 || (size_t)n >= sizeof text ? -EINVAL : hk_addr_parse(text, out);
}

/* Who waits for the file must never see half of it: written aside, then renamed. */
static int write_port_file(const char *path, uint16_t port)
{
    char aside[4096];
    hk_fd fd;
    int rc, closed;

    if ((size_t)snprintf(aside, sizeof aside, "%s.new", path) >= sizeof aside)
        return -ENAMETOOLONG;
    rc = hk_open(aside, O_WRONLY | O_CREAT | O_TRUNC, 0644, &fd);
    if (rc < 0)
        return rc;
    rc = (int)hk_printf(fd, "%u\n", (unsigned)port);
    closed = hk_close(fd);
    if (rc >= 0)
        rc = closed;
    return rc < 0 ? rc : hk_rename(aside, path);
}

static int announce(struct server *server)
{
    const struct options *o = server->options;
    char text[HK_ADDR_TEXT_MAX];
    hk_addr addr;
    int rc = hk_addr_local(server->listener, &addr);

    if (rc == 0 && o->port_file) {
        rc = write_port_file(o->port_file, hk_addr_port(&addr));
        if (rc < 0)
            return failed(o->port_file, rc);
    }
    if (rc == 0 && !o->quiet && hk_addr_format(&addr, text, sizeof text) > 0)
        (void)hk_printf(hk_stdout(), "serving %s on http://%s/\n", o->dir, text);
    return rc; /* standard output may be closed: all the same to us */
}

static int start_listening(struct server *server)
{
    hk_addr addr;
    int rc = bind_address(server->options, &addr);

    if (rc < 0) {
        fprintf(stderr, "hocket-serve: %s: not an IP address\n", server->options->bind);
        return rc;
    }
    rc = hk_listen(&addr, NULL, &server->listener);
    if (rc < 0) {
        char text[HK_ADDR_TEXT_MAX];

        hk_addr_format(&addr, text, sizeof text);
        return failed(text, rc);
    }
    rc = announce(server);
    if (rc < 0)
        (void)hk_close(server->listener); /* the first error counts */
    return rc;
}

/* ---- accepting ---- */

struct acceptor {
    struct server *server;
    hk_scope *connections;
};

static int accept_one(struct acceptor *a)
{
    struct server *server = a->server;
    hk_fd fd;
    int rc = hk_sem_acquire(&server->places);

    if (rc < 0)
        return rc;
    rc = hk_accept(server->listener, NULL, &fd);
    if (rc == 0) {
        rc = connection_start(server, a->connections, fd);
        if (rc < 0)
            (void)hk_close(fd); /* the first error counts */
    }
    if (rc < 0)
        hk_sem_release(&server->places, 1);
    if (rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM || rc == -ENOBUFS)
        rc = hk_sleep(100 * HK_MILLISECOND); /* some connection will end */
    return rc;
}

static int accept_all(void *arg)
{
    int rc = 0;

    while (rc == 0)
        rc = accept_one(arg);
    return rc;
}

/* ---- stopping ---- */

/* Idle connections end now, the others after their response, stragglers after 5 s. */
static void begin_to_stop(struct server *server, hk_task_id acceptor, hk_scope *scope)
{
    hk_event_set(&server->stopping);
    (void)hk_task_cancel(acceptor); /* -ESRCH: it has ended */
    hk_scope_deadline(scope, hk_now() + grace_ns);
}

static int serve_until_signal(struct server *server, hk_signals *signals)
{
    hk_scope connections = HK_SCOPE_INIT;
    struct acceptor acceptor = {.server = server, .connections = &connections};
    hk_task_id task = {0};
    int rc;

    hk_scope_open_with(&connections, 0, "connections");
    rc = hk_spawn_named(&connections, "acceptor", accept_all, &acceptor, &task);
    if (rc == 0)
        rc = hk_signals_wait(signals); /* or accepting failed, which cancels us */
    if (rc > 0)
        begin_to_stop(server, task, &connections);
    rc = hk_scope_join(&connections);
    return rc == -ETIMEDOUT ? 0 : rc;
}

int server_run(void *arg)
{
    struct server *server = arg;
    hk_signals *signals;
    int rc;

    hk_sem_init(&server->places, places_for_connections());
    rc = hk_signals_new((int[]){SIGINT, SIGTERM}, 2, &signals);
    if (rc < 0)
        return failed("signals", rc);
    rc = start_listening(server);
    if (rc == 0) {
        rc = serve_until_signal(server, signals);
        if (rc < 0)
            (void)failed("serving", rc);
        (void)hk_close(server->listener); /* whatever it says, it is closed */
    }
    hk_signals_free(signals);
    return rc;
}
