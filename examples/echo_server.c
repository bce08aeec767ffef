/* SPDX-License-Identifier: MIT */
/*
 * An echo server: one task for each connection, straight-line code. Three clients talk
 * to it, then its scope is cancelled, which ends the accepting and every connection
 * that is still open, and only then does the join return. Give a port to keep it
 * running until Ctrl-C.
 *
 * Prints:
 *   client 0 got "hello 0"
 *   client 1 got "hello 1"
 *   client 2 got "hello 2"
 *   the server has ended, with every connection
 */
#include <hocket.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

/* A handle is 64 bits: small enough to be the argument itself. */
static int echo(void *arg)
{
    hk_fd conn = {(uint64_t)(uintptr_t)arg};
    char buf[4096];
    ssize_t len;

    while ((len = hk_read(conn, buf, sizeof(buf))) > 0) {
        len = hk_write_all(conn, buf, (size_t)len, NULL);
        if (len < 0)
            break;
    }
    hk_close(conn);
    /* A peer that went away is no reason to end the server. */
    return len == -ECANCELED ? (int)len : 0;
}

static int serve(void *arg)
{
    hk_fd listener = *(hk_fd *)arg;
    hk_scope connections;
    int rc;

    hk_scope_open(&connections);
    for (;;) {
        hk_fd conn;

        rc = hk_accept(listener, NULL, &conn);
        if (rc == 0)
            hk_spawn(&connections, echo, (void *)(uintptr_t)conn.value);
        else if (rc == -EMFILE || rc == -ENFILE)
            rc = hk_sleep(100 * HK_MILLISECOND); /* others will close theirs */
        if (rc < 0)
            break;
    }
    if (rc != -ECANCELED)
        hk_scope_fail(&connections, rc);
    return hk_scope_join(&connections);
}

static int talk(const hk_addr *addr, int i)
{
    char sent[32], got[32] = "";
    int len = snprintf(sent, sizeof(sent), "hello %d", i);
    hk_fd conn;
    int rc = hk_connect(addr, &conn);

    if (rc < 0)
        return rc;
    rc = hk_write_all(conn, sent, (size_t)len, NULL);
    if (rc == 0)
        rc = hk_read_exactly(conn, got, (size_t)len, NULL);
    if (rc == 0)
        printf("client %d got \"%s\"\n", i, got);
    hk_close(conn);
    return rc;
}

static int until_interrupted(void)
{
    hk_signals *watch;
    int rc = hk_signals_new((int[]){SIGINT, SIGTERM}, 2, &watch);

    if (rc == 0) {
        rc = hk_signals_wait(watch);
        hk_signals_free(watch);
    }
    return rc;
}

static int app(void *arg)
{
    const char *port = arg;
    char text[64];
    hk_addr addr;
    hk_fd listener;
    hk_scope scope;
    int rc;

    snprintf(text, sizeof(text), "127.0.0.1:%s", port ? port : "0");
    rc = hk_addr_parse(text, &addr);
    if (rc == 0)
        rc = hk_listen(&addr, NULL, &listener);
    if (rc < 0) {
        fprintf(stderr, "cannot listen on %s: %s\n", text, hk_error_text(rc));
        return rc;
    }
    hk_scope_open(&scope);
    hk_spawn(&scope, serve, &listener);
    rc = hk_addr_local(listener, &addr);
    if (port && rc == 0) {
        hk_addr_format(&addr, text, sizeof(text));
        printf("listening on %s until Ctrl-C\n", text);
        fflush(stdout);
        rc = until_interrupted();
    }
    for (int i = 0; !port && i < 3 && rc == 0; i++)
        rc = talk(&addr, i);
    hk_scope_cancel(&scope);
    if (rc < 0)
        hk_scope_fail(&scope, rc);
    rc = hk_scope_join(&scope);
    hk_close(listener);
    puts("the server has ended, with every connection");
    return rc;
}

int main(int argc, char **argv)
{
    return hk_run(app, argc > 1 ? argv[1] : NULL, NULL) < 0;
}
