/* SPDX-License-Identifier: MIT */
/* The peer State Threads: spawn and join, parked memory, echo. */
#include "bench.h"
#include <arpa/inet.h>
#include <st.h>
#include <sys/socket.h>

static void *body(void *arg)
{
    ++*(long *)arg;
    return 0;
}

static void spawn(int argc, char **args)
{
    const long spawns = 2000000;
    long ran = 0;
    double start = bench_cpu_now_ns();

    (void)argc;
    (void)args;
    for (long i = 0; i < spawns; i++)
        st_thread_join(st_thread_create(body, &ran, 1, 0), 0);
    if (ran != spawns)
        abort();
    bench_report_cpu(start, (double)spawns);
}

static st_cond_t never;

static void *parked(void *arg)
{
    st_cond_wait(never);
    return arg;
}

static void park(int argc, char **args)
{
    long count = bench_count_arg(argc, args, 100000);
    struct bench_memory before;

    never = st_cond_new();
    before = bench_memory_now();
    for (long i = 0; i < count; i++) {
        if (!st_thread_create(parked, 0, 0, 0)) {
            fprintf(stderr, "st: no thread %ld: %s\n", i, strerror(errno));
            exit(BENCH_MISSING);
        }
    }
    st_usleep(0); /* all of them run up to their wait */
    bench_report_memory(before, (double)count);
}

static void *serve(void *arg)
{
    st_netfd_t fd = arg;
    char buffer[4096];
    ssize_t n;

    while ((n = st_read(fd, buffer, sizeof buffer, ST_UTIME_NO_TIMEOUT)) > 0) {
        if (st_write(fd, buffer, (size_t)n, ST_UTIME_NO_TIMEOUT) != n)
            break;
    }
    st_netfd_close(fd);
    return 0;
}

static void *accept_all(void *arg)
{
    st_netfd_t listener = arg;

    for (;;) {
        st_netfd_t fd = st_accept(listener, 0, 0, ST_UTIME_NO_TIMEOUT);
        if (fd)
            st_thread_create(serve, fd, 0, 0);
    }
    return 0;
}

static void echo_server(int argc, char **args)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char byte;

    (void)argc;
    (void)args;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) ||
        listen(fd, 4096) || getsockname(fd, (struct sockaddr *)&address, &len))
        bench_die("listen");
    bench_print_port(ntohs(address.sin_port));
    st_thread_create(accept_all, st_netfd_open_socket(fd), 0, 0);
    st_read(st_netfd_open(0), &byte, 1, ST_UTIME_NO_TIMEOUT);
    bench_print_cpu();
}

int main(int argc, char **argv)
{
    static const struct bench benches[] = {
        {"spawn", spawn}, {"park", park}, {"echo-server", echo_server}, {0}};

    st_set_eventsys(ST_EVENTSYS_ALT); /* epoll */
    if (st_init())
        bench_die("st_init");
    return bench_main(benches, argc, argv);
}
