/* SPDX-License-Identifier: MIT */
/* The raw echo servers' common part; HOCKET_POLLER=epoll selects the second one. */
#include "../peers/bench.h"
#include "floor.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

int floor_listen(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) ||
        listen(fd, 4096) || getsockname(fd, (struct sockaddr *)&address, &len))
        bench_die("listen");
    bench_print_port(ntohs(address.sin_port));
    return fd;
}

void floor_echo_server(int argc, char **args)
{
    const char *poller = getenv("HOCKET_POLLER");
    int fd = floor_listen();

    (void)argc;
    (void)args;
    if (poller && !strcmp(poller, "epoll"))
        floor_echo_epoll(fd);
    else
        floor_echo_uring(fd);
    bench_print_cpu();
}
