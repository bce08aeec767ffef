/* SPDX-License-Identifier: MIT */
/*
 * Shows that a wake is never lost, from threads and from signal handlers, before and
 * during a wait; and that a wait never ends before its time without a reason.
 */
#include "base/annotate.h"
#include "unit/poller_rig.h"

#include <signal.h>
#include <sys/resource.h>

#define FOR_EVER (-1)

static void a_wake_before_the_wait_counts(void **state)
{
    RIG(state);
    int64_t start_ns = hki_os_now_ns();

    for (int i = 0; i < 100; i++) {
        rig->ops->wake(rig->poller);
        rig->ops->wake(rig->poller);
        turn(rig, FOR_EVER);
    }
    assert_true(hki_os_now_ns() - start_ns < 5000 * MS);
}

/* One wake, one early end: the wait after it lasts its time again. */
static void a_wait_lasts_its_time(void **state)
{
    RIG(state);
    static const int64_t times_ns[] = {1, 50000, 999999, 1000001, 2500000, 20 * MS};

    rig->ops->wake(rig->poller);
    for (int i = 0; i < 3; i++)
        turn(rig, 0);
    /* The kernel takes a closed ring apart later, and interrupts who had it: the
     * rings of earlier tests must be gone. */
    for (int i = 0; i < 10; i++)
        turn(rig, 10 * MS);
    for (size_t i = 0; i < sizeof(times_ns) / sizeof(times_ns[0]); i++) {
        int64_t start_ns = hki_os_now_ns(), took_ns;

        turn(rig, times_ns[i]);
        took_ns = hki_os_now_ns() - start_ns;
        assert_true(took_ns >= times_ns[i]);
        assert_true(took_ns < times_ns[i] + 1000 * MS);
    }
}

struct waker {
    struct rig *rig;
    uint32_t sent, seen; /* atomic */
};

/* Sends the next wake when the last one was seen: each must come through. */
static void *waker_main(void *arg)
{
    struct waker *waker = arg;

    for (uint32_t i = 1; i <= (uint32_t)rounds(100000, 5000); i++) {
        __atomic_store_n(&waker->sent, i, __ATOMIC_RELEASE);
        waker->rig->ops->wake(waker->rig->poller);
        while (__atomic_load_n(&waker->seen, __ATOMIC_ACQUIRE) != i)
            sched_yield();
    }
    return NULL;
}

static void no_wake_of_another_thread_is_lost(void **state)
{
    RIG(state);
    struct waker waker = {.rig = rig};
    uint32_t last = (uint32_t)rounds(100000, 5000), seen = 0;
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, waker_main, &waker), 0);
    while (seen < last) {
        uint32_t sent = __atomic_load_n(&waker.sent, __ATOMIC_ACQUIRE);

        if (sent == seen) {
            turn(rig, FOR_EVER);
            continue;
        }
        seen = sent;
        __atomic_store_n(&waker.seen, seen, __ATOMIC_RELEASE);
    }
    pthread_join(thread, NULL);
}

/* Many threads at once, never waiting for an answer: the owner sees all they did. */
static void *flood_main(void *arg)
{
    struct waker *waker = arg;

    for (int i = 0; i < 1000; i++) {
        __atomic_fetch_add(&waker->sent, 1, __ATOMIC_ACQ_REL);
        waker->rig->ops->wake(waker->rig->poller);
    }
    return NULL;
}

static void a_flood_of_wakes_is_coalesced(void **state)
{
    RIG(state);
    struct waker waker = {.rig = rig};
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, flood_main, &waker), 0);
    while (__atomic_load_n(&waker.sent, __ATOMIC_ACQUIRE) < 4000)
        turn(rig, FOR_EVER);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

static struct rig *signalled;
static volatile sig_atomic_t signals;

static void on_signal(int signo)
{
    (void)signo;
    signals = signals + 1;
    signalled->ops->wake(signalled->poller);
}

static void *signaller_main(void *arg)
{
    pthread_t *target = arg;

    for (int i = 0; i < 200; i++) {
        pthread_kill(*target, SIGUSR1);
        usleep(200); /* the pace: without a pause the target would do nothing else */
    }
    return NULL;
}

static void a_signal_handler_may_wake(void **state)
{
#ifdef HKI_TSAN
    skip(); /* TSan holds a signal back until its thread calls libc */
#endif
    RIG(state);
    struct sigaction handler = {.sa_handler = on_signal}, before;
    pthread_t self = pthread_self(), thread;

    signalled = rig;
    signals = 0;
    sigaction(SIGUSR1, &handler, &before);
    assert_int_equal(pthread_create(&thread, NULL, signaller_main, &self), 0);
    while (signals < 100) /* some of them coalesce */
        turn(rig, FOR_EVER);
    pthread_join(thread, NULL);
    sigaction(SIGUSR1, &before, NULL);
}

static void the_ring_tells_when_it_is_quiet(void **state)
{
    RIG(state);
    char c;
    struct op op;
    int fds[2];

    if (rig->ops != &hki_poller_uring)
        skip();
    turn(rig, 0);
    assert_true(hki_poller_uring_is_quiet(rig->poller));
    rig->ops->wake(rig->poller);
    assert_false(hki_poller_uring_is_quiet(rig->poller));
    turn(rig, 0);
    unix_pair(fds);
    op = op_buf(HKI_IO_RECV, fds[0], HKI_FD_SOCKET, &c, 1);
    submit(rig, &op);
    assert_false(hki_poller_uring_is_quiet(rig->poller));
    turn(rig, 0);
    assert_true(hki_poller_uring_is_quiet(rig->poller));
    put(fds[1], "x");
    assert_false(hki_poller_uring_is_quiet(rig->poller));
    assert_int_equal(finish(rig, &op), 1);
    assert_true(hki_poller_uring_is_quiet(rig->poller));
    close_pair(fds);
}

/* No descriptors left: an error, and nothing is leaked. */
static void init_reports_that_descriptors_are_out(void **state)
{
    RIG(state);
    struct rlimit limit, small;
    struct hki_poller *poller = NULL;
    int rc, next = dup(0);

    close(next);
    getrlimit(RLIMIT_NOFILE, &limit);
    for (rlim_t room = 0; room < 2; room++) {
        small = (struct rlimit){(rlim_t)next + room, limit.rlim_max};
        setrlimit(RLIMIT_NOFILE, &small);
        rc = rig->ops->init(&poller);
        setrlimit(RLIMIT_NOFILE, &limit);
        assert_int_equal(rc, -EMFILE);
        assert_null(poller);
    }
    assert_int_equal(dup(0), next);
    close(next);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(a_wake_before_the_wait_counts),
        BOTH(a_wait_lasts_its_time),
        BOTH(no_wake_of_another_thread_is_lost),
        BOTH(a_flood_of_wakes_is_coalesced),
        BOTH(a_signal_handler_may_wake),
        BOTH(the_ring_tells_when_it_is_quiet),
        BOTH(init_reports_that_descriptors_are_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
