/* SPDX-License-Identifier: MIT */
/*
 * Shows that a worker can be sampled at any instruction: two threads make it record
 * its stack as fast as they can while its tasks switch, start, end, recurse, allocate
 * and do I/O. Every sample is answered, and none disturbs what the tasks count.
 *
 * Run: full, builds=plain asan clang
 */
#include "sys/backtrace.h"
#include "sys/os.h"

#include <hocket.h>

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { SECONDS = 3 };

static uint32_t over; /* atomic */
static int worker_thread_id;
static uint64_t taken[2], refused[2], shallow[2];

static void *sampler(void *arg)
{
    uintptr_t me = (uintptr_t)arg;

    while (!__atomic_load_n(&over, __ATOMIC_RELAXED)) {
        struct hki_sample sample;

        if (!hki_sample_take(worker_thread_id, HK_SECOND, &sample)) {
            refused[me]++;
            continue;
        }
        taken[me]++;
        shallow[me] += sample.frames.count < 2;
        if (sample.note[0] == '\0')
            abort();
    }
    return NULL;
}

/* ---- what the worker is busy with ---- */

static int64_t end_ns;

static bool is_time(void)
{
    return hk_now() >= end_ns;
}

static int switches(void *arg)
{
    uint64_t *count = arg;

    while (!is_time()) {
        ++*count;
        (void)hk_yield();
    }
    return 0;
}

static __attribute__((noinline)) int recurses(int depth)
{
    volatile int keep = depth;

    return depth > 0 ? recurses(depth - 1) + keep : keep;
}

static int computes(void *arg)
{
    (void)arg;
    while (!is_time()) {
        if (recurses(200) != 200 * 201 / 2)
            return -1;
        (void)hk_yield();
    }
    return 0;
}

static int allocates(void *arg)
{
    char text[100];

    (void)arg;
    while (!is_time()) {
        char *block = malloc((size_t)(rand() % 5000) + 100);

        (void)snprintf(block, 100, "%d %s %f", rand(), "text", 3.5);
        memcpy(text, block, sizeof(text));
        free(block);
        (void)hk_sleep(10 * HK_MICROSECOND);
    }
    return 0;
}

static int leaves(void *arg)
{
    ++*(uint64_t *)arg;
    return 0;
}

static int spawns(void *arg)
{
    (void)arg;
    while (!is_time()) {
        uint64_t left = 0;
        hk_scope s = HK_SCOPE_INIT;

        hk_scope_open(&s);
        for (int i = 0; i < 20; i++)
            hk_spawn(&s, leaves, &left);
        if (hk_scope_join(&s) != 0 || left != 20)
            return -1;
    }
    return 0;
}

static int pumps(void *arg)
{
    hk_fd in, out;
    int fds[2];

    (void)arg;
    if (pipe(fds) < 0 || hk_fd_adopt(fds[0], HK_FD_STREAM, &in) < 0 ||
        hk_fd_adopt(fds[1], HK_FD_STREAM, &out) < 0)
        return -1;
    for (uint64_t sent = 1, got = 0; !is_time(); sent++)
        if (hk_write(out, &sent, sizeof(sent)) != sizeof(sent) ||
            hk_read(in, &got, sizeof(got)) != sizeof(got) || got != sent)
            return -1;
    (void)hk_close(in);
    return hk_close(out);
}

static int app(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    pthread_t threads[2];
    uint64_t counts[2] = {0, 0};
    int rc;

    (void)arg;
    worker_thread_id = hki_os_thread_id();
    end_ns = hk_now() + SECONDS * HK_SECOND;
    for (uintptr_t i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, sampler, (void *)i) != 0)
            return -1;
    hk_scope_open(&s);
    hk_spawn(&s, switches, &counts[0]);
    hk_spawn(&s, switches, &counts[1]);
    hk_spawn(&s, computes, NULL);
    hk_spawn(&s, allocates, NULL);
    hk_spawn(&s, spawns, NULL);
    hk_spawn(&s, pumps, NULL);
    rc = hk_scope_join(&s);
    __atomic_store_n(&over, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < 2; i++)
        (void)pthread_join(threads[i], NULL);
    return rc < 0 ? rc : counts[0] == 0 || counts[1] == 0;
}

static void a_worker_can_be_sampled_at_any_instruction(void **state)
{
    const hk_options options = {.check_ledger = true};
    uint64_t all;

    (void)state;
    assert_int_equal(hk_run(app, NULL, &options), 0);
    all = taken[0] + taken[1];
    printf("# %llu samples, %llu with one frame, %llu refused\n",
           (unsigned long long)all, (unsigned long long)(shallow[0] + shallow[1]),
           (unsigned long long)(refused[0] + refused[1]));
    /* Refused: its thread did not get the processor in time. */
    assert_true((refused[0] + refused[1]) * 100 < all);
    assert_true(all > 100);
    assert_true((shallow[0] + shallow[1]) * 10 < all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_worker_can_be_sampled_at_any_instruction),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
