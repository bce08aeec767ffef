/* SPDX-License-Identifier: MIT */
/*
 * Shows that the models would see mistakes in the very files that they look at: mutex,
 * semaphore and condition with a wake that is lost, a lock that is forgotten, a
 * compare-exchange that comes apart. Without a mistake they pass, as in
 * test_model_sync.c.
 *
 * Run: once, builds=plain asan clang
 */
#include "model_kit.h"

#include "glue/mutants.h"

static struct {
    hk_mutex mutex;
    hk_sem sem;
    hk_cond cond;
    int inside; /* atomic */
    int ready;  /* guarded by mutex */
    int next_thread;
} world;

static void begin(void *unused)
{
    (void)unused;
    memset(&world, 0, sizeof(world));
    hk_sem_init(&world.sem, 1);
    forget_threads();
    wakes = 0;
}

static void be_alone(void)
{
    MODEL_EXPECT(__atomic_add_fetch(&world.inside, 1, __ATOMIC_RELAXED) == 1);
    __atomic_sub_fetch(&world.inside, 1, __ATOMIC_RELAXED);
}

static void visit_mutex(void *unused)
{
    (void)unused;
    be_thread(world.next_thread++);
    MODEL_EXPECT(hk_mutex_lock(&world.mutex) == 0);
    be_alone();
    hk_mutex_unlock(&world.mutex);
}

static void use_permit(void *unused)
{
    (void)unused;
    be_thread(world.next_thread++);
    MODEL_EXPECT(hk_sem_acquire(&world.sem) == 0);
    be_alone();
    hk_sem_release(&world.sem, 1);
}

static void await_ready(void *unused)
{
    (void)unused;
    be_thread(world.next_thread++);
    MODEL_EXPECT(hk_mutex_lock(&world.mutex) == 0);
    while (!world.ready)
        MODEL_EXPECT(hk_cond_wait(&world.cond, &world.mutex) == 0);
    hk_mutex_unlock(&world.mutex);
}

static void make_ready(void *unused)
{
    (void)unused;
    be_thread(world.next_thread++);
    MODEL_EXPECT(hk_mutex_lock(&world.mutex) == 0);
    world.ready = 1;
    hk_mutex_unlock(&world.mutex);
    hk_cond_signal(&world.cond);
}

static const hk_model mutex_model = {
    .name = "mutant_mutex",
    .begin = begin,
    .threads = {visit_mutex, visit_mutex, visit_mutex},
};

static const hk_model sem_model = {
    .name = "mutant_semaphore",
    .begin = begin,
    .threads = {use_permit, use_permit, use_permit},
};

static const hk_model cond_model = {
    .name = "mutant_condition",
    .begin = begin,
    .threads = {await_ready, make_ready},
};

static void expect_mutant_found(hk_model model, enum mutation which)
{
    hk_model_result result;
    int rc;

    mutation = which;
    hk_log_to(no_log, NULL);
    rc = hk_model_run(&model, &result);
    hk_log_to(NULL, NULL);
    printf("# %s, mistake %d: %s in run %llu\n", model.name, which, hk_error_text(rc),
           (unsigned long long)result.runs);
    assert_true(rc == -EDEADLK || rc == -EPROTO);
}

static void without_a_mistake_all_pass(void **state)
{
    (void)state;
    mutation = SOUND;
    expect_all_runs_pass(mutex_model);
    expect_all_runs_pass(sem_model);
    expect_all_runs_pass(cond_model);
}

static void a_lost_wake_is_found(void **state)
{
    (void)state;
    expect_mutant_found(mutex_model, LOSES_A_WAKE);
    expect_mutant_found(sem_model, LOSES_A_WAKE);
    expect_mutant_found(cond_model, LOSES_A_WAKE);
}

static void a_forgotten_lock_is_found(void **state)
{
    (void)state;
    expect_mutant_found(mutex_model, FORGETS_ITS_LOCK);
}

static void a_torn_compare_exchange_is_found(void **state)
{
    (void)state;
    expect_mutant_found(mutex_model, TEARS_APART);
    expect_mutant_found(sem_model, TEARS_APART);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_mistake_all_pass),
        cmocka_unit_test(a_lost_wake_is_found),
        cmocka_unit_test(a_forgotten_lock_is_found),
        cmocka_unit_test(a_torn_compare_exchange_is_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
