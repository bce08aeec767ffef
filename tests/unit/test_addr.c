/* SPDX-License-Identifier: MIT */
/*
 * Shows that addresses survive the way to text and back, and that what is not exactly
 * an address is refused and leaves the output alone. Pure functions: no runtime.
 *
 * Run: once
 */
#include "io_test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

static void check_both_ways(const char *text, const char *want)
{
    char again[HK_ADDR_TEXT_MAX];
    hk_addr addr, twice;

    CHECK_EQ(hk_addr_parse(text, &addr), 0);
    CHECK_EQ(hk_addr_format(&addr, again, sizeof(again)), strlen(want));
    assert_string_equal(again, want);
    CHECK_EQ(hk_addr_parse(again, &twice), 0);
    CHECK_EQ(addr.len, twice.len);
    assert_memory_equal(addr.storage, twice.storage, addr.len);
}

static void addresses_survive_text(void **state)
{
    static const char *const same[] = {
        "127.0.0.1:80",
        "0.0.0.0:0",
        "255.255.255.255:65535",
        "[::1]:80",
        "[::]:0",
        "[2001:db8::ff00:42:8329]:65535",
        "[::ffff:192.0.2.128]:443",
        "[fe80::1%lo]:80",
        "unix:/run/hocket.sock",
        "unix:relative.sock",
        "unix:@abstract",
        "unix:/with:colons:80",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++)
        check_both_ways(same[i], same[i]);
    check_both_ways("*:80", "[::]:80");
    check_both_ways("[0:0:0:0:0:0:0:1]:080", "[::1]:80");
    check_both_ways("[fe80::1%1]:80", "[fe80::1%lo]:80");
    check_both_ways("[fe80::1%4000000]:80", "[fe80::1%4000000]:80");
}

static void what_is_no_address_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        ":",
        ":80",
        "80",
        "*",
        "*:",
        "*:-1",
        "*:+1",
        "*: 1",
        "*:1 ",
        "*:65536",
        "*:99999999999999999999999",
        "*:0x10",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:80:80",
        "127.1:80",
        "0177.0.0.1:80",
        "1.2.3.256:80",
        " 1.2.3.4:80",
        "localhost:80",
        "::1:80",
        "[::1]",
        "[::1]80",
        "[::1:80",
        "::1]:80",
        "[]:80",
        "[*]:80",
        "[::1]x:80",
        "[[::1]]:80",
        "[1.2.3.4]:80",
        "[fe80::1%]:80",
        "[fe80::1%0]:80",
        "[fe80::1%nosuchif]:80",
        "[fe80::1%averyveryverylongname]:80",
        "[fe80::1%4294967296]:80",
        "[1111:2222:3333:4444:5555:6666:7777:8888:9999:1111:2222:3333:4444:5555]:80",
        "unix:",
        "unix:@",
        "UNIX:/x",
        "tcp:1",
    };
    hk_addr addr;

    (void)state;
    memset(&addr, 0x5a, sizeof(addr));
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        if (hk_addr_parse(bad[i], &addr) != -EINVAL)
            fail_msg("'%s' was not refused", bad[i]);
        CHECK_EQ(addr.len, 0x5a5a5a5a);
        CHECK_EQ(addr.storage[0], 0x5a5a5a5a);
    }
}

static void unix_paths_have_a_limit(void **state)
{
    char text[256], again[HK_ADDR_TEXT_MAX];
    hk_addr addr;

    (void)state;
    for (int first = 'x'; first; first = first == 'x' ? '@' : 0) {
        memset(text, 'p', sizeof(text));
        memcpy(text, "unix:", 5);
        text[5] = (char)first;
        text[5 + 107] = '\0';
        CHECK_EQ(hk_addr_parse(text, &addr), 0);
        CHECK_EQ(hk_addr_format(&addr, again, sizeof(again)), 112);
        assert_string_equal(text, again);
        text[5 + 107] = 'p';
        text[5 + 108] = '\0';
        CHECK_EQ(hk_addr_parse(text, &addr), -EINVAL);
    }
}

static void format_needs_room(void **state)
{
    char text[16] = "untouched";
    hk_addr addr;

    (void)state;
    CHECK_EQ(hk_addr_parse("127.0.0.1:80", &addr), 0);
    for (size_t size = 0; size <= 12; size++) {
        CHECK_EQ(hk_addr_format(&addr, text, size), -ENOSPC);
        assert_string_equal(text, "untouched");
    }
    CHECK_EQ(hk_addr_format(&addr, text, 13), 12);
    assert_string_equal(text, "127.0.0.1:80");
}

static void odd_addresses_are_formatted_too(void **state)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    char text[HK_ADDR_TEXT_MAX];
    hk_addr addr = {0};

    (void)state;
    CHECK_EQ(hk_addr_format(&addr, text, sizeof(text)), 4);
    assert_string_equal(text, "none");
    CHECK_EQ(hk_addr_port(&addr), 0);
    hk_addr_set_port(&addr, 80);

    addr.len = sizeof(sa_family_t); /* the client's end of a Unix connection */
    memcpy(addr.storage, &un, sizeof(un));
    CHECK_EQ(hk_addr_format(&addr, text, sizeof(text)), 5);
    assert_string_equal(text, "unix:");

    memset(un.sun_path, 'p', sizeof(un.sun_path)); /* no NUL: the kernel allows it */
    memcpy(addr.storage, &un, sizeof(un));
    addr.len = sizeof(un);
    CHECK_EQ(hk_addr_format(&addr, text, sizeof(text)), 5 + 108);

    memcpy(un.sun_path, "\0a\0b", 4);
    memcpy(addr.storage, &un, sizeof(un));
    addr.len = sizeof(sa_family_t) + 4;
    CHECK_EQ(hk_addr_format(&addr, text, sizeof(text)), 9);
    assert_string_equal(text, "unix:@a@b");

    addr.storage[0] = 0xffffffff;
    CHECK_EQ(hk_addr_format(&addr, text, sizeof(text)), 4);
}

static void ports_are_read_and_changed(void **state)
{
    static const char *const texts[] = {"1.2.3.4:258", "[::1]:258"};
    char text[HK_ADDR_TEXT_MAX];
    hk_addr addr;

    (void)state;
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(hk_addr_parse(texts[i], &addr), 0);
        CHECK_EQ(hk_addr_port(&addr), 258);
        hk_addr_set_port(&addr, 65535);
        CHECK_EQ(hk_addr_port(&addr), 65535);
        CHECK(hk_addr_format(&addr, text, sizeof(text)) > 0);
        CHECK(strstr(text, ":65535"));
    }
    CHECK_EQ(hk_addr_parse("unix:/x", &addr), 0);
    hk_addr_set_port(&addr, 80);
    CHECK_EQ(hk_addr_port(&addr), 0);
    CHECK(hk_addr_format(&addr, text, sizeof(text)) > 0);
    assert_string_equal(text, "unix:/x");
}

static void the_kernel_understands_what_was_parsed(void **state)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    hk_addr addr;

    (void)state;
    assert_int_equal(sizeof(hk_addr), 132);
    CHECK_EQ(hk_addr_parse("127.0.0.2:80", &addr), 0);
    CHECK_EQ(addr.len, sizeof(in));
    memcpy(&in, addr.storage, sizeof(in));
    CHECK_EQ(in.sin_family, AF_INET);
    CHECK_EQ(ntohs(in.sin_port), 80);
    CHECK_EQ(ntohl(in.sin_addr.s_addr), 0x7f000002);
    CHECK_EQ(hk_addr_parse("[::1%lo]:443", &addr), 0);
    CHECK_EQ(addr.len, sizeof(in6));
    memcpy(&in6, addr.storage, sizeof(in6));
    CHECK_EQ(in6.sin6_family, AF_INET6);
    CHECK_EQ(ntohs(in6.sin6_port), 443);
    CHECK_EQ(in6.sin6_scope_id, 1);
    CHECK(IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_survive_text),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(unix_paths_have_a_limit),
        cmocka_unit_test(format_needs_room),
        cmocka_unit_test(odd_addresses_are_formatted_too),
        cmocka_unit_test(ports_are_read_and_changed),
        cmocka_unit_test(the_kernel_understands_what_was_parsed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
