/* SPDX-License-Identifier: MIT */
/*
 * Shows that a datagram comes whole, cut and told so, or not at all; from whom; and
 * that a cancelled call took none: over UDP on the loopback and over Unix sockets.
 */
#include "io_test.h"

static void open_udp(const char *text, hk_fd *out, hk_addr *out_addr)
{
    hk_addr addr;

    CHECK_EQ(hk_addr_parse(text, &addr), 0);
    CHECK_EQ(hk_udp_open(&addr, out), 0);
    CHECK_EQ(hk_addr_local(*out, out_addr), 0);
}

static void check_same(const hk_addr *a, const hk_addr *b)
{
    char text_a[HK_ADDR_TEXT_MAX], text_b[HK_ADDR_TEXT_MAX];

    CHECK(hk_addr_format(a, text_a, sizeof(text_a)) > 0);
    CHECK(hk_addr_format(b, text_b, sizeof(text_b)) > 0);
    assert_string_equal(text_a, text_b);
}

static void exchange(const char *bind_a, const char *bind_b)
{
    hk_fd a, b;
    hk_addr addr_a, addr_b, from;
    char buf[64];
    bool cut = true;

    open_udp(bind_a, &a, &addr_a);
    open_udp(bind_b, &b, &addr_b);
    CHECK_EQ(hk_send_to(a, "hello", 5, &addr_b), 5);
    CHECK_EQ(hk_recv_from(b, buf, sizeof(buf), &from, &cut), 5);
    CHECK(memcmp(buf, "hello", 5) == 0 && !cut);
    check_same(&from, &addr_a);
    CHECK_EQ(hk_send_to(b, "", 0, &from), 0); /* an empty one is one */
    memset(&from, 0, sizeof(from));
    CHECK_EQ(hk_recv_from(a, buf, sizeof(buf), &from, NULL), 0);
    check_same(&from, &addr_b);
    CHECK_EQ(hk_close(a), 0);
    CHECK_EQ(hk_close(b), 0);
    CHECK_EQ(hk_send_to(a, "x", 1, &addr_b), -EBADF);
    CHECK_EQ(hk_recv_from(a, buf, 1, NULL, NULL), -EBADF);
}

static int datagrams_come_with_their_sender(void *arg)
{
    static int count;
    char a[64], b[64];

    (void)arg;
    exchange("127.0.0.1:0", "127.0.0.1:0");
    exchange("[::1]:0", "[::1]:0");
    snprintf(a, sizeof(a), "unix:@hocket-dgram-%d-%d", getpid(), ++count);
    snprintf(b, sizeof(b), "unix:@hocket-dgram-%d-%d", getpid(), ++count);
    exchange(a, b);
    return 0;
}

static int a_long_one_is_cut_and_told(void *arg)
{
    hk_fd a, b;
    hk_addr addr_a, addr_b;
    char buf[4], *long_one = calloc(1, 60000), *whole = malloc(65536);
    bool cut = false;

    (void)arg;
    open_udp("127.0.0.1:0", &a, &addr_a);
    open_udp("127.0.0.1:0", &b, &addr_b);
    CHECK_EQ(hk_send_to(a, "123456", 6, &addr_b), 6);
    CHECK_EQ(hk_send_to(a, "1234", 4, &addr_b), 4);
    CHECK_EQ(hk_recv_from(b, buf, 4, NULL, &cut), 4);
    CHECK(cut && memcmp(buf, "1234", 4) == 0);
    CHECK_EQ(hk_recv_from(b, buf, 4, NULL, &cut), 4); /* the next one, not the rest */
    CHECK(!cut);
    memset(long_one, 'l', 60000);
    CHECK_EQ(hk_send_to(a, long_one, 60000, &addr_b), 60000);
    CHECK_EQ(hk_recv_from(b, whole, 65536, NULL, &cut), 60000);
    CHECK(!cut && memcmp(whole, long_one, 60000) == 0);
    CHECK_EQ(hk_send_to(a, whole, 65536, &addr_b), -EMSGSIZE);
    free(long_one);
    free(whole);
    CHECK_EQ(hk_close(a), 0);
    CHECK_EQ(hk_close(b), 0);
    return 0;
}

static int a_connected_one_hears_its_peer_alone(void *arg)
{
    hk_fd a, b, c;
    hk_addr addr_a, addr_b, addr_c, seen, none = {0};
    char buf[8];

    (void)arg;
    open_udp("127.0.0.1:0", &a, &addr_a);
    open_udp("127.0.0.1:0", &b, &addr_b);
    open_udp("127.0.0.1:0", &c, &addr_c);
    CHECK_EQ(hk_send_to(a, "x", 1, NULL), -EDESTADDRREQ);
    CHECK_EQ(hk_send_to(a, "x", 1, &none), -EINVAL);
    CHECK_EQ(hk_udp_connect(a, &none), -EINVAL);
    CHECK_EQ(hk_udp_connect(a, &addr_b), 0);
    CHECK_EQ(hk_addr_peer(a, &seen), 0);
    check_same(&seen, &addr_b);
    CHECK_EQ(hk_send_to(c, "no", 2, &addr_a), 2);
    CHECK_EQ(hk_send_to(b, "yes", 3, &addr_a), 3);
    CHECK_EQ(hk_recv_from(a, buf, sizeof(buf), NULL, NULL), 3);
    CHECK_EQ(hk_send_to(a, "hi", 2, NULL), 2);
    CHECK_EQ(hk_write(a, "ho!", 3), 3);
    CHECK_EQ(hk_recv_from(b, buf, sizeof(buf), NULL, NULL), 2);
    CHECK_EQ(hk_read(b, buf, sizeof(buf)), 3);
    CHECK_EQ(hk_close(b), 0);
    CHECK_EQ(hk_send_to(a, "?", 1, NULL), 1);
    CHECK_EQ(hk_recv_from(a, buf, sizeof(buf), NULL, NULL), -ECONNREFUSED);
    CHECK_EQ(hk_close(a), 0);
    CHECK_EQ(hk_udp_connect(a, &addr_c), -EBADF);
    CHECK_EQ(hk_close(c), 0);
    return 0;
}

static int opening_fails_as_bind_does(void *arg)
{
    hk_addr addr, none = {0}, far;
    hk_fd a, b = {77};

    (void)arg;
    CHECK_EQ(hk_udp_open(&none, &b), -EINVAL);
    CHECK_EQ(hk_addr_parse("192.0.2.1:0", &far), 0);
    CHECK_EQ(hk_udp_open(&far, &b), -EADDRNOTAVAIL);
    open_udp("127.0.0.1:0", &a, &addr);
    CHECK_EQ(hk_udp_open(&addr, &b), -EADDRINUSE);
    CHECK_EQ(b.value, 77);
    CHECK_EQ(hk_close(a), 0);
    return 0;
}

/* ---- cancel, several at once ---- */

static int receive(void *arg)
{
    hk_fd *fd = arg;
    char buf[8];

    return (int)hk_recv_from(*fd, buf, sizeof(buf), NULL, NULL);
}

static int expect_cancelled(void *arg)
{
    CHECK_EQ(receive(arg), -ECANCELED);
    return 0;
}

static int expect_closed(void *arg)
{
    CHECK_EQ(receive(arg), -EBADF);
    return 0;
}

static int expect_three(void *arg)
{
    CHECK_EQ(receive(arg), 3);
    return 0;
}

struct sending {
    hk_fd fd;
    hk_addr to;
};

static int expect_cancelled_send(void *arg)
{
    struct sending *s = arg;

    CHECK_EQ(hk_send_to(s->fd, "bad", 3, &s->to), -ECANCELED);
    CHECK_EQ(hk_send_to(s->fd, "bad", 3, NULL), -ECANCELED);
    return 0;
}

static int a_cancelled_call_moves_no_datagram(void *arg)
{
    struct sending s;
    hk_fd b;
    hk_addr addr;
    char buf[8];

    (void)arg;
    open_udp("127.0.0.1:0", &s.fd, &addr);
    open_udp("127.0.0.1:0", &b, &s.to);
    CHECK_EQ(cancel_while_waiting(expect_cancelled, &b), 0);
    run_to_the_deadline(receive, &b);
    CHECK_EQ(run_cancelled(expect_cancelled_send, &s), 0);
    CHECK_EQ(hk_send_to(s.fd, "good", 4, &s.to), 4);
    CHECK_EQ(run_cancelled(expect_cancelled, &b), 0);
    CHECK_EQ(hk_recv_from(b, buf, sizeof(buf), NULL, NULL), 4);
    CHECK(memcmp(buf, "good", 4) == 0);
    CHECK_EQ(hk_close(s.fd), 0);
    CHECK_EQ(hk_close(b), 0);
    return 0;
}

static int any_number_may_receive(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_addr addr_a, addr_b;
    hk_fd a, b;

    (void)arg;
    open_udp("127.0.0.1:0", &a, &addr_a);
    open_udp("127.0.0.1:0", &b, &addr_b);
    hk_scope_open(&s);
    for (int i = 0; i < 5; i++)
        hk_spawn(&s, expect_three, &b);
    let_others_wait();
    for (int i = 0; i < 5; i++)
        CHECK_EQ(hk_send_to(a, "abc", 3, &addr_b), 3);
    CHECK_EQ(hk_scope_join(&s), 0);
    hk_scope_open(&s);
    for (int i = 0; i < 5; i++)
        hk_spawn(&s, expect_closed, &b);
    let_others_wait();
    CHECK_EQ(hk_close(b), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(hk_close(a), 0);
    return 0;
}

/* ---- a full queue: Unix datagrams make the sender wait ---- */

struct flood {
    struct sending to;
    int sent;
};

static int flood(void *arg)
{
    struct flood *f = arg;

    for (;;) {
        ssize_t n = hk_send_to(f->to.fd, "d", 1, &f->to.to);

        if (n < 0)
            return (int)n;
        f->sent++;
    }
}

static int expect_cancelled_flood(void *arg)
{
    CHECK_EQ(flood(arg), -ECANCELED);
    return 0;
}

static int a_full_queue_makes_the_sender_wait(void *arg)
{
    static int count;
    struct flood f = {.sent = 0};
    hk_addr addr;
    char text[64], buf[4];
    hk_fd b;

    (void)arg;
    snprintf(text, sizeof(text), "unix:@hocket-flood-%d-%d", getpid(), ++count);
    open_udp(text, &b, &f.to.to);
    snprintf(text, sizeof(text), "unix:@hocket-flood-%d-%d", getpid(), ++count);
    open_udp(text, &f.to.fd, &addr);
    CHECK_EQ(cancel_while_waiting(expect_cancelled_flood, &f), 0);
    run_to_the_deadline(flood, &f);
    CHECK(f.sent > 0);
    CHECK_EQ(hk_close(f.to.fd), 0);
    for (int i = 0; i < f.sent; i++)
        CHECK_EQ(hk_recv_from(b, buf, sizeof(buf), NULL, NULL), 1);
    run_to_the_deadline(receive, &b); /* and not one more */
    CHECK_EQ(hk_close(b), 0);
    return 0;
}

enum { WAITING = 100 };

static int send_numbers(void *arg)
{
    struct sending *s = arg;

    for (int i = 0; i < WAITING; i++)
        CHECK_EQ(hk_send_to(s->fd, &i, sizeof(i), &s->to), sizeof(i));
    return 0;
}

/* The kernel takes the bytes before it sees that there is no room: whoever tries again
 * must begin with them anew. */
static int a_send_that_waited_arrives_whole(void *arg)
{
    static int count;
    hk_scope scope = HK_SCOPE_INIT;
    struct sending s;
    hk_addr addr;
    char text[64];
    hk_fd b;

    (void)arg;
    snprintf(text, sizeof(text), "unix:@hocket-whole-%d-%d", getpid(), ++count);
    open_udp(text, &b, &s.to);
    snprintf(text, sizeof(text), "unix:@hocket-whole-%d-%d", getpid(), ++count);
    open_udp(text, &s.fd, &addr);
    hk_scope_open(&scope);
    hk_spawn(&scope, send_numbers, &s);
    let_others_wait();
    for (int i = 0, got; i < WAITING; i++) {
        CHECK_EQ(hk_recv_from(b, &got, sizeof(got), NULL, NULL), sizeof(got));
        CHECK_EQ(got, i);
    }
    CHECK_EQ(hk_scope_join(&scope), 0);
    CHECK_EQ(hk_close(s.fd), 0);
    CHECK_EQ(hk_close(b), 0);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_TASK(datagrams_come_with_their_sender),
        ON_A_THREAD(datagrams_come_with_their_sender),
        IN_A_TASK(a_long_one_is_cut_and_told),
        ON_A_THREAD(a_long_one_is_cut_and_told),
        IN_A_TASK(a_connected_one_hears_its_peer_alone),
        ON_A_THREAD(a_connected_one_hears_its_peer_alone),
        IN_A_TASK(opening_fails_as_bind_does),
        IN_A_TASK(a_cancelled_call_moves_no_datagram),
        ON_A_THREAD(a_cancelled_call_moves_no_datagram),
        IN_A_TASK(any_number_may_receive),
        ON_A_THREAD(any_number_may_receive),
        IN_A_TASK(a_full_queue_makes_the_sender_wait),
        ON_A_THREAD(a_full_queue_makes_the_sender_wait),
        IN_A_TASK(a_send_that_waited_arrives_whole),
        ON_A_THREAD(a_send_that_waited_arrives_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
