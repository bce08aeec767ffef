/* SPDX-License-Identifier: MIT */
/*
 * What titles.c and mixed.c talk to in place of the internet: a server on this machine
 * that gives each page 50 ms late, as from another continent.
 */
#ifndef LATE_SERVER_H
#define LATE_SERVER_H

#include <hocket.h>

#include <stdio.h>

enum { LATE_REQUEST_SIZE = 16, LATE_PAGE_MAX = 4096 };

struct late_server {
    char address[HK_ADDR_TEXT_MAX];
    hk_fd listener;
    hk_scope scope;
};

static int late_answer(void *arg)
{
    hk_fd conn = {(uint64_t)(uintptr_t)arg};
    char request[LATE_REQUEST_SIZE];
    int rc = hk_read_exactly(conn, request, sizeof(request), NULL);

    if (rc == 0)
        rc = hk_sleep(50 * HK_MILLISECOND);
    if (rc == 0)
        (void)hk_printf(conn, "<html><title>Page %.16s</title>%1000s", request, "");
    hk_close(conn);
    return 0;
}

static int late_serve(void *arg)
{
    hk_fd listener = *(hk_fd *)arg, conn;
    hk_scope connections;

    hk_scope_open(&connections);
    while (hk_accept(listener, NULL, &conn) == 0)
        hk_spawn(&connections, late_answer, (void *)(uintptr_t)conn.value);
    return hk_scope_join(&connections);
}

/* In the background of the caller, who is in `scope` from now on. 0, or an error, which
 * is printed. */
static int late_server_start(struct late_server *s)
{
    hk_addr addr;
    int rc = hk_addr_parse("127.0.0.1:0", &addr);

    if (rc == 0)
        rc = hk_listen(&addr, NULL, &s->listener);
    if (rc < 0) {
        fprintf(stderr, "cannot listen on 127.0.0.1: %s\n", hk_error_text(rc));
        return rc;
    }
    (void)hk_addr_local(s->listener, &addr);
    (void)hk_addr_format(&addr, s->address, sizeof(s->address));
    hk_scope_open(&s->scope);
    hk_spawn(&s->scope, late_serve, &s->listener);
    return 0;
}

static void late_server_stop(struct late_server *s)
{
    hk_scope_cancel(&s->scope);
    (void)hk_scope_join(&s->scope);
    hk_close(s->listener);
}

/* Fetches a page as text. Returns 0 or an error. */
static int late_get(const char *address, int number, char page[LATE_PAGE_MAX])
{
    char request[LATE_REQUEST_SIZE] = "";
    size_t len = 0;
    hk_addr addr;
    hk_fd conn;
    int rc = hk_addr_parse(address, &addr);

    if (rc == 0)
        rc = hk_connect(&addr, &conn);
    if (rc < 0)
        return rc;
    (void)snprintf(request, sizeof(request), "%d", number);
    rc = hk_write_all(conn, request, sizeof(request), NULL);
    if (rc == 0)
        rc = hk_read_exactly(conn, page, LATE_PAGE_MAX - 1, &len);
    page[len] = '\0';
    hk_close(conn);
    return rc == -EPROTO ? 0 : rc; /* shorter than there is room */
}

#endif
