/* SPDX-License-Identifier: MIT */
/* The peer libevent: timers, and echo with bufferevents, its buffered sockets. */
#include "bench.h"
#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/listener.h>

static struct event_base *base;

static void never(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
}

static void timer_set(struct event *t, uint64_t ms)
{
    struct timeval after = {.tv_sec = (time_t)(ms / 1000),
                            .tv_usec = (suseconds_t)(ms % 1000) * 1000};

    evtimer_add(t, &after);
}

static void timers(int argc, char **args)
{
    const long operations = 3000000;
    struct event *live = calloc(TIMERS_LIVE, sizeof *live);
    uint64_t seed = BENCH_SEED;

    (void)argc;
    (void)args;
    for (int i = 0; i < TIMERS_LIVE; i++) {
        evtimer_assign(&live[i], base, never, 0);
        timer_set(&live[i], bench_timer_ms(&seed));
    }
    double start = bench_cpu_now_ns();
    for (long i = 0; i < operations; i++) {
        struct event *t = &live[i % TIMERS_LIVE];

        evtimer_del(t);
        timer_set(t, bench_timer_ms(&seed));
    }
    bench_report_cpu(start, (double)operations);
}

static void echo_read(struct bufferevent *b, void *arg)
{
    (void)arg;
    bufferevent_write_buffer(b, bufferevent_get_input(b)); /* moves, does not copy */
}

static void echo_event(struct bufferevent *b, short what, void *arg)
{
    (void)arg;
    if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
        bufferevent_free(b);
}

static void echo_accept(struct evconnlistener *l, evutil_socket_t fd,
                        struct sockaddr *address, int len, void *arg)
{
    struct bufferevent *b = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);

    (void)l;
    (void)address;
    (void)len;
    (void)arg;
    bufferevent_setcb(b, echo_read, 0, echo_event, 0);
    bufferevent_enable(b, EV_READ | EV_WRITE);
}

static void echo_end(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
    event_base_loopbreak(base);
}

static void echo_server(int argc, char **args)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    struct evconnlistener *listener;

    (void)argc;
    (void)args;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = evconnlistener_new_bind(
        base, echo_accept, 0, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 4096,
        (struct sockaddr *)&address, sizeof address);
    if (!listener ||
        getsockname(evconnlistener_get_fd(listener), (struct sockaddr *)&address, &len))
        bench_die("listen");
    event_add(event_new(base, 0, EV_READ, echo_end, 0), 0);
    bench_print_port(ntohs(address.sin_port));
    event_base_dispatch(base);
    bench_print_cpu();
}

int main(int argc, char **argv)
{
    static const struct bench benches[] = {
        {"timers", timers}, {"echo-server", echo_server}, {0}};
    struct event_config *config = event_config_new();

    /* epoll changes gathered into one call per turn; no locks, we have one thread */
    event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST |
                                      EVENT_BASE_FLAG_NOLOCK);
    base = event_base_new_with_config(config);
    return base ? bench_main(benches, argc, argv) : 1;
}
