/* SPDX-License-Identifier: MIT */
/*
 * Shows who a job says that it is, on tasks and threads: the same each time it asks,
 * unlike all others, with what its options say; and that nobody else is a job. How:
 * jobs that return what hk_job_self told them. In worker processes:
 * test_process_self.c.
 */
#include "support/job_test.h"

#include "unit/self_test.h"

#include "exec/executor.h"

/* ---- who is one ---- */

enum { KINDS = 4 };

static void executors_open(hk_executor *on[KINDS])
{
    on[0] = hk_tasks();
    on[1] = hk_threads();
    CHECK_EQ(hk_task_pool_new(NULL, &on[2]), 0);
    CHECK_EQ(hk_thread_pool_new(NULL, &on[3]), 0);
}

static void executors_close(hk_executor *on[KINDS])
{
    hk_executor_free(on[2]);
    hk_executor_free(on[3]);
}

static int ask_everywhere(void *unused)
{
    hk_executor *on[KINDS];
    uint64_t last = 0;

    (void)unused;
    executors_open(on);
    for (int i = 0; i < KINDS; i++) {
        who answer = await_who(who_am_i_on(on[i]));

        expect_who(&answer, "", 1, 1);
        CHECK(strcmp(answer.name, "who_am_i") == 0);
        CHECK(answer.id != last);
        last = answer.id;
    }
    executors_close(on);
    return 0;
}

static void a_job_knows_itself_on_every_executor(void **state)
{
    (void)state;
    CHECK_EQ(hk_run(ask_everywhere, NULL, NULL), 0);
    CHECK_EQ(ask_everywhere(NULL), 0); /* also of a plain thread */
}

static int ask_with_options(void *unused)
{
    static const char key[] = "39 bytes, which is as long as a key is.";
    const hk_job_options options = {.key = key, .attempts_max = 2, .name = "asker"};
    hk_executor *on[KINDS];

    (void)unused;
    executors_open(on);
    for (int i = 0; i < KINDS; i++) {
        hk_executor_view view;
        hk_future *future = who_am_i_on(hk_with(&view, on[i], &options));
        who answer;

        CHECK_EQ(who_am_i_await(future, &answer), 0);
        expect_who(&answer, key, 1, 2);
        CHECK(strcmp(answer.name, "asker") == 0);
        CHECK(answer.id == hki_future_job(future)->id);
        hk_future_free(future);
    }
    executors_close(on);
    return 0;
}

static void a_job_has_the_key_and_the_name_of_its_options(void **state)
{
    (void)state;
    CHECK_EQ(hk_run(ask_with_options, NULL, NULL), 0);
    CHECK_EQ(ask_with_options(NULL), 0);
}

static int compare_ids(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* More than a thread takes at a time; every third one has a place for its id. */
static void ids_are_of_one_job_each(void **state)
{
    enum { JOBS = 6000 };
    static hk_future *futures[JOBS];
    static uint64_t ids[JOBS];
    const hk_job_options options = {.key = "same"};
    hk_executor *on[KINDS];

    (void)state;
    executors_open(on);
    for (int i = 0; i < JOBS; i++) {
        hk_executor_view view;
        hk_executor *plain = on[i % KINDS];

        futures[i] = who_am_i_on(i % 3 ? plain : hk_with(&view, plain, &options));
    }
    for (int i = 0; i < JOBS; i++)
        ids[i] = await_who(futures[i]).id;
    qsort(ids, JOBS, sizeof(*ids), compare_ids);
    for (int i = 1; i < JOBS; i++)
        CHECK(ids[i] != ids[i - 1]);
    executors_close(on);
}

static int ask_plainly(hk_bytes input, hk_result *result)
{
    who answer = ask();

    (void)input;
    return hk_result_set(result, &answer, sizeof(answer));
}

static int ask_then(hk_future *done, void *ctx, hk_result *result)
{
    (void)done;
    (void)ctx;
    return ask_plainly((hk_bytes){NULL, 0}, result);
}

static int ask_in_other_ways(void *unused)
{
    hk_executor *on[KINDS];

    (void)unused;
    executors_open(on);
    for (int i = 0; i < KINDS; i++) {
        hk_future *square = square_on(on[i], 3);
        who answer = await_who(hk_then(square, on[i], ask_then, NULL));

        expect_who(&answer, "", 1, 1);
        CHECK(strcmp(answer.name, "then") == 0);
        hk_future_free(square);
        answer = await_who(hk_submit(on[i], ask_plainly, NULL, 0));
        expect_who(&answer, "", 1, 1);
        CHECK(strcmp(answer.name, "job") == 0);
        answer = await_who(hk_submit_detached(on[i], ask_plainly, NULL, 0));
        expect_who(&answer, "", 1, 1);
    }
    executors_close(on);
    return 0;
}

static void untyped_detached_and_continuing_jobs_are_jobs(void **state)
{
    (void)state;
    CHECK_EQ(hk_run(ask_in_other_ways, NULL, NULL), 0);
    CHECK_EQ(ask_in_other_ways(NULL), 0);
}

/* The one that waits goes on with its own id, also after others on its thread. */
HK_FN(who, ask_and_wait, (int, rounds))
{
    who before = ask();

    for (int i = 0; i < rounds; i++)
        (void)hk_yield();
    before.id_again = ask().id;
    return before;
}

static void a_job_that_waits_is_the_same_afterwards(void **state)
{
    enum { JOBS = 100 };
    hk_executor *on[KINDS];
    hk_future *futures[JOBS];

    (void)state;
    executors_open(on);
    for (int i = 0; i < JOBS; i++)
        futures[i] = ask_and_wait_on(on[i % KINDS], i % 7);
    for (int i = 0; i < JOBS; i++) {
        who answer = await_who(futures[i]);

        expect_who(&answer, "", 1, 1);
    }
    executors_close(on);
}

/* A task-local value holds the id of such a job. */
HK_FN(hk_rc, ask_without_memory)
{
    hk_job_identity me;
    int first;

    hk_fault_arm(HK_FAULT_ALLOC, 1, -ENOMEM);
    memset(&me, 0x5a, sizeof(me));
    first = hk_job_self(&me);
    hk_fault_arm(HK_FAULT_ALLOC, 0, 0);
    if (first == 0)
        return 0;
    first = failure_of(first, &me);
    return hk_job_self(&me) == 0 ? first : -EPROTO; /* it can ask again */
}

TASK_TEST(without_memory_only_a_job_without_a_key_gets_no_id)
{
    const hk_job_options options = {.key = "k"};
    hk_executor_view view;
    hk_future *future = ask_without_memory_on(hk_tasks());

    CHECK_EQ(hk_future_await(future, NULL), -ENOMEM);
    hk_future_free(future);
    future = ask_without_memory_on(hk_with(&view, hk_tasks(), &options));
    CHECK_EQ(hk_future_await(future, NULL), 0);
    hk_future_free(future);
    return 0;
}

/* ---- who is none ---- */

static int ask_for_rc(void *out)
{
    *(int *)out = ask().rc;
    return 0;
}

static void ask_in_callback(void *out)
{
    __atomic_store_n((int *)out, ask().rc, __ATOMIC_RELEASE);
}

static void *ask_on_thread(void *out)
{
    *(int *)out = ask().rc;
    return NULL;
}

/* What the caller, whoever that is, has started. */
static void expect_what_is_started_is_none(void)
{
    int child = 0, offloaded = 0, thread = 0;
    pthread_t id;
    hk_scope s;

    hk_scope_open(&s);
    CHECK_EQ(hk_spawn(&s, ask_for_rc, &child), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(child, -ESRCH);
    CHECK_EQ(hk_blocking(ask_for_rc, &offloaded), 0);
    CHECK_EQ(offloaded, -ESRCH);
    CHECK_EQ(pthread_create(&id, NULL, ask_on_thread, &thread), 0);
    CHECK_EQ(pthread_join(id, NULL), 0);
    CHECK_EQ(thread, -ESRCH);
}

static int be_no_job(void *unused)
{
    int in_callback = 0; /* atomic */

    (void)unused;
    CHECK_EQ(ask().rc, -ESRCH);
    expect_what_is_started_is_none();
    CHECK_EQ(hk_call_soon(hk_worker_self(), ask_in_callback, &in_callback), 0);
    while (__atomic_load_n(&in_callback, __ATOMIC_ACQUIRE) == 0)
        CHECK_EQ(hk_yield(), 0);
    CHECK_EQ(in_callback, -ESRCH);
    return 0;
}

static void threads_tasks_and_callbacks_are_none(void **state)
{
    (void)state;
    CHECK_EQ(ask().rc, -ESRCH);
    expect_what_is_started_is_none();
    CHECK_EQ(hk_run(be_no_job, NULL, NULL), 0);
}

HK_FN(hk_rc, start_all_kinds)
{
    expect_what_is_started_is_none();
    return ask().rc;
}

static void what_a_job_has_started_is_none(void **state)
{
    hk_executor *on[KINDS];

    (void)state;
    executors_open(on);
    for (int i = 0; i < KINDS; i++) {
        hk_future *future = start_all_kinds_on(on[i]);

        CHECK_EQ(hk_future_await(future, NULL), 0);
        hk_future_free(future);
    }
    executors_close(on);
}

/* Its record is gone by then. */
static int after_end; /* atomic; 0: not asked yet */

static void ask_after_end(void *unused)
{
    int rc = ask().rc;

    (void)unused;
    __atomic_store_n(&after_end, rc ? rc : 1, __ATOMIC_RELEASE);
}

HK_FN(void, leave_a_value)
{
    static hk_local local = HK_LOCAL_INIT(ask_after_end);

    (void)hk_local_set(&local, &after_end);
    (void)ask();
}

static void a_job_that_has_ended_is_none(void **state)
{
    hk_executor *on[KINDS];

    (void)state;
    executors_open(on);
    for (int i = 0; i < KINDS; i++) {
        __atomic_store_n(&after_end, 0, __ATOMIC_RELEASE);
        hk_future_free(leave_a_value_on(on[i]));
        while (__atomic_load_n(&after_end, __ATOMIC_ACQUIRE) == 0)
            CHECK_EQ(hk_sleep(HK_MILLISECOND), 0);
        CHECK_EQ(__atomic_load_n(&after_end, __ATOMIC_RELAXED), -ESRCH);
    }
    executors_close(on);
}

/* A fork that another thread has taken is a task there; one that its own job has taken
 * back is the job. */
struct fork_of {
    uint64_t job;
    int strangers; /* atomic */
};

static int ask_in_fork(void *arg)
{
    struct fork_of *all = arg;
    who answer = ask();

    if (answer.rc < 0 ? answer.rc != -ESRCH : answer.id != all->job)
        __atomic_add_fetch(&all->strangers, 1, __ATOMIC_RELAXED);
    return 0;
}

HK_FN(int, fork_many)
{
    enum { FORKS = 200 };
    struct fork_of all = {.job = ask().id};
    hk_forked forks[FORKS];

    for (int i = 0; i < FORKS; i++)
        hk_fork(&forks[i], ask_in_fork, &all);
    (void)hk_join_all(forks, FORKS);
    return all.strangers;
}

static void a_fork_is_its_job_or_none(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        hk_future *future = fork_many_on(hk_threads());
        int strangers = -1;

        CHECK_EQ(fork_many_await(future, &strangers), 0);
        CHECK_EQ(strangers, 0);
        hk_future_free(future);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_knows_itself_on_every_executor),
        cmocka_unit_test(a_job_has_the_key_and_the_name_of_its_options),
        cmocka_unit_test(ids_are_of_one_job_each),
        cmocka_unit_test(untyped_detached_and_continuing_jobs_are_jobs),
        cmocka_unit_test(a_job_that_waits_is_the_same_afterwards),
        cmocka_unit_test(without_memory_only_a_job_without_a_key_gets_no_id),
        cmocka_unit_test(threads_tasks_and_callbacks_are_none),
        cmocka_unit_test(what_a_job_has_started_is_none),
        cmocka_unit_test(a_job_that_has_ended_is_none),
        cmocka_unit_test(a_fork_is_its_job_or_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
