/* SPDX-License-Identifier: MIT */
/*
 * The floor of a channel: two coroutines on one thread and plain memory, no atomics, no
 * third party that could be waiting. xchan's floor is a lock-free ring between two
 * spinning threads: what the cache lines cost, with nobody ever going to sleep.
 */
#include "../peers/bench.h"
#include "coro.h"
#include "floor.h"
#include <pthread.h>
#include <stdatomic.h>

#ifdef CORO_HERE

#define ITEMS 100000000L

static struct coro sender, receiver, boot;
static uint64_t ring[CHAN_CAPACITY];
static uint32_t head, used;
static double start_ns;

static __attribute__((noinline)) void finish(uint64_t sum)
{
    if (sum != (uint64_t)ITEMS * (ITEMS - 1) / 2)
        abort();
    bench_report_cpu(start_ns, ITEMS);
    fflush(stdout);
    _exit(0);
}

static __attribute__((noinline)) void ring_send(uint64_t item)
{
    while (used == CHAN_CAPACITY)
        coro_switch(&sender, &receiver);
    ring[(head + used++) % CHAN_CAPACITY] = item;
}

static __attribute__((noinline)) uint64_t ring_receive(void)
{
    while (!used)
        coro_switch(&receiver, &sender);
    uint64_t item = ring[head];
    head = (head + 1) % CHAN_CAPACITY;
    used--;
    return item;
}

static void send_all(void)
{
    for (uint64_t i = 0;; i++)
        ring_send(i);
}

static void receive_all(void)
{
    uint64_t sum = 0;

    for (long i = 0; i < ITEMS; i++)
        sum += ring_receive();
    finish(sum);
}

/*
 * Unbuffered: an item passes from the sender's variable to the receiver's. Whoever
 * comes second does the copy and goes on; the other one is runnable again.
 */
static const uint64_t *offered; /* the parked sender's item */
static uint64_t *wanted;        /* the parked receiver's place */

static __attribute__((noinline)) void meet_send(uint64_t item)
{
    if (wanted) {
        *wanted = item;
        wanted = 0;
        return;
    }
    offered = &item;
    while (offered)
        coro_switch(&sender, &receiver);
}

static __attribute__((noinline)) uint64_t meet_receive(void)
{
    uint64_t item;

    if (offered) {
        item = *offered;
        offered = 0;
        return item;
    }
    wanted = &item;
    while (wanted)
        coro_switch(&receiver, &sender);
    return item;
}

static void meet_send_all(void)
{
    for (uint64_t i = 0;; i++)
        meet_send(i);
}

static void meet_receive_all(void)
{
    uint64_t sum = 0;

    for (long i = 0; i < ITEMS; i++)
        sum += meet_receive();
    finish(sum);
}

static void run(void (*send)(void), void (*receive)(void))
{
    static _Alignas(64) char stack[2][65536];

    coro_make(&sender, stack[0] + 65536, send);
    coro_make(&receiver, stack[1] + 65536 - 320, receive);
    start_ns = bench_cpu_now_ns();
    coro_switch(&boot, &sender);
}

void floor_chan0(int argc, char **args)
{
    (void)argc;
    (void)args;
    run(meet_send_all, meet_receive_all);
}

void floor_chan1024(int argc, char **args)
{
    (void)argc;
    (void)args;
    run(send_all, receive_all);
}

#endif

#define CROSS_ITEMS 50000000L

#if defined(__x86_64__)
#define CPU_PAUSE() __builtin_ia32_pause()
#else
#define CPU_PAUSE() __asm__ volatile("yield")
#endif

/* Each side keeps a copy of the other's index and looks again only when it must. */
static struct {
    _Alignas(128) atomic_ulong tail;
    unsigned long head_seen; /* sender only */
    _Alignas(128) atomic_ulong head;
    unsigned long tail_seen; /* receiver only */
    _Alignas(128) uint64_t slot[CHAN_CAPACITY];
} cross;

/*
 * Who finds the ring empty or full stays away for a while, so that the other side can
 * work on a batch: two sides in lockstep pass a cache line over for each item.
 */
static unsigned long look_again(atomic_ulong *index)
{
    for (int i = 0; i < 64; i++)
        CPU_PAUSE();
    return atomic_load_explicit(index, memory_order_acquire);
}

static void *cross_send(void *arg)
{
    (void)arg;
    bench_pin(1);
    for (unsigned long i = 0; i < CROSS_ITEMS; i++) {
        while (i - cross.head_seen == CHAN_CAPACITY)
            cross.head_seen = look_again(&cross.head);
        cross.slot[i % CHAN_CAPACITY] = i;
        atomic_store_explicit(&cross.tail, i + 1, memory_order_release);
    }
    return 0;
}

void floor_xchan(int argc, char **args)
{
    pthread_t thread;
    uint64_t sum = 0;

    (void)argc;
    (void)args;
    bench_pin(0);
    double start = bench_wall_now_ns();
    if (pthread_create(&thread, 0, cross_send, 0))
        bench_die("pthread_create");
    for (unsigned long i = 0; i < CROSS_ITEMS; i++) {
        while (i == cross.tail_seen)
            cross.tail_seen = look_again(&cross.tail);
        sum += cross.slot[i % CHAN_CAPACITY];
        atomic_store_explicit(&cross.head, i + 1, memory_order_release);
    }
    pthread_join(thread, 0);
    if (sum != (uint64_t)CROSS_ITEMS * (CROSS_ITEMS - 1) / 2)
        abort();
    bench_report_wall(start, CROSS_ITEMS);
}
