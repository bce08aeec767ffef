/* SPDX-License-Identifier: MIT */
/*
 * Models of the family of locks, with plain threads: between any two of
 * their atomic operations another thread may come in. Nobody is ever inside together
 * who must not be, nobody waits for ever, and what is freed by the
 * last to leave is not touched after that.
 *
 * Run: once, limit=300, builds=plain asan clang
 */
#include "model_kit.h"

enum { THREADS = 3 };

static struct {
    hk_mutex mutex;
    hk_rwlock rwlock;
    hk_sem sem;
    hk_event event;
    hk_cond cond;
    hk_once once;
    hk_wait_group group;
    hk_barrier barrier;
    hk_limiter limiter;
    hk_scope *scope;     /* atomic: of the thread that is to be cancelled */
    int inside, readers; /* atomic */
    int value, ready;    /* guarded by what is tested */
    int got[THREADS];
    int next_thread;
} world;

/* The calling thread's index; the same in every run: they begin in the order in which
 * they first run, but are alike. */
static int enter_world(void)
{
    int index = world.next_thread++;

    be_thread(index);
    return index;
}

static void begin(void *unused)
{
    (void)unused;
    memset(&world, 0, sizeof(world));
    forget_threads();
}

static int add_to(int *counter, int by)
{
    return __atomic_add_fetch(counter, by, __ATOMIC_RELAXED);
}

static void be_alone(void)
{
    MODEL_EXPECT(add_to(&world.inside, 1) == 1);
    world.value++;
    MODEL_EXPECT(add_to(&world.inside, -1) == 0);
}

static bool value_is_three(void *unused)
{
    (void)unused;
    return world.value == 3;
}

/* ---- mutex ---- */

static void visit_mutex(void *unused)
{
    (void)unused;
    enter_world();
    MODEL_EXPECT(hk_mutex_lock(&world.mutex) == 0);
    be_alone();
    hk_mutex_unlock(&world.mutex);
}

static void visit_mutex_twice(void *unused)
{
    (void)unused;
    enter_world();
    for (int i = 0; i < 2; i++) {
        MODEL_EXPECT(hk_mutex_lock(&world.mutex) == 0);
        be_alone();
        hk_mutex_unlock(&world.mutex);
    }
}

static void mutex_excludes_and_wakes(void **state)
{
    hk_model model = {
        .name = "mutex",
        .begin = begin,
        .end = value_is_three,
        .threads = {visit_mutex_twice, visit_mutex},
        .delays = 1,
    };

    (void)state;
    expect_all_runs_pass(model);
    model.name = "mutex_of_three";
    model.threads[0] = model.threads[2] = visit_mutex;
    expect_all_runs_pass(model);
}

/* Locks in a scope that another thread cancels: has it, or has nothing. */
static void visit_mutex_cancelled(void *unused)
{
    hk_scope scope;

    (void)unused;
    enter_world();
    hk_scope_open(&scope);
    __atomic_store_n(&world.scope, &scope, __ATOMIC_RELEASE);
    if (hk_mutex_lock(&world.mutex) == 0) {
        be_alone();
        hk_mutex_unlock(&world.mutex);
    }
    while (__atomic_load_n(&world.scope, __ATOMIC_ACQUIRE))
        hk_model_yield();
    (void)hk_scope_join(&scope);
}

static void cancel_visitor(void *unused)
{
    hk_scope *scope;

    (void)unused;
    enter_world();
    while (!(scope = __atomic_load_n(&world.scope, __ATOMIC_ACQUIRE)))
        hk_model_yield();
    hk_scope_cancel(scope);
    __atomic_store_n(&world.scope, NULL, __ATOMIC_RELEASE);
}

static bool mutex_is_free(void *unused)
{
    (void)unused;
    be_thread(0);
    if (hk_mutex_try_lock(&world.mutex) < 0)
        return false;
    hk_mutex_unlock(&world.mutex);
    hki_self_current = NULL;
    return true;
}

static void mutex_is_not_given_to_who_was_cancelled(void **state)
{
    const hk_model model = {
        .name = "mutex_cancelled",
        .begin = begin,
        .end = mutex_is_free,
        .threads = {visit_mutex, visit_mutex_cancelled, cancel_visitor},
        .preemptions = 2,
    };

    (void)state;
    expect_all_runs_pass(model);
}

/* ---- rwlock ---- */

static void begin_rwlock(void *unused)
{
    begin(unused);
    be_thread(HK_MODEL_THREADS_MAX - 1); /* the real thread's slot is chosen once */
    hk_rwlock_read_lock_shielded(&world.rwlock);
    hk_rwlock_read_unlock(&world.rwlock);
    hki_self_current = NULL;
    memset(&world.rwlock, 0, sizeof(world.rwlock));
}

static void read_rwlock(void *unused)
{
    (void)unused;
    enter_world();
    MODEL_EXPECT(hk_rwlock_read_lock(&world.rwlock) == 0);
    add_to(&world.readers, 1);
    MODEL_EXPECT(add_to(&world.inside, 0) == 0);
    add_to(&world.readers, -1);
    hk_rwlock_read_unlock(&world.rwlock);
}

static void write_rwlock(void *unused)
{
    (void)unused;
    enter_world();
    MODEL_EXPECT(hk_rwlock_write_lock(&world.rwlock) == 0);
    MODEL_EXPECT(add_to(&world.inside, 1) == 1);
    MODEL_EXPECT(add_to(&world.readers, 0) == 0);
    MODEL_EXPECT(add_to(&world.inside, -1) == 0);
    hk_rwlock_write_unlock(&world.rwlock);
}

static void rwlock_keeps_writers_alone(void **state)
{
    hk_model model = {
        .name = "rwlock_two_readers",
        .begin = begin_rwlock,
        .threads = {read_rwlock, write_rwlock, read_rwlock},
    };

    (void)state;
    expect_all_runs_pass(model);
    model.name = "rwlock_two_writers";
    model.threads[0] = write_rwlock;
    expect_all_runs_pass(model);
}

/* ---- semaphore, event, condition ---- */

static void begin_sem(void *unused)
{
    begin(unused);
    hk_sem_init(&world.sem, 1);
}

static void use_permit(void *unused)
{
    (void)unused;
    enter_world();
    MODEL_EXPECT(hk_sem_acquire(&world.sem) == 0);
    be_alone();
    hk_sem_release(&world.sem, 1);
}

static bool permit_is_back(void *unused)
{
    return value_is_three(unused) && hk_sem_available(&world.sem) == 1;
}

static void semaphore_keeps_its_permits(void **state)
{
    const hk_model model = {
        .name = "semaphore",
        .begin = begin_sem,
        .end = permit_is_back,
        .threads = {use_permit, use_permit, use_permit},
        .delays = 1,
    };

    (void)state;
    expect_all_runs_pass(model);
}

static void set_event(void *unused)
{
    (void)unused;
    enter_world();
    world.ready = 1;
    hk_event_set(&world.event);
}

static void await_event(void *unused)
{
    (void)unused;
    enter_world();
    MODEL_EXPECT(hk_event_wait(&world.event) == 0);
    MODEL_EXPECT(world.ready == 1);
}

/* The only waiter: the event is gone when its wait has returned. */
static void await_event_and_end_it(void *unused)
{
    await_event(unused);
    memset(&world.event, 0xa5, sizeof(world.event));
    world.value = 1;
}

static bool event_was_left_alone(void *unused)
{
    const unsigned char *bytes = (const unsigned char *)&world.event;

    (void)unused;
    for (size_t i = 0; world.value && i < sizeof(world.event); i++)
        if (bytes[i] != 0xa5)
            return false;
    return true;
}

static void event_wakes_all_and_may_go(void **state)
{
    hk_model model = {
        .name = "event",
        .begin = begin,
        .threads = {await_event, set_event, await_event},
        .delays = 1,
    };

    (void)state;
    expect_all_runs_pass(model);
    model.name = "event_gone";
    model.threads[0] = await_event_and_end_it;
    model.threads[2] = NULL;
    model.end = event_was_left_alone;
    expect_all_runs_pass(model);
}

/* Who clears it, and then looks for what comes before a set, either sees that or is
 * woken: also when the set finds the event still set. */
static void begin_event_set(void *unused)
{
    begin(unused);
    world.event.hki_set = 1;
}

static void put_and_set_event(void *unused)
{
    (void)unused;
    enter_world();
    __atomic_store_n(&world.readers, 1, __ATOMIC_RELEASE);
    hk_event_set(&world.event);
}

static void clear_event_and_look(void *unused)
{
    (void)unused;
    enter_world();
    hk_event_clear(&world.event);
    if (__atomic_load_n(&world.readers, __ATOMIC_ACQUIRE) == 0)
        MODEL_EXPECT(hk_event_wait(&world.event) == 0);
    MODEL_EXPECT(__atomic_load_n(&world.readers, __ATOMIC_ACQUIRE) == 1);
}

static void event_that_was_set_is_cleared_in_time(void **state)
{
    const hk_model model = {
        .name = "event_cleared",
        .begin = begin_event_set,
        .threads = {put_and_set_event, clear_event_and_look},
        .delays = 2,
    };

    (void)state;
    expect_all_runs_pass(model);
}

static void await_ready(void *unused)
{
    (void)unused;
    enter_world();
    MODEL_EXPECT(hk_mutex_lock(&world.mutex) == 0);
    while (!world.ready)
        MODEL_EXPECT(hk_cond_wait(&world.cond, &world.mutex) == 0);
    world.ready--;
    hk_mutex_unlock(&world.mutex);
}

static void make_ready(void *unused)
{
    (void)unused;
    enter_world();
    MODEL_EXPECT(hk_mutex_lock(&world.mutex) == 0);
    world.ready++;
    hk_mutex_unlock(&world.mutex);
    hk_cond_signal(&world.cond);
}

static void condition_loses_no_signal(void **state)
{
    const hk_model model = {
        .name = "condition",
        .begin = begin,
        .threads = {await_ready, make_ready},
    };

    (void)state;
    expect_all_runs_pass(model);
}

/* ---- once, wait group, barrier, limiter ---- */

static int set_value(void *unused)
{
    (void)unused;
    MODEL_EXPECT(add_to(&world.inside, 1) == 1);
    world.value = 3;
    return 0;
}

static void need_value(void *unused)
{
    (void)unused;
    enter_world();
    MODEL_EXPECT(hk_once_run(&world.once, set_value, NULL) == 0);
    MODEL_EXPECT(world.value == 3);
}

static void once_is_once(void **state)
{
    const hk_model model = {
        .name = "once",
        .begin = begin,
        .end = value_is_three,
        .threads = {need_value, need_value, need_value},
        .delays = 1,
    };

    (void)state;
    expect_all_runs_pass(model);
}

static void begin_group(void *unused)
{
    begin(unused);
    hk_wait_group_add(&world.group, 2);
}

static void end_job(void *unused)
{
    int index = enter_world();

    (void)unused;
    world.got[index] = 1;
    hk_wait_group_done(&world.group);
}

static void await_group(void *unused)
{
    (void)unused;
    enter_world();
    MODEL_EXPECT(hk_wait_group_wait(&world.group) == 0);
    MODEL_EXPECT(world.got[0] + world.got[1] + world.got[2] == 2);
    memset(&world.group, 0, sizeof(world.group)); /* it may be freed now */
}

static void wait_group_waits_for_the_last(void **state)
{
    const hk_model model = {
        .name = "wait_group",
        .begin = begin_group,
        .threads = {await_group, end_job, end_job},
        .delays = 1,
    };

    (void)state;
    expect_all_runs_pass(model);
}

static void begin_barrier(void *unused)
{
    begin(unused);
    hk_barrier_init(&world.barrier, 2);
}

static void meet_twice(void *unused)
{
    (void)unused;
    enter_world();
    for (int round = 1; round <= 2; round++) {
        int index;

        add_to(&world.inside, 1);
        index = hk_barrier_wait(&world.barrier);
        MODEL_EXPECT(index == 0 || index == 1);
        MODEL_EXPECT(add_to(&world.inside, 0) >= 2 * round);
        add_to(&world.value, index);
    }
}

static bool each_was_last_once_a_round(void *unused)
{
    (void)unused;
    return world.value == 2;
}

static void barrier_holds_both_back(void **state)
{
    const hk_model model = {
        .name = "barrier",
        .begin = begin_barrier,
        .end = each_was_last_once_a_round,
        .threads = {meet_twice, meet_twice},
        .delays = 1,
    };

    (void)state;
    expect_all_runs_pass(model);
}

static void begin_limiter(void *unused)
{
    begin(unused);
    hk_limiter_init(&world.limiter, 1);
}

static void borrow(void *unused)
{
    (void)unused;
    enter_world();
    MODEL_EXPECT(hk_limiter_acquire(&world.limiter) == 0);
    be_alone();
    hk_limiter_release(&world.limiter);
}

static void limiter_keeps_its_limit(void **state)
{
    const hk_model model = {
        .name = "limiter",
        .begin = begin_limiter,
        .end = value_is_three,
        .threads = {borrow, borrow, borrow},
    };

    (void)state;
    expect_all_runs_pass(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mutex_excludes_and_wakes),
        cmocka_unit_test(mutex_is_not_given_to_who_was_cancelled),
        cmocka_unit_test(rwlock_keeps_writers_alone),
        cmocka_unit_test(semaphore_keeps_its_permits),
        cmocka_unit_test(event_wakes_all_and_may_go),
        cmocka_unit_test(event_that_was_set_is_cleared_in_time),
        cmocka_unit_test(condition_loses_no_signal),
        cmocka_unit_test(once_is_once),
        cmocka_unit_test(wait_group_waits_for_the_last),
        cmocka_unit_test(barrier_holds_both_back),
        cmocka_unit_test(limiter_keeps_its_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
