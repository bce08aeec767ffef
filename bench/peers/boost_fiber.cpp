/* SPDX-License-Identifier: MIT */
/*
 * The peer Boost.Fiber: stacks from a pool, the default round-robin scheduler, the
 * buffered channel, the unbuffered channel and the mutex.
 */
#include "bench.h"
#include <boost/fiber/all.hpp>
#include <pthread.h>

namespace fib = boost::fibers;

static long done;

static void yield_until(long limit)
{
    while (done < limit) {
        done++;
        boost::this_fiber::yield();
    }
}

static void yield_other_site(long limit)
{
    while (done < limit) {
        done++;
        boost::this_fiber::yield();
        __asm__ volatile("nop");
    }
}

static __attribute__((noinline)) void inner()
{
    boost::this_fiber::yield();
    __asm__ volatile("");
}

static __attribute__((noinline)) void outer()
{
    inner();
    __asm__ volatile("");
}

static __attribute__((noinline)) void inner_far()
{
    boost::this_fiber::yield();
    __asm__ volatile("nop");
}

static void yield_nested(long limit)
{
    while (done < limit) {
        done++;
        outer();
    }
}

static void yield_nested_far(long limit)
{
    while (done < limit) {
        done++;
        inner_far();
    }
}

static void run_two(void (*a)(long), void (*b)(long))
{
    const long limit = 20000000;
    fib::fiber first(a, limit), second(b, limit);
    double start = bench_cpu_now_ns();

    first.join();
    second.join();
    bench_report_cpu(start, (double)done);
}

static void bench_switch(int, char **)
{
    run_two(yield_until, yield_until);
}

static void switch2(int argc, char **args)
{
    if (argc > 0 && !strcmp(args[0], "nested"))
        run_two(yield_nested, yield_nested_far);
    else
        run_two(yield_until, yield_other_site);
}

static void spawn(int, char **)
{
    const long spawns = 3000000;
    boost::context::pooled_fixedsize_stack stacks(64 * 1024);
    long ran = 0;
    double start = bench_cpu_now_ns();

    for (long i = 0; i < spawns; i++) {
        fib::fiber f(fib::launch::post, std::allocator_arg, stacks, [&ran] { ran++; });
        f.join();
    }
    if (ran != spawns)
        abort();
    bench_report_cpu(start, (double)spawns);
}

template <typename Channel> static void pass_items(Channel &channel, long items)
{
    double start = bench_cpu_now_ns();
    fib::fiber sender([&channel, items] {
        for (long i = 0; i < items; i++)
            channel.push((uint64_t)i);
        channel.close();
    });
    fib::fiber receiver([&channel, items] {
        uint64_t sum = 0, item;
        while (channel.pop(item) == fib::channel_op_status::success)
            sum += item;
        if (sum != (uint64_t)items * (uint64_t)(items - 1) / 2)
            abort();
    });

    sender.join();
    receiver.join();
    bench_report_cpu(start, (double)items);
}

static void chan0(int, char **)
{
    fib::unbuffered_channel<uint64_t> channel;

    pass_items(channel, 5000000);
}

static void chan1024(int, char **)
{
    /* It keeps one slot free, and the capacity must be a power of two. */
    fib::buffered_channel<uint64_t> channel(CHAN_CAPACITY);

    pass_items(channel, 20000000);
}

static void *bystander(void *)
{
    for (;;)
        pause();
    return nullptr;
}

static void mutex(int, char **)
{
    const long locks = 30000000;
    fib::mutex m;
    pthread_t thread;

    if (pthread_create(&thread, nullptr, bystander, nullptr))
        bench_die("pthread_create");
    double start = bench_cpu_now_ns();
    for (long i = 0; i < locks; i++) {
        m.lock();
        m.unlock();
    }
    bench_report_cpu(start, (double)locks);
    fflush(stdout);
    _exit(0);
}

int main(int argc, char **argv)
{
    static const struct bench benches[] = {
        {"switch", bench_switch}, {"switch2", switch2},   {"spawn", spawn},
        {"chan0", chan0},         {"chan1024", chan1024}, {"mutex", mutex},
        {nullptr, nullptr}};

    return bench_main(benches, argc, argv);
}
