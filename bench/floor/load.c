/* SPDX-License-Identifier: MIT */
/*
 * The echo bench's load: `load PORT CONNECTIONS PIPELINE SECONDS [SERVER_PID]`.
 *
 * Every connection keeps PIPELINE messages of 64 bytes in flight: as many as come back
 * are sent again, in one send. After all connections have been answered, the timed
 * window starts; at its ends the load itself reads the server's CPU time and the busy
 * time of the cores, so that neither start-up nor connecting is counted. Pinned to
 * core 1; the harness has put the server on core 0. Prints
 *
 *     requests N seconds S cpu_ns C busy0 B busy1 B
 *
 * where cpu_ns is the server's in the window (all its threads; 0 without SERVER_PID)
 * and busy is a core's busy share in it.
 *
 * epoll, because it must be the same load on every kernel; edge-triggered and never a
 * second receive, so that it keeps up with a server.
 */
#include "../peers/bench.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define MESSAGE_BYTES 64
#define BUFFER_BYTES 16384
#define EVENTS 256

static char buffer[BUFFER_BYTES];
static unsigned *partial; /* by fd: bytes of a message that has not come back whole */

/* CPU time of all threads of the server. Not from /proc: that lags by up to a tick. */
static double process_cpu_ns(pid_t pid)
{
    clockid_t clock;

    if (!pid)
        return 0;
    errno = clock_getcpuclockid(pid, &clock);
    if (errno)
        bench_die("clock_getcpuclockid");
    return bench_clock_ns(clock);
}

struct core {
    double busy, all; /* clock ticks since boot */
};

static void read_cores(struct core core[2])
{
    FILE *f = fopen("/proc/stat", "r");
    char line[512];

    if (!f)
        bench_die("/proc/stat");
    while (fgets(line, sizeof line, f)) {
        double v[8];
        int cpu;

        if (sscanf(line, "cpu%d %lf %lf %lf %lf %lf %lf %lf %lf", &cpu, &v[0], &v[1],
                   &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]) != 9 ||
            cpu < 0 || cpu > 1)
            continue;
        core[cpu].busy = v[0] + v[1] + v[2] + v[5] + v[6] + v[7];
        core[cpu].all = core[cpu].busy + v[3] + v[4];
    }
    fclose(f);
}

static double share(struct core before, struct core after)
{
    double all = after.all - before.all;

    return all > 0 ? (after.busy - before.busy) / all : 0;
}

static int connect_to(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_port = htons((uint16_t)port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address))
        bench_die("connect");
    /* Nagle would hold back the tail of a pipeline until the server's ack. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void send_messages(int fd, unsigned count)
{
    size_t len = (size_t)count * MESSAGE_BYTES;

    if (count && send(fd, buffer, len, MSG_NOSIGNAL) != (ssize_t)len)
        bench_die("send");
}

/* Takes what came back and sends as many messages again; returns how many. */
static unsigned turn_around(int fd)
{
    ssize_t n = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
    unsigned whole;

    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n <= 0) {
        fprintf(stderr, "load: the server closed a connection\n");
        exit(1);
    }
    whole = (partial[fd] + (unsigned)n) / MESSAGE_BYTES;
    partial[fd] = (partial[fd] + (unsigned)n) % MESSAGE_BYTES;
    send_messages(fd, whole);
    return whole;
}

static unsigned run_turn(int epoll)
{
    struct epoll_event events[EVENTS];
    int ready = epoll_wait(epoll, events, EVENTS, 5000);
    unsigned requests = 0;

    if (ready == 0) {
        fprintf(stderr, "load: no answer for 5 seconds\n");
        exit(1);
    }
    for (int i = 0; i < ready; i++)
        requests += turn_around(events[i].data.fd);
    return requests;
}

int main(int argc, char **argv)
{
    struct core before[2] = {{0}}, after[2] = {{0}};
    pid_t pid = argc > 5 ? (pid_t)atol(argv[5]) : 0;
    long connections, pipeline;
    double seconds, start, end, cpu;
    unsigned long requests = 0, warm = 0;
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    if (argc < 5) {
        fprintf(stderr, "usage: load PORT CONNECTIONS PIPELINE SECONDS [PID]\n");
        return 2;
    }
    connections = atol(argv[2]);
    pipeline = atol(argv[3]);
    seconds = atof(argv[4]);
    partial = calloc((size_t)connections + 64, sizeof *partial);
    if (!partial || epoll < 0)
        bench_die("load");
    bench_pin(1);
    for (long i = 0; i < connections; i++) {
        struct epoll_event e = {.events = EPOLLIN | EPOLLET};
        e.data.fd = connect_to(atoi(argv[1]));
        if (e.data.fd >= connections + 64 ||
            epoll_ctl(epoll, EPOLL_CTL_ADD, e.data.fd, &e))
            bench_die("epoll_ctl");
        send_messages(e.data.fd, (unsigned)pipeline);
    }
    while (warm < 4UL * (unsigned long)connections * (unsigned long)pipeline)
        warm += run_turn(epoll);
    cpu = process_cpu_ns(pid);
    read_cores(before);
    start = bench_wall_now_ns();
    do {
        requests += run_turn(epoll);
        end = bench_wall_now_ns();
    } while (end - start < seconds * 1e9);
    read_cores(after);
    cpu = process_cpu_ns(pid) - cpu;
    printf("requests %lu seconds %.6f cpu_ns %.0f busy0 %.2f busy1 %.2f\n", requests,
           (end - start) / 1e9, cpu, share(before[0], after[0]),
           share(before[1], after[1]));
    return 0;
}
