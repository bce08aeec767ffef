/* SPDX-License-Identifier: MIT */
/*
 * Shows what the watchman reports: a task that holds its worker is named once for each
 * stall, with the function it is in, also after a long idle time; the event loop is
 * named when a callback holds it; a task that sleeps, or yields, is not. And that
 * SIGQUIT prints the dump from inside a busy loop, and belongs to the program before,
 * after, and when it had a handler of its own. Tasks are busy until the report has come
 * (or for ten seconds, which fails). Each scenario is a child process.
 */
#include "base/annotate.h"
#include "child.h"

#include <hocket.h>
#include <hocket/inspect.h>
#include <hocket/lowlevel.h>

#include <poll.h>
#include <pthread.h>

#define NOINLINE __attribute__((noinline))

enum { STALL_MS = 30 };

static const hk_options short_stall = {.stall_ns = STALL_MS * HK_MILLISECOND};

/* ---- the log, counted ---- */

static uint32_t stalls_reported; /* atomic */

static void log_line(hk_log_level level, const char *line, void *ctx)
{
    (void)ctx;
    (void)dprintf(STDERR_FILENO, "%s\n", line);
    if (level == HK_LOG_WARNING && strstr(line, "without waiting"))
        __atomic_add_fetch(&stalls_reported, 1, __ATOMIC_SEQ_CST);
}

static __thread volatile int spins;

/* Busy until `count` stalls were reported. True when they were. */
static NOINLINE bool spins_until_reported(uint32_t count)
{
    int64_t end_ns = hk_now() + 10 * HK_SECOND;

    while (__atomic_load_n(&stalls_reported, __ATOMIC_SEQ_CST) < count) {
        spins = spins + 1;
#ifdef HKI_TSAN
        (void)poll(NULL, 0, 0); /* it holds signals back until such a call */
#endif
        if (hk_now() > end_ns)
            return false;
    }
    return true;
}

static void spin_for(int64_t duration_ns)
{
    int64_t end_ns = hk_now() + duration_ns;

    while (hk_now() < end_ns)
        spins = spins + 1;
}

static int run(hk_task_fn *fn, const hk_options *options)
{
    hk_log_to(log_line, NULL);
    return hk_run(fn, NULL, options) == 0 ? 0 : 1;
}

/* ---- stalls ---- */

static int hog(void *arg)
{
    (void)arg;
    return spins_until_reported(1) ? 0 : -1;
}

static int one_hog(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open(&s);
    hk_spawn_named(&s, "hog", hog, NULL, NULL);
    return hk_scope_join(&s);
}

static int body_one_hog(void)
{
    return run(one_hog, &short_stall);
}

static void a_task_that_holds_its_worker_is_named(void **state)
{
    struct child child = run_child(body_one_hog);

    (void)state;
    expect_exit(&child, 0);
    expect_words(&child, "task 'hog' has held worker 0 for ");
    expect_words(&child, " ms without waiting:");
#ifndef HKI_TSAN
    expect_words(&child, "spins_until_reported+");
    expect_words(&child, "hog+");
#endif
}

static int stalls_twice(void *arg)
{
    hk_stats stats;

    (void)arg;
    if (!spins_until_reported(1))
        return -1;
    spin_for(4 * STALL_MS * HK_MILLISECOND); /* the same stall */
    if (__atomic_load_n(&stalls_reported, __ATOMIC_SEQ_CST) != 1)
        return -2;
    (void)hk_sleep(HK_MILLISECOND);
    if (!spins_until_reported(2))
        return -3;
    hk_stats_read(&stats);
    return stats.stalls == 2 ? 0 : -4;
}

static int body_stalls_twice(void)
{
    return run(stalls_twice, &short_stall);
}

static void a_stall_is_reported_once(void **state)
{
    struct child child = run_child(body_stalls_twice);

    (void)state;
    expect_exit(&child, 0);
}

static int idles_then_stalls(void *arg)
{
    (void)arg;
    (void)hk_sleep(10 * STALL_MS * HK_MILLISECOND); /* the watchman falls asleep */
    return spins_until_reported(1) ? 0 : -1;
}

static int body_idles_then_stalls(void)
{
    return run(idles_then_stalls, &short_stall);
}

static void a_stall_after_an_idle_time_is_seen(void **state)
{
    struct child child = run_child(body_idles_then_stalls);

    (void)state;
    expect_exit(&child, 0);
    expect_words(&child, "task 'main' has held worker 0");
}

static uint32_t callback_is_done;

static void slow_callback(hk_timer *timer)
{
    (void)timer;
    callback_is_done = spins_until_reported(1);
}

static int stalls_in_a_callback(void *arg)
{
    hk_timer timer = {.hki_link = NULL};

    (void)arg;
    hk_timer_set(&timer, hk_now() + HK_MILLISECOND, slow_callback);
    (void)hk_sleep(2 * HK_MILLISECOND);
    return callback_is_done ? 0 : -1;
}

static int body_stalls_in_a_callback(void)
{
    return run(stalls_in_a_callback, &short_stall);
}

static void a_callback_that_holds_the_loop_is_named(void **state)
{
    struct child child = run_child(body_stalls_in_a_callback);

    (void)state;
    expect_exit(&child, 0);
    expect_words(&child, "the event loop has held worker 0 for ");
#ifndef HKI_TSAN
    expect_words(&child, "slow_callback+");
#endif
}

static int far_hog(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open_with(&s, HK_SCOPE_PARALLEL, NULL);
    for (int i = 0; i < 2; i++)
        hk_spawn_named(&s, i ? "hog 1" : "hog 0", hog, NULL, NULL);
    return hk_scope_join(&s);
}

static int body_far_hog(void)
{
    hk_options options = short_stall;

    options.workers = 2;
    return run(far_hog, &options);
}

static void every_worker_is_watched(void **state)
{
    struct child child = run_child(body_far_hog);

    (void)state;
    expect_exit(&child, 0);
    expect_words(&child, "has held worker ");
}

/* ---- what is no stall ---- */

static int waits_in_turns(void *arg)
{
    (void)arg;
    (void)hk_sleep(5 * STALL_MS * HK_MILLISECOND);
    for (int64_t end_ns = hk_now() + 3 * STALL_MS * HK_MILLISECOND; hk_now() < end_ns;)
        (void)hk_yield();
    return 0;
}

static int body_waits_in_turns(void)
{
    return run(waits_in_turns, &short_stall) + (int)stalls_reported;
}

static void waiting_and_yielding_are_no_stalls(void **state)
{
    struct child child = run_child(body_waits_in_turns);

    (void)state;
    expect_exit(&child, 0);
    expect_no_words(&child, "without waiting");
}

static int spins_unwatched(void *arg)
{
    (void)arg;
    spin_for(200 * HK_MILLISECOND);
    return 0;
}

static int body_spins_unwatched(void)
{
    const hk_options never = {.stall_ns = -1};

    return run(spins_unwatched, &never) + (int)stalls_reported;
}

static void a_negative_limit_means_never(void **state)
{
    struct child child = run_child(body_spins_unwatched);

    (void)state;
    expect_exit(&child, 0);
    expect_no_words(&child, "without waiting");
}

/* ---- SIGQUIT ---- */

static uint32_t has_seen; /* atomic: the dump came out */
static int real_stderr;

/* Copies what goes to standard error, until a dump has passed. */
static void *watch_stderr(void *arg)
{
    static char text[1 << 16];
    int *fd = arg;
    size_t used = 0;
    ssize_t len;

    while (used < sizeof(text) - 1 &&
           (len = read(*fd, text + used, sizeof(text) - 1 - used)) > 0) {
        if (write(real_stderr, text + used, (size_t)len) != len)
            _exit(9);
        used += (size_t)len;
        text[used] = '\0';
        if (strstr(text, "runtime ") && strstr(text, "task 'parked'"))
            __atomic_store_n(&has_seen, 1, __ATOMIC_SEQ_CST);
        if (strstr(text, "is busy with"))
            __atomic_store_n(&has_seen, 2, __ATOMIC_SEQ_CST);
    }
    return NULL;
}

static void catch_stderr(void)
{
    static int fds[2];
    pthread_t thread;

    real_stderr = dup(STDERR_FILENO);
    if (pipe(fds) < 0 || dup2(fds[1], STDERR_FILENO) < 0 ||
        pthread_create(&thread, NULL, watch_stderr, &fds[0]) != 0)
        _exit(8);
}

static int parked(void *arg)
{
    return hk_event_wait(arg);
}

static NOINLINE bool spins_until_seen(uint32_t what)
{
    int64_t end_ns = hk_now() + 10 * HK_SECOND;

    while (__atomic_load_n(&has_seen, __ATOMIC_SEQ_CST) < what && hk_now() < end_ns) {
        spins = spins + 1;
#ifdef HKI_TSAN
        (void)poll(NULL, 0, 0);
#endif
    }
    return __atomic_load_n(&has_seen, __ATOMIC_SEQ_CST) >= what;
}

static bool sleeps_until_seen(uint32_t what)
{
    for (int i = 0; i < 1000; i++) {
        if (__atomic_load_n(&has_seen, __ATOMIC_SEQ_CST) >= what)
            return true;
        (void)hk_sleep(10 * HK_MILLISECOND);
    }
    return false;
}

static int quits(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_event event = HK_EVENT_INIT;

    (void)arg;
    event.name = "morning";
    hk_scope_open(&s);
    hk_spawn_named(&s, "parked", parked, &event, NULL);
    (void)hk_yield();
    (void)kill(getpid(), SIGQUIT);
    if (!sleeps_until_seen(1))
        return -1;
    (void)kill(getpid(), SIGQUIT);
    if (!spins_until_seen(2))
        return -2;
    hk_event_set(&event);
    return hk_scope_join(&s);
}

static int body_quits(void)
{
    const hk_options never = {.stall_ns = -1};

    catch_stderr();
    return run(quits, &never);
}

static void sigquit_dumps_from_a_sleep_and_from_a_busy_loop(void **state)
{
    struct child child = run_child(body_quits);

    (void)state;
    expect_exit(&child, 0);
    expect_words(&child, "task 'parked'");
    expect_words(&child, "waits for event ('morning')");
    expect_words(&child, "worker 0 is busy with task 'main'");
#ifndef HKI_TSAN
    expect_words(&child, "spins_until_seen+");
#endif
}

static int users_quits;

static void users_handler(int signo)
{
    (void)signo;
    users_quits++;
}

static int raises_quit(void *arg)
{
    (void)arg;
    (void)raise(SIGQUIT);
    return users_quits == 1 ? 0 : -1;
}

static bool quit_is(void (*handler)(int))
{
    struct sigaction now;

    (void)sigaction(SIGQUIT, NULL, &now);
    return now.sa_handler == handler;
}

static int body_own_handler(void)
{
    (void)signal(SIGQUIT, users_handler);
    if (run(raises_quit, NULL) != 0)
        return 1;
    return quit_is(users_handler) ? 0 : 2;
}

static void the_programs_own_handler_is_left_alone(void **state)
{
    struct child child = run_child(body_own_handler);

    (void)state;
    expect_exit(&child, 0);
    expect_no_words(&child, "runtime ");
}

static int looks_at_quit(void *arg)
{
    (void)arg;
    return quit_is(SIG_DFL) ? -1 : 0;
}

static int body_restored(void)
{
    if (run(looks_at_quit, NULL) != 0)
        return 1;
    if (!quit_is(SIG_DFL))
        return 2;
    (void)raise(SIGQUIT);
    return 3;
}

static void after_the_last_runtime_sigquit_quits_again(void **state)
{
    struct child child = run_child(body_restored);

    (void)state;
    child_expect(&child, WIFSIGNALED(child.status) && WTERMSIG(child.status) == SIGQUIT,
                 "the child is ended by SIGQUIT");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_that_holds_its_worker_is_named),
        cmocka_unit_test(a_stall_is_reported_once),
        cmocka_unit_test(a_stall_after_an_idle_time_is_seen),
        cmocka_unit_test(a_callback_that_holds_the_loop_is_named),
        cmocka_unit_test(every_worker_is_watched),
        cmocka_unit_test(waiting_and_yielding_are_no_stalls),
        cmocka_unit_test(a_negative_limit_means_never),
        cmocka_unit_test(sigquit_dumps_from_a_sleep_and_from_a_busy_loop),
        cmocka_unit_test(the_programs_own_handler_is_left_alone),
        cmocka_unit_test(after_the_last_runtime_sigquit_quits_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
