/* SPDX-License-Identifier: MIT */
/*
 * Shows that hk_dial reaches a host by whichever of its addresses works: at once after
 * a refusal, after a quarter of a second of silence, and never by two at a time; and
 * that a dial that fails or is cancelled leaves no connection. How: a name server of
 * the test's own (dns_server.h) gives two.test the addresses 127.0.0.1 and 127.0.0.2,
 * on which the same port listens, refuses, or says nothing (a listener with a full
 * queue).
 */
#include "dns_server.h"

enum { FILLERS = 8 };

/* One port on two addresses. */
struct place {
    int fds[2]; /* sockets bound to 127.0.0.1 and 127.0.0.2; listening or not */
    int fillers[2][FILLERS];
    uint16_t port;
};

static int bind_loopback(unsigned last, uint16_t port)
{
    struct sockaddr_in addr = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + last),
        .sin_port = htons(port),
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0);
    if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Both refuse: bound, so that nobody else takes the port, but not listening. */
static void place_init(struct place *p)
{
    memset(p->fillers, -1, sizeof(p->fillers));
    do {
        p->fds[0] = bind_loopback(1, 0);
        p->port = bound_port(p->fds[0]);
        p->fds[1] = bind_loopback(2, p->port);
        if (p->fds[1] < 0)
            close(p->fds[0]);
    } while (p->fds[1] < 0);
}

static void place_fini(struct place *p)
{
    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < FILLERS; k++)
            if (p->fillers[i][k] >= 0)
                close(p->fillers[i][k]);
        close(p->fds[i]);
    }
}

static void place_serve(struct place *p, int which)
{
    CHECK_EQ(listen(p->fds[which], 16), 0);
}

/* With its queue of one full the kernel drops whoever knocks. */
static void place_silence(struct place *p, int which)
{
    struct sockaddr_in addr;
    socklen_t len = sizeof(addr);

    CHECK_EQ(listen(p->fds[which], 0), 0);
    CHECK_EQ(getsockname(p->fds[which], (struct sockaddr *)&addr, &len), 0);
    for (int k = 0; k < FILLERS; k++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        CHECK(fd >= 0);
        (void)connect(fd, (struct sockaddr *)&addr, len);
        p->fillers[which][k] = fd;
    }
}

static void check_peer(hk_fd fd, const char *host, uint16_t port)
{
    char text[HK_ADDR_TEXT_MAX], want[HK_ADDR_TEXT_MAX];
    hk_addr peer;

    CHECK_EQ(hk_addr_peer(fd, &peer), 0);
    CHECK(hk_addr_format(&peer, text, sizeof(text)) > 0);
    snprintf(want, sizeof(want), "%s:%u", host, port);
    CHECK_EQ(strcmp(text, want), 0);
    CHECK_EQ(hk_close(fd), 0);
}

/* How many have connected to `which` (and may have gone again). */
static int guests(const struct place *p, int which)
{
    int count = 0, fd;

    CHECK_EQ(fcntl(p->fds[which], F_SETFL, O_NONBLOCK), 0);
    while ((fd = accept(p->fds[which], NULL, NULL)) >= 0) {
        close(fd);
        count++;
    }
    return count;
}

/* ---- reaching ---- */

static int an_address_needs_no_race(void *arg)
{
    struct place p;
    hk_fd fd;

    (void)arg;
    place_init(&p);
    place_serve(&p, 0);
    CHECK_EQ(hk_dial("127.0.0.1", p.port, &fd), 0);
    check_peer(fd, "127.0.0.1", p.port);
    CHECK_EQ(hk_dial("127.0.0.2", p.port, &fd), -ECONNREFUSED);
    CHECK_EQ(hk_dial("not a name", p.port, &fd), -EINVAL);
    place_fini(&p);
    return 0;
}

/* Unless the machine was so busy that the first one's head start was over. */
static int the_first_address_that_answers_is_taken_alone(void *arg)
{
    struct dns_server dns;
    struct place p;
    int64_t begin_ns;
    hk_fd fd;

    (void)arg;
    dns_server_start(&dns);
    place_init(&p);
    place_serve(&p, 0);
    place_serve(&p, 1);
    begin_ns = hk_now();
    CHECK_EQ(hk_dial("two.test", p.port, &fd), 0);
    if (hk_now() - begin_ns < 250 * HK_MILLISECOND) {
        check_peer(fd, "127.0.0.1", p.port);
        CHECK_EQ(guests(&p, 0), 1);
        CHECK_EQ(guests(&p, 1), 0);
    } else {
        CHECK_EQ(hk_close(fd), 0);
    }
    place_fini(&p);
    dns_server_stop(&dns);
    return 0;
}

static int a_refusal_starts_the_next_attempt(void *arg)
{
    struct dns_server dns;
    struct place p;
    hk_fd fd;

    (void)arg;
    dns_server_start(&dns);
    place_init(&p);
    place_serve(&p, 1);
    CHECK_EQ(hk_dial("two.test", p.port, &fd), 0);
    check_peer(fd, "127.0.0.2", p.port);
    place_fini(&p);
    dns_server_stop(&dns);
    return 0;
}

static int silence_starts_the_next_attempt_after_a_quarter_second(void *arg)
{
    struct dns_server dns;
    struct place p;
    int64_t begin_ns;
    hk_fd fd;

    (void)arg;
    dns_server_start(&dns);
    place_init(&p);
    place_silence(&p, 0);
    place_serve(&p, 1);
    begin_ns = hk_now();
    CHECK_EQ(hk_dial("two.test", p.port, &fd), 0);
    CHECK(hk_now() - begin_ns >= 250 * HK_MILLISECOND);
    check_peer(fd, "127.0.0.2", p.port);
    place_fini(&p);
    dns_server_stop(&dns);
    return 0;
}

/* both.test has an IPv4 and an IPv6 address; only one of them is served. */
static int either_family_will_do(void *arg)
{
    struct dns_server dns;
    hk_addr addr;
    hk_fd listener, fd, conn;

    (void)arg;
    dns_server_start(&dns);
    CHECK_EQ(hk_addr_parse("[::1]:0", &addr), 0);
    if (hk_listen(&addr, NULL, &listener) == 0) {
        CHECK_EQ(hk_addr_local(listener, &addr), 0);
        CHECK_EQ(hk_dial("both.test", hk_addr_port(&addr), &fd), 0);
        CHECK_EQ(hk_accept(listener, NULL, &conn), 0);
        CHECK_EQ(hk_close(conn), 0);
        CHECK_EQ(hk_close(fd), 0);
        CHECK_EQ(hk_close(listener), 0);
    } else {
        printf("# no IPv6 here: only IPv4 was tried\n");
    }
    listen_anywhere(&listener, &addr);
    CHECK_EQ(hk_dial("both.test", hk_addr_port(&addr), &fd), 0);
    check_peer(fd, "127.0.0.1", hk_addr_port(&addr));
    CHECK_EQ(hk_close(listener), 0);
    dns_server_stop(&dns);
    return 0;
}

/* ---- not reaching ---- */

static int when_all_fail_the_last_error_is_told(void *arg)
{
    struct dns_server dns;
    struct place p;
    hk_fd fd;

    (void)arg;
    dns_server_start(&dns);
    place_init(&p);
    CHECK_EQ(hk_dial("two.test", p.port, &fd), -ECONNREFUSED);
    CHECK_EQ(hk_dial("nx.test", p.port, &fd), -ENOENT);
    CHECK_EQ(hk_dial("fail.test", p.port, &fd), -EAGAIN);
    place_fini(&p);
    dns_server_stop(&dns);
    return 0;
}

struct dialling {
    const struct place *place;
    int rc;
};

static int dial_two(void *arg)
{
    struct dialling *d = arg;
    hk_fd fd;

    d->rc = hk_dial("two.test", d->place->port, &fd);
    if (d->rc == 0)
        CHECK_EQ(hk_close(fd), 0);
    return d->rc;
}

/* Cancelled while it asks for the name, in the first attempt, with both under way. */
static int a_cancelled_dial_leaves_nothing(void *arg)
{
    static const int64_t after_ns[] = {0, 20 * HK_MILLISECOND, 300 * HK_MILLISECOND};
    struct dns_server dns;
    struct place p;

    (void)arg;
    dns_server_start(&dns);
    place_init(&p);
    place_silence(&p, 0);
    place_silence(&p, 1);
    for (size_t i = 0; i < sizeof(after_ns) / sizeof(after_ns[0]); i++) {
        struct dialling d = {.place = &p};
        hk_scope s = HK_SCOPE_INIT;

        hk_scope_open(&s);
        CHECK_EQ(hk_spawn(&s, dial_two, &d), 0);
        CHECK_EQ(hk_sleep(after_ns[i]), 0);
        hk_scope_cancel(&s);
        CHECK_EQ(hk_scope_join(&s), 0);
        CHECK_EQ(d.rc, -ECANCELED);
    }
    place_fini(&p);
    dns_server_stop(&dns);
    return 0;
}

static int a_deadline_ends_a_dial(void *arg)
{
    struct dns_server dns;
    struct dialling d;
    struct place p;

    (void)arg;
    dns_server_start(&dns);
    place_init(&p);
    place_silence(&p, 0);
    place_silence(&p, 1);
    d = (struct dialling){.place = &p};
    run_to_the_deadline(dial_two, &d);
    CHECK_EQ(run_cancelled(dial_two, &d), -ECANCELED);
    place_fini(&p);
    dns_server_stop(&dns);
    return 0;
}

static void fail_every(const struct place *p, hk_fault kind, int error)
{
    for (uint64_t nth = 1;; nth++) {
        struct dialling d = {.place = p};
        uint64_t calls;

        hk_fault_arm(kind, nth, error);
        (void)dial_two(&d);
        calls = hk_fault_count(kind);
        hk_fault_arm(kind, 0, 0);
        CHECK(d.rc == 0 || d.rc == error || d.rc == -ECONNREFUSED);
        if (calls < nth)
            break;
    }
}

static int every_call_may_fail(void *arg)
{
    struct dns_server dns;
    struct place p;

    (void)arg;
    dns_server_start(&dns);
    place_init(&p);
    place_serve(&p, 1);
    fail_every(&p, HK_FAULT_ALLOC, -ENOMEM);
    fail_every(&p, HK_FAULT_IO, -EIO);
    place_fini(&p);
    dns_server_stop(&dns);
    return 0;
}

/* 127.0.0.1 refuses; when the torture cancels the other attempt alone, that is all that
 * there is to tell. */
static int dial_for_torture(void *arg)
{
    struct dialling d = {.place = arg};
    int rc = dial_two(&d);

    return rc == -ECONNREFUSED ? 0 : rc;
}

static void a_dial_survives_a_cancel_at_every_point(void **state)
{
    struct dns_server dns;
    struct place p;
    int point = -1;

    (void)state;
    dns_server_start(&dns);
    place_init(&p);
    place_serve(&p, 1);
    if (hk_cancel_torture(dial_for_torture, &p, NULL, &point) < 0)
        fail_msg("at point %d", point);
    place_fini(&p);
    dns_server_stop(&dns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_TASK(an_address_needs_no_race),
        ON_A_THREAD(an_address_needs_no_race),
        IN_A_TASK(the_first_address_that_answers_is_taken_alone),
        ON_A_THREAD(the_first_address_that_answers_is_taken_alone),
        IN_A_TASK(a_refusal_starts_the_next_attempt),
        ON_A_THREAD(a_refusal_starts_the_next_attempt),
        IN_A_TASK(silence_starts_the_next_attempt_after_a_quarter_second),
        ON_A_THREAD(silence_starts_the_next_attempt_after_a_quarter_second),
        IN_A_TASK(either_family_will_do),
        ON_A_THREAD(either_family_will_do),
        IN_A_TASK(when_all_fail_the_last_error_is_told),
        ON_A_THREAD(when_all_fail_the_last_error_is_told),
        IN_A_TASK(a_cancelled_dial_leaves_nothing),
        ON_A_THREAD(a_cancelled_dial_leaves_nothing),
        IN_A_TASK(a_deadline_ends_a_dial),
        ON_A_THREAD(a_deadline_ends_a_dial),
        IN_A_TASK(every_call_may_fail),
        ON_A_THREAD(every_call_may_fail),
        cmocka_unit_test(a_dial_survives_a_cancel_at_every_point),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
