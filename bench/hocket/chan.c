/* SPDX-License-Identifier: MIT */
/* Items through a channel: on one worker, and from one worker to the other. */
#include "hocket.h"

struct transfer {
    hk_chan *chan;
    uint64_t items;
};

static int send_all(void *arg)
{
    struct transfer *t = arg;

    for (uint64_t i = 0; i < t->items; i++)
        must(hk_chan_send(t->chan, &i), "send");
    return 0;
}

static int receive_all(void *arg)
{
    struct transfer *t = arg;
    uint64_t sum = 0, item;

    for (uint64_t i = 0; i < t->items; i++) {
        must(hk_chan_recv(t->chan, &item), "receive");
        sum += item;
    }
    if (sum != t->items * (t->items - 1) / 2)
        abort();
    return 0;
}

static int on_one_worker(void *arg)
{
    struct transfer *t = arg;
    double start;
    hk_scope s;

    hk_scope_open(&s);
    hk_spawn(&s, send_all, t);
    hk_spawn(&s, receive_all, t);
    start = bench_cpu_now_ns();
    must(hk_scope_join(&s), "join");
    bench_report_cpu(start, (double)t->items);
    return 0;
}

static int on_two(void *arg)
{
    struct transfer *t = arg;
    double start = bench_wall_now_ns();

    on_two_workers(send_all, receive_all, t);
    bench_report_wall(start, (double)t->items);
    return 0;
}

static void run(size_t capacity, uint64_t items, hk_task_fn *main, unsigned workers)
{
    struct transfer t = {.items = items};
    hk_options options = {.workers = workers, .stall_ns = -1};

    must(hk_chan_new(sizeof(uint64_t), capacity, &t.chan), "hk_chan_new");
    must(hk_run(main, &t, &options), "hk_run");
    hk_chan_free(t.chan);
}

void hocket_chan0(int argc, char **args)
{
    (void)argc;
    (void)args;
    run(0, 30000000, on_one_worker, 1);
}

void hocket_chan1024(int argc, char **args)
{
    (void)argc;
    (void)args;
    run(CHAN_CAPACITY, 50000000, on_one_worker, 1);
}

void hocket_xchan(int argc, char **args)
{
    (void)argc;
    (void)args;
    run(CHAN_CAPACITY, 30000000, on_two, 2);
}
