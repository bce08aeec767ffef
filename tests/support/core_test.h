/* SPDX-License-Identifier: MIT */
/*
 * For the tests of core/: a TASK_TEST is one function that is the first task of a
 * runtime with a virtual clock and a checked ledger; expect_panic runs a function in a
 * child process and looks for its sentence on standard error.
 *
 * A program with panic tests has them first: a child of fork must not find a runtime.
 */
#ifndef TESTS_SUPPORT_CORE_TEST_H
#define TESTS_SUPPORT_CORE_TEST_H

#include "support/check.h"

#include <hocket.h>
#include <hocket/lowlevel.h>
#include <hocket/testing.h>

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- running a test as a task ---- */

static inline int run_virtual(hk_task_fn *fn, void *arg)
{
    hk_options options = {.virtual_clock = true, .check_ledger = true};

    return hk_run(fn, arg, &options);
}

static inline int run_workers(uint32_t workers, hk_task_fn *fn, void *arg)
{
    hk_options options = {.workers = workers, .check_ledger = true};

    return hk_run(fn, arg, &options);
}

/* The body that follows runs as the first task, on the virtual clock; it returns 0. */
#define TASK_TEST(name)                                                                \
    static int name##_body(void *unused_arg);                                          \
    static void name(void **state)                                                     \
    {                                                                                  \
        (void)state;                                                                   \
        assert_int_equal(run_virtual(name##_body, NULL), 0);                           \
    }                                                                                  \
    static int name##_body(void *unused_arg __attribute__((unused)))

/* ---- children that are often needed ---- */

/* Sleeps for ever; what the sleep returned. */
static inline int sleep_for_ever(void *arg)
{
    (void)arg;
    return hk_sleep(HK_NEVER);
}

/* Sleeps for `*(int64_t *)arg`; what the sleep returned. */
static inline int sleep_for(void *arg)
{
    return hk_sleep(*(const int64_t *)arg);
}

/* Returns `*(int *)arg` at once. */
static inline int return_it(void *arg)
{
    return *(const int *)arg;
}

static inline int count_me(void *arg)
{
    __atomic_add_fetch((int *)arg, 1, __ATOMIC_RELAXED);
    return 0;
}

/* Reads the cancel state without being a cancel point itself. */
static inline int sleep_and_swallow(void *arg)
{
    (void)arg;
    CHECK_EQ(hk_sleep(HK_NEVER), -ECANCELED);
    return 0;
}

/* For what a callback of the loop and a task share: nothing that the API promises
 * orders the two, and the logical build of TSan says so. */
static inline int peek(const int *value)
{
    return __atomic_load_n(value, __ATOMIC_ACQUIRE);
}

static inline void poke(int *value, int now)
{
    __atomic_store_n(value, now, __ATOMIC_RELEASE);
}

/* ---- panics ---- */

/* Reads until the end, at most 20 s: then `child` is killed. */
static inline void close_reading(int fd, pid_t child, char *text, size_t size)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    size_t used = 0;
    ssize_t n;

    for (;;) {
        if (poll(&readable, 1, 20000) == 0) {
            printf("# the child hangs\n");
            kill(child, SIGKILL);
            break;
        }
        n = read(fd, text + used, size - 1 - used);
        if (n <= 0)
            break;
        used += (size_t)n;
    }
    text[used] = '\0';
    close(fd);
}

/* A child that ends in the middle has leaks that are none: LSan asks this before it
 * looks. Its own stack is the task's then, and what only main's holds counts as
 * lost. */
static bool in_a_child;

int __lsan_is_turned_off(void);
__attribute__((visibility("default"))) int __lsan_is_turned_off(void)
{
    return in_a_child;
}

/* Runs fn(NULL) in a child process; its status, and what it wrote to standard error. */
static inline int run_in_child(hk_task_fn *fn, char *text, size_t size)
{
    struct rlimit no_core = {0, 0};
    int pipe_fds[2], status;
    pid_t child;

    assert_int_equal(pipe(pipe_fds), 0);
    fflush(stdout);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        in_a_child = true;
        setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGABRT, SIG_DFL); /* cmocka has its own */
        signal(SIGSEGV, SIG_DFL);
        dup2(pipe_fds[1], 2);
        close(pipe_fds[0]);
        close(pipe_fds[1]);
        _exit(fn(NULL) < 0 ? 99 : 0);
    }
    close(pipe_fds[1]);
    close_reading(pipe_fds[0], child, text, size);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

/* `fn` must end the process by abort(), saying `sentence`. */
static inline void expect_panic(hk_task_fn *fn, const char *sentence)
{
    char text[8192];
    int status = run_in_child(fn, text, sizeof(text));

    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT || !strstr(text, sentence))
        printf("# expected a panic with '%s'; status %#x, said: %s\n", sentence, status,
               text);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_non_null(strstr(text, sentence));
}

/* The body that follows, on a plain thread of a child process, must panic. */
#define PANIC_TEST(name, sentence)                                                     \
    static int name##_body(void *unused_arg);                                          \
    static void name(void **state)                                                     \
    {                                                                                  \
        (void)state;                                                                   \
        expect_panic(name##_body, sentence);                                           \
    }                                                                                  \
    static int name##_body(void *unused_arg __attribute__((unused)))

/* The same, as the first task of a runtime. */
#define PANIC_IN_A_TASK(name, sentence)                                                \
    static int name##_task(void *unused_arg);                                          \
    PANIC_TEST(name, sentence)                                                         \
    {                                                                                  \
        return run_virtual(name##_task, NULL);                                         \
    }                                                                                  \
    static int name##_task(void *unused_arg __attribute__((unused)))

/* ---- chance, time ---- */

/* xorshift64* (Vigna, 2016): the same numbers for the same seed everywhere. */
static inline uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

static inline uint64_t below(uint64_t *state, uint64_t limit)
{
    return next_random(state) % limit;
}

/* The seed of this run: HOCKET_SEED, or `seed`; said in the output. */
static inline uint64_t seed_of_run(uint64_t seed)
{
    const char *text = getenv("HOCKET_SEED");

    if (text)
        seed = strtoull(text, NULL, 0);
    printf("# seed %#llx (HOCKET_SEED replays another)\n", (unsigned long long)seed);
    return seed;
}

static inline bool is_long_run(void)
{
    return getenv("HOCKET_LONG") != NULL;
}

static inline int64_t cpu_time_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * HK_SECOND + t.tv_nsec;
}

static inline int64_t real_time_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * HK_SECOND + t.tv_nsec;
}

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#else
#define UNDER_TSAN 0
#endif
#if defined(__SANITIZE_ADDRESS__)
#define UNDER_ASAN 1
#else
#define UNDER_ASAN 0
#endif

/* How many to try, where a sanitizer makes everything slower. */
static inline int scaled(int plain, int sanitized)
{
    return UNDER_TSAN || UNDER_ASAN ? sanitized : plain;
}

#endif
