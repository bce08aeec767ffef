/* SPDX-License-Identifier: MIT */
/*
 * Shows that a structure which declares its owner (a task, a thread, a worker, a mutex,
 * another lock) may be touched by that one, and panics with both parties' names when
 * another touches it, or declares it to be another's.
 */
#include "support/core_test.h"

static hk_mutex vault = {.name = "vault"};

struct account {
    hk_owner owner;
    long cents; /* atomic: the logical mode of TSan knows no order by a worker */
};

static struct account account = {.owner.name = "account"};

static int touch(void *arg)
{
    (void)arg;
    hk_assert_owned(&account.owner);
    __atomic_add_fetch(&account.cents, 1, __ATOMIC_RELAXED);
    return 0;
}

static int spawn_thief(hk_task_fn *fn)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    CHECK_EQ(hk_spawn_named(&s, "thief", fn, NULL, NULL), 0);
    return hk_scope_join(&s);
}

PANIC_IN_A_TASK(a_task_that_is_not_the_owner_panics, "'thief' touches account (0x")
{
    hk_owned_by_me(&account.owner);
    return spawn_thief(touch);
}

PANIC_IN_A_TASK(the_sentence_names_the_owner, "which is owned by task 'main'")
{
    hk_owned_by_me(&account.owner);
    return spawn_thief(touch);
}

static int take_over(void *arg)
{
    (void)arg;
    hk_owned_by_me(&account.owner);
    return 0;
}

PANIC_IN_A_TASK(only_the_owner_may_give_it_away, "'thief' touches account")
{
    hk_owned_by_me(&account.owner);
    return spawn_thief(take_over);
}

static int declare_and_end(void *arg)
{
    (void)arg;
    hk_owned_by_me(&account.owner);
    return 0;
}

/* The later task has the same record as a rule. */
PANIC_IN_A_TASK(a_later_task_is_not_the_one_that_has_ended,
                "which is owned by task 'thief'")
{
    CHECK_EQ(spawn_thief(declare_and_end), 0);
    return spawn_thief(touch);
}

static void *declare_and_end_as_thread(void *declare)
{
    (void)pthread_setname_np(pthread_self(), "clerk");
    if (declare)
        (*(void (**)(hk_owner *))declare)(&account.owner);
    else
        (void)touch(NULL);
    return NULL;
}

/* The later thread has the same record as a rule. */
static int run_two_threads(void (*declare)(hk_owner *owner))
{
    pthread_t thread;

    for (int i = 0; i < 2; i++) {
        CHECK_EQ(pthread_create(&thread, NULL, declare_and_end_as_thread,
                                i ? NULL : (void *)&declare),
                 0);
        (void)pthread_join(thread, NULL);
    }
    return 0;
}

PANIC_TEST(a_later_thread_is_not_the_one_that_has_ended, "'clerk' touches account (0x")
{
    return run_two_threads(hk_owned_by_me);
}

PANIC_TEST(what_is_a_threads_is_not_a_later_threads_either,
           "which is owned by thread 'clerk'")
{
    return run_two_threads(hk_owned_by_worker);
}

PANIC_IN_A_TASK(without_its_mutex_it_may_not_be_touched,
                "owned by who holds mutex 'vault'")
{
    hk_owned_by_mutex(&account.owner, &vault);
    return touch(NULL);
}

PANIC_IN_A_TASK(who_has_the_mutex_is_named, "which is 'main'")
{
    hk_owned_by_mutex(&account.owner, &vault);
    CHECK_EQ(hk_mutex_lock(&vault), 0);
    return spawn_thief(touch);
}

static bool is_never_held(const void *lock)
{
    (void)lock;
    return false;
}

PANIC_IN_A_TASK(other_locks_work_too, "owned by who holds the lock at 0x")
{
    hk_owned_by_lock(&account.owner, &vault, is_never_held);
    return touch(NULL);
}

static void *touch_as_thread(void *arg)
{
    (void)touch(NULL);
    return arg;
}

PANIC_IN_A_TASK(a_thread_is_not_the_worker, "owned by worker 0 of runtime ")
{
    pthread_t thread;

    hk_owned_by_worker(&account.owner);
    CHECK_EQ(pthread_create(&thread, NULL, touch_as_thread, NULL), 0);
    (void)pthread_join(thread, NULL);
    return 0;
}

static int touch_in_turn(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(touch(NULL), 0);
        CHECK_EQ(hk_yield(), 0);
    }
    return 0;
}

TASK_TEST(tasks_of_the_worker_may_touch_what_is_the_workers)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_owned_by_worker(&account.owner);
    account.cents = 0;
    hk_scope_open(&s);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(hk_spawn(&s, touch_in_turn, NULL), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    CHECK_EQ(__atomic_load_n(&account.cents, __ATOMIC_RELAXED), 30);
    hk_owned_by_nobody(&account.owner);
    return 0;
}

TASK_TEST(an_owner_may_pass_it_on)
{
    CHECK(hk_is_owned(&account.owner)); /* nobody's */
    hk_owned_by_me(&account.owner);
    CHECK(hk_is_owned(&account.owner));
    hk_owned_by_mutex(&account.owner, &vault);
    CHECK(!hk_is_owned(&account.owner));
    CHECK_EQ(hk_mutex_lock(&vault), 0);
    CHECK(hk_is_owned(&account.owner));
    hk_owned_by_lock(&account.owner, &vault, is_never_held);
    hk_mutex_unlock(&vault);
    CHECK(!hk_is_owned(&account.owner));
    account.owner = (hk_owner){.name = "account"};
    return 0;
}

static void a_plain_thread_is_an_owner(void **state)
{
    (void)state;
    hk_owned_by_me(&account.owner);
    assert_int_equal(touch(NULL), 0);
    hk_owned_by_worker(&account.owner);
    assert_int_equal(touch(NULL), 0);
    hk_owned_by_nobody(&account.owner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_that_is_not_the_owner_panics),
        cmocka_unit_test(the_sentence_names_the_owner),
        cmocka_unit_test(only_the_owner_may_give_it_away),
        cmocka_unit_test(a_later_task_is_not_the_one_that_has_ended),
        cmocka_unit_test(a_later_thread_is_not_the_one_that_has_ended),
        cmocka_unit_test(what_is_a_threads_is_not_a_later_threads_either),
        cmocka_unit_test(without_its_mutex_it_may_not_be_touched),
        cmocka_unit_test(who_has_the_mutex_is_named),
        cmocka_unit_test(other_locks_work_too),
        cmocka_unit_test(a_thread_is_not_the_worker),
        cmocka_unit_test(tasks_of_the_worker_may_touch_what_is_the_workers),
        cmocka_unit_test(an_owner_may_pass_it_on),
        cmocka_unit_test(a_plain_thread_is_an_owner),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
