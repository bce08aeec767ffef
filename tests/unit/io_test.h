/* SPDX-License-Identifier: MIT */
/*
 * For the tests of io/: every scenario is one function that returns 0, run as the main
 * task of a runtime whose ledger is checked (IN_A_TASK), and on a plain thread, whose
 * scopes put their children on the background runtime (ON_A_THREAD). The poller is that
 * of HOCKET_POLLER, and the test driver runs all with each.
 */
#ifndef TESTS_UNIT_IO_TEST_H
#define TESTS_UNIT_IO_TEST_H

#include "support/check.h"

#include <hocket.h>
#include <hocket/op.h>
#include <hocket/testing.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static inline void run_in_a_task(void **state)
{
    hk_task_fn *scenario = (hk_task_fn *)(uintptr_t)*state;
    hk_options options = {.check_ledger = true};

    assert_int_equal(hk_run(scenario, NULL, &options), 0);
}

static inline int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static inline void run_on_a_thread(void **state)
{
    hk_task_fn *scenario = (hk_task_fn *)(uintptr_t)*state;
    hk_scope s = HK_SCOPE_INIT;
    hk_ledger before, after;

    hk_scope_open(&s); /* so that the background runtime has its descriptors */
    assert_int_equal(hk_spawn(&s, do_nothing, NULL), 0);
    assert_int_equal(hk_scope_join(&s), 0);
    hk_ledger_read(&before);
    assert_int_equal(scenario(NULL), 0);
    hk_ledger_read(&after);
    assert_int_equal(after.fds, before.fds);
    assert_int_equal(after.ops, before.ops);
}

#define IN_A_TASK(scenario)                                                            \
    {                                                                                  \
#scenario "_in_a_task", run_in_a_task, NULL, NULL, (void *)(uintptr_t)scenario \
    }
#define ON_A_THREAD(scenario)                                                          \
    {                                                                                  \
#scenario "_on_a_thread", run_on_a_thread, NULL, NULL,                         \
            (void *)(uintptr_t)scenario                                                \
    }

/* Lets the children of the caller run until they wait: on the caller's own worker a few
 * yields do, on another one it takes time, which no scenario may depend on. */
static inline void let_others_wait(void)
{
    for (int i = 0; i < 10; i++)
        CHECK_EQ(hk_yield(), 0);
    if (hk_worker_count() != 1)
        CHECK_EQ(hk_sleep(2 * HK_MILLISECOND), 0);
}

/* Runs `fn(arg)` as a child, cancels it when it has come to wait, and joins. */
static inline int cancel_while_waiting(hk_task_fn *fn, void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    CHECK_EQ(hk_spawn(&s, fn, arg), 0);
    let_others_wait();
    hk_scope_cancel(&s);
    return hk_scope_join(&s);
}

/* Runs `fn(arg)` inside a scope that is cancelled already. */
static inline int run_cancelled(hk_task_fn *fn, void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    int rc;

    hk_scope_open(&s);
    hk_scope_cancel(&s);
    rc = fn(arg);
    CHECK_EQ(hk_scope_join(&s), 0);
    return rc;
}

/* Runs `fn(arg)`, which waits for ever, inside a scope with a deadline of 5 ms. */
static inline void run_to_the_deadline(hk_task_fn *fn, void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    int64_t begin_ns = hk_now();

    hk_scope_open(&s);
    hk_scope_deadline(&s, begin_ns + 5 * HK_MILLISECOND);
    CHECK_EQ(fn(arg), -ECANCELED);
    CHECK_EQ(hk_scope_join(&s), -ETIMEDOUT);
    CHECK(hk_now() >= begin_ns + 5 * HK_MILLISECOND);
}

/* The first error of two; 0 if there is none. So a clean-up can follow an error. */
static inline int first(int rc, int next)
{
    return rc < 0 ? rc : next < 0 ? next : 0;
}

/* Descriptors of this process that are open. */
static inline int open_descriptors(void)
{
    int count = 0;

    for (int fd = 0; fd < 4096; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* From now on no descriptor can be opened; returns the limit for
 * restore_descriptors. */
static inline rlim_t forbid_descriptors(void)
{
    struct rlimit limit;
    rlim_t old;
    int lowest_free = dup(STDERR_FILENO);

    CHECK(lowest_free >= 0);
    CHECK_EQ(close(lowest_free), 0);
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    old = limit.rlim_cur;
    limit.rlim_cur = (rlim_t)lowest_free;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return old;
}

static inline void restore_descriptors(rlim_t old)
{
    struct rlimit limit;

    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = old;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* Byte `i` of every large transfer. */
static inline unsigned char pattern(size_t i)
{
    return (unsigned char)(i * 131 + (i >> 8) * 7 + (i >> 16));
}

static inline void fill_pattern(unsigned char *buf, size_t len)
{
    for (size_t i = 0; i < len; i++)
        buf[i] = pattern(i);
}

static inline void check_pattern(const unsigned char *buf, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (buf[i] != pattern(i))
            check_failed(__FILE__, __LINE__, "byte of the pattern", buf[i], pattern(i));
}

static inline void close_both(hk_fd fds[2])
{
    CHECK_EQ(hk_close(fds[0]), 0);
    CHECK_EQ(hk_close(fds[1]), 0);
}

/* A listener on a free port of 127.0.0.1. */
static inline void listen_anywhere(hk_fd *out_listener, hk_addr *out_addr)
{
    hk_addr addr;

    CHECK_EQ(hk_addr_parse("127.0.0.1:0", &addr), 0);
    CHECK_EQ(hk_listen(&addr, NULL, out_listener), 0);
    CHECK_EQ(hk_addr_local(*out_listener, out_addr), 0);
}

/* Two ends of one TCP connection. */
static inline void tcp_pair(hk_fd out[2])
{
    hk_fd listener;
    hk_addr addr;

    listen_anywhere(&listener, &addr);
    CHECK_EQ(hk_connect(&addr, &out[0]), 0);
    CHECK_EQ(hk_accept(listener, NULL, &out[1]), 0);
    CHECK_EQ(hk_close(listener), 0);
}

#endif
