/* SPDX-License-Identifier: MIT */
/*
 * Shows what is particular to select, beyond the contract suite: exactly one case
 * happens (C5: losers consume nothing), whichever of several is ready is drawn by lot
 * from the seed, deadlines are cases, and a primitive of one's own takes part.
 */
#include "select_test.h"

/* ---- arguments ---- */

static void a_count_of_none_or_too_many_is_refused(void **state)
{
    hk_event event = HK_EVENT_INIT;
    hk_case cases[65];

    (void)state;
    for (int i = 0; i < 65; i++)
        cases[i] = (hk_case)HK_CASE_EVENT(&event);
    hk_event_set(&event);
    assert_int_equal(hk_select(cases, 0), -EINVAL);
    assert_int_equal(hk_select(cases, 65), -EINVAL);
    assert_int_equal(hk_try_select(cases, 0), -EINVAL);
    assert_int_equal(hk_try_select(cases, 65), -EINVAL);
    assert_in_range(hk_select(cases, 64), 0, 63);
}

static void try_select_says_again_when_nothing_is_ready(void **state)
{
    hk_chan *chan = new_chan(1);
    hk_sem sem = HK_SEM_INIT(0);
    uint64_t item = 9;
    hk_case cases[] = {HK_CASE_RECV(chan, &item), HK_CASE_SEM(&sem),
                       HK_CASE_DEADLINE(HK_NEVER),
                       HK_CASE_DEADLINE(hk_now() + HK_SECOND)};

    (void)state;
    assert_int_equal(hk_try_select(cases, 4), -EAGAIN);
    hk_sem_release(&sem, 1);
    assert_int_equal(hk_try_select(cases, 4), 1);
    assert_int_equal(hk_try_select(cases, 4), -EAGAIN);
    cases[3].deadline_ns = hk_now();
    assert_int_equal(hk_try_select(cases, 4), 3);
    hk_chan_close(chan);
    assert_int_equal(hk_try_select(cases, 3), 0);
    assert_int_equal(cases[0].result, -EPIPE);
    assert_int_equal(item, 9);
    hk_chan_free(chan);
}

static void a_case_without_an_object_never_happens(void **state)
{
    hk_event event = HK_EVENT_INIT;
    uint64_t item;
    hk_case cases[] = {HK_CASE_RECV(NULL, &item), HK_CASE_EVENT(&event)};

    (void)state;
    assert_int_equal(hk_try_select(cases, 2), -EAGAIN);
    hk_event_set(&event);
    for (int i = 0; i < 20; i++)
        assert_int_equal(hk_select(cases, 2), 1);
}

/* ---- drawing lots ---- */

enum { DRAWS = 3000, READY = 3 };

/* Cases 1, 2 and 4 of 6 are ready; the order of the rest must not matter. */
static int draw_lots(void *arg)
{
    int *counts = arg;
    hk_event yes = HK_EVENT_INIT, no = HK_EVENT_INIT;
    hk_case cases[] = {HK_CASE_EVENT(&no), HK_CASE_EVENT(&yes), HK_CASE_EVENT(&yes),
                       HK_CASE_EVENT(&no), HK_CASE_EVENT(&yes), HK_CASE_EVENT(&no)};

    hk_event_set(&yes);
    for (int i = 0; i < DRAWS; i++)
        counts[hk_select(cases, 6)]++;
    return 0;
}

static void whoever_is_ready_has_the_same_chance(void **state)
{
    hk_options options = {.seed = 42};
    int counts[6] = {0}, again[6] = {0}, other[6] = {0};

    (void)state;
    assert_int_equal(hk_run(draw_lots, counts, &options), 0);
    assert_int_equal(counts[0] + counts[3] + counts[5], 0);
    assert_in_range(counts[1], DRAWS / READY * 8 / 10, DRAWS / READY * 12 / 10);
    assert_in_range(counts[2], DRAWS / READY * 8 / 10, DRAWS / READY * 12 / 10);
    assert_in_range(counts[4], DRAWS / READY * 8 / 10, DRAWS / READY * 12 / 10);
    assert_int_equal(hk_run(draw_lots, again, &options), 0);
    assert_memory_equal(counts, again, sizeof(counts)); /* the seed decides */
    options.seed = 43;
    assert_int_equal(hk_run(draw_lots, other, &options), 0);
    assert_true(memcmp(counts, other, sizeof(counts)) != 0);
}

/* ---- C5: losers consume nothing ---- */

struct table {
    hk_chan *one, *two, *full;
    hk_sem sem;
    hk_event event;
    uint64_t item;
    int index, result;
};

static void table_init(struct table *t)
{
    uint64_t item = 100;

    *t = (struct table){.one = new_chan(0), .two = new_chan(1), .full = new_chan(1)};
    CHECK_EQ(hk_chan_send(t->full, &item), 0);
}

static void table_fini(struct table *t)
{
    CHECK_EQ(sem_waiters(&t->sem), 0);
    CHECK_EQ(event_waiters(&t->event), 0);
    hk_chan_free(t->one);
    hk_chan_free(t->two);
    hk_chan_free(t->full);
}

static int wait_at_the_table(void *arg)
{
    struct table *t = arg;
    uint64_t out = 200, one = 0, two = 0;
    hk_case cases[] = {HK_CASE_RECV(t->one, &one), HK_CASE_RECV(t->two, &two),
                       HK_CASE_SEND(t->full, &out), HK_CASE_SEM(&t->sem),
                       HK_CASE_EVENT(&t->event)};

    t->index = hk_select(cases, 5);
    t->result = t->index < 0 ? 0 : cases[t->index].result;
    t->item = one + two;
    return 0;
}

/* What each case offers is brought in another order each time, all before the select
 * can run: the first wins, and the rest must still be there. */
static void bring(struct table *t, int which)
{
    uint64_t item = 7;

    switch (which) {
    case 0: CHECK_EQ(hk_chan_try_send(t->one, &item), 0); break;
    case 1: CHECK_EQ(hk_chan_try_send(t->two, &item), 0); break;
    case 2: CHECK_EQ(hk_chan_try_recv(t->full, &item), 0); break;
    case 3: hk_sem_release(&t->sem, 1); break;
    default: hk_event_set(&t->event); break;
    }
}

static void check_still_there(struct table *t, int which)
{
    uint64_t item = 0;

    switch (which) {
    case 0: CHECK_EQ(hk_chan_try_recv(t->one, &item), -EAGAIN); break;
    case 1:
        CHECK_EQ(hk_chan_try_recv(t->two, &item), 0);
        CHECK_EQ(item, 7);
        break;
    case 2: CHECK_EQ(hk_chan_count(t->full), 0); break;
    case 3: CHECK_EQ(hk_sem_available(&t->sem), 1); break;
    default: CHECK(hk_event_is_set(&t->event)); break;
    }
}

static int first_brought_wins(void *arg)
{
    int first = *(int *)arg;
    struct table t;
    hk_scope s = HK_SCOPE_INIT;

    table_init(&t);
    hk_scope_open(&s);
    CHECK_EQ(hk_spawn(&s, wait_at_the_table, &t), 0);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    bring(&t, first);
    for (int i = 1; i < 5; i++) /* an unbuffered send finds nobody any more */
        if ((first + i) % 5 != 0)
            bring(&t, (first + i) % 5);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(t.index, first);
    CHECK_EQ(t.result, 0);
    CHECK_EQ(t.item, first <= 1 ? 7 : 0);
    for (int i = 1; i < 5; i++)
        check_still_there(&t, (first + i) % 5);
    if (first == 2)
        CHECK_EQ(hk_chan_count(t.full), 1);
    table_fini(&t);
    return 0;
}

static void c5_losers_consume_nothing(void **state)
{
    (void)state;
    for (int first = 0; first < 5; first++)
        assert_int_equal(hk_run(first_brought_wins, &first, NULL), 0);
}

static int cancel_at_the_table(void *arg)
{
    struct table t;
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    table_init(&t);
    hk_scope_open(&s);
    CHECK_EQ(hk_spawn(&s, wait_at_the_table, &t), 0);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    hk_scope_cancel(&s);
    for (int i = 1; i < 5; i++) /* before it has run */
        bring(&t, i);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(t.index, -ECANCELED);
    for (int i = 0; i < 5; i++)
        check_still_there(&t, i);
    table_fini(&t);
    return 0;
}

static void c5_a_cancelled_select_consumes_nothing(void **state)
{
    (void)state;
    assert_int_equal(hk_run(cancel_at_the_table, NULL, NULL), 0);
}

static int close_at_the_table(void *arg)
{
    struct table t;
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    table_init(&t);
    hk_scope_open(&s);
    CHECK_EQ(hk_spawn(&s, wait_at_the_table, &t), 0);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    hk_chan_close(t.full);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(t.index, 2);
    CHECK_EQ(t.result, -EPIPE);
    table_fini(&t);
    return 0;
}

static void a_close_is_the_result_of_its_case(void **state)
{
    (void)state;
    assert_int_equal(hk_run(close_at_the_table, NULL, NULL), 0);
}

static int wait_for_one_thing_thrice(void *arg)
{
    hk_chan *chan = arg;
    uint64_t a = 0, b = 0, c = 0;
    hk_case cases[] = {HK_CASE_RECV(chan, &a), HK_CASE_RECV(chan, &b),
                       HK_CASE_RECV(chan, &c)};
    int index = hk_select(cases, 3);

    CHECK(index >= 0 && index < 3);
    CHECK_EQ(a + b + c, 5);
    CHECK_EQ(*(uint64_t *)cases[index].data, 5);
    return 0;
}

static int send_once(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;
    uint64_t item = 5;

    hk_scope_open(&s);
    CHECK_EQ(hk_spawn(&s, wait_for_one_thing_thrice, arg), 0);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(hk_chan_try_send(arg, &item), 0);
    CHECK_EQ(hk_chan_try_send(arg, &item), -EAGAIN); /* it wanted one only */
    return hk_scope_join(&s);
}

static void one_object_may_be_in_several_cases(void **state)
{
    hk_chan *chan = new_chan(0);

    (void)state;
    assert_int_equal(hk_run(send_once, chan, NULL), 0);
    hk_chan_free(chan);
}

/* ---- deadlines ---- */

static int let_deadlines_pass(void *arg)
{
    hk_event never = HK_EVENT_INIT;
    int64_t begin_ns = hk_now();
    hk_case cases[] = {HK_CASE_DEADLINE(begin_ns + 2 * HK_SECOND),
                       HK_CASE_EVENT(&never), HK_CASE_DEADLINE(begin_ns + HK_SECOND),
                       HK_CASE_DEADLINE(HK_NEVER)};

    (void)arg;
    CHECK_EQ(hk_select(cases, 4), 2);
    CHECK_EQ(cases[2].result, 0);
    CHECK_EQ(hk_now(), begin_ns + HK_SECOND);
    CHECK_EQ(hk_select(cases, 2), 0);
    CHECK_EQ(hk_now(), begin_ns + 2 * HK_SECOND);
    CHECK_EQ(hk_select(cases, 2), 0); /* passed */
    CHECK_EQ(hk_now(), begin_ns + 2 * HK_SECOND);
    CHECK_EQ(event_waiters(&never), 0);
    return 0;
}

static void the_earliest_deadline_is_the_case_that_happens(void **state)
{
    hk_options options = {.virtual_clock = true, .check_ledger = true};

    (void)state;
    assert_int_equal(hk_run(let_deadlines_pass, NULL, &options), 0);
}

/* A scope's own deadline before the case's, then after it. */
static int meet_a_scope_deadline(void *arg)
{
    hk_event never = HK_EVENT_INIT;
    int64_t begin_ns = hk_now();
    hk_scope s = HK_SCOPE_INIT;
    hk_case cases[] = {HK_CASE_EVENT(&never), HK_CASE_DEADLINE(begin_ns + HK_SECOND)};

    (void)arg;
    hk_scope_open(&s);
    hk_scope_deadline(&s, begin_ns + HK_MILLISECOND);
    CHECK_EQ(hk_select(cases, 2), -ECANCELED);
    CHECK_EQ(hk_now(), begin_ns + HK_MILLISECOND);
    CHECK_EQ(hk_select(cases, 2), -ECANCELED);
    CHECK_EQ(hk_scope_join(&s), -ETIMEDOUT);

    hk_scope_open(&s);
    hk_scope_deadline(&s, begin_ns + 2 * HK_SECOND);
    CHECK_EQ(hk_select(cases, 2), 1);
    CHECK_EQ(hk_now(), begin_ns + HK_SECOND);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(event_waiters(&never), 0);
    return 0;
}

static void a_deadline_of_the_scope_is_a_cancel_that_of_a_case_is_not(void **state)
{
    hk_options options = {.virtual_clock = true, .check_ledger = true};

    (void)state;
    assert_int_equal(hk_run(meet_a_scope_deadline, NULL, &options), 0);
}

static void deadlines_work_on_a_plain_thread(void **state)
{
    hk_event never = HK_EVENT_INIT;
    hk_scope s = HK_SCOPE_INIT;
    int64_t begin_ns = hk_now();
    hk_case cases[] = {HK_CASE_EVENT(&never),
                       HK_CASE_DEADLINE(begin_ns + 2 * HK_MILLISECOND)};

    (void)state;
    assert_int_equal(hk_select(cases, 2), 1);
    assert_true(hk_now() >= begin_ns + 2 * HK_MILLISECOND);
    cases[1].deadline_ns = hk_now() + HK_SECOND * 1000;
    hk_scope_open(&s);
    hk_scope_deadline(&s, hk_now() + 2 * HK_MILLISECOND);
    assert_int_equal(hk_select(cases, 2), -ECANCELED);
    assert_int_equal(hk_scope_join(&s), -ETIMEDOUT);
    assert_int_equal(event_waiters(&never), 0);
}

/* ---- a primitive of one's own: a door that lets one through for each knock ---- */

struct door {
    hk_lock lock;
    int knocks;
    hk_waiter_queue waiters;
};

static const hk_wait_kind door_kind = {.name = "door"};

static hk_lock *door_lock(void *object)
{
    return &((struct door *)object)->lock;
}

static int door_attempt(void *object, void *data)
{
    struct door *door = object;

    if (door->knocks == 0)
        return -EAGAIN;
    door->knocks--;
    *(int *)data = 1;
    return 0;
}

static void door_enqueue(void *object, hk_waiter *w)
{
    hk_waiter_push(&((struct door *)object)->waiters, w);
}

static void door_dequeue(void *object, hk_waiter *w)
{
    (void)hk_waiter_remove(&((struct door *)object)->waiters, w);
}

static const hk_waitable door_opening = {&door_kind,   door_lock,    door_attempt,
                                         door_enqueue, door_dequeue, NULL};

static void knock(struct door *door)
{
    hk_waiter *w;

    hk_lock_acquire(&door->lock);
    do
        w = hk_waiter_pop(&door->waiters);
    while (w && !hk_waiter_claim(w));
    if (w)
        *(int *)w->data = 1;
    else
        door->knocks++;
    hk_lock_release(&door->lock);
    if (w)
        hk_wake(w, 0);
}

struct visit {
    struct door left, right;
    uint32_t entered; /* atomic */
};

enum { KNOCKS = 500 };

static int knock_here_and_there(void *arg)
{
    struct visit *v = arg;
    uint64_t chance = 1;

    for (int i = 0; i < KNOCKS; i++) {
        knock(dice(&chance) % 2 ? &v->left : &v->right);
        if (i % 7 == 0)
            relax();
    }
    return 0;
}

static int enter_by_either(void *arg)
{
    struct visit *v = arg;

    for (int i = 0; i < KNOCKS; i++) {
        int left = 0, right = 0;
        hk_case cases[] = {{&door_opening, &v->left, &left, 0, 0},
                           {&door_opening, &v->right, &right, 0, 0}};
        int index = hk_select(cases, 2);

        CHECK(index >= 0);
        CHECK_EQ(left + right, 1);
        CHECK_EQ(index, right);
    }
    return 0;
}

static void a_primitive_of_ones_own_takes_part(void **state)
{
    (void)state;
    for (enum placing placing = 0; placing < PLACINGS; placing++) {
        struct visit v = {0};

        check_doing = placing_name[placing];
        run_pair(placing, knock_here_and_there, enter_by_either, &v);
        assert_int_equal(v.left.knocks + v.right.knocks, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_count_of_none_or_too_many_is_refused),
        cmocka_unit_test(try_select_says_again_when_nothing_is_ready),
        cmocka_unit_test(a_case_without_an_object_never_happens),
        cmocka_unit_test(whoever_is_ready_has_the_same_chance),
        cmocka_unit_test(c5_losers_consume_nothing),
        cmocka_unit_test(c5_a_cancelled_select_consumes_nothing),
        cmocka_unit_test(a_close_is_the_result_of_its_case),
        cmocka_unit_test(one_object_may_be_in_several_cases),
        cmocka_unit_test(the_earliest_deadline_is_the_case_that_happens),
        cmocka_unit_test(a_deadline_of_the_scope_is_a_cancel_that_of_a_case_is_not),
        cmocka_unit_test(deadlines_work_on_a_plain_thread),
        cmocka_unit_test(a_primitive_of_ones_own_takes_part),
    };

    return cmocka_run_group_tests_name("select", tests, NULL, NULL);
}
