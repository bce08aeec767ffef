/* SPDX-License-Identifier: MIT */
/*
 * Shows that a deadlock is found at once while others go on, is named as a cycle, and
 * ends with -EDEADLK for its youngest wait that can be undone: between tasks of one
 * worker and of two, plain threads, both, three, through a join, through a lock of the
 * program's own. What is no deadlock, or is left alone, is in test_check_none.c.
 *
 * In each scenario somebody else is awake all the time: a timer is set. So what is
 * found is not found by the census of those who sleep (test_deadlock.c).
 */
#include "check_deadlock_test.h"

static void *cross_as_thread(void *arg)
{
    (void)pthread_setname_np(pthread_self(), ((struct crosser *)arg)->name);
    (void)cross(arg);
    return NULL;
}

static int failures(const struct crosser *crossers, int count)
{
    int failed = 0;

    for (int i = 0; i < count; i++) {
        CHECK(crossers[i].result == 0 || crossers[i].result == -EDEADLK);
        failed += crossers[i].result == -EDEADLK;
    }
    return failed;
}

/* ---- tasks ---- */

struct party {
    struct crosser *crossers;
    int count;
    unsigned flags; /* of the scope */
};

/* Keeps the process from being all asleep; ends when the others have. */
static int stays_awake(void *arg)
{
    (void)arg;
    CHECK_EQ(hk_sleep(3600 * HK_SECOND), -ECANCELED);
    return 0;
}

static int with_a_party(void *arg)
{
    const struct party *party = arg;
    hk_scope outer = HK_SCOPE_INIT, inner = HK_SCOPE_INIT;

    hk_scope_open(&outer);
    CHECK_EQ(hk_spawn(&outer, stays_awake, NULL), 0);
    hk_scope_open_with(&inner, party->flags, "party");
    for (int i = 0; i < party->count; i++)
        CHECK_EQ(hk_spawn_named(&inner, party->crossers[i].name, cross,
                                &party->crossers[i], NULL),
                 0);
    CHECK_EQ(hk_scope_join(&inner), 0);
    hk_scope_cancel(&outer);
    return hk_scope_join(&outer);
}

static void run_party(struct crosser *crossers, int count, uint32_t workers)
{
    struct party party = {crossers, count, workers > 1 ? HK_SCOPE_PARALLEL : 0};

    prepare(count);
    CHECK_EQ(run_workers(workers, with_a_party, &party), 0);
}

static void two_tasks_are_told_at_once(void **state)
{
    struct crosser two[] = {{.name = "left", .first = 0, .second = 1},
                            {.name = "right", .first = 1, .second = 0}};

    (void)state;
    start_checks(NULL);
    run_party(two, 2, 1);
    assert_int_equal(failures(two, 2), 1);
    expect_said("deadlock: 2 wait for one another for ever", 1);
    expect_said("task 'left' waits for mutex ('beta', held), which task 'right' holds",
                1);
    expect_said("task 'right' waits for mutex ('alpha', held), which task 'left' holds",
                1);
    expect_said("it took mutex 'alpha' at", 1);
    expect_said("it took mutex 'beta' at", 1);
    expect_said("-EDEADLK goes to task '", 1);
    CHECK(times_said("cross+0x") >=
          4); /* where each waits, where each took its first */
    stop_checks();
}

static void two_tasks_of_two_workers_are_told(void **state)
{
    struct crosser two[] = {{.name = "left", .first = 0, .second = 1},
                            {.name = "right", .first = 1, .second = 0}};

    (void)state;
    start_checks(NULL);
    for (int i = 0; i < 20; i++) {
        run_party(two, 2, 2);
        assert_int_equal(failures(two, 2), 1);
    }
    expect_said("deadlock: 2 wait for one another for ever", 20);
    stop_checks();
}

static void a_ring_of_three_is_told(void **state)
{
    struct crosser three[] = {{.name = "left", .first = 0, .second = 1},
                              {.name = "middle", .first = 1, .second = 2},
                              {.name = "right", .first = 2, .second = 0}};

    (void)state;
    start_checks(NULL);
    run_party(three, 3, 1);
    assert_int_equal(failures(three, 3), 1);
    run_party(three, 3, 2);
    assert_int_equal(failures(three, 3), 1);
    expect_said("deadlock: 3 wait for one another for ever", 2);
    stop_checks();
}

/* Who comes last cannot be undone; the other is told on its worker. */
static void the_youngest_that_can_be_undone_fails(void **state)
{
    struct crosser two[] = {{.name = "left", .first = 0, .second = 1},
                            {.name = "right", .first = 1, .second = 0}};

    (void)state;
    start_checks(NULL);
    for (uint32_t workers = 1; workers <= 2; workers++) {
        for (int shielded = 0; shielded < 2; shielded++) {
            two[0].is_shielded = shielded == 0;
            two[1].is_shielded = shielded == 1;
            run_party(two, 2, workers);
            CHECK_EQ(two[shielded].result, 0);
            CHECK_EQ(two[!shielded].result, -EDEADLK);
        }
    }
    expect_said("deadlock: 2 wait for one another", 4);
    stop_checks();
}

/* ---- threads ---- */

static void run_threads(struct crosser *crossers, int count)
{
    pthread_t threads[3];

    prepare(count);
    for (int i = 0; i < count; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, cross_as_thread, &crossers[i]), 0);
    for (int i = 0; i < count; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
}

static void two_threads_are_told(void **state)
{
    struct crosser two[] = {{.name = "left", .first = 0, .second = 1},
                            {.name = "right", .first = 1, .second = 0}};

    (void)state;
    start_checks(NULL);
    for (int i = 0; i < 20; i++) {
        run_threads(two, 2);
        assert_int_equal(failures(two, 2), 1);
    }
    expect_said(
        "thread 'left' waits for mutex ('beta', held), which thread 'right' holds", 20);
    for (int i = 0; i < 20; i++) { /* who comes last may be the one to be undone */
        two[0].is_shielded = i & 1;
        two[1].is_shielded = !(i & 1);
        run_threads(two, 2);
        CHECK_EQ(two[!(i & 1)].result, 0);
        CHECK_EQ(two[i & 1].result, -EDEADLK);
    }
    stop_checks();
}

static int task_against_thread(void *arg)
{
    struct crosser *two = arg;
    hk_scope s = HK_SCOPE_INIT;
    pthread_t thread;

    hk_scope_open(&s);
    CHECK_EQ(hk_spawn(&s, stays_awake, NULL), 0);
    CHECK_EQ(pthread_create(&thread, NULL, cross_as_thread, &two[1]), 0);
    hk_task_rename("left");
    (void)cross(&two[0]);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    hk_scope_cancel(&s);
    return hk_scope_join(&s);
}

static void a_task_and_a_thread_are_told(void **state)
{
    struct crosser two[] = {{.name = "left", .first = 0, .second = 1},
                            {.name = "right", .first = 1, .second = 0}};

    (void)state;
    start_checks(NULL);
    for (int i = 0; i < 20; i++) {
        two[0].is_shielded = i % 3 == 1;
        two[1].is_shielded = i % 3 == 2;
        prepare(2);
        CHECK_EQ(run_workers(1, task_against_thread, two), 0);
        assert_int_equal(failures(two, 2), 1);
    }
    expect_said(
        "task 'left' waits for mutex ('beta', held), which thread 'right' holds", 20);
    stop_checks();
}

/* ---- joins ---- */

static int child_spawns(void *arg)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open_with(&s, 0, "inner");
    CHECK_EQ(hk_spawn_named(&s, "grandchild", child_locks, arg, NULL), 0);
    return hk_scope_join(&s);
}

static int joins_with_a_lock(void *arg)
{
    struct family *family = arg;
    hk_scope awake = HK_SCOPE_INIT, s = HK_SCOPE_INIT;

    hk_scope_open(&awake);
    CHECK_EQ(hk_spawn(&awake, stays_awake, NULL), 0);
    CHECK_EQ(hk_mutex_lock(&mutexes[0]), 0);
    hk_scope_open_with(&s, family->flags, "children");
    CHECK_EQ(hk_spawn_named(&s, "child", family->child, &family->result, NULL), 0);
    for (int i = 0; i < 3 && family->child_first; i++)
        CHECK_EQ(hk_yield(), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    hk_mutex_unlock(&mutexes[0]);
    hk_scope_cancel(&awake);
    return hk_scope_join(&awake);
}

static void a_join_that_waits_for_who_waits_for_it_is_told(void **state)
{
    (void)state;
    start_checks(NULL);
    for (int i = 0; i < 4; i++) {
        struct family family = {.child = child_locks,
                                .child_first = i & 1,
                                .flags = i & 2 ? HK_SCOPE_PARALLEL : 0};

        renew();
        CHECK_EQ(run_workers(i & 2 ? 2 : 1, joins_with_a_lock, &family), 0);
        CHECK_EQ(family.result, -EDEADLK);
    }
    expect_said("task 'child' waits for mutex ('alpha', held), which task 'main' holds",
                4);
    expect_said("task 'main' waits for join (scope 'children', 1 child), for its "
                "child, task 'child'",
                4);
    expect_said("-EDEADLK goes to task 'child'", 4);
    stop_checks();
}

static int joins_a_thread_with_a_lock(void *arg)
{
    struct family *family = arg;
    hk_scope awake = HK_SCOPE_INIT, s = HK_SCOPE_INIT;
    const hk_thread_options named = {.name = "child"};

    hk_scope_open(&awake);
    CHECK_EQ(hk_spawn(&awake, stays_awake, NULL), 0);
    CHECK_EQ(hk_mutex_lock(&mutexes[0]), 0);
    hk_scope_open_with(&s, 0, "children");
    CHECK_EQ(hk_spawn_thread_with(&s, &named, family->child, &family->result, NULL), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    hk_mutex_unlock(&mutexes[0]);
    hk_scope_cancel(&awake);
    return hk_scope_join(&awake);
}

static void a_thread_is_a_child_as_well(void **state)
{
    struct family family = {.child = child_locks};

    (void)state;
    start_checks(NULL);
    renew();
    CHECK_EQ(run_workers(1, joins_a_thread_with_a_lock, &family), 0);
    CHECK_EQ(family.result, -EDEADLK);
    expect_said("for its child, thread 'child'", 1);
    expect_said("-EDEADLK goes to thread 'child'", 1);
    stop_checks();
}

static void a_join_of_joins_is_followed(void **state)
{
    struct family family = {.child = child_spawns};

    (void)state;
    start_checks(NULL);
    renew();
    CHECK_EQ(run_workers(1, joins_with_a_lock, &family), 0);
    CHECK_EQ(family.result, -EDEADLK);
    expect_said("deadlock: 3 wait for one another", 1);
    expect_said("for its child, task 'grandchild'", 1);
    stop_checks();
}

/* ---- locks of the program ---- */

/* Several may have it; who wants it alone waits for all of them. */
struct spot {
    hk_lock lock;
    int readers; /* guarded by lock */
    hk_waiter_queue writers;
};

static size_t spot_holders(const void *object, hk_holder *out, size_t max)
{
    return hk_check_holders(object, out, max);
}

static const hk_wait_kind spot_kind = {.name = "spot", .holders = spot_holders};

static void spot_share(struct spot *spot)
{
    hk_check_order(spot, &spot_kind, true);
    hk_lock_acquire(&spot->lock);
    spot->readers++;
    hk_lock_release(&spot->lock);
    hk_check_took(spot, &spot_kind, true);
}

static void spot_leave(struct spot *spot)
{
    hk_waiter *w = NULL;

    hk_check_gave(spot);
    hk_lock_acquire(&spot->lock);
    if (--spot->readers == 0)
        w = hk_waiter_pop(&spot->writers);
    hk_lock_release(&spot->lock);
    if (w)
        hk_wake(w, 0);
}

static hk_verdict spot_abort(hk_waiter *w)
{
    struct spot *spot = (struct spot *)w->object;
    bool removed;

    hk_lock_acquire(&spot->lock);
    removed = hk_waiter_remove(&spot->writers, w);
    hk_lock_release(&spot->lock);
    return removed ? HK_ABORTED : HK_PENDING;
}

/* Waits until nobody has it; takes nothing. */
static int spot_await(struct spot *spot)
{
    hk_waiter w;
    bool waits;

    hk_waiter_init(&w, &spot_kind, spot);
    hk_lock_acquire(&spot->lock);
    waits = spot->readers > 0;
    if (waits)
        hk_waiter_push(&spot->writers, &w);
    hk_lock_release(&spot->lock);
    return waits ? hk_park(&w, spot_abort) : 0;
}

static struct spot spot;

static int reader(void *arg)
{
    int *result = arg;

    spot_share(&spot);
    meet();
    *result = hk_mutex_lock(&mutexes[0]);
    if (*result == 0)
        hk_mutex_unlock(&mutexes[0]);
    spot_leave(&spot);
    return 0;
}

static int innocent_reader(void *arg)
{
    (void)arg;
    spot_share(&spot);
    meet();
    CHECK_EQ(hk_sleep(HK_MILLISECOND), 0);
    spot_leave(&spot);
    return 0;
}

static int writer(void *arg)
{
    int *result = arg;

    CHECK_EQ(hk_mutex_lock(&mutexes[0]), 0);
    meet();
    *result = spot_await(&spot);
    hk_mutex_unlock(&mutexes[0]);
    return 0;
}

static int readers_and_a_writer(void *arg)
{
    int *results = arg;
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open_with(&s, HK_SCOPE_PARALLEL, NULL);
    CHECK_EQ(hk_spawn_named(&s, "innocent", innocent_reader, NULL, NULL), 0);
    CHECK_EQ(hk_spawn_named(&s, "reader", reader, &results[0], NULL), 0);
    CHECK_EQ(hk_spawn_named(&s, "writer", writer, &results[1], NULL), 0);
    return hk_scope_join(&s);
}

static void who_waits_for_several_holders_waits_for_each(void **state)
{
    (void)state;
    start_checks(NULL);
    for (uint32_t workers = 1; workers <= 2; workers++) {
        int results[2] = {1, 1};

        prepare(3);
        spot = (struct spot){.readers = 0};
        CHECK_EQ(run_workers(workers, readers_and_a_writer, results), 0);
        CHECK_EQ((results[0] == -EDEADLK) + (results[1] == -EDEADLK), 1);
    }
    expect_said("task 'writer' waits for spot, which task 'reader' holds", 2);
    expect_said(
        "task 'reader' waits for mutex ('alpha', held), which task 'writer' holds", 2);
    stop_checks();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_tasks_are_told_at_once),
        cmocka_unit_test(two_tasks_of_two_workers_are_told),
        cmocka_unit_test(a_ring_of_three_is_told),
        cmocka_unit_test(the_youngest_that_can_be_undone_fails),
        cmocka_unit_test(two_threads_are_told),
        cmocka_unit_test(a_task_and_a_thread_are_told),
        cmocka_unit_test(a_join_that_waits_for_who_waits_for_it_is_told),
        cmocka_unit_test(a_thread_is_a_child_as_well),
        cmocka_unit_test(a_join_of_joins_is_followed),
        cmocka_unit_test(who_waits_for_several_holders_waits_for_each),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
