/* SPDX-License-Identifier: MIT */
/*
 * Shows when a wait that nothing can ever end fails with -EDEADLK, with a report that
 * names who waits for what: tasks on one worker and on two (plain threads are in
 * test_deadlock_threads.c). And when it must not: a timer, an operation, a job of the
 * blocking pool, an external wait or a foreign thread could still wake somebody; or
 * nobody waits. Where nothing can be undone the process ends with a sentence. Each
 * scenario is a child process, since it must know all of its threads.
 */
#include "deadlock_test.h"

#include <hocket/select.h>

/* ---- tasks ---- */

static hk_mutex first = {.name = "first"}, second = {.name = "second"};

static int waits_for_the_channel(void *arg)
{
    hk_chan *chan = arg;
    int item;

    return is_dead(hk_chan_recv(chan, &item)) ? 0 : -1;
}

static int event_and_channel(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_chan *chan;
    int rc = hk_chan_new(sizeof(int), 8, &chan);

    (void)arg;
    if (rc < 0)
        return rc;
    hk_chan_set_name(chan, "jobs");
    hk_scope_open(&s);
    hk_spawn_named(&s, "dreamer", waits_for_the_event, NULL, NULL);
    hk_spawn_named(&s, "reader", waits_for_the_channel, chan, NULL);
    rc = hk_scope_join(&s);
    hk_chan_free(chan);
    return rc;
}

static int body_event_and_channel(void)
{
    return hk_run(event_and_channel, NULL, NULL) == 0 ? 0 : 1;
}

static void tasks_that_wait_for_ever_are_named_and_fail(void **state)
{
    struct child child = run_child_alone(body_event_and_channel);

    (void)state;
    expect_exit(&child, 0);
    expect_words(&child, "deadlock: no task can ever be woken: ");
    expect_words(&child, "task 'dreamer'");
    expect_words(&child, "waits for event ('never')");
    expect_words(&child, "waits for channel receive ('jobs', capacity 8, 0 items)");
    expect_words(&child, "waits_for_the_event");
    expect_words(&child, "-EDEADLK goes to task 'reader'"); /* the youngest */
    expect_words(&child, "-EDEADLK goes to task 'dreamer'");
}

static int locks_crosswise(void *arg)
{
    hk_mutex **mutexes = arg;
    int rc = hk_mutex_lock(mutexes[0]);

    if (rc < 0)
        return rc;
    (void)hk_yield();
    rc = hk_mutex_lock(mutexes[1]);
    if (rc == 0)
        hk_mutex_unlock(mutexes[1]);
    hk_mutex_unlock(mutexes[0]);
    return is_dead(rc) ? 1 : rc;
}

/* Two that want both mutexes, each in its own order. */
static void spawn_crossers(hk_scope *scope, hk_task_fn *fn)
{
    static hk_mutex *one_way[] = {&first, &second}, *other_way[] = {&second, &first};

    hk_spawn_named(scope, "left", fn, one_way, NULL);
    hk_spawn_named(scope, "right", fn, other_way, NULL);
}

/* One of the two fails; then the other has both. */
static int crossed_mutexes(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open(&s);
    spawn_crossers(&s, locks_crosswise);
    return hk_scope_join(&s);
}

static int body_crossed_mutexes(void)
{
    return hk_run(crossed_mutexes, NULL, NULL) == 0 ? 0 : 1;
}

static void crossed_mutexes_end_with_one_failure(void **state)
{
    struct child child = run_child_alone(body_crossed_mutexes);

    (void)state;
    expect_exit(&child, 0);
    expect_words(&child, "deadlock: 2 wait for one another for ever");
    expect_words(
        &child,
        "task 'left' waits for mutex ('second', held), which task 'right' holds");
    expect_words(&child, "waits for mutex ('second', held)");
    expect_words(&child, "waits for mutex ('first', held)");
    expect_words(&child, "-EDEADLK goes to task 'right'");
    expect_no_words(&child, "-EDEADLK goes to task 'left'");
}

/* The event's waiter is the youngest, but not to blame; when the cycle is broken it is
 * its turn. */
static int crossed_and_innocent(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open(&s);
    spawn_crossers(&s, locks_crosswise);
    (void)hk_sleep(HK_MILLISECOND);
    hk_spawn_named(&s, "dreamer", waits_for_the_event, NULL, NULL);
    return hk_scope_join(&s);
}

static int body_crossed_and_innocent(void)
{
    return hk_run(crossed_and_innocent, NULL, NULL) == 0 ? 0 : 1;
}

static void who_is_in_the_cycle_fails_before_others(void **state)
{
    struct child child = run_child_alone(body_crossed_and_innocent);
    const char *cycle, *other;

    (void)state;
    expect_exit(&child, 0);
    cycle = strstr(child.text, "-EDEADLK goes to task 'right'");
    other = strstr(child.text, "-EDEADLK goes to task 'dreamer'");
    child_expect(&child, cycle && other && cycle < other, "right, and then dreamer");
}

/* Each sends the other one item, and waits for two. */
struct pair {
    hk_chan *in, *out;
    bool begins;
};

static int plays(void *arg)
{
    const struct pair *pair = arg;
    int item = 1, rc = pair->begins ? 0 : hk_chan_recv(pair->in, &item);

    if (rc == 0)
        rc = hk_chan_send(pair->out, &item);
    for (int i = pair->begins ? 0 : 1; i < 2 && rc == 0; i++)
        rc = hk_chan_recv(pair->in, &item);
    hk_chan_close(pair->out);
    return is_dead(rc) || rc == -EPIPE ? 0 : -1;
}

static int ping_pong(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    struct pair one = {.begins = true}, other;
    int rc = hk_chan_new(sizeof(int), 0, &one.in);

    (void)arg;
    if (rc == 0)
        rc = hk_chan_new(sizeof(int), 0, &one.out);
    if (rc < 0)
        return rc;
    other = (struct pair){.in = one.out, .out = one.in};
    hk_scope_open_with(&s, HK_SCOPE_WAIT_ALL, NULL);
    hk_spawn_named(&s, "ping", plays, &one, NULL);
    hk_spawn_named(&s, "pong", plays, &other, NULL);
    rc = hk_scope_join(&s);
    hk_chan_free(one.in);
    hk_chan_free(one.out);
    return rc;
}

static int body_ping_pong(void)
{
    return hk_run(ping_pong, NULL, NULL) == 0 ? 0 : 1;
}

static void who_used_a_channel_last_is_named(void **state)
{
    struct child child = run_child_alone(body_ping_pong);

    (void)state;
    expect_exit(&child, 0);
    expect_words(&child, "deadlock: 2 wait for one another for ever");
    expect_words(&child, "which task 'ping' used last");
    expect_words(&child, "which task 'pong' used last");
}

/* Ends the child a second after the verdict. */
static void print_and_set_alarm(hk_log_level level, const char *line, void *ctx)
{
    (void)ctx;
    if (level == HK_LOG_ERROR && strstr(line, "deadlock: no task"))
        (void)alarm(1);
    (void)fprintf(stderr, "%s\n", line);
}

static int body_only_report(void)
{
    const hk_check_options options = {.on_deadlock = HK_DEADLOCK_REPORT};

    if (hk_check(HK_CHECK_LOCKS, &options) != 0)
        return 2;
    hk_log_to(print_and_set_alarm, NULL);
    return hk_run(waits_for_the_event, NULL, NULL);
}

static void it_is_only_reported_if_that_was_asked_for(void **state)
{
    struct child child = run_child_alone(body_only_report);

    (void)state;
    child_expect(&child, WIFSIGNALED(child.status) && WTERMSIG(child.status) == SIGALRM,
                 "it waits until the alarm");
    expect_words(&child, "deadlock: no task can ever be woken: 1 waits for ever");
    expect_no_words(&child, "-EDEADLK");
}

static int selects(void *arg)
{
    hk_chan *chan = arg;
    int item = 0;
    hk_case cases[] = {HK_CASE_RECV(chan, &item), HK_CASE_EVENT(&never)};

    return is_dead(hk_select(cases, 2)) ? 0 : -1;
}

static int app_select(void *arg)
{
    hk_chan *chan;
    int rc = hk_chan_new(sizeof(int), 0, &chan);

    (void)arg;
    if (rc == 0)
        rc = selects(chan);
    hk_chan_free(chan);
    return rc;
}

static int body_select(void)
{
    return hk_run(app_select, NULL, NULL) == 0 ? 0 : 1;
}

static void a_select_fails_too(void **state)
{
    struct child child = run_child_alone(body_select);

    (void)state;
    expect_exit(&child, 0);
    expect_words(&child, "-EDEADLK goes to task 'main'");
}

static int many_workers(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open_with(&s, HK_SCOPE_PARALLEL, "both");
    for (int i = 0; i < 8; i++)
        hk_spawn(&s, waits_for_the_event, NULL);
    return hk_scope_join(&s);
}

static int body_many_workers(void)
{
    const hk_options options = {.workers = 3};

    return hk_run(many_workers, NULL, &options) == 0 ? 0 : 1;
}

static void it_is_seen_across_workers(void **state)
{
    struct child child = run_child_alone(body_many_workers);

    (void)state;
    expect_exit(&child, 0);
    expect_words(&child, "no task can ever be woken: 9 wait for ever");
    expect_words(&child, "no task can ever be woken: 2 wait for ever");
}

static int virtual_wait(void *arg)
{
    (void)arg;
    if (hk_sleep(3600 * HK_SECOND) != 0)
        return -1;
    return is_dead(hk_event_wait(&never)) ? 0 : -2;
}

static int body_virtual(void)
{
    const hk_options options = {.virtual_clock = true};

    return hk_run(virtual_wait, NULL, &options) == 0 ? 0 : 1;
}

static void it_is_seen_under_the_virtual_clock(void **state)
{
    struct child child = run_child_alone(body_virtual);

    (void)state;
    expect_exit(&child, 0);
}

static int locks_crosswise_shielded(void *arg)
{
    hk_mutex **mutexes = arg;

    hk_mutex_lock_shielded(mutexes[0]);
    (void)hk_yield();
    hk_mutex_lock_shielded(mutexes[1]);
    return 0;
}

static int crossed_shielded(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open(&s);
    spawn_crossers(&s, locks_crosswise_shielded);
    return hk_scope_join(&s);
}

static int body_crossed_shielded(void)
{
    return hk_run(crossed_shielded, NULL, NULL);
}

static void when_nothing_can_be_undone_it_panics(void **state)
{
    struct child child = run_child_alone(body_crossed_shielded);

    (void)state;
    expect_abort(&child);
    expect_words(&child, "task 'left'");
    expect_words(&child, "waits can be undone: all are joins or shielded");
}

static int again_and_again(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++)
        if (!is_dead(hk_event_wait(&never)))
            return -1;
    return 0;
}

static int body_again(void)
{
    return hk_run(again_and_again, NULL, NULL) == 0 ? 0 : 1;
}

static void the_dump_is_not_repeated_at_once(void **state)
{
    struct child child = run_child_alone(body_again);
    const char *dump;

    (void)state;
    expect_exit(&child, 0);
    dump = strstr(child.text, "runtime 1:");
    assert_non_null(dump);
    assert_null(strstr(dump + 1, "runtime 1:"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_that_wait_for_ever_are_named_and_fail),
        cmocka_unit_test(crossed_mutexes_end_with_one_failure),
        cmocka_unit_test(who_is_in_the_cycle_fails_before_others),
        cmocka_unit_test(who_used_a_channel_last_is_named),
        cmocka_unit_test(it_is_only_reported_if_that_was_asked_for),
        cmocka_unit_test(a_select_fails_too),
        cmocka_unit_test(it_is_seen_across_workers),
        cmocka_unit_test(it_is_seen_under_the_virtual_clock),
        cmocka_unit_test(when_nothing_can_be_undone_it_panics),
        cmocka_unit_test(the_dump_is_not_repeated_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
