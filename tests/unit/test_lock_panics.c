/* SPDX-License-Identifier: MIT */
/*
 * Shows that misuse of the locks ends the process with a sentence that names the object
 * and both parties.
 */
#include "support/core_test.h"

static hk_mutex mutex = {.name = "ledger"};
static hk_mutex recursive = HK_MUTEX_INIT_WITH(HK_MUTEX_RECURSIVE);
static hk_mutex checking = HK_MUTEX_INIT_WITH(HK_MUTEX_ERROR_CHECKING);
static hk_rwlock rwlock = {.name = "index"};
static hk_cond cond = {.name = "ready"};

static int lock_the_mutex(void *arg)
{
    (void)arg;
    hk_task_rename("clerk");
    CHECK_EQ(hk_mutex_lock(&mutex), 0);
    return 0;
}

static int write_the_rwlock(void *arg)
{
    (void)arg;
    hk_task_rename("clerk");
    CHECK_EQ(hk_rwlock_write_lock(&rwlock), 0);
    return hk_sleep(HK_NEVER);
}

static int wait_for_the_condition(void *arg)
{
    (void)arg;
    CHECK_EQ(hk_mutex_lock(&mutex), 0);
    return hk_cond_wait(&cond, &mutex);
}

/* Runs `other` beside the caller until it waits, then goes on. */
static void after(hk_scope *scope, hk_task_fn *other)
{
    hk_task_rename("thief");
    hk_scope_open(scope);
    CHECK_EQ(hk_spawn(scope, other, NULL), 0);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
}

PANIC_IN_A_TASK(an_unlock_of_an_error_checking_mutex_names_it,
                "hk_mutex_unlock: 'main' unlocks mutex 'unnamed' (")
{
    hk_mutex_unlock(&checking);
    return 0;
}

PANIC_IN_A_TASK(a_lock_of_what_one_that_has_ended_holds,
                "that it already holds, or that one which has ended left locked")
{
    hk_scope s = HK_SCOPE_INIT;

    for (int i = 0; i < 2; i++) { /* the second has the first one's record */
        hk_scope_open(&s);
        CHECK_EQ(hk_spawn(&s, lock_the_mutex, NULL), 0);
        CHECK_EQ(hk_scope_join(&s), 0);
    }
    return 0;
}

PANIC_IN_A_TASK(an_unlock_too_many_of_a_recursive_mutex, "that nobody holds")
{
    CHECK_EQ(hk_mutex_lock(&recursive), 0);
    CHECK_EQ(hk_mutex_lock(&recursive), 0);
    hk_mutex_unlock(&recursive);
    hk_mutex_unlock(&recursive);
    hk_mutex_unlock(&recursive);
    return 0;
}

PANIC_IN_A_TASK(a_recursive_mutex_that_is_locked_too_often, "more than 65,536 times")
{
    for (int i = 0; i < 65536; i++)
        CHECK_EQ(hk_mutex_try_lock(&recursive), 0);
    return hk_mutex_lock(&recursive);
}

PANIC_IN_A_TASK(a_shielded_relock_of_an_error_checking_mutex, "that it already holds")
{
    CHECK_EQ(hk_mutex_lock(&checking), 0);
    hk_mutex_lock_shielded(&checking);
    return 0;
}

PANIC_TEST(flags_that_do_not_exist, "hk_mutex_init: flags 0x4000")
{
    hk_mutex_init(&mutex, 0x4000);
    return 0;
}

PANIC_TEST(flags_that_contradict, "recursive and error-checking at once")
{
    hk_mutex_init(&mutex, HK_MUTEX_RECURSIVE | HK_MUTEX_ERROR_CHECKING);
    return 0;
}

/* The clerk has ended without unlocking: what it left is held by its record. */
PANIC_IN_A_TASK(the_end_of_a_held_mutex_names_its_holder,
                "hk_mutex_fini: 'thief' ends mutex 'ledger' (")
{
    hk_scope s = HK_SCOPE_INIT;

    after(&s, lock_the_mutex);
    hk_mutex_fini(&mutex);
    return 0;
}

PANIC_IN_A_TASK(a_wait_without_the_mutex,
                "hk_cond_wait: 'main' waits for condition 'ready' (")
{
    return hk_cond_wait(&cond, &mutex);
}

PANIC_IN_A_TASK(a_wait_with_a_mutex_locked_twice, "locked 2 times")
{
    CHECK_EQ(hk_mutex_lock(&recursive), 0);
    CHECK_EQ(hk_mutex_lock(&recursive), 0);
    return hk_cond_wait(&cond, &recursive);
}

PANIC_IN_A_TASK(the_end_of_a_condition_that_is_waited_for,
                "hk_cond_fini: 'thief' ends condition 'ready' (")
{
    hk_scope s = HK_SCOPE_INIT;

    after(&s, wait_for_the_condition);
    hk_cond_fini(&cond);
    return 0;
}

PANIC_IN_A_TASK(a_write_unlock_by_another, "'clerk' writes it")
{
    hk_scope s = HK_SCOPE_INIT;

    after(&s, write_the_rwlock);
    hk_rwlock_write_unlock(&rwlock);
    return 0;
}

PANIC_IN_A_TASK(a_read_unlock_by_who_does_not_read,
                "hk_rwlock_read_unlock: 'thief' does not read the rwlock 'index' (")
{
    hk_scope s = HK_SCOPE_INIT;

    after(&s, write_the_rwlock);
    hk_rwlock_read_unlock(&rwlock);
    return 0;
}

PANIC_IN_A_TASK(an_unlock_of_a_rwlock_by_who_has_nothing_to_do_with_it,
                "hk_rwlock_unlock: 'thief' does not hold the rwlock 'index' (")
{
    hk_scope s = HK_SCOPE_INIT;

    after(&s, write_the_rwlock);
    hk_rwlock_unlock(&rwlock);
    return 0;
}

PANIC_IN_A_TASK(a_write_unlock_by_a_reader, "does not write the rwlock 'index'")
{
    CHECK_EQ(hk_rwlock_read_lock(&rwlock), 0);
    hk_rwlock_write_unlock(&rwlock);
    return 0;
}

PANIC_IN_A_TASK(an_upgrade_of_what_is_read_twice, "reads more than once the rwlock")
{
    CHECK_EQ(hk_rwlock_read_lock(&rwlock), 0);
    CHECK_EQ(hk_rwlock_read_lock(&rwlock), 0);
    return hk_rwlock_try_upgrade(&rwlock);
}

PANIC_IN_A_TASK(a_shielded_write_lock_by_a_reader, "would wait for itself to write")
{
    CHECK_EQ(hk_rwlock_read_lock(&rwlock), 0);
    hk_rwlock_write_lock_shielded(&rwlock);
    return 0;
}

PANIC_IN_A_TASK(the_end_of_a_rwlock_that_is_written, "ends a used rwlock 'index' (")
{
    hk_scope s = HK_SCOPE_INIT;

    after(&s, write_the_rwlock);
    hk_rwlock_fini(&rwlock);
    return 0;
}

PANIC_IN_A_TASK(the_end_of_a_rwlock_that_is_read, "; 1 read it")
{
    CHECK_EQ(hk_rwlock_read_lock(&rwlock), 0);
    hk_rwlock_fini(&rwlock);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unlock_of_an_error_checking_mutex_names_it),
        cmocka_unit_test(a_lock_of_what_one_that_has_ended_holds),
        cmocka_unit_test(an_unlock_too_many_of_a_recursive_mutex),
        cmocka_unit_test(a_recursive_mutex_that_is_locked_too_often),
        cmocka_unit_test(a_shielded_relock_of_an_error_checking_mutex),
        cmocka_unit_test(flags_that_do_not_exist),
        cmocka_unit_test(flags_that_contradict),
        cmocka_unit_test(the_end_of_a_held_mutex_names_its_holder),
        cmocka_unit_test(a_wait_without_the_mutex),
        cmocka_unit_test(a_wait_with_a_mutex_locked_twice),
        cmocka_unit_test(the_end_of_a_condition_that_is_waited_for),
        cmocka_unit_test(a_write_unlock_by_another),
        cmocka_unit_test(a_read_unlock_by_who_does_not_read),
        cmocka_unit_test(an_unlock_of_a_rwlock_by_who_has_nothing_to_do_with_it),
        cmocka_unit_test(a_write_unlock_by_a_reader),
        cmocka_unit_test(an_upgrade_of_what_is_read_twice),
        cmocka_unit_test(a_shielded_write_lock_by_a_reader),
        cmocka_unit_test(the_end_of_a_rwlock_that_is_written),
        cmocka_unit_test(the_end_of_a_rwlock_that_is_read),
    };

    return cmocka_run_group_tests_name("misuse of locks", tests, NULL, NULL);
}
