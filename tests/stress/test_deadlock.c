/* SPDX-License-Identifier: MIT */
/*
 * Shows that no wait fails with -EDEADLK that somebody ends in the end, at the moments
 * where the census looks: tasks of two workers, plain threads and foreign threads wake
 * each other after pauses around the census' own (20 ms), and at full speed; and
 * threads come and go. And that real deadlocks that arise at random are all found.
 *
 * Run: full, limit=300
 */
#include <hocket.h>

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { ROUNDS = 60, FAST_ROUNDS = 20000 };

static void be_silent(hk_log_level level, const char *line, void *ctx)
{
    uint32_t *deadlocks = ctx;

    (void)level;
    if (strstr(line, "deadlock: no task"))
        __atomic_add_fetch(deadlocks, 1, __ATOMIC_RELAXED);
}

/* Pauses around the census' own are what is tested here: nobody waits in them for
 * another. */
static void nap_ms(unsigned ms)
{
    const struct timespec time = {.tv_nsec = (long)ms * 1000 * 1000};

    (void)nanosleep(&time, NULL);
}

/* ---- threads that wake a task after a pause ---- */

static hk_event ping, pong;

/* Known to hocket: it waits, too. */
static void *thread_answers(void *arg)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        if (hk_event_wait(&ping) != 0)
            return &ping;
        hk_event_clear(&ping);
        nap_ms(10 + i % 20);
        hk_event_set(&pong);
    }
    return arg;
}

static int asks(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        int rc;

        hk_event_set(&ping);
        rc = hk_event_wait(&pong);
        if (rc < 0)
            return rc;
        hk_event_clear(&pong);
    }
    (void)arg;
    return 0;
}

static void a_thread_that_takes_its_time_is_waited_for(void **state)
{
    pthread_t thread;
    void *result;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, thread_answers, NULL), 0);
    assert_int_equal(hk_run(asks, NULL, NULL), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_null(result);
}

/* ---- threads that live just long enough ---- */

static void *sets_and_ends(void *arg)
{
    nap_ms(20); /* about when the census looks */
    hk_event_set(arg);
    return NULL;
}

static int waits_for_short_lives(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        hk_event event = HK_EVENT_INIT;
        pthread_t thread;
        int rc;

        if (pthread_create(&thread, NULL, sets_and_ends, &event) != 0)
            return -1;
        rc = hk_event_wait(&event);
        (void)pthread_join(thread, NULL);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static void a_thread_that_ends_after_its_wake_is_waited_for(void **state)
{
    (void)state;
    assert_int_equal(hk_run(waits_for_short_lives, NULL, NULL), 0);
}

/* ---- two workers at full speed ---- */

struct table {
    hk_chan *to, *fro;
};

static int returns_balls(void *arg)
{
    struct table *table = arg;
    int rc, ball;

    while ((rc = hk_chan_recv(table->to, &ball)) == 0 && ball > 0)
        if ((rc = hk_chan_send(table->fro, &ball)) < 0)
            return rc;
    return rc;
}

static int plays(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    struct table table;
    int rc = 0, ball;

    (void)arg;
    if (hk_chan_new(sizeof(int), 0, &table.to) < 0 ||
        hk_chan_new(sizeof(int), 0, &table.fro) < 0)
        return -1;
    hk_scope_open_with(&s, HK_SCOPE_PARALLEL, NULL);
    hk_spawn(&s, returns_balls, &table);
    for (ball = FAST_ROUNDS; ball > 0 && rc == 0; ball--) {
        rc = hk_chan_send(table.to, &ball);
        if (rc == 0)
            rc = hk_chan_recv(table.fro, &ball);
    }
    ball = 0;
    if (rc == 0)
        rc = hk_chan_send(table.to, &ball);
    if (rc < 0)
        hk_scope_fail(&s, rc);
    rc = hk_scope_join(&s);
    hk_chan_free(table.to);
    hk_chan_free(table.fro);
    return rc;
}

static void two_workers_may_play_ping_pong(void **state)
{
    const hk_options options = {.workers = 2};

    (void)state;
    assert_int_equal(hk_run(plays, NULL, &options), 0);
}

/* ---- real ones ---- */

static hk_mutex locks[4];

/* Takes two in any order; gives up and tries again when told that it is stuck. */
static int takes_two(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;

    for (int i = 0; i < 40; i++) {
        hk_mutex *a = &locks[rand_r(&seed) % 4], *b = &locks[rand_r(&seed) % 4];
        int rc = hk_mutex_lock(a);

        if (rc < 0 && rc != -EDEADLK)
            return rc;
        if (rc < 0)
            continue;
        (void)hk_sleep(50 * HK_MICROSECOND); /* others get theirs */
        if (a != b && hk_mutex_lock(b) == 0)
            hk_mutex_unlock(b);
        hk_mutex_unlock(a);
    }
    return 0;
}

static void *thread_takes_two(void *arg)
{
    return takes_two(arg) == 0 ? NULL : arg;
}

static int careless(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open_with(&s, HK_SCOPE_PARALLEL, NULL);
    for (uintptr_t i = 1; i <= 6; i++)
        hk_spawn(&s, takes_two, (void *)i);
    return hk_scope_join(&s);
}

static void careless_locking_comes_to_its_end(void **state)
{
    const hk_options options = {.workers = 2};
    uint32_t deadlocks = 0;
    pthread_t thread; /* one: two could lock each other out when the tasks are gone,
                       * and the main thread is none that waits in hocket */
    void *result;

    (void)state;
    hk_log_to(be_silent, &deadlocks);
    assert_int_equal(pthread_create(&thread, NULL, thread_takes_two, (void *)7), 0);
    assert_int_equal(hk_run(careless, NULL, &options), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_null(result);
    hk_log_to(NULL, NULL);
    printf("# %u deadlocks\n", deadlocks);
    assert_true(deadlocks > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_that_takes_its_time_is_waited_for),
        cmocka_unit_test(a_thread_that_ends_after_its_wake_is_waited_for),
        cmocka_unit_test(two_workers_may_play_ping_pong),
        cmocka_unit_test(careless_locking_comes_to_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
