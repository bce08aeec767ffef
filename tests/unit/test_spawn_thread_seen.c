/* SPDX-License-Identifier: MIT */
/*
 * Threads and blocking calls as the dump sees them, and what is left of them at the end
 * of the process: daemons and abandoned calls must neither hold it up nor make a
 * sanitizer complain. Each scenario is a child process, since it must know all of its
 * threads, or ends by exit(). What the census sees is in test_spawn_thread_census.c.
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
                                     "task 'librarian'", "waits for event ('go')",
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
        cmocka_unit_test(daemon_holds_up_neither_its_runtime_nor_exit),
        cmocka_unit_test(process_exits_while_daemons_work),
        cmocka_unit_test(rule_35_a_daemon_lives_on_when_the_runtime_has_ended),
        cmocka_unit_test(process_exits_while_an_abandoned_call_runs),
        cmocka_unit_test(rule_35_exit_handlers_start_no_thread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
