/* SPDX-License-Identifier: MIT */
/* The echo server: one task for each connection, plain reads and writes. */
#include "hocket.h"

enum { BUFFER = 4096 };

/* The handle is the argument itself: 64 bits. */
static int serve(void *arg)
{
    hk_fd conn = {(uint64_t)(uintptr_t)arg};
    char buf[BUFFER];
    ssize_t len;

    while ((len = hk_read(conn, buf, sizeof(buf))) > 0)
        if (hk_write_all(conn, buf, (size_t)len, NULL) < 0)
            break;
    hk_close(conn);
    return 0;
}

static int accept_all(void *arg)
{
    hk_fd *listener = arg;
    hk_scope s;
    int rc;

    hk_scope_open_with(&s, HK_SCOPE_WAIT_ALL, "connections");
    for (;;) {
        hk_fd conn;

        rc = hk_accept(*listener, NULL, &conn);
        if (rc < 0)
            break;
        hk_spawn(&s, serve, (void *)(uintptr_t)conn.value);
    }
    (void)hk_scope_join(&s);
    return rc;
}

static int echo_server(void *arg)
{
    char buf[16];
    hk_addr addr;
    hk_fd listener;
    hk_scope s;

    (void)arg;
    must(hk_addr_parse("127.0.0.1:0", &addr), "address");
    must(hk_listen(&addr, NULL, &listener), "listen");
    must(hk_addr_local(listener, &addr), "hk_addr_local");
    bench_print_port(hk_addr_port(&addr));
    hk_scope_open(&s);
    hk_spawn(&s, accept_all, &listener);
    while (hk_read(hk_stdin(), buf, sizeof(buf)) > 0)
        ;
    hk_scope_cancel(&s);
    (void)hk_scope_join(&s);
    hk_close(listener);
    bench_print_cpu();
    return 0;
}

void hocket_echo_server(int argc, char **args)
{
    (void)argc;
    (void)args;
    must(hk_run(echo_server, NULL, NULL), "hk_run");
}
