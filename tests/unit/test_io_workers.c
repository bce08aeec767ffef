/* SPDX-License-Identifier: MIT */
/*
 * Shows that handles are shared by the workers of a runtime: a close on one ends the
 * calls of another, several serve one listener and one datagram socket, and no byte or
 * connection is lost between them. Children of parallel scopes are taken by whichever
 * worker is idle; the body waits, without yielding, until one has.
 */
#include "io_test.h"

enum { WORKERS = 4 };

struct reader {
    hk_fd fd;
    uint32_t begun; /* atomic */
};

static int read_until_closed(void *arg)
{
    struct reader *r = arg;
    char byte;

    __atomic_store_n(&r->begun, 1 + hk_worker_index(), __ATOMIC_RELEASE);
    CHECK_EQ(hk_read(r->fd, &byte, 1), -EBADF);
    return 0;
}

/* Gives the other workers 10 ms to take a child; after that it starts here. */
static uint32_t await_begin(struct reader *r)
{
    int64_t patience_ns = hk_now() + 10 * HK_MILLISECOND;
    uint32_t where;

    while (!(where = __atomic_load_n(&r->begun, __ATOMIC_ACQUIRE)))
        if (hk_now() > patience_ns)
            CHECK_EQ(hk_yield(), 0);
    return where - 1;
}

static int close_on_another_worker(void *arg)
{
    int elsewhere = 0;

    (void)arg;
    for (int i = 0; i < 200; i++) {
        hk_scope s = HK_SCOPE_INIT;
        struct reader r = {.begun = 0};
        hk_fd p[2];

        CHECK_EQ(i % 2 ? hk_pipe(p) : hk_socket_pair(p), 0);
        r.fd = p[0];
        hk_scope_open_with(&s, HK_SCOPE_PARALLEL, NULL);
        hk_spawn(&s, read_until_closed, &r);
        elsewhere += await_begin(&r) != hk_worker_index();
        for (int j = 0; j < i % 5; j++) /* the read is there, or about to be */
            CHECK_EQ(hk_yield(), 0);
        CHECK_EQ(hk_close(p[0]), 0);
        CHECK_EQ(hk_scope_join(&s), 0);
        CHECK_EQ(hk_close(p[1]), 0);
    }
    printf("# %d of 200 on another worker\n", elsewhere);
    return 0;
}

/* ---- one listener, many workers ---- */

enum { CLIENTS = 300, SERVERS = 8 };

struct service {
    hk_fd listener;
    hk_addr addr;
    uint32_t served; /* atomic */
};

static int serve(void *arg)
{
    struct service *service = arg;
    hk_fd conn;
    int rc;

    while ((rc = hk_accept(service->listener, NULL, &conn)) == 0) {
        char buf[64];
        ssize_t n;

        while ((n = hk_read(conn, buf, sizeof(buf))) > 0)
            CHECK_EQ(hk_write_all(conn, buf, (size_t)n, NULL), 0);
        CHECK_EQ(n, 0);
        CHECK_EQ(hk_close(conn), 0);
        __atomic_add_fetch(&service->served, 1, __ATOMIC_RELAXED);
    }
    CHECK_EQ(rc, -EBADF);
    return 0;
}

static int ask(void *arg)
{
    struct service *service = arg;
    char buf[5];
    hk_fd conn;

    CHECK_EQ(hk_connect(&service->addr, &conn), 0);
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(hk_write_all(conn, "hello", 5, NULL), 0);
        CHECK_EQ(hk_read_exactly(conn, buf, 5, NULL), 0);
        CHECK(memcmp(buf, "hello", 5) == 0);
    }
    CHECK_EQ(hk_close(conn), 0);
    return 0;
}

static int workers_share_a_listener(void *arg)
{
    hk_scope servers = HK_SCOPE_INIT, clients = HK_SCOPE_INIT;
    struct service service = {.served = 0};

    (void)arg;
    listen_anywhere(&service.listener, &service.addr);
    hk_scope_open_with(&servers, HK_SCOPE_PARALLEL, NULL);
    for (int i = 0; i < SERVERS; i++)
        hk_spawn(&servers, serve, &service);
    hk_scope_open_with(&clients, HK_SCOPE_PARALLEL, NULL);
    for (int i = 0; i < CLIENTS; i++)
        hk_spawn(&clients, ask, &service);
    CHECK_EQ(hk_scope_join(&clients), 0);
    CHECK_EQ(hk_close(service.listener), 0);
    CHECK_EQ(hk_scope_join(&servers), 0);
    CHECK_EQ(service.served, CLIENTS);
    return 0;
}

/* ---- one datagram socket, many workers ---- */

enum { DATAGRAMS = 2000 };

struct mailbox {
    hk_fd fd;
    uint32_t count;          /* atomic */
    uint8_t seen[DATAGRAMS]; /* atomic */
};

static int receive(void *arg)
{
    struct mailbox *m = arg;
    ssize_t n;
    int number;

    while ((n = hk_recv_from(m->fd, &number, sizeof(number), NULL, NULL)) > 0) {
        CHECK_EQ(n, sizeof(number));
        CHECK_EQ(__atomic_exchange_n(&m->seen[number], 1, __ATOMIC_RELAXED), 0);
        if (__atomic_add_fetch(&m->count, 1, __ATOMIC_RELAXED) == DATAGRAMS)
            CHECK_EQ(hk_close(m->fd), 0); /* the others get -EBADF */
    }
    CHECK_EQ(n, -EBADF);
    return 0;
}

/* Unix datagrams: none is lost on the way, and a full queue makes the sender wait. */
static int workers_share_a_datagram_socket(void *arg)
{
    static struct mailbox m;
    hk_scope s = HK_SCOPE_INIT;
    char text[64];
    hk_addr addr;
    hk_fd out;

    (void)arg;
    memset(&m, 0, sizeof(m));
    snprintf(text, sizeof(text), "unix:@hocket-shared-%d", getpid());
    CHECK_EQ(hk_addr_parse(text, &addr), 0);
    CHECK_EQ(hk_udp_open(&addr, &m.fd), 0);
    strcat(text, "-out");
    CHECK_EQ(hk_addr_parse(text, &addr), 0);
    CHECK_EQ(hk_udp_open(&addr, &out), 0);
    CHECK_EQ(hk_addr_local(m.fd, &addr), 0);
    hk_scope_open_with(&s, HK_SCOPE_PARALLEL, NULL);
    for (int i = 0; i < SERVERS; i++)
        hk_spawn(&s, receive, &m);
    for (int i = 0; i < DATAGRAMS; i++)
        CHECK_EQ(hk_send_to(out, &i, sizeof(i), &addr), sizeof(i));
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(hk_close(out), 0);
    return 0;
}

/* ---- calls that race a close ---- */

struct target {
    hk_fd fd;
    uint32_t begun, stop; /* atomic */
};

/* One call after the other until the handle is closed. */
static int shut_down_until_closed(void *arg)
{
    struct target *t = arg;
    int rc;

    __atomic_store_n(&t->begun, 1, __ATOMIC_RELEASE);
    do
        rc = hk_shutdown(t->fd, SHUT_RDWR);
    while (rc == 0);
    CHECK_EQ(rc, -EBADF);
    return 0;
}

/* The next socket gets the number of the one that was closed: it must not be shut down
 * by a call that still meant the other. */
static int reuse_the_number_at_once(void *arg)
{
    int reused = 0;

    (void)arg;
    for (int i = 0; i < 500; i++) {
        hk_scope s = HK_SCOPE_INIT;
        struct target t = {.begun = 0};
        int64_t patience_ns = hk_now() + 10 * HK_MILLISECOND;
        hk_fd old[2], new[2];
        int number;
        char byte;

        CHECK_EQ(hk_socket_pair(old), 0);
        t.fd = old[0];
        number = hk_fd_number(old[0]);
        hk_scope_open_with(&s, HK_SCOPE_PARALLEL, NULL);
        hk_spawn(&s, shut_down_until_closed, &t);
        while (!__atomic_load_n(&t.begun, __ATOMIC_ACQUIRE) && hk_now() < patience_ns)
            ;
        CHECK_EQ(hk_close(old[0]), 0);
        CHECK_EQ(hk_socket_pair(new), 0);
        reused += hk_fd_number(new[0]) == number;
        CHECK_EQ(hk_scope_join(&s), 0);
        CHECK_EQ(hk_write(new[0], "x", 1), 1);
        CHECK_EQ(hk_read(new[1], &byte, 1), 1);
        CHECK_EQ(hk_close(new[0]), 0);
        CHECK_EQ(hk_close(new[1]), 0);
        CHECK_EQ(hk_close(old[1]), 0);
    }
    printf("# %d of 500 numbers were used again\n", reused);
    return 0;
}

static int close_it(void *arg)
{
    struct target *t = arg;

    CHECK_EQ(hk_close(t->fd), 0);
    __atomic_store_n(&t->stop, 1, __ATOMIC_RELEASE);
    return 0;
}

static int a_close_waits_for_pins(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    struct target t = {.begun = 0};
    hk_fd p[2], q[2];
    int number;

    (void)arg;
    CHECK_EQ(hk_pipe(p), 0);
    t.fd = p[0];
    number = hk_fd_pin(p[0]);
    CHECK_EQ(number, hk_fd_pin(p[0]));
    CHECK_EQ(hk_fd_release(p[0]), -EBUSY);
    hk_scope_open_with(&s, HK_SCOPE_PARALLEL, NULL);
    CHECK_EQ(hk_spawn(&s, close_it, &t), 0);
    while (hk_fd_number(p[0]) >= 0)
        let_others_wait();
    CHECK_EQ(hk_fd_pin(p[0]), -EBADF); /* it closes */
    hk_fd_unpin(p[0]);
    CHECK_EQ(hk_pipe(q), 0);
    CHECK(hk_fd_number(q[0]) != number && hk_fd_number(q[1]) != number);
    CHECK_EQ(__atomic_load_n(&t.stop, __ATOMIC_ACQUIRE), 0);
    hk_fd_unpin(p[0]);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(hk_close(p[1]), 0);
    CHECK_EQ(hk_close(q[0]), 0);
    CHECK_EQ(hk_close(q[1]), 0);
    return 0;
}

static void run_on_workers(void **state)
{
    hk_task_fn *scenario = (hk_task_fn *)(uintptr_t)*state;
    hk_options options = {.workers = WORKERS, .check_ledger = true};

    assert_int_equal(hk_run(scenario, NULL, &options), 0);
}

#define ON_WORKERS(scenario)                                                           \
    {                                                                                  \
#scenario, run_on_workers, NULL, NULL, (void *)(uintptr_t)scenario             \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_WORKERS(close_on_another_worker),
        ON_WORKERS(workers_share_a_listener),
        ON_WORKERS(workers_share_a_datagram_socket),
        ON_WORKERS(reuse_the_number_at_once),
        ON_WORKERS(a_close_waits_for_pins),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
