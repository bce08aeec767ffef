/* SPDX-License-Identifier: MIT */
/*
 * The testing kit itself, but for its clock (test_virtual_clock.c): sequencer, faults
 * ("fail the Nth call, then the N+1st" over spawns, channels, sleeps), ledger, cancel
 * torture.
 */
#include "support/core_test.h"

/* ---- sequencer ---- */

struct step {
    hk_sequencer *sequencer;
    uint32_t step;
    char *text;
};

static int take_step(void *arg)
{
    struct step *s = arg;
    size_t len;

    CHECK_EQ(hk_sequence(s->sequencer, s->step), 0);
    len = strlen(s->text);
    s->text[len] = (char)('a' + s->step);
    s->text[len + 1] = '\0';
    return 0;
}

TASK_TEST(sequencer_orders_tasks)
{
    const uint32_t order[] = {3, 0, 4, 2, 1};
    hk_sequencer sequencer = {0};
    hk_scope s = HK_SCOPE_INIT;
    struct step steps[5];
    char text[8] = "";

    if (UNDER_TSAN)
        return 0; /* what follows a step is not ordered with the next, on purpose */
    hk_scope_open(&s);
    for (int i = 0; i < 5; i++) {
        steps[i] = (struct step){&sequencer, order[i], text};
        hk_spawn(&s, take_step, &steps[i]);
    }
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK(strcmp(text, "abcde") == 0);
    return 0;
}

static int step_and_expect_cancel(void *arg)
{
    CHECK_EQ(hk_sequence(arg, 5), -ECANCELED);
    return 0;
}

TASK_TEST(sequencer_wait_is_cancelled_and_leaves_no_trace)
{
    hk_sequencer sequencer = {0};
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    hk_spawn(&s, step_and_expect_cancel, &sequencer);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK(!sequencer.hki_waiters.head);
    for (uint32_t i = 0; i < 10; i++)
        CHECK_EQ(hk_sequence(&sequencer, i), 0);
    return 0;
}

static hk_sequencer shared_sequencer;
static int shared_value;

static void *odd_steps(void *arg)
{
    (void)arg;
    for (uint32_t i = 1; i < 1000; i += 2)
        CHECK_EQ(hk_sequence(&shared_sequencer, i), 0);
    return NULL;
}

static int even_steps(void *arg)
{
    (void)arg;
    for (uint32_t i = 0; i < 1000; i += 2)
        CHECK_EQ(hk_sequence(&shared_sequencer, i), 0);
    shared_value = 1;
    return 0;
}

static void sequencer_orders_a_task_and_a_thread(void **state)
{
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, odd_steps, NULL), 0);
    assert_int_equal(hk_run(even_steps, NULL, NULL), 0);
    pthread_join(thread, NULL);
    assert_int_equal(shared_value, 1);
    assert_int_equal(shared_sequencer.hki_next, 1000);
}

/* ---- faults ---- */

static int worker_task(void *arg)
{
    hk_chan *chan = arg;
    int item = 1;

    return hk_chan_send(chan, &item);
}

/* A scenario with many allocations: any of them may fail. 0 or -ENOMEM, no leak. */
static int allocate_much(void *arg)
{
    static hk_local local = HK_LOCAL_INIT(NULL);
    hk_scope s = HK_SCOPE_INIT;
    hk_chan *chan;
    int rc, item;

    (void)arg;
    rc = hk_chan_new(sizeof(int), 4, &chan);
    if (rc < 0)
        return rc;
    hk_scope_open(&s);
    for (int i = 0; i < 3; i++)
        (void)hk_spawn(&s, worker_task, chan); /* a failed one fails the scope */
    for (int i = 0; i < 3; i++)
        if (hk_chan_recv(chan, &item) < 0)
            break;
    rc = hk_local_set(&local, arg);
    if (rc < 0)
        hk_scope_fail(&s, rc);
    rc = hk_scope_join(&s);
    hk_chan_free(chan);
    return rc;
}

static void faults_at_every_allocation_leave_no_trace(void **state)
{
    hk_options options = {.virtual_clock = true};
    uint64_t nth = 0;
    int rc;

    (void)state;
    if (!getenv("HOCKET_POLLER")) /* or epoll takes over from a ring without memory */
        options.poller = HK_POLLER_EPOLL;
    do {
        hk_ledger before, after;

        hk_ledger_read(&before);
        hk_fault_arm(HK_FAULT_ALLOC, ++nth, -ENOMEM);
        rc = hk_run(allocate_much, NULL, &options);
        assert_true(hk_fault_count(HK_FAULT_ALLOC) > 0);
        if (hk_fault_count(HK_FAULT_ALLOC) >= nth)
            assert_int_equal(rc, -ENOMEM);
        hk_fault_arm(HK_FAULT_ALLOC, 0, 0);
        assert_true(rc == 0 || rc == -ENOMEM);
        hk_ledger_read(&after);
        assert_memory_equal(&before, &after, sizeof(before));
    } while (rc < 0 && nth < 1000);
    printf("# %llu allocations\n", (unsigned long long)nth - 1);
    assert_true(nth > 4);
}

/* A scenario with I/O: every operation given to the poller may fail. */
static int transfer(void *arg)
{
    hk_fd fds[2];
    char byte;
    int rc;

    (void)arg;
    rc = hk_pipe(fds);
    if (rc < 0)
        return rc;
    for (int i = 0; rc >= 0 && i < 5; i++) {
        rc = (int)hk_write(fds[1], "x", 1);
        if (rc >= 0)
            rc = (int)hk_read(fds[0], &byte, 1);
    }
    CHECK_EQ(hk_close(fds[0]), 0);
    CHECK_EQ(hk_close(fds[1]), 0);
    return rc < 0 ? rc : 0;
}

static void faults_at_every_operation_leave_no_trace(void **state)
{
    uint64_t nth = 0;
    int rc;

    (void)state;
    do {
        hk_fault_arm(HK_FAULT_IO, ++nth, -EIO);
        rc = run_virtual(transfer, NULL);
        hk_fault_arm(HK_FAULT_IO, 0, 0);
        assert_true(rc == 0 || rc == -EIO);
    } while (rc < 0 && nth < 1000);
    assert_int_equal(nth, 11); /* ten operations */
}

TASK_TEST(fault_fails_one_call_once)
{
    hk_chan *chan = NULL;

    hk_fault_arm(HK_FAULT_ALLOC, 1, -ENOMEM);
    CHECK_EQ(hk_chan_new(4, 1, &chan), -ENOMEM);
    CHECK(chan == NULL); /* untouched on failure */
    CHECK_EQ(hk_chan_new(4, 1, &chan), 0);
    hk_fault_arm(HK_FAULT_ALLOC, 0, 0);
    hk_chan_free(chan);
    return 0;
}

TASK_TEST(spawn_that_gets_no_memory_fails_its_scope)
{
    hk_scope s = HK_SCOPE_INIT;
    int count = 0, rc = 0, spawned = 0;

    hk_scope_open(&s);
    hk_fault_arm(HK_FAULT_ALLOC, 1, -ENOMEM);
    while (rc == 0 && spawned < 100000) { /* until the records at hand are used up */
        rc = hk_spawn(&s, count_me, &count);
        spawned += rc == 0;
    }
    hk_fault_arm(HK_FAULT_ALLOC, 0, 0);
    CHECK_EQ(rc, -ENOMEM);
    CHECK_EQ(hk_cancelled(), -ECANCELED);
    CHECK_EQ(hk_scope_join(&s), -ENOMEM);
    CHECK_EQ(count, spawned);
    return 0;
}

/* ---- ledger ---- */

TASK_TEST(ledger_counts_what_is_alive)
{
    hk_ledger a, b;
    hk_scope s = HK_SCOPE_INIT;
    hk_chan *chan;
    hk_fd fds[2];

    hk_ledger_read(&a);
    CHECK_EQ(a.tasks, 1);
    CHECK_EQ(hk_pipe(fds), 0);
    CHECK_EQ(hk_chan_new(100, 10, &chan), 0);
    hk_scope_open(&s);
    hk_spawn(&s, sleep_for, &(int64_t){5});
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    hk_ledger_read(&b);
    CHECK_EQ(b.tasks, 2);
    CHECK_EQ(b.fds, a.fds + 2);
    CHECK(b.bytes >= a.bytes + 1000);
    CHECK_EQ(b.ops, 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    hk_chan_free(chan);
    CHECK_EQ(hk_close(fds[0]), 0);
    CHECK_EQ(hk_close(fds[1]), 0);
    hk_ledger_read(&b);
    CHECK_EQ(b.tasks, 1);
    CHECK_EQ(b.fds, a.fds);
    CHECK_EQ(b.bytes, a.bytes);
    return 0;
}

/* ---- cancel torture ---- */

static int three_points(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    int64_t five = 5;
    int rc;

    (void)arg;
    rc = hk_sleep(1); /* 1 */
    if (rc < 0)
        return rc;
    hk_scope_open(&s);
    hk_spawn(&s, sleep_for, &five); /* 3, after the join's */
    return hk_scope_join(&s);       /* 2 */
}

static void torture_runs_once_for_each_suspension_point(void **state)
{
    hk_options options = {.virtual_clock = true};
    int point = -1, runs;

    (void)state;
    runs = hk_cancel_torture(three_points, NULL, &options, &point);

    assert_true(runs == 4 || runs == 3); /* a join may run its child in its place */
    assert_int_equal(point, -1);
}

static int swallows_the_cancel_and_leaks(void *arg)
{
    hk_chan *chan;
    int rc = hk_chan_new(4, 1, &chan);

    (void)arg;
    if (rc < 0)
        return rc;
    rc = hk_sleep(1);
    if (rc == -ECANCELED)
        return rc; /* forgets the channel */
    rc = hk_sleep(1);
    hk_chan_free(chan);
    return rc;
}

static void torture_finds_what_is_leaked_on_a_cancel(void **state)
{
    hk_options options = {.virtual_clock = true};
    int point = -1;

    (void)state;
    if (UNDER_ASAN)
        skip(); /* LeakSanitizer finds it as well, at the end */
    assert_int_equal(
        hk_cancel_torture(swallows_the_cancel_and_leaks, NULL, &options, &point),
        -ENOTRECOVERABLE);
    assert_int_equal(point, 1);
}

static int turns_the_cancel_into_eio(void *arg)
{
    (void)arg;
    return hk_sleep(1) < 0 ? -EIO : 0;
}

static void torture_finds_a_wrong_error(void **state)
{
    int point = -1;

    (void)state;
    assert_int_equal(hk_cancel_torture(turns_the_cancel_into_eio, NULL,
                                       &(hk_options){.virtual_clock = true}, &point),
                     -EIO);
    assert_int_equal(point, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sequencer_orders_tasks),
        cmocka_unit_test(sequencer_wait_is_cancelled_and_leaves_no_trace),
        cmocka_unit_test(sequencer_orders_a_task_and_a_thread),
        cmocka_unit_test(faults_at_every_allocation_leave_no_trace),
        cmocka_unit_test(faults_at_every_operation_leave_no_trace),
        cmocka_unit_test(fault_fails_one_call_once),
        cmocka_unit_test(spawn_that_gets_no_memory_fails_its_scope),
        cmocka_unit_test(ledger_counts_what_is_alive),
        cmocka_unit_test(torture_runs_once_for_each_suspension_point),
        cmocka_unit_test(torture_finds_what_is_leaked_on_a_cancel),
        cmocka_unit_test(torture_finds_a_wrong_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
