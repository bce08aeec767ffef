/* SPDX-License-Identifier: MIT */
/*
 * Threads and blocking calls as the dump and the deadlock census see them, and what is
 * left of them at the end of the process: daemons and abandoned calls must neither hold
 * it up nor make a sanitizer complain. Each scenario is a child process, since it must
 * know all of its threads, or ends by exit().
 */
#include "dump_test.h"

#include <semaphore.h>

static int wait_for_event(void *event)
{
    return hk_event_wait(event);
}

/* A dump that says so comes in the end: nobody can be asked whether a thread waits. */
static void dump_until(const char *words)
{
    do {
        (void)hk_sleep(HK_MILLISECOND);
        take_dump();
    } while (!strstr(text, words));
}

/* ---- the dump ---- */

static int app_in_the_tree(void *arg)
{
    hk_thread_options options = {.name = "reader"};
    hk_event go = {.name = "go"};
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open_with(&s, 0, "library");
    hk_spawn_named(&s, "librarian", wait_for_event, &go, NULL);
    (void)hk_spawn_thread_with(&s, &options, wait_for_event, &go, NULL);
    dump_until("waits for event for");
    expect_in_order((const char *[]){"task 'main'", "scope 'library': 2 children",
                                     "task 'librarian'", "waits for event (name go)",
                                     "thread 'reader' (", "waits for event for", NULL});
    expect_not("\nthreads\n"); /* it is shown once */
    hk_event_set(&go);
    return hk_scope_join(&s);
}

static int body_in_the_tree(void)
{
    return hk_run(app_in_the_tree, NULL, NULL) == 0 ? 0 : 1;
}

static void thread_is_shown_in_its_scope(void **state)
{
    struct child child = run_child_alone(body_in_the_tree);

    (void)state;
    expect_exit(&child, 0);
}

static int has_children(void *arg)
{
    hk_thread_options options = {.name = "inner"};
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open_with(&s, 0, "own");
    (void)hk_spawn_thread_with(&s, &options, wait_for_event, arg, NULL);
    hk_spawn_named(&s, "helper", wait_for_event, arg, NULL);
    return hk_scope_join(&s);
}

static int app_of_a_thread(void *arg)
{
    hk_thread_options options = {.name = "outer"};
    hk_event go = HK_EVENT_INIT;
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open(&s);
    (void)hk_spawn_thread_with(&s, &options, has_children, &go, NULL);
    dump_until("task 'helper'");
    dump_until("in scope 'own' of thread 'outer': thread 'inner' (");
    expect("in scope 'own' of thread 'outer':\n");
    hk_scope_cancel(&s);
    return hk_scope_join(&s);
}

static int body_of_a_thread(void)
{
    return hk_run(app_of_a_thread, NULL, NULL) == 0 ? 0 : 1;
}

static void children_of_a_thread_say_where_they_belong(void **state)
{
    struct child child = run_child_alone(body_of_a_thread);

    (void)state;
    expect_exit(&child, 0);
}

static sem_t call_begun, call_may_end;

static int blocking_call(void *arg)
{
    (void)arg;
    sem_post(&call_begun);
    while (sem_wait(&call_may_end) < 0)
        ;
    return 0;
}

static int make_call(void *arg)
{
    return hk_to_thread(blocking_call, arg);
}

static int app_calls(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open(&s);
    hk_spawn_named(&s, "caller", make_call, NULL, NULL);
    dump_until("blocking_call runs for ");
    expect_in_order((const char *[]){"task 'caller'",
                                     "waits for a blocking call (blocking_call)",
                                     "\nblocking calls\n  blocking_call runs", NULL});
    expect_not("abandoned");
    hk_scope_cancel(&s);
    if (hk_scope_join(&s) != 0)
        return -1;
    take_dump();
    expect("blocking_call runs for ");
    expect(", abandoned for ");
    sem_post(&call_may_end);
    return 0;
}

static int body_calls(void)
{
    sem_init(&call_begun, 0, 0);
    sem_init(&call_may_end, 0, 0);
    return hk_run(app_calls, NULL, NULL) == 0 ? 0 : 1;
}

static void blocking_calls_are_shown_by_name_and_since_when(void **state)
{
    struct child child = run_child(body_calls);

    (void)state;
    expect_exit(&child, 0);
}

/* ---- the census ---- */

static hk_mutex first = {.name = "first"}, second = {.name = "second"};
static hk_event has_first = {.name = "has first"}, has_second = {.name = "has second"};

static int lock_two(hk_mutex *one, hk_event *has_one, hk_event *others, hk_mutex *two)
{
    int rc = hk_mutex_lock(one);

    if (rc < 0)
        return rc;
    hk_event_set(has_one);
    rc = hk_event_wait(others);
    if (rc == 0)
        rc = hk_mutex_lock(two);
    if (rc == 0)
        hk_mutex_unlock(two);
    hk_mutex_unlock(one);
    return rc == -EDEADLK ? 1 : rc;
}

static int first_then_second(void *arg)
{
    (void)arg;
    return lock_two(&first, &has_first, &has_second, &second);
}

static int second_then_first(void *arg)
{
    (void)arg;
    return lock_two(&second, &has_second, &has_first, &first);
}

static int app_crosswise(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open(&s);
    hk_spawn_named(&s, "left", first_then_second, NULL, NULL);
    (void)hk_spawn_thread_with(&s, &(hk_thread_options){.name = "right"},
                               second_then_first, NULL, NULL);
    return hk_scope_join(&s);
}

static int body_crosswise(void)
{
    return hk_run(app_crosswise, NULL, NULL) == 0 ? 0 : 1;
}

static void task_and_thread_that_wait_for_each_other_are_a_deadlock(void **state)
{
    struct child child = run_child_alone(body_crosswise);

    (void)state;
    expect_exit(&child, 0);
    expect_words(&child, "deadlock");
    expect_words(&child, "task 'left'");
    expect_words(&child, "thread 'right'");
    expect_words(&child, "-EDEADLK goes to t");
}

static int lock_first(void *arg)
{
    int rc;

    (void)arg;
    rc = hk_mutex_lock(&first);
    return rc == -EDEADLK ? 0 : -1;
}

static int app_join_under_a_lock(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    int rc;

    (void)arg;
    rc = hk_mutex_lock(&first);
    if (rc < 0)
        return rc;
    hk_scope_open(&s);
    (void)hk_spawn_thread_with(&s, &(hk_thread_options){.name = "child"}, lock_first,
                               NULL, NULL);
    rc = hk_scope_join(&s); /* with the lock that the child wants */
    hk_mutex_unlock(&first);
    return rc;
}

static int body_join_under_a_lock(void)
{
    return hk_run(app_join_under_a_lock, NULL, NULL) == 0 ? 0 : 1;
}

static int body_thread_joins_under_a_lock(void)
{
    return app_join_under_a_lock(NULL) == 0 ? 0 : 1;
}

static void join_of_a_thread_that_wants_the_joiners_lock_is_a_deadlock(void **state)
{
    struct child child = run_child_alone(body_join_under_a_lock);

    (void)state;
    expect_exit(&child, 0);
    expect_words(&child, "-EDEADLK goes to thread 'child'");
    child = run_child_alone(body_thread_joins_under_a_lock);
    expect_exit(&child, 0);
    expect_words(&child, "-EDEADLK goes to thread 'child'");
}

static hk_thread each_other[2];
static hk_event both_are_there = {.name = "both are there"};

static int join_the_other(void *arg)
{
    int rc = hk_event_wait(&both_are_there);

    if (rc == 0)
        rc = hk_thread_join(*(hk_thread *)arg);
    return rc == -EDEADLK ? 1 : rc;
}

static int app_join_each_other(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open(&s);
    for (int i = 0; i < 2; i++)
        (void)hk_spawn_thread_with(&s, NULL, join_the_other, &each_other[1 - i],
                                   &each_other[i]);
    hk_event_set(&both_are_there);
    return hk_scope_join(&s);
}

static int body_join_each_other(void)
{
    return hk_run(app_join_each_other, NULL, NULL) == 0 ? 0 : 1;
}

static void threads_that_join_each_other_are_a_deadlock(void **state)
{
    struct child child = run_child_alone(body_join_each_other);

    (void)state;
    expect_exit(&child, 0);
    expect_words(&child, "which waits for the end of a thread (thread 'unnamed')");
}

static int use_hocket_in_a_call(void *arg)
{
    (void)arg;
    return hk_sleep(1);
}

static int app_after_a_call(void *arg)
{
    int rc = hk_to_thread(use_hocket_in_a_call, NULL); /* its thread stays, idle */

    (void)arg;
    if (rc < 0)
        return rc;
    return hk_event_wait(&has_first) == -EDEADLK ? 0 : -1;
}

static int body_after_a_call(void)
{
    return hk_run(app_after_a_call, NULL, NULL) == 0 ? 0 : 1;
}

static void idle_threads_of_the_pool_hide_no_deadlock(void **state)
{
    struct child child = run_child_alone(body_after_a_call);

    (void)state;
    expect_exit(&child, 0);
}

static int set_much_later(void *event)
{
    sem_post(&call_begun);
    (void)usleep(600000); /* longer than the census looks around */
    hk_event_set(event);
    return 0;
}

static int cancel_when_begun(void *scope)
{
    while (sem_trywait(&call_begun) < 0)
        (void)hk_sleep(HK_MILLISECOND);
    hk_scope_cancel(scope);
    return 0;
}

static int app_abandons(void *arg)
{
    static hk_event set = {.name = "set by a call"};
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open(&s);
    hk_spawn(&s, cancel_when_begun, &s);
    if (hk_to_thread(set_much_later, &set) != -ECANCELED || hk_scope_join(&s) != 0)
        return -1;
    return hk_event_wait(&set);
}

static int body_abandons(void)
{
    sem_init(&call_begun, 0, 0);
    return hk_run(app_abandons, NULL, NULL) == 0 ? 0 : 1;
}

static void there_is_no_deadlock_while_a_call_runs(void **state)
{
    struct child child = run_child_alone(body_abandons);

    (void)state;
    expect_exit(&child, 0);
    expect_no_words(&child, "deadlock");
}

/* ---- daemons, and the end of the process ---- */

static hk_thread start_daemon(hk_task_fn *fn, void *arg)
{
    hk_thread_options options = {.name = "imp", .daemon = true};
    hk_thread thread = {0};

    if (hk_spawn_thread_with(NULL, &options, fn, arg, &thread) != 0)
        abort();
    return thread;
}

static int sleep_for_ever(void *arg)
{
    (void)arg;
    return hk_sleep(HK_NEVER);
}

static int app_with_a_daemon(void *arg)
{
    (void)start_daemon(sleep_for_ever, arg);
    dump_until("daemon 'imp' (");
    dump_until("sleeps for ");
    return 0;
}

static int body_daemon_sleeps(void)
{
    if (hk_run(app_with_a_daemon, NULL, NULL) != 0)
        return 1;
    exit(0);
}

static void daemon_holds_up_neither_its_runtime_nor_exit(void **state)
{
    struct child child = run_child(body_daemon_sleeps);

    (void)state;
    expect_exit(&child, 0);
    expect_no_words(&child, "Sanitizer");
}

static int count_to_ten(void *arg)
{
    for (int i = 0; i < 10; i++)
        if (hk_yield() < 0)
            return -1;
    return arg ? 0 : 1;
}

/* Whatever it calls while the process ends gives a result or nothing at all. */
static int works_for_ever(void *arg)
{
    hk_mutex mutex = HK_MUTEX_INIT;

    for (uint64_t round = 0;; round++) {
        hk_scope s = HK_SCOPE_INIT;

        if (hk_mutex_lock(&mutex) == 0)
            hk_mutex_unlock(&mutex);
        hk_scope_open(&s);
        (void)hk_spawn(&s, count_to_ten, arg);
        (void)hk_spawn_thread(&s, count_to_ten, arg);
        if (hk_to_thread(count_to_ten, arg) == -EDEADLK)
            abort();
        (void)hk_scope_join(&s); /* exit handlers run: -EBADF */
        if (round == 3)
            sem_post(arg);
    }
    return 0;
}

static int body_daemon_works(void)
{
    static sem_t is_at_work;

    sem_init(&is_at_work, 0, 0);
    (void)start_daemon(works_for_ever, &is_at_work);
    (void)start_daemon(works_for_ever, &is_at_work);
    while (sem_wait(&is_at_work) < 0)
        ;
    exit(0);
}

static void process_exits_while_daemons_work(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        struct child child = run_child(body_daemon_works);

        expect_exit(&child, 0);
        expect_no_words(&child, "Sanitizer");
    }
}

static int keep_worker(void *arg)
{
    *(hk_worker *)arg = hk_worker_self();
    return 0;
}

static void never_called(void *arg)
{
    (void)arg;
    abort();
}

struct afterlife {
    hk_event begin, end;
    hk_worker ended;
};

static int lives_on(void *arg)
{
    struct afterlife *a = arg;

    if (hk_event_wait(&a->begin) != 0 ||
        hk_call_soon(a->ended, never_called, NULL) != -EBADF)
        return -1;
    hk_event_set(&a->end);
    return hk_sleep(HK_NEVER) == -ECANCELED ? 0 : -1;
}

static int body_afterlife(void)
{
    static struct afterlife a;
    hk_thread thread = start_daemon(lives_on, &a);

    if (hk_run(keep_worker, &a.ended, NULL) != 0)
        return 1;
    hk_event_set(&a.begin);
    if (hk_event_wait(&a.end) != 0 || !hk_thread_is_alive(thread) ||
        hk_thread_cancel(thread) != 0 || hk_thread_join(thread) != 0)
        return 2;
    exit(hk_thread_is_alive(thread) ? 3 : 0);
}

static void rule_35_a_daemon_lives_on_when_the_runtime_has_ended(void **state)
{
    struct child child = run_child(body_afterlife);

    (void)state;
    expect_exit(&child, 0);
    expect_no_words(&child, "Sanitizer");
}

static void drop(void *arg)
{
    free(arg);
}

static int app_leaves_a_call(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    void *memory = malloc(100);
    int rc;

    (void)arg;
    hk_scope_open(&s);
    hk_scope_deadline(&s, hk_now() + HK_MILLISECOND);
    rc = hk_to_thread_owned(blocking_call, &memory, drop);
    free(memory); /* it never began, or the call has it */
    return hk_scope_end(&s, rc) == -ETIMEDOUT ? 0 : -1;
}

static int body_leaves_a_call(void)
{
    sem_init(&call_begun, 0, 0);
    sem_init(&call_may_end, 0, 0);
    if (hk_run(app_leaves_a_call, NULL, &(hk_options){.check_ledger = true}) != 0)
        return 1;
    exit(0);
}

static void process_exits_while_an_abandoned_call_runs(void **state)
{
    struct child child = run_child(body_leaves_a_call);

    (void)state;
    expect_exit(&child, 0);
    expect_no_words(&child, "Sanitizer");
}

static void spawn_at_exit(void)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    if (hk_spawn_thread(&s, sleep_for_ever, NULL) != -EBADF ||
        hk_scope_join(&s) != -EBADF)
        abort();
}

static int body_at_exit(void)
{
    (void)atexit(spawn_at_exit);
    if (hk_run(keep_worker, &(hk_worker){0}, NULL) != 0)
        return 1;
    exit(0);
}

static void rule_35_exit_handlers_start_no_thread(void **state)
{
    struct child child = run_child(body_at_exit);

    (void)state;
    expect_exit(&child, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thread_is_shown_in_its_scope),
        cmocka_unit_test(children_of_a_thread_say_where_they_belong),
        cmocka_unit_test(blocking_calls_are_shown_by_name_and_since_when),
        cmocka_unit_test(task_and_thread_that_wait_for_each_other_are_a_deadlock),
        cmocka_unit_test(join_of_a_thread_that_wants_the_joiners_lock_is_a_deadlock),
        cmocka_unit_test(threads_that_join_each_other_are_a_deadlock),
        cmocka_unit_test(idle_threads_of_the_pool_hide_no_deadlock),
        cmocka_unit_test(there_is_no_deadlock_while_a_call_runs),
        cmocka_unit_test(daemon_holds_up_neither_its_runtime_nor_exit),
        cmocka_unit_test(process_exits_while_daemons_work),
        cmocka_unit_test(rule_35_a_daemon_lives_on_when_the_runtime_has_ended),
        cmocka_unit_test(process_exits_while_an_abandoned_call_runs),
        cmocka_unit_test(rule_35_exit_handlers_start_no_thread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
