/* SPDX-License-Identifier: MIT */
/*
 * Tasks: order, names, ids, yield and sleep, stacks that are passed on, what is kept
 * over a switch. On the virtual clock, one worker, unless said.
 */
#include "support/core_test.h"

/* ---- order ---- */

struct entry {
    hk_chan *log;
    int number;
};

static int log_number(void *arg)
{
    struct entry *e = arg;

    return hk_chan_send(e->log, &e->number);
}

TASK_TEST(task_spawned_first_runs_first)
{
    struct entry entries[100];
    hk_scope s = HK_SCOPE_INIT;
    hk_chan *log;
    int number;

    CHECK_EQ(hk_chan_new(sizeof(int), 100, &log), 0);
    hk_scope_open(&s);
    for (int i = 0; i < 100; i++) {
        entries[i] = (struct entry){log, i};
        hk_spawn(&s, log_number, &entries[i]);
    }
    CHECK_EQ(hk_chan_count(log), 0); /* spawn runs nothing */
    CHECK_EQ(hk_scope_join(&s), 0);
    for (int i = 0; i < 100; i++) {
        CHECK_EQ(hk_chan_try_recv(log, &number), 0);
        CHECK_EQ(number, i);
    }
    hk_chan_free(log);
    return 0;
}

static int log_three_times(void *arg)
{
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(log_number(arg), 0);
        CHECK_EQ(hk_yield(), 0);
    }
    return 0;
}

TASK_TEST(yield_lets_every_other_ready_task_run_first)
{
    struct entry entries[4];
    hk_scope s = HK_SCOPE_INIT;
    hk_chan *log;
    int number;

    CHECK_EQ(hk_chan_new(sizeof(int), 100, &log), 0);
    hk_scope_open(&s);
    for (int i = 0; i < 4; i++) {
        entries[i] = (struct entry){log, i};
        hk_spawn(&s, log_three_times, &entries[i]);
    }
    CHECK_EQ(hk_scope_join(&s), 0);
    for (int i = 0; i < 12; i++) {
        CHECK_EQ(hk_chan_try_recv(log, &number), 0);
        CHECK_EQ(number, i % 4);
    }
    hk_chan_free(log);
    return 0;
}

static int yield_alone(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10000; i++)
        CHECK_EQ(hk_yield(), 0);
    return 0;
}

TASK_TEST(yield_alone_comes_back)
{
    return yield_alone(NULL);
}

/* A task that only yields must not keep timers and I/O from their turn. */
static int yield_until_set(void *arg)
{
    while (!peek(arg))
        CHECK_EQ(hk_yield(), 0);
    return 0;
}

static int set_after_1ms(void *arg)
{
    CHECK_EQ(hk_sleep(HK_MILLISECOND), 0);
    poke(arg, 1);
    return 0;
}

static int set_after_reading(void *arg)
{
    struct {
        hk_fd fd;
        int *flag;
    } *r = arg;
    char byte;

    CHECK_EQ(hk_read(r->fd, &byte, 1), 1);
    poke(r->flag, 1);
    return 0;
}

static int yield_against_the_loop(void *arg)
{
    struct {
        hk_fd fd;
        int *flag;
    } reader;
    hk_scope s = HK_SCOPE_INIT;
    int slept = 0, read = 0;
    hk_fd fds[2];

    (void)arg;
    CHECK_EQ(hk_pipe(fds), 0);
    reader.fd = fds[0];
    reader.flag = &read;
    hk_scope_open(&s);
    hk_spawn(&s, set_after_1ms, &slept);
    hk_spawn(&s, set_after_reading, &reader);
    hk_spawn(&s, yield_until_set, &slept);
    hk_spawn(&s, yield_until_set, &read);
    CHECK_EQ(hk_yield(), 0);
    CHECK_EQ(hk_write(fds[1], "x", 1), 1);
    CHECK_EQ(yield_until_set(&slept), 0);
    CHECK_EQ(yield_until_set(&read), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(hk_close(fds[0]), 0);
    return hk_close(fds[1]);
}

static void yield_does_not_starve_timers_and_io(void **state)
{
    (void)state;
    assert_int_equal(hk_run(yield_against_the_loop, NULL, NULL), 0);
}

/* ---- sleep ---- */

TASK_TEST(sleep_lasts_exactly_as_long_as_asked)
{
    const int64_t durations[] = {1,     2,     999,       16383,
                                 16384, 16385, HK_SECOND, 3600 * HK_SECOND};

    for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
        int64_t begin = hk_now();

        CHECK_EQ(hk_sleep(durations[i]), 0);
        CHECK_EQ(hk_now(), begin + durations[i]);
        CHECK_EQ(hk_sleep_until(hk_now() + durations[i]), 0);
        CHECK_EQ(hk_now(), begin + 2 * durations[i]);
    }
    return 0;
}

TASK_TEST(sleep_of_nothing_is_a_yield)
{
    hk_scope s = HK_SCOPE_INIT;
    int64_t begin = hk_now();
    int count = 0;

    hk_scope_open(&s);
    hk_spawn(&s, count_me, &count);
    CHECK_EQ(hk_sleep(0), 0);
    CHECK_EQ(peek(&count), 1);
    hk_spawn(&s, count_me, &count);
    CHECK_EQ(hk_sleep(INT64_MIN), 0);
    CHECK_EQ(peek(&count), 2);
    hk_spawn(&s, count_me, &count);
    CHECK_EQ(hk_sleep_until(hk_now()), 0);
    CHECK_EQ(peek(&count), 3);
    CHECK_EQ(hk_sleep_until(INT64_MIN), 0);
    CHECK_EQ(hk_now(), begin);
    return hk_scope_join(&s);
}

/* ---- who am I ---- */

static int check_name(void *arg)
{
    CHECK(strcmp(hk_task_name(), arg ? arg : "check_name") == 0); /* its function */
    hk_task_rename("renamed");
    CHECK_EQ(hk_yield(), 0);
    CHECK(strcmp(hk_task_name(), "renamed") == 0);
    return 0;
}

TASK_TEST(task_has_a_name)
{
    hk_scope s = HK_SCOPE_INIT;

    CHECK(strcmp(hk_task_name(), "main") == 0);
    hk_scope_open(&s);
    hk_spawn_named(&s, "given", check_name, "given", NULL);
    hk_spawn_named(&s, NULL, check_name, NULL, NULL);
    hk_spawn(&s, check_name, NULL);
    return hk_scope_join(&s);
}

struct identity {
    hk_task_id told, seen;
};

static int see_id(void *arg)
{
    ((struct identity *)arg)->seen = hk_task_self();
    return 0;
}

TASK_TEST(task_ids_are_unique_and_the_spawners_is_the_tasks_own)
{
    struct identity ids[200];
    hk_scope s = HK_SCOPE_INIT;

    for (int round = 0; round < 2; round++) {
        hk_scope_open(&s);
        for (int i = 0; i < 100; i++) {
            struct identity *id = &ids[100 * round + i];

            hk_spawn_named(&s, NULL, see_id, id, &id->told);
        }
        CHECK_EQ(hk_scope_join(&s), 0);
    }
    for (int i = 0; i < 200; i++) {
        CHECK(ids[i].told.value != 0);
        CHECK_EQ(ids[i].told.value, ids[i].seen.value);
        CHECK(ids[i].told.value != hk_task_self().value);
        for (int k = 0; k < i; k++)
            CHECK(ids[i].told.value != ids[k].told.value);
    }
    return 0;
}

/* ---- stacks ---- */

TASK_TEST(task_that_never_waits_gives_its_stack_to_the_next)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_stats stats;
    int count = 0;

    hk_scope_open(&s);
    for (int i = 0; i < 10000; i++)
        hk_spawn(&s, count_me, &count);
    CHECK_EQ(hk_scope_join(&s), 0);
    hk_stats_read(&stats);
    CHECK(stats.stacks_mapped <= 4);
    CHECK_EQ(count, 10000);
    return 0;
}

/* Registers that a callee must save, and large frames, over many switches. */
static int keep_values(void *arg)
{
    long seed = *(int *)arg;
    long a = seed, b = seed * 3, c = seed * 5, d = seed * 7, e = seed * 11;
    double x = (double)seed / 3, y = (double)seed / 7;
    volatile unsigned char frame[8000];

    memset((void *)(uintptr_t)frame, (int)(seed & 0xff), sizeof(frame));
    for (int i = 0; i < 50; i++) {
        CHECK_EQ(i % 4 ? hk_yield() : hk_sleep(i + 1), 0);
        a++, b++, c++, d++, e++;
        x += 1, y += 1;
    }
    CHECK(a == seed + 50 && b == seed * 3 + 50 && c == seed * 5 + 50);
    CHECK(d == seed * 7 + 50 && e == seed * 11 + 50);
    CHECK(x == (double)seed / 3 + 50 || (x - (double)seed / 3 - 50) * 1e9 < 1);
    CHECK(y >= 50);
    for (size_t i = 0; i < sizeof(frame); i++)
        CHECK_EQ(frame[i], seed & 0xff);
    return 0;
}

TASK_TEST(task_keeps_its_registers_and_its_frame_over_switches)
{
    hk_scope s = HK_SCOPE_INIT;
    int seeds[100];

    hk_scope_open(&s);
    for (int i = 0; i < 100; i++) {
        seeds[i] = i * 77 + 1;
        hk_spawn(&s, keep_values, &seeds[i]);
    }
    return hk_scope_join(&s);
}

/* A stack that is 16-byte aligned at each call is what vector code of the compiler
 * needs. */
static int check_alignment(void *arg)
{
    _Alignas(16) volatile char aligned[16] = {0};

    (void)arg;
    CHECK_EQ((uintptr_t)aligned % 16, 0);
    CHECK_EQ((uintptr_t)__builtin_frame_address(0) % 16, 0);
    return 0;
}

TASK_TEST(task_begins_on_an_aligned_stack)
{
    hk_scope s = HK_SCOPE_INIT;

    CHECK_EQ(check_alignment(NULL), 0);
    hk_scope_open(&s);
    hk_spawn(&s, check_alignment, NULL);
    return hk_scope_join(&s);
}

/* Recursion of scopes inside tasks inside scopes, results added up. */
struct sum {
    int depth;
    int result; /* 2^depth leaves */
};

static int add_up(void *arg)
{
    struct sum *sum = arg, halves[2];
    hk_scope s = HK_SCOPE_INIT;
    int rc;

    if (sum->depth == 0) {
        sum->result = 1;
        return 0;
    }
    hk_scope_open(&s);
    for (int i = 0; i < 2; i++) {
        halves[i].depth = sum->depth - 1;
        hk_spawn(&s, add_up, &halves[i]);
    }
    rc = hk_scope_join(&s);
    sum->result = halves[0].result + halves[1].result;
    return rc;
}

static int add_up_4096(void *arg)
{
    struct sum sum = {.depth = scaled(14, 10)};

    (void)arg;
    CHECK_EQ(add_up(&sum), 0);
    CHECK_EQ(sum.result, 1 << sum.depth);
    return 0;
}

static void task_tree_adds_up(void **state)
{
    (void)state;
    assert_int_equal(run_virtual(add_up_4096, NULL), 0);
    assert_int_equal(run_workers(2, add_up_4096, NULL), 0);
}

/* ---- cancelling one task, from everywhere ---- */

static int stay_until_cancelled(void *arg)
{
    hk_event *started = arg;

    hk_event_set(started);
    CHECK_EQ(hk_sleep(HK_NEVER), -ECANCELED);
    return -ECANCELED;
}

TASK_TEST(task_cancel_reaches_only_that_task_and_its_children)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_event started[3] = {HK_EVENT_INIT, HK_EVENT_INIT, HK_EVENT_INIT};
    hk_task_id ids[3];

    hk_scope_open(&s);
    for (int i = 0; i < 3; i++)
        hk_spawn_named(&s, NULL, stay_until_cancelled, &started[i], &ids[i]);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(hk_task_cancel(ids[1]), 0);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(hk_scope_children(&s), 2);
    CHECK_EQ(hk_task_cancel(ids[0]), 0);
    CHECK_EQ(hk_task_cancel(ids[2]), 0);
    return hk_scope_join(&s);
}

/* The tasks of a parallel scope start here or there at any moment, while their ids are
 * cancelled: each must see it, before its start or after. */
static int cancel_while_stolen(void *arg)
{
    enum { TASKS = 40 };

    (void)arg;
    for (int i = 0; i < scaled(500, 100); i++) {
        hk_event started[TASKS] = {0};
        hk_task_id ids[TASKS];
        hk_scope s = HK_SCOPE_INIT;

        hk_scope_open_with(&s, HK_SCOPE_PARALLEL, NULL);
        for (int k = 0; k < TASKS; k++)
            hk_spawn_named(&s, NULL, stay_until_cancelled, &started[k], &ids[k]);
        for (int k = 0; k < TASKS; k++)
            CHECK_EQ(hk_task_cancel(ids[(k + i) % TASKS]), 0);
        CHECK_EQ(hk_scope_join(&s), 0); /* hangs when one was lost */
        for (int k = 0; k < TASKS; k++)
            CHECK(hk_event_is_set(&started[k])); /* and each has run */
    }
    return 0;
}

static void task_cancel_while_it_is_being_stolen(void **state)
{
    (void)state;
    assert_int_equal(run_workers(2, cancel_while_stolen, NULL), 0);
    assert_int_equal(run_workers(3, cancel_while_stolen, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(task_spawned_first_runs_first),
        cmocka_unit_test(yield_lets_every_other_ready_task_run_first),
        cmocka_unit_test(yield_alone_comes_back),
        cmocka_unit_test(yield_does_not_starve_timers_and_io),
        cmocka_unit_test(sleep_lasts_exactly_as_long_as_asked),
        cmocka_unit_test(sleep_of_nothing_is_a_yield),
        cmocka_unit_test(task_has_a_name),
        cmocka_unit_test(task_ids_are_unique_and_the_spawners_is_the_tasks_own),
        cmocka_unit_test(task_that_never_waits_gives_its_stack_to_the_next),
        cmocka_unit_test(task_keeps_its_registers_and_its_frame_over_switches),
        cmocka_unit_test(task_begins_on_an_aligned_stack),
        cmocka_unit_test(task_tree_adds_up),
        cmocka_unit_test(task_cancel_reaches_only_that_task_and_its_children),
        cmocka_unit_test(task_cancel_while_it_is_being_stolen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
