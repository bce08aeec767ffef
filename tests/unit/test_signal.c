/* SPDX-License-Identifier: MIT */
/*
 * Shows that every watch gets each of its signals once, that none is lost to a cancel
 * or to another watch, and that dispositions come back as they were. How: signals are
 * raised by the test itself, so that their handler has run when raise() returns; each
 * scenario runs as a task and on a plain thread.
 *
 * ThreadSanitizer hands a signal on late: there "has run" holds for raise() alone,
 * which is why no scenario but the storm sends one from afar.
 */
#include "io_test.h"

#include <pthread.h>
#include <sys/wait.h>

enum { STORM_THREADS = 4, STORM_ROUNDS = 300, PING_ROUNDS = 1000 };

static hk_signals *watch_new(int signo)
{
    hk_signals *watch = NULL;

    CHECK_EQ(hk_signals_new(&signo, 1, &watch), 0);
    return watch;
}

static void check_no_signal(hk_signals *watch)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    hk_scope_deadline(&s, hk_now() + HK_MILLISECOND);
    CHECK_EQ(hk_signals_wait(watch), -ECANCELED);
    CHECK_EQ(hk_scope_join(&s), -ETIMEDOUT);
}

static int each_watch_gets_each_signal(void *arg)
{
    int both[] = {SIGUSR1, SIGUSR2, SIGUSR1};
    hk_signals *one = watch_new(SIGUSR1), *two = watch_new(SIGUSR1), *all;

    (void)arg;
    CHECK_EQ(hk_signals_new(both, 3, &all), 0);
    CHECK_EQ(raise(SIGUSR1), 0);
    CHECK_EQ(hk_signals_wait(one), SIGUSR1);
    CHECK_EQ(hk_signals_wait(two), SIGUSR1);
    CHECK_EQ(hk_signals_wait(all), SIGUSR1);
    CHECK_EQ(raise(SIGUSR2), 0);
    CHECK_EQ(hk_signals_wait(all), SIGUSR2);
    check_no_signal(one);
    check_no_signal(all);
    hk_signals_free(two);
    CHECK_EQ(raise(SIGUSR1), 0);
    CHECK_EQ(hk_signals_wait(one), SIGUSR1);
    hk_signals_free(one);
    hk_signals_free(all);
    hk_signals_free(NULL);
    return 0;
}

static int the_same_signal_twice_counts_once(void *arg)
{
    int signos[] = {SIGUSR2, SIGUSR1, SIGRTMIN, SIGRTMIN + 1};
    hk_signals *watch;

    (void)arg;
    CHECK_EQ(hk_signals_new(signos, 4, &watch), 0);
    for (int i = 0; i < 3; i++)
        for (int k = 3; k >= 0; k--)
            CHECK_EQ(raise(signos[k]), 0);
    CHECK_EQ(hk_signals_wait(watch), SIGUSR1);
    CHECK_EQ(hk_signals_wait(watch), SIGUSR2);
    CHECK_EQ(raise(SIGUSR1), 0);
    CHECK_EQ(hk_signals_wait(watch), SIGUSR1);
    CHECK_EQ(hk_signals_wait(watch), SIGRTMIN);
    CHECK_EQ(hk_signals_wait(watch), SIGRTMIN + 1);
    check_no_signal(watch);
    hk_signals_free(watch);
    return 0;
}

static int what_cannot_be_watched_is_refused(void *arg)
{
    static const int wrong[] = {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL,
                                0,       -1,      32,      33,     65,     1000000};
    struct sigaction before, after;
    hk_signals *watch = NULL;

    (void)arg;
    CHECK_EQ(sigaction(SIGUSR1, NULL, &before), 0);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        int signos[] = {SIGUSR1, wrong[i]};

        CHECK_EQ(hk_signals_new(signos, 2, &watch), -EINVAL);
        CHECK(!watch);
    }
    CHECK_EQ(hk_signals_new(wrong, 0, &watch), -EINVAL);
    CHECK_EQ(sigaction(SIGUSR1, NULL, &after), 0);
    CHECK(before.sa_handler == after.sa_handler);
    return 0;
}

static void own_handler(int signo)
{
    (void)signo;
}

static void check_handler(void (*want)(int))
{
    struct sigaction now;

    CHECK_EQ(sigaction(SIGUSR1, NULL, &now), 0);
    CHECK(now.sa_handler == want);
}

static int the_last_watch_restores_the_disposition(void *arg)
{
    void (*const formers[])(int) = {SIG_IGN, own_handler, SIG_DFL};

    (void)arg;
    for (size_t i = 0; i < 3; i++) {
        struct sigaction action = {.sa_handler = formers[i]}, now;
        hk_signals *one, *two;

        CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
        one = watch_new(SIGUSR1);
        two = watch_new(SIGUSR1);
        CHECK_EQ(sigaction(SIGUSR1, NULL, &now), 0);
        CHECK(now.sa_handler != formers[i]);
        CHECK(now.sa_flags & SA_RESTART);
        hk_signals_free(one);
        check_handler(now.sa_handler);
        hk_signals_free(two);
        check_handler(formers[i]);
    }
    return 0;
}

/* ---- waiting ---- */

struct waiting {
    hk_signals *watch;
    int rc;
};

static int wait_once(void *arg)
{
    struct waiting *w = arg;

    w->rc = hk_signals_wait(w->watch);
    return w->rc < 0 ? w->rc : 0;
}

static int a_cancelled_wait_takes_no_signal(void *arg)
{
    struct waiting w = {.watch = watch_new(SIGUSR1)};

    (void)arg;
    CHECK_EQ(cancel_while_waiting(wait_once, &w), 0);
    CHECK_EQ(w.rc, -ECANCELED);
    CHECK_EQ(raise(SIGUSR1), 0);
    CHECK_EQ(run_cancelled(wait_once, &w), -ECANCELED);
    CHECK_EQ(hk_signals_wait(w.watch), SIGUSR1);
    run_to_the_deadline(wait_once, &w);
    hk_signals_free(w.watch);
    return 0;
}

/* Whoever is faster: the signal is told, or it is still there. */
static int a_signal_that_races_a_cancel_is_not_lost(void *arg)
{
    struct waiting w = {.watch = watch_new(SIGUSR1)};

    (void)arg;
    for (int i = 0; i < 100; i++) {
        hk_scope s = HK_SCOPE_INIT;

        hk_scope_open(&s);
        CHECK_EQ(hk_spawn(&s, wait_once, &w), 0);
        let_others_wait();
        if (i % 2)
            CHECK_EQ(raise(SIGUSR1), 0);
        hk_scope_cancel(&s);
        if (i % 2 == 0)
            CHECK_EQ(raise(SIGUSR1), 0);
        CHECK_EQ(hk_scope_join(&s), 0);
        if (w.rc == -ECANCELED)
            w.rc = hk_signals_wait(w.watch);
        CHECK_EQ(w.rc, SIGUSR1);
    }
    check_no_signal(w.watch);
    hk_signals_free(w.watch);
    return 0;
}

static int of_several_waits_each_signal_ends_one(void *arg)
{
    int signos[] = {SIGUSR1, SIGUSR2};
    struct waiting waits[3] = {{0}};
    hk_scope s = HK_SCOPE_INIT;
    hk_signals *watch;
    int usr1 = 0, usr2 = 0, none = 0;

    (void)arg;
    CHECK_EQ(hk_signals_new(signos, 2, &watch), 0);
    hk_scope_open(&s);
    for (int i = 0; i < 3; i++) {
        waits[i].watch = watch;
        CHECK_EQ(hk_spawn(&s, wait_once, &waits[i]), 0);
    }
    let_others_wait();
    CHECK_EQ(raise(SIGUSR1), 0);
    CHECK_EQ(raise(SIGUSR2), 0);
    CHECK_EQ(hk_sleep(5 * HK_MILLISECOND), 0);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_scope_join(&s), 0);
    for (int i = 0; i < 3; i++) {
        usr1 += waits[i].rc == SIGUSR1;
        usr2 += waits[i].rc == SIGUSR2;
        none += waits[i].rc == -ECANCELED;
    }
    /* One that was too slow to take its signal before the cancel has left it there. */
    while (usr1 + usr2 < 2) {
        int signo = hk_signals_wait(watch);

        usr1 += signo == SIGUSR1;
        usr2 += signo == SIGUSR2;
        none--;
    }
    CHECK(usr1 == 1 && usr2 == 1 && none == 1);
    hk_signals_free(watch);
    return 0;
}

struct echo {
    hk_signals *ping, *pong;
};

static int answer_pings(void *arg)
{
    const struct echo *e = arg;

    for (int i = 0; i < PING_ROUNDS; i++) {
        CHECK_EQ(hk_signals_wait(e->ping), SIGUSR1);
        CHECK_EQ(raise(SIGUSR2), 0);
    }
    return 0;
}

static int no_signal_is_lost(void *arg)
{
    struct echo e = {.ping = watch_new(SIGUSR1), .pong = watch_new(SIGUSR2)};
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open(&s);
    CHECK_EQ(hk_spawn(&s, answer_pings, &e), 0);
    for (int i = 0; i < PING_ROUNDS; i++) {
        CHECK_EQ(raise(SIGUSR1), 0);
        CHECK_EQ(hk_signals_wait(e.pong), SIGUSR2);
    }
    CHECK_EQ(hk_scope_join(&s), 0);
    hk_signals_free(e.ping);
    hk_signals_free(e.pong);
    return 0;
}

/* ---- threads and processes ---- */

static void *storm_raise(void *arg)
{
    const bool *over = arg;

    while (!__atomic_load_n(over, __ATOMIC_RELAXED)) {
        CHECK_EQ(raise(SIGUSR1), 0);
        sched_yield();
    }
    return NULL;
}

/* Handlers run on several threads all the time while watches come and go. The first
 * watch stays, since without any the signal would end the process. */
static int watches_come_and_go_in_a_storm(void *arg)
{
    hk_signals *first = watch_new(SIGUSR1);
    pthread_t threads[STORM_THREADS];
    bool over = false;

    (void)arg;
    for (int i = 0; i < STORM_THREADS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, storm_raise, &over), 0);
    for (int i = 0; i < STORM_ROUNDS; i++) {
        hk_signals *one = watch_new(SIGUSR1), *two = watch_new(SIGUSR1);

        CHECK_EQ(hk_signals_wait(one), SIGUSR1);
        hk_signals_free(one);
        CHECK_EQ(hk_signals_wait(two), SIGUSR1);
        hk_signals_free(two);
    }
    __atomic_store_n(&over, true, __ATOMIC_RELAXED);
    for (int i = 0; i < STORM_THREADS; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    CHECK_EQ(hk_signals_wait(first), SIGUSR1);
    hk_signals_free(first);
    return 0;
}

static void *run_and_wait(void *arg)
{
    struct waiting w = {.watch = arg};

    CHECK_EQ(hk_run(wait_once, &w, NULL), 0);
    CHECK_EQ(w.rc, SIGUSR1);
    return NULL;
}

static void several_runtimes_and_a_thread_get_each_signal(void **state)
{
    hk_signals *watches[4];
    pthread_t threads[3];
    hk_ledger ledger;

    (void)state;
    for (int i = 0; i < 4; i++)
        watches[i] = watch_new(SIGUSR1);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, run_and_wait, watches[i]), 0);
    CHECK_EQ(raise(SIGUSR1), 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    CHECK_EQ(hk_signals_wait(watches[3]), SIGUSR1);
    for (int i = 0; i < 4; i++)
        hk_signals_free(watches[i]);
    hk_ledger_read(&ledger);
    CHECK_EQ(ledger.fds, 0);
}

/* Between fork and exec a child has our handlers and our descriptors. */
static int the_signals_of_a_forked_child_are_not_ours(void *arg)
{
    hk_signals *watch = watch_new(SIGUSR1);
    int status;
    pid_t pid = fork();

    (void)arg;
    CHECK(pid >= 0);
    if (pid == 0) {
        (void)raise(SIGUSR1);
        _exit(0);
    }
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status));
    check_no_signal(watch);
    hk_signals_free(watch);
    return 0;
}

/* ---- faults ---- */

static int a_watch_that_fails_to_open_leaves_nothing(void *arg)
{
    int signo = SIGUSR1;
    hk_signals *watch = NULL;
    struct sigaction now;
    rlim_t old;

    (void)arg;
    old = forbid_descriptors();
    CHECK_EQ(hk_signals_new(&signo, 1, &watch), -EMFILE);
    restore_descriptors(old);
    for (uint64_t nth = 1; !watch; nth++) {
        int rc;

        CHECK_EQ(sigaction(SIGUSR1, NULL, &now), 0);
        CHECK(now.sa_handler == SIG_DFL);
        hk_fault_arm(HK_FAULT_ALLOC, nth, -ENOMEM);
        rc = hk_signals_new(&signo, 1, &watch);
        hk_fault_arm(HK_FAULT_ALLOC, 0, 0);
        CHECK(rc == 0 || rc == -ENOMEM);
    }
    CHECK_EQ(raise(SIGUSR1), 0);
    CHECK_EQ(hk_signals_wait(watch), SIGUSR1);
    hk_signals_free(watch);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_TASK(each_watch_gets_each_signal),
        ON_A_THREAD(each_watch_gets_each_signal),
        IN_A_TASK(the_same_signal_twice_counts_once),
        ON_A_THREAD(the_same_signal_twice_counts_once),
        IN_A_TASK(what_cannot_be_watched_is_refused),
        IN_A_TASK(the_last_watch_restores_the_disposition),
        IN_A_TASK(a_cancelled_wait_takes_no_signal),
        ON_A_THREAD(a_cancelled_wait_takes_no_signal),
        IN_A_TASK(a_signal_that_races_a_cancel_is_not_lost),
        ON_A_THREAD(a_signal_that_races_a_cancel_is_not_lost),
        IN_A_TASK(of_several_waits_each_signal_ends_one),
        ON_A_THREAD(of_several_waits_each_signal_ends_one),
        IN_A_TASK(no_signal_is_lost),
        ON_A_THREAD(no_signal_is_lost),
        IN_A_TASK(watches_come_and_go_in_a_storm),
        ON_A_THREAD(watches_come_and_go_in_a_storm),
        cmocka_unit_test(several_runtimes_and_a_thread_get_each_signal),
        IN_A_TASK(the_signals_of_a_forked_child_are_not_ours),
        ON_A_THREAD(the_signals_of_a_forked_child_are_not_ours),
        IN_A_TASK(a_watch_that_fails_to_open_leaves_nothing),
        ON_A_THREAD(a_watch_that_fails_to_open_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
