/* SPDX-License-Identifier: MIT */
/*
 * Readiness of a handle as a case of a select: what happens, what does not, and that a
 * select which is over has left nothing with the poller. Each scenario runs as a task
 * and on a plain thread, which waits through the background runtime.
 */
#include "io_test.h"

/* Nothing of a select is left in flight. (On a thread: in the background runtime.) */
static void expect_no_operations(void)
{
    hk_ledger now;

    hk_ledger_read(&now);
    CHECK_EQ(now.ops, 0);
}

static void close_pair(hk_fd p[2])
{
    CHECK_EQ(hk_close(p[0]), 0);
    CHECK_EQ(hk_close(p[1]), 0);
}

static int what_is_ready_happens_at_once(void *arg)
{
    hk_ready in, out;
    hk_case cases[] = {HK_CASE_READY(&in), HK_CASE_READY(&out)};
    hk_fd p[2];
    char byte;

    (void)arg;
    CHECK_EQ(hk_socket_pair(p), 0);
    hk_ready_init(&in, p[0], POLLIN);
    hk_ready_init(&out, p[0], POLLOUT);
    CHECK_EQ(hk_select(cases, 2), 1);
    CHECK_EQ(cases[1].result, POLLOUT);
    CHECK_EQ(hk_try_select(cases, 1), -EAGAIN);
    CHECK_EQ(hk_write(p[1], "x", 1), 1);
    CHECK_EQ(hk_try_select(cases, 1), 0);
    CHECK_EQ(cases[0].result, POLLIN);
    CHECK_EQ(hk_select(cases, 1), 0);
    CHECK_EQ(hk_read(p[0], &byte, 1), 1); /* nothing was read before */
    expect_no_operations();
    close_pair(p);
    return 0;
}

struct later {
    hk_fd fd;
    hk_event *event;
    bool closes;
};

static int act_later(void *arg)
{
    const struct later *l = arg;

    CHECK_EQ(hk_sleep(2 * HK_MILLISECOND), 0);
    if (l->event)
        hk_event_set(l->event);
    else if (l->closes)
        CHECK_EQ(hk_close(l->fd), 0);
    else
        CHECK_EQ(hk_write(l->fd, "x", 1), 1);
    return 0;
}

static int what_becomes_ready_ends_the_wait(void *arg)
{
    hk_event never = HK_EVENT_INIT;
    hk_ready in, other;
    hk_case cases[] = {HK_CASE_EVENT(&never), HK_CASE_READY(&in),
                       HK_CASE_READY(&other)};
    hk_fd p[2], q[2];
    char byte;

    (void)arg;
    CHECK_EQ(hk_pipe(p), 0);
    CHECK_EQ(hk_pipe(q), 0);
    hk_ready_init(&in, p[0], POLLIN);
    hk_ready_init(&other, q[0], POLLIN);
    for (int i = 0; i < 20; i++) {
        struct later l = {.fd = p[1]};
        hk_scope s = HK_SCOPE_INIT;

        hk_scope_open(&s);
        CHECK_EQ(hk_spawn(&s, act_later, &l), 0);
        CHECK_EQ(hk_select(cases, 3), 1);
        CHECK_EQ(cases[1].result, POLLIN);
        CHECK_EQ(hk_read(p[0], &byte, 1), 1);
        CHECK_EQ(hk_scope_join(&s), 0);
        expect_no_operations();
    }
    close_pair(p);
    close_pair(q);
    return 0;
}

static int an_event_or_a_deadline_may_be_faster(void *arg)
{
    hk_event event = HK_EVENT_INIT;
    struct later l = {.event = &event};
    hk_ready in;
    hk_case cases[] = {HK_CASE_READY(&in), HK_CASE_EVENT(&event)};
    hk_case timed[] = {HK_CASE_READY(&in),
                       HK_CASE_DEADLINE(hk_now() + 2 * HK_MILLISECOND)};
    hk_scope s = HK_SCOPE_INIT;
    hk_fd p[2];
    char byte;

    (void)arg;
    CHECK_EQ(hk_pipe(p), 0);
    hk_ready_init(&in, p[0], POLLIN);
    CHECK_EQ(hk_select(timed, 2), 1);
    expect_no_operations();
    hk_scope_open(&s);
    CHECK_EQ(hk_spawn(&s, act_later, &l), 0);
    CHECK_EQ(hk_select(cases, 2), 1);
    CHECK_EQ(hk_scope_join(&s), 0);
    expect_no_operations();
    CHECK_EQ(hk_write(p[1], "x", 1), 1); /* and it is as if it had never waited */
    CHECK_EQ(hk_read(p[0], &byte, 1), 1);
    CHECK_EQ(hk_fd_release(p[0]) >= 0, true);
    CHECK_EQ(hk_close(p[1]), 0);
    return 0;
}

static int wait_for_input(void *arg)
{
    hk_ready in;
    hk_case cases[] = {HK_CASE_READY(&in)};
    int rc;

    hk_ready_init(&in, *(hk_fd *)arg, POLLIN);
    rc = hk_select(cases, 1);
    return rc == 0 ? cases[0].result : rc;
}

static int a_cancel_ends_it_and_leaves_nothing(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_fd p[2];

    (void)arg;
    CHECK_EQ(hk_pipe(p), 0);
    for (int i = 0; i < 20; i++) {
        hk_scope_open(&s);
        hk_scope_deadline(&s, hk_now() + i * HK_MILLISECOND / 4);
        CHECK_EQ(wait_for_input(&p[0]), -ECANCELED);
        CHECK_EQ(hk_scope_join(&s), -ETIMEDOUT);
        expect_no_operations();
    }
    close_pair(p);
    return 0;
}

static int a_closed_handle_is_an_error(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    struct later l = {.closes = true};
    hk_fd p[2];

    (void)arg;
    CHECK_EQ(hk_pipe(p), 0);
    l.fd = p[0];
    hk_scope_open(&s);
    CHECK_EQ(hk_spawn(&s, act_later, &l), 0);
    CHECK_EQ(wait_for_input(&p[0]), -EBADF);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(wait_for_input(&p[0]), -EBADF);
    CHECK_EQ(hk_close(p[1]), 0);
    return 0;
}

static int the_end_of_a_stream_is_ready(void *arg)
{
    hk_fd p[2];
    int rc;

    (void)arg;
    CHECK_EQ(hk_socket_pair(p), 0);
    CHECK_EQ(hk_close(p[1]), 0);
    rc = wait_for_input(&p[0]);
    CHECK(rc > 0 && (rc & POLLIN));
    CHECK_EQ(hk_close(p[0]), 0);
    return 0;
}

static int share_it(void *arg)
{
    hk_case cases[] = {HK_CASE_READY(arg)};

    CHECK_EQ(hk_select(cases, 1), 0);
    CHECK_EQ(cases[0].result, -EBUSY);
    return 0;
}

static int two_selects_cannot_share_one(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_ready in;
    hk_case cases[] = {HK_CASE_READY(&in)},
            both[] = {HK_CASE_READY(&in), HK_CASE_READY(&in)};
    struct later l;
    hk_fd p[2];
    int i;

    (void)arg;
    CHECK_EQ(hk_pipe(p), 0);
    l = (struct later){.fd = p[1]};
    hk_ready_init(&in, p[0], POLLIN);
    hk_scope_open(&s);
    CHECK_EQ(hk_spawn(&s, share_it, &in), 0);
    CHECK_EQ(hk_spawn(&s, act_later, &l), 0);
    CHECK_EQ(hk_select(cases, 1), 0); /* we come first */
    CHECK_EQ(cases[0].result, POLLIN);
    CHECK_EQ(hk_scope_join(&s), 0);
    i = hk_select(both, 2);
    CHECK(i >= 0 && (both[i].result == -EBUSY || both[i].result == POLLIN));
    expect_no_operations();
    close_pair(p);
    return 0;
}

/* Readiness, an event and the loser of both race on several workers. */
static int one_of_two_wins(void *arg)
{
    (void)arg;
    for (int i = 0; i < 300; i++) {
        hk_event event = HK_EVENT_INIT;
        hk_scope s = HK_SCOPE_INIT;
        struct later l, m = {.event = &event};
        hk_ready in;
        hk_case cases[] = {HK_CASE_READY(&in), HK_CASE_EVENT(&event)};
        hk_fd p[2];
        char byte;

        CHECK_EQ(hk_pipe(p), 0);
        l = (struct later){.fd = p[1]};
        hk_ready_init(&in, p[0], POLLIN);
        hk_scope_open_with(&s, HK_SCOPE_PARALLEL, NULL);
        CHECK_EQ(hk_spawn(&s, act_later, &l), 0);
        CHECK_EQ(hk_spawn(&s, act_later, &m), 0);
        CHECK(hk_select(cases, 2) >= 0);
        CHECK_EQ(hk_scope_join(&s), 0);
        CHECK_EQ(hk_read(p[0], &byte, 1), 1);
        close_pair(p);
    }
    return 0;
}

static void one_of_two_wins_on_workers(void **state)
{
    hk_options options = {.workers = 3, .check_ledger = true};

    (void)state;
    assert_int_equal(hk_run(one_of_two_wins, NULL, &options), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_TASK(what_is_ready_happens_at_once),
        ON_A_THREAD(what_is_ready_happens_at_once),
        IN_A_TASK(what_becomes_ready_ends_the_wait),
        ON_A_THREAD(what_becomes_ready_ends_the_wait),
        IN_A_TASK(an_event_or_a_deadline_may_be_faster),
        ON_A_THREAD(an_event_or_a_deadline_may_be_faster),
        IN_A_TASK(a_cancel_ends_it_and_leaves_nothing),
        ON_A_THREAD(a_cancel_ends_it_and_leaves_nothing),
        IN_A_TASK(a_closed_handle_is_an_error),
        ON_A_THREAD(a_closed_handle_is_an_error),
        IN_A_TASK(the_end_of_a_stream_is_ready),
        ON_A_THREAD(the_end_of_a_stream_is_ready),
        IN_A_TASK(two_selects_cannot_share_one),
        IN_A_TASK(one_of_two_wins),
        ON_A_THREAD(one_of_two_wins),
        cmocka_unit_test(one_of_two_wins_on_workers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
