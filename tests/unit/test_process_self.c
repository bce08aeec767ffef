/* SPDX-License-Identifier: MIT */
/*
 * Shows that a job in a worker process knows itself as the program knows it: its id,
 * its key and its attempt, also when the worker before it died, and when another
 * worker's job has submitted it; and that nothing else there is that job. How: jobs
 * that return what hk_job_self told them, or write it into shared memory before they
 * die.
 */
#include "unit/process_test.h"

#include "unit/self_test.h"

#include "exec/executor.h"

#include <hocket/shared.h>
#include <hocket/thread.h>

#include <pthread.h>

static hk_future *with_options(hk_future *(*start)(hk_executor *on), hk_executor *on,
                               const hk_job_options *options)
{
    hk_executor_view view;

    return start(hk_with(&view, on, options));
}

static bool is_of_worker(uint64_t id)
{
    return id >> 63;
}

/* ---- the same in both processes ---- */

static void a_job_is_the_same_in_its_worker(void **state)
{
    const hk_job_options options = {.key = "invoice 7", .attempts_max = 2};
    hk_executor *pool = pool_with(2);
    hk_future *future = with_options(who_am_i_on, pool, &options);
    who answer;

    (void)state;
    assert_int_equal(who_am_i_await(future, &answer), 0);
    expect_who(&answer, "invoice 7", 1, 2);
    assert_string_equal(answer.name, "who_am_i");
    assert_true(answer.id == hki_future_job(future)->id && !is_of_worker(answer.id));
    hk_future_free(future);
    answer = await_who(who_am_i_on(pool)); /* the slots know nothing of it */
    expect_who(&answer, "", 1, 1);
    hk_executor_free(pool);
}

static int ask_plainly(hk_bytes input, hk_result *result)
{
    who answer = ask();

    (void)input;
    return hk_result_set(result, &answer, sizeof(answer));
}

static void an_untyped_job_has_no_name_there(void **state)
{
    const hk_job_options options = {.key = "k", .name = "in the program"};
    hk_executor *pool = pool_with(1);
    hk_executor_view view;
    who answer =
        await_who(hk_submit(hk_with(&view, pool, &options), ask_plainly, NULL, 0));

    (void)state;
    expect_who(&answer, "k", 1, 1);
    assert_string_equal(answer.name, "job");
    hk_executor_free(pool);
}

/* ---- key and arguments in one slot ---- */

static void fill(unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(i * 7 + size);
}

static bool is_filled(const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != (unsigned char)(i * 7 + size))
            return false;
    return true;
}

/* Its key is there before and after it has overwritten its arguments. */
static int check_input(hk_bytes input, hk_result *result)
{
    who answer = ask(), again;

    if (!is_filled(input.data, input.size))
        return -EILSEQ;
    if (input.size > 0)
        memset((void *)(uintptr_t)input.data, 0xff, input.size);
    again = ask();
    if (memcmp(&answer, &again, sizeof(again)) != 0)
        return -ESTALE;
    return hk_result_set(result, &answer, sizeof(answer));
}

static void expect_input_and_key(hk_executor *pool, size_t size, size_t key_size)
{
    static unsigned char bytes[5000];
    char key[HK_JOB_KEY_MAX + 1] = {0};
    hk_executor_view view;
    who answer;

    memset(key, 'k', key_size);
    fill(bytes, size);
    answer = await_who(
        hk_submit(hk_with(&view, pool, &(hk_job_options){.key = key_size ? key : NULL}),
                  check_input, bytes, size));
    expect_who(&answer, key, 1, 1);
}

static void arguments_of_all_sizes_leave_room_for_keys_of_all(void **state)
{
    static const size_t key_sizes[] = {0, 1, 20, HK_JOB_KEY_MAX};
    hk_executor *pool = pool_with(1);

    (void)state;
    for (size_t i = 0; i < sizeof(key_sizes) / sizeof(key_sizes[0]); i++) {
        for (size_t size = 160; size < 215; size++)
            expect_input_and_key(pool, size, key_sizes[i]);
        expect_input_and_key(pool, 0, key_sizes[i]);
        expect_input_and_key(pool, 5000, key_sizes[i]);
    }
    hk_executor_free(pool);
}

/* ---- attempts ---- */

struct board {
    uint32_t count; /* atomic */
    who answers[4];
};

/* Dies at each attempt but the last. */
HK_FN(void, ask_and_die, (hk_shared, shared))
{
    struct board *board = hk_shared_data(shared);
    who answer = ask();

    board->answers[board->count % 4] = answer;
    __atomic_add_fetch(&board->count, 1, __ATOMIC_RELEASE);
    if (answer.attempt < answer.attempts_max)
        (void)raise(SIGKILL);
}

static void an_attempt_more_has_the_same_id_and_key(void **state)
{
    const hk_job_options options = {.key = "twice", .attempts_max = 3};
    hk_executor *pool = pool_with(2);
    hk_executor_view view;
    struct board *board;
    hk_shared shared;
    hk_future *future;

    (void)state;
    assert_int_equal(hk_shared_alloc(sizeof(*board), &shared), 0);
    board = hk_shared_data(shared);
    memset(board, 0, sizeof(*board));
    future = ask_and_die_on(hk_with(&view, pool, &options), shared);
    assert_int_equal(hk_future_await(future, NULL), 0);
    assert_int_equal(__atomic_load_n(&board->count, __ATOMIC_ACQUIRE), 3);
    for (uint32_t i = 0; i < 3; i++) {
        expect_who(&board->answers[i], "twice", i + 1, 3);
        assert_true(board->answers[i].id == hki_future_job(future)->id);
    }
    hk_future_free(future);
    hk_executor_free(pool);
    hk_shared_free(shared);
}

/* ---- jobs of jobs ---- */

/* Submits what hki_future_job cannot see from here: the program makes it. */
HK_FN(who, ask_below, (bool, with_key), (uint32_t, size))
{
    static unsigned char bytes[5000];
    hk_job_options options = {.attempts_max = 2};
    hk_executor_view view;
    hk_future *future;
    hk_bytes out;
    who answer = {.rc = -EPROTO};

    if (with_key)
        options.key = "39 bytes, which is as long as a key is.";
    fill(bytes, size);
    future =
        hk_submit(hk_with(&view, hk_processes(), &options), check_input, bytes, size);
    answer.rc = hk_future_await(future, &out);
    if (answer.rc == 0)
        memcpy(&answer, out.data, sizeof(answer));
    hk_future_free(future);
    if (answer.rc == 0 && answer.id == ask().id)
        answer.rc = -EEXIST;
    return answer;
}

static void a_key_survives_a_submit_by_a_job(void **state)
{
    static const uint32_t sizes[] = {0, 100, 169, 170, 208, 209, 5000};
    hk_executor *pool = pool_with(2);

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        who answer = await_who(ask_below_on(pool, true, sizes[i]));

        expect_who(&answer, "39 bytes, which is as long as a key is.", 1, 2);
        assert_false(is_of_worker(answer.id));
        answer = await_who(ask_below_on(pool, false, sizes[i]));
        expect_who(&answer, "", 1, 2);
    }
    hk_executor_free(pool);
}

HK_FN(who, ask_on_own_threads, (bool, with_key))
{
    const hk_job_options options = {.key = with_key ? "own" : NULL};
    who answer = {.rc = -EPROTO};
    hk_future *future = with_options(who_am_i_on, hk_threads(), &options);

    (void)who_am_i_await(future, &answer);
    hk_future_free(future);
    return answer;
}

/* Two workers, and neither has ids of the other's, of the program's, or two equal. */
static void jobs_of_a_worker_have_ids_of_their_own(void **state)
{
    enum { JOBS = 40 };
    hk_executor *pool =
        pool_of(&(hk_process_options){.workers_max = 2, .jobs_per_worker = JOBS / 4});
    hk_future *futures[JOBS];
    uint64_t ids[JOBS];

    (void)state;
    for (int i = 0; i < JOBS; i++)
        futures[i] = ask_on_own_threads_on(pool, i % 2);
    for (int i = 0; i < JOBS; i++) {
        who answer = await_who(futures[i]);

        expect_who(&answer, i % 2 ? "own" : "", 1, 1);
        assert_true(is_of_worker(answer.id));
        ids[i] = answer.id;
        for (int k = 0; k < i; k++)
            assert_true(ids[k] != ids[i]);
    }
    hk_executor_free(pool);
}

/* ---- who is that job, and who is not ---- */

static int ask_for_rc(void *out)
{
    *(int *)out = ask().rc;
    return 0;
}

static void *ask_on_thread(void *out)
{
    *(int *)out = ask().rc;
    return NULL;
}

static int ask_in_runtime(void *arg)
{
    who *out = arg;
    int child = 0;
    hk_scope s;

    *out = ask();
    hk_scope_open(&s);
    (void)hk_spawn(&s, ask_for_rc, &child);
    (void)hk_scope_join(&s);
    return child == -ESRCH ? 0 : -EPROTO;
}

/* The number of the first one that is not what it should be. */
HK_FN(hk_rc, ask_around)
{
    const uint64_t id = ask().id;
    int child = 0, thread = 0;
    pthread_t other;
    who first;
    hk_scope s;

    hk_scope_open(&s);
    (void)hk_spawn(&s, ask_for_rc, &child);
    (void)hk_scope_join(&s);
    if (child != -ESRCH)
        return -1;
    if (pthread_create(&other, NULL, ask_on_thread, &thread) ||
        pthread_join(other, NULL) || thread != -ESRCH)
        return -2;
    if (hk_run(ask_in_runtime, &first, NULL) < 0)
        return -3;
    if (first.id != id || first.id_again != id)
        return -4;
    return ask().id == id ? 0 : -5;
}

static void what_a_job_starts_there_is_none(void **state)
{
    hk_executor *pool = pool_with(1);

    (void)state;
    assert_int_equal(await_and_free(ask_around_on(pool)), 0);
    hk_executor_free(pool);
    /* In a scope, which is to be cancelled: */
    pool =
        pool_of(&(hk_process_options){.workers_max = 1, .cancel_grace_ns = HK_SECOND});
    assert_int_equal(await_and_free(ask_around_on(pool)), 0);
    hk_executor_free(pool);
}

static int initialize(hk_bytes input, hk_result *result)
{
    (void)input;
    (void)result;
    return ask().rc == -ESRCH ? 0 : -EPROTO;
}

static void an_initializer_is_none(void **state)
{
    hk_executor *pool =
        pool_of(&(hk_process_options){.workers_max = 1, .init = initialize});

    (void)state;
    expect_add(pool, 1, 2);
    hk_executor_free(pool);
}

static int *told; /* in a worker: where its exit handler tells */

static void tell_who_exits(void)
{
    int rc = ask().rc;

    __atomic_store_n(told, rc ? rc : 1, __ATOMIC_RELEASE);
}

HK_FN(int, ask_at_exit, (hk_shared, shared))
{
    told = hk_shared_data(shared);
    return atexit(tell_who_exits);
}

/* More jobs than slots: the one that asks it to exit was a job's before. */
static void an_exit_handler_is_none(void **state)
{
    enum { JOBS = 100 };
    hk_executor *pool =
        pool_of(&(hk_process_options){.workers_max = 1, .jobs_per_worker = JOBS + 1});
    hk_shared shared;
    int *rc;

    (void)state;
    assert_int_equal(hk_shared_alloc(sizeof(*rc), &shared), 0);
    rc = hk_shared_data(shared);
    *rc = 0;
    for (int i = 0; i < JOBS; i++)
        expect_add(pool, i, 1);
    assert_int_equal(await_and_free(ask_at_exit_on(pool, shared)), 0);
    while (__atomic_load_n(rc, __ATOMIC_ACQUIRE) == 0)
        assert_int_equal(hk_sleep(HK_MILLISECOND), 0);
    assert_int_equal(*rc, -ESRCH);
    hk_executor_free(pool);
    hk_shared_free(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* first: what forks must not have threads */
        forked_unit_test(a_job_is_the_same_in_its_worker),
        forked_unit_test(an_attempt_more_has_the_same_id_and_key),
        forked_unit_test(a_key_survives_a_submit_by_a_job),
        forked_unit_test(jobs_of_a_worker_have_ids_of_their_own),
        forked_unit_test(an_initializer_is_none),
        cmocka_unit_test(a_job_is_the_same_in_its_worker),
        cmocka_unit_test(an_untyped_job_has_no_name_there),
        cmocka_unit_test(arguments_of_all_sizes_leave_room_for_keys_of_all),
        cmocka_unit_test(an_attempt_more_has_the_same_id_and_key),
        cmocka_unit_test(a_key_survives_a_submit_by_a_job),
        cmocka_unit_test(jobs_of_a_worker_have_ids_of_their_own),
        cmocka_unit_test(what_a_job_starts_there_is_none),
        cmocka_unit_test(an_initializer_is_none),
        cmocka_unit_test(an_exit_handler_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
