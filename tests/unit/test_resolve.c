/* SPDX-License-Identifier: MIT */
/*
 * Shows that hk_resolve answers from text and the hosts file without asking anyone,
 * that every kind of answer of a name server, silence included, has its result, that
 * none of a burst of lookups is lost, and that a lookup can be cancelled at any point
 * without a trace. How: each scenario starts its own name server (dns_server.h) and
 * runs as a task and on a plain thread.
 */
#include "dns_server.h"

enum { BURST = 500, ROOM = 64 };

/* ---- helpers ---- */

static void check_address(const hk_addr *addr, const char *want)
{
    char text[HK_ADDR_TEXT_MAX];

    CHECK(hk_addr_format(addr, text, sizeof(text)) > 0);
    if (strcmp(text, want) != 0)
        printf("# got %s, not %s\n", text, want);
    CHECK_EQ(strcmp(text, want), 0);
}

static bool has_address(const hk_addr *addrs, int count, const char *want)
{
    char text[HK_ADDR_TEXT_MAX];

    for (int i = 0; i < count; i++) {
        CHECK(hk_addr_format(&addrs[i], text, sizeof(text)) > 0);
        if (strcmp(text, want) == 0)
            return true;
    }
    return false;
}

static void check_both(const char *host)
{
    hk_addr addrs[ROOM];

    CHECK_EQ(hk_resolve(host, 80, addrs, ROOM), 2);
    CHECK(has_address(addrs, 2, "127.0.0.1:80"));
    CHECK(has_address(addrs, 2, "[::1]:80"));
}

static void check_fails(const char *host, int error)
{
    hk_addr addr, untouched;

    memset(&addr, 0x5a, sizeof(addr));
    memset(&untouched, 0x5a, sizeof(untouched));
    CHECK_EQ(hk_resolve(host, 80, &addr, 1), error);
    CHECK_EQ(memcmp(&addr, &untouched, sizeof(addr)), 0);
}

/* ---- without a server ---- */

static int text_addresses_need_no_lookup(void *arg)
{
    struct dns_server dns;
    hk_addr addrs[2];

    (void)arg;
    dns_server_start(&dns);
    CHECK_EQ(hk_resolve("192.0.2.7", 8080, addrs, 2), 1);
    check_address(&addrs[0], "192.0.2.7:8080");
    CHECK_EQ(hk_resolve("2001:db8::7", 65535, addrs, 2), 1);
    check_address(&addrs[0], "[2001:db8::7]:65535");
    CHECK_EQ(hk_resolve("::", 0, addrs, 1), 1);
    CHECK_EQ(hk_resolve("fe80::1%lo", 1, addrs, 1), 1);
    CHECK_EQ(dns_queries(&dns), 0);
    dns_server_stop(&dns);
    return 0;
}

static int what_is_no_host_name_is_refused(void *arg)
{
    static const char *const wrong[] = {
        "",          ".",     "a..b",       ".a",         "a b",       "a/b",   "*",
        "unix:/tmp", "[::1]", "::1%nosuch", "1:2:3",      "256.1.1.1", "1.2.3", "10",
        "host.12",   "a\nb",  "h\xc3\xa4",  "1.2.3.4:80", "user@host", "h:80",
    };
    char label[80], name[300];
    struct dns_server dns;
    hk_addr addr;

    (void)arg;
    dns_server_start(&dns);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        check_fails(wrong[i], -EINVAL);
    memset(label, 'a', 64);
    strcpy(label + 64, ".test");
    check_fails(label, -EINVAL);
    for (size_t i = 0; i < 255; i++)
        name[i] = i % 2 ? '.' : 'a';
    name[255] = '\0';
    check_fails(name, -EINVAL);
    CHECK_EQ(hk_resolve("127.0.0.1", 80, &addr, 0), -EINVAL);
    CHECK_EQ(dns_queries(&dns), 0);
    dns_server_stop(&dns);
    return 0;
}

static int localhost_is_asked_of_no_server(void *arg)
{
    static const char *const names[] = {"localhost", "LocalHost", "a.localhost",
                                        "localhost."};
    struct dns_server dns;
    hk_addr addrs[ROOM];

    (void)arg;
    dns_server_start(&dns);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        int count = hk_resolve(names[i], 80, addrs, ROOM);

        CHECK(count >= 1);
        CHECK(has_address(addrs, count, "127.0.0.1:80") ||
              has_address(addrs, count, "[::1]:80"));
        CHECK_EQ(hk_resolve(names[i], 80, addrs, 1), 1);
    }
    CHECK_EQ(dns_queries(&dns), 0);
    dns_server_stop(&dns);
    return 0;
}

/* ---- answers ---- */

static int both_families_are_asked_for(void *arg)
{
    struct dns_server dns;
    hk_addr addrs[ROOM];

    (void)arg;
    dns_server_start(&dns);
    check_both("both.test");
    check_both("both.test.");
    check_both("alias.test");
    CHECK_EQ(hk_resolve("two.test", 80, addrs, ROOM), 2);
    check_address(&addrs[0], "127.0.0.1:80");
    check_address(&addrs[1], "127.0.0.2:80");
    CHECK_EQ(hk_resolve("two.test", 80, addrs, 1), 1);
    check_address(&addrs[0], "127.0.0.1:80");
    dns_server_stop(&dns);
    return 0;
}

static int each_refusal_has_its_error(void *arg)
{
    struct dns_server dns;

    (void)arg;
    dns_server_start(&dns);
    check_fails("nx.test", -ENOENT);
    check_fails("empty.test", -ENOENT);
    check_fails("fail.test", -EAGAIN);
    dns_server_stop(&dns);
    return 0;
}

/* Its port was just free: nobody listens, and the kernel says so. */
static int a_server_that_is_not_there_is_no_answer(void *arg)
{
    struct dns_server dns;

    (void)arg;
    dns_server_start(&dns);
    dns_server_stop(&dns);
    check_fails("both.test", -EAGAIN);
    CHECK_EQ(setenv("HOCKET_DNS", "nonsense", 1), 0);
    check_fails("both.test", -EINVAL);
    return 0;
}

static int a_truncated_answer_is_asked_for_by_tcp(void *arg)
{
    struct dns_server dns;
    hk_addr addrs[ROOM];

    (void)arg;
    dns_server_start(&dns);
    CHECK_EQ(hk_resolve("many.test", 80, addrs, ROOM), DNS_MANY);
    CHECK(has_address(addrs, DNS_MANY, "10.1.0.59:80"));
    CHECK(__atomic_load_n(&dns.by_tcp, __ATOMIC_RELAXED) > 0);
    dns_server_stop(&dns);
    return 0;
}

static int a_lost_datagram_is_asked_for_again(void *arg)
{
    struct dns_server dns;

    (void)arg;
    dns_server_start(&dns);
    check_both("lossy.test");
    CHECK(dns_queries(&dns) >= 4);
    dns_server_stop(&dns);
    return 0;
}

static int an_answer_to_another_question_is_ignored(void *arg)
{
    struct dns_server dns;

    (void)arg;
    dns_server_start(&dns);
    check_both("forged.test");
    dns_server_stop(&dns);
    return 0;
}

/* ---- many ---- */

static int resolve_numbered(void *arg)
{
    int number = *(const int *)arg, count;
    char name[32], want[32];
    hk_addr addrs[4];

    snprintf(name, sizeof(name), "n%d.burst.test", number);
    snprintf(want, sizeof(want), "10.0.%d.%d:80", number / 256, number % 256);
    count = hk_resolve(name, 80, addrs, 4);
    CHECK_EQ(count, 2);
    CHECK(has_address(addrs, count, want));
    return 0;
}

static int no_lookup_of_a_burst_is_lost(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    struct dns_server dns;
    int numbers[BURST];

    (void)arg;
    dns_server_start(&dns);
    hk_scope_open_with(&s, HK_SCOPE_PARALLEL, "burst");
    for (int i = 0; i < BURST; i++) {
        numbers[i] = i;
        CHECK_EQ(hk_spawn(&s, resolve_numbered, &numbers[i]), 0);
    }
    CHECK_EQ(hk_scope_join(&s), 0);
    dns_server_stop(&dns);
    return 0;
}

static void a_burst_is_spread_over_workers(void **state)
{
    hk_options options = {.workers = 3, .check_ledger = true};

    (void)state;
    assert_int_equal(hk_run(no_lookup_of_a_burst_is_lost, NULL, &options), 0);
}

static void *resolve_some(void *arg)
{
    int first = *(const int *)arg;

    for (int i = first; i < first + 20; i++)
        CHECK_EQ(resolve_numbered(&i), 0);
    return NULL;
}

static int threads_and_tasks_resolve_at_once(void *arg)
{
    pthread_t threads[4];
    int firsts[4], mine = 400;
    struct dns_server dns;

    (void)arg;
    dns_server_start(&dns);
    for (int i = 0; i < 4; i++) {
        firsts[i] = i * 20;
        CHECK_EQ(pthread_create(&threads[i], NULL, resolve_some, &firsts[i]), 0);
    }
    resolve_some(&mine);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    dns_server_stop(&dns);
    return 0;
}

/* ---- cancel and faults ---- */

static int resolve_silent(void *arg)
{
    hk_addr addr;
    int rc = hk_resolve("never.test", 80, &addr, 1);

    if (arg)
        *(int *)arg = rc;
    return rc;
}

static int a_lookup_is_cancelled_while_it_waits_for_the_server(void *arg)
{
    struct dns_server dns;
    int rc = 0;

    (void)arg;
    dns_server_start(&dns);
    CHECK_EQ(cancel_while_waiting(resolve_silent, &rc), 0);
    CHECK_EQ(rc, -ECANCELED);
    dns_server_stop(&dns);
    return 0;
}

/* The yields before the cancel stop the lookup at another place each time: before the
 * pool has it, inside, while it waits. */
static int a_lookup_is_cancelled_anywhere(void *arg)
{
    struct dns_server dns;

    (void)arg;
    dns_server_start(&dns);
    for (int yields = 0; yields < 60; yields++) {
        hk_scope s = HK_SCOPE_INIT;
        int rc = 0;

        hk_scope_open(&s);
        CHECK_EQ(hk_spawn(&s, resolve_silent, &rc), 0);
        for (int i = 0; i < yields; i++)
            CHECK_EQ(hk_yield(), 0);
        hk_scope_cancel(&s);
        CHECK_EQ(hk_scope_join(&s), 0);
        CHECK_EQ(rc, -ECANCELED);
    }
    dns_server_stop(&dns);
    return 0;
}

static int a_deadline_ends_a_lookup(void *arg)
{
    struct dns_server dns;

    (void)arg;
    dns_server_start(&dns);
    run_to_the_deadline(resolve_silent, NULL);
    dns_server_stop(&dns);
    return 0;
}

static int resolve_half(void *arg)
{
    hk_addr addr;

    (void)arg;
    return hk_resolve("half.test", 80, &addr, 1);
}

/* c-ares then gives the half that it has, which must be freed. */
static int a_lookup_is_cancelled_with_half_of_its_answers(void *arg)
{
    struct dns_server dns;

    (void)arg;
    dns_server_start(&dns);
    for (int i = 0; i < 5; i++)
        run_to_the_deadline(resolve_half, NULL);
    dns_server_stop(&dns);
    return 0;
}

static int resolve_text(void *arg)
{
    hk_addr addr;

    (void)arg;
    return hk_resolve("127.0.0.1", 80, &addr, 1);
}

static int a_cancelled_caller_asks_nobody(void *arg)
{
    struct dns_server dns;

    (void)arg;
    dns_server_start(&dns);
    CHECK_EQ(run_cancelled(resolve_silent, NULL), -ECANCELED);
    CHECK_EQ(run_cancelled(resolve_text, NULL), -ECANCELED);
    CHECK_EQ(dns_queries(&dns), 0);
    dns_server_stop(&dns);
    return 0;
}

static int more_wait_than_may_run_and_all_are_cancelled(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    struct dns_server dns;
    int rcs[200] = {0};

    (void)arg;
    dns_server_start(&dns);
    hk_scope_open(&s);
    for (int i = 0; i < 200; i++)
        CHECK_EQ(hk_spawn(&s, resolve_silent, &rcs[i]), 0);
    let_others_wait();
    hk_scope_cancel(&s);
    CHECK_EQ(hk_scope_join(&s), 0);
    for (int i = 0; i < 200; i++)
        CHECK_EQ(rcs[i], -ECANCELED);
    check_both("both.test"); /* every permit came back */
    dns_server_stop(&dns);
    return 0;
}

static int no_descriptor_left_is_said(void *arg)
{
    struct dns_server dns;
    rlim_t old;

    (void)arg;
    dns_server_start(&dns);
    check_both("both.test"); /* what is opened once is open */
    old = forbid_descriptors();
    check_fails("both.test", -EMFILE);
    restore_descriptors(old);
    check_both("both.test");
    dns_server_stop(&dns);
    return 0;
}

/* Each call of a kind fails once: the lookup says that error, or succeeds. */
static void fail_every(hk_fault kind, int error)
{
    hk_addr addrs[ROOM];

    for (uint64_t nth = 1;; nth++) {
        uint64_t calls;
        int rc;

        hk_fault_arm(kind, nth, error);
        rc = hk_resolve("both.test", 80, addrs, ROOM);
        calls = hk_fault_count(kind);
        hk_fault_arm(kind, 0, 0);
        CHECK(rc == 2 || rc == error);
        if (calls < nth)
            break;
    }
}

static int every_call_may_fail(void *arg)
{
    struct dns_server dns;

    (void)arg;
    dns_server_start(&dns);
    check_both("both.test");
    fail_every(HK_FAULT_ALLOC, -ENOMEM);
    fail_every(HK_FAULT_IO, -EIO);
    check_both("both.test");
    dns_server_stop(&dns);
    return 0;
}

static int lookup_for_torture(void *arg)
{
    hk_addr addrs[ROOM];
    int rc = hk_resolve("both.test", 80, addrs, ROOM);

    (void)arg;
    return rc;
}

static void a_lookup_survives_a_cancel_at_every_point(void **state)
{
    struct dns_server dns;
    int point = -1;

    (void)state;
    dns_server_start(&dns);
    if (hk_cancel_torture(lookup_for_torture, NULL, NULL, &point) < 0)
        fail_msg("at point %d", point);
    dns_server_stop(&dns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_TASK(text_addresses_need_no_lookup),
        ON_A_THREAD(text_addresses_need_no_lookup),
        IN_A_TASK(what_is_no_host_name_is_refused),
        IN_A_TASK(localhost_is_asked_of_no_server),
        ON_A_THREAD(localhost_is_asked_of_no_server),
        IN_A_TASK(both_families_are_asked_for),
        ON_A_THREAD(both_families_are_asked_for),
        IN_A_TASK(each_refusal_has_its_error),
        ON_A_THREAD(each_refusal_has_its_error),
        IN_A_TASK(a_server_that_is_not_there_is_no_answer),
        ON_A_THREAD(a_server_that_is_not_there_is_no_answer),
        IN_A_TASK(a_truncated_answer_is_asked_for_by_tcp),
        ON_A_THREAD(a_truncated_answer_is_asked_for_by_tcp),
        IN_A_TASK(a_lost_datagram_is_asked_for_again),
        ON_A_THREAD(a_lost_datagram_is_asked_for_again),
        IN_A_TASK(an_answer_to_another_question_is_ignored),
        IN_A_TASK(no_lookup_of_a_burst_is_lost),
        ON_A_THREAD(no_lookup_of_a_burst_is_lost),
        cmocka_unit_test(a_burst_is_spread_over_workers),
        IN_A_TASK(threads_and_tasks_resolve_at_once),
        IN_A_TASK(a_lookup_is_cancelled_while_it_waits_for_the_server),
        ON_A_THREAD(a_lookup_is_cancelled_while_it_waits_for_the_server),
        IN_A_TASK(a_lookup_is_cancelled_anywhere),
        ON_A_THREAD(a_lookup_is_cancelled_anywhere),
        IN_A_TASK(a_deadline_ends_a_lookup),
        ON_A_THREAD(a_deadline_ends_a_lookup),
        IN_A_TASK(a_lookup_is_cancelled_with_half_of_its_answers),
        ON_A_THREAD(a_lookup_is_cancelled_with_half_of_its_answers),
        IN_A_TASK(a_cancelled_caller_asks_nobody),
        ON_A_THREAD(a_cancelled_caller_asks_nobody),
        IN_A_TASK(more_wait_than_may_run_and_all_are_cancelled),
        ON_A_THREAD(more_wait_than_may_run_and_all_are_cancelled),
        IN_A_TASK(no_descriptor_left_is_said),
        ON_A_THREAD(no_descriptor_left_is_said),
        IN_A_TASK(every_call_may_fail),
        ON_A_THREAD(every_call_may_fail),
        cmocka_unit_test(a_lookup_survives_a_cancel_at_every_point),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
