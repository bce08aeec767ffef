/* SPDX-License-Identifier: MIT */
/*
 * Shows that a cancelled or late accept takes no connection and a cancelled connect
 * leaves none, at any moment; that a thousand connections work at once; and that a
 * process without free descriptors gets over it. A connect that waits is one to a
 * listener whose backlog is full: the kernel then answers nothing.
 */
#include "socket_test.h"

/* ---- cancel ---- */

static int accept_one(void *arg)
{
    hk_fd *listener = arg, fd;

    return hk_accept(*listener, NULL, &fd);
}

static int expect_cancelled_accept(void *arg)
{
    CHECK_EQ(accept_one(arg), -ECANCELED);
    return 0;
}

static int expect_closed_accept(void *arg)
{
    CHECK_EQ(accept_one(arg), -EBADF);
    return 0;
}

static int a_cancelled_accept_takes_no_connection(void *arg)
{
    hk_fd listener, a, b;
    hk_addr addr;

    (void)arg;
    listen_anywhere(&listener, &addr);
    CHECK_EQ(cancel_while_waiting(expect_cancelled_accept, &listener), 0);
    run_to_the_deadline(accept_one, &listener);
    CHECK_EQ(hk_connect(&addr, &a), 0);
    CHECK_EQ(run_cancelled(expect_cancelled_accept, &listener), 0);
    CHECK_EQ(hk_accept(listener, NULL, &b), 0);
    talk(a, b);
    close_ends(a, b);
    CHECK_EQ(hk_close(listener), 0);
    return 0;
}

static int closing_a_listener_ends_every_accept(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_fd listener;
    hk_addr addr;

    (void)arg;
    listen_anywhere(&listener, &addr);
    hk_scope_open(&s);
    for (int i = 0; i < 3; i++)
        hk_spawn(&s, expect_closed_accept, &listener);
    let_others_wait();
    CHECK_EQ(hk_close(listener), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

/* A listener whose backlog is full. `out` are the connections that fill it. */
static int fill_backlog(const hk_addr *at, hk_fd *out_listener, hk_addr *out_addr,
                        hk_fd out[8])
{
    hk_listen_options tiny = {.backlog = 1};
    int count = 0;

    CHECK_EQ(hk_listen(at, &tiny, out_listener), 0);
    CHECK_EQ(hk_addr_local(*out_listener, out_addr), 0);
    for (; count < 8; count++) {
        hk_scope s = HK_SCOPE_INIT;
        int rc;

        hk_scope_open(&s);
        hk_scope_deadline(&s, hk_now() + 50 * HK_MILLISECOND);
        rc = hk_connect(out_addr, &out[count]);
        (void)hk_scope_join(&s);
        if (rc < 0)
            break;
    }
    CHECK(count > 0 && count < 8);
    return count;
}

static int expect_cancelled_connect(void *arg)
{
    hk_fd fd;

    CHECK_EQ(hk_connect(arg, &fd), -ECANCELED);
    return 0;
}

static int connect_to(void *arg)
{
    hk_fd fd;
    int rc = hk_connect(arg, &fd);

    if (rc == 0)
        CHECK_EQ(hk_close(fd), 0);
    return rc;
}

/* C16; over TCP, and over Unix sockets, where the kernel says EAGAIN instead. */
static int a_cancelled_connect_leaves_nothing(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2; i++) {
        int count, before = open_descriptors();
        hk_fd listener, filling[8], conn;
        hk_scope s = HK_SCOPE_INIT;
        hk_addr addr;

        if (i)
            unix_address(&addr, "unix:@hocket-full-%d-%d");
        else
            addr = parse("127.0.0.1:0");
        count = fill_backlog(&addr, &listener, &addr, filling);
        CHECK_EQ(open_descriptors(), before + 1 + count);
        CHECK_EQ(run_cancelled(expect_cancelled_connect, &addr), 0);
        CHECK_EQ(cancel_while_waiting(expect_cancelled_connect, &addr), 0);
        run_to_the_deadline(connect_to, &addr);
        CHECK_EQ(open_descriptors(), before + 1 + count);

        hk_scope_open(&s); /* with room again it succeeds */
        hk_spawn(&s, connect_to, &addr);
        let_others_wait();
        for (int j = 0; j <= count; j++) {
            CHECK_EQ(hk_accept(listener, NULL, &conn), 0);
            CHECK_EQ(hk_close(conn), 0);
        }
        CHECK_EQ(hk_scope_join(&s), 0);
        for (int j = 0; j < count; j++)
            CHECK_EQ(hk_close(filling[j]), 0);
        CHECK_EQ(hk_close(listener), 0);
        CHECK_EQ(open_descriptors(), before);
    }
    return 0;
}

/* A cancel at any moment of a connect and an accept: each made one connection, or none,
 * and says so. Checked by the descriptors that are left. */
struct race {
    hk_fd listener;
    hk_addr addr;
    int yields;
};

static int connect_and_close(void *arg)
{
    struct race *race = arg;
    hk_fd fd;
    int rc = hk_connect(&race->addr, &fd);

    return rc < 0 ? rc : hk_close(fd);
}

static int accept_and_close(void *arg)
{
    struct race *race = arg;
    hk_fd fd;
    int rc = hk_accept(race->listener, NULL, &fd);

    return rc < 0 ? rc : hk_close(fd);
}

static int cancels_race_with_connections(void *arg)
{
    struct race race;

    (void)arg;
    for (int i = 0; i < 300; i++) {
        int before = open_descriptors(), rc;
        hk_scope s = HK_SCOPE_INIT;

        listen_anywhere(&race.listener, &race.addr);
        hk_scope_open(&s);
        hk_spawn(&s, connect_and_close, &race);
        hk_spawn(&s, accept_and_close, &race);
        for (int j = 0; j < i % 12; j++)
            CHECK_EQ(hk_yield(), 0);
        hk_scope_cancel(&s);
        rc = hk_scope_join(&s);
        CHECK(rc == 0 || rc == -ECONNRESET);
        CHECK_EQ(hk_close(race.listener), 0);
        CHECK_EQ(open_descriptors(), before);
    }
    return 0;
}

/* ---- many connections ---- */

enum { MANY = 1000 };

static int serve_one(void *arg)
{
    hk_fd *conn = arg;
    char buf[16];
    ssize_t n;

    while ((n = hk_read(*conn, buf, sizeof(buf))) > 0)
        CHECK_EQ(hk_write_all(*conn, buf, (size_t)n, NULL), 0);
    CHECK_EQ(n, 0);
    CHECK_EQ(hk_close(*conn), 0);
    free(conn);
    return 0;
}

static int serve(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_fd *listener = arg, conn;
    int rc;

    hk_scope_open(&s);
    while ((rc = hk_accept(*listener, NULL, &conn)) == 0) {
        hk_fd *copy = malloc(sizeof(*copy));

        *copy = conn;
        hk_spawn(&s, serve_one, copy);
    }
    CHECK_EQ(rc, -EBADF);
    return hk_scope_join(&s);
}

static int ask(void *arg)
{
    char buf[32] = "", want[32];
    hk_fd conn;

    CHECK_EQ(hk_connect(arg, &conn), 0);
    for (int i = 0; i < 3; i++) {
        snprintf(want, sizeof(want), "question %6d", i);
        CHECK_EQ(hk_write_all(conn, want, 15, NULL), 0);
        CHECK_EQ(hk_read_exactly(conn, buf, 15, NULL), 0);
        CHECK(memcmp(buf, want, 15) == 0);
    }
    CHECK_EQ(hk_close(conn), 0);
    return 0;
}

static int a_thousand_connections_at_once(void *arg)
{
    hk_scope outer = HK_SCOPE_INIT, s = HK_SCOPE_INIT;
    hk_fd listener;
    hk_addr addr;

    (void)arg;
    listen_anywhere(&listener, &addr);
    hk_scope_open(&outer);
    hk_spawn(&outer, serve, &listener);
    hk_scope_open(&s);
    for (int i = 0; i < MANY; i++)
        hk_spawn(&s, ask, &addr);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(hk_close(listener), 0);
    CHECK_EQ(hk_scope_join(&outer), 0);
    return 0;
}

static int without_descriptors_accept_is_emfile_and_recovers(void *arg)
{
    hk_fd listener, a, b = {77};
    hk_addr addr;
    rlim_t old;

    (void)arg;
    listen_anywhere(&listener, &addr);
    CHECK_EQ(hk_connect(&addr, &a), 0);
    old = forbid_descriptors();
    for (int i = 0; i < 3; i++)
        CHECK_EQ(hk_accept(listener, NULL, &b), -EMFILE);
    CHECK_EQ(hk_connect(&addr, &b), -EMFILE);
    CHECK_EQ(hk_listen(&addr, NULL, &b), -EMFILE);
    CHECK_EQ(b.value, 77);
    restore_descriptors(old);
    CHECK_EQ(hk_accept(listener, NULL, &b), 0);
    talk(a, b);
    close_ends(a, b);
    CHECK_EQ(hk_close(listener), 0);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_TASK(a_cancelled_accept_takes_no_connection),
        ON_A_THREAD(a_cancelled_accept_takes_no_connection),
        IN_A_TASK(closing_a_listener_ends_every_accept),
        ON_A_THREAD(closing_a_listener_ends_every_accept),
        IN_A_TASK(a_cancelled_connect_leaves_nothing),
        ON_A_THREAD(a_cancelled_connect_leaves_nothing),
        IN_A_TASK(cancels_race_with_connections),
        IN_A_TASK(a_thousand_connections_at_once),
        ON_A_THREAD(a_thousand_connections_at_once),
        IN_A_TASK(without_descriptors_accept_is_emfile_and_recovers),
    };
    struct rlimit limit;

    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
