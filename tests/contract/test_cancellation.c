/* SPDX-License-Identifier: MIT */
/*
 * The cancellation checklist of docs/rules.md, C4, C5, C15 and C17, each as tests named
 * after its line. C1 to C3, of what was granted, are in test_cancellation_grant.c; what
 * concerns I/O is in test_cancellation_io.c, and C16 in test_cancellation_begin.c.
 * The driver runs them on both pollers. Where a race is the subject both orders are
 * tried many times; where an order is, the kit's wait-until-all-wait makes it, never a
 * sleep. C17 with 100,000 tasks is in tests/stress/test_scope_stress.c as well.
 *
 * Run: limit=240
 */
#include "support/core_test.h"

#include <sys/socket.h>

static void spin(int turns)
{
    for (int i = 0; i < turns; i++)
        __asm__ volatile("" ::: "memory");
}

/* ---- C4: unusual moments ---- */

TASK_TEST(c04_cancel_before_the_first_run)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_task_id id;

    hk_scope_open(&s);
    hk_spawn_named(&s, "early", sleep_and_swallow, NULL, &id);
    CHECK_EQ(hk_task_cancel(id), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

static int cancel_myself(void *arg)
{
    (void)arg;
    CHECK_EQ(hk_task_cancel(hk_task_self()), 0);
    CHECK_EQ(hk_cancelled(), -ECANCELED);
    CHECK_EQ(hk_sleep(1), -ECANCELED);
    return -ECANCELED;
}

TASK_TEST(c04_cancel_of_oneself)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    hk_spawn(&s, cancel_myself, NULL);
    CHECK_EQ(hk_scope_join(&s), 0);
    hk_scope_open(&s);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_sleep(1), -ECANCELED);
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

TASK_TEST(c04_cancel_of_a_finished_task)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_task_id id;
    int zero = 0;

    hk_scope_open(&s);
    hk_spawn_named(&s, NULL, return_it, &zero, &id);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(hk_task_cancel(id), -ESRCH);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(hk_task_cancel(id), -ESRCH);
    return 0;
}

TASK_TEST(c04_cancel_twice_is_as_once)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_task_id id;

    hk_scope_open(&s);
    hk_spawn_named(&s, NULL, sleep_and_swallow, NULL, &id);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(hk_task_cancel(id), 0);
    CHECK_EQ(hk_task_cancel(id), 0);
    hk_scope_cancel(&s);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

static int clean_up_slowly(void *arg)
{
    hk_scope shield = HK_SCOPE_INIT;

    CHECK_EQ(hk_sleep(HK_NEVER), -ECANCELED);
    hk_scope_open_with(&shield, HK_SCOPE_SHIELDED, "clean-up");
    CHECK_EQ(hk_sleep(HK_SECOND), 0);
    CHECK_EQ(hk_scope_join(&shield), 0);
    poke(arg, 1);
    return -ECANCELED;
}

TASK_TEST(c04_cancel_during_clean_up)
{
    hk_scope outer = HK_SCOPE_INIT, s = HK_SCOPE_INIT, shield = HK_SCOPE_INIT;
    int done = 0;

    hk_scope_open(&outer);
    hk_scope_open(&s);
    hk_spawn(&s, clean_up_slowly, &done);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    hk_scope_cancel(&s);
    hk_scope_open_with(&shield, HK_SCOPE_SHIELDED, NULL);
    CHECK_EQ(hk_sleep(HK_SECOND / 2), 0); /* now the child is in its clean-up */
    CHECK_EQ(hk_scope_join(&shield), 0);
    CHECK_EQ(peek(&done), 0);
    hk_scope_cancel(&outer);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_scope_join(&s), 0); /* the outer one was not delivered to anybody */
    CHECK_EQ(peek(&done), 1);
    CHECK_EQ(hk_scope_join(&outer), 0);
    return 0;
}

TASK_TEST(c04_cancel_nested)
{
    hk_scope a = HK_SCOPE_INIT, b = HK_SCOPE_INIT, c = HK_SCOPE_INIT;

    hk_scope_open(&a);
    hk_scope_open(&b);
    hk_scope_open(&c);
    hk_scope_cancel(&c);
    hk_scope_cancel(&a);
    CHECK_EQ(hk_sleep(1), -ECANCELED);
    CHECK_EQ(hk_scope_join(&c), -ECANCELED);
    CHECK_EQ(hk_scope_join(&b), -ECANCELED);
    CHECK_EQ(hk_scope_join(&a), 0);
    return 0;
}

TASK_TEST(c04_cancel_shielded_with_its_own_deadline)
{
    hk_scope outer = HK_SCOPE_INIT, shield = HK_SCOPE_INIT;
    int64_t begin = hk_now();

    hk_scope_open(&outer);
    hk_scope_cancel(&outer);
    hk_scope_open_with(&shield, HK_SCOPE_SHIELDED, NULL);
    hk_scope_deadline(&shield, begin + 10);
    CHECK_EQ(hk_sleep(HK_SECOND), -ECANCELED);
    CHECK_EQ(hk_now(), begin + 10);
    CHECK_EQ(hk_scope_join(&shield), -ETIMEDOUT);
    CHECK_EQ(hk_sleep(1), -ECANCELED);
    CHECK_EQ(hk_scope_join(&outer), 0);
    return 0;
}

/* ---- C5: select, losers consume nothing ---- */

struct choice {
    hk_chan *a, *b;
    hk_sem sem;
    int index, a_item, b_item;
};

static int choose(void *arg)
{
    struct choice *c = arg;
    hk_case cases[] = {HK_CASE_RECV(c->a, &c->a_item), HK_CASE_RECV(c->b, &c->b_item),
                       HK_CASE_SEM(&c->sem)};

    c->index = hk_select(cases, 3);
    return 0;
}

static int offer_all_and_cancel(void *arg)
{
    (void)arg;
    for (int i = 0; i < scaled(500, 100); i++) {
        hk_scope s = HK_SCOPE_INIT;
        struct choice c = {.index = -1000};
        int one = 1, two = 2, left = 0, item;

        hk_sem_init(&c.sem, 0);
        CHECK_EQ(hk_chan_new(sizeof(int), 1, &c.a), 0);
        CHECK_EQ(hk_chan_new(sizeof(int), 1, &c.b), 0);
        hk_scope_open_with(&s, HK_SCOPE_PARALLEL, NULL);
        hk_spawn(&s, choose, &c);
        for (int k = 0; k < i % 4; k++)
            CHECK_EQ(hk_yield(), 0);
        CHECK_EQ(hk_chan_send(c.a, &one), 0);
        CHECK_EQ(hk_chan_send(c.b, &two), 0);
        hk_sem_release(&c.sem, 1);
        if (i % 2)
            hk_scope_cancel(&s);
        CHECK_EQ(hk_scope_join(&s), 0);
        left += hk_chan_try_recv(c.a, &item) == 0;
        left += hk_chan_try_recv(c.b, &item) == 0;
        left += (int)hk_sem_available(&c.sem);
        CHECK_EQ(left, c.index == -ECANCELED ? 3 : 2);
        hk_chan_free(c.a);
        hk_chan_free(c.b);
    }
    return 0;
}

static void c05_select_losers_consume_nothing(void **state)
{
    (void)state;
    assert_int_equal(run_workers(1, offer_all_and_cancel, NULL), 0);
    assert_int_equal(run_workers(3, offer_all_and_cancel, NULL), 0);
}

/* ---- C15: wake before wait ---- */

static const hk_wait_kind test_kind = {.name = "test", .external = true};

static int set_before_wait(void *arg)
{
    hk_event event = HK_EVENT_INIT;
    hk_waiter w;
    hk_sem sem;

    (void)arg;
    hk_event_set(&event);
    CHECK_EQ(hk_event_wait(&event), 0);
    hk_sem_init(&sem, 0);
    hk_sem_release(&sem, 1);
    CHECK_EQ(hk_sem_acquire(&sem), 0);
    hk_waiter_init(&w, &test_kind, NULL);
    hk_wake(&w, 3);
    CHECK_EQ(hk_park(&w, NULL), 3);
    return 0;
}

static void c15_a_wake_before_the_wait_is_not_lost(void **state)
{
    (void)state;
    assert_int_equal(run_virtual(set_before_wait, NULL), 0);
    assert_int_equal(set_before_wait(NULL), 0);
}

struct race {
    hk_event ready;
    int rounds;
    hk_event *gate; /* atomic */
};

static void *set_gates(void *arg)
{
    struct race *r = arg;

    for (int i = 0; i < r->rounds; i++) {
        hk_event *gate;

        while (!(gate = __atomic_exchange_n(&r->gate, NULL, __ATOMIC_ACQ_REL)))
            ;
        spin(i % 64);
        hk_event_set(gate);
    }
    return NULL;
}

static int wait_at_gates(void *arg)
{
    struct race *r = arg;
    hk_event *gates = calloc((size_t)r->rounds, sizeof(*gates));

    for (int i = 0; i < r->rounds; i++) {
        __atomic_store_n(&r->gate, &gates[i], __ATOMIC_RELEASE);
        spin(i % 50);
        CHECK_EQ(hk_event_wait(&gates[i]), 0);
    }
    /* The last setter may still be inside hk_event_set: storage outlives both. */
    *(void **)&r->ready.name = gates;
    return 0;
}

static void c15_no_wake_is_lost_between_threads(void **state)
{
    struct race r = {.rounds = scaled(20000, 2000)};
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, set_gates, &r), 0);
    assert_int_equal(hk_run(wait_at_gates, &r, NULL), 0);
    pthread_join(thread, NULL);
    free(*(void **)&r.ready.name);
    assert_int_equal(pthread_create(&thread, NULL, set_gates, &r), 0);
    assert_int_equal(wait_at_gates(&r), 0);
    pthread_join(thread, NULL);
    free(*(void **)&r.ready.name);
}

/* ---- C17: a scope with very many tasks ---- */

static int read_it(void *arg)
{
    char byte;
    int rc = hk_wait_fd(*(int *)arg, 1 /* POLLIN */);

    (void)byte;
    CHECK_EQ(rc, -ECANCELED);
    return 0;
}

static int cancel_many(void *arg)
{
    int tasks = UNDER_TSAN ? 2000 : scaled(20000, 5000), pipe_fds[2];
    hk_scope s = HK_SCOPE_INIT;
    int64_t begin;

    (void)arg;
    CHECK_EQ(pipe(pipe_fds), 0);
    hk_scope_open(&s);
    for (int i = 0; i < tasks; i++) /* half in the kernel, half on events */
        hk_spawn(&s, i % 2 ? read_it : sleep_and_swallow, &pipe_fds[0]);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    begin = cpu_time_ns();
    hk_scope_cancel(&s);
    CHECK_EQ(hk_scope_join(&s), 0);
    printf("# cancelled %d tasks in %lld ms of processor time\n", tasks,
           (long long)((cpu_time_ns() - begin) / HK_MILLISECOND));
    CHECK(cpu_time_ns() - begin < 20 * HK_SECOND);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    return 0;
}

static void c17_cancel_of_very_many_tasks_takes_bounded_time(void **state)
{
    (void)state;
    assert_int_equal(run_virtual(cancel_many, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(c04_cancel_before_the_first_run),
        cmocka_unit_test(c04_cancel_of_oneself),
        cmocka_unit_test(c04_cancel_of_a_finished_task),
        cmocka_unit_test(c04_cancel_twice_is_as_once),
        cmocka_unit_test(c04_cancel_during_clean_up),
        cmocka_unit_test(c04_cancel_nested),
        cmocka_unit_test(c04_cancel_shielded_with_its_own_deadline),
        cmocka_unit_test(c05_select_losers_consume_nothing),
        cmocka_unit_test(c15_a_wake_before_the_wait_is_not_lost),
        cmocka_unit_test(c15_no_wake_is_lost_between_threads),
        cmocka_unit_test(c17_cancel_of_very_many_tasks_takes_bounded_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
