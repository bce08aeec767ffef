/* SPDX-License-Identifier: MIT */
/*
 * Calls into a worker's loop from any thread (docs/rules.md, rule 35): each call that
 * was accepted is made once, in its caller's order, on that loop and never inside the
 * call; and a name is refused for ever after its runtime has ended.
 */
#include "support/core_test.h"

/* ---- misuse ---- */

static void wait_in_the_loop(void *event)
{
    (void)hk_event_wait(event);
}

PANIC_IN_A_TASK(call_soon_of_a_function_that_waits_panics,
                "a waiting call inside a callback")
{
    hk_event never = HK_EVENT_INIT;

    CHECK_EQ(hk_call_soon(hk_worker_self(), wait_in_the_loop, &never), 0);
    return hk_sleep(HK_SECOND);
}

/* ---- where and when ---- */

static void set_event(void *event)
{
    hk_event_set(event);
}

static int inside_the_call; /* atomic */

static void note_place(void *arg)
{
    CHECK(!peek(&inside_the_call));
    CHECK(strcmp(hk_task_name(), "event loop") == 0);
    poke(arg, (int)hk_worker_index() + 1);
}

TASK_TEST(call_soon_runs_on_the_loop_and_not_inside_the_call)
{
    int place = 0;

    poke(&inside_the_call, 1);
    CHECK_EQ(hk_call_soon(hk_worker_self(), note_place, &place), 0);
    poke(&inside_the_call, 0);
    CHECK_EQ(peek(&place), 0);
    CHECK_EQ(hk_sleep(HK_MILLISECOND), 0);
    CHECK_EQ(peek(&place), 1);
    return 0;
}

static int to_each_worker(void *arg)
{
    int places[3] = {0};

    (void)arg;
    for (uint32_t i = 0; i < 3; i++)
        CHECK_EQ(hk_call_soon(hk_worker_at(i), note_place, &places[i]), 0);
    for (int i = 0; i < 3; i++)
        while (peek(&places[i]) != i + 1)
            CHECK_EQ(hk_yield(), 0);
    CHECK_EQ(hk_worker_at(3).value, 0);
    CHECK_EQ(hk_worker_self().value, hk_worker_at(hk_worker_index()).value);
    return 0;
}

static void call_soon_reaches_the_worker_that_was_named(void **state)
{
    (void)state;
    CHECK_EQ(run_workers(3, to_each_worker, NULL), 0);
}

/* ---- order ---- */

enum { SENDERS = 4, MESSAGES = 2000 };

struct box {
    hk_worker worker;
    int next[SENDERS]; /* the loop's alone */
    int left;          /* likewise */
    hk_event done;
};

struct message {
    struct box *box;
    int sender, number;
};

static void receive(void *arg)
{
    struct message *m = arg;
    struct box *box = m->box;

    CHECK_EQ(m->number, box->next[m->sender]++);
    free(m);
    if (--box->left == 0)
        hk_event_set(&box->done);
}

struct sender {
    struct box *box;
    int index;
};

static int send_many(void *arg)
{
    const struct sender *sender = arg;

    for (int i = 0; i < scaled(MESSAGES, 500); i++) {
        struct message *m = malloc(sizeof(*m));

        *m = (struct message){sender->box, sender->index, i};
        CHECK_EQ(hk_call_soon(sender->box->worker, receive, m), 0);
    }
    return 0;
}

static int receive_many(void *arg)
{
    struct box box = {.worker = hk_worker_self(),
                      .left = SENDERS * scaled(MESSAGES, 500)};
    struct sender senders[SENDERS];
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open(&s);
    for (int i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){&box, i};
        if (i < SENDERS - 1)
            hk_spawn_thread(&s, send_many, &senders[i]);
        else
            hk_spawn(&s, send_many, &senders[i]);
    }
    CHECK_EQ(hk_event_wait(&box.done), 0);
    return hk_scope_join(&s);
}

static void calls_of_one_caller_come_in_their_order(void **state)
{
    (void)state;
    CHECK_EQ(run_workers(1, receive_many, NULL), 0);
    CHECK_EQ(run_workers(2, receive_many, NULL), 0);
}

/* ---- calls without end ---- */

struct caller {
    hk_worker worker;
    int stop; /* atomic */
    int made; /* atomic */
};

static void call_again(void *arg)
{
    struct caller *caller = arg;

    (void)count_me(&caller->made);
    if (!peek(&caller->stop))
        CHECK_EQ(hk_call_soon(caller->worker, call_again, caller), 0);
}

/* By the real clock: a virtual one goes on only when there is nothing to run. */
static int sleep_among_calls(void *arg)
{
    struct caller *caller = arg;

    caller->worker = hk_worker_self();
    CHECK_EQ(hk_call_soon(caller->worker, call_again, caller), 0);
    CHECK_EQ(hk_sleep(HK_MILLISECOND), 0);
    poke(&caller->stop, 1);
    CHECK(peek(&caller->made) > 0);
    return 0;
}

static void calls_that_call_again_leave_the_loop_to_its_timers(void **state)
{
    struct caller caller = {.stop = 0}; /* the last call may come after the task */

    (void)state;
    CHECK_EQ(run_workers(1, sleep_among_calls, &caller), 0);
}

/* ---- a runtime that ended ---- */

static int keep_name(void *arg)
{
    *(hk_worker *)arg = hk_worker_self();
    return 0;
}

static void rule_35_a_worker_of_an_ended_runtime_refuses(void **state)
{
    hk_worker ended, none = {0}, wild = {UINT64_MAX};
    int never = 0;

    (void)state;
    CHECK_EQ(hk_worker_self().value, 0); /* on a plain thread */
    CHECK_EQ(hk_worker_at(0).value, 0);
    CHECK_EQ(run_workers(2, keep_name, &ended), 0);
    CHECK_EQ(hk_call_soon(ended, note_place, &never), -EBADF);
    CHECK_EQ(hk_call_soon(none, note_place, &never), -EBADF);
    CHECK_EQ(hk_call_soon(wild, note_place, &never), -EBADF);
    CHECK_EQ(never, 0);
}

struct last {
    uint64_t worker; /* atomic; 0: not yet; 1: over */
    int accepted;    /* of its thread alone */
    int made;        /* atomic */
};

static void count_made(void *arg)
{
    (void)count_me(&((struct last *)arg)->made);
}

static void *call_all_the_time(void *arg)
{
    struct last *last = arg;
    uint64_t worker;

    while ((worker = __atomic_load_n(&last->worker, __ATOMIC_ACQUIRE)) != 1) {
        int rc = hk_call_soon((hk_worker){worker}, count_made, last);

        CHECK(rc == 0 || rc == -EBADF);
        last->accepted += rc == 0;
    }
    return NULL;
}

static int name_it(void *arg)
{
    struct last *last = arg;

    __atomic_store_n(&last->worker, hk_worker_self().value, __ATOMIC_RELEASE);
    return hk_sleep(20 * HK_MICROSECOND);
}

static void each_accepted_call_is_made_also_at_the_end(void **state)
{
    struct last last = {0};
    pthread_t thread;

    (void)state;
    CHECK_EQ(pthread_create(&thread, NULL, call_all_the_time, &last), 0);
    for (int i = 0; i < scaled(200, 50); i++)
        CHECK_EQ(run_workers(1, name_it, &last), 0);
    __atomic_store_n(&last.worker, 1, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    CHECK_EQ(peek(&last.made), last.accepted);
    CHECK(last.accepted > 0);
}

/* ---- memory ---- */

TASK_TEST(call_soon_without_memory_says_so)
{
    hk_event done = HK_EVENT_INIT;

    hk_fault_arm(HK_FAULT_ALLOC, 1, -ENOMEM);
    CHECK_EQ(hk_call_soon(hk_worker_self(), set_event, &done), -ENOMEM);
    hk_fault_arm(HK_FAULT_ALLOC, 0, 0);
    CHECK_EQ(hk_call_soon(hk_worker_self(), set_event, &done), 0);
    CHECK_EQ(hk_event_wait(&done), 0);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(call_soon_of_a_function_that_waits_panics),
        cmocka_unit_test(call_soon_runs_on_the_loop_and_not_inside_the_call),
        cmocka_unit_test(call_soon_reaches_the_worker_that_was_named),
        cmocka_unit_test(calls_of_one_caller_come_in_their_order),
        cmocka_unit_test(calls_that_call_again_leave_the_loop_to_its_timers),
        cmocka_unit_test(rule_35_a_worker_of_an_ended_runtime_refuses),
        cmocka_unit_test(each_accepted_call_is_made_also_at_the_end),
        cmocka_unit_test(call_soon_without_memory_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
