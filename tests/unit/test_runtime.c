/* SPDX-License-Identifier: MIT */
/*
 * hk_run: its options, its results, its misuse; several workers; several runtimes at
 * once; what a failing allocation or system call at each point of the start makes of
 * it.
 */
#include "support/core_test.h"

#include <sys/resource.h>

static int answer(void *arg)
{
    return *(int *)arg;
}

static void run_returns_mains_result(void **state)
{
    const int results[] = {0, 7, -1, -EIO, -ECANCELED, INT32_MAX, INT32_MIN};

    (void)state;
    for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
        int result = results[i];

        assert_int_equal(hk_run(answer, &result, NULL), result);
        assert_int_equal(run_virtual(answer, &result), result);
        assert_int_equal(run_workers(3, answer, &result), result);
    }
}

static int never(void *arg)
{
    (void)arg;
    CHECK(false); /* main must not run */
    return 0;
}

static void run_refuses_options_out_of_range(void **state)
{
    const hk_options bad[] = {
        {.workers = 257},
        {.workers = UINT32_MAX},
        {.poller = (hk_poller_choice)3},
        {.poller = (hk_poller_choice)-1},
        {.stack_size_bytes = 64 * 1024},
        {.stack_size_bytes = 1},
        {.stack_size_bytes = 300 * 1024},
        {.stack_size_bytes = 128 * 1024 * 1024},
        {.stack_size_bytes = SIZE_MAX},
        {.virtual_clock = true, .workers = 2},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(hk_run(never, NULL, &bad[i]), -EINVAL);
}

static int deep(int bytes)
{
    volatile char room[4096];

    room[0] = room[4095] = (char)bytes;
    return bytes <= 4096 ? room[0] : deep(bytes - 4096) + room[4095];
}

static int use_80_kib(void *arg)
{
    (void)arg;
    return deep(UNDER_ASAN || UNDER_TSAN ? 20 * 1024 : 40 * 1024) > INT32_MIN ? 0 : -1;
}

static int use_8_mib(void *arg)
{
    (void)arg;
    return deep(UNDER_ASAN || UNDER_TSAN ? 2 << 20 : 8 << 20) > INT32_MIN ? 0 : -1;
}

static void run_takes_every_allowed_stack_size(void **state)
{
    (void)state;
    for (size_t size = 128 * 1024; size <= 64 * 1024 * 1024; size *= 2) {
        hk_options options = {.stack_size_bytes = size, .check_ledger = true};

        assert_int_equal(hk_run(use_80_kib, NULL, &options), 0);
        if (size >= 16 * 1024 * 1024)
            assert_int_equal(hk_run(use_8_mib, NULL, &options), 0);
    }
}

/* An id's runtime is one of 4,095: the ids of one that is long gone stay stale. */
static hk_task_id first_id;

static int note_id(void *arg)
{
    (void)arg;
    first_id = hk_task_self();
    return 0;
}

static int is_other_id(void *arg)
{
    (void)arg;
    CHECK(hk_task_self().value != first_id.value);
    CHECK_EQ(hk_task_cancel(first_id), -ESRCH);
    return hk_cancelled();
}

static void run_never_gives_an_id_again(void **state)
{
    hk_options options = {.poller = HK_POLLER_EPOLL, .stall_ns = -1};

    (void)state;
    if (UNDER_TSAN)
        skip(); /* half a minute, and nothing that it could see */
    assert_int_equal(hk_run(note_id, NULL, &options), 0);
    for (int i = 0; i < 4200; i++)
        assert_int_equal(hk_run(is_other_id, NULL, &options), 0);
}

/* ---- pollers ---- */

static int which_poller(void *arg)
{
    hk_stats stats;

    hk_stats_read(&stats);
    *(const char **)arg = stats.poller;
    return 0;
}

static void run_takes_the_poller_it_is_told(void **state)
{
    hk_options epoll = {.poller = HK_POLLER_EPOLL}, uring = {.poller = HK_POLLER_URING};
    const char *name = NULL, *wish = getenv("HOCKET_POLLER");
    int rc;

    (void)state;
    assert_int_equal(hk_run(which_poller, &name, &epoll), 0);
    assert_string_equal(name, "epoll");
    rc = hk_run(which_poller, &name, &uring);
    assert_true(rc == 0 || rc == -ENOSYS);
    assert_string_equal(name, rc == 0 ? "io_uring" : "epoll");
    assert_int_equal(hk_run(which_poller, &name, NULL), 0);
    if (wish && strcmp(wish, "epoll") == 0)
        assert_string_equal(name, "epoll");
    if (wish && strcmp(wish, "uring") == 0)
        assert_string_equal(name, "io_uring");
}

static int run_with_bad_poller_name(void *arg)
{
    setenv("HOCKET_POLLER", "kqueue", 1);
    CHECK_EQ(hk_run(never, arg, NULL), -EINVAL);
    setenv("HOCKET_POLLER", "", 1); /* empty is as unset */
    CHECK_EQ(hk_run(sleep_for, &(int64_t){1}, NULL), 0);
    return 0;
}

static void run_refuses_an_unknown_poller_in_the_environment(void **state)
{
    char text[1024];

    (void)state;
    assert_int_equal(run_in_child(run_with_bad_poller_name, text, sizeof(text)), 0);
    assert_non_null(strstr(text, "kqueue"));
}

/* ---- nested ---- */

static int run_inside(void *arg)
{
    return hk_run(sleep_for_ever, arg, NULL);
}

PANIC_TEST(run_inside_a_task_panics, "hk_run inside hk_run")
{
    return hk_run(run_inside, NULL, NULL);
}

PANIC_TEST(run_inside_a_background_task_panics, "hk_run inside hk_run")
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    hk_spawn(&s, run_inside, NULL);
    return hk_scope_join(&s);
}

/* ---- the ledger at the end ---- */

static int leak_a_handle(void *arg)
{
    hk_fd fds[2];

    (void)arg;
    return hk_pipe(fds);
}

PANIC_TEST(run_with_check_ledger_panics_on_a_leaked_handle,
           "leaked 2 handles: descriptor ")
{
    return run_virtual(leak_a_handle, NULL);
}

static int leak_memory(void *arg)
{
    hk_chan *chan;

    (void)arg;
    return hk_chan_new(8, 1, &chan);
}

PANIC_TEST(run_with_check_ledger_panics_on_leaked_memory, "the ledger is not balanced")
{
    return run_virtual(leak_memory, NULL);
}

/* ---- several ---- */

static int count_workers(void *arg)
{
    CHECK_EQ(hk_worker_count(), *(uint32_t *)arg);
    CHECK(hk_worker_index() < hk_worker_count());
    return 0;
}

static int spread(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    CHECK_EQ(hk_worker_index(), 0);
    hk_scope_open_with(&s, HK_SCOPE_PARALLEL, NULL);
    for (int i = 0; i < 200; i++)
        hk_spawn(&s, count_workers, arg);
    return hk_scope_join(&s);
}

static void run_with_many_workers(void **state)
{
    const uint32_t counts[] = {1, 2, 3, 7, 32};

    (void)state;
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        uint32_t count = counts[i];

        assert_int_equal(run_workers(count, spread, &count), 0);
    }
}

static int busy_for_a_moment(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    int count = 0;

    (void)arg;
    for (int i = 0; i < 20; i++) {
        hk_scope_open_with(&s, HK_SCOPE_PARALLEL, NULL);
        for (int k = 0; k < 20; k++)
            hk_spawn(&s, count_me, &count);
        CHECK_EQ(hk_sleep(1000), 0);
        CHECK_EQ(hk_scope_join(&s), 0);
    }
    CHECK_EQ(count, 400);
    return 0;
}

static void *run_on_a_thread(void *arg)
{
    for (int i = 0; i < 10; i++) {
        hk_options options = {.workers = 1 + (uint32_t)i % 2};

        CHECK_EQ(hk_run(busy_for_a_moment, arg, &options), 0);
    }
    return NULL;
}

static void run_on_several_threads_at_once(void **state)
{
    pthread_t threads[4];

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_on_a_thread, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

/* More runtimes than their serials in task ids have values. */
static void run_many_times_one_after_the_other(void **state)
{
    int zero = 0;

    (void)state;
    for (int i = 0; i < scaled(5000, 500); i++)
        assert_int_equal(hk_run(answer, &zero, NULL), 0);
}

/* Yielding tasks keep every worker busy; the unstarted tasks of a parallel scope must
 * get their turn all the same. */
static int yield_until(void *arg)
{
    while (!__atomic_load_n((int *)arg, __ATOMIC_ACQUIRE))
        CHECK_EQ(hk_yield(), 0);
    return 0;
}

static int parallel_tasks_among_busy_ones(void *arg)
{
    hk_scope busy = HK_SCOPE_INIT, s = HK_SCOPE_INIT;
    int count = 0, stop = 0;

    (void)arg;
    hk_scope_open_with(&busy, HK_SCOPE_PARALLEL, NULL);
    for (int i = 0; i < 4; i++)
        hk_spawn(&busy, yield_until, &stop);
    hk_scope_open_with(&s, HK_SCOPE_PARALLEL, NULL);
    for (int i = 0; i < 100; i++)
        hk_spawn(&s, count_me, &count);
    while (__atomic_load_n(&count, __ATOMIC_RELAXED) < 100)
        CHECK_EQ(hk_yield(), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    return hk_scope_join(&busy);
}

static void run_does_not_starve_shared_tasks_when_all_workers_are_busy(void **state)
{
    (void)state;
    assert_int_equal(run_workers(2, parallel_tasks_among_busy_ones, NULL), 0);
    assert_int_equal(run_workers(3, parallel_tasks_among_busy_ones, NULL), 0);
}

/* ---- failing starts ---- */

static void run_fails_cleanly_at_each_allocation(void **state)
{
    int seven = 7, rc;
    uint64_t nth = 0;

    (void)state;
    do {
        hk_ledger ledger;

        hk_fault_arm(HK_FAULT_ALLOC, ++nth, -ENOMEM);
        rc = run_workers(2, answer, &seven);
        hk_fault_arm(HK_FAULT_ALLOC, 0, 0);
        assert_true(rc == 7 || rc == -ENOMEM);
        hk_ledger_read(&ledger);
        assert_int_equal(ledger.tasks, 0);
        assert_int_equal(ledger.fds, 0);
    } while (rc != 7 && nth < 1000);
    assert_true(nth > 1);
    assert_int_equal(run_workers(2, answer, &seven), 7);
}

/* With no descriptor left no poller can be had: an error, not a crash, and after it all
 * works again. */
static int run_without_descriptors(void *arg)
{
    struct rlimit limit = {3, 0}, old;
    int seven = 7, rc;

    (void)arg;
    getrlimit(RLIMIT_NOFILE, &old);
    limit.rlim_max = old.rlim_max;
    for (rlim_t n = 3; n < 16; n++) {
        limit.rlim_cur = n;
        CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
        rc = hk_run(answer, &seven, &(hk_options){.workers = 3});
        CHECK(rc == 7 || rc == -EMFILE);
    }
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
    return hk_run(answer, &seven, NULL) == 7 ? 0 : -1;
}

static void run_fails_with_emfile_when_there_is_no_descriptor(void **state)
{
    char text[4096];
    int status = run_in_child(run_without_descriptors, text, sizeof(text));

    (void)state;
    if (status != 0)
        printf("# %#x %s\n", status, text);
    assert_int_equal(status, 0);
}

/* ---- stats ---- */

static int look_at_stats(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    int64_t five = 5;
    hk_stats a, b;

    (void)arg;
    hk_stats_read(&a);
    CHECK_EQ(a.workers, 1);
    CHECK_EQ(a.tasks_alive, 1);
    hk_scope_open(&s);
    for (int i = 0; i < 10; i++)
        hk_spawn(&s, sleep_for, &five);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    hk_stats_read(&b);
    CHECK_EQ(b.tasks_alive, 11);
    CHECK_EQ(b.tasks_spawned, a.tasks_spawned + 10);
    CHECK_EQ(b.stacks_in_use, 11);
    CHECK(b.switches > a.switches);
    CHECK_EQ(hk_scope_join(&s), 0);
    hk_stats_read(&b);
    CHECK_EQ(b.tasks_alive, 1);
    CHECK_EQ(b.timers_fired, a.timers_fired + 10);
    CHECK_EQ(b.stacks_in_use, 1);
    return 0;
}

static void stats_count(void **state)
{
    hk_stats stats;

    (void)state;
    hk_stats_read(&stats); /* the background runtime has not started */
    assert_int_equal(stats.workers, 0);
    assert_int_equal(run_virtual(look_at_stats, NULL), 0);
}

static void error_text_is_a_lower_case_sentence(void **state)
{
    (void)state;
    for (int i = 1; i > -4096; i--) {
        const char *text = hk_error_text(i);

        assert_non_null(text);
        assert_true(text[0] != '\0');
    }
    assert_string_equal(hk_error_text(-ECANCELED), "cancelled");
    assert_string_equal(hk_version(), "0.1.0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(run_inside_a_task_panics),
        cmocka_unit_test(run_inside_a_background_task_panics),
        cmocka_unit_test(run_with_check_ledger_panics_on_a_leaked_handle),
        cmocka_unit_test(run_with_check_ledger_panics_on_leaked_memory),
        cmocka_unit_test(run_refuses_an_unknown_poller_in_the_environment),
        cmocka_unit_test(run_fails_with_emfile_when_there_is_no_descriptor),
        cmocka_unit_test(stats_count),
        cmocka_unit_test(run_returns_mains_result),
        cmocka_unit_test(run_refuses_options_out_of_range),
        cmocka_unit_test(run_takes_every_allowed_stack_size),
        cmocka_unit_test(run_never_gives_an_id_again),
        cmocka_unit_test(run_takes_the_poller_it_is_told),
        cmocka_unit_test(run_with_many_workers),
        cmocka_unit_test(run_on_several_threads_at_once),
        cmocka_unit_test(run_many_times_one_after_the_other),
        cmocka_unit_test(run_does_not_starve_shared_tasks_when_all_workers_are_busy),
        cmocka_unit_test(run_fails_cleanly_at_each_allocation),
        cmocka_unit_test(error_text_is_a_lower_case_sentence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
