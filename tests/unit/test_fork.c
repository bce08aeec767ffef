/* SPDX-License-Identifier: MIT */
/*
 * Fork and join: results and errors come back from wherever a function ran; joins wait
 * for what was stolen, also when others have forked on the same thread meanwhile;
 * cancels reach it; and misuse panics.
 */
#include "support/parallel_test.h"

#include <fcntl.h>
#include <sched.h>

static int nothing(void *unused)
{
    (void)unused;
    return 0;
}

/* ---- misuse ---- */

PANIC_TEST(a_fork_is_joined_once, "not forked, or was joined before")
{
    hk_forked forked;

    hk_fork(&forked, nothing, NULL);
    (void)hk_join(&forked);
    return hk_join(&forked);
}

PANIC_TEST(forks_are_joined_in_reverse_order, "join them in reverse order")
{
    hk_forked first, second;

    hk_fork(&first, nothing, NULL);
    hk_fork(&second, nothing, NULL);
    return hk_join(&first);
}

static int forks_and_returns(void *forked)
{
    hk_fork(forked, nothing, NULL);
    return 0;
}

PANIC_TEST(a_fork_is_joined_before_its_function_returns,
           "without joining what it forked")
{
    hk_forked forked;

    return hk_parallel_run(forks_and_returns, &forked);
}

PANIC_TEST(a_forked_function_joins_its_forks, "without joining what it forked")
{
    hk_forked outer, inner;

    hk_fork(&outer, forks_and_returns, &inner);
    return hk_join(&outer);
}

PANIC_IN_A_TASK(a_task_joins_its_forks, "without joining what it forked")
{
    static hk_forked forked;

    return forks_and_returns(&forked);
}

static int forks_in_a_loop(int64_t begin, int64_t end, void *forked)
{
    (void)begin;
    (void)end;
    return forks_and_returns(forked);
}

PANIC_IN_A_TASK(the_body_of_a_loop_joins_its_forks, "without joining what it forked")
{
    static hk_forked forked;

    return hk_parallel_for(0, 1, 1, forks_in_a_loop, &forked);
}

static void *join_it(void *forked)
{
    (void)hk_join(forked);
    return NULL;
}

PANIC_TEST(a_fork_is_joined_by_who_forked, "what another task or thread has forked")
{
    hk_forked forked;
    pthread_t thread;

    hk_fork(&forked, nothing, NULL);
    CHECK_EQ(pthread_create(&thread, NULL, join_it, &forked), 0);
    return pthread_join(thread, NULL);
}

/* ---- results ---- */

struct fib {
    int n;
    int64_t value;
};

static int fib(void *arg)
{
    struct fib *f = arg, a = {f->n - 1, 0}, b = {f->n - 2, 0};
    hk_forked forked;

    f->value = f->n;
    if (f->n < 2)
        return 0;
    hk_fork(&forked, fib, &a);
    CHECK_EQ(fib(&b), 0);
    CHECK_EQ(hk_join(&forked), 0);
    f->value = a.value + b.value;
    return 0;
}

static int look_at_fib(void *unused)
{
    struct fib f = {scaled(25, 12), 0};

    (void)unused;
    CHECK_EQ(hk_parallel_run(fib, &f), 0);
    CHECK_EQ(f.value, scaled(75025, 144));
    return 0;
}

static void functions_fork_themselves(void **state)
{
    (void)state;
    everywhere(look_at_fib, NULL);
    at_once(look_at_fib, NULL);
}

/* Also where nobody has asked the pool first: in a task each fork goes there. */
static int fib_here(void *unused)
{
    struct fib f = {10, 0};

    (void)unused;
    CHECK_EQ(fib(&f), 0);
    CHECK_EQ(f.value, 55);
    return 0;
}

static void a_fork_needs_no_preparation(void **state)
{
    (void)state;
    everywhere(fib_here, NULL);
    at_once(fib_here, NULL);
}

/* So deep that all fits on a task's stack, also with a sanitizer's frames. */
static int64_t deep(void)
{
    return scaled(500, 100);
}

static int dig(void *arg)
{
    int64_t depth = *(int64_t *)arg, below = depth + 1;
    hk_forked forked;
    int rc;

    if (depth == deep())
        return 7;
    hk_fork(&forked, nothing, NULL);
    rc = dig(&below);
    CHECK_EQ(hk_join(&forked), 0);
    return rc;
}

static int dig_deep(void *unused)
{
    int64_t top = 0;

    (void)unused;
    CHECK_EQ(hk_parallel_run(dig, &top), 7);
    return 0;
}

/* All forks of a deep recursion are open at once. */
static void forks_nest_deeply(void **state)
{
    (void)state;
    everywhere(dig_deep, NULL);
}

static int give_error(void *arg)
{
    return -*(int *)arg;
}

static int fork_many(void *unused)
{
    enum { COUNT = 300 };
    static int zero, codes[] = {EIO, EINVAL};
    hk_forked forked[COUNT];

    (void)unused;
    for (int i = 0; i < COUNT; i++)
        hk_fork(&forked[i], nothing, NULL);
    CHECK_EQ(hk_join_all(forked, COUNT), 0);
    for (int i = 0; i < COUNT; i++)
        hk_fork(&forked[i], give_error,
                i == 100  ? &codes[0]
                : i > 200 ? &codes[1]
                          : &zero);
    CHECK_EQ(hk_join_all(forked, COUNT), -EIO);
    CHECK_EQ(hk_join_all(forked, 0), 0);
    return 0;
}

static void an_array_of_forks_gives_the_error_of_the_first(void **state)
{
    (void)state;
    everywhere(fork_many, NULL);
    at_once(fork_many, NULL);
}

static int run_through(void *unused)
{
    static int seven = -7, code = EIO;

    (void)unused;
    CHECK_EQ(hk_parallel_run(give_error, &seven), 7);
    CHECK_EQ(hk_parallel_run(give_error, &code), -EIO);
    CHECK(hk_parallel_threads() >= 1);
    return 0;
}

static void a_function_runs_in_the_pool(void **state)
{
    (void)state;
    everywhere(run_through, NULL);
}

/* ---- waiting ---- */

/* Goes on only when its sibling runs, too: somebody must have stolen one of them. */
static int meet(void *barrier)
{
    return hk_barrier_wait(barrier) < 0 ? -EIO : 0;
}

static int meet_another(void *unused)
{
    hk_barrier barrier = HK_BARRIER_INIT(2);
    hk_forked forked;

    (void)unused;
    hk_fork(&forked, meet, &barrier);
    CHECK_EQ(meet(&barrier), 0);
    CHECK_EQ(hk_join(&forked), 0);
    return 0;
}

static void a_fork_may_wait_for_who_forked(void **state)
{
    (void)state;
    for (int i = 0; i < scaled(200, 20); i++)
        everywhere(meet_another, NULL);
    at_once(meet_another, NULL);
}

/* Tasks that wait between their forks and joins: the deque has the forks of many. */
static int wait_in_between(void *arg)
{
    uint64_t chance = (uint64_t)(uintptr_t)arg * 77 + 1;

    for (int round = 0; round < scaled(20, 5); round++) {
        struct fib a = {(int)below(&chance, 8), 0}, b = {(int)below(&chance, 8), 0};
        hk_forked first, second;

        hk_fork(&first, fib, &a);
        CHECK_EQ(hk_sleep((int64_t)below(&chance, 50) * HK_MICROSECOND), 0);
        hk_fork(&second, fib, &b);
        hk_yield();
        CHECK_EQ(hk_join(&second), 0);
        CHECK_EQ(hk_sleep((int64_t)below(&chance, 50) * HK_MICROSECOND), 0);
        CHECK_EQ(hk_join(&first), 0);
        CHECK(a.value <= 13 && b.value <= 13);
    }
    return 0;
}

static void tasks_of_one_thread_share_its_deque(void **state)
{
    enum { JOBS = 30 };
    hk_future *futures[JOBS];
    struct anywhere what = {wait_in_between, NULL};

    (void)state;
    for (uintptr_t i = 0; i < JOBS; i++) {
        what.arg = (void *)i;
        futures[i] = hk_submit(hk_threads(), in_the_pool, &what, sizeof(what));
    }
    for (int i = 0; i < JOBS; i++) {
        assert_int_equal(hk_future_await(futures[i], NULL), 0);
        hk_future_free(futures[i]);
    }
}

/* ---- cancel ---- */

static int never_run(void *unused)
{
    (void)unused;
    CHECK(false);
    return 0;
}

static int fork_when_cancelled(void *unused)
{
    hk_forked forked;
    hk_scope s;

    (void)unused;
    hk_scope_open(&s);
    hk_scope_cancel(&s);
    hk_fork(&forked, never_run, NULL);
    CHECK_EQ(hk_join(&forked), -ECANCELED);
    CHECK_EQ(hk_parallel_run(never_run, NULL), -ECANCELED);
    return hk_scope_join(&s);
}

static void in_a_cancelled_scope_nothing_is_begun(void **state)
{
    (void)state;
    everywhere(fork_when_cancelled, NULL);
}

/* Runs until it is cancelled. */
static int wait_for_the_cancel(void *event)
{
    hk_event_set(event);
    return hk_sleep(HK_NEVER);
}

static int cancel_a_stolen_one(void *unused)
{
    hk_event begun = HK_EVENT_INIT;
    hk_forked forked;
    hk_scope s;

    (void)unused;
    hk_scope_open(&s);
    hk_fork(&forked, wait_for_the_cancel, &begun);
    CHECK_EQ(hk_event_wait(&begun), 0);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_join(&forked), -ECANCELED);
    return hk_scope_join(&s);
}

static void a_cancel_reaches_what_was_stolen(void **state)
{
    (void)state;
    for (int i = 0; i < scaled(50, 5); i++)
        everywhere(cancel_a_stolen_one, NULL);
}

static int wait_till_the_deadline(void *unused)
{
    hk_event begun = HK_EVENT_INIT;
    hk_scope s;
    int rc;

    (void)unused;
    hk_scope_open(&s);
    hk_scope_deadline(&s, hk_now() + 5 * HK_MILLISECOND);
    rc = hk_parallel_run(wait_for_the_cancel, &begun);
    CHECK_EQ(rc, -ECANCELED);
    CHECK_EQ(hk_scope_join(&s), -ETIMEDOUT);
    return 0;
}

static void a_deadline_reaches_a_function_in_the_pool(void **state)
{
    (void)state;
    everywhere(wait_till_the_deadline, NULL);
}

static int run_and_wait(void *event)
{
    CHECK_EQ(hk_parallel_run(wait_for_the_cancel, event), -ECANCELED);
    return 0;
}

static int cancel_the_task(void *unused)
{
    hk_event begun = HK_EVENT_INIT;
    hk_task_id id;
    hk_scope s;

    (void)unused;
    hk_scope_open(&s);
    CHECK_EQ(hk_spawn_named(&s, "waits", run_and_wait, &begun, &id), 0);
    CHECK_EQ(hk_event_wait(&begun), 0);
    hk_task_cancel(id);
    return hk_scope_join(&s);
}

static void a_cancel_of_the_task_reaches_the_pool(void **state)
{
    (void)state;
    assert_int_equal(run_workers(1, cancel_the_task, NULL), 0);
}

/* ---- its end ---- */

static hk_event values_may_end = HK_EVENT_INIT;
static uint32_t begun; /* atomic */

static void wait_with_value(void *value)
{
    (void)value;
    __atomic_store_n(&begun, 2, __ATOMIC_SEQ_CST);
    (void)hk_event_wait(&values_may_end);
}

static hk_local value_of_stolen = HK_LOCAL_INIT(wait_with_value);

static int set_a_value(void *value)
{
    __atomic_store_n(&begun, 1, __ATOMIC_SEQ_CST);
    return hk_local_set(&value_of_stolen, value);
}

/* Its task still destroys values when the join is over, and the scope is gone. */
static void a_dump_shows_what_was_stolen_and_has_ended(void **state)
{
    hk_scope *scope = malloc(sizeof(*scope));
    hk_forked forked;
    int null;

    (void)state;
    hk_event_clear(&values_may_end);
    __atomic_store_n(&begun, 0, __ATOMIC_SEQ_CST);
    hk_scope_open(scope);
    hk_fork(&forked, set_a_value, scope);
    while (!__atomic_load_n(&begun, __ATOMIC_SEQ_CST))
        sched_yield();
    assert_int_equal(hk_join(&forked), 0);
    assert_int_equal(hk_scope_join(scope), 0);
    memset(scope, 0x5a, sizeof(*scope));
    free(scope);
    while (__atomic_load_n(&begun, __ATOMIC_SEQ_CST) < 2)
        sched_yield();
    null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    assert_int_equal(hk_dump_tasks(null), 0);
    close(null);
    hk_event_set(&values_may_end);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fork_is_joined_once),
        cmocka_unit_test(forks_are_joined_in_reverse_order),
        cmocka_unit_test(a_fork_is_joined_before_its_function_returns),
        cmocka_unit_test(a_forked_function_joins_its_forks),
        cmocka_unit_test(a_task_joins_its_forks),
        cmocka_unit_test(the_body_of_a_loop_joins_its_forks),
        cmocka_unit_test(a_fork_is_joined_by_who_forked),
        cmocka_unit_test(functions_fork_themselves),
        cmocka_unit_test(a_fork_needs_no_preparation),
        cmocka_unit_test(forks_nest_deeply),
        cmocka_unit_test(an_array_of_forks_gives_the_error_of_the_first),
        cmocka_unit_test(a_function_runs_in_the_pool),
        cmocka_unit_test(a_fork_may_wait_for_who_forked),
        cmocka_unit_test(tasks_of_one_thread_share_its_deque),
        cmocka_unit_test(in_a_cancelled_scope_nothing_is_begun),
        cmocka_unit_test(a_cancel_reaches_what_was_stolen),
        cmocka_unit_test(a_deadline_reaches_a_function_in_the_pool),
        cmocka_unit_test(a_cancel_of_the_task_reaches_the_pool),
        cmocka_unit_test(a_dump_shows_what_was_stolen_and_has_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
