/* SPDX-License-Identifier: MIT */
/*
 * Threads of hk_spawn_thread under cancels, deadlines and shields, of their scope and
 * of their own. Where somebody must be known to wait before another acts, the order
 * does not matter for the result, and many repetitions try both.
 */
#include "homes_test.h"

/* ---- cancels, deadlines, shields ---- */

HOMES_TEST(rule_11_a_thread_that_is_cancelled_before_it_starts_runs)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    hk_scope_cancel(&s);
    CHECK_EQ(hk_spawn_thread(&s, sleep_and_swallow, NULL), 0);
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

HOMES_TEST(rule_10_a_deadline_reaches_a_thread)
{
    hk_scope s = HK_SCOPE_INIT;

    hk_scope_open(&s);
    hk_scope_deadline(&s, hk_now() + 3 * HK_MILLISECOND);
    hk_spawn_thread(&s, sleep_and_swallow, NULL);
    CHECK_EQ(hk_scope_join(&s), -ETIMEDOUT);
    return 0;
}

struct waits {
    hk_event event;
    hk_mutex mutex;
    hk_fd pipe[2];
};

static int waits_for_an_event(void *arg)
{
    CHECK_EQ(hk_event_wait(&((struct waits *)arg)->event), -ECANCELED);
    return 0;
}

static int waits_for_a_mutex(void *arg)
{
    CHECK_EQ(hk_mutex_lock(&((struct waits *)arg)->mutex), -ECANCELED);
    return 0;
}

static int waits_for_input(void *arg)
{
    char byte;

    CHECK_EQ(hk_read(((struct waits *)arg)->pipe[0], &byte, 1), -ECANCELED);
    return 0;
}

static int waits_for_children(void *arg)
{
    hk_scope own = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open(&own);
    hk_spawn_thread(&own, sleep_and_swallow, NULL);
    hk_spawn(&own, sleep_and_swallow, NULL);
    CHECK_EQ(hk_scope_join(&own), -ECANCELED);
    CHECK_EQ(hk_cancelled(), -ECANCELED); /* level-triggered */
    return 0;
}

static int computes(void *arg)
{
    (void)arg;
    while (hk_cancelled() == 0)
        ;
    return -ECANCELED;
}

/* Out of every kind of wait, and at every moment of its life. */
HOMES_TEST(cancel_reaches_a_thread_wherever_it_is)
{
    static hk_task_fn *const all[] = {waits_for_an_event, waits_for_a_mutex,
                                      waits_for_input, waits_for_children, computes};
    struct waits waits = {0};

    CHECK_EQ(hk_pipe(waits.pipe), 0);
    CHECK_EQ(hk_mutex_lock(&waits.mutex), 0);
    for (int i = 0; i < scaled(100, 30); i++) {
        hk_scope s = HK_SCOPE_INIT;

        hk_scope_open(&s);
        for (size_t k = 0; k < sizeof(all) / sizeof(all[0]); k++)
            CHECK_EQ(hk_spawn_thread(&s, all[k], &waits), 0);
        if (i % 3 == 0)
            CHECK_EQ(hk_sleep(i * 10 * HK_MICROSECOND), 0);
        hk_scope_cancel(&s);
        CHECK_EQ(hk_scope_join(&s), 0);
    }
    hk_mutex_unlock(&waits.mutex);
    CHECK_EQ(hk_close(waits.pipe[0]), 0);
    CHECK_EQ(hk_close(waits.pipe[1]), 0);
    return 0;
}

static int nested_far(void *arg)
{
    hk_scope own = HK_SCOPE_INIT;
    int rc;

    hk_scope_open(&own);
    hk_spawn_thread(&own, arg ? sleep_for_ever : nested_far, &own);
    rc = hk_scope_join(&own);
    CHECK_EQ(rc, -ECANCELED);
    return rc;
}

/* A task in a thread in a task: from the outermost to the innermost. */
HOMES_TEST(rule_27_a_cancel_comes_through_all_that_lies_around)
{
    for (int i = 0; i < scaled(50, 20); i++) {
        hk_scope outer = HK_SCOPE_INIT, middle = HK_SCOPE_INIT;

        hk_scope_open(&outer);
        hk_scope_open(&middle);
        hk_spawn_thread(&middle, nested_far, NULL);
        hk_spawn(&middle, nested_far, NULL);
        hk_scope_cancel(&outer);
        CHECK_EQ(hk_scope_join(&middle), -ECANCELED);
        CHECK_EQ(hk_scope_join(&outer), 0);
    }
    return 0;
}

static int shielded(void *arg)
{
    hk_scope shield = HK_SCOPE_INIT;

    hk_scope_open_with(&shield, HK_SCOPE_SHIELDED, NULL);
    CHECK_EQ(hk_event_wait(arg), 0);
    CHECK_EQ(hk_scope_join(&shield), 0);
    CHECK_EQ(hk_sleep(HK_NEVER), -ECANCELED);
    return 0;
}

HOMES_TEST(rule_09_a_shield_on_a_thread_hides_its_scopes_cancel)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_event go = HK_EVENT_INIT;

    hk_scope_open(&s);
    hk_spawn_thread(&s, shielded, &go);
    CHECK_EQ(hk_sleep(HK_MILLISECOND), 0);
    hk_scope_cancel(&s);
    hk_event_set(&go);
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

static int toggle(void *arg)
{
    hk_scope own = HK_SCOPE_INIT;

    (void)arg;
    hk_scope_open(&own);
    for (int k = 0; k < 100; k++)
        hk_scope_shield(&own, k % 2 == 0);
    CHECK_EQ(hk_sleep(HK_NEVER), -ECANCELED);
    CHECK_EQ(hk_scope_join(&own), -ECANCELED);
    return 0;
}

HOMES_TEST(shield_that_goes_up_and_down_on_a_thread_loses_no_cancel)
{
    for (int i = 0; i < scaled(200, 50); i++) {
        hk_scope s = HK_SCOPE_INIT;

        hk_scope_open(&s);
        hk_spawn_thread(&s, toggle, NULL);
        hk_scope_cancel(&s);
        CHECK_EQ(hk_scope_join(&s), 0);
    }
    return 0;
}

HOMES_TEST(thread_is_cancelled_by_name_alone)
{
    hk_scope s = HK_SCOPE_INIT;
    hk_thread thread;
    int64_t some = HK_MILLISECOND;

    hk_scope_open(&s);
    CHECK_EQ(hk_spawn_thread_with(&s, NULL, sleep_for_ever, NULL, &thread), 0);
    hk_spawn_thread(&s, sleep_for, &some);
    CHECK_EQ(hk_thread_cancel(thread), 0);
    CHECK_EQ(hk_thread_join(thread), 0);
    CHECK_EQ(hk_thread_cancel(thread), -ESRCH);
    CHECK_EQ(hk_cancelled(), 0); /* its -ECANCELED was an echo */
    CHECK_EQ(hk_scope_join(&s), 0);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rule_11_a_thread_that_is_cancelled_before_it_starts_runs),
        cmocka_unit_test(rule_10_a_deadline_reaches_a_thread),
        cmocka_unit_test(cancel_reaches_a_thread_wherever_it_is),
        cmocka_unit_test(rule_27_a_cancel_comes_through_all_that_lies_around),
        cmocka_unit_test(rule_09_a_shield_on_a_thread_hides_its_scopes_cancel),
        cmocka_unit_test(shield_that_goes_up_and_down_on_a_thread_loses_no_cancel),
        cmocka_unit_test(thread_is_cancelled_by_name_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
