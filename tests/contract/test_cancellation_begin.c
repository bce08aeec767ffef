/* SPDX-License-Identifier: MIT */
/*
 * The cancellation checklist of docs/rules.md, C16: a cancel while something begins: a
 * connection, the look-up of a name, tasks, blocking work.
 *
 * Run: limit=240
 */
#include "support/core_test.h"

#include <semaphore.h>

/* ---- C16: cancel during connect, DNS, spawn, submit ---- */

static int connect_into_the_void(void *arg)
{
    hk_addr *address = arg;
    hk_fd conn;
    int rc = hk_connect(address, &conn);

    CHECK(rc < 0); /* cancelled, or no such network here */
    return rc == -ECANCELED ? rc : 0;
}

TASK_TEST(c16_cancel_during_connect)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_addr address;

    CHECK_EQ(hk_addr_parse("192.0.2.1:9", &address), 0); /* TEST-NET-1: answers never */
    hk_scope_open(&s);
    hk_spawn(&s, connect_into_the_void, &address);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

static int look_up(void *arg)
{
    hk_addr found[2];
    int rc;

    (void)arg;
    rc = hk_resolve("a-name-that-nobody-has.invalid", 80, found, 2);
    CHECK(rc < 0);
    return rc == -ECANCELED ? rc : 0;
}

TASK_TEST(c16_cancel_during_a_name_lookup)
{
    hk_scope s = HK_SCOPE_INIT;

    for (int i = 0; i < 5; i++) {
        hk_scope_open(&s);
        hk_spawn(&s, look_up, NULL);
        for (int k = 0; k < i; k++)
            CHECK_EQ(hk_yield(), 0);
        hk_scope_cancel(&s);
        CHECK_EQ(hk_scope_join(&s), 0);
    }
    return 0;
}

static int spawn_more(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    for (int i = 0; i < 10; i++)
        CHECK_EQ(hk_spawn(&s, count_me, arg), 0);
    return hk_scope_join(&s);
}

TASK_TEST(c16_cancel_during_spawn_runs_them_all)
{
    hk_scope s = HK_SCOPE_INIT;
    int count = 0;

    hk_scope_open(&s);
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(hk_spawn(&s, spawn_more, &count), 0);
        if (i == 5)
            hk_scope_cancel(&s);
    }
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(peek(&count), 100);
    return 0;
}

struct work {
    sem_t *gate; /* posted for each, after the cancel */
    int done;
};

static int work_behind_a_gate(void *arg)
{
    struct work *work = arg;

    while (sem_wait(work->gate) != 0)
        ;
    poke(&work->done, 1);
    return 5;
}

static int submit_work(void *arg)
{
    struct work *work = arg;
    hk_op op;
    int rc;

    hk_op_work(&op, work_behind_a_gate, work);
    rc = hk_op_run(&op);
    CHECK(rc == -ECANCELED || rc == 5);
    CHECK_EQ(peek(&work->done), rc == 5);
    return 0;
}

/* A blocking call that was submitted is given up while it is queued, else waited for;
 * either way nobody uses the argument after the return. */
TASK_TEST(c16_cancel_during_submit_of_blocking_work)
{
    enum { MANY = 100 };
    struct work works[MANY] = {0};
    hk_scope s = HK_SCOPE_INIT;
    sem_t gate;

    CHECK_EQ(sem_init(&gate, 0, 0), 0);
    hk_scope_open(&s);
    for (int i = 0; i < MANY; i++) {
        works[i].gate = &gate;
        hk_spawn(&s, submit_work, &works[i]);
    }
    CHECK_EQ(hk_yield(), 0);
    hk_scope_cancel(&s);
    for (int i = 0; i < MANY; i++)
        sem_post(&gate);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(sem_destroy(&gate), 0);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(c16_cancel_during_connect),
        cmocka_unit_test(c16_cancel_during_a_name_lookup),
        cmocka_unit_test(c16_cancel_during_spawn_runs_them_all),
        cmocka_unit_test(c16_cancel_during_submit_of_blocking_work),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
