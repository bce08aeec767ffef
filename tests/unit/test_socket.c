/* SPDX-License-Identifier: MIT */
/*
 * Shows that listening, accepting and connecting work over TCP and Unix sockets, say
 * what went wrong, and leave no descriptor behind when they are refused. Everything is
 * on the loopback, with ports of the kernel's choice.
 */
#include "socket_test.h"

#include "support/emulator.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <spawn.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static const char *text_of(const hk_addr *addr)
{
    static char texts[2][HK_ADDR_TEXT_MAX];
    static int next;
    char *text = texts[next++ % 2];

    CHECK(hk_addr_format(addr, text, HK_ADDR_TEXT_MAX) > 0);
    return text;
}

/* ---- connections ---- */

/* Connects to what listens at `bound`, through `through`, and talks. */
static void check_connection(hk_fd listener, const hk_addr *through)
{
    hk_addr peer, local, seen;
    hk_fd a, b;

    CHECK_EQ(hk_connect(through, &a), 0);
    CHECK_EQ(hk_accept(listener, &peer, &b), 0);
    CHECK_EQ(hk_addr_local(a, &local), 0);
    CHECK_EQ(hk_addr_peer(b, &seen), 0);
    assert_string_equal(text_of(&peer), text_of(&seen));
    CHECK_EQ(hk_addr_port(&peer), hk_addr_port(&local));
    CHECK_EQ(hk_addr_peer(a, &seen), 0);
    assert_string_equal(text_of(&seen), text_of(through));
    CHECK_EQ(fcntl(hk_fd_number(b), F_GETFD), FD_CLOEXEC);
    talk(a, b);
    close_ends(a, b);
}

static int tcp_connects_and_talks(void *arg)
{
    hk_fd listener, a, b;
    hk_addr addr;
    int value;

    (void)arg;
    listen_anywhere(&listener, &addr);
    CHECK(hk_addr_port(&addr) != 0);
    check_connection(listener, &addr);
    CHECK_EQ(hk_connect(&addr, &a), 0);
    CHECK_EQ(hk_accept(listener, NULL, &b), 0);
    CHECK_EQ(hk_sock_get(a, IPPROTO_TCP, TCP_NODELAY, &value), 0);
    CHECK_EQ(value, 1);
    CHECK_EQ(hk_sock_get(b, IPPROTO_TCP, TCP_NODELAY, &value), 0);
    CHECK_EQ(value, 1);
    CHECK_EQ(hk_sock_get(listener, SOL_SOCKET, SO_REUSEADDR, &value), 0);
    CHECK_EQ(value, 1);
    close_ends(a, b);
    CHECK_EQ(hk_close(listener), 0);
    return 0;
}

static int ipv6_and_any_address_listen(void *arg)
{
    hk_listen_options only = {.ipv6_only = true, .backlog = 5};
    hk_addr addr = parse("[::1]:0"), mapped;
    hk_fd listener;
    uint16_t port;

    (void)arg;
    CHECK_EQ(hk_listen(&addr, NULL, &listener), 0);
    CHECK_EQ(hk_addr_local(listener, &addr), 0);
    check_connection(listener, &addr);
    CHECK_EQ(hk_close(listener), 0);

    addr = parse("*:0"); /* both families, one socket */
    CHECK_EQ(hk_listen(&addr, NULL, &listener), 0);
    CHECK_EQ(hk_addr_local(listener, &addr), 0);
    port = hk_addr_port(&addr);
    mapped = parse("127.0.0.1:0");
    hk_addr_set_port(&mapped, port);
    check_connection(listener, &mapped);
    addr = parse("[::1]:0");
    hk_addr_set_port(&addr, port);
    check_connection(listener, &addr);
    CHECK_EQ(hk_close(listener), 0);

    addr = parse("*:0");
    CHECK_EQ(hk_listen(&addr, &only, &listener), 0);
    CHECK_EQ(hk_addr_local(listener, &addr), 0);
    hk_addr_set_port(&mapped, hk_addr_port(&addr));
    {
        hk_fd none;

        CHECK_EQ(hk_connect(&mapped, &none), -ECONNREFUSED);
    }
    CHECK_EQ(hk_close(listener), 0);
    return 0;
}

static int unix_sockets_connect_by_path_and_name(void *arg)
{
    static const char *const forms[] = {"unix:/tmp/hocket-test-%d-%d",
                                        "unix:@hocket-test-%d-%d"};

    (void)arg;
    for (int i = 0; i < 2; i++) {
        hk_addr addr, peer, local;
        hk_fd listener, again, a, b;

        unix_address(&addr, forms[i]);
        CHECK_EQ(hk_connect(&addr, &a), i ? -ECONNREFUSED : -ENOENT);
        CHECK_EQ(hk_listen(&addr, NULL, &listener), 0);
        CHECK_EQ(hk_listen(&addr, NULL, &again), -EADDRINUSE);
        CHECK_EQ(hk_connect(&addr, &a), 0);
        CHECK_EQ(hk_accept(listener, &peer, &b), 0);
        assert_string_equal(text_of(&peer), "unix:");
        CHECK_EQ(hk_addr_local(b, &local), 0);
        assert_string_equal(text_of(&local), text_of(&addr));
        CHECK_EQ(hk_addr_port(&local), 0);
        talk(a, b);
        close_ends(a, b);
        CHECK_EQ(hk_close(listener), 0);
        CHECK_EQ(hk_connect(&addr, &a), -ECONNREFUSED);
        if (i == 0)
            CHECK_EQ(hk_unlink(text_of(&addr) + strlen("unix:")), 0);
    }
    return 0;
}

static int a_port_is_shared_only_when_asked(void *arg)
{
    hk_listen_options share = {.reuse_port = true};
    hk_fd one, two = HK_FD_NONE;
    hk_addr addr;

    (void)arg;
    listen_anywhere(&one, &addr);
    CHECK_EQ(hk_listen(&addr, NULL, &two), -EADDRINUSE);
    CHECK_EQ(hk_listen(&addr, &share, &two), -EADDRINUSE);
    CHECK_EQ(two.value, 0);
    CHECK_EQ(hk_close(one), 0);
    addr = parse("127.0.0.1:0");
    CHECK_EQ(hk_listen(&addr, &share, &one), 0);
    CHECK_EQ(hk_addr_local(one, &addr), 0);
    CHECK_EQ(hk_listen(&addr, &share, &two), 0);
    close_ends(one, two);
    return 0;
}

/* ---- errors ---- */

static int errors_leave_the_output_alone(void *arg)
{
    hk_addr none = {0}, far = parse("192.0.2.1:1"), addr, peer = {.len = 77};
    hk_fd fd = {77}, listener, p[2];
    int before = open_descriptors(), value = 77;

    (void)arg;
    CHECK_EQ(hk_connect(&none, &fd), -EINVAL);
    CHECK_EQ(hk_listen(&none, NULL, &fd), -EINVAL);
    CHECK_EQ(hk_listen(&far, NULL, &fd), -EADDRNOTAVAIL);
    listen_anywhere(&listener, &addr);
    CHECK_EQ(hk_close(listener), 0);
    CHECK_EQ(hk_connect(&addr, &fd), -ECONNREFUSED);
    CHECK_EQ(hk_accept(listener, &peer, &fd), -EBADF);
    CHECK_EQ(hk_shutdown(listener, SHUT_RD), -EBADF);
    CHECK_EQ(hk_addr_local(listener, &peer), -EBADF);
    CHECK_EQ(hk_addr_peer(listener, &peer), -EBADF);
    CHECK_EQ(hk_sock_set(listener, SOL_SOCKET, SO_KEEPALIVE, 1), -EBADF);
    CHECK_EQ(hk_sock_get(listener, SOL_SOCKET, SO_KEEPALIVE, &value), -EBADF);
    CHECK_EQ(hk_pipe(p), 0);
    CHECK_EQ(hk_addr_local(p[0], &peer), -ENOTSOCK);
    CHECK_EQ(hk_shutdown(p[0], SHUT_RD), -ENOTSOCK);
    CHECK_EQ(hk_sock_get(p[0], SOL_SOCKET, SO_KEEPALIVE, &value), -ENOTSOCK);
    close_ends(p[0], p[1]);
    CHECK_EQ(hk_socket_pair(p), 0);
    CHECK(hk_accept(p[0], &peer, &fd) < 0); /* no listener, and no endless loop */
    close_ends(p[0], p[1]);
    CHECK_EQ(fd.value, 77);
    CHECK_EQ(peer.len, 77);
    CHECK_EQ(value, 77);
    CHECK_EQ(open_descriptors(), before);
    return 0;
}

static int failures_of_one_connection_are_skipped(void *arg)
{
    const int errors[] = {-ECONNABORTED, -EPROTO,    -ENOPROTOOPT,  -ENETDOWN,
                          -ENETUNREACH,  -EHOSTDOWN, -EHOSTUNREACH, -ENONET};
    hk_fd listener, a, b;
    hk_addr addr;

    (void)arg;
    listen_anywhere(&listener, &addr);
    for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
        CHECK_EQ(hk_connect(&addr, &a), 0);
        hk_fault_arm(HK_FAULT_IO, 1, errors[i]);
        CHECK_EQ(hk_accept(listener, NULL, &b), 0);
        hk_fault_arm(HK_FAULT_IO, 0, 0);
        close_ends(a, b);
    }
    hk_fault_arm(HK_FAULT_IO, 1, -EPERM); /* any other is told */
    CHECK_EQ(hk_accept(listener, NULL, &b), -EPERM);
    hk_fault_arm(HK_FAULT_IO, 0, 0);
    CHECK_EQ(hk_close(listener), 0);
    return 0;
}

static int options_are_set_and_read(void *arg)
{
    hk_fd p[2];
    int value;

    (void)arg;
    tcp_pair(p);
    CHECK_EQ(hk_sock_set(p[0], SOL_SOCKET, SO_KEEPALIVE, 1), 0);
    CHECK_EQ(hk_sock_get(p[0], SOL_SOCKET, SO_KEEPALIVE, &value), 0);
    CHECK_EQ(value, 1);
    CHECK_EQ(hk_sock_set(p[0], SOL_SOCKET, 9999, 1), -ENOPROTOOPT);
    close_ends(p[0], p[1]);
    return 0;
}

static int shutdown_is_an_end_and_a_reset_an_error(void *arg)
{
    struct linger hard = {1, 0};
    hk_fd p[2];
    char buf[4];

    (void)arg;
    tcp_pair(p);
    CHECK_EQ(hk_shutdown(p[0], SHUT_WR), 0);
    CHECK_EQ(hk_read(p[1], buf, 4), 0);
    CHECK_EQ(hk_write(p[0], "x", 1), -EPIPE);
    CHECK_EQ(hk_write(p[1], "late", 4), 4); /* the other way still works */
    CHECK_EQ(hk_read(p[0], buf, 4), 4);
    CHECK_EQ(setsockopt(hk_fd_number(p[1]), SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)),
             0);
    CHECK_EQ(hk_close(p[1]), 0);
    CHECK_EQ(hk_read(p[0], buf, 4), -ECONNRESET);
    CHECK_EQ(hk_write(p[0], "x", 1), -EPIPE);
    CHECK_EQ(hk_close(p[0]), 0);
    return 0;
}

/* ---- memory ---- */

static int every_allocation_may_fail(void *arg)
{
    int before = open_descriptors(), rc = -ENOMEM;

    (void)arg;
    for (uint64_t nth = 1; rc < 0; nth++) {
        hk_fd listener, a, b;
        hk_addr addr = parse("127.0.0.1:0");

        CHECK(nth < 100);
        hk_fault_arm(HK_FAULT_ALLOC, nth, -ENOMEM);
        rc = hk_listen(&addr, NULL, &listener);
        if (rc == 0) {
            CHECK_EQ(hk_addr_local(listener, &addr), 0);
            rc = hk_connect(&addr, &a);
            if (rc == 0) {
                rc = hk_accept(listener, NULL, &b);
                CHECK_EQ(hk_close(a), 0);
            }
            if (rc == 0)
                CHECK_EQ(hk_close(b), 0);
            CHECK_EQ(hk_close(listener), 0);
        }
        hk_fault_arm(HK_FAULT_ALLOC, 0, 0);
        CHECK(rc == 0 || rc == -ENOMEM);
        CHECK_EQ(open_descriptors(), before);
    }
    return 0;
}

/* ---- a machine without IPv6: a child of ours in which socket(2) denies it ---- */

enum { CANNOT_DENY = 77 };

static int any_address_is_ipv4_then(void *arg)
{
    hk_listen_options only = {.ipv6_only = true};
    hk_addr any = parse("*:0"), one = parse("[::1]:0"), local;
    hk_fd listener, udp;

    (void)arg;
    CHECK_EQ(hk_listen(&one, NULL, &listener), -EAFNOSUPPORT);
    CHECK_EQ(hk_listen(&any, &only, &listener), -EAFNOSUPPORT);
    CHECK_EQ(hk_connect(&one, &listener), -EAFNOSUPPORT);
    CHECK_EQ(hk_udp_open(&any, &udp), 0);
    CHECK_EQ(hk_close(udp), 0);
    CHECK_EQ(hk_listen(&any, NULL, &listener), 0);
    CHECK_EQ(hk_addr_local(listener, &local), 0);
    any = parse("127.0.0.1:0");
    hk_addr_set_port(&any, hk_addr_port(&local));
    check_connection(listener, &any);
    CHECK_EQ(hk_close(listener), 0);
    return 0;
}

static int run_without_ipv6(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof(code) / sizeof(*code), code};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0)
        return CANNOT_DENY;
    return hk_run(any_address_is_ipv4_then, NULL, NULL) == 0 ? 0 : 1;
}

static void any_address_without_ipv6_is_ipv4(void **state)
{
    char *args[] = {(char[]){"test"}, (char[]){"without-ipv6"}, NULL};
    int status;
    pid_t pid;

    (void)state;
    skip_if_emulated("cannot start this program anew, nor filters its calls");
    CHECK_EQ(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, args, environ), 0);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == CANNOT_DENY)
        skip();
    CHECK_EQ(status, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        IN_A_TASK(tcp_connects_and_talks),
        ON_A_THREAD(tcp_connects_and_talks),
        IN_A_TASK(ipv6_and_any_address_listen),
        IN_A_TASK(unix_sockets_connect_by_path_and_name),
        ON_A_THREAD(unix_sockets_connect_by_path_and_name),
        IN_A_TASK(a_port_is_shared_only_when_asked),
        IN_A_TASK(errors_leave_the_output_alone),
        ON_A_THREAD(errors_leave_the_output_alone),
        IN_A_TASK(failures_of_one_connection_are_skipped),
        ON_A_THREAD(failures_of_one_connection_are_skipped),
        IN_A_TASK(options_are_set_and_read),
        IN_A_TASK(shutdown_is_an_end_and_a_reset_an_error),
        ON_A_THREAD(shutdown_is_an_end_and_a_reset_an_error),
        IN_A_TASK(every_allocation_may_fail),
        cmocka_unit_test(any_address_without_ipv6_is_ipv4),
    };

    if (argc == 2 && strcmp(argv[1], "without-ipv6") == 0)
        return run_without_ipv6();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
