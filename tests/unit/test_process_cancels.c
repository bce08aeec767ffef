/* SPDX-License-Identifier: MIT */
/*
 * Shows that a cancelled job of a process pool always comes to its end, wherever the
 * cancel finds it: on its way into the queue, behind another one in its worker's
 * channel, in a worker that hides that it runs, or has left its process group. How:
 * jobs that never end by themselves; a cancel that is lost is a test that hangs.
 */
#include "unit/process_test.h"

#include "exec/channel.h"

#include <hocket/shared.h>

/* ---- what runs in workers ---- */

/* Says that it has begun, and ends when it is told to. */
HK_FN(void, run_until_told, (hk_shared, shared))
{
    uint32_t *board = hk_shared_data(shared);

    __atomic_store_n(&board[0], 1, __ATOMIC_RELEASE);
    while (__atomic_load_n(&board[1], __ATOMIC_ACQUIRE) == 0)
        (void)usleep(100);
}

/* Its slot says that it was taken back. */
HK_FN(void, hide_and_run_for_ever, (hk_shared, shared))
{
    FILE *maps = fopen("/proc/self/maps", "r");
    unsigned long first = 0, end;
    struct hki_channel_memory *memory;
    char line[512];

    while (fgets(line, sizeof(line), maps))
        if (strstr(line, "hocket-channel") &&
            sscanf(line, "%lx-%lx", &first, &end) == 2)
            break;
    memory = (struct hki_channel_memory *)first;
    for (int i = 0; i < HKI_CHANNEL_SLOTS; i++)
        if (memory->slots[i].state == HKI_SLOT_TAKEN)
            memory->slots[i].state = HKI_SLOT_REVOKED;
    __atomic_store_n((uint32_t *)hk_shared_data(shared), 1, __ATOMIC_RELEASE);
    for (;;)
        (void)pause();
}

/* Is no more in the group that it leads, in which a child of its stays. */
HK_FN(void, leave_group_and_run_for_ever, (hk_shared, shared))
{
    int left = 0;

    if (fork() > 0)
        left = setpgid(0, getpgid(getppid())) == 0;
    if (left)
        __atomic_store_n((uint32_t *)hk_shared_data(shared), 1, __ATOMIC_RELEASE);
    for (;;)
        (void)pause();
}

/* ---- help ---- */

static uint32_t *new_board(hk_shared *shared)
{
    assert_int_equal(hk_shared_alloc(2 * sizeof(uint32_t), shared), 0);
    memset(hk_shared_data(*shared), 0, shared->size);
    return hk_shared_data(*shared);
}

static void await_word(const uint32_t *word)
{
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == 0)
        (void)usleep(100);
}

/* ---- tests ---- */

/* They were sent to its worker already when it is killed, and come back then. */
static void cancelled_jobs_behind_one_that_runs_never_begin(void **state)
{
    enum { JOBS = 4 };
    hk_executor *pool = pool_with(1);
    hk_future *futures[JOBS];

    (void)state;
    for (int i = 0; i < 100; i++) /* short jobs: several are sent at a time */
        expect_add(pool, i, 1);
    for (int i = 0; i < JOBS; i++)
        futures[i] = run_for_ever_on(pool);
    while (hk_future_worker(futures[0]) == 0)
        ;
    hk_executor_terminate(pool);
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(await_and_free(futures[i]), -EIDRM);
    hk_executor_free(pool);
}

struct late {
    hk_executor *pool;
    hk_future *future;
    bool is_waiting; /* atomic */
};

static int submit_late(void *arg)
{
    struct late *late = arg;

    __atomic_store_n(&late->is_waiting, true, __ATOMIC_RELAXED);
    late->future = run_for_ever_on(late->pool);
    return 0;
}

static uint64_t queued_in(hk_executor *pool)
{
    hk_executor_stats stats;

    hk_executor_stats_read(pool, &stats);
    return stats.queued;
}

/* The task has got its room, but has not run since, when its scope is cancelled. */
static int cancels_who_got_room(void *arg)
{
    struct late late = {.pool = arg};
    hk_shared shared;
    uint32_t *board = new_board(&shared);
    hk_future *busy = run_until_told_on(late.pool, shared), *queued;
    hk_scope s;

    await_word(&board[0]);
    queued = add_on(late.pool, 1, 2);
    hk_scope_open(&s);
    assert_int_equal(hk_spawn(&s, submit_late, &late), 0);
    while (!__atomic_load_n(&late.is_waiting, __ATOMIC_RELAXED))
        assert_int_equal(hk_yield(), 0);
    __atomic_store_n(&board[1], 1, __ATOMIC_RELEASE);
    while (queued_in(late.pool) > 1) /* its own counts */
        (void)usleep(100);
    hk_scope_cancel(&s);
    (void)usleep(20000); /* the pool looks for cancelled jobs, and finds none */
    assert_int_equal(hk_scope_join(&s), 0);
    assert_int_equal(await_and_free(late.future), -EIDRM);
    assert_int_equal(await_and_free(queued), 0);
    assert_int_equal(await_and_free(busy), 0);
    hk_shared_free(shared);
    return 0;
}

static void a_job_that_is_cancelled_before_it_is_queued_ends(void **state)
{
    hk_executor *pool =
        pool_of(&(hk_process_options){.workers_max = 1, .queue_max = 1});

    (void)state;
    assert_int_equal(hk_run(cancels_who_got_room, pool, NULL), 0);
    expect_add(pool, 1, 2);
    hk_executor_free(pool);
}

static void a_job_that_hides_that_it_runs_can_be_killed(void **state)
{
    hk_executor *pool = pool_with(1);
    hk_shared shared;
    uint32_t *board = new_board(&shared);
    hk_future *future = hide_and_run_for_ever_on(pool, shared);

    (void)state;
    await_word(&board[0]);
    assert_int_equal(hk_future_cancel(future, HK_KILL), 0);
    assert_int_equal(await_and_free(future), -EIDRM);
    expect_add(pool, 1, 2);
    hk_executor_free(pool);
    hk_shared_free(shared);
}

static void a_job_that_leaves_its_process_group_can_be_killed(void **state)
{
    hk_executor *pool = pool_with(1);
    hk_shared shared;
    uint32_t *board = new_board(&shared);
    hk_future *future = leave_group_and_run_for_ever_on(pool, shared);

    (void)state;
    await_word(&board[0]);
    assert_int_equal(hk_future_cancel(future, HK_KILL), 0);
    assert_int_equal(await_and_free(future), -EIDRM);
    expect_add(pool, 1, 2);
    hk_executor_free(pool);
    hk_shared_free(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* first: what forks must not have threads */
        forked_unit_test(a_job_that_leaves_its_process_group_can_be_killed),
        cmocka_unit_test(cancelled_jobs_behind_one_that_runs_never_begin),
        cmocka_unit_test(a_job_that_is_cancelled_before_it_is_queued_ends),
        cmocka_unit_test(a_job_that_hides_that_it_runs_can_be_killed),
        cmocka_unit_test(a_job_that_leaves_its_process_group_can_be_killed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
