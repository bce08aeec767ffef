/* SPDX-License-Identifier: MIT */
/*
 * Shows what is particular to the event, beyond the contract suite: a set wakes all who
 * wait and stays until it is cleared, and an event on the stack of its waiter may be
 * gone as soon as the wait has returned (seen by AddressSanitizer, and by the stack
 * being overwritten).
 */
#include "contract/sync_kit.h"

enum { WAITERS = 20 };

struct crowd {
    hk_event event;
    uint32_t woken; /* atomic */
};

static int join_the_crowd(void *arg)
{
    struct crowd *crowd = arg;

    CHECK_EQ(hk_event_wait(&crowd->event), 0);
    count_up(&crowd->woken);
    return 0;
}

static int set_wakes_all(void *arg)
{
    struct crowd crowd = {0};
    hk_scope s = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open(&s);
    for (int i = 0; i < WAITERS; i++)
        CHECK_EQ(hk_spawn(&s, join_the_crowd, &crowd), 0);
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(event_waiters(&crowd.event), WAITERS);
    CHECK_EQ(__atomic_load_n(&crowd.woken, __ATOMIC_ACQUIRE), 0);
    hk_event_set(&crowd.event);
    hk_event_clear(&crowd.event); /* who was woken stays woken */
    CHECK_EQ(hk_test_wait_all_blocked(), 0);
    CHECK_EQ(__atomic_load_n(&crowd.woken, __ATOMIC_ACQUIRE), WAITERS);
    return hk_scope_join(&s);
}

static void a_set_wakes_everyone_even_when_it_is_cleared_at_once(void **state)
{
    (void)state;
    assert_int_equal(hk_run(set_wakes_all, NULL, NULL), 0);
}

static void a_set_event_stays_set_until_it_is_cleared(void **state)
{
    hk_event event = HK_EVENT_INIT;

    (void)state;
    assert_false(hk_event_is_set(&event));
    hk_event_set(&event);
    hk_event_set(&event);
    assert_true(hk_event_is_set(&event));
    assert_int_equal(hk_event_wait(&event), 0);
    assert_int_equal(hk_event_wait(&event), 0);
    hk_event_clear(&event);
    assert_false(hk_event_is_set(&event));
}

/* ---- an event that dies with its wait ---- */

enum { LIVES = 1000 };

static hk_event *offered; /* atomic */

static int set_what_is_offered(void *arg)
{
    (void)arg;
    for (int i = 0; i < LIVES; i++) {
        hk_event *event;

        while (!(event = __atomic_exchange_n(&offered, NULL, __ATOMIC_ACQ_REL)))
            relax();
        hk_event_set(event);
    }
    return 0;
}

static int wait_on_the_stack(void *arg)
{
    (void)arg;
    for (int i = 0; i < LIVES; i++) {
        hk_event *event = malloc(sizeof(*event)); /* so that a late access is seen */

        *event = (hk_event)HK_EVENT_INIT;
        __atomic_store_n(&offered, event, __ATOMIC_RELEASE);
        if (i % 2)
            for (int spin = 0; !hk_event_is_set(event); spin++)
                if (spin > 100)
                    (void)sched_yield();
        CHECK_EQ(hk_event_wait(event), 0);
        memset(event, 0xff, sizeof(*event));
        free(event);
    }
    return 0;
}

static void an_event_may_be_freed_by_who_waited_for_it(void **state)
{
    (void)state;
    run_pair(THREAD_THREAD, set_what_is_offered, wait_on_the_stack, NULL);
    run_pair(TWO_WORKERS, set_what_is_offered, wait_on_the_stack, NULL);
}

/* The same, made certain: the setter stands still between its store and its release of
 * the lock, and the wait must outlast it. */
static void *wait_in_a_thread(void *arg)
{
    hk_event *event = arg;

    CHECK_EQ(hk_event_wait(event), 0);
    __atomic_store_n(&event->name, "waited", __ATOMIC_RELEASE);
    return NULL;
}

static void a_wait_outlasts_the_setter(void **state)
{
    hk_event event = HK_EVENT_INIT;
    uint32_t *word = &event.hki_lock.hki_word;
    pthread_t thread;

    (void)state;
    hki_lock_acquire(word);
    __atomic_store_n(&event.hki_set, 1, __ATOMIC_RELEASE);
    assert_int_equal(pthread_create(&thread, NULL, wait_in_a_thread, &event), 0);
    while (__atomic_load_n(word, __ATOMIC_RELAXED) != 2) { /* it sleeps on the lock */
        assert_null(__atomic_load_n(&event.name, __ATOMIC_ACQUIRE));
        (void)sched_yield();
    }
    hki_lock_release(word);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_non_null(event.name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_set_wakes_everyone_even_when_it_is_cleared_at_once),
        cmocka_unit_test(a_set_event_stays_set_until_it_is_cleared),
        cmocka_unit_test(an_event_may_be_freed_by_who_waited_for_it),
        cmocka_unit_test(a_wait_outlasts_the_setter),
    };

    return cmocka_run_group_tests_name("event", tests, NULL, NULL);
}
